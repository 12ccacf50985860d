"""`JoyfulTrainer`: a `transformers.Trainer` that knows dialogues."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Sampler, SequentialSampler
from transformers import PreTrainedModel, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput, EvalPrediction, get_last_checkpoint

from ..data.encoded import DialogueCollator, EncodedDialogues
from ..evaluation.calibration import fit_temperature
from ..evaluation.metrics import compute_metrics, count_confusions
from ..evaluation.task import Task, task_of
from ..processing import EmotionRecognitionProcessor
from ..processing.labels import IGNORED_LABEL
from .arguments import JoyfulTrainingArguments, set_direction, set_main_metric, with_needed_settings
from .class_balance import wanted_class_weights
from .early_stopping import EarlyStopping, patience_of
from .logged_means import LoggedMeans
from .resuming import check_same_arguments
from .sharing import Evaluated, SharingTrainer
from .weight_averaging import WeightAveraging


class JoyfulTrainer(SharingTrainer):
    """A `transformers.Trainer` that trains and evaluates every family, trackers and resuming included.

    It adds the collator of the processor; each part of the loss (`loss_fusion`, ...) and the model's own numbers in
    the log; separate learning rates for the parts of a model that ask for them; the field's metrics, with every
    utterance counted exactly once on any number of processes; the class weights, averaged weights and early stopping
    that `JoyfulTrainingArguments` ask for; calibration; a model card made from the run, and a push without pickles.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        args: `JoyfulTrainingArguments` for this field's defaults, or plain `TrainingArguments`; they are copied.
        data_collator: only to replace the processor's; it then gets the dialogues as they are in the data set.
        train_dataset, eval_dataset: dialogues: a `datasets.Dataset`, a list of records, a torch data set of them, or
            an iterable data set, which is streamed in training (give `max_steps`) and read whole for evaluation.
        processing_class: the processor; it is saved with every checkpoint.
        compute_metrics: only to replace `joyful_hf.compute_metrics`.
        callbacks: as in `transformers.Trainer`; an `EarlyStoppingCallback` among them replaces the package's own.
        **kwargs: as in `transformers.Trainer`.

    Raises:
        DialogueError: bad dialogues, before the first step.
        ValueError: arguments that contradict each other or the data.
    """

    def __init__(
        self,
        model: PreTrainedModel | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: EmotionRecognitionProcessor | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if data_collator is None:
            if processing_class is None:
                raise ValueError("JoyfulTrainer needs `processing_class` (the processor) or a `data_collator`")
            data_collator = DialogueCollator(processing_class)
        if args is None:
            without_validation: dict[str, Any] = {"eval_strategy": "no", "load_best_model_at_end": False}
            args = JoyfulTrainingArguments("joyful-output", **({} if eval_dataset is not None else without_validation))
        args = with_needed_settings(args)
        set_direction(args, eval_dataset if _are_named(eval_dataset) else ())
        callbacks = list(callbacks or [])
        patience = patience_of(args, callbacks)
        if patience and eval_dataset is not None:
            callbacks.append(EarlyStopping(patience))
        self._encoder = data_collator.processor if isinstance(data_collator, DialogueCollator) else None
        train_dataset = self._encoded(train_dataset)
        self._training_data = train_dataset  # a model_init is called before transformers has set `train_dataset`
        self._averaging = WeightAveraging(getattr(args, "weight_averaging_decay", 0))
        self._step_means = LoggedMeans()
        self._evaluated_means = LoggedMeans()
        self._confusions: np.ndarray | None = None
        self.evaluated = {}
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=self._encoded(eval_dataset, whole=True),
            processing_class=processing_class,
            compute_metrics=compute_metrics or self._compute_metrics,
            callbacks=callbacks,
            **kwargs,
        )
        # The model's own loss smooths the labels: transformers' smoother would drop the other loss parts.
        self.label_smoother = None
        self.add_callback(self._averaging)
        if model is not None:
            self._set_up_loss(model)
        set_main_metric(self.args, self._task)

    def call_model_init(self, trial: Any = None) -> Any:
        """As in transformers; the new model gets the loss that the arguments ask for."""
        model = super().call_model_init(trial)
        self._set_up_loss(model)
        return model

    def _set_up_loss(self, model: Any) -> None:
        """Put label smoothing and class weights into the config, where the model and its checkpoints find them."""
        if self.args.label_smoothing_factor:
            model.config.label_smoothing = self.args.label_smoothing_factor
        data = self._training_data
        examples = data.encoded if isinstance(data, EncodedDialogues) else None
        weights = wanted_class_weights(model.config, getattr(self.args, "class_balance", 0), examples)
        if weights is not None:
            model.config.class_weights = weights
        model.config.validate()

    @property
    def _task(self) -> Task:
        return task_of(self._config)

    def _encoded(self, dialogues: Any, whole: bool = False) -> Any:
        """Encode dialogues, also each data set of a dict; encoded ones and names pass.

        Args:
            whole: read streams too, as evaluation has to: at a stream's end, several processes would count some
                dialogues twice.
        """
        if self._encoder is None or dialogues is None or isinstance(dialogues, EncodedDialogues | str):
            return dialogues
        if _are_named(dialogues):
            return {name: self._encoded(dataset, whole) for name, dataset in dialogues.items()}
        if isinstance(dialogues, IterableDataset | datasets.IterableDataset) and not whole:
            return dialogues
        return EncodedDialogues(dialogues, self._encoder)

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        config = self._config
        return compute_metrics(prediction, config.id2label, self._task.problem_type, config.calibration_temperature)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """As in transformers, with `<prefix>_loss_<part>` beside `<prefix>_loss`.

        With another prefix than `eval` it may be called during training, where it does not count as a validation.
        """
        should_validate = self.control.should_evaluate
        encoded = self._encoded(eval_dataset, whole=True)
        with self._averaging.applied_to(self.model):
            metrics = super().evaluate(encoded, ignore_keys, metric_key_prefix)
        if not self.is_in_train:
            evaluated = self.eval_dataset if encoded is None else encoded
            self.evaluated[metric_key_prefix] = Evaluated(
                data=self.summary_of(evaluated), metrics=dict(metrics), confusions=self._confusions
            )
        if not metric_key_prefix.startswith("eval"):
            self.control.should_evaluate = should_validate
        return metrics

    def predict(self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test") -> Any:
        """As in transformers; predictions are padded to (dialogues, longest, num_labels) with -100."""
        return super().predict(self._encoded(test_dataset, whole=True), ignore_keys, metric_key_prefix)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers."""
        found = get_last_checkpoint(self.args.output_dir) if resume_from_checkpoint is True else resume_from_checkpoint
        if found:
            check_same_arguments(Path(found), self.args)
        self._averaging.resumed_from = Path(found) if found else None
        self._config.calibration_temperature = 1.0  # the one there was fitted to other weights
        outcome = super().train(resume_from_checkpoint, *args, **kwargs)
        self.evaluated = {}
        return outcome

    def calibrate(self, eval_dataset: Any = None) -> float:
        """Fit the temperature that turns logits into probabilities, and keep it in the model's config.

        Afterwards `model.predict` and the pipeline give calibrated scores; labels stay the same. Evaluations made
        before do not get into the model card: their calibration error belongs to other scores.

        Args:
            eval_dataset: dialogues that the model was not trained on; the trainer's `eval_dataset` by default.

        Returns:
            The temperature, `config.calibration_temperature`; 1 for regression, which has no probabilities.

        Raises:
            ValueError: no dialogues to calibrate on.
            DialogueError: not one known label.
        """
        if not self._task.has_classes:
            return self._config.calibration_temperature
        eval_dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if eval_dataset is None or isinstance(eval_dataset, dict):
            raise ValueError("calibrate needs dialogues: give `eval_dataset` here or to the trainer")
        output = self.predict(eval_dataset, metric_key_prefix="eval")
        temperature = fit_temperature(output.predictions, output.label_ids, self._task)
        self._config.calibration_temperature = temperature
        self.evaluated = {}
        return temperature

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in transformers; during training with the averaged weights, and a checkpoint keeps the others apart."""
        with self._averaging.applied_to(self.model):
            super().save_model(output_dir, _internal_call)
        if output_dir is not None and _internal_call and self.args.should_save:
            self._averaging.save_step_weights(self.model, Path(output_dir))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        """As in transformers, whose `group_by_length` looks for the length in each item's first key."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy == "group_by_length" and isinstance(dataset, EncodedDialogues):
            batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return LengthGroupedSampler(batch_size, lengths=[len(dialogue) for dialogue in dataset.encoded])
        return super()._get_train_sampler(train_dataset)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler | None:
        """Keep the order of the data, whatever `train_sampling_strategy` says: predictions come out in it."""
        if isinstance(eval_dataset, EncodedDialogues) and self.args.world_size <= 1:
            return SequentialSampler(eval_dataset)
        return super()._get_eval_sampler(eval_dataset)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """As in transformers; no batches once training is over.

        transformers checks for that after a step only: a run resumed from its very last checkpoint would make one
        more.
        """
        is_over = self.control.should_training_stop or self.state.global_step >= self.state.max_steps
        return super().get_batch_samples(epoch_iterator, 0 if is_over else num_batches, device)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As in transformers; parts of the model that name their own learning rate get it."""
        if self.optimizer is not None:
            return self.optimizer
        optimizer = super().create_optimizer(model)
        for part, rate in self.accelerator.unwrap_model(self.model).learning_rates():
            of_part = {id(parameter) for parameter in part.parameters()}
            for group in list(optimizer.param_groups):
                own = [parameter for parameter in group["params"] if id(parameter) in of_part]
                if own:
                    group["params"] = [parameter for parameter in group["params"] if id(parameter) not in of_part]
                    optimizer.add_param_group({**group, "params": own, "lr": rate})
        return optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """As in transformers; keeps the loss parts and the model's metrics for the log."""
        loss, outputs = super().compute_loss(model, self._with_labels(inputs), True, num_items_in_batch)
        values = {f"loss_{name}": part.detach() for name, part in (outputs.losses or {}).items()}
        values |= outputs.metrics or {}
        if model.training:
            self._step_means.add(values)
        elif values:
            # Counted as transformers counts the loss: once for each dialogue of the batch.
            rows = torch.stack(list(values.values())).repeat(self.args.eval_batch_size, 1)
            rows = self.gather_function(rows)
            self._evaluated_means.add(dict(zip(values, rows.sum(0), strict=True)), len(rows))
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in transformers, with `loss_<part>` and the model's metrics: means over the steps since the last log."""
        if "loss" in logs:
            means = self._step_means.means()
            logs.update({name: self.accelerator.reduce(mean, reduction="mean").item() for name, mean in means.items()})
            self._step_means = LoggedMeans()
        super().log(logs, start_time)

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As in transformers, with the loss parts and the model's metrics.

        If there is not one label, the losses that need labels are left out.
        """
        self._evaluated_means = LoggedMeans()
        self._confusions = None
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        metrics = output.metrics if output.metrics is not None else {}
        means = self._evaluated_means.means()
        metrics.update({f"{metric_key_prefix}_{name}": mean.item() for name, mean in means.items()})
        predictions, label_ids = output.predictions, output.label_ids
        task = self._task
        is_counted = task.has_classes and not task.several_labels and not self.is_in_train
        if is_counted and isinstance(predictions, np.ndarray) and label_ids is not None:
            rows, labels = task.labelled_rows(predictions, cast("np.ndarray", label_ids))
            if len(labels):
                self._confusions = count_confusions(rows, labels)
        if isinstance(output.label_ids, np.ndarray) and np.all(output.label_ids == IGNORED_LABEL):
            for name in ("loss", "loss_classification"):
                metrics.pop(f"{metric_key_prefix}_{name}", None)
        return output

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Pad packed logits and labels to (dialogues, longest, ...) with -100.

        Accelerate cuts and gathers evaluation results by rows, and a row has to be an example of the data set: a
        dialogue, or an utterance for a family that sees one at a time, whose rows are left as they are.
        """
        inputs = self._with_labels(inputs)
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if logits is None or labels is None:
            return loss, None, None
        labels = _mark_unknown(labels)
        if (packed := inputs.get("dialogue_lengths")) is not None:
            lengths = packed.tolist()
            logits, labels = pad_dialogues(logits, lengths), pad_dialogues(labels, lengths)
        return loss, logits, labels

    def _with_labels(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Give a batch without any label unknown ones: it has a loss too, and each process reports the same parts."""
        if "labels" in inputs:
            return inputs
        first = next(iter(inputs.values()))
        count = int(inputs["dialogue_lengths"].sum()) if "dialogue_lengths" in inputs else first.size(0)
        task = self._task
        shape = task.label_shape(count, len(self._config.id2label or ()))
        return {**inputs, "labels": torch.full(shape, task.unknown_label, device=first.device)}


def _are_named(dataset: Any) -> bool:
    """Whether this is a dict of data sets, and no dialogue."""
    return isinstance(dataset, dict) and "utterances" not in dataset


def pad_dialogues(rows: Tensor, lengths: list[int]) -> Tensor:
    """Turn (N, ...) packed rows into (dialogues, longest, ...), with -100 where there is no utterance."""
    return nn.utils.rnn.pad_sequence(list(rows.split(lengths)), batch_first=True, padding_value=IGNORED_LABEL)


def _mark_unknown(labels: Tensor) -> Tensor:
    """Replace NaN, the mark of an unknown float label, by -100: gathering pads with that."""
    return labels.nan_to_num(nan=IGNORED_LABEL) if labels.is_floating_point() else labels
