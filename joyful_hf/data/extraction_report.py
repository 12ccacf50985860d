"""The outcome of reading the media of a data set: counts, and the media that could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from ..io.messages import counted
from ..processing import EXTRACTOR_KEYS, FEATURE_KEYS, DialogueError
from ..processing.media_failures import ExtractionFailure


@dataclass
class ExtractionReport:
    """The outcome of an extraction."""

    num_utterances: int = 0
    modality_counts: dict[str, int] = field(default_factory=dict)
    """Utterances that have features of each modality, extracted or given."""
    failures: list[ExtractionFailure] = field(default_factory=list)
    """Media that could not be read, and are masked."""

    def add(self, other: Self) -> None:
        """Add the outcome for other utterances."""
        self.num_utterances += other.num_utterances
        counts = self.modality_counts
        self.modality_counts = {key: counts.get(key, 0) + count for key, count in other.modality_counts.items()}
        self.failures += other.failures

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
    return [
        f"{counted(len(failures), 'medium')} could not be read and {'is' if len(failures) == 1 else 'are'} masked:",
        *lines,
    ]


NOTHING_THERE = frozenset(("there is no sound track", "there are no pictures", "is silent"))
"""Reasons of media that were read, and hold nothing of a modality."""


def refuse_failures(failures: Sequence[ExtractionFailure]) -> None:
    """Raise a DialogueError that names the first medium that could not be read, if there is one.

    One that was read and holds nothing of the modality, such as a silent video, is no fault.
    """
    faults = [failure for failure in failures if failure.reason not in NOTHING_THERE]
    if faults:
        more = f" ({len(faults)} media cannot be read in all)" if len(faults) > 1 else ""
        raise DialogueError(f"{faults[0]}{more}")


def refuse_nothing_read(report: ExtractionReport, extractors: Mapping[str, str], asked_for: bool) -> None:
    """Raise a DialogueError if an extractor could read not one medium, so that its modality is missing throughout.

    Args:
        report: of the extraction by these extractors.
        extractors: modality -> name of its extractor.
        asked_for: whether the user named the extractors, who then does not want a model without them. Otherwise media
            that hold nothing of the modality, such as silent videos, are no error.
    """
    for modality, extractor in extractors.items():
        failures = [failure for failure in report.failures if failure.modality == modality]
        faults = failures if asked_for else [each for each in failures if each.reason not in NOTHING_THERE]
        if faults and not report.modality_counts[modality]:
            raise DialogueError(
                f"`{EXTRACTOR_KEYS[modality]}`: {extractor!r} could read none of {counted(len(failures), 'medium')}, "
                f"so that no utterance has {FEATURE_KEYS[modality]}; the first: {faults[0]}"
            )
