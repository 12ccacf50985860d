"""DialogueRNN's recurrence: who speaks, which way round, and what the states remember."""

import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import DialogueRNNConfig
from joyful_hf.modeling.dialogue_rnn import CONTEXT_ATTENTIONS, DialogueRNN, DialogueRNNCell, GRUStep, who_speaks
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.modeling.reach import reach_of
from tests.support.helpers import RIVAL_CASES, batches_of_lengths, make_dialogues

SIZE = 5
CASE = next(case for case in RIVAL_CASES if case.name == "dialogue-rnn-recommended")


def make_layout(lengths, speaker_ids) -> DialogueLayout:
    return DialogueLayout(torch.tensor(lengths), sum(lengths), speaker_ids=speaker_ids)


def make_recurrence(**settings) -> DialogueRNN:
    torch.manual_seed(0)
    backwards = settings.pop("backwards", False)
    settings = {"global_size": SIZE, "party_size": 4, "emotion_size": 3} | settings
    return DialogueRNN(DialogueRNNCell(SIZE, **settings), backwards)


def test_a_step_is_torchs_gru():
    step, theirs = GRUStep(2, 3, 4), torch.nn.GRUCell(5, 4)
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.cat([step.known.weight, step.found.weight], dim=1))
        theirs.bias_ih.copy_(step.known.bias)
        theirs.weight_hh.copy_(step.state.weight)
        theirs.bias_hh.copy_(step.state.bias)
    known, found, state = torch.randn(7, 2), torch.randn(7, 3), torch.randn(7, 4)
    expected = theirs(torch.cat([known, found], dim=1), state)
    torch.testing.assert_close(step(step.prepare(known), found, state), expected)


class TestWhoSpeaks:
    @given(lengths=batches_of_lengths, data=st.data())
    def test_each_utterance_has_one_speaker_and_speakers_stay_apart(self, lengths, data):
        ids = torch.tensor(data.draw(st.lists(st.integers(0, 40), min_size=sum(lengths), max_size=sum(lengths))))
        layout = make_layout(lengths, ids)
        speaks = who_speaks(ids, layout, None)
        assert speaks.sum(1).tolist() == [1] * len(ids)
        assert speaks.size(1) <= max(max(lengths), int(ids.max()) + 1)
        same = (layout.dialogue[:, None] == layout.dialogue) & (ids[:, None] == ids)
        places = speaks.long().argmax(1)
        own = layout.dialogue[:, None] == layout.dialogue
        assert torch.equal((places[:, None] == places) & own, same)

    def test_there_are_never_more_than_utterances_in_a_dialogue(self):
        ids = torch.tensor([700, 3, 700])
        assert who_speaks(ids, make_layout((3,), ids), None).tolist() == [
            [True, False, False],
            [False, True, False],
            [True, False, False],
        ]


@pytest.mark.parametrize("listener_state", [False, True])
@pytest.mark.parametrize("kind", CONTEXT_ATTENTIONS)
class TestDirections:
    def test_backwards_is_the_dialogue_turned_round(self, kind, listener_state):
        settings = {"context_attention": kind, "listener_state": listener_state}
        forwards, backwards = make_recurrence(**settings), make_recurrence(backwards=True, **settings)
        backwards.load_state_dict(forwards.state_dict())
        rows, ids = torch.randn(9, SIZE), torch.tensor([0, 1, 0, 2, 2, 1, 0, 0, 1])
        layout = make_layout((9,), ids)
        speaks = who_speaks(ids, layout, None)
        turned = forwards(rows.flip(0), speaks.flip(0), layout).flip(0)
        torch.testing.assert_close(backwards(rows, speaks, layout), turned)

    def test_the_past_alone_counts(self, kind, listener_state):
        recurrence = make_recurrence(context_attention=kind, listener_state=listener_state)
        rows, ids = torch.randn(9, SIZE), torch.tensor([0, 1, 0, 2, 2, 1, 0, 0, 1])
        layout = make_layout((9,), ids)
        speaks = who_speaks(ids, layout, None)
        before = recurrence(rows, speaks, layout)
        rows[6] += 1
        after = recurrence(rows, speaks, layout)
        changed = (before - after).abs().amax(1) > 1e-7
        assert changed.tolist() == [False] * 6 + [True] * 3


def test_speakers_have_no_names():
    recurrence, rows = make_recurrence(listener_state=True), torch.randn(6, SIZE)
    ids = torch.tensor([0, 1, 2, 1, 0, 2])
    layout = make_layout((6,), ids)
    other = torch.tensor([2, 0, 1])[ids]
    first, second = (recurrence(rows, who_speaks(each, layout, 3), layout) for each in (ids, other))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("fields", "past", "future"),
    [
        ({}, math.inf, math.inf),
        ({"bidirectional": False}, math.inf, math.inf),
        ({"bidirectional": False, "emotion_attention": False}, math.inf, 0),
    ],
    ids=["whole", "attention", "past"],
)
def test_how_far_it_looks(fields, past, future):
    model, processor = CASE.make(make_dialogues(), **fields)
    assert (reach_of(model).past, reach_of(model).future) == (past, future)
    assert len(model.predict(make_dialogues(), processor)) == 4


def test_dropout_of_states_changes_what_is_remembered():
    recurrence, rows, ids = make_recurrence(dropout=0.5), torch.randn(4, SIZE), torch.zeros(4, dtype=torch.int64)
    layout = make_layout((4,), ids)
    speaks = who_speaks(ids, layout, None)
    kept = recurrence.eval()(rows, speaks, layout)
    dropped = recurrence.train()(rows, speaks, layout)
    assert not torch.allclose(kept, dropped)
    assert (dropped == 0).any()


def test_a_product_needs_equal_sizes():
    with pytest.raises(StrictDataclassClassValidationError, match="global_size=12 instead of 150"):
        DialogueRNNConfig(text_dim=12, context_attention="dot")


def test_a_batch_without_speakers_is_refused():
    model, processor = CASE.make(make_dialogues())
    batch = processor(make_dialogues(), return_tensors="pt")
    del batch["speaker_ids"]
    with pytest.raises(ValueError, match="needs speaker_ids"):
        model(**batch)


@pytest.mark.parametrize("kind", ["general", "simple", "dot"])
def test_training_keeps_each_global_state_once(kind):
    def kept_bytes(length: int) -> int:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        ids = torch.zeros(length, dtype=torch.long)
        layout = make_layout((length,), ids)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            emotions = recurrence(torch.randn(length, 64), who_speaks(ids, layout, None), layout)
        assert emotions.requires_grad
        return sum(kept.values())

    recurrence = DialogueRNN(DialogueRNNCell(64, 64, 4, 3, context_attention=kind))
    short, middle, long = (kept_bytes(length) for length in (20, 40, 80))
    # Twice as many steps keep twice as much more; the weights of the attention are a number for each pair alone.
    assert long - middle < 2.5 * (middle - short)
