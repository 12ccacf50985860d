"""A task: its loss is a mean over the labelled utterances, and its scores say its label."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from joyful_hf import JoyfulConfig
from joyful_hf.modeling.tasks import MULTI_LABEL, REGRESSION, SINGLE_LABEL, TASKS, task_of

NUM_LABELS = 4

known_rows = st.lists(st.booleans(), min_size=1, max_size=12)
each_task = pytest.mark.parametrize("task", TASKS)


def make_batch(task: str, known):
    """Random logits, and labels that are unknown where `known` says so."""
    generator = torch.Generator().manual_seed(len(known))
    size = 1 if task == REGRESSION else NUM_LABELS
    logits = torch.randn(len(known), size, generator=generator)
    unknown = ~torch.tensor(known)
    if task == SINGLE_LABEL:
        labels = torch.randint(NUM_LABELS, (len(known),), generator=generator).masked_fill(unknown, -100)
    elif task == MULTI_LABEL:
        labels = torch.randint(2, logits.shape, generator=generator).float()
        labels = labels.masked_fill(unknown[:, None], math.nan)
    else:
        labels = torch.randn(len(known), generator=generator).masked_fill(unknown, math.nan)
    return logits, labels


def by_loops(task: str, logits, labels) -> float:
    losses = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if task == SINGLE_LABEL and label != -100:
            losses.append(-math.log(math.exp(row[label]) / sum(math.exp(value) for value in row)))
        elif task == MULTI_LABEL and not math.isnan(label[0]):
            right = [1 / (1 + math.exp(-value if one else value)) for value, one in zip(row, label, strict=True)]
            losses.append(-sum(math.log(share) for share in right) / NUM_LABELS)
        elif task == REGRESSION and not math.isnan(label):
            losses.append(abs(row[0] - label))
    return sum(losses) / len(losses) if losses else 0.0


@each_task
@given(known=known_rows)
def test_it_is_the_mean_over_the_labelled_utterances(task, known):
    logits, labels = make_batch(task, known)
    assert float(TASKS[task].loss(logits, labels)) == pytest.approx(by_loops(task, logits, labels), rel=1e-4, abs=1e-6)


@each_task
@given(known=known_rows)
def test_what_is_not_labelled_gets_no_gradient(task, known):
    logits, labels = make_batch(task, known)
    logits.requires_grad_()
    TASKS[task].loss(logits, labels).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.any(-1).tolist() == known


@each_task
def test_a_batch_without_labels_is_0(task):
    logits, labels = make_batch(task, [False] * 3)
    logits.requires_grad_()
    loss = TASKS[task].loss(logits, labels, class_weights=[1.0] * logits.size(1))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@each_task
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), known=st.lists(st.booleans(), min_size=24))
def test_a_batch_is_the_mean_of_its_parts_by_their_labels(task, lengths, known):
    logits, labels = make_batch(task, known[: sum(lengths)])
    counts = [sum(part) for part in torch.tensor(known[: sum(lengths)]).int().split(lengths)]
    parts = zip(counts, logits.split(lengths), labels.split(lengths), strict=True)
    total = sum(int(count) * float(TASKS[task].loss(*part)) for count, *part in parts)
    expected = total / max(1, int(sum(counts)))
    assert float(TASKS[task].loss(logits, labels)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


class TestOptions:
    WEIGHTS = [0.5, 1, 2.0, 4.0]

    @pytest.mark.parametrize("known", [[True] * 8, [True, False] * 4])
    def test_class_weights_are_torchs(self, known):
        logits, labels = make_batch(SINGLE_LABEL, known)
        expected = functional.cross_entropy(logits, labels, weight=torch.tensor(self.WEIGHTS))
        torch.testing.assert_close(TASKS[SINGLE_LABEL].loss(logits, labels, self.WEIGHTS), expected)

    def test_class_weights_of_several_labels_weigh_the_positives(self):
        logits, labels = make_batch(MULTI_LABEL, [True] * 8)
        weights = torch.tensor(self.WEIGHTS)
        expected = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)
        torch.testing.assert_close(TASKS[MULTI_LABEL].loss(logits, labels, self.WEIGHTS), expected)

    @pytest.mark.parametrize("known", [[True] * 8, [True, False] * 4])
    def test_label_smoothing_is_torchs(self, known):
        logits, labels = make_batch(SINGLE_LABEL, known)
        expected = functional.cross_entropy(logits, labels, label_smoothing=0.1)
        torch.testing.assert_close(TASKS[SINGLE_LABEL].loss(logits, labels, label_smoothing=0.1), expected)


@each_task
def test_it_is_float32_for_half_precision_logits(task):
    logits, labels = make_batch(task, [True] * 5)
    assert TASKS[task].loss(logits.bfloat16(), labels).dtype == torch.float32


class TestScores:
    LOGITS = torch.tensor([[2.0, -1.0, 0.5]])

    def test_of_one_emotion_are_a_softmax_and_name_the_highest(self):
        (scores,) = TASKS[SINGLE_LABEL].scores(self.LOGITS, temperature=2.0).tolist()
        assert scores == pytest.approx((self.LOGITS[0] / 2).softmax(0).tolist())
        assert TASKS[SINGLE_LABEL].label(scores, ["a", "b", "c"]) == "a"

    def test_of_several_emotions_are_sigmoids_and_name_all_from_one_half_on(self):
        (scores,) = TASKS[MULTI_LABEL].scores(self.LOGITS, temperature=2.0).tolist()
        assert scores == pytest.approx((self.LOGITS[0] / 2).sigmoid().tolist())
        assert TASKS[MULTI_LABEL].label([0.5, 0.49, 0.9], ["a", "b", "c"]) == ["a", "c"]

    def test_of_several_values_name_each(self):
        (scores,) = TASKS[REGRESSION].scores(torch.tensor([[1.5, -0.5]])).tolist()
        assert TASKS[REGRESSION].label(scores, ["valence", "arousal"]) == {"valence": 1.5, "arousal": -0.5}

    def test_of_regression_are_the_values_whatever_the_temperature(self):
        (scores,) = TASKS[REGRESSION].scores(torch.tensor([[1.5]]), temperature=2.0).tolist()
        assert TASKS[REGRESSION].label(scores, ["value"]) == 1.5


def test_a_config_that_names_no_task_has_single_labels():
    assert task_of(JoyfulConfig(num_labels=2)) is TASKS[SINGLE_LABEL]
    assert task_of(JoyfulConfig(num_labels=1, problem_type=REGRESSION)) is TASKS[REGRESSION]


class TestSeveralValues:
    NAN = math.nan
    LOGITS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    LABELS = torch.tensor([[2.0, 0.5], [NAN, 0.0], [NAN, NAN]])

    def test_the_loss_is_the_mean_over_all_values_that_are_known(self):
        logits = self.LOGITS.clone().requires_grad_()
        loss = TASKS[REGRESSION].loss(logits, self.LABELS)
        assert loss.item() == pytest.approx((1 + 0.5 + 2) / 3)
        loss.backward()
        assert (logits.grad != 0).tolist() == [[True, True], [False, True], [False, False]]

    def test_the_loss_of_one_column_is_that_of_a_single_value(self):
        logits, labels = make_batch(REGRESSION, [True, False, True])
        single = TASKS[REGRESSION].loss(logits, labels)
        torch.testing.assert_close(TASKS[REGRESSION].loss(logits, labels[:, None]), single)

    def test_contrasts_compare_the_signs_of_all_values(self):
        values = torch.tensor([[1.0, -1.0], [2.0, -3.0], [-1.0, -1.0], [self.NAN, 1.0]])
        quadrants = TASKS[REGRESSION].contrast_labels(values)
        assert quadrants[0] == quadrants[1] != quadrants[2]
        assert quadrants[3] == -100


@each_task
def test_labels_have_the_shape_of_the_task(task):
    logits, labels = make_batch(task, [True] * 5)
    assert labels.shape == TASKS[task].label_shape(5, logits.size(1))


# Votes of several annotators.


@pytest.mark.parametrize("class_weights", [None, [1.0, 2.0, 0.5, 3.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_unanimous_vote_is_the_label(class_weights, smoothing):
    logits, labels = make_batch(SINGLE_LABEL, [True, False, True, True])
    shares = functional.one_hot(labels.clamp(min=0), NUM_LABELS).float() * (labels >= 0)[:, None]
    task = TASKS[SINGLE_LABEL]
    by_label, by_votes = (task.loss(logits, target, class_weights, smoothing) for target in (labels, shares))
    assert float(by_votes) == pytest.approx(float(by_label), rel=1e-6)
    assert float(task.count(shares, class_weights)) == pytest.approx(float(task.count(labels, class_weights)))


def test_divided_votes_are_learnt_as_shares():
    logits = torch.tensor([[1.0, 0.0, -1.0, 0.5]])
    of_each = [float(TASKS[SINGLE_LABEL].loss(logits, torch.tensor([label]))) for label in (0, 2)]
    shares = torch.tensor([[0.75, 0.0, 0.25, 0.0]])
    expected = 0.75 * of_each[0] + 0.25 * of_each[1]
    assert float(TASKS[SINGLE_LABEL].loss(logits, shares)) == pytest.approx(expected, rel=1e-6)
