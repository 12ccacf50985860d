"""What several commands share: options, and what they do with files and interruptions."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..processing.dialogue_error import DialogueError

DATA_HELP = "JSONL, Parquet, a folder of recordings, or the id of a data set on the Hub."
EXTRACTOR_HELP = "Reads {}: {}, or the folder or Hub id of {} encoder."
TextExtractor = Annotated[str | None, typer.Option(help=EXTRACTOR_HELP.format("text", "hashing", "a text"))]
AudioExtractor = Annotated[
    str | None, typer.Option(help=EXTRACTOR_HELP.format("audio", "logmel, opensmile:eGeMAPSv02", "a speech"))
]
VideoExtractor = Annotated[
    str | None, typer.Option(help=EXTRACTOR_HELP.format("video", "frame-statistics, openface (CSV)", "an image"))
]
NumProc = Annotated[int, typer.Option(help="Processes that read raw media.", min=1)]
Strict = Annotated[bool, typer.Option("--strict", help="Stop if a medium cannot be read, instead of masking it.")]


def hide_bars_in_files() -> None:
    """Progress bars are for terminals: in a file, or for another program, standard error holds what went wrong."""
    from datasets import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of weights read and written: they are small
    if not sys.stderr.isatty():
        disable_progress_bars()


def with_dashes(argument: str) -> str:
    """`--learning_rate=1e-3` -> `--learning-rate=1e-3`: both spellings are common, and both are understood."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def given_extractors(text: str | None, audio: str | None, video: str | None) -> dict[str, str]:
    """Parameters of the processor, of the extractors that were given."""
    given = {"text_extractor": text, "audio_extractor": audio, "video_extractor": video}
    return {name: extractor for name, extractor in given.items() if extractor is not None}


def refuse_existing(file: Path) -> None:
    """Raise a `DialogueError` rather than write over a file."""
    if file.exists():
        raise DialogueError(f"{file}: exists already; choose another name or remove it first")


@contextmanager
def resumable() -> Generator[None, None, None]:
    """Says how to go on when a run is stopped with Ctrl-C."""
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
