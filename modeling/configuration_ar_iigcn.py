"""`ARIIGCNConfig`: AR-IIGCN as we reconstructed it from its abstract."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_graph import SpeakerGraphConfig


@strict
class ARIIGCNConfig(SpeakerGraphConfig):
    """Sizes and choices of an AR-IIGCN model. `ARIIGCNConfig()` is what we recommend.

    We know only the abstract of the paper (Shou et al., arXiv 2312.16778). It gives the parts: an MLP per modality
    into separate feature spaces, a generator and a discriminator per modality, a graph of the three modalities,
    contrast of different emotions in a modality and of the same emotion across modalities. Layers, sizes, weights and
    formulas are ours; no number of this model is the paper's. The recommended values were chosen on validation
    dialogues, never on a test set.

    Fields that are not listed here are those of `SpeakerGraphConfig` and `DialogueConfig`.

    Args:
        text_dim, audio_dim, visual_dim: as in `DialogueConfig`. With one modality there is neither an adversarial game
            nor a contrast across modalities.
        projection_size: width of each modality's space, from its MLP to its graph.
        generator: `"mlp"`, or `"gru"` with a GRU over the dialogue, bidirectional unless `causal`, in each generator.
        discriminator_hidden_size: hidden layer of each discriminator.
        discriminator_learning_rate: of the discriminators in `JoyfulTrainer`; None is that of the rest.
        adversarial_loss_weight: of the generators' loss; at 0 the discriminators learn, but nobody plays
            against them.
        graph_num_layers: relational convolutions of each modality's graph; 0 switches the graphs off.
        graph_num_heads: heads of the attention over the same edges that follows; 0 leaves it out.
        contrastive_temperature: divides the cosine similarities of both contrasts.
        intra_modal_loss_weight, inter_modal_loss_weight: of the contrast inside a modality (ICCL) and across
            modalities (IMCL); 0 switches it off. Regression has no classes to contrast.
        classifier_hidden_size: hidden layer of the classifier.
    """

    model_type = "ar_iigcn"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = SpeakerGraphConfig.choices | {"generator": ("mlp", "gru")}
    sizes: ClassVar[tuple[str, ...]] = (
        *SpeakerGraphConfig.sizes,
        "projection_size",
        "discriminator_hidden_size",
        "classifier_hidden_size",
    )
    not_negative: ClassVar[tuple[str, ...]] = (
        *SpeakerGraphConfig.not_negative,
        "discriminator_learning_rate",
        "adversarial_loss_weight",
        "intra_modal_loss_weight",
        "inter_modal_loss_weight",
    )
    above_zero: ClassVar[tuple[str, ...]] = (*SpeakerGraphConfig.above_zero, "contrastive_temperature")

    input_dropout_prob: float | int = 0.1
    modality_dropout_prob: float | int = 0.0
    projection_size: int = 64
    generator: str = "gru"
    discriminator_hidden_size: int = 64
    discriminator_learning_rate: float | int | None = 5e-4
    adversarial_loss_weight: float | int = 0.1
    contrastive_temperature: float | int = 0.5
    intra_modal_loss_weight: float | int = 0.1
    inter_modal_loss_weight: float | int = 0.1
    classifier_hidden_size: int = 64

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return len(self.modality_dims) * self._graph_width(self.projection_size)

    @classmethod
    def paper(cls, **overrides: Any) -> "ARIIGCNConfig":
        """The parts that the abstract names and no others: two-layer MLPs, relational graphs without attention.

        This is not a reproduction: the paper's sizes and weights are unknown to us, and these are usual in the field.
        Every field can be overridden.
        """
        config: dict[str, Any] = {
            "projection_size": 100,
            "input_dropout_prob": 0.0,
            "modality_dropout_prob": 0.0,
            "absent_modality": "zeros",
            "hidden_dropout_prob": 0.5,
            "causal": False,
            "generator": "mlp",
            "discriminator_hidden_size": 64,
            "discriminator_learning_rate": 1e-4,
            "adversarial_loss_weight": 0.1,
            "graph_num_layers": 2,
            "graph_num_heads": 0,
            "graph_residual": False,
            "graph_max_distance": 0,
            "contrastive_temperature": 0.5,
            "intra_modal_loss_weight": 0.1,
            "inter_modal_loss_weight": 0.1,
            "classifier_hidden_size": 100,
            "label_smoothing": 0.0,
        }
        return cls.with_defaults(config, overrides)


__all__ = ["ARIIGCNConfig"]
