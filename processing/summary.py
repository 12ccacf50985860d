"""Count what a set of dialogues holds (sizes, labels, speakers): it tells a processor and a model how large to be."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .dialogues import (
    FEATURE_KEYS,
    FRAME_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    Utterance,
    dialogue_name,
    get_features,
    get_utterances,
    iterate_dialogues,
    utterance_name,
)
from .frames import get_frames
from .known_keys import warn_of_unknown_keys
from .labels import MULTI_LABEL, SINGLE_LABEL, LabelKinds, alike_classes, get_label
from .media import get_medium

logger = logging.getLogger(__name__)


@dataclass
class DialogueSummary:
    """The counts of a set of dialogues; `summarize_dialogues` makes them."""

    num_dialogues: int = 0
    num_utterances: int = 0
    max_speakers: int = 0
    """Most speakers in one dialogue."""
    feature_sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    """Size of each modality's vectors; 0 where no utterance has the modality."""
    modality_counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    """Utterances that have each modality."""
    frame_sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    """Size of each modality's frames; 0 where no utterance has a sequence of them."""
    frame_counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    """Utterances that have each modality as a sequence of frames."""
    num_waveforms: int = 0
    """Utterances that have `audio`."""
    num_texts: int = 0
    """Utterances that have `text`."""
    label_counts: Counter[str] = field(default_factory=Counter)
    """Utterances of each class, of votes those in which it has a majority; empty for regression."""
    value_counts: Counter[str] = field(default_factory=Counter)
    """Utterances that have each of several values, such as valence and arousal; empty without names."""
    problem_type: str | None = None
    """As in transformers; None if no utterance has a label."""

    @property
    def has_whole_numbers(self) -> bool:
        """Whether the classes are ints, which may be values as well."""
        return bool(self.label_counts) and all(label.removeprefix("-").isdecimal() for label in self.label_counts)

    @property
    def label2id(self) -> dict[str, int] | None:
        """Names of classes or of values in a stable order (by value where all of them are numbers), or None."""
        if self.value_counts:
            return {name: index for index, name in enumerate(sorted(self.value_counts))}
        if not self.label_counts:
            return None
        if all(label.isdecimal() for label in self.label_counts):
            return {str(index): index for index in range(max(map(int, self.label_counts)) + 1)}
        return {label: index for index, label in enumerate(sorted(self.label_counts))}

    def size_of_frames(self, modality: str) -> int:
        """Return the size of a modality's frames, where a feature vector counts as one frame; 0 without either."""
        return self.frame_sizes[modality] or self.feature_sizes[modality]

    def __str__(self) -> str:
        parts = [f"features: {_listed(self.feature_sizes, self.modality_counts) or 'none'}"]
        if any(self.frame_sizes.values()):
            parts.append(f"frames: {_listed(self.frame_sizes, self.frame_counts)}")
        if self.num_waveforms:
            parts.append(f"audio: in {self.num_waveforms}")
        return (
            f"{_counted(self.num_dialogues, 'dialogue')}, {_counted(self.num_utterances, 'utterance')}, "
            f"up to {_counted(self.max_speakers, 'speaker')}, {', '.join(parts)}"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(sizes: dict[str, int], counts: dict[str, int]) -> str:
    return ", ".join(f"{modality} {size} (in {counts[modality]})" for modality, size in sizes.items() if size)


def summarize_dialogues(dialogues: Dialogue | Iterable[Dialogue], problem_type: str | None = None) -> DialogueSummary:
    """Count what the dialogues hold. Classes whose names differ in case or blanks only are warned of.

    Args:
        problem_type: as in transformers, where it is known: `"regression"` makes values of ints, which are classes
            otherwise.

    Raises:
        DialogueError: a feature vector of another size than the first of its modality, labels of different
            kinds (a string here, a float there), or anything that `get_utterances`, `get_features` or `get_frames`
            refuses.
    """
    summary = DialogueSummary()
    label_kinds = LabelKinds()
    classes: Counter[str] = Counter()
    votes: Counter[str] = Counter()
    for position, dialogue in enumerate(iterate_dialogues(dialogues)):
        name = dialogue_name(dialogue, position)
        utterances = get_utterances(dialogue, name)
        warn_of_unknown_keys(name, utterances)
        summary.num_dialogues += 1
        summary.num_utterances += len(utterances)
        summary.max_speakers = max(summary.max_speakers, len({u["speaker"] for u in utterances}))
        for index, utterance in enumerate(utterances):
            place = utterance_name(name, index)
            _count_features(summary, utterance, place)
            _count_frames(summary, utterance, place)
            summary.num_texts += bool(utterance.get("text"))
            summary.num_waveforms += get_medium(utterance, "audio") is not None
            label = get_label(utterance)
            if label is not None:
                label_kinds.add(label, place)
                if isinstance(label, Mapping):
                    summary.value_counts.update(label.keys())
                    votes.update(_majority(label))
                else:
                    classes.update(map(str, label) if isinstance(label, list | tuple) else [str(label)])
    if label_kinds.has_any:
        summary.problem_type = problem_type or label_kinds.problem_type
    if summary.problem_type in (SINGLE_LABEL, MULTI_LABEL):
        summary.label_counts = classes or votes
        summary.value_counts.clear()
        _warn_of_alike(summary.label_counts)
    return summary


def _majority(votes: Mapping[str, float]) -> dict[str, int]:
    """Return class -> 1 if more annotators chose it than any other one, else 0; for the classes that have votes."""
    most = max(votes.values())
    has_majority = list(votes.values()).count(most) == 1
    return {name: int(has_majority and count == most) for name, count in votes.items() if count > 0}


def _warn_of_alike(classes: Mapping[str, int]) -> None:
    for group in alike_classes(classes):
        names = ", ".join(f"{name!r} ({count})" for name, count in sorted(group.items()))
        logger.warning(
            "%s differ in case or blanks only, and are taken for different labels; rename them if they are one", names
        )


def _count_features(summary: DialogueSummary, utterance: Utterance, place: str) -> None:
    for modality, key in FEATURE_KEYS.items():
        features = get_features(utterance, modality, None, place)
        if features is None:
            continue
        size = len(features)
        expected = summary.feature_sizes[modality] or size
        if size == 0:
            raise DialogueError(f"{place}: '{key}' is empty; leave the key out where the modality is missing")
        if size != expected:
            raise DialogueError(f"{place}: '{key}' has size {size}, the first one had {expected}")
        summary.feature_sizes[modality] = size
        summary.modality_counts[modality] += 1


def _count_frames(summary: DialogueSummary, utterance: Utterance, place: str) -> None:
    for modality, key in FRAME_KEYS.items():
        if utterance.get(key) is None:
            continue
        frames = get_frames(utterance, modality, summary.frame_sizes[modality] or None, place)
        assert frames is not None
        summary.frame_sizes[modality] = frames.shape[1]
        summary.frame_counts[modality] += 1
