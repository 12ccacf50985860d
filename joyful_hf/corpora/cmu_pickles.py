"""Read the pickles of CMU-MOSI and CMU-MOSEI that papers on sentiment share.

A dict of `train`, `valid` and `test`, each a dict of columns over the n utterances: `text`, `audio` and `vision`
(n, time, size) padded with zeros, `labels` (n, 1) or (n, 1, k) or `regression_labels` (n,), `id`, and in some
`raw_text`. Known as `mosi_data.pkl`, `mosei_senti_data.pkl` (ids are video, start and end) and `aligned_50.pkl`,
`unaligned_50.pkl` (ids are `video$_$clip`).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io.restricted_pickle import load_plain_pickle
from ..processing import FEATURE_KEYS, DialogueError
from .base import (
    TEST,
    TRAIN,
    VALIDATION,
    Notes,
)
from .reading import finite_mean, mend_quotes, refuse_other_forms

_SPLIT_NAMES = {TRAIN: "train", VALIDATION: "valid", TEST: "test"}
_COLUMNS = {"text": "text", "audio": "audio", "visual": "vision"}
_LABEL_COLUMNS = ("labels", "regression_labels")
_ID = re.compile(r"(.+?)(?:\$_\$|\[|_)(\d+)\]?")


class PickledCorpus:
    """Reads one of these pickles; nothing in it is run."""

    def __init__(self, path: Path, label_scheme: str, emotions: Sequence[str], notes: Notes) -> None:
        self._path = path
        self._wants_sentiment = label_scheme == "sentiment"
        self._emotions = emotions
        self._notes = notes
        content = load_plain_pickle(path)
        if not isinstance(content, dict) or not all(
            isinstance(content.get(name), dict) for name in _SPLIT_NAMES.values()
        ):
            raise DialogueError(f"{path}: expected a dict with the splits train, valid and test")
        self._splits: dict[str, dict[str, Any]] = {part: content[name] for part, name in _SPLIT_NAMES.items()}
        for part, columns in self._splits.items():
            self._check_columns(part, columns)
        self.contents = {"utterance_id": "the id in the pickle"}
        if "raw_text" in self._splits[TRAIN]:
            self.contents["text"] = "raw_text of the pickle"
        for modality, column in _COLUMNS.items():
            if column in self._splits[TRAIN]:
                self.contents[FEATURE_KEYS[modality]] = (
                    f"mean over time of '{column}' of {path.name}, without its padding"
                )

    def _check_columns(self, part: str, columns: Mapping[str, Any]) -> None:
        place = f"{self._path}, {_SPLIT_NAMES[part]}"
        if "id" not in columns:
            raise DialogueError(f"{place}: 'id' is missing, which says to which video an utterance belongs")
        if not any(name in columns for name in _LABEL_COLUMNS):
            raise DialogueError(f"{place}: 'labels' is missing")
        size = len(columns["id"])
        if not size:
            raise DialogueError(f"{place}: the split holds no utterances")
        for name in ("raw_text", *_COLUMNS.values(), *_LABEL_COLUMNS):
            column = columns.get(name)
            if column is None:
                continue
            if not isinstance(column, np.ndarray | list | tuple) or len(column) != size:
                raise DialogueError(f"{place}: {name!r} should be an array over the {size} utterances of 'id'")
            if name in _COLUMNS.values() and np.asarray(column[0]).ndim != 2:
                raise DialogueError(f"{place}: {name!r} should be (utterances, time, size)")

    def make_dialogues(self, part: str) -> Iterator[dict[str, Any]]:
        """Yield the videos of a split, their utterances in the order of clips or start times."""
        videos: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
        for index, stored_id in enumerate(self._splits[part]["id"]):
            video, position = self._read_id(stored_id)
            videos[video].append((position, index, f"{video}[{position:g}]"))
        for video, clips in videos.items():
            with refuse_other_forms(self._path):
                utterances = [self._utterance(part, index, name) for _, index, name in sorted(clips)]
            yield {"dialogue_id": video, "utterances": utterances}

    def _read_id(self, value: Any) -> tuple[str, float]:
        """Return the video, and the number of the clip or the second at which it starts."""
        if isinstance(value, np.ndarray | list | tuple):
            words = [_as_text(word) for word in np.asarray(value).reshape(-1).tolist()]
            if len(words) == 3:
                try:
                    return words[0], float(words[1])
                except ValueError:
                    pass
            value = words[0] if len(words) == 1 else words
        found = _ID.fullmatch(_as_text(value))
        if found is None:
            raise DialogueError(f"{self._path}: the id {value!r:.60} is neither video, start, end nor video$_$clip")
        return found[1], float(found[2])

    def _utterance(self, part: str, index: int, name: str) -> dict[str, Any]:
        columns = self._splits[part]
        utterance = {"utterance_id": name, "speaker": "speaker", "label": self._label(columns, index, name)}
        if "raw_text" in columns:
            utterance["text"] = mend_quotes(_as_text(np.asarray(columns["raw_text"][index]).item()).strip()) or None
        for modality, column in _COLUMNS.items():
            if column in columns:
                frames = np.asarray(columns[column][index], np.float64)
                vector = finite_mean(frames[(frames != 0).any(axis=1)])
                if vector is None:
                    self._notes.missing_files[f"{name}, {modality}"] = "the pickle has nothing but padding"
                utterance[FEATURE_KEYS[modality]] = vector
        return utterance

    def _label(self, columns: Mapping[str, Any], index: int, name: str) -> float | list[str]:
        column = next(name for name in _LABEL_COLUMNS if name in columns)
        values = np.asarray(columns[column][index], np.float64).reshape(-1)
        if self._wants_sentiment:
            return float(values[0])
        if len(values) != 1 + len(self._emotions):
            raise DialogueError(
                f"{self._path}, {name}: {len(values)} labels, expected the sentiment and "
                f"{len(self._emotions)} emotions; for the sentiment alone, set `label_scheme` to sentiment"
            )
        return [emotion for emotion, value in zip(self._emotions, values[1:], strict=True) if value > 0]


def _as_text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
