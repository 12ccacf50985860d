"""Small training runs that many tests share."""

import gc
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from tests.support.helpers import FAMILY_CASES, FamilyCase, make_dialogues

# Every training begins with a full garbage collection; what the imports have left need not be gone through each time.
gc.freeze()

# Nine dialogues make five steps an epoch in batches of two, the last one with a single dialogue; their 45 utterances
# do in batches of ten.
TRAIN = make_dialogues((5, 9, 1, 7, 4, 3, 6, 2, 8))
VALIDATION = make_dialogues((4, 3, 6))
STEPS_PER_EPOCH = 5

# `--config-json` of a model that trains in no time.
SMALL_SETTINGS = {
    "contextual_size": 8,
    "projection_size": 8,
    "basis_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "graph_hidden_size": 16,
    "graph_num_heads": 2,
    "num_members": 1,
}


def training_args(folder: Path, **arguments: Any) -> JoyfulTrainingArguments:
    """Arguments of a run of two epochs in batches of two, each validated."""
    defaults = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "validation_start": 0,
    }
    return JoyfulTrainingArguments(str(folder), disable_tqdm=True, **(defaults | arguments))


def make_trainer(
    folder: Path,
    case: FamilyCase = FAMILY_CASES[0],
    train: Any = TRAIN,
    validation: Any = VALIDATION,
    callbacks: list[TrainerCallback] | None = None,
    settings: dict[str, Any] | None = None,
    trainer_kwargs: dict[str, Any] | None = None,
    **arguments: Any,
) -> JoyfulTrainer:
    """A trainer with a fresh small model, made from the same seed each time.

    Args:
        settings: of the model's config.
        trainer_kwargs: of `JoyfulTrainer`.
        **arguments: of `JoyfulTrainingArguments`.
    """
    model, processor = case.make(TRAIN, **(settings or {}))
    arguments = {"per_device_train_batch_size": case.train_batch_size} | arguments
    if validation is None:
        arguments = {"eval_strategy": "no", "load_best_model_at_end": False} | arguments
    return JoyfulTrainer(
        model=model,
        args=training_args(folder, **arguments),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=processor,
        callbacks=callbacks,
        **(trainer_kwargs or {}),
    )


def weights_of(trainer: JoyfulTrainer) -> dict[str, torch.Tensor]:
    """A copy of the model's weights."""
    return {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}


def assert_same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Equal to the last bit, all of them."""
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


class Interruption(Exception):
    """What ends an interrupted run."""


class InterruptAt(TrainerCallback):
    """Ends the run as a crash does, after a number of steps; a checkpoint of this step is not written any more."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Interruption
