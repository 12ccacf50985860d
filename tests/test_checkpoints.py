"""`load_checkpoint`: model and processor together, or one sentence that says what is wrong with them."""

import json
import logging

import pytest
from safetensors.torch import load_file, save_file

from joyful_hf import DialogueError
from joyful_hf.checkpoints import load_checkpoint
from tests.support.helpers import FAMILY_CASES, make_dialogues

DIALOGUES = make_dialogues((5, 3))


@pytest.fixture
def folder(tmp_path):
    model, processor = FAMILY_CASES[0].make(DIALOGUES)
    model.save_pretrained(tmp_path / "checkpoint")
    processor.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(folder, message):
    with pytest.raises(DialogueError, match=message) as error:
        load_checkpoint(folder)
    assert str(folder) in str(error.value)


def test_loads_what_was_saved(family, tmp_path):
    model, processor = family.make(DIALOGUES)
    model.train().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded_model, loaded_processor = load_checkpoint(tmp_path)
    assert type(loaded_model) is type(model)
    assert type(loaded_processor) is type(processor)
    assert not loaded_model.training
    assert loaded_model.predict(DIALOGUES, loaded_processor) == model.predict(DIALOGUES, processor)


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("config.json", "the model's configuration"),
        ("processor_config.json", "the processor"),
        ("model.safetensors", "the weights"),
    ],
)
def test_a_missing_part_is_named(folder, file, what):
    (folder / file).unlink()
    refused(folder, rf"{file} \({what}\) is missing")


@pytest.mark.parametrize("file", ["config.json", "processor_config.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5], ids=["empty", "truncated"])
def test_a_part_that_cannot_be_read_is_refused(folder, file, share):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(share * len(content))])
    refused(folder, "cannot be loaded")


def test_a_setting_out_of_its_range_is_named(folder):
    edit(folder / "config.json", fusion="sum")
    refused(folder, r"\(fusion must be one of contextual_basis, autoencoder, join, got 'sum'\)")
    edit(folder / "config.json", fusion="contextual_basis")
    edit(folder / "processor_config.json", window_past=-7)
    refused(folder, "window_past must be .*-7")


@pytest.mark.parametrize("model_type", ["bert", "unheard-of", None])
def test_a_model_of_another_kind_is_refused(folder, model_type):
    edit(folder / "config.json", model_type=model_type)
    refused(folder, f"holds a model of type {model_type!r}, expected one of joyful")


class TestWeightsThatDoNotFitAreRefused:
    """transformers would fill the gaps with random numbers and print a table."""

    @pytest.fixture(autouse=True)
    def nothing_is_printed(self, caplog, monkeypatch):
        monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
        yield
        assert not [record for record in caplog.get_records("call") if "LOAD REPORT" in record.getMessage()]

    def test_missing_ones(self, folder):
        edit(folder / "config.json", graph_num_layers=3)
        refused(folder, r"the weights lack \d+ tensors of the model, among them \S*joyful\.graph_encoder")

    def test_one_missing(self, folder):
        weights = load_file(folder / "model.safetensors")
        del weights["classifier.graph_path.0.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        refused(folder, r"the weights lack 1 tensors of the model, among them classifier\.graph_path\.0\.weight")

    def test_some_of_another_size(self, folder):
        edit(folder / "config.json", graph_hidden_size=32)
        refused(folder, r"\d+ tensors of the weights have another size than the model's, among them classifier\.")

    def test_more_than_the_model_has(self, folder):
        edit(folder / "config.json", graph_num_layers=0)
        refused(folder, r"the weights hold \d+ tensors that the model does not have")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(name):
    with pytest.raises(DialogueError, match="there is no such checkpoint folder"):
        load_checkpoint(name)


def test_a_file_is_no_checkpoint(folder):
    with pytest.raises(DialogueError, match="there is no such checkpoint folder"):
        load_checkpoint(folder / "config.json")


@pytest.mark.parametrize("name", ["user/no-such-model", "no folder and no id", "a/b/c"])
def test_what_is_neither_a_folder_nor_on_the_hub_is_named(name):
    with pytest.raises(DialogueError, match=name):
        load_checkpoint(name)


class TestSizesAreHeldAgainstTheWeightsBeforeAnythingIsAllocated:
    """A configuration of a few bytes could ask for all memory, or for hours."""

    @pytest.fixture(autouse=True)
    def no_model_is_loaded(self, monkeypatch):
        def load(*args, **kwargs):
            raise AssertionError("the weights were read")

        monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", load)

    @pytest.mark.parametrize("field", ["num_members", "graph_num_layers"])
    def test_parts_without_end(self, folder, field):
        edit(folder / "config.json", **{field: 100_000})
        refused(folder, r"a model of far more parts than the \d+ tensors of the weights")

    @pytest.mark.parametrize("field", ["text_dim", "graph_hidden_size"])
    def test_sizes(self, folder, field):
        edit(folder / "config.json", **{field: 100_000})
        refused(folder, r"\d+ tensors of the weights have another size than the model's")

    def test_labels(self, folder):
        edit(folder / "config.json", num_labels=10**9, id2label=None, label2id=None)
        refused(folder, "num_labels must be 100,000 or less")

    def test_labels_of_an_encoder(self, folder):
        edit(folder / "config.json", text_config={"model_type": "bert", "num_labels": 10**9})
        refused(folder, "num_labels must be 100,000 or less")

    def test_tables_that_are_not_among_the_weights(self, folder, monkeypatch):
        monkeypatch.setattr("joyful_hf.io.weights._SMALL_SIZE", 0)
        monkeypatch.setattr("joyful_hf.io.weights._SIZE_PER_NUMBER", 0.5)
        refused(folder, r"config\.json describes a model of [\d,]+ numbers, and the weights hold [\d,]+")


@pytest.mark.parametrize(
    ("field", "value"),
    [("id2label", {"a": "b"}), ("class_weights", {}), ("views", [1]), ("text_pooling", ["x" * 10_000]), ("dtype", 7)],
)
def test_a_field_of_another_kind_is_one_short_message(folder, field, value):
    edit(folder / "config.json", **{field: value})
    with pytest.raises(DialogueError, match="cannot be loaded") as error:
        load_checkpoint(folder)
    assert len(str(error.value)) < 1000


def test_an_index_names_no_file_of_another_folder(folder):
    weights = (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    names = dict.fromkeys(load_file(weights), "../elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    refused(folder, "names '../elsewhere.safetensors', which is no file of the checkpoint")
