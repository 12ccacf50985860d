"""`SDTConfig`: the transformer with self-distillation."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig, unless_given


@strict
class SDTConfig(DialogueConfig):
    """Sizes and choices of an SDT model (Ma et al., IEEE TMM 2024). `SDTConfig()` is what we recommend.

    `SDTConfig.released()` is what the authors' code computes; the defaults mend its mistakes, and are sized for a
    workstation: the published width of 1024 has 80 million parameters, the default has one million.

    Fields that are not listed here are those of `DialogueConfig`. The processor's graph is not read.

    Args:
        text_dim, audio_dim, visual_dim: as in `DialogueConfig`. With one modality there is nothing to distil.
        max_speakers: most speakers in a dialogue that have a vector of their own; further ones have none.
        input_dropout_prob, modality_dropout_prob: 0, since the authors' code has neither.
        absent_modality: as in `DialogueConfig`. No query sees the keys of `"zeros"`, which have no share in the
            fusion.
        projection_size: width of each modality's stream, even, and divisible by the heads; 1024 in the authors' code.
        num_attention_heads: heads of each of the encoders, one for each pair of modalities.
        hidden_dropout_prob: dropout of the encoders' inputs, attention weights and layers, and of the students.
        unimodal_gate: `"learned"`, a matrix for each pair of modalities, or `"identity"`, which the authors' code has
            for MELD.
        student_loss_weight: of the classification by each modality's own stream, the students.
        distillation_loss_weight: of the students' distance from the fused stream, the teacher.
        distillation_temperature: divisor of both sides' logits there; 1 for IEMOCAP and 8 for MELD in the authors'
            code.
        detach_teacher: keep the students' distance from changing the teacher; the authors' code lets it.
        scale_by_temperature_squared: multiply that distance by the temperature's square, so that its gradient does
            not shrink with the temperature; the authors' code does not.
    """

    model_type = "sdt"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "unimodal_gate": ("learned", "identity")
    }
    sizes: ClassVar[tuple[str, ...]] = (*DialogueConfig.sizes, "projection_size", "num_attention_heads")
    not_negative: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.not_negative,
        "student_loss_weight",
        "distillation_loss_weight",
    )
    above_zero: ClassVar[tuple[str, ...]] = (*DialogueConfig.above_zero, "distillation_temperature")

    relation_scheme: str = "same_or_other"
    input_dropout_prob: float | int = 0.0
    modality_dropout_prob: float | int = 0.0
    projection_size: int = 128
    num_attention_heads: int = 8
    unimodal_gate: str = "learned"
    student_loss_weight: float | int = 1.0
    distillation_loss_weight: float | int = 1.0
    distillation_temperature: float | int = 1.0
    detach_teacher: bool = True
    scale_by_temperature_squared: bool = True

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return self.projection_size

    def validate_width(self) -> None:
        """Check that the width suits the positions and the heads."""
        if self.projection_size % 2 or self.projection_size % self.num_attention_heads:
            raise ValueError(
                f"projection_size={self.projection_size} must be even and divisible by "
                f"num_attention_heads={self.num_attention_heads}"
            )

    @classmethod
    def released(cls, **overrides: Any) -> "SDTConfig":
        """The form that the authors' code computes for IEMOCAP, at its sizes. Every field can be overridden.

        For MELD: `unimodal_gate="identity"`, `distillation_temperature=8`, and its own sizes and speakers.
        """
        config: dict[str, Any] = {
            **unless_given({"text_dim": 1024, "audio_dim": 1582, "visual_dim": 342}, overrides),
            "projection_size": 1024,
            "num_attention_heads": 8,
            "hidden_dropout_prob": 0.5,
            "detach_teacher": False,
            "scale_by_temperature_squared": False,
        }
        return cls.with_defaults(config, overrides)


__all__ = ["SDTConfig"]
