"""Networks of one form as one computation: each is what it is alone, with random numbers of its own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from joyful_hf.modeling.dropout import Dropout
from joyful_hf.modeling.edge_attention import edge_attention
from joyful_hf.modeling.members import compute_together
from joyful_hf.modeling.recurrence import PackedGRU
from joyful_hf.modeling.rows import sum_rows, take_rows
from tests.support.helpers import batches_of_lengths, make_layout

SIZE, NETWORKS = 4, 3


class TakesAndSums(nn.Linear):
    """Rows of its output, taken by an index that repeats itself, and summed by one."""

    def __init__(self, index):
        super().__init__(SIZE, SIZE)
        self.index = index

    def forward(self, rows):
        rows = super().forward(rows)
        taken = take_rows(rows, self.index)
        return torch.cat([taken, sum_rows(taken * taken, self.index, len(rows))])


class AttendsToEdges(nn.Linear):
    """Attention with two heads over all edges, or over the even ones."""

    def __init__(self, index, with_bias, is_edge=None):
        super().__init__(SIZE, 3 * SIZE)
        self.edges, self.is_edge = torch.stack([index, index.flip(0)]), is_edge
        self.edge_bias = nn.Parameter(torch.randn(len(index), 2)) if with_bias else None

    def forward(self, rows):
        query, key, value = (part.view(-1, 2, SIZE // 2) for part in super().forward(rows).chunk(3, dim=-1))
        return edge_attention(query, key, value, self.edges, self.edge_bias, self.is_edge)[0]


def compared(networks, rows, together):
    """The outputs of networks on the same rows, and the gradients of rows and weights."""
    rows = rows.clone().requires_grad_()
    if together:
        outputs = compute_together(networks, lambda network: network(rows))
    else:
        outputs = torch.stack([network(rows) for network in networks])
    weight = torch.linspace(-1, 1, outputs.numel()).view(outputs.shape)
    parameters = [parameter for network in networks for parameter in network.parameters()]
    gradients = torch.autograd.grad((outputs * weight).sum(), [rows, *parameters])
    return [outputs.detach(), *gradients]


def check(networks, rows):
    found, alone = (compared(networks, rows, together) for together in (True, False))
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        outputs = compute_together(networks, lambda network: network(rows))
    torch.testing.assert_close(outputs, alone[0], rtol=1e-5, atol=1e-6)


indices = st.lists(st.integers(0, 5), min_size=1, max_size=12).map(torch.tensor)


@given(index=indices)
def test_rows_are_taken_and_summed_as_by_each_alone(index):
    torch.manual_seed(0)
    check([TakesAndSums(index) for _ in range(NETWORKS)], torch.randn(6, SIZE))


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("all_count", [True, False])
@settings(max_examples=20)
@given(index=indices)
def test_attention_over_edges_is_that_of_each_alone(with_bias, all_count, index):
    torch.manual_seed(0)
    is_edge = None if all_count else torch.arange(len(index)) % 2 == 0
    check([AttendsToEdges(index, with_bias, is_edge) for _ in range(NETWORKS)], torch.randn(6, SIZE))


def test_attention_follows_attention():
    """The first one leaves the networks behind the rows."""

    class AttendsTwice(AttendsToEdges):
        def forward(self, rows):
            return super().forward(super().forward(rows).flatten(1))

    torch.manual_seed(0)
    index = torch.tensor([0, 3, 5, 1, 1])
    check([AttendsTwice(index, with_bias=True) for _ in range(NETWORKS)], torch.randn(6, SIZE))


@pytest.mark.parametrize("bidirectional", [True, False])
@settings(max_examples=20)
@given(lengths=batches_of_lengths)
def test_gru_is_that_of_each_alone(bidirectional, lengths):
    class Reads(PackedGRU):
        def forward(self, rows):
            return super().forward(rows, make_layout(lengths).steps)

    torch.manual_seed(0)
    check([Reads(SIZE, bidirectional) for _ in range(NETWORKS)], torch.randn(sum(lengths), SIZE))


def test_each_draws_numbers_of_its_own():
    rows = torch.ones(50, 8)
    network = nn.Sequential(nn.Linear(8, 8, bias=False), Dropout(0.5)).train()
    kept = compute_together([network] * NETWORKS, lambda own: own(rows)) != 0
    assert 0.4 < kept.float().mean() < 0.6
    assert not torch.equal(kept[0], kept[1])


def test_the_networks_stay_as_they_are():
    networks = [nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval() for _ in range(2)]
    before = [dict(network.named_parameters()) for network in networks]
    during = []

    def look(own):
        during.append(networks[-1][0].weight)
        return own(torch.ones(3, 2))

    compute_together(networks, look)
    assert during == [before[-1]["0.weight"]]
    for network, own in zip(networks, before, strict=True):
        assert all(parameter is own[name] for name, parameter in network.named_parameters())


def test_what_only_the_first_holds_has_no_part():
    """An encoder of text that has read the input for all of them."""
    first, second = nn.ModuleDict({"head": nn.Linear(2, 2)}), nn.ModuleDict({"head": nn.Linear(2, 2)})
    first["encoder"] = nn.Linear(5, 5)
    rows = torch.ones(3, 2)
    outputs = compute_together([first, second], lambda own: own["head"](rows))
    torch.testing.assert_close(outputs, torch.stack([first["head"](rows), second["head"](rows)]))
