"""Misspelt keys: whoever writes `text_feature` is told of `text_features`."""

import logging

import pytest

from joyful_hf import JoyfulProcessor, load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.processing import known_keys


@pytest.fixture(autouse=True)
def not_warned_yet(monkeypatch):
    monkeypatch.setattr(known_keys, "_warned", set())


MISSPELT = {
    "text_feature": "text_features",
    "Text": "text",
    "txt": "text",
    "visual_feature": "visual_features",
    "video_features": "visual_features",
    "begin": "start",
    "end_time": "end",
    "labels": "label",
    "audio_path": "audio",
}


@pytest.mark.parametrize("key", MISSPELT)
def test_a_misspelt_key_is_named_once_with_the_right_one(key, caplog):
    processor = JoyfulProcessor(text_dim=2)
    dialogue = {"dialogue_id": "d", "utterances": [{"speaker": "A", key: "x"}] * 3}
    for _ in range(2):
        processor.encode(dialogue)
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert message == f"dialogue 'd', utterances[0]: the key {key!r} is not read; did you mean {MISSPELT[key]!r}?"


@pytest.mark.parametrize("key", MISSPELT)
def test_a_file_with_a_misspelt_key_is_read_with_a_warning(key, caplog, tmp_path):
    write_dialogues([{"dialogue_id": "d", "utterances": [{"speaker": "A", key: "x"}]}], tmp_path / "d.jsonl")
    load_dialogues(tmp_path / "d.jsonl")
    assert f"did you mean {MISSPELT[key]!r}?" in caplog.text


def test_other_keys_and_keys_beside_the_right_one_are_left_in_peace(caplog):
    utterance = {"speaker": "A", "text": "x", "utterance": "x", "txt": "x", "scene": 3, "text_id": 1, "begin": None}
    JoyfulProcessor(text_dim=2, text_extractor="hashing")
    known_keys.warn_of_unknown_keys("d", [utterance])
    assert not caplog.records


def test_every_known_key_is_known():
    assert all(known_keys.known_key_of(key) == key for key in known_keys.KNOWN_KEYS)
    assert set(known_keys.OTHER_NAMES) <= known_keys.KNOWN_KEYS
