"""The representations of utterances at each stage of a model, from one pass over the dialogues."""

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
"""Field of the output of a model -> name of the stage, in the order of the network."""


@dataclass(frozen=True)
class Represented:
    """N utterances as a model represents them."""

    logits: Tensor
    """(N, num_labels)."""
    stages: dict[str, np.ndarray]
    """Stage -> (N, size) float32, without stages that change nothing; of several networks, those of the first."""


def represent(model: Any, processor: Any, encoded: Sequence[EncodedExample]) -> Represented:
    """Run a model once, in evaluation mode, over encoded dialogues.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it.
        encoded: what `processor.encode` returns for the dialogues.
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
