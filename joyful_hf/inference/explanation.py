"""Why this label? What becomes of an utterance's score when something in the dialogue is hidden (occlusion).

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
"""Of all falls; what is smaller is the rounding of floating-point arithmetic."""


@dataclass(frozen=True)
class Explanation:
    """What the scores of a dialogue owe to each of its n utterances and to their modalities.

    The score of an utterance is the probability of its label: of the most probable one, if it may have several. Where
    something is hidden the score falls, or rises: a fall below 0. For regression the score is the value, and a fall is
    by how much it changes, in either direction. Nothing that an utterance does not depend on makes its score fall: its
    fall is exactly 0.
    """

    labels: list[str]
    """Of each utterance the label whose score is explained."""
    scores: np.ndarray
    """(n,), with nothing hidden."""
    utterance_falls: np.ndarray
    """(n, n): `[i, j]` is the fall of utterance i when all modalities of j are hidden; place and speaker of j stay."""
    modality_falls: np.ndarray
    """(n, 3): the fall of utterance i when its text, audio or visual is hidden; NaN where the model reads none."""

    def top_influences(self, utterance_index: int, most: int = 3) -> dict[int, float]:
        """The other utterances that weigh most on this one, whichever way: index -> fall, the largest first."""
        falls = self.utterance_falls[utterance_index].tolist()
        others = [other for other, fall in enumerate(falls) if fall and other != utterance_index]
        return {other: falls[other] for other in sorted(others, key=lambda other: -abs(falls[other]))[:most]}

    def modalities(self, utterance_index: int) -> dict[str, float]:
        """Each modality that the model reads of this utterance -> the fall without it."""
        falls = zip(MODALITIES, self.modality_falls[utterance_index].tolist(), strict=True)
        return {modality: fall for modality, fall in falls if not np.isnan(fall)}


def explain(
    model: Any, processor: Any, dialogue: Mapping[str, Any], utterance_index: int | None = None
) -> Explanation:
    """Hide a dialogue's utterances one by one, then single modalities, and see what becomes of the scores.

        explanation = explain(model, processor, dialogue)
        explanation.top_influences(7)  # {6: 0.31, 4: -0.08}: hiding utterance 6 costs utterance 7 the most

    The model answers up to 4 n + 1 versions of a dialogue of n utterances, as many in one pass as `predict` would.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
        dialogue: one record, as for `model.predict`; labels in it are not read.
        utterance_index: the one whose modalities are hidden, in n + 4 versions; `modality_falls` of the others are
            NaN. By default all of them.

    Raises:
        DialogueError: bad input, several dialogues, or no utterance of this index.
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
    all_scores = iter(model.scores(logits).double().cpu().numpy())

    labels, scores = [], np.zeros(total)
    utterance_falls, modality_falls = np.zeros((total, total)), np.full((total, len(MODALITIES)), np.nan)
    for example, start, cells in parts:
        length = len(example)
        here = slice(start, start + length)
        num_versions = 1 + length + len(cells)
        found = np.stack(list(islice(all_scores, num_versions * length))).reshape(num_versions, length, -1)
        explained = found[0].argmax(-1)
        labels += [model.config.id2label[label] for label in explained.tolist()]
        found = found[:, np.arange(length), explained]
        scores[here] = found[0]
        falls = found[0] - found[1:]
        if not task_of(model).has_classes:
            falls = np.abs(falls)
        falls = falls.round(DECIMALS) + 0.0  # -0.0 becomes 0.0
        utterance_falls[here, here] = falls[:length].T
        for (index, column), fall in zip(cells, falls[length:], strict=True):
            modality_falls[start + index, column] = fall[index]
    return Explanation(labels, scores, utterance_falls, modality_falls)


def _cells(example: EncodedExample, start: int, utterance_index: int | None) -> list[tuple[int, int]]:
    """Utterance and modality of all that is hidden on its own.

    Args:
        start: of the example in its dialogue, in which `utterance_index` counts.
    """
    present = np.argwhere(example.present).tolist()
    return [(index, column) for index, column in present if utterance_index in (None, start + index)]


def _versions(example: EncodedExample, cells: list[tuple[int, int]]) -> Iterator[EncodedExample]:
    """The example whole, without each of its utterances, and without each of the cells."""
    yield example
    for hidden in [*range(len(example)), *cells]:
        kept = np.ones_like(example.present)
        kept[hidden] = False
        yield example.keep_modalities(kept)


__all__ = ["DECIMALS", "Explanation", "explain"]
