"""Which utterances share an emotion, for each kind of label."""

import math

import torch

from joyful_hf.modeling.emotion_pairs import known_emotions, same_emotion


def test_classes():
    labels = torch.tensor([0, 1, 0, -100])
    assert known_emotions(labels).tolist() == [True, True, True, False]
    assert same_emotion(labels)[0].tolist() == [True, False, True, False]


def test_of_several_at_once_one_in_common_is_enough_and_none_is_an_emotion_too():
    labels = torch.tensor([[1.0, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [math.nan, 0, 1]])
    assert known_emotions(labels).tolist() == [True] * 5 + [False]
    expected = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    assert same_emotion(labels)[:5, :5].int().tolist() == expected


def test_sentiment():
    labels = torch.tensor([-1.5, 0.0, -0.1, math.nan])
    assert known_emotions(labels).tolist() == [True, True, True, False]
    assert same_emotion(labels)[0, :3].tolist() == [True, False, True]
