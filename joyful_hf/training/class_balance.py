"""Class weights that make up for rare classes."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..evaluation.task import task_of
from ..processing import EncodedExample
from ..processing.dialogues import DialogueError
from ..processing.labels import IGNORED_LABEL

# How far the weights of rare classes are raised unless asked otherwise: chosen on MELD's validation dialogues.
DEFAULT_CLASS_BALANCE = 0.4


def wanted_class_weights(
    config: Any, class_balance: float | None, examples: list[EncodedExample] | None
) -> list[float] | None:
    """Return the class weights to train with, or None where those of the configuration stay.

    Args:
        config: the model's; class weights that it has are kept unless `class_balance` asks for others.
        class_balance: as in `JoyfulTrainingArguments`.
        examples: all training examples; None where they are not known beforehand.

    Raises:
        ValueError: `class_balance` is given, and the classes cannot be counted.
    """
    task = task_of(config)
    countable = examples is not None and task.has_classes and not task.several_labels
    if class_balance and not countable:
        raise ValueError(
            "`class_balance` counts the labels of all training dialogues beforehand: it needs single-label data, "
            "a `train_dataset` that does not stream, and the processor's own collator; or set the config's "
            "class_weights yourself"
        )
    if class_balance is None and countable and examples and config.class_weights is None:
        class_balance = DEFAULT_CLASS_BALANCE
    if not class_balance or examples is None:
        return None
    return balanced_class_weights(examples, config.num_labels, class_balance)


def balanced_class_weights(examples: Iterable[EncodedExample], num_labels: int, power: float = 1.0) -> list[float]:
    """Weight each class by the inverse of its frequency among the labelled utterances, to this power.

    A class of average frequency has weight 1.

    Raises:
        DialogueError: labels that are no classes.
    """
    counts = np.zeros(num_labels)
    for example in examples:
        labels = example.labels
        if labels is None or labels.dtype != np.int64:
            raise DialogueError("`class_balance` needs one class label per utterance")
        known = labels[labels != IGNORED_LABEL]
        counts += np.bincount(known, minlength=num_labels)
    return ((counts.sum() / (num_labels * np.maximum(counts, 1))) ** power).tolist()
