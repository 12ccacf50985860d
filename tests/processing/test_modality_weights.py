"""What a modality weighs: as much as it tells of the labels of dialogues that were held out."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import make_toy_corpus
from joyful_hf.processing import JoyfulProcessor
from joyful_hf.processing.modality_weights import (
    FOLDS,
    LARGEST_SIZE,
    LEAST_WEIGHT,
    PENALTIES,
    SURE,
    Explained,
    HeldOutFit,
    as_targets,
    measure_modality_weights,
    modality_weights,
)

EVERYWHERE = np.ones(12, bool)


def noisy(values: np.ndarray, noise: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """(n, size) features that show a value under noise."""
    return values[:, None] * rng.standard_normal(size) + noise * rng.standard_normal((len(values), size))


def make_corpus(num_dialogues=40, kind="class"):
    """Text shows the label, audio shows which dialogue it is, and video shows the label dimly."""
    rng = np.random.default_rng(0)
    corpus = []
    directions = {name: rng.standard_normal((1, size)) for name, size in (("text", 5), ("visual", 4))}
    for _ in range(num_dialogues):
        latent = rng.standard_normal(12)
        features = {
            "text": (latent[:, None] * directions["text"] + 0.3 * rng.standard_normal((12, 5)), EVERYWHERE),
            "audio": (np.tile(rng.standard_normal(6), (12, 1)), EVERYWHERE),
            "visual": (latent[:, None] * directions["visual"] + 3 * rng.standard_normal((12, 4)), EVERYWHERE),
        }
        labels = {
            "class": ["joy" if value > 0 else "anger" for value in latent],
            "several": [["joy"] if value > 0 else ["anger", "fear"] for value in latent],
            "value": [float(value) for value in latent],
            "number": [int(value > 0) for value in latent],
        }[kind]
        corpus.append((features, labels))
    return corpus


def measure(corpus):
    """The weights of a corpus of features and labels."""
    return measure_modality_weights((features for features, _ in corpus), [labels for _, labels in corpus])


@pytest.mark.parametrize("kind", ["class", "several", "value", "number"])
def test_the_more_a_modality_tells_the_more_it_weighs(kind):
    weights = measure(make_corpus(kind=kind))
    assert weights["text"] == 1.0
    assert weights["audio"] == LEAST_WEIGHT
    assert LEAST_WEIGHT < weights["visual"] < 0.8


@pytest.mark.parametrize("num_dialogues", [1, FOLDS - 1])
def test_all_weigh_1_where_dialogues_are_too_few_to_hold_some_out(num_dialogues):
    assert set(measure(make_corpus(num_dialogues)).values()) == {1.0}


@pytest.mark.parametrize("label", [None, "joy"], ids=["no label", "one label"])
def test_all_weigh_1_where_there_is_nothing_to_tell(label):
    corpus = [(features, [label] * 12) for features, _ in make_corpus()]
    assert set(measure(corpus).values()) == {1.0}


def test_what_is_absent_or_unlabelled_takes_no_part():
    expected = measure(make_corpus())
    spoilt = []
    for features, labels in make_corpus():
        more = {
            name: (np.concatenate([rows, np.full_like(rows[:2], 1e6)]), np.append(EVERYWHERE, [False, True]))
            for name, (rows, _) in features.items()
        }
        spoilt.append((more, [*labels, "joy", None]))
    assert measure(spoilt) == pytest.approx(expected)


def test_the_fit_is_that_of_a_ridge_regression_on_the_other_folds():
    """Against the plain computation: a fit for each fold, and the errors on it."""
    rng = np.random.default_rng(1)
    rows, targets = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    targets[:, 0] += rows[:, 1]
    dialogue = np.arange(60) // 5
    fit = HeldOutFit(3)
    for number in range(12):
        fit.add(number, rows[dialogue == number], targets[dialogue == number])
    with_constant = np.concatenate([rows, np.ones((60, 1))], axis=1)
    errors, variances = [], []
    for fold in range(FOLDS):
        variances.append(((targets - targets.mean(0))[dialogue % FOLDS == fold] ** 2).sum())
    for penalty in PENALTIES:
        own = []
        for fold in range(FOLDS):
            held_out = dialogue % FOLDS == fold
            x, y = with_constant[~held_out], targets[~held_out]
            solved = np.linalg.solve(x.T @ x + penalty * 60 * np.diag([1, 1, 1, 0]), x.T @ y)
            own.append(((targets[held_out] - with_constant[held_out] @ solved) ** 2).sum())
        errors.append(own)
    left, variances = np.array(min(errors, key=sum)), np.array(variances)
    share = 1 - left.sum() / variances.sum()
    explained = fit.explained()
    assert explained.share == pytest.approx(share)
    # Each fold's own share, weighed by its variance, spreads about the whole one.
    spread = ((1 - left / variances) - share) * variances
    assert explained.error == pytest.approx(spread.std(ddof=1) * FOLDS**0.5 / variances.sum())


def test_wide_features_are_projected():
    fit = HeldOutFit(LARGEST_SIZE + 1)
    assert fit.products.shape[1] == LARGEST_SIZE + 1
    fit.add(0, np.ones((2, LARGEST_SIZE + 1)), np.ones((2, 1)))
    assert np.isfinite(fit.products).all()


shares = st.builds(Explained, st.floats(-1, 1), st.floats(0, 1))


@given(st.dictionaries(st.sampled_from(["text", "audio", "visual"]), shares, min_size=1))
def test_the_best_weighs_1_and_all_others_no_more_than_what_they_explain(explained):
    weights = modality_weights(explained)
    best = max(explained.values(), key=lambda own: own.share)
    assert max(weights.values()) == 1.0
    for name, weight in weights.items():
        part = max(explained[name].share, 0) / best.share if best.share > SURE * best.error else 1.0
        assert LEAST_WEIGHT <= weight <= max(LEAST_WEIGHT, part**0.5)


@given(st.dictionaries(st.sampled_from(["text", "audio", "visual"]), st.floats(-1, 1), min_size=1))
def test_without_doubt_weights_follow_the_order_of_what_is_explained(share):
    weights = modality_weights({name: Explained(own) for name, own in share.items()})
    order = sorted(share, key=lambda name: share[name])
    assert all(weights[low] <= weights[high] for low, high in pairwise(order))


@pytest.mark.parametrize(
    ("audio", "weight"),
    [
        pytest.param(Explained(0.05, 0.03), LEAST_WEIGHT, id="it may be chance"),
        pytest.param(Explained(0.05, 0.01), (0.03 / 0.3) ** 0.5, id="a part is sure"),
        pytest.param(Explained(0.2, 0.05), (0.2 / 0.3) ** 0.5, id="it may tell as much as the best"),
    ],
)
def test_of_what_is_surely_behind_only_what_is_sure_counts(audio, weight):
    assert modality_weights({"text": Explained(0.3, 0.02), "audio": audio}) == pytest.approx(
        {"text": 1, "audio": weight}
    )


@pytest.mark.parametrize("num_dialogues", [10, 20])
def test_few_dialogues_do_not_silence_what_tells_as_much(num_dialogues):
    corpus = make_toy_corpus(num_train=num_dialogues)
    weights = JoyfulProcessor.from_dialogues(corpus["train"]).modality_weights
    assert min(weights.values()) > 0.6


def test_targets():
    (classes,) = as_targets([["joy", None, "anger"]])
    np.testing.assert_array_equal(classes, [[0, 1], [0, 0], [1, 0]])
    (several,) = as_targets([[["joy", "anger"], [], None]])
    np.testing.assert_array_equal(several, [[1, 1], [0, 0], [0, 0]])
    (values,) = as_targets([[0.5, None, -2.0]])
    np.testing.assert_array_equal(values, [[0.5], [0], [-2]])
    (several,) = as_targets([[[0.5, 1.0], None]])
    np.testing.assert_array_equal(several, [[0.5, 1], [0, 0]])


@pytest.mark.parametrize("form", [float, int, lambda value: {"valence": float(value)}, lambda value: [int(value), 0]])
def test_whole_numbers_are_values_in_a_regression(form):
    """As classes, the steps of a scale would tell much less apart than they do as values."""

    def weights(form, **parameters):
        dialogues = to_dialogues(make_corpus(kind="value"), lambda value: form(round(2 * value)))
        return JoyfulProcessor.from_dialogues(dialogues, problem_type="regression", **parameters).modality_weights

    names = {"label2id": {"valence": 0, "arousal": 1}} if form(1) == [1, 0] else {}
    assert weights(form, **names) == pytest.approx(weights(float))


def to_dialogues(corpus, label_of=lambda label: label):
    return [
        {
            "utterances": [
                {
                    "speaker": "A",
                    "label": label_of(label),
                    **{f"{name}_features": list(rows[index]) for name, (rows, _) in f.items()},
                }
                for index, label in enumerate(labels)
            ]
        }
        for f, labels in corpus
    ]


def test_a_processor_made_to_measure_has_them():
    weights = JoyfulProcessor.from_dialogues(to_dialogues(make_corpus())).modality_weights
    assert weights is not None
    assert weights["text"] == 1.0
    assert weights["audio"] == LEAST_WEIGHT
