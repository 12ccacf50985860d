"""The base configuration of the families that join utterances in a graph of speakers by relational convolutions."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig


@strict
class SpeakerGraphConfig(DialogueConfig):
    """The base of the configurations of models with a `RelationalEncoder` on the graph of the batch.

    Fields that are not listed here are those of `DialogueConfig`.

    Args:
        causal: each utterance sees only its past; the processor needs `window_future=0`. Such a model can answer
            utterance by utterance (`StreamingRecognizer`) exactly as it answers a whole dialogue.
        graph_num_layers: relational convolutions.
        graph_num_heads: heads of the graph's attention.
        graph_residual: add each graph layer's input to its output, normalised.
        graph_max_distance: utterances that the graph attention's bias by relation and distance tells apart;
            0 leaves the bias out.
    """

    not_negative: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.not_negative,
        "graph_num_layers",
        "graph_num_heads",
        "graph_max_distance",
    )

    causal: bool = False
    graph_num_layers: int = 1
    graph_num_heads: int = 4
    graph_residual: bool = True
    graph_max_distance: int = 8

    def _graph_width(self, width: int) -> int:
        """Width behind a relational encoder's graph of this width."""
        is_shared = self.graph_residual or not self.graph_num_layers or not self.graph_num_heads
        return width if is_shared else width * self.graph_num_heads  # heads of the full width each


__all__ = ["SpeakerGraphConfig"]
