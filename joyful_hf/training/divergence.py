"""Numbers that are not finite: a run stops at the first loss that is none, and says whose it is."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer
from transformers.trainer_utils import EvalLoopOutput, get_last_checkpoint

from ..data.encoded import EncodedDialogues
from ..data.process_batches import Filler
from ..io.messages import counted
from ..processing import DialogueError, EncodedExample

_NAMES = "names"
"""Key of a training batch: the names of its dialogues, which are taken off before a model gets it."""
_NAMED_DIALOGUES = 5
_MOST_UNCHECKED = 1000


class DivergedError(DialogueError):
    """A loss, a gradient or an output of the model that is NaN or infinite."""


class FiniteTrainer(Trainer):
    """A `transformers.Trainer` that stops at a loss or gradient that is NaN or infinite, before anything is saved.

    transformers would leave it out of the log, and go on with weights that are all NaN. On a CPU every step is looked
    at; on other devices, which should not wait for that, all steps since the last look before one logs, validates or
    saves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._names_of_step: list[list[str]] = []
        self._unchecked: list[tuple[int, list[str], Tensor]] = []
        super().__init__(*args, **kwargs)

    def _get_dataloader(
        self,
        dataset: Any,
        description: str,
        batch_size: int,
        sampler_fn: Callable[[Any], Any] | None = None,
        is_training: bool = False,
        dataloader_key: str | None = None,
    ) -> DataLoader:
        """As in transformers; training batches bring the names of their dialogues."""
        collator = self.data_collator
        if is_training and self.is_in_train:  # whoever else asks for batches gives them to a model
            self.data_collator = partial(_collate_named, collator)
        try:
            return super()._get_dataloader(dataset, description, batch_size, sampler_fn, is_training, dataloader_key)
        finally:
            self.data_collator = collator

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """As in transformers; takes the names off."""
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._names_of_step = [batch.pop(_NAMES, []) for batch in batches]
        return batches, count

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """As in transformers; keeps the loss until it is looked at."""
        loss = super().training_step(*args, **kwargs)
        names = self._names_of_step.pop(0) if self._names_of_step else []
        self._unchecked.append((self.state.global_step + 1, names, loss.detach()))
        return loss

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any) -> None:
        """As in transformers, unless the run has diverged."""
        control = self.control
        is_due = control.should_log or control.should_evaluate or control.should_save or control.should_training_stop
        if is_due or self.args.device.type == "cpu" or len(self._unchecked) >= _MOST_UNCHECKED:
            self._check_finite(grad_norm)
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)

    def _check_finite(self, grad_norm: Tensor | float | None) -> None:
        """Raise a DivergedError if a loss since the last look, or the last gradient, is not finite."""
        if not self._unchecked:
            return
        unchecked, self._unchecked = self._unchecked, []
        losses = torch.stack([loss for _, _, loss in unchecked]).tolist()
        faults = [
            (step, names, loss)
            for (step, names, _), loss in zip(unchecked, losses, strict=True)
            if not math.isfinite(loss)
        ]
        norm = grad_norm.item() if isinstance(grad_norm, Tensor) else grad_norm
        # A gradient scaled for float16 may overflow: its step is left out, and the scale lowered.
        norm_is_finite = norm is None or self.accelerator.scaler is not None or math.isfinite(norm)
        if norm_is_finite and not faults:
            return
        if not norm_is_finite and self.accelerator.num_processes > 1:  # all have the same gradient, and come here
            faults = sorted(gather_object(faults), key=lambda fault: fault[0])
        if faults:
            step, _, loss = faults[0]
            what = f"the loss of step {step} is {loss:g}"
            names = [name for of_step, of_batch, _ in faults if of_step == step for name in of_batch]
        else:
            step = unchecked[-1][0]
            what = f"the gradient of step {step} is not finite"
            names = [name for of_step, of_batch, _ in unchecked if of_step == step for name in of_batch]
        raise DivergedError(
            f"{what}{_listed(names)}; {self._last_checkpoint()}; lower `learning_rate`, or look at the features of "
            "these dialogues"
        )

    def _last_checkpoint(self) -> str:
        folder = str(self.args.output_dir)
        checkpoint = get_last_checkpoint(folder) if Path(folder).is_dir() else None
        return "there is no checkpoint yet" if checkpoint is None else f"the last good checkpoint is {checkpoint}"

    def evaluation_loop(self, dataloader: DataLoader, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """As in transformers; an output that is not finite has no metrics.

        Raises:
            DivergedError: the model's output for a dialogue is not finite.
        """
        compute = self.compute_metrics
        data = None if self.args.batch_eval_metrics else getattr(dataloader, "dataset", None)
        if compute is not None:
            self.compute_metrics = partial(_compute_of_finite, compute, data)
        try:
            output = super().evaluation_loop(dataloader, *args, **kwargs)
        finally:
            self.compute_metrics = compute
        _check_output(output.predictions, data)
        return output


def _collate_named(collate: Callable[[list[Any]], Any], examples: list[Any]) -> Any:
    batch = collate(examples)
    return {**batch, _NAMES: [_name_of(example) for example in examples]} if isinstance(batch, Mapping) else batch


def _name_of(example: Any) -> str:
    if isinstance(example, Filler):
        return _name_of(example.example)
    if isinstance(example, EncodedExample):
        return example.name
    return f"dialogue {example.get('dialogue_id')!r}" if isinstance(example, Mapping) else ""


def _compute_of_finite(compute: Callable[..., Any], data: Any, prediction: EvalPrediction, **kwargs: Any) -> Any:
    _check_output(prediction.predictions, data)
    return compute(prediction, **kwargs)


def _check_output(predictions: Any, data: Any) -> None:
    """Raise a DivergedError if a row of logits, padded or not, has a number that is not finite."""
    if isinstance(predictions, list):  # one array per batch
        for rows in predictions:
            _check_output(rows, None)
    if isinstance(predictions, Tensor):
        predictions = predictions.float().cpu().numpy()
    if not isinstance(predictions, np.ndarray) or np.isfinite(predictions).all():
        return
    data = getattr(data, "dataset", data)  # of the part of a process
    rows = np.flatnonzero(~np.isfinite(predictions.reshape(len(predictions), -1)).all(1)).tolist()
    names = [data[row].name for row in rows if row < len(data)] if isinstance(data, EncodedDialogues) else []
    raise DivergedError(
        f"the model's output is not finite{_listed(names)}; its weights have diverged, or the features of these "
        "dialogues are far beyond any that it was trained on"
    )


def _listed(names: list[str]) -> str:
    """The names of dialogues as part of a sentence."""
    known = list(dict.fromkeys(name for name in names if name))
    if not known:
        return ""
    more = f" and {counted(len(known) - _NAMED_DIALOGUES, 'other')}" if len(known) > _NAMED_DIALOGUES else ""
    return f" ({', '.join(known[:_NAMED_DIALOGUES])}{more})"
