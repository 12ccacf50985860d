"""One cell of the accuracy benchmark: one variant with one seed, run by `joyful_hf.comparison` once per fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.equal_size import with_equal_size
from benchmarks.accuracy.noisy_edges import NoisyEdgesCollator, add_noisy_edges
from benchmarks.accuracy.variants import Variant
from joyful_hf import JoyfulProcessor
from joyful_hf.comparison import cells
from joyful_hf.comparison.cells import Cell, metrics_of
from joyful_hf.comparison.corpora import Corpus, CorpusSource
from joyful_hf.comparison.entrants import Entrant
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.families import FAMILIES
from joyful_hf.processing import DialogueError
from joyful_hf.processing.labels import REGRESSION, SINGLE_LABEL


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
    outcomes = [
        cells.run_cell(corpus, cell_of(corpus, model_name, variant, training, seed, fold), noise_of(variant, seed))
        for fold in range(corpus.num_folds)
    ]
    logits = np.concatenate([outcome.logits for outcome in outcomes])
    labels = np.concatenate([outcome.labels for outcome in outcomes])
    test = metrics_of(corpus, logits, labels)
    if not test:
        raise DialogueError("not one utterance of the test dialogues has a label: there is nothing to score")
    names = [name for name in test if all(name in outcome.validation for outcome in outcomes)]
    cell: dict[str, Any] = {
        "parameters": round(np.mean([outcome.parameters for outcome in outcomes])),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "validation": {name: float(np.mean([outcome.validation[name] for outcome in outcomes])) for name in names},
        "test": test,
    }
    if corpus.problem_type == SINGLE_LABEL:
        positions = np.concatenate([outcome.positions for outcome in outcomes])
        cell["predictions"] = _by_dialogue(logits.argmax(-1), positions, corpus.lengths)
        cell["gold"] = _by_dialogue(labels, positions, corpus.lengths)
    return cell


def cell_of(
    corpus: Corpus, model_name: str, variant: Variant, training: Mapping[str, Any], seed: int = 0, fold: int = 0
) -> Cell:
    """Return the cell of a comparison that a variant is with one seed, on one fold."""
    settings = dict(variant.settings)
    if variant.equal_size:
        fitted = JoyfulProcessor.from_dialogues(corpus.train, label2id=corpus.label2id, feature_statistics=None)
        settings = with_equal_size(settings, fitted.model_kwargs())
    noise = f" with {variant.noisy_edges:.0%} noisy edges" if variant.noisy_edges else ""
    family_name = None if variant.classifier else model_name
    entrant = Entrant(f"{model_name}{noise}", family_name, variant.preset, variant.classifier, settings, training)
    return Cell(CorpusSource(corpus.name), entrant, seed=seed, fold=fold)


def noise_of(variant: Variant, seed: int) -> cells.Prepare | None:
    """Return what adds the noisy edges of a variant to encoded training dialogues; None if it has none."""
    if not variant.noisy_edges:
        return None

    def prepare(train: EncodedDialogues, processor: JoyfulProcessor) -> NoisyEdgesCollator:
        train.encoded = add_noisy_edges(train.encoded, processor, variant.noisy_edges, seed)
        return NoisyEdgesCollator(processor)

    return prepare


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
