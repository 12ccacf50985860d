"""`joyful demo`: the whole way, on a corpus small enough for a test."""

import json
from functools import partial

import pytest

from joyful_hf import DialogueError, JoyfulForEmotionRecognition, demo, load_dialogues, make_toy_corpus
from joyful_hf.toy_corpus import EMOTIONS


@pytest.fixture
def small_demo(monkeypatch):
    monkeypatch.setattr(demo, "_EPOCHS", 1)
    monkeypatch.setattr(demo, "make_toy_corpus", partial(make_toy_corpus, num_train=20, num_validation=5, num_test=6))


def test_goes_from_dialogues_to_a_checkpoint_and_back(small_demo, tmp_path, capsys):
    metrics = demo.run_demo(tmp_path / "demo")
    assert len(load_dialogues(tmp_path / "demo" / "data", split="test")) == 6
    model = JoyfulForEmotionRecognition.from_pretrained(tmp_path / "demo" / "model")
    assert set(model.config.label2id) == set(EMOTIONS)
    written = json.loads((tmp_path / "demo" / "model" / "test_results.json").read_text())
    assert written["test_accuracy"] == metrics["test_accuracy"]

    printed = capsys.readouterr().out
    for heading in ("test accuracy", "best possible", "share of the best", "loaded back"):
        assert heading in printed
    shown = printed.split("on one test dialogue:")[1]
    first = load_dialogues(tmp_path / "demo" / "data", split="test")[0]
    assert all(utterance["text"] in shown for utterance in first["utterances"])
    assert sum(emotion in shown for emotion in EMOTIONS) > 0


def test_a_finished_demo_is_replaced_only_when_told_to(small_demo, tmp_path):
    demo.run_demo(tmp_path)
    with pytest.raises(DialogueError, match="finished run"):
        demo.run_demo(tmp_path)
    demo.run_demo(tmp_path, overwrite=True)


@pytest.mark.slow
def test_learns_the_rules_of_the_corpus(tmp_path):
    assert demo.run_demo(tmp_path)["test_accuracy"] > 0.6
