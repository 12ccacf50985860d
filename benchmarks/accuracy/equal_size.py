"""The width at which a context encoder has as many parameters as the recommended model."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

import torch

from joyful_hf import JoyfulConfig, JoyfulForEmotionRecognition
from joyful_hf.families import FAMILIES
from joyful_hf.training.building import split_settings

WIDTHS = range(2, 1025)
MOST_HEADS = 4


def num_parameters(config: JoyfulConfig) -> int:
    """Count the parameters of the model without allocating them."""
    with torch.device("meta"):
        return JoyfulForEmotionRecognition(config).num_parameters()


def with_equal_size(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Set the width of a context encoder alone so that its size is nearest to that of the recommended model.

    Args:
        settings: settings of the encoder, with any width.
        shared: settings that model and processor share, `processor.model_kwargs()`: features, labels, relations.
    """
    recommended = JoyfulConfig(**shared)
    wanted = num_parameters(recommended)
    modalities = len(recommended.modality_dims)

    def sized(width: int) -> dict[str, Any]:
        if settings["context_encoder"] == "gru":
            return {**settings, "contextual_size": width}
        # As is usual, the feed-forward network of each layer is wider than the layer, here twice as wide.
        joined = width * modalities
        heads = {"num_attention_heads": _num_heads(joined), "intermediate_size": 2 * joined}
        return {**settings, **heads, "contextual_size": width}

    def size(width: int) -> int:
        of_config, _ = split_settings(FAMILIES["joyful"], sized(width))  # settings of the processor add no parameters
        return num_parameters(JoyfulConfig(**{**shared, **of_config}))

    # A bidirectional GRU, and attention with several heads, need a divisible width.
    allowed = [width for width in WIDTHS if _fits(settings["context_encoder"], width * modalities)]
    above = min(bisect_left(allowed, wanted, key=size), len(allowed) - 1)
    return sized(min(allowed[max(0, above - 1) : above + 1], key=lambda width: abs(size(width) - wanted)))


def _num_heads(width: int) -> int:
    return max(heads for heads in range(1, MOST_HEADS + 1) if width % heads == 0)


def _fits(context_encoder: str, width: int) -> bool:
    return width % 2 == 0 if context_encoder == "gru" else _num_heads(width) > 1
