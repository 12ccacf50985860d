"""Attention inside dialogues: whole, windowed, with and without dropout."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from joyful_hf.modeling import attention as module
from joyful_hf.modeling import dropout as dropout_module
from joyful_hf.modeling.attention import RelativePositionBias, WholeDialogueAttention, WindowAttention
from joyful_hf.modeling.dropout import Dropout
from tests.support.helpers import batches_of_lengths, make_layout

HEADS, HEAD_SIZE = 2, 3
SIZE = HEADS * HEAD_SIZE


def random_rows(lengths) -> Tensor:
    return torch.randn(sum(lengths), 3 * SIZE, generator=torch.Generator().manual_seed(sum(lengths)))


def make_bias(max_distance: int) -> RelativePositionBias | None:
    if not max_distance:
        return None
    torch.manual_seed(0)
    bias = RelativePositionBias(HEADS, max_distance)
    nn.init.normal_(bias.table)
    return bias


def plain(rows: Tensor, lengths, window: int, bias: RelativePositionBias | None, causal: bool) -> Tensor:
    """Each dialogue alone, each head alone; window 0 is all of it."""
    attended = []
    for dialogue in rows.split(list(lengths)):
        position = torch.arange(len(dialogue))
        distance = position[None, :] - position[:, None]
        parts = []
        for head in range(HEADS):
            query, key, value = dialogue.view(-1, 3, HEADS, HEAD_SIZE)[:, :, head].unbind(1)
            scores = query @ key.T / HEAD_SIZE**0.5
            if bias is not None:
                scores = scores + bias(distance)[head]
            if window:
                scores = scores.masked_fill(distance.abs() > window, -torch.inf)
            if causal:
                scores = scores.masked_fill(distance > 0, -torch.inf)
            parts.append(scores.softmax(-1) @ value)
        attended.append(torch.cat(parts, -1))
    return torch.cat(attended)


def attended_by(attention, rows: Tensor, dropout: Dropout) -> Tensor:
    return attention.end(attention(attention.begin(rows), HEADS, dropout))


def no_dropout() -> Dropout:
    return Dropout(0.0)


past_alone = pytest.mark.parametrize("causal", [False, True])


@past_alone
@given(lengths=batches_of_lengths, max_distance=st.sampled_from([0, 2]))
def test_the_whole_dialogue_is_seen(causal, lengths, max_distance):
    rows, bias = random_rows(lengths), make_bias(max_distance)
    attended = attended_by(WholeDialogueAttention(make_layout(lengths), bias, causal), rows, no_dropout())
    torch.testing.assert_close(attended, plain(rows, lengths, 0, bias, causal))


@past_alone
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    window=st.sampled_from([1, 3, 31, 32, 40, 200]),
    max_distance=st.sampled_from([0, 2]),
)
def test_a_window_sees_its_neighbours_and_nothing_else(causal, lengths, window, max_distance):
    rows, bias = random_rows(lengths), make_bias(max_distance)
    attended = attended_by(WindowAttention(make_layout(lengths), window, bias, causal), rows, no_dropout())
    torch.testing.assert_close(attended, plain(rows, lengths, window, bias, causal))


def test_a_window_as_long_as_the_dialogue_is_the_whole_dialogue():
    lengths = [70, 3, 45]
    rows, layout = random_rows(lengths), make_layout(lengths)
    windowed = attended_by(WindowAttention(layout, 70, None), rows, no_dropout())
    torch.testing.assert_close(windowed, attended_by(WholeDialogueAttention(layout, None), rows, no_dropout()))


@pytest.mark.parametrize("window", [0, 5])
def test_memory_of_a_window_is_linear_in_the_length(window):
    def scores(length: int) -> int:
        layout = make_layout([length])
        if window:
            return WindowAttention(layout, window, None).bias.numel()
        return WholeDialogueAttention(layout, None).biases[0].numel()

    growth = scores(6400) / scores(640)
    assert growth == pytest.approx(10 if window else 100)


@pytest.mark.parametrize("window", [0, 5])
def test_with_dropout_it_is_the_same_attention(window, monkeypatch):
    """On a CPU dropout takes another way through the products; keeping all weights, it ends at the same place."""
    monkeypatch.setattr(dropout_module, "keep_mask", lambda shape, rate: torch.ones(shape, dtype=torch.bool))
    lengths = [40, 7]
    rows, layout = random_rows(lengths), make_layout(lengths)
    attention = WindowAttention(layout, window, None) if window else WholeDialogueAttention(layout, None)
    torch.testing.assert_close(attention(rows, HEADS, Dropout(0.5)) * 0.5, attention(rows, HEADS, Dropout(0.5).eval()))


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_weights_are_dropped_in_training_only(rate):
    rows, layout = random_rows([9]), make_layout([9])
    attention, dropout = WholeDialogueAttention(layout, None), Dropout(rate)
    dropped = attention(rows, HEADS, dropout)
    kept = attention(rows, HEADS, dropout.eval())
    assert torch.allclose(dropped, kept) == (rate == 0)


@given(st.integers(1, 5), st.lists(st.integers(-20, 20), min_size=1, max_size=8))
def test_far_distances_share_the_bias_of_the_farthest(max_distance, distances):
    bias = module.RelativePositionBias(num_heads=2, max_distance=max_distance)
    nn.init.normal_(bias.table)
    nearest = [max(-max_distance, min(max_distance, distance)) for distance in distances]
    expected = torch.stack([bias.table[:, distance + max_distance] for distance in nearest], dim=1)
    assert torch.equal(bias(torch.tensor(distances)), expected)
