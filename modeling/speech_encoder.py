"""One vector per utterance from its waveform by an encoder of transformers, independent of the rest of the batch."""

from typing import Any, Self

from torch import Tensor, nn

from .audio_encoder import WaveformEncoder
from .configuration_base import frame_size
from .configuration_dialogue import DialogueConfig
from .utterance_encoder import UtteranceEncoder


class SpeechEncoder(UtteranceEncoder, WaveformEncoder):
    """An encoder of waveforms (WavLM, wav2vec 2.0, HuBERT, ...), its frames averaged and normalised.

    Args:
        config: of transformers.
        freeze_feature_encoder: leave the convolutional front as it is in training.
        trainable: whether the encoder itself learns.

    Raises:
        ValueError: the config is not that of a model that reads waveforms.
    """

    def __init__(self, config: Any, freeze_feature_encoder: bool, trainable: bool) -> None:
        super().__init__(config, freeze_feature_encoder, trainable)
        self.norm = nn.LayerNorm(frame_size(config))

    @classmethod
    def of(cls, config: DialogueConfig) -> Self | None:
        """The encoder of a model of this config, or None if its audio comes as features."""
        if config.audio_config is None:
            return None
        return cls(config.audio_config, config.freeze_feature_encoder, config.unfreeze_audio_encoder)

    def elements_per_input(self) -> int:
        """As in the base class; the first convolution holds the most, a vector each few samples."""
        config = self.encoder.config
        return max(1, config.conv_dim[0] // config.conv_stride[0])

    def pool(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """As in the base class."""
        return self.frames(inputs, mask, self.norm.weight.dtype).mean()
