"""Audio frames from waveforms by an encoder of transformers, independent of the rest of the batch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from .inner_encoder import PretrainedEncoder, build_encoder, encoder_config
from .streams import FrameStream

# Encoders whose frames are free of padding once their group normalisation is. In the others, convolutions over time
# spread it, so that they have to read one waveform after the other.
_PADDING_STAYS_OUT = ("wavlm", "wav2vec2", "hubert", "unispeech", "unispeech-sat")


class UnpaddedGroupNorm(nn.GroupNorm):
    """Group normalisation of each channel over its real positions alone.

    transformers' own counts the padding, so that a waveform's frames would depend on the longest of its batch.
    """

    lengths: Tensor | None = None
    """(B,) real positions of the batch that comes next."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, channels, T), one channel per group."""
        if self.lengths is None:
            return super().forward(input)
        real = (torch.arange(input.size(-1), device=input.device) < self.lengths[:, None])[:, None]
        values, count = input.float(), self.lengths[:, None, None]
        mean = torch.where(real, values, 0.0).sum(-1, keepdim=True) / count
        variance = torch.where(real, (values - mean) ** 2, 0.0).sum(-1, keepdim=True) / count
        normalized = (values - mean) * torch.rsqrt(variance + self.eps)
        return (normalized * self.weight[:, None] + self.bias[:, None]).to(input.dtype)


class WaveformEncoder(PretrainedEncoder):
    """An encoder of waveforms (WavLM, wav2vec 2.0, HuBERT, data2vec, ...), built from its config: their frames.

    Args:
        config: of transformers.
        freeze_feature_encoder: leave the convolutional front as it is in training.
        trainable: whether the encoder itself learns.

    Raises:
        ValueError: the config is not that of a model that reads waveforms.
    """

    def __init__(self, config: Any, freeze_feature_encoder: bool = False, trainable: bool = True) -> None:
        encoder = build_encoder(config) if hasattr(config, "conv_kernel") else None
        if not hasattr(encoder, "feature_extractor"):
            raise ValueError(
                f"audio_config is of type {config.model_type!r}, which does not read waveforms; "
                "take one like WavLM, wav2vec 2.0 or HuBERT, or give audio_dim and precomputed audio_frames"
            )
        super().__init__(encoder, trainable)
        for layer in encoder.feature_extractor.conv_layers:
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm) and norm.num_groups == norm.num_channels:
                layer.layer_norm = UnpaddedGroupNorm(norm.num_groups, norm.num_channels, norm.eps, norm.affine)
        self.freeze_feature_encoder = freeze_feature_encoder
        self.freeze()

    def freeze(self) -> None:
        """Freeze what is not to learn, the convolutional front alone or all of it; loading makes it learn again."""
        super().freeze()
        if self.freeze_feature_encoder:
            for parameter in self.encoder.feature_extractor.parameters():
                parameter.requires_grad = False

    @property
    def shortest(self) -> int:
        """Samples of the shortest waveform that the encoder can read."""
        samples = getattr(self.encoder.config, "squeeze_factor", 1)
        for kernel, stride in reversed(self._convolutions()):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, input_values: Tensor, attention_mask: Tensor | None, dtype: torch.dtype) -> FrameStream:
        """Waveforms (B, S) and their mask (B, S), 1 = real, padded at the end -> frames (B, T, hidden size).

        An utterance without a real sample has no frame; one too short to be read is followed by silence.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_values, dtype=torch.long)
        shortest = self.shortest
        waveforms = torch.where(attention_mask.bool(), input_values.to(dtype), input_values.new_zeros((), dtype=dtype))
        if (missing := shortest - waveforms.size(-1)) > 0:
            waveforms = functional.pad(waveforms, (0, missing))
        given = attention_mask.sum(-1)
        # Absent waveforms are read as silence, which no attention of the encoder turns into NaN, and then dropped.
        lengths = given.clamp(min=shortest)
        if self.encoder.config.model_type not in _PADDING_STAYS_OUT:
            return self._one_by_one(waveforms, lengths, given > 0)
        read = torch.arange(waveforms.size(-1), device=waveforms.device) < lengths[:, None]
        self._tell_norms(lengths)
        frames = self.encoder(
            waveforms, attention_mask=read.long(), **self._without_masks(waveforms)
        ).last_hidden_state
        frame_lengths = self.encoder._get_feat_extract_output_lengths(lengths) * (given > 0)
        mask = torch.arange(frames.size(1), device=frames.device) < frame_lengths[:, None]
        return FrameStream.of(frames, mask, frames.dtype)

    def _one_by_one(self, waveforms: Tensor, lengths: Tensor, present: Tensor) -> FrameStream:
        frames = [
            self.encoder(alone, **self._without_masks(alone)).last_hidden_state[0]
            for alone in (
                waveform[None, :length] for waveform, length in zip(waveforms, lengths.tolist(), strict=True)
            )
        ]
        padded = nn.utils.rnn.pad_sequence(frames, batch_first=True)
        frame_lengths = torch.tensor([len(rows) for rows in frames], device=padded.device) * present
        mask = torch.arange(padded.size(1), device=padded.device) < frame_lengths[:, None]
        return FrameStream.of(padded, mask, padded.dtype)

    def _without_masks(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Return what leaves SpecAugment out of waveforms that have fewer frames than it masks in one piece.

        transformers raises an error for them in training: 10 frames of WavLM are 0.2 s.
        """
        frames = waveforms.size(-1)
        for kernel, stride in self._convolutions():
            frames = (frames - kernel) // stride + 1
        if not self.encoder.training or frames >= self.encoder.config.mask_time_length:
            return {}
        return {"mask_time_indices": torch.zeros(len(waveforms), frames, dtype=torch.bool, device=waveforms.device)}

    def _tell_norms(self, lengths: Tensor) -> None:
        layers = self.encoder.feature_extractor.conv_layers
        for layer, (kernel, stride) in zip(layers, self._convolutions(), strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, UnpaddedGroupNorm):
                norm.lengths = lengths

    def _convolutions(self) -> list[tuple[int, int]]:
        """Kernel size and stride of each layer of the convolutional front."""
        config = self.encoder.config
        return list(zip(config.conv_kernel, config.conv_stride, strict=True))


class AudioEncoder(WaveformEncoder):
    """The frames of waveforms."""

    def forward(self, input_values: Tensor, attention_mask: Tensor | None, dtype: torch.dtype) -> FrameStream:
        """As `frames`."""
        return self.frames(input_values, attention_mask, dtype)


def audio_encoder_settings(pretrained: PreTrainedModel) -> dict[str, Any]:
    """Fields of the config of a model that is to have this encoder; its convolutional front is frozen."""
    return {"freeze_feature_encoder": True, "audio_config": encoder_config(pretrained)}
