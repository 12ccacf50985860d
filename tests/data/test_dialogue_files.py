"""`load_dialogues`: JSONL, Parquet and Hub ids; and what is said about files that hold no dialogues."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import DialogueError, JoyfulProcessor, load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from tests.support.helpers import make_dialogue, make_dialogues

UNICODE = "Schöne Grüße — 謝謝 🙂\u2028"
HI = {"speaker": "A", "text": "hi"}


def write_lines(path, *lines):
    """Each line as it is, or as JSON."""
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def write_parquet(path, columns):
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def dialogue(**keys):
    return {"utterances": [{"speaker": "A", **keys}]}


def refusal(*args, **kwargs) -> str:
    with pytest.raises(DialogueError) as caught:
        load_dialogues(*args, **kwargs)
    return str(caught.value)


def same_batch(dialogues, others) -> bool:
    processor = JoyfulProcessor.from_dialogues(dialogues)
    batch, other = processor(dialogues), processor(others)
    return list(batch) == list(other) and all(np.array_equal(batch[key], other[key], equal_nan=True) for key in batch)


# What is written is read.


def test_dialogues_written_and_loaded_are_the_same(dialogues, tmp_path):
    write_dialogues(dialogues, tmp_path / "talks.jsonl")
    loaded = load_dialogues(tmp_path / "talks.jsonl")
    assert isinstance(loaded, Dataset)
    assert loaded.column_names == ["dialogue_id", "utterances"]
    assert loaded.to_list() == dialogues


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".JSONL", ".parquet"])
def test_every_kind_of_file_holds_the_same_dialogues(suffix, dialogues, tmp_path):
    path = tmp_path / f"talks{suffix}"
    if suffix == ".parquet":
        Dataset.from_list(dialogues).to_parquet(path)
    else:
        write_dialogues(dialogues, path)
    assert load_dialogues(str(path)).to_list() == dialogues
    assert same_batch(dialogues, load_dialogues(path))


@pytest.mark.parametrize(
    "label",
    [
        lambda rng: int(rng.integers(4)),
        lambda rng: ["joy"] * int(rng.integers(2)),
        lambda rng: rng.normal(),
        lambda rng: {"valence": rng.normal(), "arousal": rng.normal()},
    ],
    ids=["int", "list", "float", "values"],
)
def test_labels_of_every_kind_come_back(label, tmp_path):
    dialogues = make_dialogues(label=label)
    write_dialogues(dialogues, tmp_path / "talks.jsonl")
    assert load_dialogues(tmp_path / "talks.jsonl").to_list() == dialogues


texts = st.text(st.characters(codec="utf-8"))
utterances = st.fixed_dictionaries(
    {"speaker": texts.filter(bool), "text": texts, "text_features": st.lists(st.floats(width=32, allow_nan=False))}
)


@given(dialogue_id=texts, utterances=st.lists(utterances, min_size=1, max_size=3))
def test_any_text_and_any_number_come_back(dialogue_id, utterances, tmp_path):
    dialogues = [{"dialogue_id": dialogue_id, "utterances": utterances}]
    write_dialogues(dialogues, tmp_path / "talks.jsonl")
    assert load_dialogues(tmp_path / "talks.jsonl").to_list() == dialogues


def test_text_is_written_as_it_is_read_by_people(tmp_path):
    write_dialogues([dialogue(text=UNICODE)], tmp_path / "talks.jsonl")
    assert UNICODE in (tmp_path / "talks.jsonl").read_text(encoding="utf-8")
    assert load_dialogues(tmp_path / "talks.jsonl")[0]["utterances"][0]["text"] == UNICODE


def test_keys_without_a_value_are_not_written(tmp_path):
    write_dialogues([{"dialogue_id": None, "utterances": [{"speaker": "A", "text": None}]}], tmp_path / "talks.jsonl")
    assert json.loads((tmp_path / "talks.jsonl").read_text()) == {"utterances": [{"speaker": "A"}]}


def test_arrays_and_tensors_are_written_as_lists(tmp_path):
    features = {"text_features": np.array([0.5, 1], np.float32), "audio_features": torch.tensor([2.0])}
    write_dialogues([dialogue(**features, label=np.int64(3))], tmp_path / "talks.jsonl")
    assert load_dialogues(tmp_path / "talks.jsonl").to_list() == [
        dialogue(text_features=[0.5, 1.0], audio_features=[2.0], label=3)
    ]


def test_what_json_cannot_hold_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="JSONL cannot hold bytes"):
        write_dialogues([dialogue(audio=b"RIFF")], tmp_path / "talks.jsonl")


# JSONL as it comes.


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    path = write_lines(tmp_path / "talks.jsonl", "", dialogue(text="one"), "  ", dialogue(text="two"), "\t")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().lstrip())
    assert [one["utterances"][0]["text"] for one in load_dialogues(path)] == ["one", "two"]


def test_an_id_may_be_a_number_and_may_be_absent(tmp_path):
    records = [{"dialogue_id": 7, **dialogue()}, {"dialogue_id": None, **dialogue()}, dialogue()]
    path = write_lines(tmp_path / "talks.jsonl", *records)
    assert load_dialogues(path)["dialogue_id"][:] == ["7", None, None]


def test_numbers_of_features_and_labels_may_be_written_as_ints(tmp_path):
    path = write_lines(tmp_path / "talks.jsonl", dialogue(text_features=[1, 2], label=0), dialogue(label=0.5))
    loaded = load_dialogues(path)
    assert loaded[0]["utterances"][0] == {"speaker": "A", "text_features": [1.0, 2.0], "label": 0.0}
    assert JoyfulProcessor.from_dialogues(loaded).problem_type == "regression"


@pytest.mark.parametrize("number", [2, 255, 256, 257, 600], ids=lambda number: f"{number} lines of each")
def test_keys_may_differ_from_line_to_line(number, tmp_path):
    """The file is read in parts, which are joined: a key may first occur anywhere, or never with a value."""
    first = [{"dialogue_id": f"a{index}", **dialogue(text=None, label=None)} for index in range(number)]
    second = [
        {"source": "radio", **dialogue(audio_features=[index, 0.5], label="joy", note={"by": "me"})}
        for index in range(number)
    ]
    loaded = load_dialogues(write_lines(tmp_path / "talks.jsonl", *first, *second))
    assert len(loaded) == 2 * number
    absent = {"text": None, "label": None, "audio_features": None, "note": None}
    assert loaded[number - 1] == {
        "dialogue_id": f"a{number - 1}",
        "source": None,
        "utterances": [{"speaker": "A", **absent}],
    }
    assert loaded[2 * number - 1] == {
        "dialogue_id": None,
        "source": "radio",
        "utterances": [
            {"speaker": "A", **absent, "audio_features": [number - 1, 0.5], "label": "joy", "note": {"by": "me"}}
        ],
    }
    assert same_batch(first + second, loaded)


# A folder with splits.


@pytest.fixture
def folder(tmp_path):
    write_lines(tmp_path / "train.jsonl", dialogue(text="train"))
    write_parquet(tmp_path / "test.parquet", {"utterances": [[{"speaker": "A", "text": "test"}]]})
    return tmp_path


@pytest.mark.parametrize(("split", "expected"), [(None, "train"), ("train", "train"), ("test", "test")])
def test_a_folder_holds_a_file_for_each_split(folder, split, expected):
    assert load_dialogues(folder, split=split)[0]["utterances"][0]["text"] == expected


def test_a_split_that_is_not_there_is_refused_with_what_is(folder):
    assert refusal(folder, split="dev") == (
        f"{folder}: no dev.jsonl or dev.parquet in this folder, which holds test.parquet, train.jsonl"
    )


def test_an_empty_folder_is_refused(tmp_path):
    assert refusal(tmp_path).endswith("no train.jsonl or train.parquet in this folder, which holds nothing")


def test_a_file_is_read_whatever_the_split(folder):
    assert len(load_dialogues(folder / "train.jsonl", split="test")) == 1


# Bad JSONL, refused with the number of the line.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"utterances": [', "not valid JSON (column 17: Expecting value)"),
        ('{"utterances": [{"speaker": "A"}]} {}', "not valid JSON (column 36: Extra data)"),
        ("speaker: A", "not valid JSON"),
        (f'{{"n": {"9" * 5000}}}', "not valid JSON (Exceeds the limit"),
        ("[" * 100_000, "not valid JSON"),
        ([dialogue()], "expected a mapping with 'utterances', got list"),
        ("3", "expected a mapping with 'utterances', got int"),
        (HI, "the key 'utterances' is missing (keys found: speaker, text)"),
        ({"utterances": []}, "the dialogue is empty"),
        ({"utterances": [HI, {"text": "hi"}]}, "utterances[1]: no speaker"),
        ({"utterances": [HI, {"speaker": 3}]}, "utterances[1]: 'speaker' must be a string, got int 3"),
        ({"utterances": [HI, "hi"]}, "utterances[1]: expected a mapping with 'speaker', got str"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_line_is_refused_by_number(line, message, tmp_path):
    path = write_lines(tmp_path / "talks.jsonl", dialogue(), "", line)
    reason = refusal(path).removeprefix(f"{path}, line 3")
    assert reason[2:].startswith(message)


def test_bytes_that_are_no_utf8_are_refused_by_line(tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_bytes(b'{"utterances": [{"speaker": "A"}]}\n{"utterances": [{"speaker": "Zo\xeb"}]}\n')
    assert refusal(path).startswith(f"{path}, line 2: not valid JSON ('utf-8' codec can't decode byte 0xeb")


# A value of another kind than those before it, near or far.


@pytest.mark.parametrize("lines_between", [0, 1, 300], ids=lambda number: f"{number} lines between")
@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ({"label": "joy"}, {"label": 3}, "string"),
        ({"label": 3}, {"label": "joy"}, "int64"),
        ({"label": ["joy"]}, {"label": "joy"}, "list<item: string>"),
        ({"label": "joy"}, {"label": ["joy"]}, "string"),
        ({"label": True}, {"label": 1}, "bool"),
        ({"audio": "one.wav"}, {"audio": {"array": [0.5], "sampling_rate": 16000}}, "string"),
    ],
    ids=repr,
)
def test_values_of_two_kinds_are_refused_by_place(first, second, kind, lines_between, tmp_path):
    lines = [dialogue(**first), *[dialogue(text="hi")] * lines_between, {"utterances": [HI, {**HI, **second}]}]
    path = write_lines(tmp_path / "talks.jsonl", *lines)
    ((key, value),) = second.items()
    assert refusal(path).startswith(
        f"{path}, line {lines_between + 2}, utterances[1]: '{key}' is {value!r:.60}, which is of another kind than"
    )
    assert refusal(path).endswith(f"those before it ({kind})")


@pytest.mark.parametrize("lines_between", [0, 300])
def test_keys_that_nobody_reads_are_left_out_where_they_hold_several_kinds(lines_between, caplog, tmp_path):
    lines = [
        {"source": "radio", **dialogue(meta=3, note="a", label="joy")},
        *[dialogue(text="hi")] * lines_between,
        {"source": 3, **dialogue(meta={"scene": "s3"}, note="b", label="joy")},
    ]
    dialogues = load_dialogues(write_lines(tmp_path / "talks.jsonl", *lines))
    assert dialogues.column_names == ["utterances"]
    assert [dialogues[row]["utterances"][0]["note"] for row in (0, -1)] == ["a", "b"]
    assert "meta" not in dialogues[0]["utterances"][0]
    assert [record.getMessage().rpartition("; ")[2] for record in caplog.records] == ["the key is left out"] * 2


@pytest.mark.parametrize("value", ["abc", 3.5, ["a"], [[1.0]], {"a": 1}], ids=repr)
def test_features_that_are_no_numbers_are_refused_by_place(value, tmp_path):
    path = write_lines(tmp_path / "talks.jsonl", dialogue(text_features=[1.0]), dialogue(text_features=value))
    assert refusal(path) == f"{path}, line 2, utterances[0]: 'text_features' must be a list of numbers, got {value!r}"


@pytest.mark.parametrize("value", [10**30, "\ud800"], ids=ascii)
def test_what_arrow_cannot_hold_is_refused_by_place(value, tmp_path):
    path = write_lines(tmp_path / "talks.jsonl", dialogue(label=value))
    assert refusal(path) == f"{path}, line 1, utterances[0]: 'label' is {value!r}, which cannot be stored"


# Bad Parquet.


def test_a_truncated_parquet_file_is_refused(tmp_path):
    path = write_parquet(tmp_path / "talks.parquet", {"utterances": [[HI]] * 50})
    whole = path.read_bytes()
    for end in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert refusal(path).startswith(f"{path}: not a readable Parquet file, it may be truncated")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = write_parquet(tmp_path / "talks.parquet", {"utterances": [[HI]] * 50})
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(60) + whole[64:])
    assert refusal(path).startswith(f"{path}: not a readable Parquet file, it may be truncated")


def test_a_parquet_file_whose_texts_are_not_utf_8_is_refused(tmp_path):
    path = write_parquet(tmp_path / "talks.parquet", {"utterances": [[{"speaker": "Zoe", "text": "hi"}]]})
    whole = path.read_bytes()
    for wrong, right in ((b"Zo\xeb", b"Zoe"), (b"te\xeet", b"text")):
        path.write_bytes(whole.replace(right, wrong))
        assert refusal(path).startswith(f"{path}: not a readable Parquet file")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dialogue_id": ["d1"], "turns": [1]}, "the column 'utterances' is missing (columns found: dialogue_id, tur"),
        ({"utterances": ["hi"]}, "the column 'utterances' must hold a list of records in each row, got string"),
        ({"utterances": [["hi"]]}, "the column 'utterances' must hold a list of records in each row, got list"),
        ({"utterances": [HI]}, "the column 'utterances' must hold a list of records in each row, got struct"),
        ({"utterances": pa.array([], pa.list_(pa.struct([("speaker", pa.string())])))}, "the file holds no dialogues"),
        (
            {"utterances": [[HI]], "notes": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32()))},
            "a column has a type that data sets do not know (Arrow type map<string",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_parquet_file_without_dialogues_is_refused(columns, message, tmp_path):
    path = write_parquet(tmp_path / "talks.parquet", columns)
    assert refusal(path).startswith(f"{path}: {message}")


def test_strings_and_lists_of_any_arrow_type_are_read(tmp_path):
    utterance = pa.struct([("speaker", pa.large_string()), ("text_features", pa.large_list(pa.float64()))])
    utterances = pa.array([[{"speaker": "A", "text_features": [0.5]}]], pa.large_list(utterance))
    path = write_parquet(tmp_path / "talks.parquet", {"utterances": utterances})
    assert JoyfulProcessor(text_dim=1)(load_dialogues(path))["text_features"].tolist() == [[0.5]]


# What is no file.


@pytest.mark.parametrize("content", ["", "\n", " \n\t\n"], ids=repr)
def test_an_empty_file_is_refused(content, tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_text(content)
    assert refusal(path) == f"{path}: the file holds no dialogues"


@pytest.mark.parametrize("name", ["talks.jsonl", "talks.parquet", "talks", "folder/talks.txt"])
def test_a_missing_file_is_refused(name, tmp_path):
    assert refusal(tmp_path / name) == f"{tmp_path / name}: there is no such file"


def test_a_missing_file_below_the_current_folder_is_no_hub_id():
    assert refusal("./talks") == "talks: there is no such file"
    assert refusal("data/talks.jsonl") == "data/talks.jsonl: there is no such file"


@pytest.mark.parametrize("name", ["talks.xlsx", "talks", "talks.parquet.gz"])
def test_an_unknown_kind_of_file_is_refused(name, tmp_path):
    (tmp_path / name).write_text("speaker,text\n")
    suffix = (tmp_path / name).suffix
    assert (
        refusal(tmp_path / name)
        == f"{tmp_path / name}: unknown kind of file {suffix!r}; give .jsonl, .parquet or .csv"
    )


# The Hub.


def test_a_hub_id_that_cannot_be_reached_is_refused_in_one_line():
    message = refusal("nobody/no-such-dialogues", split="test")
    assert message.startswith(
        "'nobody/no-such-dialogues': there is no such file, and the Hub gave no data set of this id and split 'test' ("
    )
    assert "\n" not in message


@pytest.mark.parametrize("name", ["talks", "csv", "json", "a/b/c", "user/talks and more"])
def test_what_can_be_neither_file_nor_hub_id_is_refused(name):
    """`csv` and `json` among them: `datasets` would read the current folder."""
    assert refusal(name) == f"{name!r} is neither a file nor the id of a data set on the Hub (user/name)"


def on_the_hub(monkeypatch, answer):
    def load_dataset(hub_id, split):
        if isinstance(answer, Exception):
            raise answer
        return answer[split] if isinstance(answer, dict) else answer

    monkeypatch.setattr("joyful_hf.data.dialogue_files.load_dataset", load_dataset)


def test_a_data_set_on_the_hub_is_loaded(monkeypatch):
    talks = {split: Dataset.from_list([dialogue(text=split)]) for split in ("train", "test")}
    on_the_hub(monkeypatch, DatasetDict(talks))
    assert load_dialogues("user/talks").to_list() == [dialogue(text="train")]
    assert load_dialogues("user/talks", split="test").to_list() == [dialogue(text="test")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Dataset.from_dict({"text": ["hi"]}), "the column 'utterances' is missing (columns found: text)"),
        (Dataset.from_dict({"utterances": ["hi"]}), "the column 'utterances' must hold a list of records in each row"),
        (
            Dataset.from_list([dialogue()]).to_iterable_dataset(),
            "the split 'train' is not one data set but a Iterable",
        ),
        (
            ValueError("Unknown split\nand more"),
            "there is no such file, and the Hub gave no data set of this id and sp",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_data_set_on_the_hub_without_dialogues_is_refused(answer, message, monkeypatch):
    on_the_hub(monkeypatch, answer)
    assert refusal("user/talks").startswith(f"'user/talks': {message}")


def test_the_memory_for_a_file_is_that_of_its_features(tmp_path):
    """Features are 32-bit floats, not the 64-bit ones that Arrow would infer."""
    write_dialogues([make_dialogue(3)], tmp_path / "talks.jsonl")
    feature = load_dialogues(tmp_path / "talks.jsonl").features["utterances"].feature["text_features"]
    assert feature.feature.dtype == "float32"


def test_utterances_that_start_before_the_one_above_them_are_noticed(tmp_path, caplog):
    def talk(name, *starts):
        return {"dialogue_id": name, "utterances": [{**HI, "start": start} for start in starts]}

    load_dialogues(write_lines(tmp_path / "a.jsonl", talk("a", 0, 1.5, None, 2), talk("b", 3, 1)))
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("1 dialogue of 2 have utterances that 'start' before the one above them")
    assert "dialogue 'b'" in message
