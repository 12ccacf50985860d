"""The tasks: which one a model has, what marks an unknown label, and which end of a metric is the better one."""

import numpy as np
import pytest
import torch
from transformers import EvalPrediction

from joyful_hf import compute_metrics
from joyful_hf.evaluation.task import TASKS, greater_is_better, is_class_metric, task_of
from joyful_hf.processing.labels import encode_labels, known_labels
from tests.support.helpers import FAMILY_CASES, LABELS, make_dialogues

LABEL_OF = {
    "single_label_classification": lambda rng: LABELS[rng.integers(4)],
    "multi_label_classification": lambda rng: list(LABELS[: rng.integers(5)]),
    "regression": lambda rng: float(rng.normal()),
}
LOWER = ["mae", "mae_valence", "ece", "ece_uncalibrated", "loss", "loss_classification", "loss_fusion"]
HIGHER = ["weighted_f1", "accuracy", "unweighted_accuracy", "f1_joy", "f1_loss", "weighted_f1_fear", "correlation"]
HIGHER += ["macro_f1", "micro_f1", "micro_f1_without_neutral", "ccc", "ccc_valence", "correlation_arousal"]
HIGHER += ["acc_2", "f1_2", "acc_2_nonzero", "f1_2_nonzero", "acc_3", "acc_5", "acc_7"]
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@every_task
def test_a_model_its_configuration_and_its_problem_type_have_the_same_task(task):
    model, _ = FAMILY_CASES[0].make(make_dialogues(label=LABEL_OF[task.problem_type]))
    assert task_of(model) is task_of(model.config) is task_of(task.problem_type) is task
    assert task.class_names(model.config) == (list(LABELS) if task.has_classes else [])


def test_one_label_is_what_nobody_has_to_say():
    assert task_of(None).problem_type == "single_label_classification"


def test_a_task_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="unknown `problem_type` 'ranking'; choose from single_label_classification"):
        task_of("ranking")


@every_task
def test_an_unknown_label_is_marked_as_the_processor_marks_it(task):
    label2id = {name: index for index, name in enumerate(LABELS)}
    unknown = encode_labels([{"speaker": "A"}] * 3, task.problem_type, label2id, "dialogue")
    filled = torch.full(task.label_shape(3, len(LABELS)), task.unknown_label).numpy()
    assert (filled.shape, filled.dtype) == (unknown.shape, unknown.dtype)
    assert not known_labels(filled).any()


@every_task
def test_every_metric_of_a_task_has_a_direction(task):
    rng = np.random.default_rng(0)
    size = 4 if task.has_classes else 1
    logits = rng.normal(size=(6, size))
    labels = rng.integers(2, size=task.label_shape(6, size))
    metrics = compute_metrics(EvalPrediction(logits, labels), dict(enumerate(LABELS)), task.problem_type, 2.0)
    assert metrics
    assert {task.greater_is_better(name) for name in metrics} == {True, False}
    assert task.greater_is_better(task.main_metric) == (task.main_metric != "mae")


@pytest.mark.parametrize("metric", LOWER)
def test_the_lowest_value_of_an_error_or_a_loss_is_the_best(metric):
    assert greater_is_better(metric) is False


@pytest.mark.parametrize("metric", HIGHER)
def test_the_highest_value_of_a_score_is_the_best(metric):
    assert greater_is_better(metric) is True


@pytest.mark.parametrize("metric", ["discriminator_accuracy", "my_score"])
def test_of_an_unknown_metric_nothing_is_said(metric):
    assert greater_is_better(metric) is None


def test_a_metric_of_one_class_is_told_from_one_of_all():
    of_classes = {"f1_joy", "f1_loss", "weighted_f1_fear"}
    of_values = {"mae_valence", "ccc_valence", "correlation_arousal"}
    of_signs = {"f1_2", "f1_2_nonzero"}  # a class may be called 2
    assert {name for name in (*HIGHER, *LOWER) if is_class_metric(name)} == of_classes | of_values | of_signs
    assert not any(task_of("regression").is_class_metric(name) for name in of_signs)
    assert task_of("single_label_classification").is_class_metric("support_joy")


def test_every_metric_of_several_values_has_a_direction():
    task, rng = task_of("regression"), np.random.default_rng(0)
    prediction = EvalPrediction(rng.normal(size=(6, 2)), rng.normal(size=(6, 2)))
    metrics = compute_metrics(prediction, {0: "valence", 1: "arousal"}, task.problem_type)
    assert {name: task.greater_is_better(name) for name in metrics} == {
        name: not name.startswith("mae") for name in metrics
    }
