"""The baselines without a network."""

import numpy as np
import pytest

from joyful_hf import DialogueError, make_toy_frame_corpus
from joyful_hf.comparison.classifiers import make_processor, run_classifier
from joyful_hf.training.run_data import RunData


@pytest.fixture(scope="module")
def frames():
    """Dialogues with frames alone, which no classifier reads."""
    splits = make_toy_frame_corpus()
    few = {name: split.select(range(5)) for name, split in splits.items()}
    return RunData(few["train"], few["validation"], few["test"])


def labels_of(dialogues):
    return [utterance["label"] for dialogue in dialogues for utterance in dialogue["utterances"]]


def test_the_majority_class_needs_no_features(frames):
    names = sorted(set(labels_of(frames.train)))
    label2id = {name: index for index, name in enumerate(names)}
    result = run_classifier("majority", frames, label2id)
    counts = np.bincount([label2id[name] for name in labels_of(frames.train)])
    assert set(result.test) == {counts.argmax()}
    assert result.test_labels.tolist() == [label2id[name] for name in labels_of(frames.test)]
    assert result.parameters == 0


def test_features_that_are_not_there_are_missed_before_anything_is_trained(frames):
    with pytest.raises(DialogueError, match="no utterance has text_features"):
        make_processor("logistic-regression", frames, {"anger": 0})
