"""Dialogues whose utterances are columns: lists in a struct, or beside the dialogue's id."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from joyful_hf import DialogueError, load_dialogues

UTTERANCES = {"speaker": ["Ann", "Bob", "Ann"], "label": ["joy", None, "fear"], "text_features": [[1.0], [2.0], [3.0]]}
OTHERS = {"speaker": ["Bob"], "label": None, "text_features": [[4.0]]}
RECORDS = [
    {"dialogue_id": name, "utterances": [dict(zip(keys, values, strict=True)) for values in zip(*rows, strict=True)]}
    for name, keys, rows in (
        ("d0", UTTERANCES, UTTERANCES.values()),
        ("d1", OTHERS, (["Bob"], [None], [[4.0]])),
    )
]


def write(path, dialogues):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(dialogues), path)
    else:
        path.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in dialogues))
    return path


@pytest.mark.parametrize("file", ["a.parquet", "a.jsonl"])
@pytest.mark.parametrize("at_the_top", [False, True], ids=["struct", "top"])
def test_lists_become_utterances(file, at_the_top, tmp_path):
    dialogues = [{"dialogue_id": f"d{index}", "utterances": lists} for index, lists in enumerate((UTTERANCES, OTHERS))]
    if at_the_top:
        dialogues = [{"dialogue_id": dialogue["dialogue_id"], **dialogue["utterances"]} for dialogue in dialogues]
    read = load_dialogues(write(tmp_path / file, dialogues))
    keys = ("speaker", "label", "text_features")
    assert [
        {
            "dialogue_id": dialogue["dialogue_id"],
            "utterances": [{key: one.get(key) for key in keys} for one in dialogue["utterances"]],
        }
        for dialogue in read
    ] == RECORDS


def test_columns_name_lists_that_are_called_otherwise(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"id": "x", "who": ["Ann", "Bob"], "utterance": ["Hm.", "Oh!"]}])
    (dialogue,) = load_dialogues(path, columns={"speaker": "who"})
    assert [(one["speaker"], one["text"]) for one in dialogue["utterances"]] == [("Ann", "Hm."), ("Bob", "Oh!")]


def test_numbers_of_classes_become_their_names(tmp_path):
    lists = {"speaker": List(Value("string")), "label": List(ClassLabel(names=["calm", "joy"]))}
    dialogues = [{"dialogue_id": "d", "utterances": {"speaker": ["Ann", "Bob"], "label": [1, -1]}}]
    features = Features({"dialogue_id": Value("string"), "utterances": lists})
    Dataset.from_list(dialogues, features=features).to_parquet(tmp_path / "a.parquet")
    (dialogue,) = load_dialogues(tmp_path / "a.parquet")
    assert [one["label"] for one in dialogue["utterances"]] == ["joy", None]


@pytest.mark.parametrize("file", ["a.parquet", "a.jsonl"])
def test_lists_of_two_lengths_are_refused_by_place(file, tmp_path):
    path = write(tmp_path / file, [{"dialogue_id": "d", "utterances": UTTERANCES | {"text_features": [[1.0]]}}])
    with pytest.raises(DialogueError, match=r"(row 0|line 1): the lists of a dialogue need .*speaker 3.*features 1"):
        load_dialogues(path)


def test_what_is_no_list_is_refused_by_place(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"dialogue_id": "d", "utterances": {"speaker": "Ann", "text": ["Hm."]}}])
    with pytest.raises(DialogueError, match=r"line 1: 'speaker' must be a list with a value per utterance, got 'Ann'"):
        load_dialogues(path)
