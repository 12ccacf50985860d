"""The GRU is torch's, packed and as a scan."""

import torch
from hypothesis import given
from torch import nn

from joyful_hf.modeling.recurrence import BidirectionalGRU
from tests.helpers import batches_of_lengths

SIZE = 6


def make_grus() -> tuple[BidirectionalGRU, nn.GRU]:
    """Ours and torch's, with the same weights."""
    torch.manual_seed(0)
    ours, theirs = BidirectionalGRU(SIZE), nn.GRU(SIZE, SIZE // 2, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@given(lengths=batches_of_lengths)
def test_it_is_torchs_gru(lengths):
    ours, theirs = make_grus()
    packed = nn.utils.rnn.pack_sequence([torch.randn(length, SIZE) for length in lengths], enforce_sorted=False)
    expected, _ = theirs(packed)
    torch.testing.assert_close(ours(packed.data, packed.batch_sizes), expected.data)


@given(lengths=batches_of_lengths)
def test_the_scan_is_torchs_gru(lengths):
    ours, theirs = make_grus()
    packed = nn.utils.rnn.pack_sequence([torch.randn(length, SIZE) for length in lengths], enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0])
    steps, _ = nn.utils.rnn.pad_packed_sequence(packed)
    real = (torch.arange(len(steps))[:, None] < torch.tensor(lengths))[..., None]
    torch.testing.assert_close(ours.scan(steps, real) * real, expected)
