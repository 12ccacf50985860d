"""The toy corpus of frame sequences: its exact ceilings, and that both streams are needed."""

import numpy as np
import pytest

from joyful_hf import FoalNetProcessor, make_toy_frame_corpus
from joyful_hf.toy.frames import (
    EMOTIONS,
    STREAMS,
    accuracy_of_best_decisions,
    best_possible_accuracy,
    directions,
    emotion_posteriors,
)


@pytest.fixture(scope="module")
def corpus():
    return make_toy_frame_corpus()


def test_the_seed_decides_it(corpus):
    assert make_toy_frame_corpus()["train"][0] == corpus["train"][0]
    assert make_toy_frame_corpus(seed=1)["train"][0] != corpus["train"][0]


def test_it_is_read_by_the_processor(corpus):
    processor = FoalNetProcessor.from_dialogues(corpus["train"])
    assert processor.dims == {"audio": 16, "visual": 12}
    assert set(processor.label2id) == set(EMOTIONS)


@pytest.mark.parametrize("key", STREAMS)
def test_the_cues_do_not_mix(key):
    np.testing.assert_allclose(directions(key) @ directions(key).T, np.eye(2), atol=1e-12)


def test_exact_inference_reaches_what_it_expects(corpus):
    utterances = sum(len(dialogue["utterances"]) for dialogue in corpus["test"])
    expected, reached = best_possible_accuracy(corpus["test"]), accuracy_of_best_decisions(corpus["test"])
    assert abs(expected - reached) < 3 * np.sqrt(expected * (1 - expected) / utterances)


def test_one_stream_is_not_enough(corpus):
    both = best_possible_accuracy(corpus["test"])
    for key in STREAMS:
        assert best_possible_accuracy(corpus["test"], [key]) < both - 0.15


def test_posteriors_are_probabilities(corpus):
    utterances = [utterance for dialogue in corpus["validation"] for utterance in dialogue["utterances"]]
    posteriors = emotion_posteriors(utterances)
    assert posteriors.shape == (len(utterances), len(EMOTIONS))
    np.testing.assert_allclose(posteriors.sum(-1), 1)
