"""`load_for_fine_tuning`: what a checkpoint keeps when it meets other dialogues, and what it forgets."""

import pytest
import torch

from joyful_hf import DialogueError
from joyful_hf.training.fine_tuning import load_for_fine_tuning
from tests.support.helpers import LABELS, make_dialogues

TRAINED_ON = make_dialogues((5, 9, 4))
OTHER_LABELS = {
    "as-many": ("bored", "eager", "tired", "tense"),
    "fewer": ("anger", "joy"),
    "more": (*LABELS, "fear"),
}


def labelled(*names):
    return make_dialogues((6, 4, 7), label=lambda rng: names[rng.integers(len(names))])


@pytest.fixture
def trained(family, tmp_path):
    """A model with all that training leaves in a config, and its processor; their folder is `tmp_path`."""
    model, processor = family.make(TRAINED_ON, class_weights=[1.0, 2.0, 3.0, 4.0])
    model.config.calibration_temperature = 2.0
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    return model, processor


def weights(model, of_classifier):
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if ("classifier" in name.split(".")) == of_classifier
    }


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_labels_keep_the_whole_model(trained, tmp_path):
    model, processor = load_for_fine_tuning(tmp_path, labelled(*reversed(LABELS)))
    assert equal(model.state_dict(), trained[0].state_dict())
    assert processor.to_dict() == trained[1].to_dict()
    batch = processor(TRAINED_ON, return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(model.eval()(**batch).logits, trained[0](**batch).logits)


@pytest.mark.parametrize("names", OTHER_LABELS.values(), ids=OTHER_LABELS)
def test_other_labels_get_a_classifier_of_their_own(trained, names, tmp_path):
    dialogues = labelled(*names)
    model, processor = load_for_fine_tuning(tmp_path, dialogues)
    assert equal(weights(model, of_classifier=False), weights(trained[0], of_classifier=False))
    fresh, old = weights(model, of_classifier=True), weights(trained[0], of_classifier=True)
    assert fresh.keys() == old.keys()
    assert any(not torch.equal(fresh[name], old[name]) for name in fresh), "as many labels are not the same labels"
    assert processor.label2id == model.config.label2id == {name: index for index, name in enumerate(sorted(names))}
    utterances = model.predict(dialogues, processor)[0]["utterances"]
    assert set(utterances[0]["scores"]) == set(names)
    assert model(**processor(dialogues, return_tensors="pt")).loss.isfinite()


def test_what_was_learnt_of_the_features_stays(trained, tmp_path):
    _, processor = load_for_fine_tuning(tmp_path, labelled("left", "right"))
    of_labels = {"label2id", "problem_type"}
    now, before = processor.to_dict(), trained[1].to_dict()
    assert {key for key in before if now[key] != before[key]} <= of_labels
    assert now.keys() == before.keys()


def test_class_weights_and_calibration_are_forgotten(trained, tmp_path):
    for names in (LABELS, ("left", "right")):
        config = load_for_fine_tuning(tmp_path, labelled(*names))[0].config
        assert (config.class_weights, config.calibration_temperature) == (None, 1.0)


@pytest.mark.parametrize(
    ("label", "problem_type"),
    [
        (lambda rng: float(rng.normal()), "regression"),
        (lambda rng: [LABELS[0], LABELS[1 + rng.integers(3)]], "multi_label_classification"),
    ],
    ids=["regression", "several-labels"],
)
def test_the_task_may_be_another_one(trained, label, problem_type, tmp_path):
    dialogues = make_dialogues((6, 4, 7), label=label)
    model, processor = load_for_fine_tuning(tmp_path, dialogues)
    assert model.problem_type == processor.problem_type == problem_type
    assert model.config.num_labels == (1 if problem_type == "regression" else len(LABELS))
    assert model(**processor(dialogues, return_tensors="pt")).loss.isfinite()
    for part in (model, processor):
        part.save_pretrained(tmp_path / "again")
    assert load_for_fine_tuning(tmp_path / "again", dialogues)[0].problem_type == problem_type


def test_dialogues_without_a_label_are_refused(trained, tmp_path):
    with pytest.raises(DialogueError, match="not one utterance of the training dialogues has a label"):
        load_for_fine_tuning(tmp_path, make_dialogues((3,), label=lambda rng: None))
