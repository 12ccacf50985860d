"""`pipeline("emotion-recognition")`: the same answers as `model.predict`, one dialogue after the other."""

import pytest
import torch
from datasets import Dataset
from transformers import pipeline

import joyful_hf
from joyful_hf import DialogueError, EmotionRecognitionPipeline
from tests.support.helpers import LABELS, make_dialogues

DIALOGUES = make_dialogues((5, 9, 1))


@pytest.fixture
def made(family):
    return family.make(DIALOGUES)


@pytest.fixture
def recognizer(made):
    model, processor = made
    return pipeline("emotion-recognition", model=model, processor=processor)


@pytest.fixture
def folder(made, tmp_path):
    for part in made:
        part.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def assert_same(found, expected):
    """Equal but for the last bits: other dialogues in the batch change the order of sums."""
    assert found.keys() == expected.keys()
    assert found["dialogue_id"] == expected["dialogue_id"]
    for one, other in zip(found["utterances"], expected["utterances"], strict=True):
        assert {key: one[key] for key in ("speaker", "text", "label")} == {
            key: other[key] for key in ("speaker", "text", "label")
        }
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_a_folder_is_all_it_needs(folder, made):
    recognizer = pipeline("emotion-recognition", model=str(folder))
    assert isinstance(recognizer, EmotionRecognitionPipeline)
    assert not recognizer.model.training
    model, processor = made
    assert recognizer(DIALOGUES[0]) == model.predict(DIALOGUES[0], processor)[0]


def test_one_dialogue_gives_one_result(recognizer):
    result = recognizer(DIALOGUES[0])
    assert result["dialogue_id"] == "d0"
    assert len(result["utterances"]) == 5
    for utterance, found in zip(DIALOGUES[0]["utterances"], result["utterances"], strict=True):
        assert (found["speaker"], found["text"]) == (utterance["speaker"], utterance["text"])
        assert found["label"] == max(found["scores"], key=found["scores"].get)
        assert found["scores"].keys() == set(LABELS)
        assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "form", [list, Dataset.from_list, lambda dialogues: (one for one in dialogues)], ids=["list", "datasets", "stream"]
)
def test_several_dialogues_give_what_the_model_predicts(recognizer, made, form):
    model, processor = made
    expected = model.predict(DIALOGUES, processor)
    results = list(recognizer(form(DIALOGUES)))
    assert len(results) == len(DIALOGUES)
    for found, one in zip(results, expected, strict=True):
        assert_same(found, one)


def test_labels_are_not_read(recognizer):
    dialogue = {"utterances": [utterance | {"label": "boredom"} for utterance in DIALOGUES[0]["utterances"]]}
    with_other_labels, found = recognizer(dialogue), recognizer(DIALOGUES[0])
    for other, utterance in zip(with_other_labels["utterances"], found["utterances"], strict=True):
        assert other == utterance | {"true_label": "boredom"}


def test_saving_keeps_the_processor(recognizer, tmp_path):
    recognizer.save_pretrained(tmp_path / "saved")
    loaded_processor = type(recognizer.processor).from_pretrained(tmp_path / "saved")
    assert loaded_processor.to_dict() == recognizer.processor.to_dict()
    loaded = pipeline("emotion-recognition", model=str(tmp_path / "saved"))
    assert loaded(DIALOGUES) == recognizer(DIALOGUES)


def test_half_precision_gives_scores(made):
    model, processor = made
    recognizer = pipeline("emotion-recognition", model=model.to(torch.bfloat16), processor=processor)
    result = recognizer(DIALOGUES[0])
    assert all(sum(one["scores"].values()) == pytest.approx(1, abs=1e-4) for one in result["utterances"])


def test_parameters_are_refused(recognizer, made):
    with pytest.raises(TypeError, match="takes no parameters, got top_k"):
        recognizer(DIALOGUES[0], top_k=2)
    model, processor = made
    with pytest.raises(TypeError, match="takes no parameters, got threshold"):
        pipeline("emotion-recognition", model=model, processor=processor, threshold=0.5)


def test_a_missing_processor_is_asked_for(made):
    with pytest.raises(ValueError, match="processor="):
        EmotionRecognitionPipeline(model=made[0])


@pytest.mark.parametrize(
    "wrong",
    [DIALOGUES[0]["utterances"], {"utterances": []}, {"utterances": [{"text": "no speaker"}]}],
    ids=["a list of utterances", "an empty dialogue", "no speaker"],
)
def test_what_is_no_dialogue_is_refused(recognizer, wrong):
    with pytest.raises(DialogueError, match=r"dialogues?\b"):
        recognizer(wrong)


def test_it_is_a_public_name():
    assert joyful_hf.EmotionRecognitionPipeline is EmotionRecognitionPipeline
