"""Scores where modalities are missing: which ones are hidden, how often, and what that costs."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import DialogueError
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.evaluation.missing_modalities import DRAWS, keep_at_random, score_missing
from joyful_hf.processing import MODALITIES
from tests.support.helpers import FAMILY_CASES, make_dialogues, without_modality

presence = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30)
rates = st.floats(0, 1)


# Hiding.


@given(present=presence, rate=rates, seed=st.integers(0, 9))
def test_nothing_is_invented_and_nobody_loses_all(present, rate, seed):
    present = np.array(present)
    kept = keep_at_random(present, rate, seed)
    assert not (kept & ~present).any()
    assert np.array_equal(kept.any(-1), present.any(-1))


@given(present=presence, low=rates, high=rates)
def test_a_higher_rate_hides_all_that_a_lower_one_does(present, low, high):
    low, high = sorted([low, high])
    present = np.array(present)
    assert not (keep_at_random(present, high, 0) & ~keep_at_random(present, low, 0)).any()


def test_a_rate_is_a_share():
    present = np.ones((5000, 3), bool)
    assert keep_at_random(present, 0, 0).all()
    # Nobody loses all three: of these, a share of 0.3 ** 3, one is left.
    assert keep_at_random(present, 0.3, 0).mean() == pytest.approx(0.7 + 0.3**3 / 3, abs=0.01)
    assert (keep_at_random(present, 1, 0).sum(-1) == 1).all()
    assert keep_at_random(present, 1, 0).mean(0) == pytest.approx([1 / 3] * 3, abs=0.03)
    assert not np.array_equal(keep_at_random(present, 0.3, 0), keep_at_random(present, 0.3, 1))


def test_an_example_without_a_modality_is_packed_as_the_record_without_it(family):
    dialogues = make_dialogues((4, 3))
    _, processor = family.make(dialogues)
    hidden = [
        {"utterances": [without_modality(utterance, "visual") for utterance in dialogue["utterances"]]}
        for dialogue in dialogues
    ]
    encoded = processor.encode(dialogues)
    assert np.concatenate([example.present for example in encoded]).all(0).tolist() == [
        name in family.modalities for name in MODALITIES
    ]
    kept = [example.keep_modalities(np.tile([True, True, False], (len(example), 1))) for example in encoded]
    assert not np.concatenate([example.present for example in kept])[:, 2].any()
    assert np.concatenate([example.present for example in encoded])[:, 2].all(), "the example itself has changed"
    expected, batch = processor(hidden, return_tensors="pt"), processor.pack(kept, return_tensors="pt")
    assert list(batch) == list(expected)
    assert all(torch.equal(batch[name], expected[name]) for name in batch if not name.startswith("visual_features"))


# The cost.


def test_scores_are_those_of_records_without_the_modality(family):
    dialogues = make_dialogues()
    model, processor = family.make(dialogues)
    found = score_missing(model.train(), processor, dialogues, [0, 0.5])
    assert model.training, "the mode that the model was in is lost"
    assert list(found.rates) == [0, 0.5]
    assert list(found.alone) == list(found.without) == [name for name in MODALITIES if name in family.modalities]

    def accuracy(hidden):
        records = [dialogue | {"utterances": list(dialogue["utterances"])} for dialogue in dialogues]
        for record in records:
            for modality in hidden:
                record["utterances"] = [without_modality(utterance, modality) for utterance in record["utterances"]]
        predictions = model.predict(records, processor)
        pairs = [
            (one["label"], other["label"])
            for prediction, record in zip(predictions, records, strict=True)
            for one, other in zip(prediction["utterances"], record["utterances"], strict=True)
        ]
        return np.mean([one == other for one, other in pairs])

    assert found.rates[0]["accuracy"] == pytest.approx(accuracy([]))
    for name in found.alone:
        others = [other for other in MODALITIES if other != name]
        assert found.without[name]["accuracy"] == pytest.approx(accuracy([name]))
        assert found.alone[name]["accuracy"] == pytest.approx(accuracy(others))


def test_the_same_call_gives_the_same_scores(dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    once, twice = (score_missing(model, processor, dialogues, [0.3]) for _ in range(2))
    assert once == twice
    assert once == score_missing(model, processor, EncodedDialogues(dialogues, processor), [0.3])
    assert once.rates[0.3] == score_missing(model, processor, dialogues, [0.7, 0.3]).rates[0.3]


@pytest.mark.parametrize(
    ("label", "metrics", "hidden"),
    [
        (lambda rng: float(rng.normal()), {"mae", "correlation", "acc_2"}, set()),
        (lambda rng: ["joy", "fear"][: rng.integers(3)], {"weighted_f1", "accuracy"}, {"f1_joy", "weighted_f1_fear"}),
        (lambda rng: ["joy", "fear"][rng.integers(2)], {"weighted_f1", "unweighted_accuracy"}, {"f1_joy"}),
    ],
    ids=["sentiment", "several emotions", "one emotion"],
)
def test_every_task_has_its_metrics(label, metrics, hidden):
    dialogues = make_dialogues(label=label)
    dialogues[0]["utterances"][0]["label"] = None
    model, processor = FAMILY_CASES[0].make(dialogues)
    found = score_missing(model, processor, dialogues, [0.1])
    header, *rows = str(found).splitlines()
    assert metrics <= set(header.split())
    assert not hidden & set(header.split())
    assert metrics | hidden <= found.rates[0.1].keys()
    assert [row.split("  ")[0] for row in rows][:2] == ["missing rate 0.1", "text alone"]
    assert len({len(row) for row in [header, *rows]}) == 1, "the columns are not below each other"
    as_json = json.loads(json.dumps(found.as_dict()))
    assert as_json["draws"] == DRAWS
    assert as_json["rates"]["0.1"] == found.rates[0.1]
    assert as_json["without"]["text"] == found.without["text"]


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_that_is_none_is_refused(dialogues, rate):
    model, processor = FAMILY_CASES[0].make(dialogues)
    with pytest.raises(DialogueError, match="a missing rate lies between 0 and 1, got"):
        score_missing(model, processor, dialogues, [0.1, rate])


def test_there_has_to_be_something_to_miss():
    dialogues = make_dialogues(modalities=("audio",))
    model, processor = FAMILY_CASES[0].make(dialogues)
    with pytest.raises(DialogueError, match="the dialogues have only audio: no modality can be missing"):
        score_missing(model, processor, dialogues, [0.1])


def test_there_has_to_be_a_label(dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    with pytest.raises(DialogueError, match="not one utterance has a label"):
        score_missing(model, processor, make_dialogues(label=lambda rng: None), [0.1])
