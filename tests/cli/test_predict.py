"""`joyful predict`."""

from pathlib import Path

import pytest

from joyful_hf import load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from tests.support.command_line import read_jsonl
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

        monkeypatch.setattr("joyful_hf.data.jsonl.write_dialogues", write_half)
    result = joyful("predict", checkpoint, "--data-file", data, "--output-file", tmp_path / "new" / "out.jsonl")
    assert result.status == 2
    assert not list(tmp_path.rglob("out.jsonl*"))


def test_predict_gives_each_utterance_a_label_and_scores(joyful, files, checkpoint, tmp_path):
    output = tmp_path / "new" / "predictions.jsonl"
    result = joyful("predict", checkpoint, "--data-file", files["unlabelled"], "--output-file", output)
    assert (result.status, result.err) == (0, "")
    assert result.out == f"running on cpu\n13 utterances of 3 dialogues: {output}\n"
    predictions = read_jsonl(output)
    assert [one["dialogue_id"] for one in predictions] == [one["dialogue_id"] for one in VALIDATION]
    for dialogue, prediction in zip(VALIDATION, predictions, strict=True):
        for utterance, found in zip(dialogue["utterances"], prediction["utterances"], strict=True):
            assert found.keys() == {"speaker", "text", "label", "scores"}
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
