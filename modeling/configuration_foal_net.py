"""`FoalNetConfig`, with the released code's form of Foal-Net as a preset."""

import math
from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_base import frame_size, most_heads
from .configuration_padded import PaddedConfig

# microsoft/wavlm-large, which the released code fine-tunes.
_WAVLM_LARGE: dict[str, Any] = {
    "model_type": "wavlm",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.1,
    "final_dropout": 0.0,
}
# CLIP's initial logit scale as a temperature, and the number that the released code takes: see `initial_temperature`.
_RELEASED_HEADS = 4
_CLIP_TEMPERATURE = 0.07
_RELEASED_TEMPERATURE = math.log(1 / _CLIP_TEMPERATURE)


@strict
class FoalNetConfig(PaddedConfig):
    """Sizes and choices of a Foal-Net model. `FoalNetConfig()` has the sizes of the paper (Interspeech 2024).

    `FoalNetConfig.released()` is the network of the authors' code. The paper gives no sizes: they are that code's.

    Fields that are not listed here are those of `EmotionRecognitionConfig`.

    Args:
        audio_dim: size of the audio frames. By default that of `audio_config`; without one, frames of this size come
            in where waveforms would. 0 leaves audio out.
        video_dim: size of the video frames (CLIP ViT-L/14: 768); 0 leaves video out.
        text_dim: size of the text frames; 0, as in the paper, leaves text out.
        audio_config: the encoder of waveforms: a config of transformers (WavLM, wav2vec 2.0, HuBERT, ...) or its
            fields, of WavLM unless `model_type` says otherwise. WavLM-large if audio_dim is not given either.
        freeze_feature_encoder: leave the encoder's convolutional front as it is in training.
        encoder_learning_rate: of the encoder in `JoyfulTrainer` (released: 1e-4, for every part); None is that of the
            rest.
        projection_size: width of the space in which modalities are aligned.
        projection_dropout_prob: dropout of the projections into it.
        num_hidden_layers, hidden_dropout_prob: of the cross-attention.
        num_attention_heads: its heads; None takes the largest number up to 4, the released one, that divides the
            frames of every stream.
        classify_embeddings: give the classifier the aligned embeddings beside the fused streams (released: no). On
            frames that were computed beforehand, alignment and classifier would otherwise have no parameter in common:
            the alignment could change predictions only through the negatives that the matching draws.
        temperature_mode: `"clip"`, a learnable scale exp(s) of at most 100 multiplies the similarities, or
            `"released"`, a learnable number divides them.
        initial_temperature: what divides the similarities at the start: 0.07 for `"clip"`. The released code takes
            CLIP's *logarithm of the scale* for the divisor, log(1 / 0.07) = 2.66.
        avel_normalize: average over the utterances of the same emotion. The released code sums, so that the loss and
            its gradient grow with the number of them in a batch; the paper's formula is not known to us.
        avel_loss_weight: weight of the alignment loss (1.0); 0 switches it off.
        mem_loss_weight: weight of the matching loss (0.1); 0 switches it off.
    """

    model_type = "foal_net"
    keys_to_ignore_at_inference = [
        *PaddedConfig.keys_to_ignore_at_inference,
        "audio_embedding",
        "video_embedding",
        "text_embedding",
        "match_logits_a2v",
        "match_logits_v2a",
    ]
    sub_configs_defaults = {"audio_config": SubConfigSpec(AutoConfig, model_type="wavlm", optional=True)}

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = PaddedConfig.choices | {
        "temperature_mode": ("clip", "released")
    }
    probabilities: ClassVar[tuple[str, ...]] = (
        *PaddedConfig.probabilities,
        "projection_dropout_prob",
        "hidden_dropout_prob",
    )
    sizes: ClassVar[tuple[str, ...]] = ("projection_size", "num_hidden_layers", "num_attention_heads")
    not_negative: ClassVar[tuple[str, ...]] = (
        *PaddedConfig.not_negative,
        "avel_loss_weight",
        "mem_loss_weight",
        "encoder_learning_rate",
    )
    above_zero: ClassVar[tuple[str, ...]] = (*PaddedConfig.above_zero, "initial_temperature")

    audio_dim: int | None = None
    video_dim: int = 768
    audio_config: dict | PreTrainedConfig | None = None
    freeze_feature_encoder: bool = False
    encoder_learning_rate: float | int | None = 1e-4

    projection_size: int = 512
    projection_dropout_prob: float | int = 0.5
    num_hidden_layers: int = 2
    num_attention_heads: int | None = None
    hidden_dropout_prob: float | int = 0.1

    classify_embeddings: bool = True
    temperature_mode: str = "clip"
    initial_temperature: float | int | None = None
    avel_normalize: bool = True
    avel_loss_weight: float | int = 1.0
    mem_loss_weight: float | int = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        if self.audio_dim is None and self.audio_config is None:
            self.audio_config = dict(_WAVLM_LARGE)
        if self.initial_temperature is None:
            is_clip = self.temperature_mode == "clip"
            self.initial_temperature = _CLIP_TEMPERATURE if is_clip else _RELEASED_TEMPERATURE
        super().__post_init__(**kwargs)
        if self.audio_dim is None:
            self.audio_dim = frame_size(self.audio_config)
        if self.num_attention_heads is None:
            self.num_attention_heads = most_heads(self.frame_dims.values(), _RELEASED_HEADS)

    @property
    def frame_dims(self) -> dict[str, int]:
        """Stream -> size of its frames, in the order of the batch."""
        dims = {"audio": self.audio_dim or 0, "video": self.video_dim, "text": self.text_dim}
        return {name: dim for name, dim in dims.items() if dim}

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified: each stream asks every other one, or itself."""
        fused = sum(self.frame_dims.values()) * max(1, len(self.frame_dims) - 1)
        is_aligned = self.classify_embeddings and len(self.frame_dims) > 1
        return fused + len(self.frame_dims) * self.projection_size * is_aligned

    def validate_streams(self) -> None:
        """Check that there is a stream, that the heads divide each, and that the encoder's frames fit."""
        super().validate_streams()
        for name, dim in self.frame_dims.items():
            if dim % (self.num_attention_heads or 1):
                raise ValueError(f"num_attention_heads={self.num_attention_heads} does not divide {name}_dim={dim}")
        if self.audio_config is not None and self.audio_dim != frame_size(self.audio_config):
            raise ValueError(
                f"audio_dim is {self.audio_dim}, the encoder of audio_config gives frames of size "
                f"{frame_size(self.audio_config)}; leave audio_dim out"
            )

    @classmethod
    def released(cls, **overrides: Any) -> Self:
        """The network of the authors' code; every field can be overridden."""
        config = {"classify_embeddings": False, "temperature_mode": "released", "avel_normalize": False}
        return cls.with_defaults(config, overrides)


__all__ = ["FoalNetConfig"]
