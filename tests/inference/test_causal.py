"""With `causal` and `window_future=0` no utterance knows what comes after it, in any form of the model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joyful_hf import DialogueError
from tests.support.export import assert_exports
from tests.support.helpers import (
    CAUSAL_CASES,
    FAMILY_CASES,
    make_causal,
    make_dialogue,
    make_dialogues,
)
from tests.test_invariants import assert_trained, logits_of, train_step

each_form = pytest.mark.parametrize("case", CAUSAL_CASES, ids=lambda case: case[1])


def forms(*names):
    cases = [case for case in CAUSAL_CASES if case[1] in names]
    return pytest.mark.parametrize("case", cases, ids=lambda case: case[1])


@each_form
@settings(max_examples=8)
@given(length=st.integers(2, 40), data=st.data())
def test_what_is_said_later_changes_nothing_before(case, length, data):
    model, processor = make_causal(case)
    cut = data.draw(st.integers(1, length - 1))
    dialogue, other = (make_dialogue(length, seed=seed, speakers=3) for seed in (0, 1))
    changed = {"utterances": dialogue["utterances"][:cut] + other["utterances"][cut:]}
    before, after = (logits_of(model, processor, [one, *make_dialogues((2, 11))]) for one in (dialogue, changed))
    torch.testing.assert_close(after[:cut], before[:cut], rtol=0, atol=1e-5)
    assert (after[cut] - before[cut]).abs().max() > 1e-4


@each_form
def test_it_trains(case):
    model, processor = make_causal(case)
    assert_trained(model, train_step(model, processor(make_dialogues(), return_tensors="pt")))


@pytest.mark.parametrize("family", [FAMILY_CASES[0], FAMILY_CASES[3]], ids=lambda family: family.name)
def test_edges_from_the_future_are_refused(family):
    model, processor = family.make(make_dialogues(), causal=True)
    with pytest.raises(DialogueError, match=r"edges from the future, .* causal; give the processor window_future=0"):
        model.predict(make_dialogues(), processor)


@forms("transformer")
def test_compiled_it_trains(case):
    model, processor = make_causal(case)
    compiled = torch.compile(model.train(), backend="eager", fullgraph=True, dynamic=True)
    output = compiled(**processor(make_dialogues(), return_tensors="pt"))
    output.loss.backward()
    assert_trained(model, output)
    torch.compiler.reset()


@forms("gru")
def test_exported_it_is_the_same(case, tmp_path):
    assert_exports(*make_causal(case), tmp_path, ".pt2")
