"""Read MELD from the release's CSV files and clips (`MELD.Raw`)."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..processing import DialogueError
from .base import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    BuiltCorpus,
    Corpus,
    LabelScheme,
    Notes,
    PublishedCounts,
)
from .reading import find_folder_with, read_text

_CSV = {TRAIN: "train_sent_emo.csv", VALIDATION: "dev_sent_emo.csv", TEST: "test_sent_emo.csv"}
_CLIPS = {TRAIN: "train_splits", VALIDATION: "dev_splits_complete", TEST: "output_repeated_splits_test"}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")

# Users of the release reported these, and its maintainers have not mended them.
_KNOWN_BAD = {
    (TRAIN, 125, 3): "the clip is damaged and cannot be decoded",
    (TRAIN, 309, 0): "the clip is cut wrongly",
    (TRAIN, 485, 0): "the clip is far too long",
    (VALIDATION, 110, 7): "the clip is not in the release",
    (TEST, 38, 4): "the clip is cut wrongly and lasts 5 minutes",
    (TEST, 220, 0): "the clip is cut wrongly and lasts 4 minutes",
}

# In the order of the feature pickles that papers share.
EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
SENTIMENTS = ("neutral", "positive", "negative")
LABEL_SCHEMES = {
    "7-way": LabelScheme("the seven emotions of the CSV files", EMOTIONS),
    "sentiment": LabelScheme("the three sentiments of the CSV files", SENTIMENTS),
}
_LABEL_COLUMN = {"7-way": "Emotion", "sentiment": "Sentiment"}
PUBLISHED = PublishedCounts(
    "JOYFUL's Table 1 and Appendix I",
    {TRAIN: 1039, VALIDATION: 114, TEST: 280},
    {TRAIN: 9989, VALIDATION: 1109, TEST: 2610},
    {
        TRAIN: dict(zip(EMOTIONS, (4710, 1205, 268, 683, 1743, 271, 1109), strict=True)),
        VALIDATION: dict(zip(EMOTIONS, (470, 150, 40, 111, 163, 22, 153), strict=True)),
        TEST: dict(zip(EMOTIONS, (1256, 281, 50, 208, 402, 68, 345), strict=True)),
    },
    "The release itself has 1038 training dialogues; the papers print 1039.",
)


def build_meld(source: Path, label_scheme: str | None, split: str) -> BuiltCorpus:
    """Build MELD from the folder with its CSV files and the folders of its clips, or a folder above.

    Raises:
        DialogueError: a CSV file is missing, or is not one of MELD's.
    """
    label_scheme = label_scheme or next(iter(LABEL_SCHEMES))
    release = _Release(source, label_scheme)
    published = PUBLISHED
    if label_scheme != "7-way":
        published = replace(PUBLISHED, labels={})
    return BuiltCorpus(
        {part: partial(release.make_dialogues, part) for part in SPLITS},
        label_scheme,
        LABEL_SCHEMES[label_scheme],
        "names of the series' characters, the same people throughout; several at once have a name of their own",
        f"{split}: the release's own training, development and test files",
        {
            "utterance_id": "as the clips are called",
            "text": "the transcript, with the quotes mended that were stored in a wrong encoding",
            "audio": "absolute path of the utterance's clip, whose sound track it is",
            "video": "absolute path of the utterance's clip",
        },
        release.notes,
        published,
    )


class _Release:
    """Reads the release, one split at a time: the CSV files are small, and clips are not opened."""

    def __init__(self, source: Path, label_scheme: str) -> None:
        self._label_column = _LABEL_COLUMN[label_scheme]
        self._labels = LABEL_SCHEMES[label_scheme].labels
        self.notes = Notes()
        self._csv_files, self._clip_folders = {}, {}
        for part in SPLITS:
            folder = find_folder_with(source, _CSV[part])
            if folder is None:
                raise DialogueError(f"{source}: {_CSV[part]} is missing; give the folder with the CSV files of MELD")
            self._csv_files[part] = folder / _CSV[part]
            clips = find_folder_with(source, _CLIPS[part])
            if clips is None:
                self.notes.missing_files[_CLIPS[part]] = f"the folder with the clips of the {part} split is missing"
            else:
                self._clip_folders[part] = (clips / _CLIPS[part]).resolve()
        self._rows = {part: self._read_rows(part) for part in SPLITS}

    def _read_rows(self, part: str) -> dict[int, dict[int, dict[str, str]]]:
        """Return the rows of a CSV file by dialogue and utterance."""
        path = self._csv_files[part]
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        rows: dict[int, dict[int, dict[str, str]]] = defaultdict(dict)
        try:
            missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DialogueError(f"{path}: the column {missing[0]!r} is missing; this is not a CSV file of MELD")
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                self._check_row(row, place)
                utterances = rows[int(row["Dialogue_ID"])]
                if int(row["Utterance_ID"]) in utterances:
                    raise DialogueError(f"{place}: this utterance occurs twice")
                utterances[int(row["Utterance_ID"])] = row
        except csv.Error as error:
            raise DialogueError(f"{path}, line {reader.line_num}: not readable as CSV ({error})") from None
        if not rows:
            raise DialogueError(f"{path}: the file holds no utterances")
        return rows

    def _check_row(self, row: dict[str, Any], place: str) -> None:
        for column in _COLUMNS:
            if not row[column]:
                raise DialogueError(f"{place}: {column!r} is empty; the file may break off, copy it again")
        for column in ("Dialogue_ID", "Utterance_ID"):
            if not row[column].isdecimal():
                raise DialogueError(f"{place}: {column!r} must be a number, got {row[column]!r:.40}")
        if row[self._label_column].lower() not in self._labels:
            raise DialogueError(
                f"{place}: unknown label {row[self._label_column]!r:.40}; known labels: {', '.join(self._labels)}"
            )

    def make_dialogues(self, part: str) -> Iterator[dict[str, Any]]:
        """Yield the dialogues of a split in the order of their numbers, and so their utterances."""
        for dialogue, utterances in sorted(self._rows[part].items()):
            yield {
                "dialogue_id": f"{part}_dia{dialogue}",
                "utterances": [
                    self._utterance(part, dialogue, number, row) for number, row in sorted(utterances.items())
                ],
            }

    def _utterance(self, part: str, dialogue: int, number: int, row: dict[str, str]) -> dict[str, Any]:
        clip = self._clip(part, dialogue, number)
        return {
            "utterance_id": f"dia{dialogue}_utt{number}",
            "speaker": row["Speaker"].strip(),
            "label": row[self._label_column].lower(),
            "text": row["Utterance"].strip(),
            "audio": clip,
            "video": clip,
        }

    def _clip(self, part: str, dialogue: int, number: int) -> str | None:
        """Return the clip's path, or None with a note where it is missing or known to be bad."""
        name = f"dia{dialogue}_utt{number}.mp4"
        if part not in self._clip_folders:
            return None
        path = self._clip_folders[part] / name
        if (part, dialogue, number) in _KNOWN_BAD:
            self.notes.known_bad[f"{_CLIPS[part]}/{name}"] = f"{_KNOWN_BAD[part, dialogue, number]}: not used"
            return None
        if not path.is_file():
            self.notes.missing_files[str(path)] = "the file is missing"
            return None
        return str(path)


MELD = Corpus(LABEL_SCHEMES, ("standard",), build_meld)
