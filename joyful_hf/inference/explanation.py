"""Why this label? How the score of an utterance changes when something in the dialogue is hidden (occlusion).

Hiding works for every family, and it asks the model itself: attention weights need not be what decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ..evaluation.task import task_of
from ..processing import MODALITIES, DialogueError, EncodedExample

DECIMALS = 5
"""Decimals of all falls; anything smaller is rounding of floating-point arithmetic."""


@dataclass(frozen=True)
class Explanation:
    """The contributions of each of the n utterances of a dialogue, and of their modalities, to its scores.

    The score of an utterance is the probability of its label, or of the most probable label if it may have several.
    When something is hidden, the score falls or rises; a rise is a negative fall. For regression the score is the
    value, and the fall is the size of its change in either direction; of several values both are means. If an
    utterance does not depend on what is hidden, its fall is exactly 0.
    """

    labels: list[str]
    """The label of each utterance whose score is explained; of several values all their names."""
    scores: np.ndarray
    """(n,) scores with nothing hidden."""
    utterance_falls: np.ndarray
    """(n, n): `[i, j]` is the fall of utterance i when all modalities of j are hidden; its place and speaker stay."""
    modality_falls: np.ndarray
    """(n, 3): the fall of each utterance when its text, audio or video is hidden; NaN where the model reads none."""

    def top_influences(self, utterance_index: int, most: int = 3) -> dict[int, float]:
        """Return the other utterances that weigh most on this one, up or down: index -> fall, the largest first."""
        falls = self.utterance_falls[utterance_index].tolist()
        others = [other for other, fall in enumerate(falls) if fall and other != utterance_index]
        return {other: falls[other] for other in sorted(others, key=lambda other: -abs(falls[other]))[:most]}

    def modalities(self, utterance_index: int) -> dict[str, float]:
        """Return each modality that the model reads of this utterance -> the fall without it."""
        falls = zip(MODALITIES, self.modality_falls[utterance_index].tolist(), strict=True)
        return {modality: fall for modality, fall in falls if not np.isnan(fall)}


def explain(
    model: Any, processor: Any, dialogue: Mapping[str, Any], utterance_index: int | None = None
) -> Explanation:
    """Hide the utterances of a dialogue one by one, then single modalities, and measure how the scores change.

        explanation = explain(model, processor, dialogue)
        explanation.top_influences(7)  # {6: 0.31, 4: -0.08}: hiding utterance 6 costs utterance 7 the most

    For a dialogue of n utterances the model sees up to 4 n + 1 versions, batched as `predict` batches dialogues.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
        dialogue: one dialogue, as for `model.predict`; its labels are not read.
        utterance_index: hide the modalities of this utterance only, which takes n + 4 versions; `modality_falls` of
            the others are NaN. By default the modalities of all utterances are hidden.

    Raises:
        DialogueError: the input is malformed, is not one dialogue, or has no utterance of this index.
    """
    if not isinstance(dialogue, Mapping):
        raise DialogueError(f"explain takes one dialogue, got {type(dialogue).__name__}; call it for each")
    examples: list[EncodedExample] = processor.encode(dialogue, return_labels=False)
    starts = np.cumsum([0, *(len(example) for example in examples)])
    total = int(starts[-1])
    if utterance_index is not None and not 0 <= utterance_index < total:
        raise DialogueError(f"there is no utterance {utterance_index}: the dialogue has 0 to {total - 1}")
    parts = [
        (example, int(start), _cells(example, int(start), utterance_index))
        for example, start in zip(examples, starts[:-1], strict=True)
    ]
    was_training = model.training
    model.eval()
    try:
        versions = (version for example, _, cells in parts for version in _versions(example, cells))
        logits = model.encoded_logits(versions, processor, model.utterances_per_batch)
    finally:
        model.train(was_training)
    all_scores = iter(model.scores(logits).cpu().double().numpy())

    labels, scores = [], np.zeros(total)
    utterance_falls, modality_falls = np.zeros((total, total)), np.full((total, len(MODALITIES)), np.nan)
    for example, start, cells in parts:
        length = len(example)
        here = slice(start, start + length)
        num_versions = 1 + length + len(cells)
        found = np.stack(list(islice(all_scores, num_versions * length))).reshape(num_versions, length, -1)
        if task_of(model).has_classes:
            explained = found[0].argmax(-1)
            labels += [model.config.id2label[label] for label in explained.tolist()]
            found = found[:, np.arange(length), explained]
            falls = found[0] - found[1:]
        else:
            labels += [", ".join(task_of(model).output_names(model.config))] * length
            falls = np.abs(found[0] - found[1:]).mean(-1)
            found = found.mean(-1)
        scores[here] = found[0]
        falls = falls.round(DECIMALS) + 0.0  # -0.0 becomes 0.0
        utterance_falls[here, here] = falls[:length].T
        for (index, column), fall in zip(cells, falls[length:], strict=True):
            modality_falls[start + index, column] = fall[index]
    return Explanation(labels, scores, utterance_falls, modality_falls)


def _cells(example: EncodedExample, start: int, utterance_index: int | None) -> list[tuple[int, int]]:
    """Return utterance and modality of every cell that is hidden on its own.

    Args:
        start: position in the dialogue of the first utterance of the example.
        utterance_index: counted in the dialogue.
    """
    present = np.argwhere(example.present).tolist()
    return [(index, column) for index, column in present if utterance_index in (None, start + index)]


def _versions(example: EncodedExample, cells: list[tuple[int, int]]) -> Iterator[EncodedExample]:
    """Yield the whole example, then the example without each of its utterances, and without each of the cells."""
    yield example
    for hidden in [*range(len(example)), *cells]:
        kept = np.ones_like(example.present)
        kept[hidden] = False
        yield example.keep_modalities(kept)


__all__ = ["DECIMALS", "Explanation", "explain"]
