"""Noisy edges in the training data, as in Table 7 of JOYFUL's paper; validation and test graphs stay clean.

"Following Tan et al. (2022), we randomly added 5 %~20 % noisy edges to the training data." The edges of a dialogue are
drawn once and stay the same in every epoch, as data would. They join two utterances of the dialogue that its graph
does not join, and have the relation that fits their speakers and order. In a dialogue shorter than the window, all
pairs of utterances are joined already: there, random edges are doubled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from joyful_hf import JoyfulProcessor
from joyful_hf.data.encoded import DialogueCollator
from joyful_hf.processing import EncodedDialogue, EncodedExample
from joyful_hf.processing.graph import relation_ids, window_edges


@dataclass(kw_only=True)
class NoisyDialogue(EncodedDialogue):
    """An encoded dialogue with more edges than its window gives."""

    noisy_edges: np.ndarray
    """(2, k) int64, source and target, counted within the dialogue."""


def add_noisy_edges(
    dialogues: Iterable[EncodedExample], processor: JoyfulProcessor, share: float, seed: int
) -> list[EncodedExample]:
    """Add noisy edges to each dialogue.

    Args:
        share: number of noisy edges of a dialogue, relative to its edges.
        seed: seed of the random edges.
    """
    generator = np.random.default_rng(seed)
    window = processor.window_past, processor.window_future
    noisy: list[EncodedExample] = []
    for dialogue in dialogues:
        edges = _draw(len(dialogue), *window, share, generator)
        own = {field.name: getattr(dialogue, field.name) for field in fields(EncodedDialogue)}
        noisy.append(NoisyDialogue(**own, noisy_edges=edges))
    return noisy


def _draw(length: int, past: int, future: int, share: float, generator: np.random.Generator) -> np.ndarray:
    """Draw (2, k) random edges of a dialogue."""
    edges = window_edges(np.array([length]), past, future)
    is_free = np.ones((length, length), bool)
    is_free[edges[0], edges[1]] = False
    wanted = round(share * edges.shape[1])
    fresh = generator.permutation(np.flatnonzero(is_free))[:wanted]
    doubled = generator.integers(length * length, size=wanted - len(fresh))
    return np.stack(np.divmod(np.concatenate([fresh, doubled]), length))


class NoisyEdgesCollator(DialogueCollator):
    """Packs a batch as usual, and appends the noisy edges of the dialogues that have any."""

    processor: JoyfulProcessor

    def __call__(self, dialogues: list[Any]) -> dict[str, Tensor]:
        batch = super().__call__(dialogues)
        starts = np.cumsum([0, *(len(dialogue) for dialogue in dialogues)])
        noise = [
            dialogue.noisy_edges + start
            for dialogue, start in zip(dialogues, starts, strict=False)
            if isinstance(dialogue, NoisyDialogue)
        ]
        if not noise:
            return batch
        edges = np.concatenate(noise, axis=1)
        scheme, most = self.processor.relation_scheme, self.processor.max_speakers
        relations = relation_ids(edges, batch["speaker_ids"].numpy(), scheme, most)
        batch["edge_index"] = torch.cat([batch["edge_index"], torch.from_numpy(edges)], dim=1)
        batch["edge_type"] = torch.cat([batch["edge_type"], torch.from_numpy(relations)])
        return batch
