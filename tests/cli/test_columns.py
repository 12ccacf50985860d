"""Tables whose columns have names of their own, in every command that takes data."""

import csv
import json

import pytest

from tests.support.training import SMALL_SETTINGS

COLUMNS = "dialogue_id=call,speaker=who,label=feeling"
LABELS = ("joy", "anger")


@pytest.fixture
def table(tmp_path):
    with (tmp_path / "calls.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["call", "who", "text", "feeling"])
        for call in range(6):
            for turn in range(4):
                label = LABELS[(call + turn) % 2]
                writer.writerow([f"c{call}", "AB"[turn % 2], f"{label} {turn}", label])
    return tmp_path / "calls.csv"


def test_every_command_takes_the_names_of_columns(joyful, table):
    small = ("--config-json", json.dumps(SMALL_SETTINGS), "--num-train-epochs", "1", "--text-extractor", "hashing")
    commands = [
        ("train", "--train-file", table, "--output-dir", "out", *small),
        ("evaluate", "out", "--data-file", table),
        ("predict", "out", "--data-file", table, "--output-file", "found.jsonl"),
        ("extract", "--data-file", table, "--output-file", "x.jsonl", "--text-extractor", "hashing"),
        ("plot", "out", "--data-file", table, "--output-dir", "pictures"),
    ]
    for command in commands:
        result = joyful(*command, "--columns", COLUMNS)
        assert result.status == 0, (command[0], result.err)
    with open("x.jsonl") as file:
        dialogues = [json.loads(line) for line in file]
    assert [(len(each["utterances"]), each["utterances"][0]["label"]) for each in dialogues[:2]] == [
        (4, "joy"),
        (4, "anger"),
    ]


def test_a_column_that_is_not_there_is_refused(fails, table):
    message = fails(
        "extract",
        "--data-file",
        table,
        "--output-file",
        "x.jsonl",
        "--text-extractor",
        "hashing",
        "--columns",
        "speaker=whom",
    )
    assert "--columns names 'whom', which is not there; did you mean who?" in message


def test_dialogues_have_no_columns_to_name(fails, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"utterances": [{"speaker": "A", "text": "hm"}]}))
    message = fails(
        "extract",
        "--data-file",
        file,
        "--output-file",
        "x.jsonl",
        "--text-extractor",
        "hashing",
        "--columns",
        "speaker=who",
    )
    assert "--columns are those of a table with an utterance per row" in message
