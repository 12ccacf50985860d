"""An exponential moving average of the weights: steadier than those of any single step, above all on small data."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..io.disk import clear_write_errors

STEP_WEIGHTS_FILE = "step_weights.safetensors"
_AVERAGE = "average:"


class AveragedWeights:
    """The average of a model's parameters over the steps of a run; frozen parameters stay as they are.

    average <- d * average + (1 - d) * parameters with d = min(decay, (1 + step) / (10 + step)), so that the first
    steps do not hold on to the initial weights.

    The running statistics of batch normalisation are averaged with the weights that they belong to. To recompute
    them with the averaged weights, by a pass over the training dialogues, gains nothing: on the toy corpus (a small
    released form, 60 training dialogues, 2 seeds, 8 epochs) the validation loss is then lower by 0.01 in the first
    epoch and higher by 0.01 to 0.04 from the third one on; with 200 dialogues it is equal within 0.002.

    The average is kept in float32 at least: a step of 1 - d is lost in the rounding of bfloat16.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {name: _precise(tensor).clone() for name, tensor in _averaged(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step number `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        # Of a model that processes share, statistics are whole on each: one call takes one kind.
        kinds: dict[type, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        for name, tensor in _averaged(model).items():
            averages, current = kinds.setdefault(type(self.average[name]), ([], []))
            averages.append(self.average[name])
            current.append(_precise(tensor))
        for averages, current in kinds.values():
            torch._foreach_lerp_(averages, current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Give the model the average for good."""
        for name, tensor in _averaged(model).items():
            tensor.copy_(self.average[name])

    @contextmanager
    def applied_to(self, model: nn.Module) -> Generator[None, None, None]:
        """Give the model the average inside the block, and its own weights again after it."""
        own = {name: tensor.detach().clone() for name, tensor in _averaged(model).items()}
        self.copy_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in _averaged(model).items():
                    tensor.copy_(own[name])

    def save_step_weights(self, model: nn.Module, checkpoint: Path, writes: bool = True) -> None:
        """Save the weights of the last step beside a checkpoint's averaged ones: a resumed run continues from them.

        Where the checkpoint rounds the average, it is saved too.

        Args:
            writes: False for a process that only sends its share of the weights to the others.
        """
        weights = {name: _whole(tensor) for name, tensor in _averaged(model).items()}
        rounded = {
            f"{_AVERAGE}{name}": _whole(average)
            for name, average in self.average.items()
            if name in weights and average.dtype != weights[name].dtype  # else it does not learn yet
        }
        if writes:
            with clear_write_errors(checkpoint / STEP_WEIGHTS_FILE):
                save_file(weights | rounded, checkpoint / STEP_WEIGHTS_FILE)

    @torch.no_grad()
    def load_step_weights(self, model: nn.Module, checkpoint: Path) -> None:
        """Give the model the weights of the last step, where the checkpoint has them."""
        file = checkpoint / STEP_WEIGHTS_FILE
        if not file.is_file():
            return
        saved = load_file(file)
        for name, tensor in _averaged(model).items():
            if name in saved:
                tensor.copy_(_shared_like(tensor, saved[name]))
            if (average := saved.get(f"{_AVERAGE}{name}")) is not None:
                self.average[name].copy_(_shared_like(self.average[name], average))


def _unite_statistics(model: nn.Module) -> None:
    """Give all processes the mean of their running statistics: FSDP2 leaves each its own; DDP copies the first's."""
    for statistic in _statistics(model).values():
        distributed.all_reduce(statistic)
        statistic /= distributed.get_world_size()


def _averaged(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return what is averaged, by name: the weights that learn, and running statistics.

    Where processes share the weights (FSDP2), they are the shares of this process. After a forward pass a module holds
    whole weights until it is told to give them up, and what is written into those is lost.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return learning | _statistics(model)


def _statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the running statistics of batch normalisation, by name."""
    return {
        f"{module_name}.{name}": buffer
        for module_name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        for name, buffer in module.named_buffers(recurse=False)
        if buffer.is_floating_point()
    }


def _precise(tensor: torch.Tensor) -> torch.Tensor:
    """In float32 at least."""
    tensor = tensor.detach()
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """The whole of a tensor of which each process may hold a share; all processes have to ask."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).contiguous()


def _shared_like(tensor: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """This process's share of a whole tensor, if it holds a share of `tensor`; or else the whole."""
    if not isinstance(tensor, DTensor):
        return whole
    whole = whole.to(tensor.device, tensor.dtype)
    return distribute_tensor(whole, tensor.device_mesh, tensor.placements, src_data_rank=None)


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
            self.averaged.load_step_weights(kwargs["model"], self.resumed_from)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take in the new weights."""
        if isinstance(kwargs["model"], FSDPModule):
            _unite_statistics(kwargs["model"])
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

    def save_step_weights(self, model: nn.Module, checkpoint: Path, writes: bool = True) -> None:
        """Save the weights of the last step beside a checkpoint that holds the average."""
        if self.averaged is not None:
            self.averaged.save_step_weights(model, checkpoint, writes)
