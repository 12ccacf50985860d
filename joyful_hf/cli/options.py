"""Options that several commands share, and their handling of files, progress bars and interruptions."""

import json
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..io.messages import counted
from ..io.signals import describe_stop
from ..processing.dialogue_error import DialogueError

DATA_HELP = (
    "JSONL, Parquet or CSV file, pattern of several ('data-*.parquet'), folder of recordings, or id of a data set on "
    "the Hub."
)
CHECKPOINT_HELP = "Folder of a trained model, or its id on the Hub."
_EXTRACTOR_HELP = "Compute {} features: {}, or the folder or Hub id of {} encoder."
TextExtractor = Annotated[str | None, typer.Option(help=_EXTRACTOR_HELP.format("text", "hashing", "a text"))]
AudioExtractor = Annotated[
    str | None, typer.Option(help=_EXTRACTOR_HELP.format("audio", "logmel, opensmile:eGeMAPSv02", "a speech"))
]
VideoExtractor = Annotated[
    str | None, typer.Option(help=_EXTRACTOR_HELP.format("visual", "frame-statistics, openface (CSV)", "an image"))
]
Layers = Annotated[
    str | None,
    typer.Option(
        help="Layers of encoders that become features: one (-1, the last), several side by side (3,5 or -4:), mean, "
        "mean:-4:, weighted (all, mixed by weights that the model learns), or pooled. A name may have its own, as in "
        "user/model#-4:.  [default: text -4:, audio mean, video mean:-4:]"
    ),
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
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Work on the I-th of N parts of the dialogues, as one of N machines; -0000I-of-0000N becomes part of the "
        "name of each output file.",
    ),
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


def announce(device: Any, num_processes: int | None = None) -> None:
    """Print the device that a command runs on: its first line, once its input has been found.

    Args:
        num_processes: processes that share the work, where there could be several.
    """
    from ..processing.devices import describe_device

    shared = "" if num_processes is None else f", {counted(num_processes, 'process')}"
    print(f"running on {describe_device(device)}{shared}", flush=True)


def with_dashes(argument: str) -> str:
    """Return `--learning-rate=1e-3` for `--learning_rate=1e-3`: both spellings are common."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def given_extractors(
    text: str | None, audio: str | None, video: str | None, layers: str | None = None
) -> dict[str, str]:
    """Return the processor's parameters for the extractors that were given.

    Args:
        layers: of the encoders whose names do not say which.

    Raises:
        DialogueError: there are none, or it is no choice of layers.
    """
    from ..processing.dialogues import EXTRACTOR_KEYS

    given = dict(zip(EXTRACTOR_KEYS.values(), (text, audio, video), strict=True))
    extractors = {name: extractor for name, extractor in given.items() if extractor is not None}
    return extractors if layers is None else _with_layers(extractors, layers)


def _with_layers(extractors: dict[str, str], layers: str) -> dict[str, str]:
    from ..processing.dialogues import EXTRACTOR_KEYS
    from ..processing.encoder_layers import Layers, split_layers, with_layers
    from ..processing.extractors import is_built_in

    try:
        chosen = Layers.parse(layers)
    except ValueError as error:
        raise DialogueError(f"`layers`: {error}") from None
    encoders = {
        key: with_layers(extractors[key], chosen)
        for modality, key in EXTRACTOR_KEYS.items()
        if key in extractors
        and not is_built_in(modality, extractors[key])
        and split_layers(extractors[key])[1] is None
    }
    if not encoders:
        raise DialogueError(
            "`layers`: there is no encoder to take them of; give `text_extractor`, `audio_extractor` or "
            "`video_extractor` the folder or Hub id of one"
        )
    return extractors | encoders


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
def resumable(without: str | None = None, last: str = "checkpoint") -> Generator[None, None, None]:
    """Say how to go on when a run is stopped with Ctrl-C or SIGTERM; the exit status is 128 and the signal's number.

    Args:
        without: an option of the command that would begin again.
        last: what it goes on from, where the stop does not say.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        number, what = describe_stop(stop)
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes, one speaks for all
            command = "the same command" if without is None else f"the same command without {without}"
            where = getattr(stop, "checkpoint", None) or f"the last {last}"
            print(f"joyful: {what}; {command} goes on from {where}", file=sys.stderr)
        raise typer.Exit(128 + number) from None


def print_metrics(metrics: dict[str, float]) -> None:
    """Print a table of metrics, without what transformers says of the time they took."""
    from ..runs.summary import without_timing

    shown = without_timing(metrics)
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{name:<{width}}  {value:.4f}")
