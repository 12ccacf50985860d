"""GRU and LSTM are torch's, packed and as a scan."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from joyful_hf.modeling.recurrence import PackedGRU, PackedRNN
from joyful_hf.modeling.steps import StepOrder
from tests.support.helpers import batches_of_lengths, make_layout

SIZE = 6


both_directions = pytest.mark.parametrize("bidirectional", [True, False])
both_kinds = pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM], ids=["GRU", "LSTM"])


def make_grus(bidirectional=True) -> tuple[PackedGRU, nn.GRU]:
    """Ours and torch's, with the same weights."""
    torch.manual_seed(0)
    ours = PackedGRU(SIZE, bidirectional)
    theirs = nn.GRU(SIZE, SIZE // 2 if bidirectional else SIZE, bidirectional=bidirectional)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def make_layer(kind, bidirectional) -> PackedRNN:
    return PackedRNN(kind.__name__, SIZE, SIZE, bidirectional)


def in_dialogues(layer: nn.RNNBase, rows: torch.Tensor, order: StepOrder) -> torch.Tensor:
    """The output of a layer of torch on packed rows."""
    steps = PackedSequence(rows[order.order], order.sizes)
    return layer(steps)[0].data[order.back]


@both_directions
@given(lengths=batches_of_lengths)
def test_it_is_torchs_gru(bidirectional, lengths):
    ours, theirs = make_grus(bidirectional)
    rows, order = torch.randn(sum(lengths), SIZE), make_layout(lengths).steps
    with torch.no_grad():
        found = ours(rows, order)
    torch.testing.assert_close(found, in_dialogues(theirs, rows, order))


@both_kinds
@both_directions
@given(lengths=batches_of_lengths)
def test_layer_and_gradients_are_torchs(kind, bidirectional, lengths):
    torch.manual_seed(0)
    ours, theirs = make_layer(kind, bidirectional), kind(SIZE, SIZE, bidirectional=bidirectional)
    theirs.load_state_dict(ours.state_dict())
    rows, order = torch.randn(sum(lengths), SIZE), make_layout(lengths).steps
    ours_in, theirs_in = (rows.clone().requires_grad_() for _ in range(2))
    expected = in_dialogues(theirs, theirs_in, order)
    found = ours(ours_in, order)
    torch.testing.assert_close(found, expected)
    back = torch.randn_like(expected)
    theirs_back = torch.autograd.grad((expected * back).sum(), [theirs_in, *theirs.parameters()])
    ours_back = torch.autograd.grad((found * back).sum(), [ours_in, *ours.parameters()])
    torch.testing.assert_close(ours_back, theirs_back, rtol=1e-5, atol=1e-6)


@both_kinds
def test_gradients_are_those_of_finite_differences(kind):
    layer = make_layer(kind, bidirectional=True).double()
    steps = torch.randn(6, SIZE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda given, *_: layer(given, make_layout([3, 2, 1]).steps), (steps, *layer.parameters())
    )


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
    return gru(steps, make_layout([len(steps)]).steps, before)
