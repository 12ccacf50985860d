"""The contrastive losses against Eqs. 11-13 and PyGCL's InfoNCE, in plain loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.modeling import contrast
from joyful_hf.modeling.contrast import info_nce_loss, view_to_view_loss
from tests.support.helpers import batches_of_lengths, make_layout

LOSSES = [view_to_view_loss, info_nce_loss]

each_loss = pytest.mark.parametrize("loss", LOSSES)
scopes = st.sampled_from(["dialogue", "batch"])
temperatures = st.sampled_from([0.2, 1.0, 3.0])


def two_views(num_utterances: int, size: int = 5):
    generator = torch.Generator().manual_seed(num_utterances)
    return torch.randn(2, num_utterances, size, generator=generator).unbind(0)


def groups_of(rows: torch.Tensor, lengths, scope: str):
    return [rows] if scope == "batch" else rows.split(list(lengths))


def similarity(left, right, temperature: float) -> float:
    return float(torch.nn.functional.cosine_similarity(left, right, dim=0)) / temperature


def log_sum(similarities) -> float:
    return math.log(sum(math.exp(value) for value in similarities))


@given(batches_of_lengths, scopes, temperatures, st.booleans())
def test_view_to_view_is_equations_11_to_13(lengths, scope, temperature, exclude_self):
    view1, view2 = two_views(sum(lengths))
    total = 0.0
    for h1, h2 in zip(groups_of(view1, lengths, scope), groups_of(view2, lengths, scope), strict=True):
        m = len(h1)
        for i in range(m if m > 1 else 0):  # an utterance without any other has no negative: it adds 0
            positive = similarity(h1[i], h2[i], temperature)
            inter = [similarity(h1[i], h2[j], temperature) for j in range(m)]
            intra = [similarity(h1[i], h1[j], temperature) for j in range(m) if j != i or not exclude_self]
            total += log_sum(inter) - positive + log_sum(intra) - positive
    loss = view_to_view_loss(view1, view2, make_layout(lengths), scope, temperature, exclude_self)
    assert float(loss) == pytest.approx(total / (2 * sum(lengths)), rel=1e-4, abs=1e-5)


@given(batches_of_lengths, scopes, temperatures, st.booleans())
def test_info_nce_has_all_negatives_in_one_denominator_and_both_directions(lengths, scope, temperature, exclude_self):
    view1, view2 = two_views(sum(lengths))
    total = 0.0
    for first, second in ((view1, view2), (view2, view1)):
        for h1, h2 in zip(groups_of(first, lengths, scope), groups_of(second, lengths, scope), strict=True):
            m = len(h1)
            for i in range(m):
                inter = [similarity(h1[i], h2[j], temperature) for j in range(m)]
                intra = [similarity(h1[i], h1[j], temperature) for j in range(m) if j != i or not exclude_self]
                total += log_sum(inter + intra) - inter[i]
    loss = info_nce_loss(view1, view2, make_layout(lengths), scope, temperature, exclude_self)
    assert float(loss) == pytest.approx(total / (2 * sum(lengths)), rel=1e-4, abs=1e-5)


@each_loss
@given(lengths=batches_of_lengths, scope=scopes, exclude_self=st.booleans())
def test_the_losses_of_several_views_are_added(loss, lengths, scope, exclude_self):
    view, *others = torch.randn(4, sum(lengths), 5, generator=torch.Generator().manual_seed(0)).unbind(0)
    arguments = (make_layout(lengths), scope, 0.5, exclude_self)
    expected = sum(loss(view, other, *arguments) for other in others)
    torch.testing.assert_close(loss(view, torch.stack(others), *arguments), expected, rtol=1e-4, atol=1e-5)


@each_loss
@given(lengths=batches_of_lengths)
def test_inside_dialogues_a_batch_is_the_mean_over_its_utterances(loss, lengths):
    view1, view2 = two_views(sum(lengths))
    together = loss(view1, view2, make_layout(lengths), "dialogue", 0.5, True)
    alone = [
        length * loss(part1, part2, make_layout([length]), "dialogue", 0.5, True)
        for length, part1, part2 in zip(lengths, view1.split(lengths), view2.split(lengths), strict=True)
    ]
    torch.testing.assert_close(together, sum(alone) / sum(lengths), rtol=1e-4, atol=1e-5)


@each_loss
@pytest.mark.parametrize("scope", ["dialogue", "batch"])
def test_a_single_utterance_has_nothing_to_contrast(loss, scope):
    view1, view2 = (view.requires_grad_() for view in two_views(1))
    value = loss(view1, view2, make_layout([1]), scope, 0.2, True)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert view1.grad.abs().max() < 1e-6


@each_loss
@pytest.mark.parametrize("exclude_self", [True, False])
@pytest.mark.parametrize("rows", ["zero", "equal", "large"])
def test_no_representation_breaks_the_gradient(loss, rows, exclude_self):
    lengths = [4, 1, 7]
    view1, view2 = two_views(12)
    if rows == "zero":  # every dimension masked
        view1[:3] = 0
    elif rows == "equal":
        view1 = view2 = torch.ones(12, 5)
    else:
        view1 = view1 * 1e6
    view1, view2 = view1.clone().requires_grad_(), view2.clone().requires_grad_()
    value = loss(view1, view2, make_layout(lengths), "dialogue", 0.05, exclude_self)
    value.backward()
    assert all(torch.isfinite(tensor).all() for tensor in (value, view1.grad, view2.grad))


@each_loss
def test_agreeing_views_cost_less_than_random_ones(loss):
    view1, view2 = two_views(30)
    arguments = (make_layout([30]), "dialogue", 0.2, True)
    assert loss(view1, view1, *arguments) < loss(view1, view2, *arguments)


@each_loss
def test_it_is_float32_under_autocast(loss):
    view1, view2 = two_views(20)
    arguments = (make_layout([20]), "dialogue", 0.2, True)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(view1, view2, *arguments)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(view1, view2, *arguments))


@each_loss
@pytest.mark.parametrize("scope", ["dialogue", "batch"])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_in_chunks_the_loss_and_its_gradient_are_the_same(loss, scope, exclude_self, monkeypatch):
    results = []
    for limit in (contrast.MAX_SIMILARITIES, 30):
        monkeypatch.setattr(contrast, "MAX_SIMILARITIES", limit)
        views = [view.clone().requires_grad_() for view in two_views(18)]
        value = loss(*views, make_layout([5, 12, 1]), scope, 0.5, exclude_self)
        results.append((value.detach(), *torch.autograd.grad(value, views)))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole)
