"""Early stopping by the validation score."""

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from ..runs.names import metric_key


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
