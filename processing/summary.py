"""What a set of dialogues holds: sizes, labels, speakers. Tells a processor and a model how large to be."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .dialogues import (
    FEATURE_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    as_dialogue_list,
    dialogue_name,
    get_utterances,
    utterance_name,
)
from .labels import MULTI_LABEL, REGRESSION, SINGLE_LABEL, problem_type_of


@dataclass
class DialogueSummary:
    """Counts of a set of dialogues; `summarize_dialogues` makes one."""

    num_dialogues: int = 0
    num_utterances: int = 0
    max_speakers: int = 0
    """Most speakers in one dialogue."""
    feature_sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    """Size of each modality's vectors, 0 where no utterance has the modality."""
    modality_counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    """Utterances that have each modality."""
    label_counts: Counter[str] = field(default_factory=Counter)
    """Utterances of each class; empty for regression."""
    problem_type: str | None = None
    """As in transformers; None if no utterance has a label."""

    @property
    def label2id(self) -> dict[str, int] | None:
        """Class names in a stable order (as numbers where all are), or None without classes."""
        if not self.label_counts:
            return None
        if all(label.isdecimal() for label in self.label_counts):
            return {str(index): index for index in range(max(map(int, self.label_counts)) + 1)}
        return {label: index for index, label in enumerate(sorted(self.label_counts))}

    def __str__(self) -> str:
        modalities = ", ".join(
            f"{modality} {self.feature_sizes[modality]} (in {self.modality_counts[modality]})"
            for modality in MODALITIES
            if self.feature_sizes[modality]
        )
        return (
            f"{self.num_dialogues} dialogues, {self.num_utterances} utterances, "
            f"up to {self.max_speakers} speakers, features: {modalities or 'none'}"
        )


def summarize_dialogues(dialogues: Dialogue | Iterable[Dialogue]) -> DialogueSummary:
    """Count what the dialogues hold.

    Raises:
        DialogueError: a feature vector of another size than the first of its modality, labels of different
            kinds (a string here, a float there), or anything that `get_utterances` refuses.
    """
    summary = DialogueSummary()
    first_label_place = ""
    for position, dialogue in enumerate(as_dialogue_list(dialogues)):
        name = dialogue_name(dialogue, position)
        utterances = get_utterances(dialogue, name)
        summary.num_dialogues += 1
        summary.num_utterances += len(utterances)
        summary.max_speakers = max(summary.max_speakers, len({u["speaker"] for u in utterances}))
        for index, utterance in enumerate(utterances):
            place = utterance_name(name, index)
            _count_features(summary, utterance, place)
            problem_type = _count_label(summary, utterance.get("label"), place, first_label_place)
            if problem_type and not first_label_place:
                first_label_place = place
    return summary


def _count_features(summary: DialogueSummary, utterance: Dialogue, place: str) -> None:
    for modality, key in FEATURE_KEYS.items():
        features = utterance.get(key)
        if features is None:
            continue
        size = len(features)
        expected = summary.feature_sizes[modality] or size
        if size != expected or size == 0:
            raise DialogueError(f"{place}: '{key}' has size {size}, the first one had {expected}")
        summary.feature_sizes[modality] = size
        summary.modality_counts[modality] += 1


def _count_label(summary: DialogueSummary, label: object, place: str, first_place: str) -> str | None:
    problem_type = problem_type_of(label)
    if problem_type is None or label == -100:
        return None
    kinds = {summary.problem_type or problem_type, problem_type}
    if kinds == {REGRESSION, SINGLE_LABEL} and not isinstance(label, str) and not summary.label_counts:
        problem_type = REGRESSION  # an int among floats
    elif len(kinds) > 1:
        raise DialogueError(
            f"{place}: label {label!r} is of another kind than that of {first_place}; "
            "labels are all strings, all ints, all lists, or all floats"
        )
    summary.problem_type = problem_type
    if problem_type == MULTI_LABEL:
        summary.label_counts.update(str(one) for one in label)  # type: ignore[union-attr]
    elif problem_type == SINGLE_LABEL:
        summary.label_counts[str(label)] += 1
    return problem_type
