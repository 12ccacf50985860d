"""One cell of a comparison: one model, trained on one corpus with one seed, and tested once."""

import hashlib
import inspect
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import EvalPrediction, PreTrainedConfig, TrainerCallback, set_seed

from ..data.encoded import EncodedDialogues
from ..evaluation.metrics import compute_metrics
from ..evaluation.task import task_of
from ..processing import FEATURE_KEYS, MODALITIES, DialogueError
from ..processing.devices import choose_device
from ..processing.reading import read_dialogues
from ..training.arguments import JoyfulTrainingArguments
from ..training.building import make_model_and_processor, setting_names
from ..training.callbacks import print_nothing
from ..training.divergence import DivergedError
from ..training.run_data import RunData
from ..training.trainer import JoyfulTrainer
from ..version import __version__
from .classifiers import make_processor, run_classifier
from .corpora import Corpus, CorpusSource, Split
from .entrants import Entrant
from .measuring import EpochClock, PeakMemory

ALL = "all"
"""The name of all modalities that a corpus has."""


@dataclass(frozen=True)
class Cell:
    """The model, corpus, modalities, seed and fold of one training."""

    corpus: CorpusSource
    entrant: Entrant
    modalities: tuple[str, ...] = ()
    """The only modalities that the model reads; () for all."""
    seed: int = 0
    fold: int = 0
    watch_test: bool = False
    """Whether the test set is also scored after each validation, to show what a choice by it would give."""

    @property
    def modality_name(self) -> str:
        """The modalities in tables, such as text+audio."""
        return "+".join(self.modalities) or ALL

    @property
    def group(self) -> tuple[str, str, str]:
        """Corpus, model and modalities: what the cells of all seeds and folds share."""
        return self.corpus.name, self.entrant.name, self.modality_name

    @property
    def key(self) -> str:
        """The cell's place in the results."""
        fold = f"-fold-{self.fold}" if self.corpus.is_cross_validated else ""
        return "/".join((*self.group, f"seed-{self.seed}{fold}"))

    @property
    def searched(self) -> "Cell":
        """The cell whose trials choose the settings of this one.

        One search serves all seeds. In cross-validation each division of the dialogues has a search of its own: the
        validation dialogues of one are the test dialogues of another.
        """
        if not self.corpus.is_cross_validated:
            return replace(self, seed=0, fold=0)
        return self if self.corpus.group_key is None else replace(self, seed=0)


@dataclass
class Outcome:
    """The result of a cell."""

    validation: dict[str, float]
    """Metrics of the chosen checkpoint."""
    logits: np.ndarray
    """(N, num_labels), calibrated, for the utterances of the test dialogues, one dialogue after the other."""
    labels: np.ndarray
    """(N,) or (N, num_labels), unknown ones marked as in a batch."""
    positions: np.ndarray
    """(dialogues,) positions of the test dialogues among the scored ones of the corpus."""
    parameters: int
    seconds: float
    """Duration of the whole cell."""
    seconds_per_epoch: float | None = None
    peak_memory: float | None = None
    """MiB."""
    test_selected: float | None = None
    """The best main test score of any validated epoch, where that was asked for."""


Prepare = Callable[[EncodedDialogues, Any], Any]
"""Changes encoded training dialogues, given their processor, and returns the collator that they need then, or None."""


def run_cell(corpus: Corpus, cell: Cell, prepare: Prepare | None = None) -> Outcome:
    """Train on the training dialogues, choose the checkpoint on validation, and predict the test dialogues once.

    Args:
        prepare: changes the training dialogues of a network, such as by noise.

    Raises:
        DialogueError: the dialogues are invalid, or the model cannot be made for them.
    """
    start = time.perf_counter()
    split = corpus.split(cell.seed, cell.fold)
    outcome = (
        _run_classifier(corpus, cell, split) if cell.entrant.classifier else _run_model(corpus, cell, split, prepare)
    )
    outcome.seconds = time.perf_counter() - start
    return outcome


def validate(corpus: Corpus, cell: Cell) -> float:
    """Train, and return the main metric on validation, NaN if the run diverges; the test dialogues are not read."""
    try:
        metrics = train(corpus, cell, corpus.split(cell.seed, cell.fold)).evaluate()
    except DivergedError:
        return math.nan
    return metrics[f"eval_{task_of(corpus.problem_type).main_metric}"]


def modality_settings(cell: Cell) -> dict[str, Any]:
    """Return the settings that leave out the modalities which the cell does not read.

    Raises:
        DialogueError: the family does not know one of them.
    """
    if not cell.modalities:
        return {}
    family = cell.entrant.family
    if family is None:
        return {f"{name}_dim": 0 for name in MODALITIES if name not in cell.modalities}
    known = setting_names(family)[1] | setting_names(family)[0]
    sizes = {name: next((key for key in _size_names(name) if key in known), None) for name in MODALITIES}
    unknown = [name for name in cell.modalities if sizes[name] is None]
    if unknown:
        raise DialogueError(f"`modalities`: {family.name} does not read {' and '.join(unknown)}")
    return {size: 0 for name, size in sizes.items() if size is not None and name not in cell.modalities}


def _size_names(modality: str) -> tuple[str, ...]:
    return ("visual_dim", "video_dim") if modality == "visual" else (f"{modality}_dim",)


def fingerprint(cell: Cell) -> str:
    """Hash what a cell depends on besides corpus and seed: its settings, the defaults, and the package's version."""
    family = cell.entrant.family
    depends_on: dict[str, Any] = {"entrant": asdict(cell.entrant), "version": __version__, "watch": cell.watch_test}
    if family is not None:
        config_class = family.config_class
        own = {known.name for known in fields(config_class)} - {known.name for known in fields(PreTrainedConfig)}
        config = getattr(config_class, cell.entrant.preset)() if cell.entrant.preset else config_class()
        depends_on["config"] = {name: getattr(config, name) for name in own}
        names = inspect.get_annotations(JoyfulTrainingArguments)
        depends_on["training"] = {name: getattr(JoyfulTrainingArguments, name, None) for name in names}
        depends_on["recipe"] = cell.entrant.training_arguments()
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_cell(corpus: Corpus, cell: Cell) -> None:
    """Check that the cell can be run, without training: labels, settings, training arguments, and the model itself.

    Raises:
        DialogueError: it cannot; the message names model and corpus.
    """
    entrant = cell.entrant
    try:
        if entrant.classifier:
            if corpus.label2id is None or task_of(corpus.problem_type).several_labels:
                raise DialogueError("it needs one class per utterance")
            make_processor(entrant.classifier, corpus.first_data, corpus.label2id, modality_settings(cell))
            return
        model, _ = _make(corpus, cell, corpus.first_data)
        read = model.config.modality_dims
        if unread := [name for name in cell.modalities if name not in read]:
            raise DialogueError(
                f"`modalities`: of these dialogues it reads {' and '.join(read)}, and no {' or '.join(unread)}"
            )
        with tempfile.TemporaryDirectory() as folder:
            _arguments(cell, folder)
    except (ValueError, TypeError) as error:
        raise DialogueError(f"{entrant.name} on {corpus.name}: {error}") from error


def _make(corpus: Corpus, cell: Cell, data: RunData) -> tuple[Any, Any]:
    family = cell.entrant.family
    assert family is not None
    settings = dict(cell.entrant.settings) | modality_settings(cell)
    if corpus.label2id:
        settings |= {"label2id": corpus.label2id}
    return make_model_and_processor(family, cell.entrant.preset, settings, data)


def _arguments(cell: Cell, folder: str) -> JoyfulTrainingArguments:
    given = cell.entrant.training_arguments()
    known = {known.name for known in fields(JoyfulTrainingArguments)}
    if unknown := sorted(given.keys() - known):
        raise DialogueError(f"`training`: unknown training arguments {', '.join(unknown)}")
    chosen: dict[str, Any] = {
        "seed": cell.seed,
        "disable_tqdm": True,
        "save_only_model": True,
        "report_to": "none",
    } | given
    return JoyfulTrainingArguments(folder, **chosen)


def train(
    corpus: Corpus,
    cell: Cell,
    split: Split,
    callbacks: Sequence[TrainerCallback] = (),
    prepare: Prepare | None = None,
) -> JoyfulTrainer:
    """Train; return the trainer with the model that is best on validation, calibrated."""
    set_seed(cell.seed)
    data = replace(split.data, train=read_dialogues(split.data.train))  # once, for statistics and examples alike
    model, processor = _make(corpus, cell, data)
    encoded = EncodedDialogues(data.train, processor)
    with tempfile.TemporaryDirectory() as folder:
        trainer = JoyfulTrainer(
            model=model,
            args=_arguments(cell, folder),
            data_collator=None if prepare is None else prepare(encoded, processor),
            train_dataset=encoded,
            eval_dataset=EncodedDialogues(data.validation, processor),
            processing_class=processor,
            callbacks=list(callbacks),
        )
        for callback in callbacks:
            if isinstance(callback, TestWatcher):
                callback.trainer = trainer
        print_nothing(trainer)
        trainer.train()
        trainer.calibrate()
        return trainer


class TestWatcher(TrainerCallback):
    """Score the test dialogues after each validation: what the field's habit of choosing by them would report."""

    __test__ = False  # not a test of pytest's

    def __init__(self, corpus: Corpus, test: Dataset) -> None:
        self.trainer: JoyfulTrainer | None = None
        self.scores: list[float] = []
        self._corpus, self._test = corpus, test
        self._is_busy = False

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Predict the test dialogues with the weights that were just validated."""
        if self.trainer is None or self._is_busy or not self.trainer.is_in_train:
            return
        self._is_busy = True
        found = self.trainer.predict(self._test)
        self._is_busy = False
        rows = utterance_rows(self._test, found.predictions, found.label_ids)
        self.scores.append(metrics_of(self._corpus, *rows)[task_of(self._corpus.problem_type).main_metric])

    @property
    def best(self) -> float:
        """The best score of any epoch."""
        task = task_of(self._corpus.problem_type)
        return (max if task.greater_is_better(task.main_metric) else min)(self.scores)


def _run_model(corpus: Corpus, cell: Cell, split: Split, prepare: Prepare | None) -> Outcome:
    assert split.data.test is not None
    clock, watcher = EpochClock(), TestWatcher(corpus, split.data.test) if cell.watch_test else None
    memory = PeakMemory(_device_of(cell))
    trainer = train(corpus, cell, split, [clock, *([watcher] if watcher else [])], prepare)
    peak = memory.peak
    validation = trainer.evaluate()
    predicted = trainer.predict(split.data.test)
    logits, labels = utterance_rows(split.data.test, predicted.predictions, predicted.label_ids)
    model: Any = trainer.model
    return Outcome(
        validation={name.removeprefix("eval_"): value for name, value in validation.items()},
        logits=logits / model.config.calibration_temperature,
        labels=labels,
        positions=split.positions,
        parameters=model.num_parameters(),
        seconds=0.0,
        seconds_per_epoch=clock.median,
        peak_memory=peak,
        test_selected=watcher.best if watcher else None,
    )


def _device_of(cell: Cell) -> torch.device:
    arguments = cell.entrant.training_arguments()
    return choose_device("cpu" if arguments.get("use_cpu") else arguments.get("torch_device"))


def _run_classifier(corpus: Corpus, cell: Cell, split: Split) -> Outcome:
    label2id = corpus.label2id or {}
    result = run_classifier(str(cell.entrant.classifier), split.data, label2id, modality_settings(cell))
    # Of a decision without probabilities: the chosen class is one, and the others are zero.
    one_hot = np.eye(len(label2id))
    return Outcome(
        validation=_without_calibration(metrics_of(corpus, one_hot[result.validation], result.validation_labels)),
        logits=one_hot[result.test],
        labels=result.test_labels,
        positions=split.positions,
        parameters=result.parameters,
        seconds=0.0,
    )


def metrics_of(corpus: Corpus, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Compute the metrics of the corpus's task, from calibrated logits."""
    id2label: Mapping[int, str] = {index: label for label, index in (corpus.label2id or {}).items()}
    return compute_metrics(EvalPrediction(logits, labels), id2label, corpus.problem_type)


def _without_calibration(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("ece")}


def utterance_rows(dialogues: Dataset, logits: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return one row per utterance, without the padding of families that predict whole dialogues."""
    lengths = [len(dialogue["utterances"]) for dialogue in dialogues]
    if logits.ndim == 2:
        if len(logits) != sum(lengths):
            raise DialogueError(
                f"the model has predicted {len(logits)} of {sum(lengths)} test utterances: the others have none of "
                f"{', '.join(FEATURE_KEYS.values())} that it reads"
            )
        return logits, labels

    def unpad(padded: np.ndarray) -> np.ndarray:
        return np.concatenate([rows[:length] for rows, length in zip(padded, lengths, strict=True)])

    return unpad(logits), unpad(labels)
