"""The loss of a model where modalities are missing: hidden at random, all but one, or one of them altogether."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import EvalPrediction

from ..data.encoded import EncodedDialogues
from ..processing import MODALITIES, DialogueError, EncodedExample
from ..processing.labels import join_labels
from .metrics import compute_metrics
from .task import task_of

DRAWS = 5
"""Number of times that the modalities to hide are drawn for each rate; its scores are the mean over the draws."""


@dataclass(frozen=True)
class MissingScores:
    """Metrics, named as in `compute_metrics`, by what is missing."""

    rates: dict[float, dict[str, float]]
    """Each modality of each utterance hidden with this probability; an utterance keeps one of those that it has."""
    alone: dict[str, dict[str, float]]
    """Every other modality hidden everywhere. An utterance that lacks this one has nothing left."""
    without: dict[str, dict[str, float]]
    """This modality hidden everywhere."""
    problem_type: str
    """That of the model."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with the number of draws over which a rate's scores are averaged."""
        return {"draws": DRAWS, "rates": self.rates, "alone": self.alone, "without": self.without}

    def __str__(self) -> str:
        """A table of the metrics over all classes."""
        rows = {f"missing rate {rate:g}": scores for rate, scores in self.rates.items()}
        rows |= {f"{name} alone": scores for name, scores in self.alone.items()}
        rows |= {f"without {name}": scores for name, scores in self.without.items()}
        every = next(iter(self.alone.values()))
        task = task_of(self.problem_type)
        metrics = [name for name in every if not task.is_class_metric(name)]
        label_width = max(map(len, rows))
        lines = ["  ".join([" " * label_width, *(f"{name:>7}" for name in metrics)])]
        for label, scores in rows.items():
            values = (f"{scores[name]:>{max(len(name), 7)}.4f}" for name in metrics)
            lines.append("  ".join([label.ljust(label_width), *values]))
        return "\n".join(lines)


def score_missing(
    model: Any, processor: Any, dialogues: EncodedDialogues | Iterable[Any], rates: Sequence[float]
) -> MissingScores:
    """Score a model on dialogues from which more and more is hidden. The same call gives the same scores.

    A rate draws `DRAWS` times, with the seeds 0, 1, ... One draw gives each modality of each utterance a number, and a
    rate hides the modalities whose number is below it, except the highest of an utterance. So every rate uses the same
    numbers, and a higher rate hides everything that a lower one does.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
        dialogues: labelled dialogues, or `EncodedDialogues` of them.
        rates: from 0 to 1.

    Raises:
        DialogueError: bad dialogues, not one label, no second modality that could be missing, or a rate out of range.
    """
    if wrong := [rate for rate in rates if not 0 <= rate <= 1]:
        raise DialogueError(f"a missing rate lies between 0 and 1, got {wrong[0]:g}")
    data = dialogues if isinstance(dialogues, EncodedDialogues) else EncodedDialogues(dialogues, processor)
    if not data.has_labels:
        raise DialogueError("not one utterance has a label: there is nothing to score")
    present = np.concatenate([example.present for example in data.encoded])
    found = [name for column, name in enumerate(MODALITIES) if present[:, column].any()]
    if len(found) < 2:
        has = f"only {found[0]}" if found else "nothing that the model reads"
        raise DialogueError(f"the dialogues have {has}: no modality can be missing")

    def scores_with(kept: np.ndarray) -> dict[str, float]:
        return _score(model, processor, data.encoded, kept)

    def mean_scores(rate: float) -> dict[str, float]:
        drawn = [scores_with(keep_at_random(present, rate, seed)) for seed in range(DRAWS if rate else 1)]
        return {name: float(np.mean([scores[name] for scores in drawn])) for name in drawn[0]}

    def is_column(name: str) -> np.ndarray:
        return np.array(MODALITIES) == name

    return MissingScores(
        rates={rate: mean_scores(rate) for rate in rates},
        alone={name: scores_with(present & is_column(name)) for name in found},
        without={name: scores_with(present & ~is_column(name)) for name in found},
        problem_type=model.problem_type,
    )


def keep_at_random(present: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Return which modalities are left if each is hidden with this probability, but never an utterance's last one.

    Args:
        present: (N, modalities) bool.
    """
    numbers = np.random.default_rng(seed).random(present.shape)
    highest = np.where(present, numbers, -1).argmax(-1)
    is_highest = np.arange(present.shape[1]) == highest[:, None]
    return present & ((numbers >= rate) | is_highest)


def _score(model: Any, processor: Any, encoded: Sequence[EncodedExample], kept: np.ndarray) -> dict[str, float]:
    ends = np.cumsum([len(example) for example in encoded])
    parts = np.split(kept, ends[:-1])
    left = [example.keep_modalities(part) for example, part in zip(encoded, parts, strict=True)]
    was_training = model.training
    model.eval()
    try:
        logits = model.encoded_logits(left, processor, model.utterances_per_batch)
    finally:
        model.train(was_training)
    labels = join_labels([example.labels for example in encoded])
    assert labels is not None  # score_missing has seen to that
    prediction = EvalPrediction(logits.float().cpu().numpy(), labels)
    config = model.config
    return compute_metrics(prediction, config.id2label, model.problem_type, config.calibration_temperature)


__all__ = ["DRAWS", "MissingScores", "keep_at_random", "score_missing"]
