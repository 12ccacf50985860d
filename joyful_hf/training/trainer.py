"""`JoyfulTrainer`: a `transformers.Trainer` that knows dialogues."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedModel, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput, EvalPrediction

from ..data.encoded import DialogueCollator, EncodedDialogues
from ..evaluation.calibration import fit_temperature
from ..evaluation.metrics import compute_metrics, count_confusions
from ..evaluation.selective import selective_metrics
from ..evaluation.task import Task, task_of
from ..io.messages import counted
from ..modeling.modeling_base import parameters_without_weight_decay
from ..modeling.tracing import let_scans_compile
from ..processing import DialogueError, EmotionRecognitionProcessor
from ..processing.labels import IGNORED_LABEL
from .arguments import JoyfulTrainingArguments, set_batch_size, set_direction, set_main_metric, with_needed_settings
from .callbacks import EarlyStopping, GradualUnfreezing, can_stop_early, make_trackers
from .divergence import FiniteTrainer
from .encoder_tuning import EncoderTuningTrainer
from .loss_settings import give_own_config, set_up_loss
from .saving import SavingTrainer
from .search import SearchingTrainer
from .sharing import Evaluated, SharingTrainer, keep_with_adapter
from .steps import ExactStepsTrainer
from .weight_averaging import WeightAveraging


class JoyfulTrainer(
    EncoderTuningTrainer, SearchingTrainer, FiniteTrainer, ExactStepsTrainer, SavingTrainer, SharingTrainer
):
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
        DialogueError: bad dialogues, or a tracker that does not start, before the first step.
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
        if args.torch_compile:
            let_scans_compile()
        set_direction(args, eval_dataset if _are_named(eval_dataset) else ())
        callbacks = list(callbacks or [])
        if eval_dataset is not None and can_stop_early(args, callbacks):
            callbacks.append(EarlyStopping())
        self._encoder = data_collator.processor if isinstance(data_collator, DialogueCollator) else None
        train_dataset = self._encoded(train_dataset)
        set_batch_size(args, train_dataset.encoded if isinstance(train_dataset, EncodedDialogues) else ())
        self._training_data = train_dataset  # a model_init is called before transformers has set `train_dataset`
        self._averaging = WeightAveraging()
        self._confusions: np.ndarray | None = None
        self._evaluated_rows: list[tuple[np.ndarray, np.ndarray]] = []
        self.evaluated = {}
        self._validations: dict[int | None, Evaluated] = {}  # by step of the training that goes on
        if model is not None:
            give_own_config(model)
            keep_with_adapter(model)
        trackers, args.report_to, report_to = make_trackers(args), [], args.report_to
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=self._encoded(eval_dataset, whole=True),
            processing_class=processing_class,
            compute_metrics=compute_metrics or self._compute_metrics,
            callbacks=[*trackers, *callbacks],
            **kwargs,
        )
        self.args.report_to = report_to
        if (self.args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true") and not self.is_fsdp_enabled:
            raise ValueError(
                "`fsdp`: accelerate shares weights between accelerators alone, and this run is on "
                f"{self.args.device.type}; leave `fsdp` out"
            )
        # The model's own loss smooths the labels: transformers' smoother would drop the other loss parts.
        self.label_smoother = None
        self.add_callback(self._averaging)
        self.add_callback(GradualUnfreezing())
        if model is not None:
            self._set_up_loss(model)
        set_main_metric(self.args, self._task)
        self._check_training_data()
        self._check_fine_tuning()

    def call_model_init(self, trial: Any = None) -> Any:
        """As in transformers; the new model gets the loss that the arguments ask for."""
        model = super().call_model_init(trial)
        give_own_config(model)
        keep_with_adapter(model)
        self._set_up_loss(model)
        return model

    def _set_up_loss(self, model: Any) -> None:
        """Put class weights and label smoothing of this run into the model's own config."""
        data = self._training_data
        examples = data.encoded if isinstance(data, EncodedDialogues) else None
        set_up_loss(model.config, self.args, examples, trains=data is not None)
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

    def _compute_metrics(self, prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Compute the metrics of an evaluation; with `batch_eval_metrics`, of its batches at the last one."""
        task, config = self._task, self._config
        # Evaluations give arrays, a list of them per batch, or the tensors of one batch.
        given = (prediction.predictions, prediction.label_ids)
        batches = [list(batch) for batch in zip(*given, strict=True)] if isinstance(given[0], list) else [list(given)]
        for batch in batches:
            rows, labels = (part.float().cpu() if isinstance(part, Tensor) else part for part in batch)
            self._evaluated_rows.append(task.labelled_rows(rows, labels))
        if not compute_result:
            return {}
        evaluated, self._evaluated_rows = self._evaluated_rows, []
        rows, labels = (np.concatenate(parts) for parts in zip(*evaluated, strict=True))
        known = EvalPrediction(predictions=rows, label_ids=labels)
        metrics = compute_metrics(known, config.id2label, task.problem_type, config.calibration_temperature)
        if metrics and task.has_classes:
            metrics |= selective_metrics(task.scores(rows, config.calibration_temperature), labels)
        return metrics

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """As in transformers, with `<prefix>_loss_<part>` beside `<prefix>_loss`.

        With another prefix than `eval` it may be called during training, where it does not count as a validation.
        """
        should_validate = self.control.should_evaluate
        self._evaluated_rows = []  # of an evaluation that was interrupted
        encoded = self._encoded(eval_dataset, whole=True)
        with self._averaging.applied_to(self.model):
            metrics = super().evaluate(encoded, ignore_keys, metric_key_prefix)
        evaluated = Evaluated(
            data=self.summary_of(self.eval_dataset if encoded is None else encoded),
            metrics=dict(metrics),
            confusions=self._confusions,
        )
        self.evaluated[metric_key_prefix] = evaluated
        if self.is_in_train and metric_key_prefix == "eval":
            self._validations[self.state.global_step] = evaluated
        if not metric_key_prefix.startswith("eval"):
            self.control.should_evaluate = should_validate
        return metrics

    def predict(self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test") -> Any:
        """As in transformers; predictions are padded to (dialogues, longest, num_labels) with -100.
        During training they are those of the averaged weights, as in `evaluate`.
        """
        encoded = self._encoded(test_dataset, whole=True)
        with self._averaging.applied_to(self.model):
            return super().predict(encoded, ignore_keys, metric_key_prefix)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; a run goes on from a checkpoint that is whole, with the arguments and data it had.

        With `resume_from_checkpoint=True` it is the newest one that is whole. Where the arguments have
        `fine_tune_encoder`, training has two stages.

        Raises:
            DialogueError: no such checkpoint, or other arguments or data.
            DivergedError: a loss, or the output for a validation dialogue, is not a finite number; nothing was saved
                since.
        """
        self._check_training_data()
        self.encoder_tuning = None
        found = self.find_checkpoint(resume_from_checkpoint)
        if found:
            self.check_same_run(Path(found), self.arguments_of(found))
        return (self._train_in_stages if self._fine_tunes else self._train_once)(found, *args, **kwargs)

    def _train_once(self, resume_from_checkpoint: str | None, *args: Any, **kwargs: Any) -> Any:
        self._averaging.resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        if self.model is not None:  # between two trials of a search there is none
            self._config.calibration_temperature = 1.0  # the one there was fitted to other weights
        self._validations = {}
        with self._computed_once():
            outcome = super().train(resume_from_checkpoint, *args, **kwargs)
        has_best = self.args.load_best_model_at_end and self.state.best_model_checkpoint
        validated = self._validations.get(self.state.best_global_step if has_best else self.state.global_step)
        self.evaluated = {} if validated is None else {"eval": validated}
        return outcome

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """As in transformers; what was evaluated before it are other weights."""
        self.evaluated = {}
        return super().training_step(*args, **kwargs)

    def _check_training_data(self) -> None:
        """Refuse arguments with which not one step would be made, or that would do nothing."""
        data, size = self._training_data, self.args.train_batch_size * self.args.world_size
        if self.args.dataloader_drop_last and isinstance(data, EncodedDialogues) and len(data) < size:
            raise DialogueError(
                f"`dataloader_drop_last` leaves nothing: {counted(len(data), 'row')} of training data give no full "
                f"batch of {size}; leave it out, or lower `per_device_train_batch_size`"
            )
        learns_text = self._fine_tunes or self.model is None or getattr(self._config, "unfreeze_text_encoder", False)
        if self.args.neftune_noise_alpha is not None and not learns_text:
            raise ValueError(
                "`neftune_noise_alpha` adds noise to the token embeddings of a text encoder that learns; the model "
                "has none"
            )

    def calibrate(self, eval_dataset: Any = None) -> float:
        """Fit the temperature that turns logits into probabilities, and keep it in the model's config.

        Afterwards `model.predict` and the pipeline give calibrated scores; labels stay the same. Evaluations made
        before do not get into the model card: their calibration error belongs to other scores. On the trainer's
        `eval_dataset` this is a validation too.

        Args:
            eval_dataset: dialogues that the model was not trained on; the trainer's `eval_dataset` by default.

        Returns:
            The temperature, `config.calibration_temperature`; 1 for regression, which has no probabilities.

        Raises:
            ValueError: no dialogues to calibrate on, or `prediction_loss_only`, which keeps no logits.
            DialogueError: not one known label.
        """
        if not self._task.has_classes:
            return self._config.calibration_temperature
        eval_dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if eval_dataset is None or isinstance(eval_dataset, dict):
            raise ValueError("calibrate needs dialogues: give `eval_dataset` here or to the trainer")
        if self.args.prediction_loss_only:
            raise ValueError("calibrate needs the logits of the model, which `prediction_loss_only` does not keep")
        output = self.predict(eval_dataset, metric_key_prefix="eval")
        temperature = fit_temperature(output.predictions, output.label_ids, self._task)
        self._config.calibration_temperature = temperature
        self.evaluated = {}
        if eval_dataset is self.eval_dataset and self.compute_metrics is not None:
            scores = self.compute_metrics(EvalPrediction(output.predictions, output.label_ids))
            metrics = {**output.metrics, **{f"eval_{name}": score for name, score in scores.items()}}
            self.evaluated["eval"] = Evaluated(self.summary_of(eval_dataset), metrics, self._confusions)
        return temperature

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in transformers, with what is known of the run beside it; during training with the averaged weights.

        A checkpoint keeps the weights of the step apart.
        """
        with self._averaging.applied_to(self.model):
            super().save_model(output_dir, _internal_call)
        if output_dir is not None and _internal_call:
            self._averaging.save_step_weights(self.model, Path(output_dir), self.args.should_save)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """As in transformers, which with FSDP saves the weights here too, and loads a checkpoint from these."""
        with self._averaging.applied_to(self.model):
            super()._save_optimizer_and_scheduler(output_dir)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """As in transformers, less the scales, temperatures and vectors that the model's layers leave out of it."""
        undecayed = parameters_without_weight_decay(model)
        return [name for name in super().get_decay_parameter_names(model) if name not in undecayed]

    def _get_dataloader(self, *args: Any, is_training: bool = False, **kwargs: Any) -> DataLoader:
        """As in transformers, which drops the last examples of an evaluation too."""
        drops_last = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = drops_last and is_training
        try:
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.args.dataloader_drop_last = drops_last

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As in `ExactStepsTrainer`; counts the confusions too."""
        self._confusions = None
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        predictions, label_ids = output.predictions, output.label_ids
        task = self._task
        is_counted = task.has_classes and not task.several_labels
        if is_counted and isinstance(predictions, np.ndarray) and label_ids is not None:
            rows, labels = task.labelled_rows(predictions, cast("np.ndarray", label_ids))
            if len(labels):
                self._confusions = count_confusions(rows, labels)
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
        inputs = self.with_labels(inputs)
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if logits is None or labels is None:
            return loss, None, None
        labels = _mark_unknown(labels)
        if (packed := inputs.get("dialogue_lengths")) is not None:
            lengths = packed.tolist()
            logits, labels = pad_dialogues(logits, lengths), pad_dialogues(labels, lengths)
        return loss, logits, labels


def _are_named(dataset: Any) -> bool:
    """Whether this is a dict of data sets, and no dialogue."""
    return isinstance(dataset, dict) and "utterances" not in dataset


def pad_dialogues(rows: Tensor, lengths: list[int]) -> Tensor:
    """Turn (N, ...) packed rows into (dialogues, longest, ...), with -100 where there is no utterance."""
    return nn.utils.rnn.pad_sequence(list(rows.split(lengths)), batch_first=True, padding_value=IGNORED_LABEL)


def _mark_unknown(labels: Tensor) -> Tensor:
    """Replace NaN, the mark of an unknown float label, by -100: gathering pads with that."""
    return labels.nan_to_num(nan=IGNORED_LABEL) if labels.is_floating_point() else labels
