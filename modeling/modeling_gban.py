"""GBAN: speech and text of an utterance aligned in both directions, and joined by gates in two groups.

After Liu, Li, Meng (Interspeech 2020, arXiv 2201.06309) and what their code computes; for more than two modalities,
the generalisation is ours. S is the sequence of speech, X that of text.
"""

from itertools import pairwise, permutations

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.utils import can_return_tuple

from .batch_contract import WAY_OUT, check_tokens
from .configuration_gban import GBANConfig
from .frame_convolution import FrameConvolution
from .frame_lstm import FrameLSTM
from .mlp import make_mlp
from .modality_inputs import softmax_over_modalities
from .modeling_padded import PaddedClassifierMixin, PaddedPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .reach import ALONE
from .streams import FrameStream


class WordVectors(nn.Module):
    """A table of word vectors, learnt with the rest; the first row is padding's."""

    reach = ALONE
    without_weight_decay = ("weight",)

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw vectors of about unit length."""
        init.normal_(self.weight, std=self.weight.size(-1) ** -0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, size)."""
        return self.weight[ids]


class SequenceEncoder(nn.Module):
    """Convolutions, one after the other (frames) or side by side (words), and an LSTM in both directions."""

    reach = ALONE

    def __init__(self, config: GBANConfig, modality: str) -> None:
        super().__init__()
        dim, is_text = config.modality_dims[modality], modality == "text"
        windows = config.frame_padding == "valid"
        self.side_by_side = is_text
        if is_text:
            settings = [(dim, config.text_filters, kernel) for kernel in config.text_kernels]
            width = config.text_filters * len(settings)
        else:
            sizes = [dim, *config.frame_filters]
            settings = [(*pair, config.frame_kernel) for pair in pairwise(sizes)]
            width = sizes[-1]
        self.convolutions = nn.ModuleList(
            FrameConvolution(*sizes, whole_windows=windows and not is_text, drop_odd=windows) for sizes in settings
        )
        self.lstm = FrameLSTM(width, config.lstm_size, config.lstm_gate == "hard_sigmoid")

    def forward(self, stream: FrameStream) -> FrameStream:
        """(B, T, dim) -> (B, steps, 2 * lstm_size)."""
        frames, mask = stream.frames, stream.mask
        if self.side_by_side:
            convolved = [convolve(frames, mask) for convolve in self.convolutions]
            frames, mask = torch.cat([steps for steps, _ in convolved], dim=-1), convolved[0][1]
        else:
            for convolve in self.convolutions:
                frames, mask = convolve(frames, mask)
        return FrameStream.of(self.lstm(frames, mask), mask, frames.dtype)


class Alignment(nn.Module):
    """A = w . tanh(S_i + X_j), or tanh(S_i . X_j); U = softmax_j(A) X, and the mean of U over the steps that ask."""

    reach = ALONE
    without_weight_decay = ("scale",)

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        self.scale: nn.Parameter | None = nn.Parameter(torch.empty(size)) if kind == "additive" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot's uniform numbers, as for a row of a matrix."""
        if self.scale is not None:
            bound = (3 / self.scale.size(0)) ** 0.5
            init.uniform_(self.scale, -bound, bound)

    def forward(self, asking: FrameStream, asked: FrameStream) -> Tensor:
        """(B, K, size) and (B, L, size) -> U (B, K, size)."""
        if self.scale is None:
            scores = torch.tanh(asking.frames @ asked.frames.transpose(1, 2))
        else:
            scores = torch.tanh(asking.frames[:, :, None] + asked.frames[:, None]) @ self.scale
        # Where nothing is asked all steps are zeros, and a softmax over none would be NaN.
        seen = asked.mask | ~asked.present[:, None]
        weights = scores.float().masked_fill(~seen[:, None], -torch.inf).softmax(-1)
        return weights.to(asked.frames.dtype) @ asked.frames


class GroupGate(nn.Module):
    """sum_m z_m * tanh(y_m W_m) with z = softmax over the modalities m of [y_1 ; ... ; y_M] W_z, in each dimension.

    For two modalities that is the released gate z and 1 - z, a sigmoid of the difference.
    """

    reach = ALONE

    def __init__(self, modalities: list[str], size: int, gate_size: int) -> None:
        super().__init__()
        self.values = nn.ModuleDict({name: nn.Linear(size, gate_size, bias=False) for name in modalities})
        several = len(modalities) > 1
        self.gate = nn.Linear(size * len(modalities), gate_size * len(modalities), bias=False) if several else None

    def forward(self, vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """Modality -> (B, size), and modality -> (B, 1) bool -> (B, gate_size)."""
        values = torch.stack([torch.tanh(layer(vectors[name])) for name, layer in self.values.items()])
        return (self.shares(vectors, present) * values).sum(0)

    def shares(self, vectors: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """z (modalities, B, gate_size): the share of each modality; 0 where it is absent."""
        here = torch.stack(list(present.values()))
        if self.gate is None:
            return here.to(next(iter(vectors.values())).dtype)
        scores = self.gate(torch.cat(list(vectors.values()), dim=-1)).unflatten(-1, (len(vectors), -1))
        return softmax_over_modalities(scores.movedim(1, 0), here) * here


class GBANPreTrainedModel(PaddedPreTrainedModel):
    """The base of the GBAN models."""

    config: GBANConfig
    base_model_prefix = "gban"

    def input_names(self, name: str) -> tuple[str, str]:
        """As in the base class; words have keys of their own."""
        if name == "text" and self.config.vocab_size is not None:
            return "text_input_ids", "text_attention_mask"
        return super().input_names(name)


class GBANModel(GBANPreTrainedModel):
    """Encoders, alignment and gates: from sequences of frames and words to one vector per utterance."""

    reach = ALONE

    def __init__(self, config: GBANConfig) -> None:
        super().__init__(config)
        names, size = list(config.modality_dims), 2 * config.lstm_size
        self.word_vectors: WordVectors | None = None
        if config.vocab_size is not None:
            self.word_vectors = WordVectors(config.vocab_size, config.text_dim)
        self.encoders = nn.ModuleDict({name: SequenceEncoder(config, name) for name in names})
        # Who asks, and who is asked; a modality that is alone asks itself.
        self.pairs = list(permutations(names, 2)) or [(names[0], names[0])]
        self.alignments = nn.ModuleDict(
            {f"{first}_to_{second}": Alignment(size, config.alignment) for first, second in self.pairs}
        )
        self.aligned_gate = GroupGate(names, size, config.gate_size)
        self.last_gate = GroupGate(names, size, config.gate_size)
        self.hidden_size = config.gate_size
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        audio_frames: Tensor | None = None,
        audio_frame_mask: Tensor | None = None,
        video_frames: Tensor | None = None,
        video_frame_mask: Tensor | None = None,
        text_frames: Tensor | None = None,
        text_frame_mask: Tensor | None = None,
        text_input_ids: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> EmotionRecognitionOutput:
        """Compute a padded batch as `GBANProcessor` makes it; B utterances of up to T frames.

        Args:
            audio_frames, audio_frame_mask: (B, T, audio_dim) and (B, T), 1 = real, padded at the end.
            video_frames, video_frame_mask: (B, T, video_dim) and (B, T).
            text_frames, text_frame_mask: (B, T, text_dim) and (B, T), if the model has no word vectors.
            text_input_ids, text_attention_mask: (B, T) each, if it has.
            output_hidden_states: return `hidden_states`, here `graph` alone; the config's word by default.
            output_attentions: return `attentions`, here none; the config's word by default.

        `return_dict=False` gives a tuple: the loss, if there is one, the logits, and the rest.

        Returns:
            `graph` (B, gate_size): h, the vectors that are classified.

        Raises:
            ValueError: the batch does not fit the model.
        """
        streams = self.read(
            {
                "audio_frames": audio_frames,
                "audio_frame_mask": audio_frame_mask,
                "video_frames": video_frames,
                "video_frame_mask": video_frame_mask,
                "text_frames": text_frames,
                "text_frame_mask": text_frame_mask,
                "text_input_ids": text_input_ids,
                "text_attention_mask": text_attention_mask,
            }
        )
        output = EmotionRecognitionOutput(graph=self.fuse(streams))
        return self.complete(output, output_hidden_states, output_attentions)

    def read_stream(self, name: str, rows: Tensor | None, mask: Tensor | None) -> FrameStream:
        """As in the base class; words (B, T) become their vectors."""
        if name != "text" or self.word_vectors is None:
            return super().read_stream(name, rows, mask)
        if rows is None or mask is None:
            raise self.batch_error(
                f"the batch has no text_input_ids and text_attention_mask, and the model has word vectors; {WAY_OUT}"
            )
        check_tokens(self.config, rows, mask, self.batch_error)
        return FrameStream.of(self.word_vectors(rows), mask, self.dtype)

    def fuse(self, streams: dict[str, FrameStream]) -> Tensor:
        """(B, gate_size): h = sum over both groups, the aligned vectors a_m and the last steps h_m."""
        encoded = {name: self.encoders[name](stream) for name, stream in streams.items()}
        present = {name: stream.present[:, None] for name, stream in encoded.items()}
        aligned, is_aligned = self.align(encoded)
        last = {name: last_step(stream) for name, stream in encoded.items()}
        return self.aligned_gate(aligned, is_aligned) + self.last_gate(last, present)

    def align(self, encoded: dict[str, FrameStream]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """a_m (B, size), the mean over those that ask m, and whether there is one (B, 1) bool."""
        aligned: dict[str, Tensor] = {}
        is_aligned: dict[str, Tensor] = {}
        for name, asked in encoded.items():
            asking = [first for first, second in self.pairs if second == name]
            means = [
                encoded[first].mean(self.alignments[f"{first}_to_{name}"](encoded[first], asked)) for first in asking
            ]
            here = torch.stack([encoded[first].present & asked.present for first in asking])[..., None]
            total = torch.where(here, torch.stack(means), 0).sum(0)
            aligned[name], is_aligned[name] = total / here.sum(0).clamp(min=1), here.any(0)
        return aligned, is_aligned


def last_step(stream: FrameStream) -> Tensor:
    """(B, size): the last real step of each sequence, of which the backward half has seen that step alone."""
    last = stream.mask.sum(-1).sub(1).clamp(min=0)
    return stream.frames.gather(1, last.view(-1, 1, 1).expand(-1, 1, stream.frames.size(-1))).squeeze(1)


class GBANForEmotionRecognition(PaddedClassifierMixin, GBANPreTrainedModel):
    """GBAN with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    reach = ALONE

    def __init__(self, config: GBANConfig) -> None:
        super().__init__(config)
        self.gban = GBANModel(config)
        self.classifier = make_mlp(
            config.gate_size, config.classifier_hidden_size, len(config.id2label or ()), config.hidden_dropout_prob
        )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        audio_frames: Tensor | None = None,
        audio_frame_mask: Tensor | None = None,
        video_frames: Tensor | None = None,
        video_frame_mask: Tensor | None = None,
        text_frames: Tensor | None = None,
        text_frame_mask: Tensor | None = None,
        text_input_ids: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        label_shares: Tensor | None = None,
        return_loss: bool = True,
        loss_shares: dict[str, Tensor] | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> EmotionRecognitionOutput:
        """As `GBANModel.forward`, with labels and logits.

        Args:
            labels: (B,) int64 with -100 where unknown; (B, num_labels) float32 for several emotions at once and
                (B,) float32 for regression, with NaN where unknown.
            label_shares: (B, num_labels), as in JOYFUL's `forward`.
            return_loss: compute the loss where there are labels.
            loss_shares: as in JOYFUL's `forward`.

        Returns:
            `logits` (B, num_labels), and with labels `loss`.
        """
        streams = self.gban.read(
            {
                "audio_frames": audio_frames,
                "audio_frame_mask": audio_frame_mask,
                "video_frames": video_frames,
                "video_frame_mask": video_frame_mask,
                "text_frames": text_frames,
                "text_frame_mask": text_frame_mask,
                "text_input_ids": text_input_ids,
                "text_attention_mask": text_attention_mask,
            }
        )
        output = EmotionRecognitionOutput(graph=self.gban.fuse(streams))
        assert output.graph is not None
        output.logits = self.classifier(output.graph)
        if labels is not None and return_loss:
            loss = self.classification_loss(output.logits, labels, label_shares, loss_shares)
            output.losses = {"classification": loss}
            output.loss = self.weighted_sum(output.losses)
        return self.complete(output, output_hidden_states, output_attentions)


__all__ = ["GBANForEmotionRecognition", "GBANModel", "GBANPreTrainedModel"]
