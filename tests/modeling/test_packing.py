"""`DialogueLayout`: where packed rows lie, blocks of similar length, and the way back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.modeling import packing
from joyful_hf.modeling.packing import DialogueLayout, similar_lengths
from tests.support.helpers import batches_of_lengths, make_layout

# Whether more blocks than one pay: never, by the measured cost, and whenever lengths differ.
costs = st.sampled_from([2**14, 20, 0])


def numbered_rows(lengths, *shape):
    """(N, *shape): every row holds its own number, counted from 1."""
    total = sum(lengths)
    return torch.arange(1.0, total + 1).view(total, *[1] * len(shape)).expand(total, *shape).contiguous()


def through_blocks(layout, rows):
    """Into the rectangles and back."""
    parts = zip(layout.blocks, layout.split(layout.arrange(rows)), strict=True)
    return layout.restore(torch.cat([block.unpad(block.pad(own)) for block, own in parts]))


@pytest.fixture
def block_cost(monkeypatch):
    """Sets what a block costs, in cells."""
    return lambda cost: monkeypatch.setattr(packing, "_CELLS_OF_A_BLOCK", cost)


@given(batches_of_lengths)
def test_where_each_row_lies(lengths):
    layout = make_layout(lengths)
    expected = [(dialogue, position) for dialogue, length in enumerate(lengths) for position in range(length)]
    assert list(zip(layout.dialogue.tolist(), layout.position.tolist(), strict=True)) == expected
    ends = [(sum(lengths[:dialogue]), sum(lengths[: dialogue + 1]) - 1) for dialogue, _ in expected]
    assert list(zip(layout.first.tolist(), layout.last.tolist(), strict=True)) == ends
    assert layout.starts.tolist() == [sum(lengths[:dialogue]) for dialogue in range(len(lengths))]
    assert (layout.num_dialogues, layout.num_utterances, layout.longest) == (len(lengths), sum(lengths), max(lengths))


@given(lengths=batches_of_lengths, cost=costs, shape=st.sampled_from([(), (3,), (2, 4)]))
def test_a_block_holds_each_dialogue_in_a_line_with_zeros_behind(block_cost, lengths, cost, shape):
    block_cost(cost)
    layout, rows = make_layout(lengths), numbered_rows(lengths, *shape)
    dialogues = {int(dialogue.flatten()[0]): dialogue for dialogue in rows.split(lengths)}
    for block, own in zip(layout.blocks, layout.split(layout.arrange(rows)), strict=True):
        assert torch.equal(own, rows[block.rows])
        rectangle = block.pad(own)
        assert rectangle.shape == (*block.mask.shape, *shape)
        assert block.longest == int(block.mask.sum(1).max())
        for line, real in zip(rectangle, block.mask, strict=True):
            assert torch.equal(line[real], dialogues.pop(int(line.flatten()[0])))
            assert not line[~real].any()
            assert real.tolist() == sorted(real.tolist(), reverse=True)
    assert not dialogues


@given(lengths=batches_of_lengths, cost=costs, shape=st.sampled_from([(), (3,), (2, 4)]))
def test_unpad_and_restore_undo_arrange_and_pad(block_cost, lengths, cost, shape):
    block_cost(cost)
    layout, rows = make_layout(lengths), numbered_rows(lengths, *shape)
    assert torch.equal(through_blocks(layout, rows), rows)


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=30), cost=costs)
def test_similar_lengths_hold_every_dialogue_once_and_little_padding(block_cost, lengths, cost):
    block_cost(cost)
    groups = similar_lengths(torch.tensor(lengths))
    assert sorted(torch.cat(groups).tolist()) == list(range(len(lengths)))
    for group in groups:
        own = [lengths[index] for index in group.tolist()]
        assert sum(max(own) ** 2 - length**2 for length in own) <= max(cost, 0) * max(1, len(own) - 1)


def test_dialogues_of_one_length_stay_together_in_their_order():
    (group,) = similar_lengths(torch.tensor([200] * 9))
    assert group.tolist() == list(range(9))


@given(batches_of_lengths)
def test_steps_are_the_order_of_a_packed_sequence(lengths):
    layout, rows = make_layout(lengths), numbered_rows(lengths)
    steps = layout.steps
    expected = torch.nn.utils.rnn.pack_sequence(list(rows.split(lengths)), enforce_sorted=False)
    assert torch.equal(steps.sizes, expected.batch_sizes)
    assert torch.equal(rows[steps.order], expected.data)
    assert torch.equal(expected.data[steps.back], rows)
    turned = [dialogue.flip(0) for dialogue in rows.split(lengths)]
    expected = torch.nn.utils.rnn.pack_sequence(turned, enforce_sorted=False)
    assert torch.equal(rows[steps.order][steps.mirrored], expected.data)


@given(batches_of_lengths, st.integers(0, 14))
def test_shift_looks_back_inside_the_dialogue(lengths, steps):
    layout, rows = make_layout(lengths), numbered_rows(lengths, 2)
    expected = torch.zeros_like(rows)
    for row, position in enumerate(layout.position.tolist()):
        if position >= steps:
            expected[row] = rows[row - steps]
    assert torch.equal(layout.shift(rows, steps), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_the_type_stays(dtype):
    layout = make_layout([3, 1])
    rows = torch.ones(4, 2, dtype=dtype)
    (block,) = layout.blocks
    assert {block.pad(rows).dtype, block.unpad(block.pad(rows)).dtype, layout.shift(rows, 1).dtype} == {dtype}


def test_gradients_come_back_to_their_rows(block_cost):
    block_cost(0)
    layout = make_layout([2, 3])
    rows = numbered_rows([2, 3], 2).requires_grad_()
    (through_blocks(layout, rows) * rows.detach()).sum().backward()
    assert torch.equal(rows.grad, rows.detach())


def test_the_device_is_asked_only_when_lengths_are_needed():
    layout = DialogueLayout(torch.empty(3, dtype=torch.int64, device="meta"), 7)
    assert layout.dialogue.shape == layout.position.shape == (7,)
    with pytest.raises(NotImplementedError):
        _ = layout.blocks
