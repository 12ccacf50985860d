"""`MatchingAttention`: each utterance asks all of its dialogue, and padding takes no part."""

import pytest
import torch
from hypothesis import given

from joyful_hf.modeling.matching_attention import MatchingAttention
from tests.support.helpers import batches_of_lengths, make_layout

SIZE = 6


@pytest.mark.parametrize("bounded", [False, True])
@given(lengths=batches_of_lengths)
def test_it_is_a_softmax_over_the_own_dialogue(bounded, lengths):
    torch.manual_seed(0)
    attention, rows, queries = MatchingAttention(SIZE, bounded), *torch.randn(2, sum(lengths), SIZE)
    expected = []
    for memory, asked in zip(rows.split(lengths), queries.split(lengths), strict=True):
        scores = attention.transform(asked) @ memory.T
        expected.append((torch.tanh(scores) if bounded else scores).softmax(-1) @ memory)
    torch.testing.assert_close(attention(rows, make_layout(lengths), queries), torch.cat(expected))


def test_scores_far_below_zero_beside_padding_are_no_nan():
    """The released code multiplies scores by the mask: below about -104 all real weights vanish."""
    attention = MatchingAttention(SIZE)
    torch.nn.init.zeros_(attention.transform.weight)
    torch.nn.init.constant_(attention.transform.bias, -40.0)
    rows = torch.ones(5, SIZE)
    torch.testing.assert_close(attention(rows, make_layout((2, 3))), rows)
