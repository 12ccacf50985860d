"""Words that messages share."""

import pytest

from joyful_hf.io.messages import counted, did_you_mean, listed


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (1, "dialogue", "1 dialogue"),
        (0, "dialogue", "0 dialogues"),
        (1, "medium", "1 medium"),
        (3, "medium", "3 media"),
    ],
)
def test_nouns_agree_with_their_number(number, noun, said):
    assert counted(number, noun) == said


def test_the_nearest_names_are_suggested_or_none():
    assert did_you_mean("joyfull", ["joyful", "foal-net"]) == "; did you mean joyful?"
    assert did_you_mean("xyzzy", ["joyful", "foal-net"]) == ""


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c", "d"], most=2) == "a, b and 2 more"
