"""A model states how far it looks, which is true; what states nothing is unknown, and so is all that contains it."""

import math

import pytest
import torch
from torch import nn

from joyful_hf import JoyfulForEmotionRecognition, StreamingRecognizer
from joyful_hf.modeling.context_encoder import DialogueGRU, DialogueTransformer
from joyful_hf.modeling.reach import ALONE, UNKNOWN, Reach, in_sequence, reach_of, side_by_side
from tests.support.helpers import CAUSAL_CASES, FAMILY_CASES, RIVAL_CASES, make_causal, make_dialogue, make_dialogues
from tests.test_invariants import run

STATE = Reach(carries_state=True)


def outside(reach: Reach, length: int) -> torch.Tensor:
    """(length, length) bool: `[i, j]` says that utterance i does not depend on utterance j."""
    index = torch.arange(length)
    distance = index[:, None] - index
    past = math.inf if reach.carries_state else reach.past
    return (distance > past) | (distance < -reach.future)


def moved(model, processor, length: int) -> torch.Tensor:
    """(length, length) bool: `[i, j]` says that the logits of utterance i move with the features of utterance j."""
    utterances, other = (make_dialogue(length, seed=seed, speakers=3)["utterances"] for seed in (0, 1))
    changes = [
        [*utterances[:place], other[place] | {"speaker": utterances[place]["speaker"]}, *utterances[place + 1 :]]
        for place in range(length)
    ]
    versions = [{"utterances": changed} for changed in [utterances, *changes]]
    logits = run(model, processor(versions, return_tensors="pt", return_labels=False)).logits
    before, *after = logits.unflatten(0, (-1, length))
    return torch.stack([(changed - before).abs().amax(-1) > 1e-5 for changed in after], dim=1)


class TestStatements:
    @pytest.mark.parametrize("case", CAUSAL_CASES, ids=lambda case: case[1])
    def test_of_a_causal_model_nothing_outside_moves_its_logits(self, case):
        model, processor = make_causal(case, window_past=2)
        reach = reach_of(model).on_graph(2, 0)
        assert reach.is_known
        assert reach.future == 0
        assert not (moved(model, processor, 20) & outside(reach, 20)).any()

    @pytest.mark.parametrize("family", [*FAMILY_CASES, *RIVAL_CASES], ids=lambda family: family.name)
    def test_of_any_model_nothing_outside_moves_its_logits(self, family):
        window = {"window_past": 2, "window_future": 1} if family.reads_dialogues else {}
        fields = {"context_encoder": "transformer", "context_window": 1, "generator": "mlp"}
        model, processor = family.make(make_dialogues(), **window)
        known = {name: value for name, value in fields.items() if hasattr(model.config, name)}
        model, processor = family.make(make_dialogues(), **window, **known)
        reach = reach_of(model).on_graph(2, 1)
        assert reach.is_known
        if not family.reads_dialogues:
            assert reach == ALONE
            return
        found = moved(model, processor, 20)
        assert not (found & outside(reach, 20)).any()
        assert found.sum() > 20, "nothing looks further than its own utterance"

    def test_a_context_of_the_whole_dialogue_has_no_bounds(self):
        model, _ = FAMILY_CASES[0].make(make_dialogues())
        assert (reach_of(model).past, reach_of(model).future) == (math.inf, math.inf)
        assert reach_of(DialogueTransformer(4, 1, 2, 8, 0.0, causal=True)) == Reach(past=math.inf)
        assert reach_of(DialogueGRU(4, 0, 0.0)) == reach_of(DialogueTransformer(4, 0, 2, 8, 0.0)) == ALONE

    def test_compiled_it_is_the_same(self):
        model, processor = make_causal(CAUSAL_CASES[0])
        compiled = torch.compile(model, backend="eager")
        assert reach_of(compiled) == reach_of(model)
        assert StreamingRecognizer(compiled, processor).is_exact
        assert not reach_of(torch.compile(nn.LSTM(2, 2), backend="eager")).is_known


class TestUnknown:
    def test_a_layer_that_states_nothing(self):
        assert reach_of(nn.LSTM(2, 2)) == UNKNOWN
        assert not in_sequence(nn.Linear(2, 2), nn.LSTM(2, 2)).is_known
        assert not side_by_side(ALONE, nn.LSTM(2, 2)).is_known
        assert not reach_of(nn.Sequential(nn.Linear(2, 2), nn.Conv1d(2, 2, 3))).is_known
        assert reach_of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Dropout(0.1))) == ALONE

    def test_a_model_with_such_a_layer(self):
        model, _ = make_causal(CAUSAL_CASES[0])
        assert reach_of(model).is_known
        model.joyful.graph_projection = nn.LSTM(2, 2)
        assert not reach_of(model).is_known

    @pytest.mark.parametrize("method", ["forward", "forward_batch"])
    def test_a_subclass_that_replaces_the_computation_and_not_the_statement(self, method):
        model, _ = make_causal(CAUSAL_CASES[0])
        model.__class__ = type("Changed", (JoyfulForEmotionRecognition,), {method: lambda self, batch: None})
        assert reach_of(model) == UNKNOWN
        model.__class__ = type("Stated", (type(model),), {method: lambda self, batch: None, "reach": ALONE})
        assert reach_of(model) == ALONE


class TestComposition:
    def test_one_after_the_other_look_as_far_as_both_together(self):
        assert in_sequence(Reach(2, 1), None, Reach(3, 0, graph_steps=2)) == Reach(5, 1, graph_steps=2)

    def test_side_by_side_look_as_far_as_the_farther(self):
        assert side_by_side(Reach(2, 1), Reach(1, 3, graph_steps=1), STATE) == Reach(2, 3, 1, carries_state=True)

    def test_a_state_stands_for_the_past_if_nothing_before_it_looks_back(self):
        assert in_sequence(STATE, STATE, Reach(2)) == Reach(2, carries_state=True)

    @pytest.mark.parametrize("before", [Reach(past=1), Reach(graph_steps=1)], ids=["window", "graph"])
    def test_otherwise_all_of_the_past_is_needed(self, before):
        assert in_sequence(before, STATE).past == math.inf
        assert not in_sequence(before, STATE).carries_state

    def test_a_graph_goes_as_far_as_the_processors_window_at_each_step(self):
        assert Reach(1, 2, graph_steps=2).on_graph(3, 1) == Reach(7, 4)
        assert Reach(graph_steps=1).on_graph(-1, 0) == Reach(past=math.inf)
        assert Reach(1).on_graph(-1, -1) == Reach(1)
