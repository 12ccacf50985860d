"""An exponential moving average of the weights: steadier than those of any single step, above all on small data."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

STEP_WEIGHTS_FILE = "step_weights.safetensors"


class AveragedWeights:
    """The average of a model's parameters over the steps of a run; frozen parameters stay as they are.

    average <- d * average + (1 - d) * parameters with d = min(decay, (1 + step) / (10 + step)), so that the first
    steps do not hold on to the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = [parameter.detach().clone() for parameter in _learning(model)]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step number `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [parameter.detach() for parameter in _learning(model)], 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Give the model the average for good."""
        for parameter, average in zip(_learning(model), self.average, strict=True):
            parameter.copy_(average)

    @contextmanager
    def applied_to(self, model: nn.Module) -> Generator[None, None, None]:
        """Give the model the average inside the block, and its own weights again after it."""
        own = [parameter.detach().clone() for parameter in _learning(model)]
        self.copy_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, weights in zip(_learning(model), own, strict=True):
                    parameter.copy_(weights)


def save_step_weights(model: nn.Module, checkpoint: Path) -> None:
    """Save the weights of the last step beside a checkpoint's averaged ones: a resumed run continues from them."""
    weights = {
        name: parameter.detach().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(weights, checkpoint / STEP_WEIGHTS_FILE)


@torch.no_grad()
def load_step_weights(model: nn.Module, checkpoint: Path) -> None:
    """Give the model the weights of the last step, where the checkpoint has them."""
    file = checkpoint / STEP_WEIGHTS_FILE
    if file.is_file():
        saved = load_file(file)
        for name, parameter in model.named_parameters():
            if name in saved:
                parameter.copy_(saved[name])


def _learning(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


class WeightAveraging(TrainerCallback):
    """Keeps the average during training; the trainer validates and saves with it, and the run ends with it.

    Its decay per step is `weight_averaging_decay` of the arguments when training begins; 0 keeps none.
    """

    def __init__(self) -> None:
        self.resumed_from: Path | None = None
        """The checkpoint that the next training resumes from."""
        self.averaged: AveragedWeights | None = None
        """None outside training."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin with the weights there are: fresh ones, or the average that a checkpoint holds."""
        decay = getattr(args, "weight_averaging_decay", 0)
        self.averaged = AveragedWeights(kwargs["model"], decay) if decay else None
        if self.averaged is None:
            return
        if self.resumed_from is not None:
            load_step_weights(kwargs["model"], self.resumed_from)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take in the new weights."""
        if self.averaged is not None:
            self.averaged.update(kwargs["model"], state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End with the average, unless the best checkpoint, an average too, has been loaded."""
        averaged, self.averaged = self.averaged, None
        if averaged is not None and not (args.load_best_model_at_end and state.best_model_checkpoint):
            averaged.copy_to(kwargs["model"])

    @contextmanager
    def applied_to(self, model: nn.Module) -> Generator[None, None, None]:
        """Give the model the average inside the block; outside training it keeps its weights."""
        if self.averaged is None:
            yield
            return
        with self.averaged.applied_to(model):
            yield

    def save_step_weights(self, model: nn.Module, checkpoint: Path) -> None:
        """Save the weights of the last step beside a checkpoint that holds the average."""
        if self.averaged is not None:
            save_step_weights(model, checkpoint)
