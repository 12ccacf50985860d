"""The outcome of reading the media of a data set: counts, and the media that could not be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..processing import DialogueError
from ..processing.media_failures import ExtractionFailure


@dataclass
class ExtractionReport:
    """The outcome of an extraction."""

    num_utterances: int
    modality_counts: dict[str, int]
    """Utterances that have features of each modality, extracted or given."""
    failures: list[ExtractionFailure]
    """Media that could not be read, and are masked."""

    def __str__(self) -> str:
        counts = ", ".join(f"{modality} in {count}" for modality, count in self.modality_counts.items())
        return "\n".join(
            [f"features: {counts} of {self.num_utterances} utterances", *describe_failures(self.failures)]
        )


def describe_failures(failures: Sequence[ExtractionFailure]) -> list[str]:
    """Return a line with the number of media that could not be read, and a line for each."""
    if not failures:
        return []
    rows = [(failure.place, failure.modality, failure.medium, failure.reason) for failure in failures]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]] + [0]
    lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [f"{len(failures)} media could not be read and are masked:", *lines]


def refuse_failures(failures: Sequence[ExtractionFailure]) -> None:
    """Raise a DialogueError that names the first medium that could not be read, if there is one."""
    if failures:
        more = f" ({len(failures)} media cannot be read in all)" if len(failures) > 1 else ""
        raise DialogueError(f"{failures[0]}{more}")
