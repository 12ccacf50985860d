"""Vectors are read once: sizes, statistics, weights and examples start from the same arrays."""

from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from joyful_hf import DialogueError, summarize_dialogues
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.processing import dialogues as dialogue_module
from joyful_hf.processing import frames as frame_module
from joyful_hf.processing.dialogues import FEATURE_KEYS, FRAME_KEYS
from joyful_hf.processing.reading import read_dialogues
from joyful_hf.training.run import run_training
from joyful_hf.training.run_data import RunData
from tests.support.helpers import make_dialogues
from tests.support.training import SMALL_SETTINGS, training_args


@pytest.fixture
def parsed(monkeypatch) -> Counter[str]:
    """How often the numbers at each place, such as `dialogue 'd1', utterances[0]: 'text_features'`, were parsed."""
    counts: Counter[str] = Counter()
    parse = dialogue_module.as_numbers

    def counting(value, kind, place):
        counts[place] += 1
        return parse(value, kind, place)

    monkeypatch.setattr(dialogue_module, "as_numbers", counting)
    monkeypatch.setattr(frame_module, "as_numbers", counting)
    return counts


def places_of(dialogues) -> set[str]:
    """Every place of the dialogues that holds a vector or frames."""
    return {
        f"dialogue {dialogue['dialogue_id']!r}, utterances[{index}]: {key!r}"
        for dialogue in dialogues
        for index, utterance in enumerate(dialogue["utterances"])
        for key in (*FEATURE_KEYS.values(), *FRAME_KEYS.values())
        if utterance.get(key) is not None
    }


def test_every_vector_is_parsed_once_to_fit_a_processor_and_to_encode_the_dialogues(family, dialogues, parsed):
    read = read_dialogues(Dataset.from_list(dialogues))
    summarize_dialogues(read)
    processor = family.processor_class.from_dialogues(read, **family.processor_parameters(dialogues))
    EncodedDialogues(read, processor)
    assert set(parsed) == places_of(dialogues)
    assert set(parsed.values()) == {1}


def test_fitting_alone_parses_every_vector_once(family, dialogues, parsed):
    family.processor_class.from_dialogues(dialogues, **family.processor_parameters(dialogues))
    assert set(parsed) == places_of(dialogues)
    assert set(parsed.values()) == {1}


@pytest.mark.parametrize("preset", [None, "paper"])
def test_a_run_parses_every_training_vector_once(parsed, tmp_path, preset):
    train, validation = make_dialogues((3, 4)), make_dialogues((2, 2))
    for index, dialogue in enumerate(validation):
        dialogue["dialogue_id"] = f"validation {index}"
    data = RunData(Dataset.from_list(train), Dataset.from_list(validation), None, "")
    settings = SMALL_SETTINGS if preset is None else {"projection_size": 8, "basis_size": 4}
    run_training(training_args(tmp_path / "out", max_steps=1), data, preset=preset, settings=settings)
    places = places_of(train)
    assert {parsed[place] for place in places} == {1}


def test_what_was_read_makes_the_same_processor_and_the_same_batch(family, dialogues):
    parameters = family.processor_parameters(dialogues)
    read = read_dialogues(dialogues)
    processor = family.processor_class.from_dialogues(dialogues, **parameters)
    assert family.processor_class.from_dialogues(read, **parameters).to_dict() == processor.to_dict()
    expected = processor(dialogues)
    for key, value in processor(read).items():
        np.testing.assert_array_equal(value, expected[key], strict=True, err_msg=key)


def test_reading_makes_arrays_and_leaves_everything_else(dialogues):
    (read, *_) = read_dialogues(dialogues)
    for utterance, given in zip(read["utterances"], dialogues[0]["utterances"], strict=True):
        assert utterance.keys() == given.keys()
        assert utterance["text_features"].dtype == utterance["video_frames"].dtype == np.float32
        np.testing.assert_array_equal(utterance["audio_features"], np.float32(given["audio_features"]))
        assert (utterance["speaker"], utterance["text"]) == (given["speaker"], given["text"])
    assert isinstance(dialogues[0]["utterances"][0]["text_features"], list), "the given dialogues are left alone"


def test_reading_twice_changes_nothing(dialogues):
    read = read_dialogues(dialogues)
    assert all(again is once for again, once in zip(read_dialogues(read), read, strict=True))


def test_a_bad_vector_is_refused_by_name(dialogues):
    dialogues[1]["utterances"][2]["audio_features"] = [1.0, float("nan")]
    with pytest.raises(DialogueError, match=r"dialogue 'd1', utterances\[2\]: 'audio_features'\[1\] is nan"):
        read_dialogues(dialogues)


def test_what_was_read_is_still_held_against_the_size_that_the_processor_has(family, dialogues):
    processor = family.processor_class.from_dialogues(dialogues, **family.processor_parameters(dialogues))
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            for key in FEATURE_KEYS.values():
                utterance[key] = utterance[key][:-1]
            for key in FRAME_KEYS.values():
                utterance[key] = [frame[:-1] for frame in utterance[key]]
    with pytest.raises(DialogueError, match="expected"):
        processor(read_dialogues(dialogues))
