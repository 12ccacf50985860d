"""A trainer that shares its run: the summary, the model card, the confusion matrix, and pushes to the Hub."""

import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import MethodType
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer, TrainerState, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import HubStrategy
from transformers.utils.hub import PushInProgress

from ..data.encoded import EncodedDialogues
from ..evaluation.task import task_of
from ..families import FAMILIES, family_of
from ..hub.push import push_folder
from ..io.disk import clear_write_errors
from ..io.files import write_json
from ..io.hub_errors import clear_hub_errors
from ..model_card.card import write_model_card
from ..modeling.modeling_base import TEMPERATURE
from ..processing.devices import device_name
from ..runs.names import CONFIG_FILES, CONFUSION_MATRIX, TRAINING_ARGUMENTS, metric_key
from ..runs.summary import ChosenBy, ConfusionMatrix, DataSummary, EncoderTuning, RunSummary, without_timing
from ..version import __version__
from .arguments import FINE_TUNING, FOR_ENCODERS, LORA
from .resuming import saved_arguments

logger = logging.getLogger(__name__)

# Prefix of an evaluation -> the name of its results in the summary; any other prefix is kept.
_SPLIT_OF_PREFIX = {"eval": "validation", "test": "test"}
# PEFT's modules that are trained whole, and what they were before.
_WHOLE = {"modules_to_save", "original_module"}
# The training arguments that shape the result.
_ARGUMENTS = (
    "learning_rate",
    "weight_decay",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_steps",
    "optim",
    "lr_scheduler_type",
    "warmup_steps",
    "max_grad_norm",
    "label_smoothing_factor",
    "class_balance",
    "weight_averaging_decay",
    "validation_start",
    "early_stopping_patience",
    "train_sampling_strategy",
    *FINE_TUNING,
    *FOR_ENCODERS,
    "bf16",
    "fp16",
    "gradient_checkpointing",
)
_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "torch-geometric",
    "scikit-learn",
    "numpy",
)


@dataclass
class Evaluated:
    """The results of an evaluation."""

    data: DataSummary | None
    metrics: dict[str, float]
    """Their names with the prefix of the evaluation."""
    confusions: np.ndarray | None
    """(num_labels, num_labels), rows true; only for single labels."""

    def scores(self, prefix: str) -> dict[str, float]:
        """The metrics without the prefix, and without what transformers says of the time they took."""
        return {name.removeprefix(f"{prefix}_"): value for name, value in without_timing(self.metrics).items()}


class PortableState(TrainerState):
    """A state whose file says which checkpoint is the best one by its name: the folder of the run can be moved."""

    def save_to_json(self, json_path: str) -> None:
        """As in transformers, which writes where on this machine the best checkpoint lies."""
        best = self.best_model_checkpoint
        self.best_model_checkpoint = None if best is None else Path(best).name
        try:
            super().save_to_json(json_path)
        finally:
            self.best_model_checkpoint = best


class SharingTrainer(Trainer):
    """A `transformers.Trainer` that writes a model card of its run, and saves and pushes nothing pickled.

    A subclass fills `evaluated` with the evaluations of the weights that the model has now.
    """

    model: Any
    preset: str | None = None
    """The published form that the model has, for its card."""
    encoder_tuning: EncoderTuning | None
    """The fine-tuning of encoders that the last training ended with, if there was one."""
    evaluated: dict[str, Evaluated]
    """Prefix -> the last evaluation."""

    @property
    def state(self) -> TrainerState:
        """The state of the training, in whose file no folder of this machine stands."""
        return self._state

    @state.setter
    def state(self, state: TrainerState) -> None:
        state.__class__ = PortableState  # transformers makes it here and there, also of a file
        best = state.best_model_checkpoint
        if best is not None and (found := Path(str(self.args.output_dir)) / Path(best).name).is_dir():
            state.best_model_checkpoint = str(found)
        self._state = state

    @property
    def _config(self) -> Any:
        return self.accelerator.unwrap_model(self.model).config

    def summary_of(self, dialogues: Any) -> DataSummary | None:
        """Return what a model card says of these dialogues; None of a stream and of no dialogues."""
        return dialogues.summarize(self._config) if isinstance(dialogues, EncodedDialogues) else None

    def run_summary(self) -> RunSummary:
        """Summarize this run; validates first if the weights there are have not been validated yet."""
        if self.eval_dataset is not None and "eval" not in self.evaluated:
            self.evaluate()
        return self._known_summary()

    def _known_summary(self) -> RunSummary:
        """The summary with the evaluations of these weights that there are."""
        model = self.accelerator.unwrap_model(self.model)
        validation, test = (self.evaluated.get(prefix) for prefix in ("eval", "test"))
        runtimes = [entry["train_runtime"] for entry in self.state.log_history if "train_runtime" in entry]
        return RunSummary(
            family=family_of(model.config.model_type, "the trainer's model").name,
            preset=self.preset,
            seed=self.args.seed,
            train=self.summary_of(self.train_dataset),
            validation=None if validation is None else validation.data,
            test=None if test is None else test.data,
            chosen_by=None if self._is_passed_over() else _chosen_by(self.args, self.state),
            results={
                _SPLIT_OF_PREFIX.get(prefix, prefix): found.scores(prefix) for prefix, found in self.evaluated.items()
            },
            left_out=_left_out(self.evaluated, model.config),
            confusion_matrix=_confusion_matrix(self.evaluated, model.config.id2label),
            encoder_tuning=self.encoder_tuning,
            training_arguments=_shaping_arguments(self.args),
            versions={"joyful-hf": __version__}
            | {name: version(name) for name in _PACKAGES}
            | {"python": platform.python_version()},
            device=device_name(self.args.device),
            train_runtime=runtimes[0] if runtimes else None,
            num_parameters=model.num_parameters(),
        )

    def _is_passed_over(self) -> bool:
        """Whether these are weights of a training that goes on, and others have a better score so far."""
        return self.is_in_train and self.state.best_global_step != self.state.global_step

    def create_model_card(  # ty: ignore[incompatible-method-override]
        self, model_name: str | None = None, dataset: str | None = None
    ) -> None:
        """Write the model card, its `run_summary.json`, and the confusion matrix into the output folder.

        Model and processor are saved there too, if there are none yet: a card describes what lies beside it. Call it
        on every process.

        Args:
            model_name: the repository's id.
            dataset: what the card calls the data; by default what they were read from.
        """
        folder = Path(str(self.args.output_dir))
        is_saved = (folder / CONFIG_FILES[0]).exists()
        self.accelerator.wait_for_everyone()  # all have looked before the first one saves
        if not is_saved:
            self.save_model(_internal_call=True)
        summary = self.run_summary()
        if self.is_world_process_zero():
            summary.save(folder)
            _draw_confusion_matrix(summary.confusion_matrix, folder)
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

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As in transformers; the training arguments are saved as JSON, without the folders of this machine.

        What is known of the run lies beside the weights, for the card that a later push writes.
        """
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle, which nobody should have to load
            write_json(saved_arguments(self.args), folder / TRAINING_ARGUMENTS)
            if self._config.model_type in {family.model_type for family in FAMILIES.values()}:
                self._known_summary().save(folder)


def keep_with_adapter(model: Any) -> None:
    """Let the `save_pretrained` of a model with an adapter (PEFT) save more than the adapter; others stay as they are.

    The temperature of the calibration and the statistics of batch normalisation go among the adapter's weights, from
    where `PeftModel.from_pretrained` gives them to the model below.
    """
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        model.save_pretrained = MethodType(_save_adapter, model)


def _save_adapter(model: Any, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
    """As `PeftModel.save_pretrained`, with what training has counted and calibrated beside the adapter."""
    type(model).save_pretrained(model, save_directory, *args, **kwargs)
    if not kwargs.get("is_main_process", True):
        return
    for adapter in kwargs.get("selected_adapters") or model.peft_config:
        folder = Path(save_directory) if adapter == "default" else Path(save_directory) / adapter
        file = folder / "adapter_model.safetensors"
        save_file(load_file(file) | _beside_adapter(model), file, {"format": "pt"})


def _beside_adapter(model: Any) -> dict[str, Tensor]:
    """Name among the weights of a model with an adapter -> what is neither the adapter's nor was trained."""
    base = model.get_base_model()
    kept = {}
    for prefix, module in model.named_modules():
        if module is base:
            kept[f"{prefix}.{TEMPERATURE}"] = torch.tensor(base.config.calibration_temperature, dtype=torch.float64)
        # A module that is trained whole is among the weights already.
        elif isinstance(module, nn.BatchNorm1d) and not _WHOLE & set(prefix.split(".")):
            kept |= {f"{prefix}.{name}": buffer.detach().clone() for name, buffer in module.named_buffers()}
    return kept


def _left_out(evaluated: Mapping[str, Evaluated], config: Any) -> dict[str, dict[str, str]]:
    """Split -> metric -> why the labels of the split do not have it."""
    task = task_of(config)
    found = {
        _SPLIT_OF_PREFIX.get(prefix, prefix): {} if of.data is None else task.left_out(of.data.label_ranges)
        for prefix, of in evaluated.items()
    }
    return {split: reasons for split, reasons in found.items() if reasons}


def _confusion_matrix(evaluated: Mapping[str, Evaluated], id2label: Mapping[int, str]) -> ConfusionMatrix | None:
    """On test, or without it on validation."""
    prefix = "test" if "test" in evaluated else "eval"
    confusions = evaluated[prefix].confusions if prefix in evaluated else None
    if confusions is None:
        return None
    names = [id2label[index] for index in range(len(confusions))]
    return ConfusionMatrix(_SPLIT_OF_PREFIX[prefix], names, confusions.tolist())


def _chosen_by(args: TrainingArguments, state: TrainerState) -> ChosenBy | None:
    if not args.load_best_model_at_end or state.best_metric is None:
        return None
    key = metric_key(args)
    epochs = [entry["epoch"] for entry in state.log_history if entry.get(key) == state.best_metric]
    return ChosenBy(
        metric=key.removeprefix("eval_"),
        value=state.best_metric,
        epoch=epochs[0],
        greater_is_better=bool(args.greater_is_better),
    )


def _shaping_arguments(args: TrainingArguments) -> dict[str, Any]:
    given = args.to_dict()
    if given.get("fine_tune_encoder") is None:
        given = {name: value for name, value in given.items() if name not in FINE_TUNING}
    elif given["fine_tune_encoder"] != LORA:
        given = {name: value for name, value in given.items() if not name.startswith(f"{LORA}_")}
    return {name: given[name] for name in _ARGUMENTS if name in given} | {"num_processes": args.world_size}


def _draw_confusion_matrix(confusions: ConfusionMatrix | None, folder: Path) -> None:
    """Draw it as PNG and SVG, where there is one and matplotlib is installed."""
    if confusions is None or find_spec("matplotlib") is None:
        return
    from ..pictures import plot_confusion_matrix
    from ..pictures.style import save_figure

    counts = np.array(confusions.counts)
    with clear_write_errors(folder):
        save_figure(plot_confusion_matrix(counts, confusions.labels), folder / CONFUSION_MATRIX)
