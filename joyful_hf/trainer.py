"""`JoyfulTrainer`: a `transformers.Trainer` that knows dialogues."""

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_utils import EvalPrediction

from .metrics import IGNORED_LABEL, compute_metrics
from .processing import DialogueError, EncodedDialogue, JoyfulProcessor
from .training_args import JoyfulTrainingArguments


class EncodedDialogues(Dataset):
    """A data set of dialogues, checked and turned into arrays once, before the first step is made."""

    def __init__(self, dialogues: Iterable[Any], processor: JoyfulProcessor) -> None:
        self.encoded = processor.encode(dialogues)

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> EncodedDialogue:
        return self.encoded[index]


class DialogueCollator:
    """Dialogues, encoded or not, -> one packed graph batch of torch tensors."""

    def __init__(self, processor: JoyfulProcessor) -> None:
        self.processor = processor

    def __call__(self, dialogues: list[Any]) -> dict[str, Tensor]:
        if isinstance(dialogues[0], EncodedDialogue):
            return self.processor.pack(dialogues, return_tensors="pt").data
        return self.processor(dialogues, return_tensors="pt").data


class EarlyStopping(EarlyStoppingCallback):
    """transformers' early stopping, which is not upset by an evaluation on other data, with another prefix."""

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        if f"eval_{args.metric_for_best_model}" in metrics:
            super().on_evaluate(args, state, control, metrics, **kwargs)


class JoyfulTrainer(Trainer):
    """Trains and evaluates every family. Everything else is `transformers.Trainer`, trackers and resume included.

    What it adds: the collator of the processor; each part of the loss in the log (`loss_fusion`, ...); the field's
    metrics; every utterance counted exactly once in evaluation, on any number of processes; the class weights and
    the early stopping that `JoyfulTrainingArguments` ask for.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        args: `JoyfulTrainingArguments` for this field's defaults, or plain `TrainingArguments`.
        data_collator: only to replace the processor's.
        train_dataset, eval_dataset: dialogues: a `datasets.Dataset`, a list of records, or an iterable data set.
        processing_class: the processor; it is saved with every checkpoint.
        compute_metrics: only to replace `joyful_hf.compute_metrics`.
        **kwargs: of `transformers.Trainer`.

    Raises:
        DialogueError: bad dialogues, before the first step.
    """

    def __init__(
        self,
        model: PreTrainedModel | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: JoyfulProcessor | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if data_collator is None:
            if processing_class is None:
                raise ValueError("JoyfulTrainer needs processing_class (the processor) or a data_collator")
            data_collator = DialogueCollator(processing_class)
        args = _with_needed_settings(args or JoyfulTrainingArguments("joyful-output"), model)
        callbacks = list(callbacks or [])
        if getattr(args, "early_stopping_patience", 0) and eval_dataset is not None:
            callbacks.append(EarlyStopping(args.early_stopping_patience))
        self._encode = isinstance(data_collator, DialogueCollator)
        self._processor = processing_class
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=self._encoded(train_dataset),
            eval_dataset=self._encoded(eval_dataset),
            processing_class=processing_class,
            compute_metrics=compute_metrics or self._compute_metrics,
            callbacks=callbacks,
            **kwargs,
        )
        # The model's own loss smooths the labels: transformers' smoother would drop the other loss parts.
        self.label_smoother = None
        if args.label_smoothing_factor:
            self.model.config.label_smoothing = args.label_smoothing_factor
        if getattr(args, "balance_classes", False) and isinstance(self.train_dataset, EncodedDialogues):
            self.model.config.class_weights = balanced_class_weights(
                self.train_dataset.encoded, self.model.config.num_labels
            )
        self._loss_sums: Counter[str] = Counter()
        self._loss_steps = 0

    def _encoded(self, dialogues: Any) -> Any:
        """Dialogues -> encoded dialogues; what streams or is encoded already, and dicts of data sets, pass."""
        if dialogues is None or not self._encode:
            return dialogues
        if isinstance(dialogues, dict):
            return {name: self._encoded(one) for name, one in dialogues.items()}
        if isinstance(dialogues, EncodedDialogues | IterableDataset) or not hasattr(dialogues, "__len__"):
            return dialogues
        return EncodedDialogues(dialogues, self._processor)

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        config = self.accelerator.unwrap_model(self.model).config
        problem_type = config.problem_type or "single_label_classification"
        return compute_metrics(prediction, config.id2label, problem_type)

    def evaluate(self, eval_dataset: Any = None, *args: Any, **kwargs: Any) -> dict[str, float]:
        if eval_dataset is not None and not isinstance(eval_dataset, str):
            eval_dataset = self._encoded(eval_dataset)
        return super().evaluate(eval_dataset, *args, **kwargs)

    def predict(self, test_dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; predictions are padded to (dialogues, longest, num_labels) with -100."""
        return super().predict(self._encoded(test_dataset), *args, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        for name, part in (outputs.losses or {}).items():
            self._loss_sums[name] += part.detach()
        self._loss_steps += 1
        return (loss, outputs) if return_outputs else loss

    def _pop_loss_parts(self) -> dict[str, float]:
        """Mean of each loss part since the last call, over all processes."""
        steps = max(self._loss_steps, 1)
        means = {
            f"loss_{name}": self.accelerator.reduce(total / steps, reduction="mean").item()
            for name, total in sorted(self._loss_sums.items())
        }
        self._loss_sums, self._loss_steps = Counter(), 0
        return means

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            logs |= self._pop_loss_parts()
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        training_sums, self._loss_sums = self._loss_sums, Counter()
        training_steps, self._loss_steps = self._loss_steps, 0
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        parts = self._pop_loss_parts()
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in parts.items()})
        self._loss_sums, self._loss_steps = training_sums, training_steps
        return output

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Pads logits and labels to (dialogues, longest, ...) with -100.

        Accelerate cuts and gathers evaluation results by rows, and a row has to be a dialogue.
        """
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if prediction_loss_only:
            return loss, None, None
        lengths = inputs["dialogue_lengths"].tolist()
        if labels is None:
            labels = self._unknown_labels(logits)
        return loss, pad_dialogues(logits, lengths), pad_dialogues(_mark_unknown(labels), lengths)

    def _unknown_labels(self, logits: Tensor) -> Tensor:
        problem_type = self.accelerator.unwrap_model(self.model).config.problem_type
        if problem_type == "multi_label_classification":
            return torch.full_like(logits, IGNORED_LABEL)
        dtype = torch.float32 if problem_type == "regression" else torch.int64
        return torch.full(logits.shape[:1], IGNORED_LABEL, dtype=dtype, device=logits.device)


def pad_dialogues(rows: Tensor, lengths: list[int]) -> Tensor:
    """(N, ...) packed rows -> (dialogues, longest, ...), -100 where there is no utterance."""
    return nn.utils.rnn.pad_sequence(list(rows.split(lengths)), batch_first=True, padding_value=IGNORED_LABEL)


def balanced_class_weights(dialogues: Iterable[EncodedDialogue], num_labels: int) -> list[float]:
    """Weight of each class: the inverse of its frequency among the labelled utterances, 1 on average.

    Raises:
        DialogueError: labels that are no classes.
    """
    counts = np.zeros(num_labels)
    for dialogue in dialogues:
        labels = dialogue.labels
        if labels is None or labels.dtype != np.int64:
            raise DialogueError("balance_classes needs one class label an utterance")
        known = labels[labels != IGNORED_LABEL]
        counts += np.bincount(known, minlength=num_labels)
    return (counts.sum() / (num_labels * np.maximum(counts, 1))).tolist()


def _mark_unknown(labels: Tensor) -> Tensor:
    """NaN, the mark of an unknown float label, becomes -100: gathering pads with that."""
    return labels.nan_to_num(nan=IGNORED_LABEL) if labels.is_floating_point() else labels


def _with_needed_settings(args: TrainingArguments, model: PreTrainedModel | None) -> TrainingArguments:
    """A copy of the arguments with what dialogues need, whatever the caller's defaults were."""
    args = copy.copy(args)
    args.remove_unused_columns = False  # the processor reads columns that forward does not name
    args.label_names = ["labels"]
    args.accelerator_config.dispatch_batches = False  # streamed batches differ in shape
    if args.device.type == "cpu":
        args.dataloader_pin_memory = False  # there is no device to copy to
    is_regression = getattr(getattr(model, "config", None), "problem_type", None) == "regression"
    if args.load_best_model_at_end and args.metric_for_best_model in (None, "loss"):
        args.metric_for_best_model = "mae" if is_regression else "weighted_f1"
        args.greater_is_better = not is_regression
    return args
