"""Other forms in which people have dialogues: arrays of JSON, other encodings, compressed, and flat tables."""

import csv
import gzip
import json

import pytest
from datasets import ClassLabel, Dataset

from joyful_hf import DialogueError, load_dialogues


@pytest.fixture(scope="module")
def dialogues() -> list:
    """Three dialogues as JSON holds them."""
    return [
        {"dialogue_id": f"d{index}", "utterances": [{"speaker": "AB"[i % 2], "text": "Zoë"} for i in range(length)]}
        for index, length in enumerate((2, 3, 1))
    ]


FORMS = {
    "array.json": lambda dialogues: json.dumps(dialogues, indent=1),
    "line.json": lambda dialogues: json.dumps(dialogues),
    "carriage.jsonl": lambda dialogues: "\r".join(map(json.dumps, dialogues)),
    "windows.jsonl": lambda dialogues: "\r\n".join(map(json.dumps, dialogues)),
    "marked.json": lambda dialogues: "\ufeff" + json.dumps(dialogues, indent=1),
}


class TestJSON:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("packed", [False, True])
    def test_every_form_and_encoding_is_read(self, form, encoding, packed, dialogues, tmp_path):
        if encoding == "utf-16" and form == "marked.json":
            pytest.skip("two marks")
        data = FORMS[form](dialogues).encode(encoding)
        path = tmp_path / (f"{form}.gz" if packed else form)
        path.write_bytes(gzip.compress(data) if packed else data)
        assert load_dialogues(path).to_list() == dialogues

    def test_one_dialogue_over_several_lines_is_read(self, dialogues, tmp_path):
        (tmp_path / "one.json").write_text(json.dumps(dialogues[1], indent=2))
        (read,) = load_dialogues(tmp_path / "one.json")
        assert len(read["utterances"]) == 3

    def test_a_record_of_an_array_is_refused_by_its_position(self, dialogues, tmp_path):
        (tmp_path / "a.json").write_text(json.dumps([*dialogues, {"turns": []}], indent=2))
        with pytest.raises(DialogueError, match=r"a\.json, \[3\]: the key 'utterances' is missing"):
            load_dialogues(tmp_path / "a.json")

    def test_a_packed_file_that_breaks_off_is_refused(self, dialogues, tmp_path):
        packed = gzip.compress(json.dumps(dialogues).encode())
        for data in (packed[: len(packed) // 2], b"no gzip"):
            (tmp_path / "a.jsonl.gz").write_bytes(data)
            with pytest.raises(DialogueError, match=r"a\.jsonl\.gz: cannot be decompressed"):
                load_dialogues(tmp_path / "a.jsonl.gz")

    def test_a_folder_may_hold_packed_splits(self, dialogues, tmp_path):
        (tmp_path / "test.jsonl.gz").write_bytes(gzip.compress(json.dumps(dialogues[0]).encode()))
        assert len(load_dialogues(tmp_path, split="test")) == 1


ROWS = [
    {
        "Sr No.": "1",
        "Utterance": "Hi, you",
        "Speaker": "Ross",
        "Emotion": "joy",
        "Dialogue_ID": "0",
        "Utterance_ID": "1",
    },
    {"Sr No.": "2", "Utterance": "Oh", "Speaker": "Ann", "Emotion": "fear", "Dialogue_ID": "0", "Utterance_ID": "0"},
    {"Sr No.": "3", "Utterance": "So", "Speaker": "Bob", "Emotion": "joy", "Dialogue_ID": "7", "Utterance_ID": "0"},
]
READ = [("0", ["Ann", "Ross"], ["Oh", "Hi, you"], ["fear", "joy"]), ("7", ["Bob"], ["So"], ["joy"])]


def summary(dataset) -> list:
    return [
        (one["dialogue_id"], *([each[key] for each in one["utterances"]] for key in ("speaker", "text", "label")))
        for one in dataset
    ]


def write_table(path, rows=ROWS, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


class TestTables:
    @pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.CSV", ",")])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    def test_the_columns_of_meld_are_found(self, name, delimiter, encoding, tmp_path):
        assert summary(load_dialogues(write_table(tmp_path / name, ROWS, delimiter, encoding))) == READ

    def test_so_they_are_in_parquet_and_in_json_lines(self, tmp_path):
        Dataset.from_list(ROWS).to_parquet(tmp_path / "a.parquet")
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
        assert summary(load_dialogues(tmp_path / "a.parquet")) == READ
        assert summary(load_dialogues(tmp_path / "a.jsonl")) == READ

    def test_numbers_of_classes_become_names(self, tmp_path):
        dataset = Dataset.from_list([row | {"Emotion": ["fear", "joy"].index(row["Emotion"])} for row in ROWS])
        dataset.cast_column("Emotion", ClassLabel(names=["fear", "joy"])).to_parquet(tmp_path / "a.parquet")
        assert summary(load_dialogues(tmp_path / "a.parquet")) == READ

    def test_other_columns_are_named(self, tmp_path):
        other = {"Dialogue_ID": "talk", "Speaker": "who", "Utterance": "words", "Emotion": "feels"}
        path = write_table(tmp_path / "a.csv", [{other.get(key, key): row[key] for key in row} for row in ROWS])
        with pytest.raises(
            DialogueError, match=r"the one for 'dialogue_id' is missing .*columns found: Sr No\., words"
        ):
            load_dialogues(path)
        columns = {"dialogue_id": "talk", "speaker": "who", "text": "words", "label": "feels"}
        assert summary(load_dialogues(path, columns=columns)) == READ
        with pytest.raises(DialogueError, match="`columns` names 'wrods', which is not there; did you mean words"):
            load_dialogues(path, columns=columns | {"text": "wrods"})
        with pytest.raises(DialogueError, match="'txt' is no key of an utterance; did you mean text"):
            load_dialogues(path, columns=columns | {"txt": "words"})

    def test_times_vectors_and_empty_cells(self, tmp_path):
        rows = [
            {"dialogue_id": "a", "speaker": "A", "start": "0.5", "end": "00:01:02,5", "text_features": "[1, 2.5]"},
            {"dialogue_id": "a", "speaker": "A", "start": "", "end": "", "text_features": "3 4"},
            {"dialogue_id": "a", "speaker": "A", "start": "2", "end": "3", "text_features": ""},
        ]
        (dialogue,) = load_dialogues(write_table(tmp_path / "a.csv", rows))
        read = [[each[key] for key in ("start", "end", "text_features")] for each in dialogue["utterances"]]
        assert read == [[0.5, 62.5, [1, 2.5]], [None, None, [3, 4]], [2, 3, None]]

    def test_scenes_of_emorynlp_are_dialogues_and_its_lists_names(self, tmp_path):
        scene = {"Season": "1", "Episode": "4", "Scene_ID": "2"}
        rows = [
            scene | {"Utterance": "Hi", "Speaker": "['Monica Geller']", "Emotion": "Joyful"},
            scene | {"Utterance": "Hi", "Speaker": "['Joey', 'Ross']", "Emotion": "Mad"},
            scene | {"Episode": "5", "Utterance": "Hi", "Speaker": "['Joey']", "Emotion": "Mad"},
        ]
        read = summary(load_dialogues(write_table(tmp_path / "a.csv", rows)))
        assert [(one, speakers) for one, speakers, *_ in read] == [
            ("1_4_2", ["Monica Geller", "Joey and Ross"]),
            ("1_5_2", ["Joey"]),
        ]

    def test_a_row_of_too_many_values_is_refused_by_its_line(self, tmp_path):
        (tmp_path / "a.csv").write_text("dialogue_id,speaker,text\n1,A,well, yes\n")
        with pytest.raises(DialogueError, match=r"a\.csv, line 2: more values than columns"):
            load_dialogues(tmp_path / "a.csv")
