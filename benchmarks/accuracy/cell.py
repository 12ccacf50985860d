"""One cell of the accuracy benchmark: train one variant with one seed, and keep the results that a report needs."""

import hashlib
import inspect
import json
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from transformers import PreTrainedConfig, set_seed

from benchmarks.accuracy.equal_size import with_equal_size
from benchmarks.accuracy.noisy_edges import NoisyEdgesCollator, add_noisy_edges
from benchmarks.accuracy.variants import Variant
from joyful_hf import (
    JoyfulProcessor,
    JoyfulTrainer,
    JoyfulTrainingArguments,
)
from joyful_hf.comparison.cells import metrics_of, utterance_rows
from joyful_hf.comparison.classifiers import run_classifier
from joyful_hf.comparison.corpora import Corpus, Split
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.families import FAMILIES
from joyful_hf.processing import DialogueError
from joyful_hf.processing.labels import REGRESSION, SINGLE_LABEL
from joyful_hf.training.building import make_model_and_processor
from joyful_hf.training.callbacks import print_nothing


@dataclass(frozen=True)
class Outcome:
    """The results of training on one split, for the checkpoint that was best on validation."""

    validation: dict[str, float]
    logits: np.ndarray
    """(N, num_labels), for the test utterances."""
    labels: np.ndarray
    """(N,) or (N, num_labels), -100 where unknown."""
    parameters: int


def selection_metric(problem_type: str) -> str:
    """Return the validation metric by which the checkpoint is chosen."""
    return "mae" if problem_type == REGRESSION else "weighted_f1"


def run_cell(
    corpus: Corpus, model_name: str, variant: Variant, seed: int, training: Mapping[str, Any]
) -> dict[str, Any]:
    """Train and test one variant with one seed, once per fold.

    Args:
        training: training arguments to override.

    Returns:
        `validation` and `test` metrics, `parameters` and `seconds`; for single-label data also `predictions`, the
        class index of each utterance of each scored dialogue, and `gold`, the same for the labels, with -100 where
        unknown.
        With folds, test metrics are computed on the predictions of all folds together, and validation metrics are
        averaged over the folds.

    Raises:
        DialogueError: the dialogues are invalid, or no test utterance has a label.
    """
    start = time.perf_counter()
    splits = [corpus.split(seed, fold) for fold in range(corpus.num_folds)]
    run = _run_classifier if variant.classifier else _run_model
    outcomes = [run(corpus, model_name, variant, seed, split, training) for split in splits]
    logits = np.concatenate([outcome.logits for outcome in outcomes])
    labels = np.concatenate([outcome.labels for outcome in outcomes])
    test = metrics_of(corpus, logits, labels)
    if not test:
        raise DialogueError("not one utterance of the test dialogues has a label: there is nothing to score")
    names = [name for name in test if all(name in outcome.validation for outcome in outcomes)]
    cell: dict[str, Any] = {
        "parameters": round(np.mean([outcome.parameters for outcome in outcomes])),
        "seconds": round(time.perf_counter() - start, 1),
        "validation": {name: float(np.mean([outcome.validation[name] for outcome in outcomes])) for name in names},
        "test": test,
    }
    if corpus.problem_type == SINGLE_LABEL:
        positions = np.concatenate([split.positions for split in splits])
        cell["predictions"] = _by_dialogue(logits.argmax(-1), positions, corpus.lengths)
        cell["gold"] = _by_dialogue(labels, positions, corpus.lengths)
    return cell


def settings_fingerprint(model_name: str, variant: Variant, training: Mapping[str, Any]) -> str:
    """Hash what a cell depends on besides corpus, seed and code: the settings of the variant, and the defaults."""
    config_class = FAMILIES[model_name].config_class
    own_fields = {field.name for field in fields(config_class)} - {field.name for field in fields(PreTrainedConfig)}
    config = getattr(config_class, variant.preset)() if variant.preset else config_class()
    depends_on = {
        "variant": asdict(variant),
        "config": {name: getattr(config, name) for name in own_fields},
        "training": {
            name: getattr(JoyfulTrainingArguments, name, None)
            for name in inspect.get_annotations(JoyfulTrainingArguments)
        }
        | dict(training),
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True, default=str).encode()).hexdigest()[:16]


@contextmanager
def trained(
    corpus: Corpus, model_name: str, variant: Variant, seed: int, split: Split, training: Mapping[str, Any]
) -> Generator[JoyfulTrainer, None, None]:
    """Train; yield the trainer with the model that is best on validation."""
    settings = dict(variant.settings)
    if corpus.label2id:
        settings |= {"label2id": corpus.label2id}
    if variant.equal_size:
        fitted = JoyfulProcessor.from_dialogues(split.data.train, label2id=corpus.label2id, feature_statistics=None)
        settings = with_equal_size(settings, fitted.model_kwargs())
    set_seed(seed)
    model, processor = make_model_and_processor(FAMILIES[model_name], variant.preset, settings, split.data)
    train = EncodedDialogues(split.data.train, processor)
    collator = None
    if variant.noisy_edges and isinstance(processor, JoyfulProcessor):
        train.encoded = add_noisy_edges(train.encoded, processor, variant.noisy_edges, seed)
        collator = NoisyEdgesCollator(processor)
    with tempfile.TemporaryDirectory() as folder:
        chosen: dict[str, Any] = {"seed": seed, "disable_tqdm": True, "save_only_model": True} | dict(training)
        trainer = JoyfulTrainer(
            model=model,
            args=JoyfulTrainingArguments(folder, **chosen),
            data_collator=collator,
            train_dataset=train,
            eval_dataset=split.data.validation,
            processing_class=processor,
        )
        print_nothing(trainer)
        trainer.train()
        yield trainer


def _run_model(
    corpus: Corpus, model_name: str, variant: Variant, seed: int, split: Split, training: Mapping[str, Any]
) -> Outcome:
    assert split.data.test is not None  # a corpus always has something to score
    with trained(corpus, model_name, variant, seed, split, training) as trainer:
        validation = trainer.evaluate()
        predicted = trainer.predict(split.data.test)
    return Outcome(
        {name.removeprefix("eval_"): value for name, value in validation.items()},
        *utterance_rows(split.data.test, predicted.predictions, predicted.label_ids),
        parameters=trainer.model.num_parameters(),
    )


def _run_classifier(
    corpus: Corpus, model_name: str, variant: Variant, seed: int, split: Split, training: Mapping[str, Any]
) -> Outcome:
    del model_name, seed, training
    label2id = corpus.label2id or {}
    result = run_classifier(str(variant.classifier), split.data, label2id)
    one_hot = np.eye(len(label2id))
    return Outcome(
        metrics_of(corpus, one_hot[result.validation], result.validation_labels),
        one_hot[result.test],
        result.test_labels,
        result.parameters,
    )


def _by_dialogue(rows: np.ndarray, positions: np.ndarray, lengths: Sequence[int]) -> list[list[int]]:
    """Split the rows of utterances, whose dialogues are in the order of `positions`, into one list per dialogue."""
    ends = np.cumsum([lengths[position] for position in positions])
    dialogues: list[list[int]] = [[] for _ in lengths]
    for position, part in zip(positions, np.split(rows, ends[:-1]), strict=True):
        dialogues[position] = part.tolist()
    return dialogues


def model_modalities(corpus: Corpus, model_name: str) -> list[str]:
    """Return the modalities of the training dialogues that the model reads."""
    return list(FAMILIES[model_name].processor_class.from_dialogues(corpus.train).dims)
