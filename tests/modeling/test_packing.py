"""`DialogueLayout`: packed rows to padded blocks and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import batches_of_lengths, make_layout


def numbered_rows(lengths, *shape):
    """(N, *shape): every row holds its own number, counted from 1."""
    total = sum(lengths)
    return torch.arange(1.0, total + 1).view(total, *[1] * len(shape)).expand(total, *shape).contiguous()


@given(batches_of_lengths)
def test_where_each_row_lies(lengths):
    layout = make_layout(lengths)
    expected = [(dialogue, position) for dialogue, length in enumerate(lengths) for position in range(length)]
    assert list(zip(layout.dialogue.tolist(), layout.position.tolist(), strict=True)) == expected
    assert layout.starts.tolist() == [sum(lengths[:dialogue]) for dialogue in range(len(lengths))]
    assert (layout.num_dialogues, layout.num_utterances, layout.longest) == (len(lengths), sum(lengths), max(lengths))


@given(batches_of_lengths, st.sampled_from([(), (3,), (2, 4)]))
def test_pad_puts_each_dialogue_in_its_line_with_zeros_behind(lengths, shape):
    layout, rows = make_layout(lengths), numbered_rows(lengths, *shape)
    block = layout.pad(rows)
    assert block.shape == (len(lengths), max(lengths), *shape)
    for line, real, dialogue in zip(block, layout.mask, rows.split(lengths), strict=True):
        assert real.tolist() == [True] * len(dialogue) + [False] * (max(lengths) - len(dialogue))
        assert torch.equal(line[real], dialogue)
        assert not line[~real].any()


@given(batches_of_lengths, st.sampled_from([(), (3,), (2, 4)]))
def test_unpad_undoes_pad(lengths, shape):
    layout, rows = make_layout(lengths), numbered_rows(lengths, *shape)
    assert torch.equal(layout.unpad(layout.pad(rows)), rows)


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
    assert {layout.pad(rows).dtype, layout.unpad(layout.pad(rows)).dtype, layout.shift(rows, 1).dtype} == {dtype}


def test_gradients_come_back_to_their_rows():
    layout = make_layout([2, 3])
    rows = numbered_rows([2, 3], 2).requires_grad_()
    (layout.unpad(layout.pad(rows)) * rows.detach()).sum().backward()
    assert torch.equal(rows.grad, rows.detach())
