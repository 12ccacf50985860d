"""Options that several commands share, and their handling of files, progress bars and interruptions."""

import json
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..io.messages import counted
from ..processing.dialogue_error import DialogueError

DATA_HELP = "JSONL, Parquet or CSV file, folder of recordings, or id of a data set on the Hub."
CHECKPOINT_HELP = "Folder of a trained model, or its id on the Hub."
_EXTRACTOR_HELP = "Compute {} features: {}, or the folder or Hub id of {} encoder."
TextExtractor = Annotated[str | None, typer.Option(help=_EXTRACTOR_HELP.format("text", "hashing", "a text"))]
AudioExtractor = Annotated[
    str | None, typer.Option(help=_EXTRACTOR_HELP.format("audio", "logmel, opensmile:eGeMAPSv02", "a speech"))
]
VideoExtractor = Annotated[
    str | None, typer.Option(help=_EXTRACTOR_HELP.format("visual", "frame-statistics, openface (CSV)", "an image"))
]
NumProc = Annotated[int, typer.Option(help="Processes that read recordings.", min=1)]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop if a recording cannot be read, instead of going on without it.")
]
Device = Annotated[
    str | None,
    typer.Option(help="Device to run on, such as cuda:1 or cpu.  [default: the machine's accelerator]"),
]
Columns = Annotated[
    str | None,
    typer.Option(help="Columns of data in a table with an utterance per row: speaker=who,label=feeling."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="For data of strangers: refuse those that name, or link to, a recording outside of this folder."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output files that exist.")]


def example(command: str) -> str:
    """Return the text below a command's help: one line to try."""
    return f"\b\nExample:\n  {command}"  # \b: the help keeps the lines as they are


def parse_settings(config_json: str) -> dict[str, Any]:
    """Read the settings of a model that an option has as JSON.

    Raises:
        DialogueError: it is no JSON object.
    """
    try:
        settings = json.loads(config_json)
    except json.JSONDecodeError as error:
        raise DialogueError(f"`config_json` is not valid JSON ({error})") from None
    if not isinstance(settings, dict):
        raise DialogueError("`config_json` must be an object, as in '{\"graph_num_layers\": 2}'")
    return settings


def hide_bars_in_files() -> None:
    """Progress bars are for terminals: in a file, or for another program, standard error holds what went wrong."""
    from datasets import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of weights read and written: they are small
    if not sys.stderr.isatty():
        disable_progress_bars()


def announce(device: Any) -> None:
    """Print the device that a command runs on: its first line, once its input has been found."""
    from ..processing.devices import describe_device

    print(f"running on {describe_device(device)}", flush=True)


def with_dashes(argument: str) -> str:
    """Return `--learning-rate=1e-3` for `--learning_rate=1e-3`: both spellings are common."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def given_extractors(text: str | None, audio: str | None, video: str | None) -> dict[str, str]:
    """Return the processor's parameters for the extractors that were given."""
    given = {"text_extractor": text, "audio_extractor": audio, "video_extractor": video}
    return {name: extractor for name, extractor in given.items() if extractor is not None}


def parse_columns(text: str | None) -> dict[str, str] | None:
    """Return the columns of `start=begin_s,speaker=who`, or None where none are given."""
    return None if text is None else parse_pairs("columns", text, "start=begin_s")


def parse_pairs(parameter: str, text: str, example: str) -> dict[str, str]:
    """Parse the value of an option that is a list of pairs, such as `start=begin_s,speaker=who`."""
    pairs = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise DialogueError(f"`{parameter}`: {part.strip()!r} is not of the form {example}")
        pairs[name.strip()] = value.strip()
    return pairs


def read_data(data_file: str, columns: Mapping[str, str] | None, data_root: Path | None = None) -> Any:
    """Read dialogues as `load_dialogues` does, and the recordings of a folder with the transcripts beside them."""
    from ..data.dialogue_files import is_folder_of_recordings, load_dialogues
    from ..transcripts.folders import find_transcripts, read_folder

    folder = Path(data_file)
    if columns is None and is_folder_of_recordings(folder) and find_transcripts(folder):
        dialogues, reports = read_folder(folder, data_root)
        for report in reports:
            print(f"{report}\n")
        return dialogues
    return load_dialogues(data_file, columns=columns, data_root=data_root)


def refuse_existing(files: Iterable[Path], overwrite: bool) -> None:
    """Raise a `DialogueError` rather than write over a file, unless it may be overwritten."""
    existing = [file for file in files if file.exists()]
    folders = [file for file in existing if file.is_dir()]
    if folders:
        raise DialogueError(f"{folders[0]}: is a folder; give the name of a file")
    if existing and not overwrite:
        more = f" (as do {counted(len(existing) - 1, 'other file')})" if len(existing) > 1 else ""
        raise DialogueError(f"{existing[0]}: exists already{more}; choose another name, or give --overwrite")


@contextmanager
def resumable() -> Generator[None, None, None]:
    """Say how to go on when a run is stopped with Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print("joyful: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        raise typer.Exit(130) from None


def print_metrics(metrics: dict[str, float]) -> None:
    """Print a table of metrics, without what transformers says of the time they took."""
    from ..runs.summary import without_timing

    shown = without_timing(metrics)
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{name:<{width}}  {value:.4f}")
