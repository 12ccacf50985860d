"""Batch normalisation over packed rows is that of torch, over the rows that are meant."""

import pytest
import torch
from torch import nn

from joyful_hf.modeling.batch_norm import PackedBatchNorm
from tests.support.helpers import make_layout

LENGTHS = (1, 4, 2)
ROWS = torch.randn(sum(LENGTHS), 3, generator=torch.Generator().manual_seed(0)) + 2


def assert_same(ours, theirs):
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


def test_of_the_rows_that_are_there():
    ours, theirs = PackedBatchNorm(3), nn.BatchNorm1d(3)
    present = torch.tensor([1, 1, 0, 1, 0, 1, 1], dtype=torch.bool)[:, None]
    found = ours(torch.where(present, ROWS, 0), present, make_layout(LENGTHS))
    torch.testing.assert_close(found[present[:, 0]], theirs(ROWS[present[:, 0]]))
    assert_same(ours, theirs)


def test_of_a_padded_batch():
    ours, theirs = PackedBatchNorm(3, with_padding=True), nn.BatchNorm1d(3)
    padded = nn.utils.rnn.pad_sequence(list(ROWS.split(LENGTHS)), batch_first=True)
    expected = theirs(padded.flatten(0, 1)).view_as(padded)
    found = ours(ROWS, torch.ones(len(ROWS), 1, dtype=torch.bool), make_layout(LENGTHS))
    torch.testing.assert_close(found, torch.cat([row[:length] for row, length in zip(expected, LENGTHS, strict=True)]))
    assert_same(ours, theirs)


def test_evaluation_is_that_of_torch():
    ours, theirs = PackedBatchNorm(3).eval(), nn.BatchNorm1d(3).eval()
    nn.init.normal_(ours.running_mean)
    theirs.load_state_dict(ours.state_dict())
    present = torch.ones(len(ROWS), 1, dtype=torch.bool)
    torch.testing.assert_close(ours(ROWS, present, make_layout(LENGTHS)), theirs(ROWS))


@pytest.mark.parametrize("count", [0, 1])
def test_one_row_has_no_variance_and_is_normalised_by_what_was_learnt(count):
    norm = PackedBatchNorm(3)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    present = torch.arange(len(ROWS))[:, None] < count
    assert norm(ROWS, present, make_layout(LENGTHS)).isfinite().all()
    assert all(torch.equal(norm.state_dict()[name], tensor) for name, tensor in before.items())
