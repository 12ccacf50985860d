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


OTHERS = {0: "left", 1: "right", 2: "middle"}
IN_TRANSFORMERS = {
    "num_labels": {"num_labels": 3},
    "id2label": {"id2label": OTHERS},
    "label2id": {"label2id": {name: index for index, name in OTHERS.items()}},
    "both": {"id2label": OTHERS, "label2id": {name: index for index, name in OTHERS.items()}},
    "as-many": {"id2label": dict(enumerate(OTHER_LABELS["as-many"]))},
    "regression": {"num_labels": 1, "problem_type": "regression"},
}


@pytest.mark.parametrize("given", IN_TRANSFORMERS.values(), ids=IN_TRANSFORMERS)
def test_from_pretrained_with_other_labels_forgets_what_was_learnt_of_the_old_ones(family, trained, given, tmp_path):
    """The way in which every tutorial of transformers fine-tunes."""
    model = family.model_class.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **given)
    config = model.config
    assert (config.class_weights, config.calibration_temperature) == (None, 1.0)
    assert config.num_labels == len(given.get("id2label") or given.get("label2id") or range(given["num_labels"]))
    assert config.label2id == {name: index for index, name in config.id2label.items()}
    old, processor = trained[0].state_dict(), trained[1]
    processor.label2id, processor.problem_type = config.label2id, config.problem_type
    names = list(config.label2id)
    label = number if config.problem_type == "regression" else lambda rng: names[rng.integers(len(names))]
    dialogues = make_dialogues((6, 4), label=label)
    model(**processor(dialogues, return_tensors="pt")).loss.backward()
    encoders = [name for name, _ in model.named_parameters() if "classifier" not in name.split(".")]
    assert encoders
    assert all(torch.equal(model.state_dict()[name], old[name]) for name in encoders)


def number(rng):
    return float(rng.normal())


def test_from_pretrained_takes_the_class_weights_that_are_given(family, trained, tmp_path):
    load = family.model_class.from_pretrained
    loaded = load(tmp_path, ignore_mismatched_sizes=True, num_labels=3, class_weights=[1.0, 2.0, 3.0])
    assert loaded.config.class_weights == [1.0, 2.0, 3.0]
    assert load(tmp_path, ignore_mismatched_sizes=True, num_labels=3, class_weights=None).config.class_weights is None


@pytest.mark.parametrize("given", [{}, {"num_labels": 4}, {"id2label": dict(enumerate(LABELS))}], ids=str)
def test_from_pretrained_with_the_same_labels_keeps_everything(family, trained, given, tmp_path):
    config = family.model_class.from_pretrained(tmp_path, **given).config
    assert (config.class_weights, config.calibration_temperature) == ([1.0, 2.0, 3.0, 4.0], 2.0)
    assert config.id2label == dict(enumerate(LABELS))


def test_values_by_name_may_take_the_place_of_classes(trained, tmp_path):
    dialogues = make_dialogues((6, 4, 7), label=lambda rng: {"valence": number(rng), "arousal": number(rng)})
    model, processor = load_for_fine_tuning(tmp_path, dialogues)
    assert model.config.id2label == {0: "arousal", 1: "valence"}
    assert model(**processor(dialogues, return_tensors="pt")).loss.isfinite()


def test_whole_numbers_are_values_for_a_regression(family, tmp_path):
    for part in family.make(make_dialogues(label=number)):
        part.save_pretrained(tmp_path)
    dialogues = make_dialogues(label=lambda rng: int(rng.integers(-3, 4)))
    model, processor = load_for_fine_tuning(tmp_path, dialogues)
    assert model.problem_type == processor.problem_type == "regression"
    assert model.config.num_labels == 1


def test_dialogues_with_one_label_are_refused(trained, tmp_path):
    with pytest.raises(DialogueError, match="the training dialogues have one label only, 'joy'"):
        load_for_fine_tuning(tmp_path, labelled("joy"))


def test_dialogues_without_a_label_are_refused(trained, tmp_path):
    with pytest.raises(DialogueError, match="not one utterance of the training dialogues has a label"):
        load_for_fine_tuning(tmp_path, make_dialogues((3,), label=lambda rng: None))
