"""The report of a preparation: what was written, what is missing, and differences from published counts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..processing import FEATURE_KEYS, DialogueError
from ..processing.dialogues import Dialogue
from ..processing.summary import summarize_dialogues
from .base import Notes, PublishedCounts

# A corpus with at least this share of the published dialogues is taken for the whole one.
_WHOLE_SHARE = 0.9
_MOST_ROWS = 20


@dataclass
class FileCounts:
    """Counts of one output file."""

    dialogues: int = 0
    utterances: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    """Utterances of each class; empty for regression."""
    present: Counter[str] = field(default_factory=Counter)
    """Utterances that have each key, such as `text` or `audio_features`."""
    feature_sizes: dict[str, int] = field(default_factory=dict)

    def add(self, dialogues: Sequence[Dialogue], keys: Iterable[str]) -> None:
        """Count some dialogues.

        Raises:
            DialogueError: they are not dialogues, or their features differ in size from earlier ones.
        """
        summary = summarize_dialogues(dialogues)
        self.dialogues += summary.num_dialogues
        self.utterances += summary.num_utterances
        self.labels += summary.label_counts
        for modality, size in summary.feature_sizes.items():
            key = FEATURE_KEYS[modality]
            if size and self.feature_sizes.setdefault(key, size) != size:
                raise DialogueError(
                    f"dialogue {dialogues[0]['dialogue_id']!r} or one soon after: '{key}' has size {size}, "
                    f"those before had {self.feature_sizes[key]}"
                )
        utterances = [utterance for dialogue in dialogues for utterance in dialogue["utterances"]]
        for key in keys:
            self.present[key] += sum(utterance.get(key) is not None for utterance in utterances)


@dataclass(frozen=True)
class CountDifference:
    """A count that differs from the published one."""

    what: str
    split: str
    published: int
    here: int


@dataclass
class PreparationReport:
    """The outcome of `prepare_corpus`; `str` gives it as text."""

    corpus: str
    output: Path
    label_scheme: str
    counts: dict[str, FileCounts]
    """Output file, such as `train` or `fold1/train` -> its counts."""
    notes: Notes
    published: PublishedCounts | None
    differences: list[CountDifference] | None
    """None if nothing was compared: no counts are published, or this is not the whole corpus."""

    def __str__(self) -> str:
        parts = [
            f"{self.corpus}, label scheme {self.label_scheme}: {self.output}",
            self._counts_table(),
            self._labels_table(),
            *self._left_out(),
            *_notes_table("known to be bad, and not used", self.notes.known_bad),
            *_notes_table("missing", self.notes.missing_files),
            *self._comparison(),
        ]
        return "\n\n".join(part for part in parts if part)

    def _counts_table(self) -> str:
        keys = next(iter(self.counts.values())).present
        rows = [
            [file, str(of_file.dialogues), str(of_file.utterances), *(str(of_file.present[key]) for key in keys)]
            for file, of_file in self.counts.items()
        ]
        return _table(["", "dialogues", "utterances", *keys], rows)

    def _labels_table(self) -> str:
        labels = sorted({label for of_file in self.counts.values() for label in of_file.labels})
        rows = [[file, *(str(of_file.labels[label]) for label in labels)] for file, of_file in self.counts.items()]
        return _table(["", *labels], rows) if labels else ""

    def _left_out(self) -> list[str]:
        reasons = Counter(self.notes.left_out.values())
        rows = [[str(count), reason] for reason, count in reasons.most_common()]
        return [f"left out:\n{_table([], rows)}"] if rows else []

    def _comparison(self) -> list[str]:
        if self.published is None:
            return []
        source = self.published.source
        if self.differences is None:
            return [f"not the whole corpus: counts were not compared with {source}"]
        if not self.differences:
            return [f"counts: as published ({source})"]
        rows = [[found.split, found.what, str(found.published), str(found.here)] for found in self.differences]
        table = _table(["", "", "published", "here"], rows)
        remark = f"\n{self.published.remark}" if self.published.remark else ""
        return [f"warning: counts differ from {source}:\n{table}{remark}"]


def _notes_table(title: str, notes: Mapping[str, str]) -> list[str]:
    if not notes:
        return []
    rows = [[name, reason] for name, reason in list(notes.items())[:_MOST_ROWS]]
    if len(notes) > _MOST_ROWS:
        rows.append([f"and {len(notes) - _MOST_ROWS} more", "see metadata.json"])
    return [f"{title} ({len(notes)}):\n{_table([], rows)}"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return rows as text: the first column aligned left, numbers aligned right."""
    lines = [head, *rows] if head else rows
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def aligned(column: int, cell: str) -> str:
        is_number = column > 0 and all(row[column].isdecimal() for row in rows)
        return cell.rjust(widths[column]) if is_number else cell.ljust(widths[column])

    return "\n".join("  " + "  ".join(aligned(*cell) for cell in enumerate(line)).rstrip() for line in lines)


def compare_counts(
    counts: Mapping[str, FileCounts], published: PublishedCounts | None
) -> list[CountDifference] | None:
    """Return the differences from published counts, or None if there is nothing to compare.

    Args:
        counts: those of each output file. With several folds the first is compared, as each holds the whole corpus.
    """
    if published is None:
        return None
    fold = next(iter(counts)).rpartition("/")[0]
    by_split = {
        file.rpartition("/")[2]: of_file for file, of_file in counts.items() if file.rpartition("/")[0] == fold
    }
    whole = sum(published.dialogues.values())
    if sum(of_file.dialogues for of_file in by_split.values()) < _WHOLE_SHARE * whole:
        return None

    def files_of(split: str) -> list[FileCounts]:
        return [by_split[name] for name in split.split("+") if name in by_split]

    differences = []
    for split, number in published.dialogues.items():
        differences.append(
            CountDifference("dialogues", split, number, sum(of_file.dialogues for of_file in files_of(split)))
        )
    for split, number in published.utterances.items():
        here = sum(of_file.utterances for of_file in files_of(split))
        differences.append(CountDifference("utterances", split, number, here))
    for split, labels in published.labels.items():
        for label, number in labels.items():
            here = sum(of_file.labels[label] for of_file in files_of(split))
            differences.append(CountDifference(label, split, number, here))
    return [found for found in differences if found.published != found.here]
