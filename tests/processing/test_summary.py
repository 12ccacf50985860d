"""What a set of dialogues holds: it tells a processor and a model how large to be."""

import pytest

from joyful_hf import summarize_dialogues
from tests.support.helpers import (
    DIMS,
    LABELS,
    make_dialogue,
    make_dialogues,
)


def dialogue_with(*labels):
    return {"utterances": [{"speaker": "A", "text_features": [1.0], "label": label} for label in labels]}


def test_everything_is_counted(dialogues):
    summary = summarize_dialogues(dialogues)
    assert summary.num_dialogues == 4
    assert summary.num_utterances == 5 + 9 + 1 + 23
    assert summary.max_speakers == 2
    assert summary.feature_sizes == DIMS
    assert summary.modality_counts == dict.fromkeys(DIMS, 38)
    assert summary.label_counts.total() == 38
    assert summary.problem_type == "single_label_classification"


def test_speakers_are_counted_in_each_dialogue():
    alone, crowd = make_dialogue(4, speakers=1), make_dialogue(9, speakers=5)
    assert summarize_dialogues([crowd, alone]).max_speakers == 5
    assert summarize_dialogues(alone).max_speakers == 1


def test_a_modality_that_no_utterance_has_is_of_size_0():
    summary = summarize_dialogues(make_dialogues(modalities=["audio"]))
    assert summary.feature_sizes == {"text": 0, "audio": DIMS["audio"], "visual": 0}


def test_a_modality_is_counted_where_it_is():
    dialogue = make_dialogue(4)
    del dialogue["utterances"][0]["audio_features"]
    dialogue["utterances"][2]["audio_features"] = None
    summary = summarize_dialogues(dialogue)
    assert summary.modality_counts == {"text": 4, "audio": 2, "visual": 4}
    assert summary.feature_sizes["audio"] == DIMS["audio"]


def test_classes_are_named_in_alphabetical_order(dialogues):
    assert summarize_dialogues(dialogues).label2id == {label: index for index, label in enumerate(LABELS)}


@pytest.mark.parametrize(
    ("labels", "label2id", "problem_type"),
    [
        (["joy", None, "anger"], {"anger": 0, "joy": 1}, "single_label_classification"),
        ([2, 0, -100], {"0": 0, "1": 1, "2": 2}, "single_label_classification"),
        ([10, 9], {str(index): index for index in range(11)}, "single_label_classification"),
        ([["joy"], [], ["fear", "joy"]], {"fear": 0, "joy": 1}, "multi_label_classification"),
        ([0.5, -1.0], None, "regression"),
        ([1, 0.5], None, "regression"),
        (
            [{"valence": 0.5, "arousal": -1.0}, {"dominance": 2.5}],
            {"arousal": 0, "dominance": 1, "valence": 2},
            "regression",
        ),
        (["joy", "", "anger", "-100"], {"anger": 0, "joy": 1}, "single_label_classification"),
        ([None, -100], None, None),
    ],
    ids=repr,
)
def test_labels_tell_classes_and_task(labels, label2id, problem_type):
    summary = summarize_dialogues(dialogue_with(*labels))
    assert summary.label2id == label2id
    assert summary.problem_type == problem_type


@pytest.mark.parametrize("label", [2, -3, {"valence": 2, "arousal": -1}], ids=repr)
def test_whole_numbers_are_values_where_the_task_says_so(label):
    summary = summarize_dialogues(dialogue_with(label, None), problem_type="regression")
    assert summary.problem_type == "regression"
    assert not summary.label_counts
    assert summary.label2id == ({"arousal": 0, "valence": 1} if isinstance(label, dict) else None)


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (["joy", "Joy", " joy ", "joy", "anger"], "' joy ' (1), 'Joy' (1), 'joy' (2) differ in case or blanks only"),
        (
            [["no emotion"], ["No  Emotion", "joy"]],
            "'No  Emotion' (1), 'no emotion' (1) differ in case or blanks only",
        ),
        (["joy", "joys", "anger"], ""),
    ],
    ids=["one", "several", "none"],
)
def test_labels_that_differ_in_case_or_blanks_only_are_warned_of(labels, warning, caplog):
    summary = summarize_dialogues(dialogue_with(*labels))
    assert warning in caplog.text
    assert bool(caplog.text) == bool(warning)
    assert "joy" in summary.label2id, "nothing is merged"


def test_labels_are_counted():
    assert summarize_dialogues(dialogue_with("joy", "anger", "joy", None)).label_counts == {"joy": 2, "anger": 1}
    assert summarize_dialogues(dialogue_with(["joy", "fear"], ["joy"])).label_counts == {"joy": 2, "fear": 1}


def test_a_summary_reads_as_one_line():
    assert str(summarize_dialogues(make_dialogues(modalities=["text", "audio"]))) == (
        "4 dialogues, 38 utterances, up to 2 speakers, features: text 12 (in 38), audio 6 (in 38), "
        "frames: text 12 (in 38), audio 6 (in 38)"
    )
    assert str(summarize_dialogues({"utterances": [{"speaker": "A"}]})).endswith("features: none")
