"""`joyful demo`: the whole way, on a corpus small enough for a test."""

import json
import shutil
import sys
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from joyful_hf import (
    DialogueError,
    JoyfulForEmotionRecognition,
    load_dialogues,
    load_transcript,
    make_toy_media_corpus,
)
from joyful_hf.cli import demo
from joyful_hf.toy.corpus import EMOTIONS


@pytest.fixture(scope="module")
def small_demo():
    small = partial(make_toy_media_corpus, num_train=5, num_validation=2, num_test=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_EPOCHS", 1)
        patch.setattr("joyful_hf.toy.media.make_toy_media_corpus", small)
        yield


@pytest.fixture(scope="module")
def finished(small_demo, tmp_path_factory):
    """The folder of a demo, its metrics, and what it printed."""
    folder = tmp_path_factory.mktemp("finished") / "demo"
    with redirect_stdout(StringIO()) as printed:
        metrics = demo.run_demo(folder)
    return folder, metrics, printed.getvalue()


def test_goes_from_recordings_to_a_checkpoint_and_back(finished):
    folder, metrics, printed = finished
    test = load_dialogues(folder / "data", split="test")
    assert len(test) == 2
    model = JoyfulForEmotionRecognition.from_pretrained(folder / "model")
    assert set(model.config.label2id) == set(EMOTIONS)
    written = json.loads((folder / "model" / "test_results.json").read_text())
    assert written["test_accuracy"] == metrics["test_accuracy"]

    for heading in ("recordings:", "extractors: hashing, logmel", "test accuracy", "chance", "ceiling", "loaded back"):
        assert heading in printed
    shown, of_recording = printed.split("on the recordings in")[1].split("One recording of two voices")
    times = [line.split()[:3] for line in of_recording.splitlines() if line[2:8].strip().replace(".", "").isdigit()]
    assert [speaker for _, _, speaker in times] == [each["speaker"] for each in test[0]["utterances"][:3]]
    (table,) = load_transcript(folder / "recording" / "emotions.csv")
    assert [each["text"] for each in table["utterances"]] == [each["text"] for each in test[0]["utterances"]]
    assert [f"{each['start']:.3f}" for each in table["utterances"][:3]] == [start for start, _, _ in times]
    assert (folder / "recording" / "emotions.vtt").read_text().startswith("WEBVTT")
    assert all(utterance["text"] in shown for utterance in test[0]["utterances"])
    assert sum(emotion in shown for emotion in EMOTIONS) > 0


def test_a_finished_demo_is_replaced_only_when_told_to(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "demo")
    before = (folder / "model" / "test_results.json").stat().st_mtime_ns
    with pytest.raises(DialogueError, match="finished run"):
        demo.run_demo(folder)
    assert (folder / "model" / "test_results.json").stat().st_mtime_ns == before
    demo.run_demo(folder, overwrite=True)
    assert (folder / "model" / "test_results.json").stat().st_mtime_ns > before


def test_without_pyav_it_says_what_to_install(fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert fails("demo").endswith('needs av, which is not installed: pip install "av>=15.0" "pillow>=11.0"')


@pytest.mark.slow
def test_learns_the_rules_of_the_corpus(tmp_path):
    assert demo.run_demo(tmp_path)["test_accuracy"] > 0.7


def test_demo_is_the_demo(joyful, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("joyful_hf.cli.demo.run_demo", lambda *arguments: asked.append(arguments))
    assert joyful("demo").status == 0
    assert joyful("demo", "--output-dir", tmp_path / "d", "--overwrite-output-dir").status == 0
    assert joyful("demo", "--device", "cpu").status == 0
    assert asked == [
        (Path("joyful-demo"), False, None),
        (tmp_path / "d", True, None),
        (Path("joyful-demo"), False, "cpu"),
    ]
