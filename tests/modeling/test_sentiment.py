"""Sentiments of emotions, and the pairs of utterances that are compared."""

import math

import pytest
import torch

from joyful_hf.modeling.sentiment import UNKNOWN, sentiment_of_name, sentiments_of, shift_pairs, shifts
from tests.support.helpers import make_layout

LENGTHS = (1, 5, 3)


def naive_pairs(window, in_blocks):
    """Every pair as (row, row), in the order of the authors' code."""
    pairs, first = [], 0
    for length in LENGTHS:
        width = length if window < 0 else window
        for place in range(length):
            others = range(place + 1, place + width)
            if in_blocks:
                start = place - place % width
                others = range(start, start + width)
            pairs += [(first + place, first + other) for other in others if other < length]
        first += length
    return pairs


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("window", [2, 3, 9, -1])
def test_pairs_stay_in_their_dialogue_and_window(window, in_blocks):
    partner, exists = shift_pairs(make_layout(LENGTHS), window, in_blocks)
    rows = torch.arange(sum(LENGTHS))[:, None].expand_as(partner)
    found = list(zip(rows[exists].tolist(), partner[exists].tolist(), strict=True))
    assert found == naive_pairs(window, in_blocks)


def test_names_tell_sentiments():
    names = ["Joy", "neutral", "sad", "surprise", "LABEL_0"]
    assert [sentiment_of_name(name) for name in names] == [2, 1, 0, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (torch.tensor([0, 1, 2, 3, -100]), [2, 0, 0, UNKNOWN, UNKNOWN]),
        (torch.tensor([-1.5, 0.0, 2.0, math.nan]), [0, 1, 2, UNKNOWN]),
        (
            torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0], [math.nan, 1, 1, 1.0]]),
            [0, UNKNOWN, UNKNOWN, 1, UNKNOWN],
        ),
    ],
    ids=["single", "value", "several"],
)
def test_of_every_task(labels, expected):
    """Of the emotions positive, negative, negative and unknown."""
    assert sentiments_of(labels, [2, 0, 0, UNKNOWN]).tolist() == expected


def test_several_values_have_none():
    assert sentiments_of(torch.zeros(2, 3), [UNKNOWN] * 3, has_classes=False).tolist() == [UNKNOWN, UNKNOWN]


def test_a_shift_is_known_where_both_sentiments_are():
    sentiment = torch.tensor([2, 2, 0, UNKNOWN])
    assert shifts(sentiment, torch.tensor([[1], [2], [3], [0]])).tolist() == [[0], [1], [UNKNOWN], [UNKNOWN]]
