"""The memory of a recurrence gives each step the states before it, and each state the gradients of later steps."""

import gc
import weakref

import pytest
import torch
from torch import Tensor

from joyful_hf.modeling.growing_memory import GrowingMemory

STEPS, DIALOGUES, SIZE = 6, 3, 4
COUNTS = [3, 3, 2, 2, 1, 1]  # dialogues that go on at each step


def recurrence(inputs: Tensor, joins: bool) -> Tensor:
    """A state that reads all states before it, from the memory or from those joined anew at each step."""
    memory, joined = GrowingMemory(STEPS), inputs.new_zeros(DIALOGUES, 0, SIZE)
    state, total = inputs[0], inputs.new_zeros(())
    for step, count in enumerate(COUNTS):
        state = state[:count]
        if step:
            seen = joined[:count] if joins else memory.read(count)
            weights = (seen @ state[..., None]).softmax(1)
            state = torch.tanh((weights * seen).sum(1) + inputs[step, :count])
        memory.write(state)
        joined = torch.cat([joined[:count], state[:, None]], dim=1)
        total = total + state.square().sum()
    return total


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(STEPS, DIALOGUES, SIZE, requires_grad=True)


def test_states_and_gradients_are_those_of_joined_states(inputs):
    expected = recurrence(inputs, joins=True)
    total = recurrence(inputs, joins=False)
    torch.testing.assert_close(total, expected)
    (gradient,), (other,) = (torch.autograd.grad(loss, inputs) for loss in (total, expected))
    torch.testing.assert_close(gradient, other)


def test_a_second_backward_pass_gives_the_same_gradients(inputs):
    total = recurrence(inputs, joins=False)
    (first,), (second,) = (torch.autograd.grad(total, inputs, retain_graph=True) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize(("joins", "tensors"), [(False, 1), (True, STEPS - 1)])
def test_no_step_keeps_a_copy_of_the_states(inputs, joins, tensors):
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.dim() == 3 and tensor.size(2) == SIZE:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        recurrence(inputs, joins)
    assert len(kept) == tensors


def test_a_pass_without_backward_is_forgotten(inputs):
    memory = GrowingMemory(1)
    memory.write(inputs[0])
    seen = memory.read(DIALOGUES)
    forgotten = weakref.ref(memory.kept)
    gc.disable()
    try:
        del memory, seen
        assert forgotten() is None
    finally:
        gc.enable()
