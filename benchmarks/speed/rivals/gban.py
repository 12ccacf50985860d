"""GBAN as its authors compute it: speech padded to 750 frames, and LSTMs with hard gates in a loop over steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PlainNetwork
from joyful_hf import GBANConfig
from joyful_hf.processing import EncodedUtterance

FRAMES = 750


@dataclass
class PaddedUtterances:
    """B utterances, whose speech is padded to a fixed length, as theirs is."""

    frames: Tensor
    """(B, 750, audio_dim)."""
    num_frames: Tensor
    """(B,) int64."""
    words: Tensor
    """(B, L) int64, 0 in the padding."""
    num_words: Tensor
    """(B,) int64."""
    labels: Tensor
    """(B,) int64."""

    @classmethod
    def of(cls, utterances: Sequence[EncodedUtterance], device: torch.device | str = "cpu") -> "PaddedUtterances":
        """Pad encoded utterances."""
        speech = [torch.from_numpy(utterance.streams["audio"]) for utterance in utterances]
        words = [torch.from_numpy(utterance.streams["text"]).long() for utterance in utterances]
        frames = pad_sequence([*speech, speech[0].new_zeros(FRAMES, speech[0].size(1))], batch_first=True)[:-1]
        labels = [torch.from_numpy(utterance.labels) for utterance in utterances if utterance.labels is not None]
        return cls(
            frames=frames.to(device),
            num_frames=torch.tensor([len(own) for own in speech], device=device),
            words=pad_sequence(words, batch_first=True).to(device),
            num_words=torch.tensor([len(own) for own in words], device=device),
            labels=torch.cat(labels).to(device),
        )


class HardLSTM(nn.Module):
    """One direction, with gates by clip(0.2 x + 0.5, 0, 1) in the order input, forget, cell, output."""

    def __init__(self, in_size: int, size: int) -> None:
        super().__init__()
        bound = size**-0.5
        self.kernel = nn.Parameter(torch.empty(in_size, 4 * size).uniform_(-bound, bound))
        self.recurrent_kernel = nn.Parameter(torch.empty(size, 4 * size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(4 * size).uniform_(-bound, bound))

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """(B, T, in_size), (B, T) bool -> (B, T, size)."""
        state = cell = rows.new_zeros(len(rows), self.recurrent_kernel.size(0))
        states = []
        for given, here in zip(rows.unbind(1), mask[..., None].unbind(1), strict=True):
            gates = given @ self.kernel + state @ self.recurrent_kernel + self.bias
            let_in, forget, new, out = gates.chunk(4, dim=-1)
            kept = hard_sigmoid(forget) * cell + hard_sigmoid(let_in) * torch.tanh(new)
            shown = hard_sigmoid(out) * torch.tanh(kept)
            state, cell = torch.where(here, shown, state), torch.where(here, kept, cell)
            states.append(state)
        return torch.stack(states, dim=1)


class Bidirectional(nn.Module):
    """Two directions side by side."""

    def __init__(self, in_size: int, size: int) -> None:
        super().__init__()
        self.onwards, self.backwards = HardLSTM(in_size, size), HardLSTM(in_size, size)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """(B, T, in_size) -> (B, T, 2 * size)."""
        backwards = self.backwards(rows.flip(1), mask.flip(1)).flip(1)
        return torch.cat([self.onwards(rows, mask), backwards], dim=-1)


class PlainGBAN(PlainNetwork):
    """The whole network, with the additive alignment."""

    def __init__(self, config: GBANConfig) -> None:
        super().__init__()
        size, gate, kernel = config.lstm_size, config.gate_size, config.frame_kernel
        filters = [config.audio_dim, *config.frame_filters]
        self.kernels = list(config.text_kernels)
        assert config.vocab_size is not None
        self.embedding = nn.Embedding(config.vocab_size, config.text_dim)
        self.frame_kernel = kernel
        self.speech_layers = [nn.Conv1d(*pair, kernel) for pair in pairwise(filters)]
        self.text_layers = [nn.Conv1d(config.text_dim, config.text_filters, size) for size in self.kernels]
        self.convolutions = nn.ModuleList([*self.speech_layers, *self.text_layers])
        self.audio_lstm = Bidirectional(filters[-1], size)
        self.text_lstm = Bidirectional(config.text_filters * len(self.kernels), size)
        self.audio_query, self.text_query = (nn.Parameter(torch.randn(2 * size) * 0.1) for _ in range(2))
        self.ggf = nn.ParameterDict(
            {name: matrix(2 * size, gate) for name in ("Wv", "Wt", "Wfv", "Wft")}
            | {name: matrix(4 * size, gate) for name in ("Wz_xv", "Wz_fv")}
        )
        self.dense = nn.Linear(gate, config.classifier_hidden_size)
        self.output = nn.Linear(config.classifier_hidden_size, len(config.id2label or ()))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, batch: PaddedUtterances, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        speech, heard = self.read_speech(batch)
        text, read = self.read_text(batch)
        aligned_text = self.align(speech, heard, text, read, self.audio_query)
        aligned_speech = self.align(text, read, speech, heard, self.text_query)
        last_text, last_speech = last(text, read), last(speech, heard)
        weights = self.ggf
        first = torch.sigmoid(torch.cat([aligned_text, aligned_speech], dim=-1) @ weights["Wz_xv"])
        second = torch.sigmoid(torch.cat([last_text, last_speech], dim=-1) @ weights["Wz_fv"])
        joined = first * torch.tanh(aligned_text @ weights["Wv"])
        joined = joined + (1 - first) * torch.tanh(aligned_speech @ weights["Wt"])
        joined = joined + second * torch.tanh(last_text @ weights["Wfv"])
        joined = joined + (1 - second) * torch.tanh(last_speech @ weights["Wft"])
        logits = self.output(self.dropout(torch.relu(self.dense(joined))))
        if not return_loss:
            return PlainOutput(logits, {}, None)
        loss = functional.cross_entropy(logits, batch.labels)
        return PlainOutput(logits, {"classification": loss}, loss)

    def read_speech(self, batch: PaddedUtterances) -> tuple[Tensor, Tensor]:
        """(B, K, 2 * lstm_size), and (B, K) bool."""
        rows, lengths = batch.frames.transpose(1, 2), batch.num_frames
        for layer in self.speech_layers:
            rows = functional.max_pool1d(torch.relu(layer(rows)), 2)
            lengths = (lengths - self.frame_kernel + 1) // 2
            rows = rows * real(lengths, rows.size(-1))[:, None]
        mask = real(lengths, rows.size(-1))
        return self.audio_lstm(rows.transpose(1, 2), mask), mask

    def read_text(self, batch: PaddedUtterances) -> tuple[Tensor, Tensor]:
        """(B, L // 2, 2 * lstm_size), and (B, L // 2) bool."""
        here = real(batch.num_words, batch.words.size(1))
        words = (self.embedding(batch.words) * here[..., None]).transpose(1, 2)
        steps = []
        for size, layer in zip(self.kernels, self.text_layers, strict=True):
            lost = size - 1
            convolved = torch.relu(layer(functional.pad(words, (lost // 2, lost - lost // 2)))) * here[:, None]
            steps.append(functional.max_pool1d(convolved, 2))
        rows = torch.cat(steps, dim=1).transpose(1, 2)
        mask = real(batch.num_words // 2, rows.size(1))
        return self.text_lstm(rows * mask[..., None], mask), mask

    def align(self, asking: Tensor, asks: Tensor, asked: Tensor, answers: Tensor, scale: Tensor) -> Tensor:
        """(B, size): the mean over the steps that ask of softmax_j(w . tanh(S_i + X_j)) X."""
        scores = torch.tanh(asking[:, :, None] + asked[:, None]) @ scale
        found = scores.masked_fill(~answers[:, None], -torch.inf).softmax(-1) @ asked
        return (found * asks[..., None]).sum(1) / asks.sum(1, keepdim=True)

    def released_state(self) -> dict[str, Tensor]:
        """The weights under the names and in the layout of Keras."""
        state: dict[str, Tensor] = {"embedding": self.embedding.weight}
        convolutions = {f"audio_conv{number}": layer for number, layer in enumerate(self.speech_layers)}
        convolutions |= {f"text_conv{size}": layer for size, layer in zip(self.kernels, self.text_layers, strict=True)}
        for name, layer in convolutions.items():
            assert layer.bias is not None
            state |= {f"{name}.kernel": layer.weight.permute(2, 1, 0), f"{name}.bias": layer.bias}
        for name, lstm in (("audio_lstm", self.audio_lstm), ("text_lstm", self.text_lstm)):
            for way, cell in (("forward", lstm.onwards), ("backward", lstm.backwards)):
                state |= {f"{name}.{way}.{kind}": own for kind, own in cell.named_parameters()}
        state |= {f"ggf.{name}": own for name, own in self.ggf.items()}
        for name, layer in (("dense", self.dense), ("output", self.output)):
            state |= {f"{name}.kernel": layer.weight.T, f"{name}.bias": layer.bias}
        return state | {
            "attention_audio_query.scale": self.audio_query,
            "attention_text_query.scale": self.text_query,
        }


def matrix(in_size: int, out_size: int) -> nn.Parameter:
    """Glorot's uniform numbers."""
    bound = math.sqrt(6 / (in_size + out_size))
    return nn.Parameter(torch.empty(in_size, out_size).uniform_(-bound, bound))


def hard_sigmoid(values: Tensor) -> Tensor:
    """TensorFlow 1's."""
    return (0.2 * values + 0.5).clamp(0, 1)


def real(lengths: Tensor, longest: int) -> Tensor:
    """(B, longest) bool, True at real steps."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def last(rows: Tensor, mask: Tensor) -> Tensor:
    """(B, size): the last real step."""
    return rows[torch.arange(len(rows), device=rows.device), mask.sum(1) - 1]
