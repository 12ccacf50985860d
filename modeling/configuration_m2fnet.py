"""`M2FNetConfig`, with the paper's network and a public re-implementation as presets."""

from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict

from .configuration_base import most_heads
from .configuration_dialogue import DialogueConfig, unless_given

_RELEASED_HEADS = 8


@strict
class M2FNetConfig(DialogueConfig):
    """Sizes and choices of an M2FNet (Chudasama et al., CVPRW 2022). `M2FNetConfig()` is what we recommend.

    The authors published no code. `paper()` is the paper's network, with our reading where it is silent: heads, inner
    sizes, the width of the classifier. `released()` is the public re-implementation of students of the University of
    Bologna, for text and audio on MELD.

    Fields that are not listed here are those of `DialogueConfig`. The paper hides and drops nothing of its inputs, and
    the network does not read who speaks.

    Args:
        text_dim, audio_dim, visual_dim: as in `DialogueConfig`. The first one is the modality that the others are
            fused into: text in the paper, audio or visual in a model without text.
        projection_size: width to which each modality is projected before its encoders; None, as in the paper, keeps
            the width of its features, and where a row lacks the first modality nothing takes its place.
        num_encoders: N encoders of each modality, one after the other, each with a skip around it (paper: 5 for
            IEMOCAP, 1 for MELD); a dictionary gives modalities numbers of their own.
        num_hidden_layers: transformer layers within each skip; 1 in the paper, 6 in the re-implementation.
        encoder_norm: another layer norm at the end of each encoder, as in the re-implementation.
        num_attention_heads: heads of the encoders; a dictionary gives modalities numbers of their own. The paper does
            not say. None takes for each modality the largest number up to 8, the re-implementation's, that divides its
            width.
        intermediate_size: of the encoders' feed-forward layers; the paper does not say.
        fusion_size: width to which each stream is projected behind its encoders (re-implementation: 768); None, as in
            the paper, leaves them as they are.
        num_fusion_layers: m fusion modules, one after the other (paper: 5).
        num_fusion_heads: heads of their attention; None is that of the encoders of the first modality.
        fusion_activation: `"none"`, as printed, or `"relu"` before and behind the linear layer of each fusion module,
            as in the re-implementation.
        classifier_hidden_size: hidden layer of the classifier; None is the width of the fused stream, our reading.
        hidden_dropout_prob: dropout of all hidden layers (paper: 0.4 to 0.5).
    """

    model_type = "m2fnet"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "fusion_activation": ("none", "relu")
    }
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        "projection_size",
        "num_hidden_layers",
        "intermediate_size",
        "fusion_size",
        "num_fusion_heads",
        "classifier_hidden_size",
    )
    not_negative: ClassVar[tuple[str, ...]] = (*DialogueConfig.not_negative, "num_fusion_layers")

    input_dropout_prob: float | int = 0.1
    projection_size: int | None = 128
    num_encoders: int | dict[str, int] = 1
    num_hidden_layers: int = 1
    encoder_norm: bool = False
    num_attention_heads: int | dict[str, int] | None = 4
    intermediate_size: int = 256
    fusion_size: int | None = None
    num_fusion_layers: int = 2
    num_fusion_heads: int | None = None
    fusion_activation: str = "none"
    classifier_hidden_size: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.num_attention_heads is None:
            heads = {name: most_heads([size], _RELEASED_HEADS) for name, size in self.stream_sizes.items()}
            is_one = len(set(heads.values())) == 1
            self.num_attention_heads = next(iter(heads.values())) if is_one else heads

    @property
    def stream_sizes(self) -> dict[str, int]:
        """Modality -> width of its encoders."""
        return {name: self.projection_size or dim for name, dim in self.modality_dims.items()}

    @property
    def fused_sizes(self) -> dict[str, int]:
        """Modality -> width of its stream behind the encoders, where the streams are fused and joined."""
        return {name: self.fusion_size or size for name, size in self.stream_sizes.items()}

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified: the fused stream and the others."""
        return sum(self.fused_sizes.values())

    def of_modality(self, field: str, modality: str) -> int:
        """The value of `num_encoders` or `num_attention_heads` for a modality."""
        value = getattr(self, field)
        return value[modality] if isinstance(value, dict) else value

    def validate_modalities(self) -> None:
        """Check that the heads divide each stream, and that dictionaries name every modality."""
        for field, least in (("num_encoders", 0), ("num_attention_heads", 1)):
            value = getattr(self, field)
            if isinstance(value, dict) and (missing := self.modality_dims.keys() - value.keys()):
                raise ValueError(f"{field} has no number for {', '.join(sorted(missing))}; add it, or give one number")
            for name in self.modality_dims:
                if self.of_modality(field, name) < least:
                    raise ValueError(f"{field} must be {least} or more, got {self.of_modality(field, name)}")
        for name, size in self.stream_sizes.items():
            heads = self.of_modality("num_attention_heads", name)
            if size % heads:
                raise ValueError(
                    f"num_attention_heads={heads} does not divide {size}, the width of the {name} stream; change it "
                    "or projection_size"
                )

    @classmethod
    def paper(cls, **overrides: Any) -> Self:
        """The paper's network for IEMOCAP; every field can be overridden. `num_encoders=1` is MELD's."""
        return cls.with_defaults(
            {
                "projection_size": None,
                "num_encoders": 5,
                "num_attention_heads": 1,
                "intermediate_size": 2048,
                "num_fusion_layers": 5,
                "hidden_dropout_prob": 0.4,
                "input_dropout_prob": 0.0,
                "modality_dropout_prob": 0.0,
            },
            overrides,
        )

    @classmethod
    def released(cls, **overrides: Any) -> Self:
        """The network of the public re-implementation, on its features; every field can be overridden."""
        return cls.with_defaults(
            {
                **unless_given({"text_dim": 768, "audio_dim": 768}, overrides),  # RoBERTa-base and wav2vec 2.0
                "projection_size": None,
                "num_hidden_layers": 6,
                "encoder_norm": True,
                "num_attention_heads": None,
                "intermediate_size": 2048,
                "fusion_size": 768,
                "num_fusion_layers": 5,
                "num_fusion_heads": _RELEASED_HEADS,
                "fusion_activation": "relu",
                "hidden_dropout_prob": 0.4,
                "label_smoothing": 0.1,
                "input_dropout_prob": 0.0,
                "modality_dropout_prob": 0.0,
            },
            overrides,
        )


__all__ = ["M2FNetConfig"]
