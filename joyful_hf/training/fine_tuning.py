"""Prepare a trained model for training on other dialogues, whose labels may differ."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..checkpoints import load_checkpoint
from ..evaluation.task import task_of
from ..processing import DialogueError, EmotionRecognitionProcessor, summarize_dialogues
from ..processing.dialogues import as_dialogue_list
from ..processing.feature_origin import check_origin, extractors_of
from ..processing.labels import REGRESSION

# Values that training has learnt from its own labels, and fine-tuning forgets.
_OF_ITS_LABELS = {"class_weights": None, "calibration_temperature": 1.0}
_SET_BY_TRAINING = "set_by_training"


def load_for_fine_tuning(path_or_hub_id: str | Path, dialogues: Iterable[Mapping[str, Any]]) -> tuple[Any, Any]:
    """Load the model and the processor of a checkpoint, with the labels of these dialogues.

        model, processor = load_for_fine_tuning("user/joyful-meld", train)
        trainer = JoyfulTrainer(model=model, processing_class=processor, train_dataset=train, ...)

    The features' statistics and weights, the window, the relations and the extractors stay the checkpoint's, because
    its weights were learnt with them. The classifier is kept if the labels are the same, and begins anew otherwise.
    Class weights and calibration are forgotten in any case. Ints are values for a checkpoint of a regression, and
    classes for any other.

    Args:
        path_or_hub_id: folder or Hub id of a checkpoint.
        dialogues: the training dialogues.

    Raises:
        DialogueError: a checkpoint that cannot be loaded, dialogues without a label or with one label only, or bad
            dialogues.
    """
    trained, processor = load_checkpoint(path_or_hub_id, "cpu")  # the Trainer chooses the device
    dialogues = as_dialogue_list(dialogues)
    check_origin(dialogues, processor.extractors)
    processor.take_over(extractors_of(dialogues))  # where the encoders of another machine lie on this one
    summary = summarize_dialogues(dialogues)
    if summary.has_whole_numbers and not task_of(trained).has_classes:
        summary = summarize_dialogues(dialogues, REGRESSION)
    if summary.problem_type is None:
        raise DialogueError("not one utterance of the training dialogues has a label")
    config = copy.deepcopy(trained.config)
    config.update(_OF_ITS_LABELS)
    if hasattr(config, _SET_BY_TRAINING):
        before = config.set_by_training.get("label_smoothing", {"before": config.label_smoothing})["before"]
        config.label_smoothing = before
        del config.set_by_training
    weights = trained.state_dict()
    task = task_of(summary.problem_type)
    if (task, _names(summary.label2id)) != (task_of(trained), _names(processor.label2id)):
        processor.label2id, processor.problem_type = summary.label2id, summary.problem_type
        config.update(_label_fields(processor))
        weights = {name: tensor for name, tensor in weights.items() if "classifier" not in name.split(".")}
    model = type(trained)(config)
    model.load_state_dict(weights, strict=False)
    return model, processor


def _names(label2id: Mapping[str, int] | None) -> set[str]:
    return set(label2id or ())


def _label_fields(processor: EmotionRecognitionProcessor) -> dict[str, Any]:
    names = {"problem_type", "num_labels", "label2id", "id2label"}
    return {name: value for name, value in processor.model_kwargs().items() if name in names}
