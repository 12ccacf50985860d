"""Why this label: what is hidden, what it costs, and what it cannot cost."""

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.inference.explanation import DECIMALS, Explanation, explain
from joyful_hf.inference.streaming import dialogue_reach
from joyful_hf.modeling.reach import reach_of
from joyful_hf.processing import MODALITIES
from tests.support.helpers import (
    CAUSAL_CASES,
    FAMILY_CASES,
    make_causal,
    make_dialogue,
    make_dialogues,
    without_modality,
)

CLOSE = 2 * 10.0**-DECIMALS


def hide(dialogue, index, modalities):
    """The record whose utterance lacks these modalities."""
    utterances = list(dialogue["utterances"])
    for modality in modalities:
        utterances[index] = without_modality(utterances[index], modality)
    return dialogue | {"utterances": utterances}


def named_scores(model, processor, dialogue):
    """Label and scores of each utterance, also of one from which nothing was read, which `predict` leaves out."""
    encoded = processor.encode(dialogue, return_labels=False)
    return model.name_scores(model.scores(model.eval().encoded_logits(encoded, processor, 100)))


# What it costs.


def test_the_explained_labels_are_the_predicted_ones(family):
    dialogue = make_dialogue(9)
    model, processor = family.make([dialogue])
    explanation = explain(model, processor, dialogue)
    predicted = model.predict(dialogue, processor)[0]["utterances"]
    assert explanation.labels == [utterance["label"] for utterance in predicted]
    assert explanation.scores == pytest.approx([max(one["scores"].values()) for one in predicted], abs=1e-5)


def test_a_fall_is_what_the_record_loses_without_what_is_hidden(family):
    dialogue = make_dialogue(6)
    model, processor = family.make([dialogue])
    explanation = explain(model.train(), processor, dialogue)
    assert model.training, "the mode that the model was in is lost"
    whole = model.predict(dialogue, processor)[0]["utterances"]

    def falls(index, modalities):
        left = named_scores(model, processor, hide(dialogue, index, modalities))
        return [
            one["scores"][one["label"]] - other["scores"][one["label"]] for one, other in zip(whole, left, strict=True)
        ]

    for index in range(6):
        assert explanation.utterance_falls[:, index] == pytest.approx(falls(index, MODALITIES), abs=CLOSE)
        for column, modality in enumerate(MODALITIES):
            fall = explanation.modality_falls[index, column]
            if modality in family.modalities:
                assert fall == pytest.approx(falls(index, [modality])[index], abs=CLOSE)
            else:
                assert np.isnan(fall)
    assert np.abs(explanation.utterance_falls).max() > 10 * CLOSE, "nothing is measured"


def test_many_versions_go_through_the_model_at_once(family, monkeypatch):
    dialogue = make_dialogue(7)
    model, processor = family.make([dialogue])
    passes, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda **batch: passes.append(1) or forward(**batch))
    once = explain(model, processor, dialogue)
    assert len(passes) == 1
    monkeypatch.setattr(model, "utterances_per_batch", 10)
    batched = explain(model, processor, dialogue)
    assert len(passes) > 3
    assert batched.utterance_falls == pytest.approx(once.utterance_falls, abs=CLOSE)


def test_the_modalities_of_one_utterance_cost_less_to_explain(family):
    dialogue = make_dialogue(7)
    model, processor = family.make([dialogue])
    whole, one = explain(model, processor, dialogue), explain(model, processor, dialogue, utterance_index=3)
    assert one.utterance_falls == pytest.approx(whole.utterance_falls, abs=CLOSE)
    assert one.modalities(3) == pytest.approx(whole.modalities(3), abs=CLOSE)
    assert np.isnan(np.delete(one.modality_falls, 3, axis=0)).all()


# What it cannot cost.


def test_a_modality_that_the_model_does_not_read_costs_nothing(family):
    dialogue = make_dialogue(6)
    without_video = dialogue | {"utterances": [without_modality(one, "visual") for one in dialogue["utterances"]]}
    model, processor = family.make([without_video])
    explanation = explain(model, processor, dialogue)
    assert np.isnan(explanation.modality_falls[:, MODALITIES.index("visual")]).all()
    assert "visual" not in explanation.modalities(0)
    same = explain(model, processor, without_video)
    assert np.array_equal(explanation.utterance_falls, same.utterance_falls)
    assert np.array_equal(explanation.modality_falls, same.modality_falls, equal_nan=True)


def test_an_utterance_that_has_nothing_to_hide_costs_nothing(family):
    dialogue = hide(make_dialogue(6), 2, MODALITIES)
    model, processor = family.make([make_dialogue(6)])
    explanation = explain(model, processor, dialogue)
    assert not explanation.utterance_falls[:, 2].any()
    assert explanation.modalities(2) == {}


@pytest.mark.parametrize("case", CAUSAL_CASES, ids=lambda case: case[1])
def test_nothing_outside_the_receptive_field_costs_anything(case):
    model, processor = make_causal(case)
    falls = explain(model, processor, make_dialogue(23, speakers=3)).utterance_falls
    index = np.arange(23)
    distance = index[:, None] - index
    assert not falls[distance < 0].any(), "an utterance depends on what comes after it"
    assert falls[distance == 0].all()
    reach = dialogue_reach(model, processor)
    if not reach.carries_state:
        assert not falls[distance > reach.past].any()


def test_a_window_ends_on_both_sides():
    no_context = {"fusion_branches": ["specific"], "graph_num_layers": 1, "speaker_encoder": None}
    model, processor = FAMILY_CASES[0].make([make_dialogue(23)], window_past=2, window_future=1, **no_context)
    falls = explain(model, processor, make_dialogue(23)).utterance_falls
    steps = reach_of(model).graph_steps
    distance = np.arange(23)[:, None] - np.arange(23)
    inside = (distance <= 2 * steps) & (distance >= -steps)
    assert not falls[~inside].any()
    assert falls[inside].any()


def test_utterances_on_their_own_owe_nothing_to_others(family):
    dialogue = make_dialogue(6)
    model, processor = family.make([dialogue])
    explanation = explain(model, processor, dialogue)
    others = explanation.utterance_falls[~np.eye(6, dtype=bool)]
    assert others.any() == family.reads_dialogues
    assert bool(explanation.top_influences(0)) == family.reads_dialogues


# Several emotions, and values.


def test_of_several_emotions_the_most_probable_one_is_explained():
    dialogues = make_dialogues((6, 4), label=lambda rng: ["joy", "fear", "anger"][: rng.integers(4)])
    model, processor = FAMILY_CASES[0].make(dialogues)
    explanation = explain(model, processor, dialogues[0])
    for index, utterance in enumerate(model.predict(dialogues[0], processor)[0]["utterances"]):
        best = max(utterance["scores"], key=utterance["scores"].get)
        assert explanation.labels[index] == best
        assert explanation.scores[index] == pytest.approx(utterance["scores"][best], abs=1e-5)


def test_of_a_value_it_is_the_change_whichever_way():
    dialogues = make_dialogues((6, 4), label=lambda rng: float(rng.normal()))
    model, processor = FAMILY_CASES[0].make(dialogues)
    explanation = explain(model, processor, dialogues[0])
    whole, left = (
        np.array([one["label"] for one in named_scores(model, processor, record)])
        for record in (dialogues[0], hide(dialogues[0], 2, MODALITIES))
    )
    assert explanation.scores == pytest.approx(whole, abs=1e-5)
    assert explanation.utterance_falls[:, 2] == pytest.approx(np.abs(whole - left), abs=CLOSE)
    assert (left > whole).any(), "no value has risen: this cannot tell"


def test_of_several_values_it_is_the_mean_change():
    dialogues = make_dialogues((6, 4), label=lambda rng: {"valence": rng.normal(), "arousal": rng.normal()})
    model, processor = FAMILY_CASES[0].make(dialogues)
    explanation = explain(model, processor, dialogues[0])
    whole, left = (
        np.array([list(one["label"].values()) for one in named_scores(model, processor, record)])
        for record in (dialogues[0], hide(dialogues[0], 2, MODALITIES))
    )
    assert explanation.labels == ["arousal, valence"] * 6
    assert explanation.scores == pytest.approx(whole.mean(-1), abs=1e-5)
    assert explanation.utterance_falls[:, 2] == pytest.approx(np.abs(whole - left).mean(-1), abs=CLOSE)


# What is read of it.


def test_the_largest_come_first_whichever_way_they_point():
    falls = np.array([[0.9, -0.3, 0.1, 0.0, 0.2]])
    found = Explanation(["joy"], np.array([0.9]), falls, np.array([[0.1, np.nan, -0.2]]))
    assert found.top_influences(0) == {1: -0.3, 4: 0.2, 2: 0.1}
    assert list(found.top_influences(0)) == [1, 4, 2]
    assert found.top_influences(0, most=1) == {1: -0.3}
    assert found.modalities(0) == {"text": 0.1, "visual": -0.2}


@pytest.mark.parametrize("index", [-1, 5])
def test_an_utterance_that_is_not_there_is_refused(family, index):
    dialogue = make_dialogue(5)
    model, processor = family.make([dialogue])
    with pytest.raises(DialogueError, match=f"there is no utterance {index}: the dialogue has 0 to 4"):
        explain(model, processor, dialogue, index)


def test_several_dialogues_are_refused(dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    with pytest.raises(DialogueError, match="explain takes one dialogue, got list"):
        explain(model, processor, dialogues)
