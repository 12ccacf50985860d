"""The GRU is torch's, packed and as a scan."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from joyful_hf.modeling.recurrence import PackedGRU
from tests.support.helpers import batches_of_lengths

SIZE = 6


both_directions = pytest.mark.parametrize("bidirectional", [True, False])


def make_grus(bidirectional=True) -> tuple[PackedGRU, nn.GRU]:
    """Ours and torch's, with the same weights."""
    torch.manual_seed(0)
    ours = PackedGRU(SIZE, bidirectional)
    theirs = nn.GRU(SIZE, SIZE // 2 if bidirectional else SIZE, bidirectional=bidirectional)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@both_directions
@given(lengths=batches_of_lengths)
def test_it_is_torchs_gru(bidirectional, lengths):
    ours, theirs = make_grus(bidirectional)
    packed = nn.utils.rnn.pack_sequence([torch.randn(length, SIZE) for length in lengths], enforce_sorted=False)
    expected, _ = theirs(packed)
    torch.testing.assert_close(ours(packed.data, packed.batch_sizes), expected.data)


@both_directions
@settings(max_examples=10)
@given(lengths=batches_of_lengths)
def test_the_scan_is_torchs_gru(bidirectional, lengths):
    ours, theirs = make_grus(bidirectional)
    packed = nn.utils.rnn.pack_sequence([torch.randn(length, SIZE) for length in lengths], enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0])
    steps, _ = nn.utils.rnn.pad_packed_sequence(packed)
    real = (torch.arange(len(steps))[:, None] < torch.tensor(lengths))[..., None]
    torch.testing.assert_close(ours.scan(steps, real) * real, expected)


@given(length=st.integers(2, 12), data=st.data())
def test_a_dialogue_in_two_pieces_is_the_whole_of_it(length, data):
    gru, _ = make_grus(bidirectional=False)
    cut = data.draw(st.integers(1, length - 1))
    steps = torch.randn(length, SIZE)
    first = gru_alone(gru, steps[:cut], None)
    second = gru_alone(gru, steps[cut:], first[-1:])
    torch.testing.assert_close(torch.cat([first, second]), gru_alone(gru, steps, None))


def gru_alone(gru: PackedGRU, steps: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
    return gru(steps, torch.ones(len(steps), dtype=torch.int64), before)
