"""Releases of CSV files with a row per utterance and folders of clips, as MELD and EmoryNLP have them."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..processing import DialogueError
from .base import SPLITS, BuiltCorpus, Corpus, LabelScheme, Notes, PublishedCounts
from .reading import find_folder_with, read_text

Row = dict[str, str]
Place = tuple[int, ...]
"""The numbers of a dialogue, or of an utterance in it."""


@dataclass(frozen=True)
class CsvLayout:
    """The names and columns of a release."""

    corpus: str
    """Its name in messages."""
    csv_files: Mapping[str, str]
    """Split -> file."""
    clip_folders: Mapping[str, str]
    """Split -> folder of the clips."""
    dialogue_columns: tuple[str, ...]
    """Columns of the numbers of a dialogue."""
    dialogue_id: str
    """Format of the ids of dialogues, with `split` and a number for each of these columns."""
    clip: str
    """Format of the names of utterances and their clips, from the columns of a row."""
    clip_columns: tuple[str, ...]
    """The columns in that name; numbers too."""
    label_columns: Mapping[str, str]
    """Label scheme -> column."""
    known_bad: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Split and name of a clip that users reported, and that the maintainers have not mended -> what is wrong."""
    speaker: Callable[[str], str] = str.strip
    """The name of the speaker, from what the column holds."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that hold whole numbers."""
        return tuple(dict.fromkeys((*self.dialogue_columns, "Utterance_ID", *self.clip_columns)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that every file must have."""
        return ("Utterance", "Speaker", *self.label_columns.values(), *self.numbers)


@dataclass(frozen=True)
class CsvCorpus:
    """A corpus that such a release holds."""

    layout: CsvLayout
    label_schemes: Mapping[str, LabelScheme]
    published: PublishedCounts
    """Counts of the first label scheme."""
    speaker_scheme: str
    splits: str
    """The origin of the release's splits, as the end of a sentence."""

    def build(self, source: Path, label_scheme: str | None, split: str) -> BuiltCorpus:
        """Build the corpus from the folder with its CSV files, and its clips if they are there, or a folder above.

        Raises:
            DialogueError: a CSV file is missing, or is not one of this corpus.
        """
        first = next(iter(self.label_schemes))
        name = label_scheme or first
        release = CsvRelease(source, self.layout, name, self.label_schemes[name].labels)
        return BuiltCorpus(
            {part: partial(release.make_dialogues, part) for part in SPLITS},
            name,
            self.label_schemes[name],
            self.speaker_scheme,
            f"{split}: {self.splits}",
            CONTENTS,
            release.notes,
            self.published if name == first else replace(self.published, labels={}),
        )

    def as_corpus(self) -> Corpus:
        """The entry of `joyful prepare`."""
        return Corpus(self.label_schemes, ("standard",), self.build)


class CsvRelease:
    """Reads a release, one split at a time: the CSV files are small, and clips are not opened.

    Args:
        source: the folder with the CSV files and the folders of clips, or one above.
        labels: the classes of the scheme.

    Raises:
        DialogueError: a CSV file is missing, or is not one of this release.
    """

    def __init__(self, source: Path, layout: CsvLayout, label_scheme: str, labels: tuple[str, ...]) -> None:
        self.layout = layout
        self._label_column = layout.label_columns[label_scheme]
        self._labels = labels
        self.notes = Notes()
        self._csv_files, self._clip_folders = {}, {}
        for split in SPLITS:
            name, clip_folder = layout.csv_files[split], layout.clip_folders[split]
            folder = find_folder_with(source, name)
            if folder is None:
                raise DialogueError(
                    f"{source}: {name} is missing; give the folder with the CSV files of {layout.corpus}"
                )
            self._csv_files[split] = folder / name
            clips = find_folder_with(source, clip_folder)
            if clips is None:
                self.notes.missing_files[clip_folder] = f"the folder with the clips of the {split} split is missing"
            else:
                self._clip_folders[split] = (clips / clip_folder).resolve()
        self._rows = {split: self._read_rows(split) for split in SPLITS}

    def _read_rows(self, split: str) -> dict[Place, dict[int, Row]]:
        """Return the rows of a CSV file by dialogue and utterance."""
        path, layout = self._csv_files[split], self.layout
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        rows: dict[Place, dict[int, Row]] = defaultdict(dict)
        try:
            missing = [column for column in layout.columns if column not in (reader.fieldnames or ())]
            if missing:
                raise DialogueError(
                    f"{path}: the column {missing[0]!r} is missing; this is not a CSV file of {layout.corpus}"
                )
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                self._check_row(row, place)
                utterances = rows[tuple(int(row[column]) for column in layout.dialogue_columns)]
                if int(row["Utterance_ID"]) in utterances:
                    raise DialogueError(f"{place}: this utterance occurs twice")
                utterances[int(row["Utterance_ID"])] = row
        except csv.Error as error:
            raise DialogueError(f"{path}, line {reader.line_num}: not readable as CSV ({error})") from None
        if not rows:
            raise DialogueError(f"{path}: the file holds no utterances")
        return rows

    def _check_row(self, row: dict[str, Any], place: str) -> None:
        for column in self.layout.columns:
            if not row[column]:
                raise DialogueError(f"{place}: {column!r} is empty; the file may break off, copy it again")
        for column in self.layout.numbers:
            if not row[column].isdecimal():
                raise DialogueError(f"{place}: {column!r} must be a number, got {row[column]!r:.40}")
        try:
            self.layout.speaker(row["Speaker"])
        except DialogueError as error:
            raise DialogueError(f"{place}: {error}") from None
        if row[self._label_column].lower() not in self._labels:
            raise DialogueError(
                f"{place}: unknown label {row[self._label_column]!r:.40}; known labels: {', '.join(self._labels)}"
            )

    def make_dialogues(self, split: str) -> Iterator[dict[str, Any]]:
        """Yield the dialogues of a split in the order of their numbers, and so their utterances."""
        for dialogue, utterances in sorted(self._rows[split].items()):
            yield {
                "dialogue_id": self.layout.dialogue_id.format(*dialogue, split=split),
                "utterances": [self._utterance(split, row) for _, row in sorted(utterances.items())],
            }

    def _utterance(self, split: str, row: Row) -> dict[str, Any]:
        name = self.layout.clip.format(*(int(row[column]) for column in self.layout.clip_columns))
        clip = self._clip(split, name)
        return {
            "utterance_id": name,
            "speaker": self.layout.speaker(row["Speaker"]),
            "label": row[self._label_column].lower(),
            "text": row["Utterance"].strip(),
            "audio": clip,
            "video": clip,
        }

    def _clip(self, split: str, name: str) -> str | None:
        """Return the clip's path, or None with a note where it is missing or known to be bad."""
        if split not in self._clip_folders:
            return None
        path = self._clip_folders[split] / f"{name}.mp4"
        if (split, name) in self.layout.known_bad:
            fault = self.layout.known_bad[split, name]
            self.notes.known_bad[f"{self.layout.clip_folders[split]}/{path.name}"] = f"{fault}: not used"
            return None
        if not path.is_file():
            self.notes.missing_files[str(path)] = "the file is missing"
            return None
        return str(path)


CONTENTS = {
    "utterance_id": "as the clips are called",
    "text": "the transcript, with the quotes mended that were stored in a wrong encoding",
    "audio": "absolute path of the utterance's clip, whose sound track it is",
    "video": "absolute path of the utterance's clip",
}
"""Key of an utterance, except speaker and label -> what it holds."""
