"""What a model makes of utterances at each of its stages, from one pass over the dialogues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..processing import EncodedExample

STAGES = {
    "features": "input",
    "audio_embedding": "audio",
    "video_embedding": "video",
    "text_embedding": "text",
    "fused": "fused",
    "context": "context",
    "graph": "graph",
}
"""Field of a model's output -> what a picture calls it, in the order of the network."""


@dataclass(frozen=True)
class Represented:
    """N utterances as a model sees them."""

    logits: Tensor
    """(N, num_labels)."""
    stages: dict[str, np.ndarray]
    """Stage -> (N, size) float32; a stage that changes nothing is left out. Of several networks, the first one's."""


def represent(model: Any, processor: Any, encoded: Sequence[EncodedExample]) -> Represented:
    """One pass in evaluation mode over what `processor.encode` gives.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
    """
    was_training = model.training
    model.eval()
    try:
        outputs = list(model.encoded_outputs(encoded, processor, model.utterances_per_batch))
    finally:
        model.train(was_training)
    stages: dict[str, np.ndarray] = {}
    for field, name in STAGES.items():
        if outputs[0].get(field) is None:
            continue
        rows = torch.cat([output[field] for output in outputs]).float().cpu().numpy()
        if not any(np.array_equal(rows, earlier) for earlier in stages.values()):
            stages[name] = rows
    return Represented(torch.cat([output.logits for output in outputs]), stages)
