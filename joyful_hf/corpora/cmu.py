"""Read CMU-MOSEI and CMU-MOSI: opinion videos with one speaker each, one dialogue per video.

Both come in two forms: the computational sequences of the CMU-MultimodalSDK, read here, and the pickles that papers
on sentiment share (`cmu_pickles.py`). The frames of an utterance become one vector, their mean, as in JOYFUL.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..processing import FEATURE_KEYS, DialogueError
from ..processing.labels import MULTI_LABEL, REGRESSION
from ..processing.optional_imports import import_optional
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
    counts_by_label,
)
from .cmu_pickles import PickledCorpus
from .reading import (
    files_of,
    find_folder_with,
    finite_mean,
    mend_quotes,
    refuse_other_forms,
)

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
EMOTION_SCHEME = LabelScheme(
    "the emotions that are present (above 0), any number of the six; none is an empty list", EMOTIONS, MULTI_LABEL
)
_SENTIMENT_SCHEME = LabelScheme(
    "the sentiment, a number from -3 (very negative) to 3 (very positive)", problem_type=REGRESSION
)

# For each modality, words in the names of its sequences, the papers' choice first.
_SEQUENCES = {
    "text": ("wordvectors", "glovevectors", "glove_vectors"),
    "audio": ("covarep", "opensmile"),
    "visual": ("facet", "openface"),
}
_WORDS, _LABELS = "timestampedwords.csd", "labels"
_NO_WORD = ("sp", "")  # the aligner's mark of silence
_FOLDS = {TRAIN: "standard_train_fold", VALIDATION: "standard_valid_fold", TEST: "standard_test_fold"}


@dataclass(frozen=True)
class CmuCorpus:
    """The differences between the two corpora."""

    label_schemes: Mapping[str, LabelScheme]
    fold_file: str
    published: Mapping[str, PublishedCounts]
    known_bad: Mapping[str, str] = field(default_factory=dict)
    """Videos that the release's folds name and that cannot be used."""

    def build(self, source: Path, label_scheme: str | None, split: str) -> BuiltCorpus:
        """Build the corpus from a folder with `.csd` files and the SDK's file of folds, or from a pickle.

        Raises:
            DialogueError: a part is missing, or a file cannot be read.
            ImportError: there are `.csd` files, and h5py is not installed.
        """
        label_scheme = label_scheme or next(iter(self.label_schemes))
        pickles = [source] if source.is_file() else files_of(source, ".pkl")
        notes = Notes()
        if find_csd_files(source):
            sequences = _Sequences(self, source, label_scheme, notes)
            files = {part: partial(sequences.make_dialogues, part) for part in SPLITS}
            contents = sequences.contents
        elif len(pickles) == 1:
            pickled = PickledCorpus(pickles[0], label_scheme, EMOTIONS, notes)
            files = {part: partial(pickled.make_dialogues, part) for part in SPLITS}
            contents = pickled.contents
        elif pickles:
            names = ", ".join(path.name for path in pickles)
            raise DialogueError(f"{source}: holds several pickles ({names}); give the path of one")
        else:
            raise DialogueError(f"{source}: holds neither .csd files of the CMU-MultimodalSDK nor a .pkl file")
        return BuiltCorpus(
            files,
            label_scheme,
            self.label_schemes[label_scheme],
            "one speaker per video, called 'speaker'",
            f"{split}: the folds of the CMU-MultimodalSDK, or those of the pickle",
            contents,
            notes,
            self.published.get(label_scheme),
        )


def find_csd_files(source: Path) -> list[Path]:
    """Return the `.csd` files in the folder or one below it, by name."""
    if not source.is_dir():
        return []
    return sorted(path for pattern in ("*.csd", "*/*.csd") for path in source.glob(pattern) if path.name[0] != ".")


class _Sequences:
    """Reads computational sequences, one video at a time."""

    def __init__(self, corpus: CmuCorpus, source: Path, label_scheme: str, notes: Notes) -> None:
        self._source = source
        self._known_bad = corpus.known_bad
        self._is_sentiment = label_scheme == "sentiment"
        self._notes = notes
        files = {path.name.lower(): path for path in find_csd_files(source)}
        labels = [path for name, path in files.items() if _LABELS in name]
        if len(labels) != 1:
            found = ", ".join(path.name for path in labels) or "none"
            raise DialogueError(f"{source}: needs one .csd file of labels, found {found}")
        self._folds = _read_folds(source, corpus.fold_file)
        self._labels = self._open(labels[0])
        words = [path for name, path in files.items() if name.endswith(_WORDS)]
        self._words = self._open(words[0]) if words else None
        self._features: dict[str, Mapping[str, Any]] = {}
        self.contents = {"utterance_id": "the video's id and the number of its segment, from 0"}
        if words:
            self.contents["text"] = f"the words of {words[0].name} in the segment"
        for modality, kinds in _SEQUENCES.items():
            path = next((path for kind in kinds for name, path in files.items() if kind in name), None)
            if path is not None:
                self._features[modality] = self._open(path)
                self.contents[FEATURE_KEYS[modality]] = f"mean of the frames of {path.name} in the segment"
        self._media = _find_media(source, {video for fold in self._folds.values() for video in fold})
        if self._media:
            self.contents |= {
                "audio": "absolute path of the whole video's sound, to be cut by start and end",
                "video": "absolute path of the whole video, to be cut by start and end",
            }
        if not self._features and self._words is None and not self._media:
            raise DialogueError(
                f"{source}: holds labels only; add .csd files such as TimestampedWords, COVAREP or VisualFacet"
            )
        self.contents |= {"start": "seconds into the video", "end": "seconds into the video"}
        in_folds = {name for fold in self._folds.values() for name in fold}
        with refuse_other_forms(labels[0]):
            labelled = set(self._labels)
        for name in sorted(labelled - in_folds):
            notes.left_out[name] = "a video in none of the standard folds"

    def _open(self, path: Path) -> Mapping[str, Any]:
        """Return the videos of a sequence: groups of `features` (frames, size) and `intervals` (frames, 2)."""
        h5py = import_optional("h5py", "corpora", f"reading {path.name}")
        try:
            file = h5py.File(path, "r")
            (name,) = file
            return _own(file[name]["data"], path)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise DialogueError(
                f"{path}: not a computational sequence of the SDK, it may break off ({str(error)[:80]})"
            ) from None

    def make_dialogues(self, part: str) -> Iterator[dict[str, Any]]:
        """Yield the videos of a fold, each as a dialogue of its labelled segments."""
        for video in self._folds[part]:
            if video in self._known_bad:
                self._notes.known_bad[video] = self._known_bad[video]
                continue
            with refuse_other_forms(self._source):
                utterances = list(self._utterances(video)) if video in self._labels else None
            if utterances is None:
                self._notes.left_out[video] = "a video of the standard folds without labels"
                continue
            yield {"dialogue_id": video, "utterances": utterances}

    def _utterances(self, video: str) -> Iterator[dict[str, Any]]:
        labels, intervals = _arrays_of(self._labels, video)
        words = self._frames(self._words, video, "words") if self._words is not None else None
        frames = {modality: self._frames(videos, video, modality) for modality, videos in self._features.items()}
        for number, index in enumerate(np.argsort(intervals[:, 0], kind="stable")):
            start, end = map(float, intervals[index])
            name = f"{video}[{number}]"
            utterance = {
                "utterance_id": name,
                "speaker": "speaker",
                "label": self._label(labels[index], video),
                "start": start,
                "end": end,
                "text": None if words is None else _words_in(words, start, end),
                "audio": self._media.get(video, {}).get(".wav") or self._media.get(video, {}).get(".mp4"),
                "video": self._media.get(video, {}).get(".mp4"),
            }
            for modality, of_video in frames.items():
                vector = None if of_video is None else _mean_frame(*of_video, start, end)
                if of_video is not None and vector is None:
                    self._notes.missing_files[f"{name}, {modality}"] = "no frames in the segment"
                utterance[FEATURE_KEYS[modality]] = vector
            yield utterance

    def _frames(self, videos: Mapping[str, Any], video: str, what: str) -> tuple[np.ndarray, np.ndarray] | None:
        if video not in videos:
            self._notes.missing_files[f"{video}, {what}"] = "the sequence lacks this video"
            return None
        return _arrays_of(videos, video)

    def _label(self, values: np.ndarray, video: str) -> float | list[str]:
        if self._is_sentiment:
            return float(values[0])
        if len(values) != 1 + len(EMOTIONS):
            raise DialogueError(
                f"{video}: {len(values)} labels per segment, expected the sentiment and 6 emotions; "
                "for a file with the sentiment alone, set `label_scheme` to sentiment"
            )
        return [emotion for emotion, value in zip(EMOTIONS, values[1:], strict=True) if value > 0]


def _own(held: Any, path: Path) -> Any:
    """Return a group or data set if it lies in this file itself: a link, or an external data set, names another."""
    if held.file.filename != str(path) or getattr(held, "external", None) or getattr(held, "is_virtual", False):
        raise DialogueError(f"{path}: {held.name} lies in another file, which no computational sequence does")
    return held


def _arrays_of(videos: Any, video: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features (frames, size) and intervals (frames, 2) of a video."""
    path = Path(videos.file.filename)
    features, intervals = (_own(videos[video][name], path) for name in ("features", "intervals"))
    most = max(_SMALL_ARRAY, _MOST_PER_BYTE * path.stat().st_size)
    for array in (features, intervals):
        if array.nbytes > most:  # what was never written takes no place in the file, and is full of zeros
            raise DialogueError(f"{path}: {array.name} tells of {array.nbytes:,} bytes, far more than the file has")
    return np.asarray(features), np.asarray(intervals)


_SMALL_ARRAY, _MOST_PER_BYTE = 1 << 26, 20
"""Bytes of an array that need no question, and those that compression can make of one byte of the file."""


def _words_in(words: tuple[np.ndarray, np.ndarray], start: float, end: float) -> str | None:
    """Return the words whose middle lies in the segment."""
    features, intervals = words
    middles = intervals.mean(axis=1)
    inside = features[(middles >= start) & (middles < end)].reshape(-1)
    spoken = [word.decode("utf-8", errors="replace") if isinstance(word, bytes) else str(word) for word in inside]
    return mend_quotes(" ".join(word for word in spoken if word not in _NO_WORD)) or None


def _mean_frame(features: np.ndarray, intervals: np.ndarray, start: float, end: float) -> np.ndarray | None:
    """Return the mean (size,) float32 of the frames that overlap the segment, or None if there are none."""
    return finite_mean(features[(intervals[:, 0] < end) & (intervals[:, 1] > start)])


def _read_folds(source: Path, fold_file: str) -> dict[str, Sequence[str]]:
    """Return the ids of each fold, from the SDK's own file, which is parsed and not run."""
    folder = find_folder_with(source, fold_file)
    if folder is None:
        raise DialogueError(
            f"{source}: {fold_file} is missing, which says what is for training and test; "
            "copy it from the CMU-MultimodalSDK (mmsdk/mmdatasdk/dataset/standard_datasets)"
        )
    lists: dict[str, list[str]] = {}
    try:
        for statement in ast.parse((folder / fold_file).read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                lists[statement.targets[0].id] = [str(video) for video in ast.literal_eval(statement.value)]
        return {part: lists[name] for part, name in _FOLDS.items()}
    except (SyntaxError, ValueError, TypeError, KeyError) as error:
        raise DialogueError(
            f"{folder / fold_file}: should hold the lists {', '.join(_FOLDS.values())} ({error})"
        ) from None


def _find_media(source: Path, videos: set[str]) -> dict[str, dict[str, str]]:
    """Return the paths of `<video>.mp4` and `<video>.wav`, by video and suffix, anywhere below the folder."""
    found: dict[str, dict[str, str]] = {}
    for suffix in (".mp4", ".wav"):
        for path in sorted(source.rglob(f"*{suffix}")):
            if path.stem in videos:
                found.setdefault(path.stem, {}).setdefault(suffix, str(path.resolve()))
    return found


_JOYFUL = "JOYFUL's Table 1 and Appendix I"
_DIALOGUES = {TRAIN: 2249, VALIDATION: 300, TEST: 679}
_UTTERANCES = {TRAIN: 16327, VALIDATION: 1871, TEST: 4662}
_EMOTION_COUNTS = counts_by_label(
    EMOTIONS,
    (8735, 4269, 3526, 1642, 2955, 1331),
    (1005, 520, 338, 203, 281, 176),
    (2505, 1129, 1071, 441, 805, 385),
)
PUBLISHED_MOSEI = PublishedCounts(_JOYFUL, _DIALOGUES, _UTTERANCES, _EMOTION_COUNTS)
_NEVER_LABELLED = "a video of the test fold that was never labelled: left out"

_MOSEI = CmuCorpus(
    {"emotions": EMOTION_SCHEME, "sentiment": _SENTIMENT_SCHEME},
    "cmu_mosei_std_folds.py",
    {
        "emotions": PUBLISHED_MOSEI,
        "sentiment": replace(PUBLISHED_MOSEI, labels={}),
    },
    {"7l3BNtSE0xc": _NEVER_LABELLED, "dZFV0lyedX4": _NEVER_LABELLED},
)
_MOSI = CmuCorpus(
    {"sentiment": _SENTIMENT_SCHEME},
    "cmu_mosi_std_folds.py",
    {
        "sentiment": PublishedCounts(
            "Zadeh et al. 2016", {"train+validation+test": 93}, {"train+validation+test": 2199}
        )
    },
)

CMU_MOSEI = Corpus(_MOSEI.label_schemes, ("standard",), _MOSEI.build)
CMU_MOSI = Corpus(_MOSI.label_schemes, ("standard",), _MOSI.build)
