"""Pretrained encoders of all modalities: where they come from, what of them encodes, which layers become features."""

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers.utils.hub import cached_file, extract_commit_hash

from .encoder_layers import MEAN, POOLED, WEIGHTED, Layers, default_layers
from .extractor_base import FeatureExtractor


def split_revision(encoder: str) -> tuple[str, str | None]:
    """Split `user/model@revision` into the id and its revision; a folder has none."""
    name, _, revision = encoder.partition("@")
    return (encoder, None) if Path(encoder).is_dir() else (name, revision or None)


def commit_of(name: str, revision: str | None) -> str | None:
    """Return the commit that a Hub id and a revision stand for: the name of the folder of its files in the cache.

    Raises:
        OSError: there is no such model.
    """
    return extract_commit_hash(cached_file(name, "config.json", revision=revision), None)


def encoder_of(model: Any, device: str) -> Any:
    """Return the part of a model that encodes, ready to run."""
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return model.eval().to(device)


def hidden_states_of(output: Any) -> Sequence[Tensor]:
    """Return the hidden states of an encoder's output, the last one as it returns it: behind its last norm, if any.

    transformers leaves that norm out of some encoders' hidden states, such as those of wav2vec 2.0 large.
    """
    states, last = tuple(output.hidden_states or ()), output.last_hidden_state
    return (*states[:-1], last) if states and states[-1].shape == last.shape else states


class PretrainedExtractor(FeatureExtractor):
    """Base of extractors that are an encoder of transformers, of which chosen layers become features."""

    modality: str
    _layers: Layers | None = None

    @cached_property
    def widths(self) -> list[int]:
        """Size of each hidden state, the embeddings' first; none where the encoder returns no hidden states."""
        return [state.size(-1) for state in self._example_states()]

    def _example_states(self) -> Sequence[Tensor]:
        """Return the hidden states of the example, each with its size last."""
        raise NotImplementedError

    def with_layers(self, layers: Layers | None) -> Self:
        """Return an extractor of these layers by the same encoder; None takes the default.

        Raises:
            ValueError: the encoder has no such layers, or their mean is asked for and they are of several sizes.
        """
        if layers is not None and layers.mix != POOLED:
            sizes = {self.widths[place] for place in layers.indices(len(self.widths))}
            if layers.mix in (MEAN, WEIGHTED) and len(sizes) > 1:
                raise ValueError(f"layers {layers} are of sizes {sorted(sizes)}, of which there is no mean")
        chosen = copy.copy(self)  # `widths`, which is known by now, is in both
        chosen._layers = layers
        return chosen

    def layers(self, frames: bool = False) -> Layers:
        """Return the layers that become features, independent of the encoder.

        Args:
            frames: whether they become frames of a sequence.
        """
        chosen = default_layers(self.modality, self.widths, frames) if self._layers is None else self._layers
        return chosen.of(len(self.widths))

    def _join(
        self, states: Sequence[Tensor], frames: bool = False, pool: Callable[[Tensor], Tensor] = lambda state: state
    ) -> Tensor:
        """Make one tensor (..., size) of the hidden states; layers that the model mixes lie side by side.

        Args:
            pool: what becomes of each state before.
        """
        layers = self.layers(frames)
        chosen = [pool(states[place]) for place in layers.indices(len(states))]
        return torch.stack(chosen).mean(0) if layers.mix == MEAN else torch.cat(chosen, dim=-1)
