"""Messages say where, what and the way out, however long what they quote is."""

import pickle

import pytest

from joyful_hf import DialogueError, JoyfulProcessor
from tests.support.helpers import make_dialogues


@pytest.mark.parametrize("key", ["speaker", "label"])
def test_a_message_quotes_the_beginning_of_what_is_long(key):
    dialogues = make_dialogues((2,))
    dialogues[0]["utterances"][1][key] = {"é" * 30_000: "é" * 30_000}
    with pytest.raises(DialogueError) as caught:
        JoyfulProcessor.from_dialogues(dialogues).encode(dialogues)
    assert str(caught.value).startswith("dialogue 'd0', utterances[1]")
    assert len(str(caught.value)) < 2000


def test_its_end_stays():
    error = DialogueError(f"d: unknown label {'x' * 9999!r}; did you mean 'joy'?")
    assert str(error).endswith("x'; did you mean 'joy'?")
    assert " ... " in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
