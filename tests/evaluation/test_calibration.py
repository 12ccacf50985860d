"""Calibration: the error by hand, and what the fitted temperature does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import DialogueError, JoyfulForEmotionRecognition, JoyfulTrainer
from joyful_hf.evaluation.calibration import (
    calibration_error_by_chance,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)
from joyful_hf.evaluation.task import task_of
from tests.support.helpers import FAMILY_CASES, make_dialogues
from tests.support.training import make_trainer, training_args

ONE_LABEL, SEVERAL_LABELS = task_of(None), task_of("multi_label_classification")


def labelled_logits(temperature, num_labels=4, size=4000, seed=0):
    """Logits, and labels that follow the probabilities of the logits divided by the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(size, num_labels))
    scores = ONE_LABEL.scores(logits, temperature)
    labels = (scores.cumsum(-1) < rng.random((size, 1))).sum(-1)
    return logits, np.minimum(labels, num_labels - 1)


def test_on_a_small_sample_true_probabilities_have_an_error_too():
    errors = {}
    for size in (100, 4000):
        logits, labels = labelled_logits(1.0, size=size)
        scores = ONE_LABEL.scores(logits)
        errors[size] = calibration_error_by_chance(scores, labels)
        samples = [
            expected_calibration_error(ONE_LABEL.scores(logits), labels)
            for logits, labels in (labelled_logits(1.0, size=size, seed=seed) for seed in range(20))
        ]
        assert errors[size] == pytest.approx(np.mean(samples), rel=0.25)
        assert calibration_error_by_chance(scores, labels) == errors[size]
    assert errors[100] > 3 * errors[4000]
    assert np.isnan(calibration_error_by_chance(scores, np.full(4000, -100)))


def test_the_error_by_hand():
    """Two predictions of 0.9, one of them wrong; two of 0.6, both right."""
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1])
    bins = reliability_bins(scores, labels, num_bins=10)

    assert bins.count.tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert bins.confidence[[6, 9]] == pytest.approx([0.6, 0.9])
    assert bins.accuracy[[6, 9]] == pytest.approx([1, 0.5])
    assert np.isnan(bins.accuracy[0])
    assert bins.error == expected_calibration_error(scores, labels, 10) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)


def test_of_several_labels_at_once_each_probability_counts():
    scores = np.array([[0.95, 0.05], [0.95, 0.05]])
    labels = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert expected_calibration_error(scores, labels, 10) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)


def test_unknown_labels_do_not_count():
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    known = expected_calibration_error(scores[:1], np.array([0]))
    assert expected_calibration_error(scores, np.array([0, -100])) == known
    assert np.isnan(expected_calibration_error(scores, np.array([-100, -100])))


@pytest.mark.parametrize("temperature", [0.5, 1, 2.5])
def test_the_temperature_behind_the_labels_is_found(temperature):
    logits, labels = labelled_logits(temperature)
    assert fit_temperature(logits, labels, ONE_LABEL) == pytest.approx(temperature, rel=0.1)


def test_the_temperature_of_several_labels_at_once_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(4000, 3))
    labels = (rng.random(logits.shape) < SEVERAL_LABELS.scores(logits, 2)).astype(np.float32)
    assert fit_temperature(logits, labels, SEVERAL_LABELS) == pytest.approx(2, rel=0.1)


def test_calibrating_lowers_the_error():
    logits, labels = labelled_logits(2.5)
    temperature = fit_temperature(logits[:2000], labels[:2000], ONE_LABEL)
    before, after = (
        expected_calibration_error(ONE_LABEL.scores(logits[2000:], divisor), labels[2000:])
        for divisor in (1, temperature)
    )
    assert after < 0.03 < before


@given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=20), scale=st.floats(0.01, 30))
def test_a_temperature_is_found_for_any_labels(labels, scale):
    """Where all are right none is certain, and where all are wrong none is thrown out."""
    labels = np.array(labels)
    for logits in (np.eye(3)[labels] * scale, -np.eye(3)[labels] * scale):
        assert 0.04 < fit_temperature(logits, labels, ONE_LABEL) < 21


def test_without_labels_there_is_nothing_to_calibrate():
    with pytest.raises(DialogueError, match="not one utterance"):
        fit_temperature(np.zeros((2, 3)), np.array([-100, -100]), ONE_LABEL)


def test_a_regression_is_left_as_it_is(tmp_path):
    values = make_dialogues((3, 4), label=lambda rng: float(rng.normal()))
    model, processor = FAMILY_CASES[0].make(values)
    args = training_args(tmp_path, metric_for_best_model="mae", greater_is_better=False)
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=values, eval_dataset=values, processing_class=processor
    )
    before = model.predict(values, processor)
    assert trainer.calibrate() == 1
    assert model.predict(values, processor) == before


def test_the_trainer_fits_on_validation_and_the_checkpoint_keeps_it(family, tmp_path):
    trainer = make_trainer(tmp_path, family)
    temperature = trainer.calibrate()
    assert temperature == trainer.model.config.calibration_temperature != 1
    known = trainer.evaluated["eval"]
    metrics = trainer.evaluate()
    assert {"eval_ece", "eval_ece_uncalibrated"} <= metrics.keys()
    assert known.scores("eval") == pytest.approx(trainer.evaluated["eval"].scores("eval"))
    assert (known.confusions == trainer.evaluated["eval"].confusions).all()
    trainer.save_model()
    loaded = family.model_class.from_pretrained(tmp_path)
    assert loaded.config.calibration_temperature == temperature


def test_scores_are_calibrated_and_labels_the_same(family):
    dialogues = make_dialogues()
    model, processor = family.make(dialogues)
    plain = model.predict(dialogues, processor)
    model.config.calibration_temperature = 0.1
    sharp = model.predict(dialogues, processor)
    for before, after in zip(plain, sharp, strict=True):
        for one, other in zip(before["utterances"], after["utterances"], strict=True):
            assert one["label"] == other["label"]
            assert max(one["scores"].values()) < max(other["scores"].values())
            assert sum(other["scores"].values()) == pytest.approx(1)


def test_training_begins_without_a_temperature(tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=1)
    trainer.model.config.calibration_temperature = 3.0
    trainer.train()
    assert trainer.model.config.calibration_temperature == 1


def test_calibration_needs_validation(tmp_path):
    trainer: JoyfulTrainer = make_trainer(tmp_path, validation=None)
    with pytest.raises(ValueError, match="eval_dataset"):
        trainer.calibrate()
    assert isinstance(trainer.model, JoyfulForEmotionRecognition)
