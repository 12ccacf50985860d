"""`JoyfulTrainer`: a `transformers.Trainer` that knows dialogues."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Sampler, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput, EvalPrediction, HubStrategy, get_last_checkpoint
from transformers.utils.hub import PushInProgress

from ..data.encoded import DialogueCollator, EncodedDialogues
from ..evaluation.calibration import fit_temperature
from ..evaluation.known_rows import labelled_rows
from ..evaluation.metrics import compute_metrics, count_confusions
from ..hub.push import push_folder
from ..io.files import write_json
from ..io.hub_errors import clear_hub_errors
from ..model_card.card import write_model_card
from ..processing import EmotionRecognitionProcessor
from ..processing.labels import (
    IGNORED_LABEL,
    MULTI_LABEL,
    REGRESSION,
    SINGLE_LABEL,
)
from ..runs.names import TRAINING_ARGUMENTS, metric_key
from ..runs.summary import (
    DataSummary,
    Evaluated,
    RunSummary,
    summarize_run,
)
from .arguments import JoyfulTrainingArguments, with_needed_settings
from .callbacks import EarlyStopping, patience_of
from .class_balance import DEFAULT_CLASS_BALANCE, balanced_class_weights
from .sharing import draw_confusion_matrix
from .weight_averaging import AveragedWeights, WeightAveraging, save_step_weights

logger = logging.getLogger(__name__)


class LoggedMeans:
    """The mean of each part of the loss, as `loss_<part>`, and of each metric of the model."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor], count: int = 1) -> None:
        """Sums over `count` steps or dialogues."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value
        self.count += count

    def means(self) -> dict[str, Tensor]:
        """Name -> () mean."""
        return {name: total / self.count for name, total in sorted(self.sums.items())}


class JoyfulTrainer(Trainer):
    """Trains and evaluates every family. Everything else is `transformers.Trainer`, trackers and resume included.

    What it adds: the collator of the processor; each part of the loss in the log (`loss_fusion`, ...), and the numbers
    that a model has us watch; learning rates of their own for the parts of a model that ask for them; the field's
    metrics; every utterance counted exactly once in evaluation, on any number of processes; the class weights,
    the averaged weights and the early stopping that `JoyfulTrainingArguments` ask for; calibration; a model card that
    is made from the run, and a push without pickles.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        args: `JoyfulTrainingArguments` for this field's defaults, or plain `TrainingArguments`; they are copied.
        data_collator: only to replace the processor's; it then gets the dialogues as they are in the data set.
        train_dataset, eval_dataset: dialogues: a `datasets.Dataset`, a list of records, a torch data set of them, or
            an iterable data set, which is streamed in training (give `max_steps`) and read whole for evaluation.
        processing_class: the processor; it is saved with every checkpoint.
        compute_metrics: only to replace `joyful_hf.compute_metrics`.
        callbacks: as in `transformers.Trainer`; an `EarlyStoppingCallback` of yours replaces ours.
        **kwargs: of `transformers.Trainer`.

    Raises:
        DialogueError: bad dialogues, before the first step.
    """

    model: Any
    preset: str | None = None
    """The published form that the model has, for its card."""

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
                raise ValueError("JoyfulTrainer needs processing_class (the processor) or a data_collator")
            data_collator = DialogueCollator(processing_class)
        if args is None:
            without_validation: dict[str, Any] = {"eval_strategy": "no", "load_best_model_at_end": False}
            args = JoyfulTrainingArguments("joyful-output", **({} if eval_dataset is not None else without_validation))
        args = with_needed_settings(args)
        callbacks = list(callbacks or [])
        patience = patience_of(args, callbacks)
        if patience and eval_dataset is not None:
            callbacks.append(EarlyStopping(patience))
        self._encoder = data_collator.processor if isinstance(data_collator, DialogueCollator) else None
        train_dataset = self._encoded(train_dataset)
        self._training_data = train_dataset  # a model_init is called before transformers has set `train_dataset`
        self._averaged: AveragedWeights | None = None
        self._resumed_from: str | None = None
        self._step_means = LoggedMeans()
        self._evaluated_means = LoggedMeans()
        self._confusions: np.ndarray | None = None
        self.evaluated: dict[str, Evaluated] = {}
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
        if decay := getattr(args, "weight_averaging_decay", 0):
            self.add_callback(WeightAveraging(self, decay))
        if model is not None:
            self._set_up_loss(model)
        if self._problem_type == REGRESSION and metric_key(args) == "eval_weighted_f1":
            self.args.metric_for_best_model, self.args.greater_is_better = "mae", False

    def call_model_init(self, trial: Any = None) -> Any:
        """As in transformers; the new model gets the loss that the arguments ask for."""
        model = super().call_model_init(trial)
        self._set_up_loss(model)
        return model

    def _set_up_loss(self, model: Any) -> None:
        """Label smoothing and class weights go into the config, where the model and its checkpoints find them."""
        if self.args.label_smoothing_factor:
            model.config.label_smoothing = self.args.label_smoothing_factor
        power = getattr(self.args, "class_balance", 0)
        encoded = self._training_data.encoded if isinstance(self._training_data, EncodedDialogues) else None
        single_label = (model.config.problem_type or SINGLE_LABEL) == SINGLE_LABEL
        if power and (encoded is None or not single_label):
            raise ValueError(
                "class_balance counts the labels of all training dialogues beforehand: it needs single-label data, "
                "a train_dataset that does not stream, and the processor's own collator; or set the config's "
                "class_weights yourself"
            )
        if power is None and encoded and single_label and model.config.class_weights is None:
            power = DEFAULT_CLASS_BALANCE
        if power and encoded is not None:
            model.config.class_weights = balanced_class_weights(encoded, model.config.num_labels, power)
        model.config.validate()

    @property
    def _config(self) -> Any:
        return self.accelerator.unwrap_model(self.model).config

    @property
    def _problem_type(self) -> str:
        return self._config.problem_type or SINGLE_LABEL

    def _encoded(self, dialogues: Any, whole: bool = False) -> Any:
        """Dialogues -> encoded dialogues, also each in a dict of data sets; what is encoded already passes.

        Args:
            whole: read streams too, as evaluation has to: at a stream's end, several processes would count some
                dialogues twice.
        """
        if self._encoder is None or dialogues is None or isinstance(dialogues, EncodedDialogues | str):
            return dialogues
        if isinstance(dialogues, dict) and "utterances" not in dialogues:
            return {name: self._encoded(one, whole) for name, one in dialogues.items()}
        if isinstance(dialogues, IterableDataset | datasets.IterableDataset) and not whole:
            return dialogues
        return EncodedDialogues(dialogues, self._encoder)

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        temperature = self._config.calibration_temperature
        return compute_metrics(prediction, self._config.id2label, self._problem_type, temperature)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """As in transformers, with `<prefix>_loss_<part>` beside `<prefix>_loss`.

        With another prefix than `eval` it may be called during training, and does not stand in for a validation.
        """
        should_validate = self.control.should_evaluate
        encoded = self._encoded(eval_dataset, whole=True)
        with self._averaged_model():
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
        self._resumed_from = found or None
        self._config.calibration_temperature = 1.0  # that of other weights
        outcome = super().train(resume_from_checkpoint, *args, **kwargs)
        self.evaluated = {}
        return outcome

    def calibrate(self, eval_dataset: Any = None) -> float:
        """Fit the temperature that makes probabilities of logits, and keep it in the model's config.

        Afterwards `model.predict` and the pipeline give calibrated scores; labels stay what they are. Evaluations
        before it do not get into the model card: their calibration error is that of other scores.

        Args:
            eval_dataset: dialogues that the model was not trained on; the trainer's `eval_dataset` by default.

        Returns:
            The temperature, `config.calibration_temperature`; 1 for regression, which has no probabilities.

        Raises:
            ValueError: no dialogues to calibrate on.
            DialogueError: not one known label.
        """
        if self._problem_type == REGRESSION:
            return self._config.calibration_temperature
        eval_dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if eval_dataset is None or isinstance(eval_dataset, dict):
            raise ValueError("calibrate needs an eval_dataset of dialogues: the trainer's own, or one that is given")
        output = self.predict(eval_dataset, metric_key_prefix="eval")
        temperature = fit_temperature(output.predictions, output.label_ids, self._problem_type)
        self._config.calibration_temperature = temperature
        self.evaluated = {}
        return temperature

    def run_summary(self) -> RunSummary:
        """What there is to say of this run; validates first if the weights there are have not been validated yet."""
        if self.eval_dataset is not None and "eval" not in self.evaluated:
            self.evaluate()
        return summarize_run(self)

    def create_model_card(  # ty: ignore[incompatible-method-override]
        self, model_name: str | None = None, dataset: str | None = None
    ) -> None:
        """Write the model card, `run_summary.json` that it is made of, and the confusion matrix, beside the weights.

        Args:
            model_name: the repository's id.
            dataset: what the card calls the data; by default what they were read from.
        """
        summary = self.run_summary()
        if self.is_world_process_zero():
            folder = Path(str(self.args.output_dir))
            summary.save(folder)
            draw_confusion_matrix(summary.confusion_matrix, folder)
            write_model_card(folder, model_name, dataset)

    def push_to_hub(  # ty: ignore[incompatible-method-override]
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        with_code: bool = False,
        dataset: str | None = None,
    ) -> Any:
        """Save model, processor, results and model card, and push them in one commit. Call it on every process.

        The repository is `args.hub_model_id`, or one with the name of the output folder.

        Args:
            commit_message, token, revision, private: as in transformers; by default what the arguments say.
            blocking: False pushes in the background.
            with_code: also push the code, for `trust_remote_code=True` without this package.
            dataset: what the card calls the data.

        Returns:
            The `CommitInfo`, or a `Future` of it if not blocking; None on every process but the first.

        Raises:
            DialogueError: what the Hub refuses.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        self.save_model(_internal_call=True)
        self.save_state()
        folder = str(self.args.output_dir)
        repo_id = self.hub_model_id or self.args.hub_model_id or Path(folder).absolute().name
        self.create_model_card(repo_id, dataset)
        if not self.is_world_process_zero():
            return None
        self._finish_current_push()
        return push_folder(
            folder,
            repo_id,
            private=self.args.hub_private_repo if private is None else private,
            token=token or self.args.hub_token,
            revision=revision or self.args.hub_revision,
            commit_message=commit_message or "End of training",
            with_code=with_code,
            dataset_name=dataset,
            run_as_future=not blocking,
        )

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """As in transformers; what the Hub refuses is a `DialogueError`."""
        with clear_hub_errors(str(self.args.hub_model_id or Path(str(self.args.output_dir)).name)):
            super().init_hf_repo(token, private)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """As in transformers, in the background; the weights that it pushes are the checkpoint's."""
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        if not self.args.hub_always_push and self.push_in_progress and not self.push_in_progress.is_done():
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        push = push_folder(
            checkpoint_folder,
            str(self.hub_model_id),
            token=self.args.hub_token,
            revision=self.args.hub_revision,
            commit_message=f"Training in progress, step {self.state.global_step}",
            run_as_future=True,
        )
        self.push_in_progress = PushInProgress(cast("Any", [push]))  # as transformers does, whatever its types say

    def _finish_current_push(self) -> None:
        """As in transformers, which would not say that a push in the background failed."""
        super()._finish_current_push()
        push = getattr(self, "push_in_progress", None)
        for job in push.jobs if push is not None else ():
            if job.exception() is not None:
                logger.warning("a push in the background failed: %s", job.exception())

    def summary_of(self, dialogues: Any) -> DataSummary | None:
        """What a model card says of these dialogues; None of a stream and of no dialogues."""
        return dialogues.summarize(self._config.id2label) if isinstance(dialogues, EncodedDialogues) else None

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in transformers; during training with averaged weights, which a checkpoint keeps apart from its own."""
        with self._averaged_model():
            super().save_model(output_dir, _internal_call)
        if self._averaged is not None and output_dir is not None and _internal_call and self.args.should_save:
            save_step_weights(self.model, Path(output_dir))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As in transformers; the training arguments go as JSON, without the folders of this machine."""
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle, which nobody should have to load
            arguments = self.args.to_dict() | {"output_dir": Path(str(self.args.output_dir)).name}
            write_json(arguments, folder / TRAINING_ARGUMENTS)

    def _averaged_model(self) -> AbstractContextManager[None]:
        return nullcontext() if self._averaged is None else self._averaged.applied_to(self.model)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        """As in transformers, whose `group_by_length` looks for the length in each item's first key."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy == "group_by_length" and isinstance(dataset, EncodedDialogues):
            batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return LengthGroupedSampler(batch_size, lengths=[len(dialogue) for dialogue in dataset.encoded])
        return super()._get_train_sampler(train_dataset)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler | None:
        """In the order of the data, whatever `train_sampling_strategy` says: predictions come out in it."""
        if isinstance(eval_dataset, EncodedDialogues) and self.args.world_size <= 1:
            return SequentialSampler(eval_dataset)
        return super()._get_eval_sampler(eval_dataset)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """As in transformers; none once training is over.

        transformers looks for that after a step only: a run resumed from its very last checkpoint would make one more.
        """
        is_over = self.control.should_training_stop or self.state.global_step >= self.state.max_steps
        return super().get_batch_samples(epoch_iterator, 0 if is_over else num_batches, device)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As in transformers; parts of the model that name a learning rate of their own get it."""
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

        Without the losses that need labels if there is not one.
        """
        self._evaluated_means = LoggedMeans()
        self._confusions = None
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        metrics = output.metrics if output.metrics is not None else {}
        means = self._evaluated_means.means()
        metrics.update({f"{metric_key_prefix}_{name}": mean.item() for name, mean in means.items()})
        predictions, label_ids = output.predictions, output.label_ids
        is_counted = self._problem_type == SINGLE_LABEL and not self.is_in_train
        if is_counted and isinstance(predictions, np.ndarray) and label_ids is not None:
            rows, labels = labelled_rows(predictions, cast("np.ndarray", label_ids))
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
        """Pads packed logits and labels to (dialogues, longest, ...) with -100.

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
        """A batch without any label gets unknown ones: it has a loss too, and each process reports the same parts."""
        if "labels" in inputs:
            return inputs
        first = next(iter(inputs.values()))
        shape = [int(inputs["dialogue_lengths"].sum()) if "dialogue_lengths" in inputs else first.size(0)]
        if self._problem_type == MULTI_LABEL:
            shape.append(len(self._config.id2label or ()))
        if self._problem_type == SINGLE_LABEL:
            unknown = torch.full(shape, IGNORED_LABEL, device=first.device)
        else:
            unknown = torch.full(shape, torch.nan, device=first.device)
        return {**inputs, "labels": unknown}


def pad_dialogues(rows: Tensor, lengths: list[int]) -> Tensor:
    """(N, ...) packed rows -> (dialogues, longest, ...), -100 where there is no utterance."""
    return nn.utils.rnn.pad_sequence(list(rows.split(lengths)), batch_first=True, padding_value=IGNORED_LABEL)


def _mark_unknown(labels: Tensor) -> Tensor:
    """NaN, the mark of an unknown float label, becomes -100: gathering pads with that."""
    return labels.nan_to_num(nan=IGNORED_LABEL) if labels.is_floating_point() else labels
