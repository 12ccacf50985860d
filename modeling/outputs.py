"""The outputs of the models. N utterances and E edges, packed."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class EmotionRecognitionOutput(ModelOutput):
    """The output of every family's models. The loss comes first, if there is one, and then the logits."""

    loss: Tensor | None = None
    """() the weighted sum of `losses`; only with labels."""
    logits: Tensor | None = None
    """(N, num_labels)."""
    hidden_states: tuple[Tensor, ...] | None = None
    """`features`, `fused`, `context` and `graph`, as far as the family has them; only on request."""
    attentions: tuple[Tensor, ...] | None = None
    """`edge_attention`, or nothing where the model has no attention over edges; only on request."""
    losses: dict[str, Tensor] | None = None
    """Each named part of the loss, () and unweighted."""
    metrics: dict[str, Tensor] | None = None
    """Named numbers to watch that are not losses, () each."""
    means: dict[str, Tensor] | None = None
    """(..., counts) the means that a part or a metric is made of, where it is made of several with counts of their
    own: a part is their sum, a metric the mean of those that are a mean over anything."""
    features: Tensor | None = None
    """(N, sum of the modalities' sizes): the features that the model read, zeros where a modality is absent."""
    fused: Tensor | None = None
    """(N, fused size): the modalities of each utterance, joined."""
    context: Tensor | None = None
    """(N, context size): the utterances in their context, before the graph."""
    graph: Tensor | None = None
    """(N, graph size): the representations that are classified, the graph encoder's if there is one."""
    edge_attention: Tensor | None = None
    """(E, heads): weight of each edge of the batch in the graph's attention; only on request."""


@dataclass
class FoalNetOutput(EmotionRecognitionOutput):
    """The output of the Foal-Net models. B utterances in a padded batch; N is B."""

    audio_embedding: Tensor | None = None
    """(B, projection_size) unit vectors, the audio of each utterance in the space of all modalities."""
    video_embedding: Tensor | None = None
    """(B, projection_size) unit vectors."""
    text_embedding: Tensor | None = None
    """(B, projection_size) unit vectors."""
    match_logits_a2v: Tensor | None = None
    """(2 B, 2) does the video that the audio looked at belong to it? Own pairs, then pairs with the hard negatives."""
    match_logits_v2a: Tensor | None = None
    """(2 B, 2) the same with the video looking at audio."""
