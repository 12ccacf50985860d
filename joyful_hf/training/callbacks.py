"""What a training run prints: one line each time the model is validated."""

import logging
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..runs.names import metric_key


class EpochLines(TrainerCallback):
    """Prints the training loss and the validation score after each validation, and marks the best so far."""

    def __init__(self) -> None:
        self.is_training = False
        self.training_loss: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From here on, evaluations are validations."""
        self.is_training, self.training_loss = True, None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """What is evaluated now is the result, which is not one more epoch."""
        self.is_training = False

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
        validated = args.eval_strategy != "no" and logs.get("epoch", 0) >= args.eval_delay
        if score is None and (validated or "loss" not in logs):
            return
        parts = [f"epoch {round(logs.get('epoch', 0), 2):4g}"]
        if self.training_loss is not None:
            parts.append(f"training loss {self.training_loss:.4f}")
        if score is not None:
            name = metric_key(args).removeprefix("eval_").replace("_", " ")
            parts.append(f"validation {name} {score:.4f}")
            # The state's best is that of the validations before this one, also of those before a resume.
            sign = 1 if args.greater_is_better else -1
            if state.best_metric is None or sign * score > sign * state.best_metric:
                parts.append("best")
        print("   ".join(parts), flush=True)


def print_epoch_lines(trainer: Trainer) -> None:
    """Print one line a validation in place of transformers' bars and dictionaries."""
    print_nothing(trainer)
    trainer.add_callback(EpochLines())


def print_nothing(trainer: Trainer) -> None:
    """Print neither bars nor dictionaries."""
    for callback in (PrinterCallback, ProgressCallback, DEFAULT_PROGRESS_CALLBACK):  # the last is a notebook's own
        trainer.remove_callback(callback)
    # Two checkpoints within a second, as small data gives, make transformers doubt the clock of the file system.
    logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)
