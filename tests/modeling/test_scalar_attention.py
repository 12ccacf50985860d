"""Attention over single dimensions equals its formula, interpolated or not, and so do its gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from joyful_hf.modeling import chunks
from joyful_hf.modeling import scalar_attention as module
from joyful_hf.modeling.scalar_attention import num_nodes, scalar_attention


def plain(basis: Tensor, values: Tensor) -> Tensor:
    """out_i = sum_j softmax_j(b_i p_j) p_j as it is written, in double precision."""
    basis, values = basis.double(), values.double()
    return ((basis[:, None] * values[:, None, :]).softmax(-1) * values[:, None, :]).sum(-1)


def random_case(scale: float, size: int = 300, rows: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(size, generator=generator) / 3**0.5
    return basis.requires_grad_(), (scale * torch.randn(rows, size, generator=generator)).requires_grad_()


def largest_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.1, 0.6, 2.0, 8.0, 50.0])
def test_values_and_gradients_are_the_formulas(scale):
    basis, values = random_case(scale)
    attended, expected = scalar_attention(basis, values), plain(basis, values)
    torch.testing.assert_close(attended.double(), expected, rtol=0, atol=1e-5 * max(scale, 1e-9))
    received = torch.randn_like(attended)
    ours = torch.autograd.grad(attended, (basis, values), received)
    theirs = torch.autograd.grad(expected, (basis, values), received.double())
    assert largest_difference(ours[1], theirs[1]) < 1e-4
    if scale:
        assert largest_difference(ours[0], theirs[0]) < 1e-4


def test_each_of_several_is_as_precise_as_its_type_and_takes_no_more_nodes_than_alone():
    basis, values = random_case(1.0, rows=12)
    several = values.bfloat16().unflatten(0, (3, 4))
    for own, alone in zip(scalar_attention(basis, several), several, strict=True):
        assert torch.equal(own, scalar_attention(basis, alone))


def test_each_of_several_has_the_values_and_gradients_that_it_has_alone():
    basis, values = random_case(1.0, rows=12)
    several = torch.stack([values[:4] * 1e-3, values[4:8], values[8:] * 8])
    attended = scalar_attention(basis, several)
    for own, alone in zip(attended, several, strict=True):
        assert torch.equal(own, scalar_attention(basis, alone))
    expected = sum(scalar_attention(basis, alone).square().sum() for alone in several)
    torch.testing.assert_close(
        torch.autograd.grad(attended.square().sum(), values, retain_graph=True),
        torch.autograd.grad(expected, values),
    )
    on_devices = module.with_narrow_heads(basis, several.flatten(0, 1)).unflatten(0, several.shape[:2])
    torch.testing.assert_close(on_devices, attended, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at_a_time", [2**25, 1], ids=["at-once", "in-chunks"])
def test_an_accelerator_has_it_as_attention_with_narrow_heads(monkeypatch, at_a_time):
    basis, values = random_case(2.0, size=30)
    monkeypatch.setattr(chunks, "CPU_ELEMENTS", at_a_time)
    attended, expected = module.with_narrow_heads(basis, values), plain(basis, values)
    torch.testing.assert_close(attended.double(), expected, rtol=0, atol=1e-5)
    received = torch.randn_like(attended)
    ours = torch.autograd.grad(attended, (basis, values), received)
    theirs = torch.autograd.grad(expected, (basis, values), received.double())
    assert all(largest_difference(one, other) < 1e-5 for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("size", "scale"), [(9, 1.0), (90, 0.1)], ids=["plain", "interpolated"])
def test_the_gradient_is_that_of_the_value(size, scale):
    generator = torch.Generator().manual_seed(0)
    basis = (scale * torch.randn(size, generator=generator, dtype=torch.float64)).requires_grad_()
    values = (scale * torch.randn(3, 6, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(scalar_attention, (basis, values))


@given(half_width=st.floats(1e-3, 4), spread=st.floats(1e-3, 20), exponent=st.integers(2, 10))
def test_the_promised_nodes_suffice(half_width, spread, exponent):
    tolerance = 10.0**-exponent
    count = num_nodes(half_width, spread, tolerance)
    basis = torch.linspace(-half_width, half_width, 4 * count, dtype=torch.float64)
    values = torch.linspace(0, spread, 11, dtype=torch.float64)[None].repeat(2, 1)
    values[1, 1:-1] = 0  # two heaps at the ends: the least smooth there is
    assert (module._ScalarAttention.apply(basis, values, tolerance) - plain(basis, values)).abs().max() <= (
        1.01 * tolerance * spread
    )


def test_a_single_wide_vector_is_enough_to_ask_for_more_nodes():
    basis, values = random_case(0.1)
    with torch.no_grad():
        values[3] *= 40
    torch.testing.assert_close(scalar_attention(basis, values).double(), plain(basis, values), rtol=0, atol=1e-5)


def test_few_nodes_stand_for_many_points():
    assert num_nodes(1.8, 4.0, torch.finfo(torch.float32).eps) < 60
    assert num_nodes(1.8, 0.0, 1e-7) == num_nodes(0.0, 4.0, 1e-7) == 1
    assert num_nodes(float("nan"), 4.0, 1e-7) is None


def test_what_is_not_finite_stays_so():
    basis, values = random_case(1.0)
    with torch.no_grad():
        values[0, 0] = torch.inf
    assert scalar_attention(basis, values)[0].isnan().all()


def test_chunks_change_nothing(monkeypatch):
    basis, values = random_case(1.0, rows=11)
    whole = scalar_attention(basis, values)
    (expected,) = torch.autograd.grad(whole.square().sum(), values)
    monkeypatch.setattr(chunks, "CPU_ELEMENTS", 1)
    parts = scalar_attention(basis, values)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), values)[0], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loses_no_more_than_its_type(dtype):
    basis, values = random_case(0.6)
    rounded = values.detach().to(dtype)
    attended = scalar_attention(basis.detach(), rounded)
    assert attended.dtype == torch.float32
    torch.testing.assert_close(attended.double(), plain(basis, rounded), rtol=0, atol=torch.finfo(dtype).eps)


def test_autocast_around_it_changes_nothing():
    basis, values = random_case(0.6)
    expected = torch.autograd.grad(scalar_attention(basis, values).sum(), (basis, values))
    with torch.autocast("cpu", torch.bfloat16):
        attended = scalar_attention(basis, values)
        gradients = torch.autograd.grad(attended.sum(), (basis, values))
    assert torch.equal(attended, scalar_attention(basis, values))
    assert all(torch.equal(gradient, again) for gradient, again in zip(gradients, expected, strict=True))


def test_no_utterance_is_no_error():
    assert scalar_attention(torch.ones(3), torch.empty(0, 5)).shape == (0, 3)
