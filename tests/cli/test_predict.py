"""`joyful predict`."""

import sys
from pathlib import Path

import pytest

from joyful_hf import load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from tests.support.command_line import Terminal, read_jsonl
from tests.support.helpers import LABELS, make_dialogue
from tests.support.training import VALIDATION


@pytest.mark.parametrize("when", ["reading", "writing"])
def test_a_prediction_that_fails_leaves_nothing_half_written(joyful, files, checkpoint, monkeypatch, tmp_path, when):
    data = tmp_path / "data.jsonl"
    data.write_text(files["test"].read_text() + ("{" if when == "reading" else ""))
    if when == "writing":

        def write_half(dialogues, path):
            Path(path).write_text('{"dialogue_id":')
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("joyful_hf.transcripts.writing._WRITERS", {".jsonl": write_half})
    result = joyful("predict", checkpoint, "--data-file", data, "--output-file", tmp_path / "new" / "out.jsonl")
    assert result.status == 2
    assert not list(tmp_path.rglob("out.jsonl*"))


def test_predict_gives_each_utterance_a_label_and_scores(joyful, files, checkpoint, tmp_path):
    output = tmp_path / "new" / "predictions.jsonl"
    result = joyful("predict", checkpoint, "--data-file", files["unlabelled"], "--output-file", output)
    assert (result.status, result.err) == (0, "")
    assert result.out.endswith(f"\n13 utterances of 3 dialogues: {output}\n")
    assert result.out.startswith("running on cpu\n")
    assert "speaker" in result.out.splitlines()[1], "a table of the speakers is shown"
    predictions = read_jsonl(output)
    assert [one["dialogue_id"] for one in predictions] == [one["dialogue_id"] for one in VALIDATION]
    for dialogue, prediction in zip(VALIDATION, predictions, strict=True):
        for utterance, found in zip(dialogue["utterances"], prediction["utterances"], strict=True):
            assert found.keys() == {"speaker", "text", "label", "scores"}, "and no path, vector or empty key"
            assert (found["speaker"], found["text"]) == (utterance["speaker"], utterance["text"])
            assert found["scores"].keys() == set(LABELS)
            assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-5)
            assert found["label"] == max(found["scores"], key=found["scores"].get)
    assert list(output.parent.iterdir()) == [output]
    assert len(load_dialogues(output)) == 3, "what is written can be read"


def test_labels_are_not_read_to_predict(joyful, files, checkpoint, tmp_path):
    write_dialogues([make_dialogue(3, label=lambda rng: "boredom")], tmp_path / "boredom.jsonl")
    data = ["--data-file", tmp_path / "boredom.jsonl", "--output-file", tmp_path / "out.jsonl"]
    assert joyful("predict", checkpoint, *data).status == 0


def test_a_bar_is_shown_on_a_terminal(joyful, files, checkpoint, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    joyful("predict", checkpoint, "--data-file", files["test"], "--output-file", tmp_path / "found.jsonl")
    assert "predicting:" in terminal.getvalue()
    assert "/2 [" in terminal.getvalue()


def test_one_dialogue_is_not_several(joyful, checkpoint, tmp_path):
    write_dialogues([make_dialogue(1)], tmp_path / "one.jsonl")
    output = tmp_path / "found.jsonl"
    printed = joyful("predict", checkpoint, "--data-file", tmp_path / "one.jsonl", "--output-file", output).out
    assert printed.endswith(f"\n1 utterance of 1 dialogue: {output}\n")


def test_times_and_every_other_single_value_come_back_and_a_known_label_as_the_true_one(joyful, checkpoint, tmp_path):
    dialogue = make_dialogue(2)
    for index, utterance in enumerate(dialogue["utterances"]):
        utterance |= {"start": 1.5 * index, "end": 1.5 * index + 1, "note": f"n{index}", "audio": "/far/away/a.wav"}
    write_dialogues([dialogue | {"session": 3}], tmp_path / "timed.jsonl")
    joyful("predict", checkpoint, "--data-file", tmp_path / "timed.jsonl", "--output-file", tmp_path / "out.jsonl")
    (found,) = read_jsonl(tmp_path / "out.jsonl")
    assert found["session"] == 3
    for given, utterance in zip(dialogue["utterances"], found["utterances"], strict=True):
        assert list(utterance)[:3] == ["start", "end", "audio"]
        assert (utterance["start"], utterance["note"]) == (given["start"], given["note"])
        assert utterance["audio"] == "a.wav", "its name, and not the folder on this machine"
        assert utterance["true_label"] == given["label"]


def test_an_utterance_from_which_nothing_could_be_read_has_no_label(joyful, checkpoint, tmp_path):
    dialogue = make_dialogue(3)
    dialogue["utterances"][1] = {"speaker": "speaker 0"}
    write_dialogues([dialogue], tmp_path / "gap.jsonl")
    result = joyful(
        "predict", checkpoint, "--data-file", tmp_path / "gap.jsonl", "--output-file", tmp_path / "o.jsonl"
    )
    (found,) = read_jsonl(tmp_path / "o.jsonl")
    assert [utterance["label"] is None for utterance in found["utterances"]] == [False, True, False]
    assert "nothing could be read: 1 of 3 utterances" in result.out


def test_one_call_writes_several_files_each_of_the_kind_of_its_suffix(joyful, files, checkpoint, tmp_path):
    outputs = [tmp_path / "found.jsonl", tmp_path / "found.csv"]
    options = [word for output in outputs for word in ("--output-file", output)]
    assert joyful("predict", checkpoint, "--data-file", files["test"], *options).status == 0
    header = outputs[1].read_text().splitlines()[0].split(",")
    assert header[:4] == ["dialogue_id", "index", "speaker", "start"]


def test_an_unknown_kind_of_output_is_refused_before_anything_is_read(fails, checkpoint, tmp_path):
    line = fails("predict", checkpoint, "--data-file", "none.jsonl", "--output-file", tmp_path / "found.xls")
    assert "unknown kind of file '.xls'" in line
    assert ".csv" in line


def test_a_recording_alone_is_refused_with_the_way_to_a_transcript(fails, checkpoint, tmp_path):
    (tmp_path / "meeting.wav").write_bytes(b"RIFF")
    command = ["predict", checkpoint, "--data-file", tmp_path / "meeting.wav", "--output-file", tmp_path / "o.csv"]
    assert "whisperx meeting.wav" in fails(*command)
    (tmp_path / "meeting.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    assert f"--transcript {tmp_path / 'meeting.srt'}" in fails(*command)


def test_what_says_something_of_a_transcript_needs_one(fails, files, checkpoint, tmp_path):
    command = ["predict", checkpoint, "--data-file", files["test"], "--output-file", tmp_path / "o.csv"]
    assert "--channels: says something of a transcript" in fails(*command, "--channels", "Alice,Bob")
