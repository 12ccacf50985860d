"""Labels that are votes of several annotators: told from values, learnt by their shares, scored by the majority."""

import numpy as np
import pytest
import torch

from joyful_hf import DialogueError, JoyfulProcessor, batch_to_pyg, pyg_to_batch
from joyful_hf.processing.labels import REGRESSION, SINGLE_LABEL, encode_labels, get_label, infer_problem_type
from joyful_hf.processing.summary import summarize_dialogues
from joyful_hf.processing.votes import encode_targets
from tests.support.helpers import make_dialogues

LABEL2ID = {"joy": 0, "anger": 1, "fear": 2}
VOTES = [{"joy": 3, "anger": 1}, {"joy": None, "fear": 2}, {"anger": 2, "joy": 2}, None, {"joy": 0, "anger": 0}]


def utterances_of(*labels):
    return [{"speaker": "A", "label": label} for label in labels]


def encode(*labels):
    return encode_targets(utterances_of(*labels), SINGLE_LABEL, LABEL2ID, "dialogue 'd7'")


@pytest.mark.parametrize(
    ("labels", "problem_type"),
    [
        ([{"joy": 3, "anger": 1}, {"joy": 2}], SINGLE_LABEL),
        ([{"joy": 3, "anger": 0}], SINGLE_LABEL),
        ([{"joy": 0.6, "anger": 0.4}, {"joy": 1.0, "anger": 0.0}], SINGLE_LABEL),
        ([{"joy": 0.33, "anger": 0.33, "fear": 0.33}], SINGLE_LABEL),
        ([{"joy": 1}, {"joy": 0.5, "anger": 0.5}], SINGLE_LABEL),
        ([{"joy": 0.6, "anger": 0.9}], REGRESSION),
        ([{"valence": 3, "arousal": 0}, {"valence": 4}], REGRESSION),
        ([{"valence": 0.4, "arousal": 0.6}], REGRESSION),
        ([{"warmth": -1, "distance": 2}], REGRESSION),
        ([{"warmth": 1}, {"warmth": 0}], REGRESSION),
    ],
    ids=repr,
)
def test_votes_are_told_from_values(labels, problem_type):
    for given in (labels, list(reversed(labels))):
        assert infer_problem_type([("d", utterances_of(*given))]) == problem_type


def test_the_label_is_the_majority_and_unknown_without_one():
    assert encode(*VOTES)["labels"].tolist() == [0, 2, -100, -100, -100]


def test_shares_add_up_to_one_and_are_zero_where_unknown():
    expected = [[0.75, 0.25, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(encode(*VOTES)["label_shares"], np.array(expected, np.float32))


def test_counts_and_shares_are_the_same_votes():
    for first, second in zip(encode(*VOTES).values(), encode({"joy": 0.75, "anger": 0.25}).values(), strict=True):
        np.testing.assert_array_equal(first[:1], second)


def test_labels_without_votes_have_no_shares():
    assert encode("joy", 1)["label_shares"] is None


@pytest.mark.parametrize(
    ("label", "message"),
    [({"envy": 2}, "unknown label 'envy'"), ({"joy": 2, "anger": -1}, "the votes .* hold a negative number")],
    ids=repr,
)
def test_votes_that_do_not_fit_are_refused_by_place(label, message):
    with pytest.raises(DialogueError, match=rf"dialogue 'd7', utterances\[1\]: {message}"):
        encode_labels(utterances_of(None, label), SINGLE_LABEL, LABEL2ID, "dialogue 'd7'")


def test_every_class_with_a_vote_is_a_class():
    (dialogue,) = make_dialogues((4,))
    for utterance, votes in zip(dialogue["utterances"], VOTES, strict=False):
        utterance["label"] = votes
    summary = summarize_dialogues([dialogue])
    assert summary.label2id == {"anger": 0, "fear": 1, "joy": 2}
    assert summary.label_counts == {"anger": 0, "fear": 1, "joy": 1}
    assert get_label(dialogue["utterances"][1]) == {"fear": 2}


def test_values_by_name_are_counted_once_per_utterance():
    (dialogue,) = make_dialogues((3,))
    labels = [{"valence": 5.0}, {"valence": 2.5, "arousal": 1.0}, None]
    for utterance, label in zip(dialogue["utterances"], labels, strict=True):
        utterance["label"] = label
    assert summarize_dialogues([dialogue]).value_counts == {"valence": 2, "arousal": 1}


def test_a_batch_of_votes_holds_both_and_survives_torch_geometric():
    dialogues = make_dialogues((2, 3))
    for index, utterance in enumerate(u for dialogue in dialogues for u in dialogue["utterances"]):
        utterance["label"] = VOTES[index]
    processor = JoyfulProcessor.from_dialogues(dialogues)
    batch = processor(dialogues, return_tensors="pt")
    assert batch["labels"].tolist() == [2, 1, -100, -100, -100]
    assert batch["label_shares"].sum(-1).tolist() == [1, 1, 1, 0, 0]
    back = pyg_to_batch(batch_to_pyg(batch))
    assert torch.equal(back["label_shares"], batch["label_shares"])
    assert "label_shares" not in processor(dialogues, return_labels=False)


def test_votes_without_any_majority_are_labels_too():
    (dialogue,) = make_dialogues((2,))
    for utterance in dialogue["utterances"]:
        utterance["label"] = {"joy": 1, "anger": 1, "fear": 0}
    processor = JoyfulProcessor.from_dialogues([dialogue])
    (encoded,) = processor.encode(dialogue)
    assert encoded.has_labels
    assert processor(dialogue)["labels"].tolist() == [-100, -100]
