"""The settings of the loss that belong to a run: class weights that make up for rare classes, and label smoothing.

They are written into the model's configuration, where the loss and the checkpoints find them, and where an evaluation
of the checkpoint finds them again. The configuration is the model's own: the one that the user holds is left alone.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import nn
from transformers import TrainingArguments

from ..evaluation.task import task_of
from ..processing import EncodedExample
from ..processing.dialogues import DialogueError
from ..processing.labels import IGNORED_LABEL

# How far the weights of rare classes are raised unless asked otherwise: chosen on MELD's validation dialogues.
DEFAULT_CLASS_BALANCE = 0.4


def give_own_config(model: nn.Module) -> None:
    """Give a model a copy of its configuration, so that nothing of a run gets into the one that the user holds.

    One configuration may make the models of several folds, and each of them learns from other labels.
    """
    shared: Any = model.config
    own = copy.deepcopy(shared)
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if value is shared:
                setattr(module, name, own)


def set_up_loss(config: Any, args: TrainingArguments, examples: Sequence[EncodedExample] | None, trains: bool) -> None:
    """Write class weights and label smoothing of a run into the configuration of its model.

    What an earlier run has written there is taken back first; what the user has set stays unless the arguments ask for
    something else. `config.set_by_training` keeps the two apart.

    Args:
        config: the model's own.
        examples: all training examples; None where they are not known beforehand.
        trains: whether there is something to train on. An evaluation leaves the settings of the checkpoint in place,
            unless the arguments ask for others, so that its loss is the one of the run.

    Raises:
        ValueError: `class_balance` is given, and the classes cannot be counted.
    """
    class_balance = getattr(args, "class_balance", 0 if trains else None)
    before = {name: _users_own(config, name) for name in ("class_weights", "label_smoothing")}
    now = dict(before)
    if not trains and class_balance is None:
        now["class_weights"] = config.class_weights
    else:
        weights = wanted_class_weights(config, before["class_weights"], class_balance, examples)
        now["class_weights"] = before["class_weights"] if weights is None else weights
    if args.label_smoothing_factor:
        now["label_smoothing"] = args.label_smoothing_factor
    elif not trains:
        now["label_smoothing"] = config.label_smoothing
    for name, value in now.items():
        setattr(config, name, value)
    changed = {name: {"before": before[name], "now": value} for name, value in now.items() if value != before[name]}
    if changed:
        config.set_by_training = changed
    elif hasattr(config, "set_by_training"):
        del config.set_by_training


def _users_own(config: Any, name: str) -> Any:
    """The value that the user has set, or that is the default: not what an earlier run has written."""
    value = getattr(config, name)
    written = (getattr(config, "set_by_training", None) or {}).get(name)
    return written["before"] if written is not None and written["now"] == value else value


def wanted_class_weights(
    config: Any, given: list[float] | None, class_balance: float | None, examples: Sequence[EncodedExample] | None
) -> list[float] | None:
    """Return the class weights to train with, or None where those that the user has given stay.

    Args:
        config: the model's.
        given: class weights that the user has set, which are kept unless `class_balance` asks for others.
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
    if class_balance is None and countable and examples and given is None:
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
