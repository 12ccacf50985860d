"""The toy corpus: its record, its reproducibility, and the exactness of its best possible accuracy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joyful_hf.toy.corpus import (
    COUNTERPARTS,
    DEFAULT_MODEL,
    EMOTION_PARTS,
    EMOTIONS,
    FEATURE_DIMS,
    MODALITIES,
    ToyDialogueModel,
    accuracy_of_best_decisions,
    best_possible_accuracy,
    emotion_posteriors,
    make_toy_corpus,
    part_direction,
)

NOT_YET = len(EMOTIONS)


@pytest.fixture(scope="module")
def dialogues():
    return sample(DEFAULT_MODEL, 600)


def sample(model, number, seed=0):
    generator = np.random.default_rng(seed)
    return [model.sample_dialogue(generator, f"d{index}") for index in range(number)]


@st.composite
def models(draw, max_utterances):
    shares = [draw(st.floats(0.01, 1)) for _ in range(3)]
    return ToyDialogueModel(
        inertia=shares[0] / sum(shares),
        reaction=shares[1] / sum(shares),
        switch_probability=draw(st.floats(0, 1)),
        min_utterances=1,
        max_utterances=max_utterances,
        noise=draw(st.floats(0.3, 3)),
    )


def labels_of(dialogue):
    return [EMOTIONS.index(utterance["label"]) for utterance in dialogue["utterances"]]


def chain_probability(emotions, speakers, table):
    """P(emotions | who speaks), straight from the words: each follows the own last and the other's last emotion."""
    last, probability = {}, 1.0
    for emotion, speaker in zip(emotions, speakers, strict=True):
        own = last.get(speaker, NOT_YET)
        other = next((value for name, value in last.items() if name != speaker), NOT_YET)
        probability *= table[own, other, emotion]
        last[speaker] = emotion
    return probability


def brute_force_posterior(dialogue, model, modalities, speakers_known):
    """Enumerate every sequence of emotions and, where speakers are hidden, every sequence of speakers."""
    utterances, table = dialogue["utterances"], model.emotion_table()
    if speakers_known:
        turn_takings = [([utterance["speaker"] for utterance in utterances], 1.0)]
    else:
        turn_takings = []
        for others in product([0, 1], repeat=len(utterances) - 1):
            switches = np.abs(np.diff([0, *others]))
            probability = np.where(switches, model.switch_probability, 1 - model.switch_probability).prod()
            turn_takings.append(([0, *others], probability))
    density = np.ones((len(utterances), len(EMOTIONS)))
    for position, emotion, modality in product(range(len(utterances)), range(len(EMOTIONS)), modalities):
        prototype = EMOTION_PARTS[modality][emotion] * part_direction(modality)
        distance = np.sum((np.array(utterances[position][f"{modality}_features"]) - prototype) ** 2)
        density[position, emotion] *= np.exp(-distance / (2 * model.noise**2))
    posterior = np.zeros_like(density)
    for emotions in product(range(len(EMOTIONS)), repeat=len(utterances)):
        weight = density[range(len(utterances)), emotions].prod()
        weight *= sum(p * chain_probability(emotions, speakers, table) for speakers, p in turn_takings)
        posterior[range(len(utterances)), emotions] += weight
    return posterior / posterior.sum(axis=-1, keepdims=True)


@given(model=models(max_utterances=4), seed=st.integers(0, 1000), modalities=st.sets(st.sampled_from(MODALITIES)))
@settings(max_examples=20, deadline=None)
def test_posterior_equals_enumeration(model, seed, modalities):
    dialogues = sample(model, 2, seed)
    posteriors = emotion_posteriors(dialogues, modalities=sorted(modalities), model=model)
    for dialogue, posterior in zip(dialogues, posteriors, strict=True):
        expected = brute_force_posterior(dialogue, model, modalities, speakers_known=True)
        np.testing.assert_allclose(posterior, expected, atol=1e-9)


@given(model=models(max_utterances=3), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_posterior_without_speakers_equals_enumeration(model, seed):
    dialogue = sample(model, 1, seed)[0]
    (posterior,) = emotion_posteriors([dialogue], context="no_speakers", model=model)
    expected = brute_force_posterior(dialogue, model, MODALITIES, speakers_known=False)
    np.testing.assert_allclose(posterior, expected, atol=1e-9)


@given(model=models(max_utterances=1), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_lone_utterance_has_no_context(model, seed):
    dialogue = sample(model, 1, seed)[0]
    alone, in_dialogue = (emotion_posteriors([dialogue], context=c, model=model)[0] for c in ("none", "speakers"))
    np.testing.assert_allclose(alone, in_dialogue, atol=1e-12)


@given(
    model=models(max_utterances=12),
    seed=st.integers(0, 1000),
    context=st.sampled_from(["speakers", "no_speakers", "none"]),
)
@settings(max_examples=30, deadline=None)
def test_posteriors_are_distributions_and_do_not_depend_on_batch_mates(model, seed, context):
    dialogues = sample(model, 4, seed)
    together = emotion_posteriors(dialogues, context=context, model=model)
    for dialogue, posterior in zip(dialogues, together, strict=True):
        assert posterior.shape == (len(dialogue["utterances"]), len(EMOTIONS))
        assert (posterior >= 0).all()
        np.testing.assert_allclose(posterior.sum(axis=-1), 1)
        (alone,) = emotion_posteriors([dialogue], context=context, model=model)
        np.testing.assert_allclose(posterior, alone, atol=1e-12)


def test_each_missing_ingredient_costs_accuracy(dialogues):
    best = best_possible_accuracy(dialogues)
    assert 0.80 < best < 0.90
    assert best - best_possible_accuracy(dialogues, context="no_speakers") > 0.05
    assert best - best_possible_accuracy(dialogues, context="none") > 0.08
    for modality in MODALITIES:
        two = [other for other in MODALITIES if other != modality]
        one_modality = best_possible_accuracy(dialogues, modalities=[modality])
        two_modalities = best_possible_accuracy(dialogues, modalities=two)
        assert best - two_modalities > 0.15
        assert best - one_modality > 0.15
        assert two_modalities > best_possible_accuracy(dialogues, modalities=two[:1])


@pytest.mark.parametrize("context", ["speakers", "no_speakers", "none"])
def test_expected_and_reached_accuracy_agree(dialogues, context):
    expected = best_possible_accuracy(dialogues, context=context)
    assert accuracy_of_best_decisions(dialogues, context=context) == pytest.approx(expected, abs=0.02)


def test_posteriors_are_calibrated(dialogues):
    posterior = np.concatenate(emotion_posteriors(dialogues)).ravel()
    is_label = np.eye(len(EMOTIONS))[np.concatenate([labels_of(dialogue) for dialogue in dialogues])].ravel()
    for low in np.arange(0, 1, 0.2):
        inside = (posterior >= low) & (posterior < low + 0.2)
        assert is_label[inside].mean() == pytest.approx(posterior[inside].mean(), abs=0.04)


def test_an_absent_modality_tells_nothing(dialogues):
    without_text = [
        {
            **dialogue,
            "utterances": [
                {**utterance, "text_features": None}
                if position % 2
                else {key: value for key, value in utterance.items() if key != "text_features"}
                for position, utterance in enumerate(dialogue["utterances"])
            ],
        }
        for dialogue in dialogues[:20]
    ]
    expected = emotion_posteriors(dialogues[:20], modalities=["audio", "visual"])
    for posterior, other in zip(emotion_posteriors(without_text), expected, strict=True):
        np.testing.assert_allclose(posterior, other, atol=1e-12)


def test_extreme_features_stay_finite():
    (dialogue,) = sample(ToyDialogueModel(noise=0.01, min_utterances=200, max_utterances=200), 1)
    (posterior,) = emotion_posteriors([dialogue], model=ToyDialogueModel(noise=0.01))
    np.testing.assert_allclose(posterior[range(200), labels_of(dialogue)], 1)


def test_the_three_parts_name_the_emotion_and_two_do_not():
    def distinguished(modalities):
        return len(set(zip(*(EMOTION_PARTS[modality].tolist() for modality in modalities), strict=True)))

    assert distinguished(MODALITIES) == len(EMOTIONS)
    for modality in MODALITIES:
        assert EMOTION_PARTS[modality].sum() == 0
        assert distinguished([other for other in MODALITIES if other != modality]) == 4


def test_counterparts_are_pairs_that_differ_in_one_part_each_in_another():
    differing = set()
    for emotion, counterpart in COUNTERPARTS.items():
        assert COUNTERPARTS[counterpart] == emotion
        here, there = EMOTIONS.index(emotion), EMOTIONS.index(counterpart)
        parts = [name for name, part in EMOTION_PARTS.items() if part[here] != part[there]]
        assert len(parts) == 1
        differing.update(parts)
    assert differing == set(MODALITIES)


@given(model=models(max_utterances=1))
def test_tables_are_distributions(model):
    np.testing.assert_allclose(model.emotion_table().sum(axis=-1), 1)
    np.testing.assert_allclose(model.state_transitions().sum(axis=-1), 1)
    assert (model.emotion_table() > 0).all()


def test_drawn_emotions_follow_the_table(dialogues):
    table = DEFAULT_MODEL.emotion_table()
    counts = np.zeros_like(table)
    for dialogue in dialogues:
        last = {}
        for utterance, emotion in zip(dialogue["utterances"], labels_of(dialogue), strict=True):
            speaker = utterance["speaker"]
            other = next((value for name, value in last.items() if name != speaker), NOT_YET)
            counts[last.get(speaker, NOT_YET), other, emotion] += 1
            last[speaker] = emotion
    totals = counts.sum(axis=-1, keepdims=True)
    assert totals[NOT_YET, NOT_YET] == len(dialogues)
    # Every cell within five standard errors of a binomial count.
    assert (np.abs(counts - totals * table) <= 5 * np.sqrt(totals * table * (1 - table)) + 1).all()


def test_drawn_features_follow_the_noise(dialogues):
    for modality in MODALITIES:
        features = np.array([u[f"{modality}_features"] for dialogue in dialogues for u in dialogue["utterances"]])
        emotions = np.concatenate([labels_of(dialogue) for dialogue in dialogues])
        noise = features - EMOTION_PARTS[modality][emotions, None] * part_direction(modality)
        np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.05)
        np.testing.assert_allclose(np.cov(noise.T), DEFAULT_MODEL.noise**2 * np.eye(noise.shape[1]), atol=0.05)


def test_emotions_are_balanced_and_turns_irregular(dialogues):
    emotions = np.concatenate([labels_of(dialogue) for dialogue in dialogues])
    np.testing.assert_allclose(np.bincount(emotions) / len(emotions), 1 / 6, atol=0.02)
    switches = [
        first["speaker"] != second["speaker"]
        for dialogue in dialogues
        for first, second in zip(dialogue["utterances"][:-1], dialogue["utterances"][1:], strict=True)
    ]
    assert np.mean(switches) == pytest.approx(DEFAULT_MODEL.switch_probability, abs=0.02)
    assert {len(dialogue["utterances"]) for dialogue in dialogues} == set(range(8, 25))


def test_the_sentence_carries_nothing_beyond_the_text_features(dialogues):
    pleasant, unpleasant = set(), set()
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            seen_pleasant = np.dot(utterance["text_features"], part_direction("text")) > 0
            (pleasant if seen_pleasant else unpleasant).add(utterance["text"])
    assert not pleasant & unpleasant
    assert len(pleasant) == len(unpleasant) == 6


def test_record_follows_the_design():
    corpus = make_toy_corpus(num_train=3, num_validation=2, num_test=1)
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 3, "validation": 2, "test": 1}
    ids = [dialogue["dialogue_id"] for rows in corpus.values() for dialogue in rows]
    assert len(set(ids)) == 6
    for rows in corpus.values():
        for dialogue in rows:
            assert set(dialogue) == {"dialogue_id", "utterances"}
            assert 8 <= len(dialogue["utterances"]) <= 24
            assert len({utterance["speaker"] for utterance in dialogue["utterances"]}) <= 2
            for utterance in dialogue["utterances"]:
                features = {f"{modality}_features" for modality in MODALITIES}
                assert set(utterance) == {"speaker", "text", "label", *features}
                assert utterance["label"] in EMOTIONS
                for modality, dim in FEATURE_DIMS.items():
                    values = utterance[f"{modality}_features"]
                    assert len(values) == dim
                    assert all(type(value) is float and value == float(np.float32(value)) for value in values)


def test_a_data_set_keeps_the_drawn_values():
    (split_seed, *_) = np.random.SeedSequence(5).spawn(3)
    drawn = DEFAULT_MODEL.sample_dialogue(np.random.default_rng(split_seed), "train-0000")
    assert make_toy_corpus(1, 1, 1, seed=5)["train"][0] == drawn


def test_same_seed_same_corpus_and_splits_do_not_depend_on_each_other():
    small = make_toy_corpus(num_train=3, num_validation=2, num_test=2, seed=1)
    again = make_toy_corpus(num_train=3, num_validation=2, num_test=2, seed=1)
    larger = make_toy_corpus(num_train=5, num_validation=4, num_test=2, seed=1)
    other = make_toy_corpus(num_train=3, num_validation=2, num_test=2, seed=2)
    for split in small:
        rows = small[split].to_list()
        assert rows == again[split].to_list()
        assert rows == larger[split].to_list()[: len(rows)]
        assert rows != other[split].to_list()
    assert small["validation"][0]["utterances"] != small["test"][0]["utterances"]


def test_part_directions_are_unit_vectors_of_the_corpus():
    for modality, dim in FEATURE_DIMS.items():
        direction = part_direction(modality)
        assert direction.shape == (dim,)
        assert np.linalg.norm(direction) == pytest.approx(1)
        np.testing.assert_array_equal(direction, part_direction(modality))


@pytest.mark.parametrize(
    "values",
    [
        {"inertia": 0.6, "reaction": 0.4},
        {"inertia": -0.1},
        {"switch_probability": 1.5},
        {"min_utterances": 0},
        {"min_utterances": 5, "max_utterances": 4},
        {"noise": 0.0},
    ],
)
def test_impossible_models_are_refused(values):
    with pytest.raises(ValueError, match="|".join(values)):
        ToyDialogueModel(**values)


def test_impossible_questions_are_refused(dialogues):
    with pytest.raises(ValueError, match="smell"):
        best_possible_accuracy(dialogues, modalities=["smell"])
    with pytest.raises(ValueError, match="speaker"):
        emotion_posteriors(dialogues, context="speaker")
    with pytest.raises(ValueError, match="no utterances"):
        best_possible_accuracy([])
    with pytest.raises(ValueError, match="at least one dialogue"):
        make_toy_corpus(num_test=0)
    third = {**dialogues[0]["utterances"][0], "speaker": "Zoe"}
    crowd = {"dialogue_id": "crowd", "utterances": [*dialogues[0]["utterances"], third]}
    with pytest.raises(ValueError, match="'crowd'"):
        emotion_posteriors([crowd])
