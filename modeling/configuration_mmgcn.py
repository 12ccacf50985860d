"""`MMGCNConfig`: sizes and choices of MMGCN, with the form of the authors' code as a preset."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig, unless_given
from .focal_loss import CLASSIFICATION_LOSSES, check_classification_loss


@strict
class MMGCNConfig(DialogueConfig):
    """Sizes and choices of an MMGCN model.

    Hu et al., ACL-IJCNLP 2021 (arXiv 2107.06779). `MMGCNConfig()` has four layers, as the authors' commands ask for,
    and mends what stands in the way of speakers and absent modalities; `MMGCNConfig.released()` computes what their
    code does, whose network has 64 layers whatever it is asked for.

    Fields that are not listed here are those of `DialogueConfig`. The processor's graph is not read: in the model's
    own, all utterances of a dialogue are joined.

    Args:
        max_speakers: speakers of a dialogue that have a vector, by their index in it; others have none.
        input_dropout_prob, modality_dropout_prob: 0, since the authors' code has neither.
        absent_modality: as in `DialogueConfig`: `"zeros"` is a node without any edge, `"learnt"` one with the edges of
            all others.
        text_projection_size: width of the text in front of its recurrent encoder (authors: 200).
        recurrent_size: D_e, width of each direction of the text's encoder; the nodes are twice as wide (authors: 100).
        num_hidden_layers: layers of the text's encoder, an LSTM (authors: 2).
        speaker_modalities: the nodes to which a vector of their speaker is added: those of `"all"` modalities, each
            with vectors of its own, of the `"text"` alone (the authors' code), or `"none"`.
        modality_vectors: add a vector of its modality to each node. The authors' default is not to.
        graph_hidden_size: H, width of the graph's layers (authors: 100).
        graph_num_layers: L, the number of layers (authors' commands: 4; their network: 64).
        graph_residual: alpha, the share of the first layer's input in each layer (authors: 0.1).
        graph_decay: lambda of theta_l = ln(lambda / l + 1), the share of each layer's own map (authors: 0.5).
        node_activation: put the nodes in front of the graph, which are classified beside its output, through dropout
            and ReLU. The authors' code does: of the negative half nothing is left.
        classification_loss: `"cross_entropy"` (the authors' for IEMOCAP), `"focal"`, or `"released_focal"`, what the
            authors' code computes in its place for MELD.
        focal_gamma: gamma of the focal losses (authors: 2.5).
        hidden_dropout_prob: dropout between the recurrent layers, in front of each layer of the graph and of the
            classifier (authors: 0.4).
    """

    model_type = "mmgcn"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "speaker_modalities": ("all", "text", "none"),
        "classification_loss": CLASSIFICATION_LOSSES,
    }
    probabilities: ClassVar[tuple[str, ...]] = (*DialogueConfig.probabilities, "graph_residual")
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        "text_projection_size",
        "recurrent_size",
        "num_hidden_layers",
        "graph_hidden_size",
        "graph_num_layers",
    )
    not_negative: ClassVar[tuple[str, ...]] = (*DialogueConfig.not_negative, "graph_decay", "focal_gamma")

    input_dropout_prob: float | int = 0.0
    modality_dropout_prob: float | int = 0.0
    text_projection_size: int = 200
    recurrent_size: int = 100
    num_hidden_layers: int = 2
    speaker_modalities: str = "all"
    modality_vectors: bool = False
    graph_hidden_size: int = 100
    graph_num_layers: int = 4
    graph_residual: float | int = 0.1
    graph_decay: float | int = 0.5
    node_activation: bool = False
    classification_loss: str = "cross_entropy"
    focal_gamma: float | int = 2.5
    hidden_dropout_prob: float | int = 0.4

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return len(self.modality_dims) * (2 * self.recurrent_size + self.graph_hidden_size)

    def validate_classification_loss(self) -> None:
        """Check that a focal loss is asked for where there is one."""
        check_classification_loss(self)

    @classmethod
    def released(cls, **overrides: Any) -> "MMGCNConfig":
        """The form of the authors' code for IEMOCAP, with the sizes of its features; every field can be overridden.

        For MELD: `text_dim=600, audio_dim=300, max_speakers=9, classification_loss="released_focal"`. What padding
        does to the text's encoder is not computed here.
        """
        config: dict[str, Any] = {
            **unless_given({"text_dim": 100, "audio_dim": 1582, "visual_dim": 342}, overrides),
            "input_dropout_prob": 0.0,
            "modality_dropout_prob": 0.0,
            "absent_modality": "zeros",
            "text_projection_size": 200,
            "recurrent_size": 100,
            "num_hidden_layers": 2,
            "speaker_modalities": "text",
            "modality_vectors": False,
            "graph_hidden_size": 100,
            "graph_num_layers": 64,
            "graph_residual": 0.1,
            "graph_decay": 0.5,
            "node_activation": True,
            "classification_loss": "cross_entropy",
            "hidden_dropout_prob": 0.4,
            "label_smoothing": 0.0,
        }
        return cls.with_defaults(config, overrides)


__all__ = ["MMGCNConfig"]
