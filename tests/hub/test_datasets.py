"""Data sets and models that are read from the Hub by their ids."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from joyful_hf import (
    DialogueError,
    load_dialogues,
)
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.hub.push import push_folder
from tests.support.helpers import LABELS
from tests.support.pushes import REPO

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_the_commands_take_ids_of_models_and_of_data_sets(hub, joyful, out, tmp_path, dialogues):
    push_folder(out, REPO)
    Dataset.from_list(dialogues).push_to_hub("ada/data", split="test")
    Dataset.from_list(dialogues).push_to_hub("ada/data", split="train")
    local, remote = tmp_path / "local.jsonl", tmp_path / "remote.jsonl"
    assert joyful("predict", REPO, "--data-file", "ada/data", "--output-file", remote).status == 0
    data = tmp_path / "data.jsonl"
    write_dialogues(dialogues, data)
    assert joyful("predict", out, "--data-file", data, "--output-file", local).status == 0
    assert remote.read_text() == local.read_text()
    scores = joyful("evaluate", REPO, "--data-file", "ada/data").out
    assert scores == joyful("evaluate", out, "--data-file", data).out
    assert "eval_weighted_f1" in scores


def test_a_data_set_comes_back(hub, dialogues):
    Dataset.from_list(dialogues[:1]).push_to_hub("ada/data", split="train", private=True)
    Dataset.from_list(dialogues[1:]).push_to_hub("ada/data", split="test")
    assert list(load_dialogues("ada/data")) == list(Dataset.from_list(dialogues[:1]))
    assert (
        load_dialogues("ada/data", split="test")[1]["utterances"][0]["label"]
        == (dialogues[2]["utterances"][0]["label"])
    )
    with pytest.raises(DialogueError, match=r"gave no data set of this id and split 'dev'"):
        load_dialogues("ada/data", split="dev")


def test_a_data_set_that_is_not_there_or_private_is_one_line(hub, dialogues, monkeypatch):
    Dataset.from_list(dialogues).push_to_hub("ada/data", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    for name in ("ada/data", "ada/nothing"):
        with pytest.raises(DialogueError, match=f"'{name}': there is no such file, and the Hub gave no data set") as e:
            load_dialogues(name)
        assert "\n" not in str(e.value)


def class_labels(dialogues):
    """The same dialogues, their labels and speakers as numbers that have names."""
    classes, speakers = ClassLabel(names=list(LABELS)), ClassLabel(names=["speaker 0", "speaker 1"])
    columns = {"speaker": speakers, "text": Value("string"), "label": classes, "several": List(classes)}
    features = Features({"dialogue_id": Value("string"), "utterances": List(columns)})
    rows = [
        {
            "dialogue_id": dialogue["dialogue_id"],
            "utterances": [
                {"speaker": one["speaker"], "text": one["text"], "label": one["label"], "several": [one["label"]]}
                for one in dialogue["utterances"]
            ],
        }
        for dialogue in dialogues
    ]
    rows[0]["utterances"][1]["label"] = None
    rows[0]["utterances"][2]["label"] = -1
    rows[1]["utterances"][0]["several"] = None
    rows[1]["utterances"][1]["several"] = []
    return rows, Dataset.from_list(rows, features=features)


def test_class_labels_come_back_as_their_names(hub, dialogues, tmp_path):
    rows, dataset = class_labels(dialogues)
    rows[0]["utterances"][2]["label"] = None
    assert isinstance(dataset[0]["utterances"][0]["label"], int)
    dataset.push_to_hub("ada/data")
    dataset.to_parquet(tmp_path / "data.parquet")
    for loaded in (load_dialogues("ada/data"), load_dialogues(tmp_path / "data.parquet")):
        assert list(loaded) == rows
        assert loaded.features["utterances"].feature["label"] == Value("string")
        assert loaded.features["utterances"].feature["several"] == List(Value("string"))
        assert loaded.features["dialogue_id"] == Value("string")


def with_label(number, dialogues, file):
    """Write a file in which every label is this number, whatever `datasets` allows."""
    _, dataset = class_labels(dialogues)
    dataset.to_parquet(file)
    table = pyarrow.parquet.read_table(file)
    dialogues = table.column("utterances").combine_chunks()
    utterances = dialogues.values
    names = [one.name for one in utterances.type]
    columns = [utterances.field(name) for name in names]
    columns[names.index("label")] = pa.array(np.full(len(utterances), number))
    changed = pa.ListArray.from_arrays(dialogues.offsets, pa.StructArray.from_arrays(columns, names))
    pyarrow.parquet.write_table(table.set_column(1, "utterances", changed), file)
    return file


def test_every_mark_of_an_unknown_label_is_one_among_numbers_of_classes(tmp_path, dialogues):
    for number in (-1, -100):
        loaded = load_dialogues(with_label(number, dialogues, tmp_path / "data.parquet"))
        assert {utterance["label"] for dialogue in loaded for utterance in dialogue["utterances"]} == {None}


def test_a_number_that_is_no_class_is_refused(tmp_path, dialogues):
    file = with_label(len(LABELS), dialogues, tmp_path / "data.parquet")
    with pytest.raises(DialogueError, match=f"data.parquet: 'label' holds a number that is none of its {len(LABELS)}"):
        load_dialogues(Path(file))
