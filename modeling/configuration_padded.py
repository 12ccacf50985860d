"""The base configuration of the families on a padded batch of utterances, each a sequence of frames per stream."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_base import EmotionRecognitionConfig


@strict
class PaddedConfig(EmotionRecognitionConfig):
    """The base of the configurations of models that read single utterances as sequences of frames.

    Args:
        audio_dim, video_dim, text_dim: sizes of the frames; 0 leaves the stream out.
    """

    not_negative: ClassVar[tuple[str, ...]] = ("audio_dim", "video_dim", "text_dim")

    audio_dim: Any = 0  # an int; Foal-Net's None stands for the frames of its encoder
    video_dim: int = 0
    text_dim: int = 0

    @property
    def modality_dims(self) -> dict[str, int]:
        """Modality -> size of its frames, only those that are part of the model."""
        dims = {"text": self.text_dim, "audio": self.audio_dim or 0, "visual": self.video_dim}
        return {name: dim for name, dim in dims.items() if dim}

    @property
    def frame_dims(self) -> dict[str, int]:
        """The same by the names that the model has for its streams, in its order."""
        return self.modality_dims

    def validate_streams(self) -> None:
        """Check that there is a stream."""
        if not self.modality_dims:
            raise ValueError("audio_dim, video_dim and text_dim are all 0; a model reads one of them at least")


__all__ = ["PaddedConfig"]
