"""Callbacks that print what a training run does, stop it early, track it, and unfreeze encoders layer by layer."""

import logging
import math
import sys
import time
from collections.abc import Callable, Sized
from functools import partial
from typing import Any

from torch import nn
from tqdm import tqdm
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers import trainer as transformers_trainer
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..io.messages import counted
from ..modeling.encoder_depth import learning_encoders, parameters_by_depth
from ..processing import DialogueError
from ..runs.names import metric_key

# Where a tracker starts: `setup` is called when training begins, or else with the first numbers that it gets.
_STARTS = ("setup", "on_init_end", "on_train_begin")

# The first steps are slower than the others, and a few are enough to tell how long they take.
_FIRST_TIMED_STEP, _LAST_TIMED_STEP = 2, 12
# Nobody needs to be told that a run takes less.
_SECONDS_WORTH_TELLING = 60


class EpochLines(TrainerCallback):
    """Print how long training may take, a line after each validation, and why training ended.

    On a terminal it also shows bars with the time left.
    """

    def __init__(self) -> None:
        self._steps_made = 0
        self._timed_from = 0.0
        self.is_training = False
        self.training_loss: float | None = None
        self._training_bar: tqdm | None = None
        self._evaluation_bar: tqdm | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From here on, evaluations are validations."""
        self.is_training, self.training_loss = True, None
        self._steps_made = 0
        if not state.is_world_process_zero:
            return
        self._training_bar = _bar("training", "step", state.max_steps, state.global_step)
        if args.eval_strategy != "no" and state.global_step == 0 and args.eval_delay > 1:
            unit = "epoch" if args.eval_strategy == "epoch" else "step"
            first = f"{unit} {math.ceil(args.eval_delay)}"
            _print_line(f"no validation before {first}: an early score is more often lucky than good")

    def say(self, line: str) -> None:
        """Print a line of the trainer's own."""
        _print_line(line)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar on, and after a few steps say how long all of them may take."""
        if self._training_bar is None:
            return
        self._training_bar.update(state.global_step - self._training_bar.n)
        self._steps_made += 1
        if self._steps_made == _FIRST_TIMED_STEP:
            self._timed_from = time.monotonic()
        elif self._steps_made == _LAST_TIMED_STEP:
            a_step = (time.monotonic() - self._timed_from) / (_LAST_TIMED_STEP - _FIRST_TIMED_STEP)
            left = a_step * (state.max_steps - state.global_step)
            if left >= _SECONDS_WORTH_TELLING:
                steps = counted(state.max_steps, "step")
                _print_line(f"{steps}, about {counted(round(left / 60), 'minute')} without validations")

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar of an evaluation on, which begins with its first batch and goes with its last."""
        batches = kwargs.get("eval_dataloader")
        if not state.is_world_process_zero or not isinstance(batches, Sized):
            return
        bar = self._evaluation_bar = self._evaluation_bar or _bar("evaluation", "batch", len(batches))
        bar.update()
        if bar.n >= len(batches):
            bar.close()
            self._evaluation_bar = None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say why training ended. What is evaluated from here on is the result, which is not one more epoch."""
        self.is_training = False
        if self._training_bar is not None:
            self._training_bar.close()
            self._training_bar = None
        if not state.is_world_process_zero:
            return
        parts = []
        if state.global_step < state.max_steps and control.should_training_stop:
            patience = counted(getattr(args, "early_stopping_patience", 0), "validation")
            parts.append(f"stopped early: no better score in {patience}")
        if state.best_global_step and state.epoch and state.best_metric is not None:
            best_epoch = state.epoch * state.best_global_step / state.global_step
            parts.append(f"best epoch: {round(best_epoch, 2):g} ({_metric_name(args)} {state.best_metric:.4f})")
        if parts:
            _print_line("; ".join(parts))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the loss; print when a validation came, or at once where there is none."""
        if logs is None or not self.is_training or not state.is_world_process_zero:
            return
        self.training_loss = logs.get("loss", self.training_loss)
        score = logs.get(metric_key(args))
        epoch = logs.get("epoch", 0)
        validated = args.eval_strategy != "no" and args.eval_delay <= (
            epoch if args.eval_strategy == "epoch" else state.global_step
        )
        if score is None and (validated or "loss" not in logs):
            return
        total = f"{round(epoch * state.max_steps / max(state.global_step, 1), 2):g}"
        parts = [f"epoch {round(epoch, 2):{len(total)}g}/{total}"]
        if self.training_loss is not None:
            parts.append(f"training loss {self.training_loss:.4f}")
        if score is not None:
            parts.append(f"validation {_metric_name(args)} {score:.4f}")
            # The state's best is that of the validations before this one, also of those before a resume.
            sign = 1 if args.greater_is_better else -1
            if state.best_metric is None or sign * score > sign * state.best_metric:
                parts.append("best")
        _print_line("   ".join(parts))


def _metric_name(args: TrainingArguments) -> str:
    return metric_key(args).removeprefix("eval_").replace("_", " ")


def _bar(name: str, unit: str, total: int, initial: int = 0) -> tqdm:
    """Return a bar on standard error that shows nothing where that is not a terminal."""
    return tqdm(desc=name, unit=unit, total=total, initial=initial, leave=False, dynamic_ncols=True, disable=None)


def _print_line(line: str) -> None:
    tqdm.write(line, file=sys.stdout)  # takes the bars off the terminal before it prints
    sys.stdout.flush()


def print_epoch_lines(trainer: Trainer) -> None:
    """Print one line per validation in place of transformers' dictionaries, and show bars on a terminal."""
    print_nothing(trainer)
    trainer.add_callback(EpochLines())


def print_nothing(trainer: Trainer) -> None:
    """Print neither bars nor dictionaries."""
    for callback in (PrinterCallback, ProgressCallback, DEFAULT_PROGRESS_CALLBACK):  # the last is a notebook's own
        trainer.remove_callback(callback)
    # Two checkpoints within a second, as small data gives, make transformers doubt the clock of the file system.
    logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)


def make_trackers(args: TrainingArguments) -> list[TrainerCallback]:
    """Make the callbacks of the trackers in `report_to`.

    Raises:
        DialogueError: a tracker is unknown, not installed or, when it is first used, does not start.
    """
    try:
        kinds = transformers_trainer.get_reporting_integration_callbacks(args.report_to)
    except ValueError as error:
        raise DialogueError(f"`report_to`: {error}") from None
    return [_guarded(_made(kind)) for kind in kinds]


def _made(kind: type[TrainerCallback]) -> TrainerCallback:
    tracker: Any = kind.__new__(kind)
    try:
        _start(tracker.__init__, kind, "install it or set it up")
    except DialogueError:
        tracker.__class__ = TrainerCallback  # some have a `__del__`, which would miss what was not set up, and say so
        raise
    return tracker


def _guarded(tracker: TrainerCallback) -> TrainerCallback:
    for name in _STARTS:
        if (start := getattr(tracker, name, None)) is not None:
            setattr(tracker, name, partial(_start, start, type(tracker), "log in to it"))
    return tracker


def _start(start: Callable[..., Any], kind: type, remedy: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return start(*args, **kwargs)
    except DialogueError:
        raise
    except Exception as error:  # each tracker has errors of its own
        name = kind.__name__.removesuffix("Callback").lower()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DialogueError(f"`report_to`: {name} does not start ({reason}); {remedy}, or leave it out") from error


class EarlyStopping(EarlyStoppingCallback):
    """transformers' early stopping, for runs that are evaluated on other data too, resumed, or trained twice.

    The patience is that of the arguments when training begins; 0 never stops.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count from 0 in a fresh run, and let a resumed one that had stopped already stay stopped."""
        self.early_stopping_patience = max(0, getattr(args, "early_stopping_patience", 0))
        if state.global_step == 0:
            self.early_stopping_patience_counter = 0
        if self.early_stopping_patience:
            control.should_training_stop = self.early_stopping_patience_counter >= self.early_stopping_patience

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        """Count a validation; an evaluation with another prefix than `eval` does not count."""
        if self.early_stopping_patience and metric_key(args) in metrics:
            super().on_evaluate(args, state, control, metrics, **kwargs)


def can_stop_early(args: TrainingArguments, callbacks: list[Any]) -> bool:
    """Whether the arguments have a patience, and the caller brings no early stopping along."""
    kinds = [callback if isinstance(callback, type) else type(callback) for callback in callbacks]
    return hasattr(args, "early_stopping_patience") and not any(
        issubclass(kind, EarlyStoppingCallback) for kind in kinds
    )


class StartFrom(TrainerCallback):
    """Lets a training begin with a score that its checkpoints have to exceed.

    Args:
        score: None in a training that is resumed, whose state knows it.
    """

    def __init__(self, score: float | None) -> None:
        self.score = score

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set it as the best one so far."""
        if self.score is not None:
            state.best_metric = self.score


class GradualUnfreezing(TrainerCallback):
    """Lets the last layers of each encoder learn at first, and as many more in each epoch (Howard and Ruder, 2018)."""

    def __init__(self) -> None:
        self.layers: list[list[list[nn.Parameter]]] = []
        """The parameters that learn of each encoder, by depth."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note what is to learn in the end."""
        self.layers = []
        if getattr(args, "unfreeze_layers_per_epoch", 0):
            self.layers = [
                [[parameter for parameter in depth if parameter.requires_grad] for depth in parameters_by_depth(part)]
                for part in (encoder.encoder for encoder in learning_encoders(kwargs["model"]))
            ]

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let one more group of layers learn; what lies below the first one comes with it."""
        epoch = int(round(state.epoch or 0, 6))
        for depths in self.layers:
            learning = getattr(args, "unfreeze_layers_per_epoch", 0) * (epoch + 1)
            for depth, parameters in enumerate(depths):
                for parameter in parameters:
                    parameter.requires_grad = learning >= len(depths) - max(depth, 1)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave everything as training found it."""
        for depths in self.layers:
            for parameters in depths:
                for parameter in parameters:
                    parameter.requires_grad = True
        self.layers = []
