"""Baselines without a network: the majority class, and logistic regression on each utterance's own features."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from ..processing import JoyfulProcessor
from ..processing.dialogues import dialogue_name
from ..processing.labels import SINGLE_LABEL, encode_labels, known_labels
from ..training.run_data import RunData

# Inverse strengths of the regularisation; the best on validation is chosen.
REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

CLASSIFIERS: dict[str, Callable[[], list[Any]]] = {
    "majority": lambda: [DummyClassifier(strategy="most_frequent")],
    "logistic-regression": lambda: [LogisticRegression(C=strength, max_iter=1000) for strength in REGULARISATIONS],
}
"""Name -> candidates, of which the best on validation is chosen."""


@dataclass(frozen=True)
class PlainResult:
    """A fitted classifier's predictions, and its size."""

    validation: np.ndarray
    """(N,) class indices."""
    test: np.ndarray
    """(N,) class indices of all test utterances."""
    validation_labels: np.ndarray
    """(N,), -100 where unknown."""
    test_labels: np.ndarray
    parameters: int


def make_processor(
    name: str, data: RunData, label2id: dict[str, int], settings: dict[str, Any] | None = None
) -> JoyfulProcessor | None:
    """Make what reads the features of a classifier; None for the majority class, which needs none.

    Raises:
        DialogueError: the dialogues have none.
    """
    if name == "majority":
        return None
    return JoyfulProcessor.from_dialogues(data.train, label2id=label2id, **(settings or {}))


def run_classifier(
    name: str, data: RunData, label2id: dict[str, int], settings: dict[str, Any] | None = None
) -> PlainResult:
    """Fit on the training utterances, choose by weighted F1 on validation, and predict.

    The features are those that a model reads, standardised with the statistics of the training set; absent ones are 0.
    The majority class needs none.

    Args:
        settings: parameters of the processor, such as the modalities that are left out.
    """
    processor = make_processor(name, data, label2id, settings)
    (train, train_labels), (validation, validation_labels), (test, test_labels) = (
        _labels_alone(part, label2id) if processor is None else _utterances(processor, part)
        for part in (data.train, data.validation, data.test)
    )
    known, known_validation = known_labels(train_labels), known_labels(validation_labels)
    candidates = [candidate.fit(train[known], train_labels[known]) for candidate in CLASSIFIERS[name]()]

    def score(candidate: Any) -> float:
        predicted = candidate.predict(validation[known_validation])
        return float(f1_score(validation_labels[known_validation], predicted, average="weighted", zero_division=0))

    best = max(candidates, key=score)
    parameters = sum(np.size(getattr(best, part, ())) for part in ("coef_", "intercept_"))
    return PlainResult(
        best.predict(validation), best.predict(test), validation_labels, test_labels, parameters=int(parameters)
    )


def _utterances(processor: JoyfulProcessor, dialogues: Iterable[Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, D) and labels (N,) of all utterances."""
    encoded = processor.encode(dialogues or [])
    features = [np.concatenate(list(dialogue.features.values()), axis=1) for dialogue in encoded]
    return np.concatenate(features), np.concatenate([dialogue.labels for dialogue in encoded])


def _labels_alone(dialogues: Iterable[Any] | None, label2id: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of utterances of which nothing is read, (N, 0)."""
    parts = [
        encode_labels(dialogue["utterances"], SINGLE_LABEL, label2id, dialogue_name(dialogue, index))
        for index, dialogue in enumerate(dialogues or [])
    ]
    labels = np.concatenate(parts)
    return np.zeros((len(labels), 0)), labels
