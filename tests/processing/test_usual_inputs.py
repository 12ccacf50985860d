"""What is unlike the training set is told of once, and nothing else is."""

import logging

import numpy as np
import pytest

from joyful_hf import JoyfulProcessor, make_toy_corpus
from joyful_hf.data.encoded import EncodedDialogues
from tests.support.helpers import FAMILY_CASES, make_dialogues, without_modality

LOGGER = "joyful_hf.processing.usual_inputs"


@pytest.fixture(scope="module")
def corpus():
    made = make_toy_corpus(num_train=60, num_validation=1, num_test=30)
    return {split: list(dialogues) for split, dialogues in made.items()}


@pytest.fixture(scope="module")
def processor(corpus):
    return JoyfulProcessor.from_dialogues(corpus["train"])


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.WARNING, LOGGER)
    return lambda: [record.getMessage() for record in caplog.records if record.name == LOGGER]


def scaled(dialogues, factor, modality="audio"):
    """The dialogues with vectors of another scale."""
    key = f"{modality}_features"
    return [
        {**dialogue, "utterances": [{**said, key: factor * np.asarray(said[key])} for said in dialogue["utterances"]]}
        for dialogue in dialogues
    ]


def without(dialogues, modality):
    """The dialogues without a modality."""
    return [
        {**dialogue, "utterances": [without_modality(said, modality) for said in dialogue["utterances"]]}
        for dialogue in dialogues
    ]


def test_held_out_dialogues_are_like_the_training_set(corpus, processor, told):
    processor.encode(corpus["test"])
    for dialogue in corpus["test"]:
        processor.encode(dialogue)
    assert told() == []


def test_features_on_another_scale_are_told_of(corpus, processor, told):
    processor.encode(scaled(corpus["test"], 10))
    (message,) = told()
    count = sum(len(dialogue["utterances"]) for dialogue in corpus["test"])
    assert message.startswith("unlike the training data: the audio of ")
    assert f" of {count} utterances lies farther" in message
    assert "check them on labelled dialogues of this kind, or fine-tune" in message
    assert "text" not in message


def test_one_utterance_is_told_of_where_it_lies_far_off(corpus, processor, told):
    (dialogue,) = scaled(corpus["test"][:1], 1000)
    dialogue["utterances"] = dialogue["utterances"][:1]
    processor.encode(dialogue)
    assert "the audio of 1 of 1 utterances" in told()[0]


def test_a_modality_that_was_always_there_is_missed(corpus, processor, told):
    processor.encode(without(corpus["test"], "visual"))
    count = sum(len(dialogue["utterances"]) for dialogue in corpus["test"])
    (message,) = told()
    assert f"{count} of {count} utterances have no video, which 100% of the training utterances had" in message


def test_one_that_was_often_absent_is_not(corpus, told):
    half = [*corpus["train"][:30], *without(corpus["train"][30:], "visual")]
    processor = JoyfulProcessor.from_dialogues(half)
    assert processor.usual_inputs["visual"]["share"] == pytest.approx(0.5, abs=0.15)
    processor.encode(without(corpus["test"], "visual"))
    assert told() == []


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_weight_of_a_modality_does_not_matter(corpus, told, weight):
    processor = JoyfulProcessor.from_dialogues(corpus["train"], modality_weights={"audio": weight})
    processor.encode(corpus["test"])
    assert told() == []
    processor.encode(scaled(corpus["test"], 10))
    assert len(told()) == (1 if weight else 0)


def test_features_that_are_left_as_they_are_have_no_distance(corpus, told):
    processor = JoyfulProcessor.from_dialogues(corpus["train"], feature_statistics=None)
    assert {name: set(values) for name, values in processor.usual_inputs.items()} == {
        name: {"share"} for name in ("text", "audio", "visual")
    }
    processor.encode(scaled(corpus["test"], 10))
    assert told() == []


def test_what_is_usual_is_saved(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    assert JoyfulProcessor.from_pretrained(tmp_path).usual_inputs == processor.usual_inputs


def test_a_processor_from_before_tells_of_nothing(corpus, processor, told):
    older = JoyfulProcessor(**{f"{name}_dim": size for name, size in processor.dims.items()})
    older.encode(scaled(corpus["test"], 10), return_labels=False)
    assert told() == []


@pytest.mark.parametrize(
    "usual", [{"smell": {"share": 1.0}}, {"text": {"distance": 1.0}}, {"text": {}}, {"text": {"share": -1.0}}]
)
def test_nonsense_is_refused(usual):
    with pytest.raises(ValueError, match=f"usual_inputs hold '{next(iter(usual))}'"):
        JoyfulProcessor(text_dim=2, usual_inputs=usual)


@pytest.mark.parametrize("way", ["predict", "pipeline", "evaluate"])
def test_every_way_tells_once_of_all_its_batches(told, way):
    from joyful_hf import EmotionRecognitionPipeline

    model, processor = FAMILY_CASES[0].make(make_dialogues())
    odd = scaled(make_dialogues((5, 9, 4)), 100)
    if way == "predict":
        model.predict(odd, processor, utterances_per_batch=4)
    elif way == "pipeline":
        EmotionRecognitionPipeline(model, processor=processor, device="cpu")(odd)
    else:
        EncodedDialogues(odd, processor)
    (message,) = told()
    assert "of 18 utterances" in message
