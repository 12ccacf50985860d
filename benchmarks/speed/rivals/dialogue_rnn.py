"""DialogueRNN as its authors compute it: one step of a padded batch after the other, one speaker picked at a time."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import MatchingAttention, PaddedBatch, PlainNetwork
from joyful_hf import DialogueRNNConfig


class ContextAttention(nn.Module):
    """c_t = sum_j softmax_j(g_j . (W u_t)) g_j over the global states so far."""

    def __init__(self, in_size: int, global_size: int) -> None:
        super().__init__()
        self.transform = nn.Linear(in_size, global_size, bias=False)

    def forward(self, memory: Tensor, utterance: Tensor) -> Tensor:
        """(t, B, global_size), (B, in_size) -> (B, global_size)."""
        memory = memory.transpose(0, 1)
        weights = torch.bmm(memory, self.transform(utterance)[:, :, None]).softmax(dim=1)
        return torch.bmm(weights.transpose(1, 2), memory).squeeze(1)


class Cell(nn.Module):
    """One step."""

    def __init__(self, config: DialogueRNNConfig) -> None:
        super().__init__()
        in_size, global_size = sum(config.modality_dims.values()), config.global_size
        self.g_cell = nn.GRUCell(in_size + config.party_size, global_size)
        self.p_cell = nn.GRUCell(in_size + global_size, config.party_size)
        self.e_cell = nn.GRUCell(config.party_size, config.emotion_size)
        self.attention = ContextAttention(in_size, global_size)
        self.dropout = nn.Dropout(config.state_dropout_prob)

    def forward(
        self, utterance: Tensor, speaker: Tensor, memory: Tensor | None, parties: Tensor, emotion: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, in_size), (B,) and the states before -> the global state, the parties' and the emotion."""
        speakers = speaker.tolist()
        before = torch.stack([states[index] for states, index in zip(parties, speakers, strict=True)])
        first = before.new_zeros(len(before), self.g_cell.hidden_size) if memory is None else memory[-1]
        global_state = self.dropout(self.g_cell(torch.cat([utterance, before], dim=-1), first))
        context = torch.zeros_like(first) if memory is None else self.attention(memory, utterance)
        heard = torch.cat([utterance, context], dim=-1)[:, None].expand(-1, parties.size(1), -1)
        # For all parties, of which only the speaker's is kept.
        changed = self.p_cell(heard.flatten(0, 1), parties.flatten(0, 1)).view_as(parties)
        speaks = nn.functional.one_hot(speaker, parties.size(1))[..., None].to(parties.dtype)
        parties = parties * (1 - speaks) + self.dropout(changed) * speaks
        own = torch.stack([states[index] for states, index in zip(parties, speakers, strict=True)])
        return global_state, parties, self.dropout(self.e_cell(own, emotion))


class Recurrence(nn.Module):
    """The cell over all steps."""

    def __init__(self, config: DialogueRNNConfig) -> None:
        super().__init__()
        self.dialogue_cell = Cell(config)
        self.num_speakers = config.max_speakers

    def forward(self, utterances: Tensor, speakers: Tensor) -> Tensor:
        """(B, L, in_size), (B, L) -> (B, L, emotion_size)."""
        cell = self.dialogue_cell
        parties = utterances.new_zeros(len(utterances), self.num_speakers, cell.p_cell.hidden_size)
        emotion = utterances.new_zeros(len(utterances), cell.e_cell.hidden_size)
        memory, emotions = None, []
        for utterance, speaker in zip(utterances.unbind(1), speakers.unbind(1), strict=True):
            state, parties, emotion = cell(utterance, speaker, memory, parties, emotion)
            memory = state[None] if memory is None else torch.cat([memory, state[None]])
            emotions.append(emotion)
        return torch.stack(emotions, dim=1)


class PlainDialogueRNN(PlainNetwork):
    """The whole network, from both ends, with attention over the emotions."""

    def __init__(self, config: DialogueRNNConfig) -> None:
        super().__init__()
        size = 2 * config.emotion_size
        self.dialog_rnn_f, self.dialog_rnn_r = Recurrence(config), Recurrence(config)
        self.matchatt = MatchingAttention(size)
        self.linear = nn.Linear(size, config.classifier_hidden_size)
        self.smax_fc = nn.Linear(config.classifier_hidden_size, len(config.id2label or ()))
        self.emotion_dropout = nn.Dropout(config.emotion_dropout_prob)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute logits and loss."""
        utterances = torch.cat(list(batch.features.values()), dim=-1)
        forwards = self.dialog_rnn_f(utterances, batch.speakers)
        backwards = self.dialog_rnn_r(*(turned(rows, batch.lengths) for rows in (utterances, batch.speakers)))
        both = (forwards, turned(backwards, batch.lengths))
        emotions = torch.cat([self.emotion_dropout(rows) for rows in both], dim=-1)
        attended = self.matchatt(emotions, emotions, batch.mask)
        hidden = self.dropout(torch.relu(self.linear(attended)))
        return batch.classified(self.smax_fc(hidden)[batch.mask], return_loss)


def turned(rows: Tensor, lengths: list[int]) -> Tensor:
    """Each dialogue from its last utterance to its first, (B, L, ...)."""
    parts = [own[:length].flip(0) for own, length in zip(rows, lengths, strict=True)]
    return pad_sequence(parts, batch_first=True)
