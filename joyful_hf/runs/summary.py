"""`run_summary.json`: what the reader of a model card wants to know of the run that made the checkpoint."""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerState, TrainingArguments

from ..families import family_of
from ..io.files import write_json
from ..processing import MODALITIES, EncodedExample
from ..processing.labels import known_labels
from .names import RUN_SUMMARY, metric_key

if TYPE_CHECKING:
    from ..training.trainer import JoyfulTrainer

# What the results of an evaluation are called in the summary; the others keep their prefix.
SPLIT_OF_PREFIX = {"eval": "validation", "test": "test"}

# Of the training arguments, those that shape the result.
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
    "bf16",
    "fp16",
    "gradient_checkpointing",
)
_PACKAGES = (
    "joyful-hf",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "torch-geometric",
    "scikit-learn",
    "numpy",
)


@dataclass
class DataSummary:
    """A split, as the run saw it."""

    source: str | None
    """The file or Hub id, without the folders of the machine it lay on."""
    num_dialogues: int
    num_utterances: int
    max_speakers: int
    """Most speakers in one dialogue."""
    label_counts: dict[str, int]
    """Utterances of each class; empty for regression."""
    modality_counts: dict[str, int]
    """Utterances that have each modality, where any has it."""


@dataclass
class ChosenBy:
    """What chose the checkpoint among those of the run."""

    metric: str
    """On validation."""
    value: float
    epoch: float
    greater_is_better: bool


@dataclass
class ConfusionMatrix:
    """Of single labels: rows are true, columns predicted."""

    split: str
    labels: list[str]
    counts: list[list[int]]


@dataclass
class RunSummary:
    """Of one run with one seed."""

    family: str
    preset: str | None
    seed: int
    train: DataSummary | None
    """None where it was streamed."""
    validation: DataSummary | None
    test: DataSummary | None
    chosen_by: ChosenBy | None
    """None where nothing chose: the last weights."""
    results: dict[str, dict[str, float]]
    """Split -> metric -> value, of the weights that were saved."""
    confusion_matrix: ConfusionMatrix | None
    """On test, or without it on validation."""
    training_arguments: dict[str, Any]
    versions: dict[str, str]
    device: str
    train_runtime: float | None
    """Seconds."""
    num_parameters: int

    def save(self, folder: str | Path) -> Path:
        """Write `run_summary.json` into a checkpoint folder."""
        file = Path(folder) / RUN_SUMMARY
        write_json(asdict(self), file)
        return file


@dataclass
class Evaluated:
    """What an evaluation found."""

    data: DataSummary | None
    metrics: dict[str, float]
    """Their names with the prefix of the evaluation."""
    confusions: np.ndarray | None
    """(num_labels, num_labels), rows true; of single labels."""

    def scores(self, prefix: str) -> dict[str, float]:
        """The metrics without the prefix, and without what transformers says of the time they took."""
        return {name.removeprefix(f"{prefix}_"): one for name, one in without_timing(self.metrics).items()}


def summarize_run(trainer: "JoyfulTrainer") -> RunSummary:
    """What a trainer's run was, with the results of the evaluations of the weights there are."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    validation, test = (trainer.evaluated.get(prefix) for prefix in ("eval", "test"))
    return RunSummary(
        family=family_of(model.config.model_type, "the trainer's model").name,
        preset=trainer.preset,
        seed=trainer.args.seed,
        train=trainer.summary_of(trainer.train_dataset),
        validation=None if validation is None else validation.data,
        test=None if test is None else test.data,
        chosen_by=_chosen_by(trainer.args, trainer.state),
        results={SPLIT_OF_PREFIX.get(prefix, prefix): one.scores(prefix) for prefix, one in trainer.evaluated.items()},
        confusion_matrix=_confusion_matrix(trainer.evaluated, model.config.id2label),
        training_arguments=_shaping_arguments(trainer.args),
        versions={name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        device=_device_name(trainer.args.device),
        train_runtime=next(
            (one["train_runtime"] for one in trainer.state.log_history if "train_runtime" in one), None
        ),
        num_parameters=model.num_parameters(),
    )


def _confusion_matrix(evaluated: Mapping[str, Evaluated], id2label: Mapping[int, str]) -> ConfusionMatrix | None:
    """On test, or without it on validation."""
    prefix = "test" if "test" in evaluated else "eval"
    confusions = evaluated[prefix].confusions if prefix in evaluated else None
    if confusions is None:
        return None
    names = [id2label[index] for index in range(len(confusions))]
    return ConfusionMatrix(SPLIT_OF_PREFIX[prefix], names, confusions.tolist())


def _chosen_by(args: TrainingArguments, state: TrainerState) -> ChosenBy | None:
    if not args.load_best_model_at_end or state.best_metric is None:
        return None
    key = metric_key(args)
    epochs = [one["epoch"] for one in state.log_history if one.get(key) == state.best_metric]
    return ChosenBy(
        metric=key.removeprefix("eval_"),
        value=state.best_metric,
        epoch=epochs[0],
        greater_is_better=bool(args.greater_is_better),
    )


def _shaping_arguments(args: TrainingArguments) -> dict[str, Any]:
    given = args.to_dict()
    return {name: given[name] for name in _ARGUMENTS if name in given} | {"num_processes": args.world_size}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def summarize_data(
    examples: Iterable[EncodedExample],
    num_dialogues: int,
    max_speakers: int,
    id2label: Mapping[int, str],
    source: str | None = None,
) -> DataSummary:
    """Count labels and modalities of encoded dialogues.

    Args:
        source: file or Hub id.
    """
    labels: Counter[str] = Counter()
    present = np.zeros(len(MODALITIES), int)
    num_utterances = 0
    for example in examples:
        num_utterances += len(example)
        present += example.present.sum(axis=0)
        labels.update(_class_names(example.labels, id2label))
    return DataSummary(
        source=None if source is None else _public_name(source),
        num_dialogues=num_dialogues,
        num_utterances=num_utterances,
        max_speakers=max_speakers,
        label_counts={name: labels[name] for name in id2label.values() if name in labels},
        modality_counts={name: int(count) for name, count in zip(MODALITIES, present, strict=True) if count},
    )


def _public_name(source: str) -> str:
    """A file with its folder, and not where on this machine that lies; a Hub id is one already."""
    return "/".join(Path(source).absolute().parts[-2:]) if Path(source).exists() else source


def _class_names(labels: np.ndarray | None, id2label: Mapping[int, str]) -> list[str]:
    """The classes of an example's utterances; several of an utterance each count, and values have none."""
    if labels is None:
        return []
    known = labels[known_labels(labels)]
    if known.dtype == np.int64:
        return [id2label[index] for index in known.tolist()]
    if known.ndim == 2:
        return [id2label[int(column)] for column in known.nonzero()[1]]
    return []


# What transformers adds to the scores of an evaluation; the result files have it too.
_TIMING = ("_runtime", "_per_second", "_samples", "_model_preparation_time")


def without_timing(metrics: Mapping[str, float]) -> dict[str, float]:
    """The scores of an evaluation, without what transformers says of the time that it took, and when it was."""
    return {name: one for name, one in metrics.items() if name != "epoch" and not name.endswith(_TIMING)}
