"""Early stopping by the validation score."""

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from ..runs.names import metric_key


class EarlyStopping(EarlyStoppingCallback):
    """transformers' early stopping, for runs that are evaluated on other data too, resumed, or trained twice."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count from 0 in a fresh run, and let a resumed one that had stopped already stay stopped."""
        if state.global_step == 0:
            self.early_stopping_patience_counter = 0
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
        if metric_key(args) in metrics:
            super().on_evaluate(args, state, control, metrics, **kwargs)


def patience_of(args: TrainingArguments, callbacks: list[Any]) -> int:
    """Return the patience that the arguments ask for; 0, which is none, if the caller brings early stopping along."""
    for callback in callbacks:
        if issubclass(callback if isinstance(callback, type) else type(callback), EarlyStoppingCallback):
            return 0
    return max(0, getattr(args, "early_stopping_patience", 0))
