"""LMAM: low-rank matching attention, which matches each modality with the text of the dialogue, on a recurrent host.

Shou, Liu, Cao, Meng, Dong (IEEE TAFFC 2025, arXiv 2306.17799), after what their code computes: the paper's equations
are not known to us. E is the memory, M_m what is matched with it, O_m what a modality finds in it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .batch_contract import PackedBatch
from .batch_norm import PackedBatchNorm
from .configuration_lmam import LMAMConfig
from .context_encoder import DialogueRecurrence
from .dialogue_rnn import DialogueRNN, DialogueRNNCell, who_speaks
from .matching_attention import MatchingAttention
from .modality_inputs import ModalityInputs, readable
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout
from .reach import Reach, in_sequence, side_by_side
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class LMAMPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the LMAM models."""

    config: LMAMConfig
    base_model_prefix = "lmam"


class LMAMModel(LMAMPreTrainedModel):
    """The memory, what each modality finds in it, and the host: from utterance features to what is classified."""

    def __init__(self, config: LMAMConfig) -> None:
        super().__init__(config)
        (first, first_size), *others = config.vector_sizes.items()
        size = config.projection_size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        normalises = first == "text" and config.text_norm != "none"
        self.norms = nn.ModuleList(
            PackedBatchNorm(first_size, config.text_norm == "padded_batch")
            for _ in range(config.text_layers * normalises)
        )
        self.first = first
        self.memory: nn.Module = (
            DialogueRecurrence("LSTM", first_size, size // 2, config.num_hidden_layers, config.hidden_dropout_prob)
            if config.host == "bc_lstm"
            else nn.Linear(first_size, size)
        )
        self.projections = nn.ModuleDict({name: nn.Linear(dim, size) for name, dim in others})
        scale = size**-0.5 if config.scale_scores else 1.0
        self.matching = MatchingAttention(size, bounded=True, rank=config.rank, scale=scale)
        self.recurrence: DialogueRNN | None = None
        if config.host == "dialogue_rnn":
            cell = DialogueRNNCell(
                sum(config.vector_sizes.values()),
                config.global_size,
                config.party_size,
                config.emotion_size,
                context_attention="simple",
                dropout=config.state_dropout_prob,
            )
            self.recurrence = DialogueRNN(cell)
            self.emotion_projection = nn.Linear(config.emotion_size, size)
        self.hidden_size = size
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The whole dialogue."""
        matched = in_sequence(self.memory, self.matching)
        return in_sequence(self.text_encoder, self.inputs, side_by_side(matched, self.recurrence))

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the matched vectors, and with the DialogueRNN host the emotions beside them.

        Returns:
            `fused` (N, d): E, the memory; `context` (N, d): H, the matched vectors; `graph` (N, d): what is
            classified.
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        seen, layout = readable(present, self.config.absent_modality), batch.layout
        vectors = features | {self.first: self.mean(features[self.first], seen[self.first], layout)}
        streams = self.streams(vectors, seen, layout)
        matched = graph = self.match(streams, seen, layout)
        if self.recurrence is not None:
            speaks = who_speaks(self.speaker_ids(batch), layout, self.config.most_speakers)
            emotions = self.recurrence(torch.cat(list(vectors.values()), dim=-1), speaks, layout)
            graph = self.emotion_projection(emotions) + matched
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            fused=streams[self.first],
            context=matched,
            graph=graph,
        )

    def mean(self, rows: Tensor, seen: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, layers * size) -> (N, size): t, the mean of the text's vectors, normalised."""
        if self.first != "text":
            return rows
        vectors = list(rows.chunk(self.config.text_layers, dim=-1))
        for index, norm in enumerate(self.norms):
            vectors[index] = norm(vectors[index], seen, layout)
        return torch.where(seen, torch.stack(vectors).mean(0), 0)

    def streams(
        self, vectors: dict[str, Tensor], seen: dict[str, Tensor], layout: DialogueLayout
    ) -> dict[str, Tensor]:
        """Modality -> M_m (N, d), of which the first is E. Where that is absent, the mean of the others stands in."""
        given = vectors[self.first]
        recurs = isinstance(self.memory, DialogueRecurrence)
        memory = self.memory(given, layout) if recurs else torch.where(seen[self.first], self.memory(given), 0)
        others = {name: torch.where(seen[name], layer(vectors[name]), 0) for name, layer in self.projections.items()}
        if others:
            count = torch.stack([seen[name] for name in others]).sum(0)
            mean = torch.stack(list(others.values())).sum(0) / count.clamp(min=1)
            memory = torch.where(~seen[self.first] & (count > 0), mean.to(memory.dtype), memory)
        return {self.first: memory} | others

    def match(self, streams: dict[str, Tensor], seen: dict[str, Tensor], layout: DialogueLayout) -> Tensor:
        """H = gelu(sum_m O_m) + E with O_m = softmax_j(tanh((M_m W^T + b) E^T)) E, without absent modalities."""
        memory = streams[self.first]
        remembered = torch.stack(list(seen.values())).any(0)
        found = [
            torch.where(seen[name], self.matching(memory, layout, rows, remembered), 0)
            for name, rows in streams.items()
        ]
        return functional.gelu(torch.stack(found).sum(0)) + memory


class LMAMForEmotionRecognition(SpeakerGraphClassifierMixin, LMAMPreTrainedModel):
    """LMAM with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: LMAMConfig) -> None:
        super().__init__(config)
        self.lmam = LMAMModel(config)
        size, num_labels = config.projection_size, len(config.id2label or ())
        self.classifier: nn.Module = nn.Linear(size, num_labels)
        if config.host == "bc_lstm":
            hidden = config.classifier_hidden_size
            self.classifier = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, num_labels))
        self.post_init()


__all__ = ["LMAMForEmotionRecognition", "LMAMModel", "LMAMPreTrainedModel"]
