"""Weights of modalities by how much they tell of the labels: one that tells little must not drown the others.

A network on little data learns its training dialogues by heart from any modality, above all from audio with one
speaker per dialogue, and no gate inside the network notices: gates see only the training dialogues. This file measures
before training, by a linear model in closed form, how much a modality tells of held-out dialogues.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dialogues import MEDIA_KEYS, MODALITIES

Label = Any
"""In plain Python: a class, a list of classes, a float, a list of floats, or None where it is unknown."""

FOLDS = 5
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties of the ridge regression, to be multiplied by the number of utterances."""
SURE = 2.0
"""Standard errors beyond which a difference is taken for more than chance."""
LEAST_WEIGHT = 0.03
"""Weight of a modality of which nothing is sure on its own: it may still tell something together with another. With
0.1, the audio of CMU-MOSI cost 0.008 of weighted F1, and 0.01 or 0 gain no more (benchmarks/README.md)."""
LARGEST_SIZE = 1024
"""Wider features are projected at random to this many dimensions, which bounds time and memory."""


@dataclass(frozen=True)
class Explained:
    """The part of the labels in held-out dialogues that a modality tells."""

    share: float
    """As a share of their variance; negative if the fit does worse than the mean."""
    error: float = 0.0
    """The share's standard error over the folds."""


class HeldOutFit:
    """Ridge regression of the labels on one modality, cross-validated over dialogues.

    Args:
        size: of the standardised feature vectors.
    """

    def __init__(self, size: int) -> None:
        self.projection: np.ndarray | None = None
        if size > LARGEST_SIZE:
            self.projection = np.random.default_rng(0).standard_normal((size, LARGEST_SIZE)) / size**0.5
        width = min(size, LARGEST_SIZE) + 1  # a constant, for the intercept
        self.products = np.zeros((FOLDS, width, width))
        self.targets_products: np.ndarray | None = None
        self.squares: np.ndarray | None = None

    def add(self, dialogue: int, features: np.ndarray, targets: np.ndarray) -> None:
        """Take in one dialogue: its number, the features (n, size) and the targets (n, targets) of its utterances."""
        if self.projection is not None:
            features = features @ self.projection
        rows = np.concatenate([features, np.ones_like(features[:, :1])], axis=1, dtype=np.float64)
        if self.targets_products is None or self.squares is None:
            self.targets_products = np.zeros((*self.products.shape[:2], targets.shape[1]))
            self.squares = np.zeros((FOLDS, targets.shape[1]))
        fold = dialogue % FOLDS
        self.products[fold] += rows.T @ rows
        self.targets_products[fold] += rows.T @ targets
        self.squares[fold] += (targets**2).sum(0)

    def explained(self) -> Explained:
        """Return the share of the labels' variance in held-out dialogues that the best penalty explains.

        It is 0 where there are too few dialogues to hold some out.
        """
        counts = self.products[:, -1, -1]
        if self.targets_products is None or self.squares is None or not counts.all():
            return Explained(0.0)
        total, total_targets = self.products.sum(0), self.targets_products.sum(0)
        mean, sums = total_targets[-1] / counts.sum(), self.targets_products[:, -1]
        variances = (self.squares - 2 * mean * sums + counts[:, None] * mean**2).sum(1)
        variance = variances.sum()
        if variance <= 0:  # one label only
            return Explained(0.0)
        penalised = np.append(np.full(len(total) - 1, counts.sum()), 0.0)
        errors = np.zeros((len(PENALTIES), FOLDS))
        for fold in range(FOLDS):
            held_out, held_out_targets = self.products[fold], self.targets_products[fold]
            for index, penalty in enumerate(PENALTIES):
                weights = np.linalg.solve(
                    total - held_out + np.diag(penalty * penalised), total_targets - held_out_targets
                )
                # |y - xw|^2 over the fold, from the products only.
                cross = (weights * (held_out @ weights - 2 * held_out_targets)).sum()
                errors[index, fold] = self.squares[fold].sum() + cross
        left = errors[errors.sum(1).argmin()]
        share = 1 - left.sum() / variance
        deviations = variances - left - share * variances  # their sum is 0
        error = (FOLDS / (FOLDS - 1) * (deviations**2).sum()) ** 0.5 / variance
        return Explained(float(share), float(error))


def modality_weights(explained: Mapping[str, Explained]) -> dict[str, float]:
    """Weigh each modality by the correlation R of its held-out fit, relative to that of the best modality.

    On few dialogues chance explains a part. Of a modality that surely tells less than the best one, only what it
    surely tells counts: R squared less two standard errors.

    Args:
        explained: modality -> R squared. If none surely explains anything, nothing is known, and all weights are 1.
    """
    best = max(explained.values(), key=lambda own: own.share, default=Explained(0.0))
    if best.share <= SURE * best.error:
        return dict.fromkeys(explained, 1.0)
    weights = {}
    for name, own in explained.items():
        is_behind = best.share - own.share > SURE * math.hypot(best.error, own.error)
        counted = own.share - SURE * own.error if is_behind else own.share
        weights[name] = max(LEAST_WEIGHT, (max(counted, 0.0) / best.share) ** 0.5)
    return weights


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise a ValueError unless these are weights of modalities."""
    for modality, weight in weights.items():
        if modality not in MODALITIES or not 0 <= weight < math.inf:
            raise ValueError(f"modality_weights give {modality!r} {weight}; {', '.join(MODALITIES)} get 0 or more")


def describe_weights(weights: Mapping[str, float]) -> str:
    """Say in a sentence what the modalities weigh."""
    listed = ", ".join(f"{MEDIA_KEYS[name]} {weights[name]:.2f}" for name in MODALITIES if name in weights)
    return f"It weighs them by how much they told of the training labels: {listed}."


def measure_modality_weights(
    dialogues: Iterable[Mapping[str, tuple[np.ndarray, np.ndarray]]], labels: Sequence[Sequence[Label]]
) -> dict[str, float]:
    """Measure the weight of each modality on training dialogues.

    Args:
        dialogues: for each dialogue, modality -> standardised features (n, size) and where they are present (n,) bool.
            They are gone through once, so that a generator keeps one dialogue in memory.
        labels: for each dialogue, the label of each utterance or None.
    """
    fits: dict[str, HeldOutFit] = {}
    for number, (modalities, own, targets) in enumerate(zip(dialogues, labels, as_targets(labels), strict=True)):
        known = np.array([label is not None for label in own])
        for name, (features, present) in modalities.items():
            if name not in fits:
                fits[name] = HeldOutFit(features.shape[1])
            rows = known & present
            if rows.any():
                fits[name].add(number, features[rows], targets[rows])
    return modality_weights({name: fit.explained() for name, fit in fits.items()})


def as_targets(labels: Sequence[Sequence[Label]]) -> Iterator[np.ndarray]:
    """Turn the labels of each dialogue into (n, targets): floats themselves, or 1 for each class; 0 where unknown."""

    def known() -> Iterator[Label]:
        return (label for of_dialogue in labels for label in of_dialogue if label is not None)

    first = next(known(), None)
    are_floats = first is not None and all(isinstance(label, float) for label in known())
    are_lists = first is not None and all(
        isinstance(label, list) and label and isinstance(label[0], float) for label in known()
    )
    if are_floats or are_lists:
        absent = 0.0 if are_floats else [0.0] * len(first)
        for of_dialogue in labels:
            rows = [label or absent for label in of_dialogue]
            yield np.array(rows, np.float64).reshape(len(rows), -1)
        return
    index = {name: place for place, name in enumerate(sorted({name for label in known() for name in _names(label)}))}
    for of_dialogue in labels:
        rows = np.zeros((len(of_dialogue), len(index)))
        for row, label in zip(rows, of_dialogue, strict=True):
            row[[index[name] for name in _names(label)]] = 1
        yield rows


def _names(label: Label) -> list[str]:
    if label is None:
        return []
    return [str(name) for name in label] if isinstance(label, list) else [str(label)]
