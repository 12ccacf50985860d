"""Bad input: each mistake is a DialogueError that names the dialogue, the utterance and what is wrong."""

import re
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
import torch

from joyful_hf import (
    DialogueError,
    JoyfulProcessor,
    make_toy_corpus,
    summarize_dialogues,
)

LABEL2ID = {"joy": 0, "anger": 1}
GOOD = {"speaker": "A", "label": "joy", "text_features": [0.5, 1, -2], "audio_features": [1.5, 0]}


def dialogue(*utterances, dialogue_id="d7"):
    return {"dialogue_id": dialogue_id, "utterances": list(utterances)}


def with_second_utterance(**changes):
    """Dialogue d7, whose utterances[1] is changed."""
    return dialogue(GOOD, {**GOOD, **changes}, GOOD)


def make_processor(**parameters):
    return JoyfulProcessor(text_dim=3, audio_dim=2, label2id=LABEL2ID, **parameters)


def refusal(call, dialogues) -> str:
    with pytest.raises(DialogueError) as caught:
        call(dialogues)
    return str(caught.value)


# Everything that reads dialogues holds them to the same rules.
READERS = {
    "the processor": make_processor(),
    "fit": make_processor().fit,
    "from_dialogues": JoyfulProcessor.from_dialogues,
    "summarize_dialogues": summarize_dialogues,
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())


def test_a_dialogue_error_is_a_value_error():
    assert issubclass(DialogueError, ValueError)


def test_good_input_is_taken():
    assert make_processor()(with_second_utterance())["dialogue_lengths"].tolist() == [3]


# What is not a list of dialogues.


@every_reader
@pytest.mark.parametrize(
    ("dialogues", "message"),
    [
        ([], "there are no dialogues: the list is empty"),
        ([GOOD, GOOD], "got utterances where dialogues are expected; wrap them"),
        (GOOD, "got utterances where dialogues are expected; wrap them"),
        ("talk.jsonl", "expected a dialogue or a list of dialogues, got str; read a file with `load_dialogues(path)`"),
        (3, "expected a dialogue or a list of dialogues, got int"),
        (["d1"], "dialogues[0]: expected a mapping with 'utterances', got str"),
        ({"turns": [], "id": 1}, "dialogues[0]: the key 'utterances' is missing (keys found: turns, id)"),
        ({"dialogue_id": "d7", "utterances": None}, "dialogue 'd7': the key 'utterances' is missing (keys found: d"),
        (dialogue(), "dialogue 'd7': the dialogue is empty; leave it out or give it utterances"),
        ({"dialogue_id": "d7", "utterances": "hi"}, "dialogue 'd7': 'utterances' must be a list, got str"),
        ({"dialogue_id": "d7", "utterances": {"speaker": ["A"]}}, "dialogue 'd7': 'utterances' must be a list, got d"),
        (dialogue(GOOD, "hi"), "dialogue 'd7', utterances[1]: expected a mapping with 'speaker', got str"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_list_of_dialogues_is_refused(read, dialogues, message):
    assert refusal(read, dialogues).startswith(message)


def test_a_slice_of_a_data_set_is_refused_with_the_way_out():
    corpus = make_toy_corpus(num_train=2, num_validation=1, num_test=1)["train"]
    assert "`dataset.select(...)` holds dialogues" in refusal(make_processor(), corpus[:2])


@every_reader
def test_an_iterator_without_dialogues_is_refused_too(read):
    assert refusal(read, iter(())) == "there are no dialogues: the list is empty"


# Which dialogue it is.


@every_reader
@pytest.mark.parametrize("name", [{}, {"dialogue_id": None}, {"dialogue_id": ""}], ids=repr)
def test_a_dialogue_without_an_id_is_named_by_its_position(read, name):
    bad = {**name, "utterances": [GOOD, {**GOOD, "speaker": None}]}
    assert refusal(read, [dialogue(GOOD), bad]).startswith("dialogues[1], utterances[1]: no speaker")


def test_positions_go_on_where_a_list_is_a_part_of_another():
    def encode(dialogues):
        return make_processor().encode(dialogues, first_position=100)

    assert refusal(encode, [{"utterances": []}]).startswith("dialogues[100]: the dialogue is empty")
    assert refusal(encode, [{"utterances": [{"speaker": "A", "text": "hi"}]}]).startswith("dialogues[100], utterances")


@pytest.mark.parametrize("dialogue_id", ["7", 7, np.str_("7")], ids=repr)
def test_an_id_of_any_type_is_named(dialogue_id):
    bad = dialogue({"text": "hi"}, dialogue_id=dialogue_id)
    assert refusal(make_processor(), bad).startswith("dialogue '7', utterances[0]: no speaker")


# Speakers and features, wherever dialogues are read.


@every_reader
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speaker": None}, "no speaker; give 'speaker' a name"),
        ({"speaker": ""}, "no speaker; give 'speaker' a name"),
        ({"speaker": 3}, "'speaker' must be a string, got int 3"),
        ({"text_features": [0.5, 1]}, "'text_features' has size 2, "),
        ({"audio_features": [1, 2, 3]}, "'audio_features' has size 3, "),
        ({"text_features": [0.5, float("nan"), 1]}, "'text_features'[1] is nan; leave the key out where"),
        ({"text_features": np.array([0.5, 1, np.inf])}, "'text_features'[2] is inf"),
        ({"audio_features": [float("-inf"), 0]}, "'audio_features'[0] is -inf"),
        ({"audio_features": [0, 1e300]}, "'audio_features'[1] is inf"),
        ({"text_features": ["a", "b", "c"]}, "'text_features' must be a list of numbers, got ['a', 'b', 'c']"),
        ({"text_features": ["1", "2", "3"]}, "'text_features' must be a list of numbers, got ['1', '2', '3']"),
        ({"text_features": "abc"}, "'text_features' must be a list of numbers, got 'abc'"),
        ({"text_features": [0.5, None, 1]}, "'text_features' must be a list of numbers, got [0.5, None, 1]"),
        ({"text_features": [0.5, [1], 2]}, "'text_features' must be a list of numbers, got [0.5, [1], 2]"),
        ({"text_features": [10**400, 1, 2]}, "'text_features' holds a number that is too large for a float"),
        ({"text_features": torch.ones(3, requires_grad=True)}, "'text_features' must be a list of numbers"),
        ({"text_features": {"a": 1}}, "'text_features' must be a list of numbers, got {'a': 1}"),
        ({"text_features": 3.5}, "'text_features' must be one vector per utterance, got an array of shape ()"),
        (
            {"text_features": [[1, 2, 3]]},
            "'text_features' must be one vector per utterance, got an array of shape (1,",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_utterance_is_refused_by_name(read, changes, message):
    assert refusal(read, with_second_utterance(**changes)).startswith(f"dialogue 'd7', utterances[1]: {message}")


def test_the_size_of_a_vector_is_held_against_the_first_or_the_processors():
    bad = with_second_utterance(text_features=[1, 2])
    assert refusal(summarize_dialogues, bad).endswith("'text_features' has size 2, the first one had 3")
    assert refusal(make_processor(), bad).endswith("'text_features' has size 2, expected 3")


def test_an_empty_vector_is_refused():
    assert refusal(summarize_dialogues, dialogue(GOOD, {"speaker": "A", "visual_features": []})).startswith(
        "dialogue 'd7', utterances[1]: 'visual_features' is empty; leave the key out where the modality is missing"
    )


# Labels.


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("envy", "unknown label 'envy'; known labels: joy, anger"),
        (0.5, "label 0.5 is of another kind than that of dialogue 'd7', utterances[0]; labels are all strings"),
        (["joy"], "label ['joy'] is of another kind than that of dialogue 'd7', utterances[0]"),
        (1, "label 1 is of another kind than that of dialogue 'd7', utterances[0]"),
        (True, "a label must be a string, an int, a list of them, or a float, got bool True"),
    ],
    ids=repr,
)
def test_a_bad_label_is_refused_by_name(label, message):
    assert refusal(make_processor(), with_second_utterance(label=label)).startswith(
        f"dialogue 'd7', utterances[1]: {message}"
    )


@pytest.mark.parametrize("label", [0.5, ["joy"], 1, True], ids=repr)
def test_training_dialogues_with_labels_of_two_kinds_are_refused(label):
    message = refusal(JoyfulProcessor.from_dialogues, [dialogue(GOOD), dialogue({**GOOD, "label": label})])
    assert message.startswith("dialogue 'd7', utterances[0]: ")


def test_an_unknown_number_is_refused_with_the_known_ones():
    dialogues = dialogue({**GOOD, "label": 1}, {**GOOD, "label": 2})
    assert refusal(make_processor(), dialogues) == (
        "dialogue 'd7', utterances[1]: unknown label 2; known labels: 0 (joy), 1 (anger)"
    )


def test_dialogues_encoded_apart_with_labels_of_two_kinds_are_not_packed():
    processor = make_processor()
    parts = [*processor.encode(dialogue(GOOD)), *processor.encode(dialogue({**GOOD, "label": 0.5}))]
    assert "mix labels of different kinds; set `problem_type`" in refusal(processor.pack, parts)
    parts = [*processor.encode(dialogue(GOOD)), *processor.encode(dialogue(GOOD), return_labels=False)]
    assert "some dialogues were encoded with labels and some without" in refusal(processor.pack, parts)


# Speakers that the relations do not hold.


def test_more_speakers_than_the_scheme_holds_are_refused_with_the_way_out():
    message = refusal(make_processor(), dialogue(GOOD, {**GOOD, "speaker": "B"}, {**GOOD, "speaker": "C"}))
    assert message == (
        "dialogue 'd7', utterances[2]: speaker 'C' is number 3, and the relation scheme 'speaker_pair' holds "
        "2 speakers; raise max_speakers or choose relation_scheme='same_or_other'"
    )


@pytest.mark.parametrize("parameters", [{"max_speakers": 3}, {"relation_scheme": "same_or_other"}], ids=repr)
def test_both_ways_out_of_too_many_speakers_work(parameters):
    batch = make_processor(**parameters)(dialogue(GOOD, {**GOOD, "speaker": "B"}, {**GOOD, "speaker": "C"}))
    assert batch["speaker_ids"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("speaker_to_id", "known"), [({"A": 0, "B": 1}, "A, B"), ({"A": 0}, "A")], ids=repr)
def test_a_speaker_without_a_fixed_id_is_refused_with_the_known_ones(speaker_to_id, known):
    message = refusal(make_processor(speaker_to_id=speaker_to_id), with_second_utterance(speaker="Zoe"))
    assert message == f"dialogue 'd7', utterances[1]: unknown speaker 'Zoe'; known speakers: {known}"


# Raw media.


@pytest.mark.parametrize(("key", "features"), [("text", "text_features"), ("audio", "audio_features")])
def test_raw_media_without_any_features_are_refused(key, features):
    bad = dialogue({"speaker": "A"}, {"speaker": "A", key: "raw"})
    assert re.fullmatch(
        rf"dialogue 'd7', utterances\[1\]: there is '{key}' but no '{features}', "
        rf"and this processor reads features of size \d only: it has no {key}_extractor",
        refusal(make_processor(), bad),
    )


def test_training_dialogues_without_any_features_are_refused():
    message = refusal(JoyfulProcessor.from_dialogues, dialogue({"speaker": "A", "text": "hi", "label": "joy"}))
    assert message.startswith("no utterance has text_features, audio_features or visual_features")


@pytest.mark.parametrize("kind", [bytes, Decimal, date, list], ids=lambda kind: kind.__name__)
def test_an_id_that_no_file_could_hold_is_refused(kind):
    given = {bytes: b"a", Decimal: Decimal("1.5"), date: date(2020, 1, 1), list: ["a"]}[kind]
    dialogue = {"dialogue_id": given, "utterances": [{"speaker": "A", "text_features": [1.0]}]}
    with pytest.raises(DialogueError, match=f"'dialogue_id' must be a string or a number, got {kind.__name__}"):
        JoyfulProcessor(text_dim=1)([dialogue])


def test_a_whole_number_beyond_64_bits_is_a_feature():
    batch = JoyfulProcessor(text_dim=2)([dialogue({"speaker": "A", "text_features": [1, 10**30]})])
    assert batch["text_features"][0, 1] == np.float32(1e30)
