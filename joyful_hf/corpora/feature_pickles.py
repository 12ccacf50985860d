"""Read the feature pickles that papers on conversations share, without running anything in them.

Two forms. A tuple of dicts over dialogues (DialogueRNN, DialogueGCN, MMGCN and what was built on them):
`IEMOCAP_features.pkl`, `MELD_features_raw.pkl`, `MELD_features_raw1.pkl`, `IEMOCAP_multimodal_features.pkl`, …; or a
dict of splits with a list of `Sample` objects each (COGMEN, JOYFUL): `data_iemocap.pkl`, `data_iemocap_4.pkl`, ….
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.task import task_of
from ..io.restricted_pickle import Record, load_plain_pickle
from ..processing import FEATURE_KEYS, MODALITIES, DialogueError
from . import iemocap, meld
from .base import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    VALIDATION_RULE,
    BuiltCorpus,
    Corpus,
    LabelScheme,
    Notes,
    PublishedCounts,
    hold_out,
    join_splits,
)
from .cmu import EMOTION_SCHEME, PUBLISHED_MOSEI
from .reading import files_of, mend_quotes, refuse_other_forms

_TEXT_OF_ROBERTA = ("roberta1", "roberta2", "roberta3", "roberta4")
# The fields of the known tuples, in their order. A field whose name begins with "_" is not read.
_LAYOUTS = (
    ("ids", "speakers", "labels", "text", "audio", "visual", "sentences", TRAIN, TEST),
    ("ids", "speakers", "labels", "text", "audio", "sentences", TRAIN, TEST, "sentiments"),
    ("ids", "speakers", "labels", "text", "audio", "visual", "sentences", TRAIN, TEST, "_"),
    ("ids", "speakers", "labels", *_TEXT_OF_ROBERTA, "audio", "visual", "sentences", TRAIN, TEST),
    ("ids", "speakers", "labels", *_TEXT_OF_ROBERTA, "audio", "visual", "sentences", TRAIN, TEST, "_"),
    # MMGCN's ten parts, and text vectors of EmoBERTa that take the place of the earlier ones.
    ("ids", "speakers", "labels", "_", "audio", "visual", "sentences", TRAIN, TEST, "_sentiments", "text"),
    # COSMIC's, of IEMOCAP, MELD (with sentiments) and as plain text.
    ("speakers", "labels", *_TEXT_OF_ROBERTA, "sentences", TRAIN, TEST, VALIDATION),
    ("speakers", "labels", "_sentiments", *_TEXT_OF_ROBERTA, "sentences", TRAIN, TEST, VALIDATION),
    ("speakers", "labels", "sentences", TRAIN, TEST, VALIDATION),
)
_SAMPLE_SPLITS = {TRAIN: ("train",), VALIDATION: ("dev", "valid", "val"), TEST: ("test",)}
_SAMPLE_TEXT = ("sbert_sentence_embeddings", "text")


@dataclass(frozen=True)
class _Scheme:
    """A label scheme of the pickles, and how their numbers become labels."""

    label_scheme: LabelScheme
    stored: tuple[str, ...]
    """The name of each label number in the pickle."""
    taken: Mapping[str, str]
    """Stored name -> its name in the scheme, for the names that the scheme takes."""
    published: PublishedCounts | None = None


_BINARY = ("negative", "positive")
_SCHEMES = {
    f"iemocap-{name}": _Scheme(
        scheme,
        iemocap.LABEL_SCHEMES["6-way"].labels,
        iemocap.renamed_labels(name),
        iemocap.published_counts(name, iemocap.STANDARD),
    )
    for name, scheme in iemocap.LABEL_SCHEMES.items()
}
_SCHEMES["meld-7-way"] = _Scheme(
    meld.LABEL_SCHEMES["7-way"],
    meld.EMOTIONS,
    {name: name for name in meld.EMOTIONS},
    join_splits(meld.PUBLISHED, (TRAIN, VALIDATION)),
)
_SCHEMES["mosei-emotions"] = _Scheme(
    EMOTION_SCHEME, EMOTION_SCHEME.labels, {name: name for name in EMOTION_SCHEME.labels}, PUBLISHED_MOSEI
)
_SCHEMES["mosei-binary"] = _Scheme(
    LabelScheme(
        "whether the one emotion that the pickle is about is absent (negative) or present (positive)", _BINARY
    ),
    _BINARY,
    {name: name for name in _BINARY},
)


@dataclass
class _Dialogue:
    """One dialogue of a pickle, with one list per field over its utterances."""

    name: str
    speakers: Sequence[Any]
    labels: Sequence[Any]
    ids: Sequence[Any] | None = None
    sentences: Sequence[Any] | None = None
    features: dict[str, Sequence[Any]] = field(default_factory=dict)


def build_pickle(source: Path, label_scheme: str | None, split: str) -> BuiltCorpus:
    """Build a corpus from one of the shared feature pickles.

    Raises:
        DialogueError: the pickle is not readable or of no known form, or the label scheme does not fit it.
    """
    path = _find_pickle(source)
    content = load_plain_pickle(path)
    with refuse_other_forms(path):
        pickled = _read_tuple(path, content) if isinstance(content, tuple | list) else _read_samples(path, content)
        name = label_scheme or pickled.find_scheme()
    scheme = _SCHEMES[name]
    notes = pickled.notes
    files: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        part: partial(pickled.make_dialogues, part, scheme) for part in SPLITS
    }
    return BuiltCorpus(
        files,
        name,
        scheme.label_scheme,
        "as the pickle numbers or names them; numbers count the speakers within a dialogue",
        f"{split}: {pickled.split}",
        pickled.contents,
        notes,
        scheme.published,
    )


def _find_pickle(source: Path) -> Path:
    if not source.is_dir():
        return source
    pickles = files_of(source, ".pkl")
    if len(pickles) != 1:
        names = ", ".join(path.name for path in pickles) or "none"
        raise DialogueError(f"{source}: give the path of one pickle (.pkl files in this folder: {names})")
    return pickles[0]


@dataclass
class _PickledCorpus:
    """The dialogues of a pickle by split, in either form."""

    path: Path
    names: dict[str, list[Any]]
    """The dialogues of each split."""
    read: Callable[[Any], _Dialogue]
    split: str
    contents: dict[str, str]
    notes: Notes

    def find_scheme(self) -> str:
        """Return the label scheme that fits the names and labels of the dialogues."""
        dialogues = [self.read(name) for name in self.names[TRAIN] + self.names[TEST]]
        if not dialogues:
            raise DialogueError(f"{self.path}: the pickle holds no dialogues")
        labels = [label for dialogue in dialogues for label in dialogue.labels]
        sizes = {np.size(label) for label in labels}
        if sizes == {len(EMOTION_SCHEME.labels)}:
            return "mosei-emotions"
        highest = max((int(label) for label in labels if np.size(label) == 1), default=0)
        if all(dialogue.name.startswith("Ses0") for dialogue in dialogues):
            return "iemocap-6-way" if highest > 3 else "iemocap-4-way-erc"
        if all(dialogue.name.isdecimal() for dialogue in dialogues):
            return "meld-7-way"
        if highest <= 1:
            return "mosei-binary"
        raise DialogueError(
            f"{self.path}: the label scheme cannot be told from dialogues such as {dialogues[0].name!r}; "
            f"set `label_scheme` to one of {', '.join(_SCHEMES)}"
        )

    def make_dialogues(self, part: str, scheme: _Scheme) -> Iterator[dict[str, Any]]:
        """Yield the dialogues of a split with the utterances that the scheme takes."""
        for key in self.names[part]:
            with refuse_other_forms(self.path):
                dialogue = self.read(key)
                utterances = list(self._utterances(dialogue, scheme))
            if utterances:
                yield {"dialogue_id": dialogue.name, "utterances": utterances}
            else:
                self.notes.left_out[dialogue.name] = "a dialogue without any utterance of the label scheme"

    def _utterances(self, dialogue: _Dialogue, scheme: _Scheme) -> Iterator[dict[str, Any]]:
        size = len(dialogue.labels)
        columns = {"speakers": dialogue.speakers, "sentences": dialogue.sentences, **dialogue.features}
        for what, values in columns.items():
            if isinstance(values, Record):
                raise DialogueError(
                    f"{self.path}, dialogue {dialogue.name!r}: the {what} are a {values.class_name}, which cannot "
                    "be read without running it; save plain numpy arrays, as by `tensor.numpy()`"
                )
            if values is not None and len(values) != size:
                raise DialogueError(f"{self.path}, dialogue {dialogue.name!r}: {len(values)} {what} for {size} labels")
        for index, stored in enumerate(dialogue.labels):
            own_id = dialogue.ids[index] if dialogue.ids is not None and len(dialogue.ids) == size else None
            name = f"{dialogue.name}[{index}]" if own_id is None else str(own_id)
            label = self._label(stored, scheme, name)
            if label is None:
                self.notes.left_out[name] = f"{scheme.stored[int(stored)]}, which is not in the label scheme"
                continue
            sentence = None if dialogue.sentences is None else str(dialogue.sentences[index])
            yield {
                "utterance_id": name,
                "speaker": _speaker_name(dialogue.speakers[index]),
                "label": label,
                "text": None if sentence is None else mend_quotes(sentence).strip() or None,
                **{
                    FEATURE_KEYS[modality]: self._vector(values[index], modality, name)
                    for modality, values in dialogue.features.items()
                },
            }

    def _label(self, stored: Any, scheme: _Scheme, name: str) -> str | list[str] | None:
        place = f"{self.path}, {name}"
        if task_of(scheme.label_scheme).several_labels:
            present = np.asarray(stored).reshape(-1)
            if len(present) != len(scheme.stored):
                raise DialogueError(f"{place}: {len(present)} labels, expected {', '.join(scheme.stored)}")
            return [label for label, value in zip(scheme.stored, present, strict=True) if value > 0]
        if np.size(stored) != 1 or not 0 <= int(stored) < len(scheme.stored):
            raise DialogueError(f"{place}: the label {stored!r:.40} is none of 0 to {len(scheme.stored) - 1}")
        return scheme.taken.get(scheme.stored[int(stored)])

    def _vector(self, value: Any, modality: str, name: str) -> np.ndarray | None:
        vector = np.asarray(value, np.float32)
        if vector.ndim != 1:
            raise DialogueError(
                f"{self.path}, {name}: the {modality} features should be a vector, got an array of {vector.shape}"
            )
        if not vector.size:
            self.notes.missing_files[f"{name}, {modality}"] = "an empty vector in the pickle"
            return None
        if not np.isfinite(vector).all():
            self.notes.missing_files[f"{name}, {modality}"] = "not a number or infinite in the pickle"
            return None
        return vector


def _speaker_name(value: Any) -> str:
    """Return a name as it is, and a number or a one-hot vector as `speaker 3`."""
    if isinstance(value, str):
        return value
    return f"speaker {int(np.argmax(value)) if np.size(value) > 1 else int(np.asarray(value).reshape(-1)[0])}"


def _read_tuple(path: Path, content: Sequence[Any]) -> _PickledCorpus:
    fitting = [layout for layout in _LAYOUTS if _fits(content, layout)]
    # Where a value is none that its layout has there, it is to be named, and not the layout.
    fields = next((layout for layout in fitting if all(map(_looks_like, layout, content))), *fitting[:1] or [None])
    if fields is None:
        kinds = ", ".join(type(part).__name__ for part in content[:20])
        raise DialogueError(
            f"{path}: none of the known layouts of feature pickles; got a tuple of {len(content)} parts ({kinds})"
        )
    columns = dict(zip(fields, content, strict=True))
    notes = Notes()
    test = _in_order(columns[TEST])
    for name in _in_order(set(test) & set(columns[TRAIN])):
        notes.known_bad[str(name)] = "in training and test at once: used for test only"
    train = _in_order(set(columns[TRAIN]) - set(test))
    if VALIDATION in columns:
        validation = _in_order(set(columns[VALIDATION]) - set(test))
        train = [name for name in train if name not in set(validation)]
        split = "the pickle's own training, validation and test dialogues"
    else:
        train, validation = hold_out(train)
        split = f"the pickle's own training and test dialogues; {VALIDATION_RULE}"
    contents = {"utterance_id": "the id in the pickle", "text": "the pickle's sentence"}
    for modality in MODALITIES:
        if modality in columns:
            contents[FEATURE_KEYS[modality]] = f"the {modality} vectors of {path.name}"
    if _TEXT_OF_ROBERTA[0] in columns:
        contents[FEATURE_KEYS["text"]] = f"mean of the four RoBERTa vectors of {path.name}"

    def read(name: Any) -> _Dialogue:
        missing = [
            column
            for column in fields
            if isinstance(columns[column], dict) and name not in columns[column] and not column.startswith("_")
        ]
        if set(missing) - {"sentiments"}:
            raise DialogueError(f"{path}: dialogue {name!r} is in the split and not among the {missing[0]}")
        features = {modality: columns[modality][name] for modality in MODALITIES if modality in columns}
        if _TEXT_OF_ROBERTA[0] in columns:
            features["text"] = np.mean(
                [np.asarray(columns[column][name], np.float32) for column in _TEXT_OF_ROBERTA], 0
            )
        own_ids = columns["ids"][name] if "ids" in columns else ()
        return _Dialogue(
            str(name),
            columns["speakers"][name],
            columns["labels"][name],
            own_ids if len(own_ids) and isinstance(own_ids[0], str) else None,
            columns["sentences"][name],
            features,
        )

    return _PickledCorpus(
        path,
        {TRAIN: train, VALIDATION: validation, TEST: test},
        read,
        split,
        contents,
        notes,
    )


def _fits(content: Sequence[Any], layout: Sequence[str]) -> bool:
    """Return whether the splits are collections of names where the layout has them, and the rest are dicts."""
    return len(content) == len(layout) and all(
        name == "_" or isinstance(part, set | frozenset | list | tuple | np.ndarray if name in SPLITS else dict)
        for name, part in zip(layout, content, strict=True)
    )


def _looks_like(name: str, part: Any) -> bool:
    """Return whether a part may hold such a field: several layouts have the same number of dicts."""
    if name.startswith("_") or name in SPLITS:
        return True
    values = next(iter(part.values()), ())
    value = values[0] if isinstance(values, list | tuple | np.ndarray) and len(values) else None
    if value is None:
        return True
    if name == "sentences":
        return isinstance(value, str)
    if name == "labels":
        return not isinstance(value, str) and np.size(value) == 1
    if name == "speakers":  # a name, a number, or a one-hot vector
        return isinstance(value, str) or np.asarray(value).dtype.kind in "biu" or set(np.unique(value)) <= {0, 1}
    return name in ("ids", "sentiments") or not isinstance(value, str)


def _in_order(names: Any) -> list[Any]:
    """Sort names alphabetically and numbers by size: the pickles' own sets have no order."""
    return sorted(set(names), key=lambda name: (name if isinstance(name, Integral) else -1, str(name)))


def _read_samples(path: Path, content: Any) -> _PickledCorpus:
    samples: dict[str, list[Record]] = {}
    for part, keys in _SAMPLE_SPLITS.items():
        found = next((content[key] for key in keys if key in content), None) if isinstance(content, dict) else None
        if not isinstance(found, list | tuple) or not all(isinstance(sample, Record) for sample in found):
            raise DialogueError(
                f"{path}: none of the known forms of feature pickles; expected a tuple of dicts, "
                "or a dict with lists of samples under 'train', 'dev' and 'test'"
            )
        samples[part] = list(found)
    every_sample = [sample for part in samples.values() for sample in part]
    if not every_sample:
        raise DialogueError(f"{path}: the pickle holds no dialogues")
    for number, sample in enumerate(every_sample):
        missing = [name for name in ("vid", "label") if name not in sample.attributes]
        if missing:
            raise DialogueError(f"{path}: sample {number} ({sample.class_name}) has no {missing[0]!r}")
    first = every_sample[0].attributes
    text = next((name for name in _SAMPLE_TEXT if first.get(name) is not None), None)
    sources = {"text": text, "audio": "audio", "visual": "visual"}
    sources = {modality: name for modality, name in sources.items() if name and first.get(name) is not None}

    def read(sample: Record) -> _Dialogue:
        values = sample.attributes
        labels = values["label"]
        absent = [name for name in sources.values() if values.get(name) is None]
        if absent:
            raise DialogueError(f"{path}: dialogue {values['vid']!r:.60} has no {absent[0]!r}, others have")
        speakers = values.get("speaker")
        return _Dialogue(
            str(values["vid"]),
            ["speaker"] * len(labels) if speakers is None or isinstance(speakers, str) else speakers,
            labels,
            None,
            values.get("sentence"),
            {modality: values[name] for modality, name in sources.items()},
        )

    contents = {"utterance_id": "the dialogue's id and the utterance's position", "text": "the sample's sentence"}
    contents |= {FEATURE_KEYS[modality]: f"'{name}' of {path.name}" for modality, name in sources.items()}
    return _PickledCorpus(path, samples, read, "the pickle's own train, dev and test", contents, Notes())


PICKLE = Corpus({name: scheme.label_scheme for name, scheme in _SCHEMES.items()}, ("standard",), build_pickle)
