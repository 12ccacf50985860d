"""Data and checkpoints with mistakes in them: each is named in its place, whatever the command."""

import json
from pathlib import Path

import pytest

from joyful_hf.data.jsonl import write_dialogues
from tests.support.command_line import train_options
from tests.support.helpers import make_dialogue
from tests.support.training import VALIDATION


def broken(name):
    """A data file with one mistake, and what the message has to say of it."""
    good = json.dumps(VALIDATION[0])
    dialogue = json.loads(good)
    if name == "empty":
        return "bad.jsonl", b"", "bad.jsonl: the file holds no dialogues"
    if name == "broken line":
        return "bad.jsonl", f"{good}\n{good[:-9]}\n".encode(), "bad.jsonl, line 2: not valid JSON"
    if name == "no dialogue":
        return "bad.jsonl", b'{"text": "hello"}\n', "bad.jsonl, line 1: the key 'utterances' is missing"
    if name == "empty dialogue":
        return "bad.jsonl", b'{"utterances": []}\n', "bad.jsonl, line 1: the dialogue is empty"
    if name == "truncated parquet":
        return "bad.parquet", b"PAR1" + 40 * b"x", "bad.parquet: not a readable Parquet file"
    if name == "unknown kind":
        return "bad.xls", b"speaker,text\n", "bad.xls: unknown kind of file '.xls'"
    if name == "no speaker":
        del dialogue["utterances"][2]["speaker"]
        return "bad.jsonl", json.dumps(dialogue).encode(), "bad.jsonl, line 1, utterances[2]: no speaker"
    if name == "feature size":
        dialogue["utterances"][3]["audio_features"].append(0.5)
        return "bad.jsonl", json.dumps(dialogue).encode(), "'d0', utterances[3]: 'audio_features' has size 7"
    if name == "not a number":
        dialogue["utterances"][1]["text_features"][4] = float("nan")
        return "bad.jsonl", json.dumps(dialogue).encode(), "'d0', utterances[1]: 'text_features'[4] is nan"
    raise ValueError(name)


@pytest.mark.parametrize(
    "mistake",
    [
        "empty",
        "broken line",
        "no dialogue",
        "empty dialogue",
        "truncated parquet",
        "unknown kind",
        "no speaker",
        "feature size",
        "not a number",
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_mistake_in_the_data_is_found_in_its_place(fails, files, checkpoint, tmp_path, command, mistake):
    name, content, message = broken(mistake)
    (tmp_path / name).write_bytes(content)
    if command == "train":
        said = fails(*train_options(files, "out", validation_file=name))
    elif command == "evaluate":
        said = fails("evaluate", checkpoint, "--data-file", name, "--output-dir", "out")
    else:
        said = fails("predict", checkpoint, "--data-file", name, "--output-file", "out/predictions.jsonl")
    assert message in said
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("data", ["missing.jsonl", "./missing", "neither file nor id"])
def test_a_file_that_is_not_there_is_named(fails, checkpoint, data):
    assert data.removeprefix("./") in fails("evaluate", checkpoint, "--data-file", data)


def test_an_unknown_label_is_refused_where_labels_count(fails, files, checkpoint, tmp_path):
    write_dialogues([*VALIDATION, make_dialogue(3, label=lambda rng: "boredom", dialogue_id="d7")], "bad.jsonl")
    expected = "dialogue 'd7', utterances[0]: unknown label 'boredom'; known labels: anger, joy, neutral, sadness"
    assert fails("evaluate", checkpoint, "--data-file", "bad.jsonl") == expected
    assert fails(*train_options(files, "out", test_file="bad.jsonl")) == expected


def test_labels_are_needed_to_train_and_to_evaluate(fails, files, checkpoint):
    unlabelled = files["unlabelled"]
    assert "not one utterance has a label" in fails("evaluate", checkpoint, "--data-file", unlabelled)
    assert "label" in fails(*train_options(files | {"train": unlabelled}, "out"))
    message = fails(*train_options(files, "out", validation_file=unlabelled))
    assert message == "not one utterance of the validation dialogues has a label"


def test_a_checkpoint_without_a_part_is_refused_with_its_name(fails, files, checkpoint, tmp_path):
    for part in ("config.json", "processor_config.json", "model.safetensors"):
        folder = tmp_path / f"without {part}"
        folder.mkdir()
        for path in checkpoint.iterdir():
            if path.is_file() and path.name != part:
                (folder / path.name).write_bytes(path.read_bytes())
        for command in (["evaluate"], ["predict", "--output-file", "out.jsonl"]):
            message = fails(command[0], folder, "--data-file", files["test"], *command[1:])
            assert message.startswith(f"{folder}: {part} (")
            assert message.count("missing") == 1
    assert not Path("out.jsonl").exists()


def test_a_checkpoint_that_is_not_there_is_named(fails, files):
    assert (
        fails("evaluate", "./nowhere", "--data-file", files["test"]) == "./nowhere: there is no such checkpoint folder"
    )
