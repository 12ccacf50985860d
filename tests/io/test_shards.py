"""Data in several files: patterns, and the shards of a split."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joyful_hf import DialogueError, load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.runs.summary import _public_name
from tests.support.helpers import make_dialogues

DIALOGUES = make_dialogues((3, 1, 4, 2))


def write_shards(folder, stem="train", kind="parquet", first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number, dialogues in enumerate((DIALOGUES[:2], DIALOGUES[2:])):
        path = folder / f"{stem}-{number + first:05d}-of-00002.{kind}"
        if kind == "parquet":
            write_dialogues(dialogues, folder / "one.jsonl")
            load_dialogues(folder / "one.jsonl").to_parquet(path)
            (folder / "one.jsonl").unlink()
        else:
            write_dialogues(dialogues, path)


def ids(dataset):
    return [dialogue["dialogue_id"] for dialogue in dataset]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("inner", ["", "data"])
def test_a_folder_of_shards_is_read_in_their_order(tmp_path, kind, first, inner):
    write_shards(tmp_path / inner, kind=kind, first=first)
    write_shards(tmp_path / inner, "test", kind)
    assert ids(load_dialogues(tmp_path)) == ids(DIALOGUES)
    assert ids(load_dialogues(tmp_path / inner / "train-*")) == ids(DIALOGUES)


def test_a_missing_shard_is_named(tmp_path):
    write_shards(tmp_path)
    (tmp_path / "train-00000-of-00002.parquet").rename(tmp_path / "train-00002-of-00002.parquet")
    (tmp_path / "train-00001-of-00002.parquet").unlink()
    for data in (tmp_path, tmp_path / "train-*.parquet"):
        with pytest.raises(DialogueError, match=r"of 2 shards 1 are missing: train-00001-of-00002\.parquet"):
            load_dialogues(data)


def test_a_pattern_without_files_is_refused(tmp_path):
    with pytest.raises(DialogueError, match=r"none-\*\.parquet: there is no such file"):
        load_dialogues(tmp_path / "none-*.parquet")


def test_files_of_several_kinds_are_refused(tmp_path):
    write_shards(tmp_path)
    write_dialogues(DIALOGUES, tmp_path / "train-more.jsonl")
    with pytest.raises(DialogueError, match="of several kinds, or in several folders"):
        load_dialogues(tmp_path / "train-*")


def test_columns_of_different_types_are_refused(tmp_path):
    for number, ids_of in enumerate((pa.array([1]), pa.array(["a"]))):
        utterances = pa.array([[{"speaker": "A"}]])
        pq.write_table(pa.table({"dialogue_id": ids_of, "utterances": utterances}), tmp_path / f"{number}.parquet")
    with pytest.raises(DialogueError, match="columns of different types"):
        load_dialogues(tmp_path / "*.parquet")


def test_a_card_does_not_tell_where_the_files_of_a_pattern_lie(tmp_path):
    assert _public_name(str(tmp_path / "data" / "train-*.parquet")) == "data/train-*.parquet"
