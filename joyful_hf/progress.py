"""What a training run prints: one line each time the model is validated."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class EpochLines(TrainerCallback):
    """Prints the training loss and the validation score after each validation, and marks the best so far."""

    def __init__(self) -> None:
        self.training_loss: float | None = None
        self.best: float | None = None
        self.last_step = -1

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the loss; print when a validation came."""
        del control, kwargs
        logs = logs or {}
        self.training_loss = logs.get("loss", self.training_loss)
        metric = f"eval_{args.metric_for_best_model}"
        if metric not in logs or not state.is_world_process_zero or state.global_step == self.last_step:
            return
        self.last_step = state.global_step
        score = logs[metric]
        sign = 1 if args.greater_is_better else -1
        is_best = self.best is None or sign * score > sign * self.best
        self.best = score if is_best else self.best
        loss = "" if self.training_loss is None else f"training loss {self.training_loss:.4f}   "
        name = str(args.metric_for_best_model).replace("_", " ")
        print(
            f"epoch {logs.get('epoch', 0):4.0f}   {loss}validation {name} {score:.4f}{'   best' if is_best else ''}",
            flush=True,
        )
