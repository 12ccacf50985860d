"""Dropout with a cheap mask is dropout."""

import pytest
import torch

from joyful_hf.modeling.dropout import Dropout, keep_mask
from joyful_hf.modeling.members import compute_together


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_it_drops_its_share_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    dropped = Dropout(rate)(torch.ones(1000, 201))
    assert float((dropped == 0).float().mean()) == pytest.approx(rate, abs=5e-3)
    assert float(dropped.mean()) == pytest.approx(1, abs=2e-2)
    assert len(dropped.unique()) == 2


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    keep = keep_mask(torch.Size([400_000]), 0.5).float()
    for distance in (1, 2, 3, 4, 8):
        assert float((keep[distance:] * keep[:-distance]).mean()) == pytest.approx(0.25, abs=5e-3)


def test_the_gradient_passes_where_something_was_kept():
    rows = torch.randn(20, 7, requires_grad=True)
    dropped = Dropout(0.4)(rows)
    dropped.sum().backward()
    torch.testing.assert_close(rows.grad, torch.where(dropped == 0, 0.0, 1 / 0.6))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.3, False)])
def test_without_dropout_nothing_changes(rate, training):
    rows = torch.randn(3, 4)
    assert torch.equal(Dropout(rate).train(training)(rows), rows)


def test_all_may_be_dropped():
    assert not Dropout(1.0)(torch.ones(5)).any()


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_shape_and_type_stay(shape, dtype):
    dropped = Dropout(0.5)(torch.ones(shape, dtype=dtype))
    assert (dropped.shape, dropped.dtype) == (shape, dtype)


def test_the_seed_decides():
    masks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(keep_mask(torch.Size([99]), 0.5))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_each_of_several_networks_drops_what_it_draws_itself():
    """From what they share, as from rows of their own."""
    networks = [torch.nn.Sequential(torch.nn.Linear(1, 64), Dropout(0.5)) for _ in range(3)]
    shared = torch.ones(8, 64)
    from_shared, own = compute_together(networks, lambda network: (network[1](shared), network(shared[:, :1])))
    for dropped in (from_shared == 0, own == 0):
        assert not torch.equal(dropped[0], dropped[1])
        assert not torch.equal(dropped[1], dropped[2])
    assert (from_shared == 0).float().mean() == pytest.approx(0.5, abs=0.05)
