"""`M3NetConfig`: a hypergraph and a multi-frequency graph of the modalities of a dialogue."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig, unless_given
from .focal_loss import CLASSIFICATION_LOSSES, check_classification_loss


@strict
class M3NetConfig(DialogueConfig):
    """Sizes and choices of an M3Net model (Chen et al., CVPR 2023). `M3NetConfig()` is what we recommend.

    `M3NetConfig.released()` is what the authors' code computes; the defaults mend its mistakes, and are sized for a
    workstation: the published form for IEMOCAP has 6.6 million parameters.

    Fields that are not listed here are those of `DialogueConfig`. The processor's graph is not read.

    Args:
        text_layers: vectors of the text, such as those of several layers of an encoder, that lie side by side in
            text_features, and whose mean is read; 4 in the authors' code.
        max_speakers: most speakers in a dialogue that have a vector of their own; further ones have none.
        speakers: the modalities to which a speaker's vector is added: `"all"`, as in the paper, or `"text"` alone, as
            in the authors' code.
        input_dropout_prob, modality_dropout_prob: 0, since the authors' code has neither.
        absent_modality: as in `DialogueConfig`. The node of `"zeros"` is in neither graph.
        text_norm: of each of the text's vectors: `"none"`, since the processor standardises them with the statistics
            of the training data; `"batch"`, batch normalisation over the utterances that have text; `"padded_batch"`,
            over the padding too, as in the authors' code. With both, a training step depends on its batch.
        text_projection: map the text to the width of the context; off in the authors' code for MELD.
        projection_size: width of the context, even; 512 for IEMOCAP and 1024 for MELD in the authors' code.
        reads_padding: let the recurrence run over the padding of a batch, as in the authors' code, where an
            utterance's emotion depends on who shares the batch.
        graph_hidden_size: width of both graphs; 512 in the authors' code.
        hyper_num_layers: layers of the hypergraph.
        frequency_num_layers: layers of the multi-frequency graph.
        hyper_weights: what the weights of hyperedges and of their nodes belong to: `"kind"`, a hyperedge's (the
            context of each modality, or an utterance) and a node's modality, as weighted means; `"dialogue"`, their
            numbers in the dialogue, and in the denominators alone; `"batch"`, their numbers in the batch, as in the
            authors' code.
        num_hyperedge_weights, num_node_weights: how many have a weight where they are numbered; others weigh 1.
        use_residue: classify the graphs' input too.
        hidden_dropout_prob: dropout between the recurrent layers and before the classifier.
        classification_loss: `"cross_entropy"`; `"focal"`, -(1 - p)^gamma log p; `"released_focal"`, what the authors'
            code has in its place for MELD.
        focal_gamma: gamma of the two.
        label_smoothing: as in `DialogueConfig`, in cross-entropy alone.
    """

    model_type = "m3net"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "text_norm": ("none", "batch", "padded_batch"),
        "speakers": ("all", "text"),
        "hyper_weights": ("kind", "dialogue", "batch"),
        "classification_loss": CLASSIFICATION_LOSSES,
    }
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        *("text_layers", "projection_size", "graph_hidden_size", "hyper_num_layers", "frequency_num_layers"),
        *("num_hyperedge_weights", "num_node_weights"),
    )
    not_negative: ClassVar[tuple[str, ...]] = (*DialogueConfig.not_negative, "focal_gamma")

    relation_scheme: str = "same_or_other"
    input_dropout_prob: float | int = 0.0
    modality_dropout_prob: float | int = 0.0
    text_layers: int = 1
    speakers: str = "all"
    text_norm: str = "none"
    text_projection: bool = True
    projection_size: int = 128
    reads_padding: bool = False
    graph_hidden_size: int = 128
    hyper_num_layers: int = 3
    frequency_num_layers: int = 4
    hyper_weights: str = "kind"
    num_hyperedge_weights: int = 1000
    num_node_weights: int = 5200
    use_residue: bool = False
    classification_loss: str = "cross_entropy"
    focal_gamma: float | int = 2.5

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        width = 2 * self.graph_hidden_size + (self.projection_size if self.use_residue else 0)
        return len(self.modality_dims) * width

    @property
    def text_layer_size(self) -> int:
        """Size of each of the text's vectors."""
        return self.modality_dims.get("text", 0) // self.text_layers

    def validate_widths(self) -> None:
        """Check that the text's vectors and the width of the context fit each other."""
        size = self.modality_dims.get("text", 0)
        if size % self.text_layers:
            raise ValueError(f"text_layers={self.text_layers} does not divide the text's vectors of size {size}")
        if self.text_dim and not self.text_projection and self.projection_size != self.text_layer_size:
            raise ValueError(
                f"without text_projection, projection_size must be the text's {self.text_layer_size}, "
                f"got {self.projection_size}"
            )
        if self.projection_size % 2:
            raise ValueError(f"projection_size must be even, for two directions, got {self.projection_size}")

    def validate_focus(self) -> None:
        """Check that a focal loss is asked for where there is one."""
        check_classification_loss(self)

    @classmethod
    def released(cls, **overrides: Any) -> "M3NetConfig":
        """The form that the authors' code computes for IEMOCAP, at its sizes. Every field can be overridden.

        Weights belong to numbers in the dialogue and padding is left out, which is the authors' form for a dialogue
        alone and makes prediction independent of the batch; `hyper_weights="batch"` with `reads_padding=True` is
        theirs in a batch too. For MELD: `text_projection=False`, `projection_size=1024`, `frequency_num_layers=3`,
        `classification_loss="released_focal"`, and its own sizes and speakers.
        """
        config: dict[str, Any] = {
            **unless_given({"text_dim": 4 * 1024, "audio_dim": 1582, "visual_dim": 342, "text_layers": 4}, overrides),
            "speakers": "text",
            "text_norm": "padded_batch",
            "projection_size": 512,
            "graph_hidden_size": 512,
            "hyper_weights": "dialogue",
            "hidden_dropout_prob": 0.5,
        }
        return cls.with_defaults(config, overrides)


__all__ = ["M3NetConfig"]
