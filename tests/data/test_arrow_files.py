"""Data that need not fit into memory: dialogues, examples and features are the same in a file that is mapped."""

import datasets
import numpy as np
import pytest

from joyful_hf import DialogueError, JoyfulProcessor, extract_features, load_dialogues
from joyful_hf.data import arrow_files
from joyful_hf.data.encoded import DialogueCollator, EncodedDialogues
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.data.stored_examples import stored_examples
from joyful_hf.processing import stored_dialogues


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """Let everything be too large for memory; the folder where it then lies."""
    monkeypatch.setattr(arrow_files, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(stored_dialogues, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr("joyful_hf.data.jsonl._DIALOGUES_PER_CHUNK", 2)
    monkeypatch.setattr("joyful_hf.processing.processor_base._DIALOGUES_OF_A_PART", 2)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "joyful_hf"


def writes(monkeypatch):
    """Count the tables that are written to disk."""
    written = []
    write = arrow_files.ArrowFile.write
    monkeypatch.setattr(
        arrow_files.ArrowFile, "write", lambda self, table: [written.append(len(table)), write(self, table)]
    )
    return written


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_files_are_read_alike(dialogues, tmp_path, on_disk, monkeypatch, kind):
    write_dialogues(dialogues, tmp_path / "data.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(arrow_files, "MOST_IN_MEMORY", 2**30)
        expected = load_dialogues(tmp_path / "data.jsonl")
    expected.to_parquet(tmp_path / "data.parquet")
    written = writes(monkeypatch)
    found = load_dialogues(tmp_path / f"data.{kind}")
    assert sum(written) == len(dialogues)
    assert list(found) == list(expected)
    assert not list(on_disk.iterdir()), "the file has no name: nothing is left of a process that is killed"


def test_a_processor_is_fitted_and_batches_are_packed_alike(family, dialogues, on_disk, monkeypatch):
    data = datasets.Dataset.from_list(dialogues)
    parameters = family.processor_parameters(dialogues)
    written = writes(monkeypatch)
    processor = family.processor_class.from_dialogues(data, **parameters)
    assert processor.to_dict() == family.processor_class.from_dialogues(dialogues, **parameters).to_dict()
    encoded = EncodedDialogues(data, processor)
    assert sum(written) == len(encoded)
    expected = processor.encode(dialogues)
    assert len(encoded) == len(expected)
    order = np.random.default_rng(0).permutation(len(encoded)).tolist()
    found = DialogueCollator(processor)([encoded[index] for index in order])
    batch = processor.pack([expected[index] for index in order], return_tensors="pt")
    assert [key for key in found if key != "layout"] == list(batch)
    for key, values in batch.items():
        np.testing.assert_array_equal(found[key], values, strict=True, err_msg=key)


def test_features_are_extracted_alike(on_disk, monkeypatch):
    dialogues = [
        {"dialogue_id": f"d{number}", "utterances": [{"speaker": "A", "text": f"word {number}"}] * 2}
        for number in range(5)
    ]
    processor = JoyfulProcessor(text_extractor="hashing")
    with monkeypatch.context() as patch:
        patch.setattr(arrow_files, "MOST_IN_MEMORY", 2**30)
        expected = extract_features(dialogues, processor, verbose=False)
    monkeypatch.setattr("joyful_hf.data.extraction_jobs._MOST_DIALOGUES", 2)
    written = writes(monkeypatch)
    assert list(extract_features(dialogues, processor, verbose=False)) == list(expected)
    assert written == [2, 2, 1]


def test_examples_that_are_not_made_of_arrays_stay_in_memory(on_disk):
    class Example:
        pass

    examples = [Example(), Example()]
    assert stored_examples([examples[:1], examples[1:]]) == examples


def test_a_folder_that_cannot_be_written_is_named(dialogues, on_disk, tmp_path):
    write_dialogues(dialogues, tmp_path / "data.jsonl")
    on_disk.parent.write_text("a file, and no folder")
    with pytest.raises(DialogueError, match=r"joyful_hf: cannot be written .* set HF_DATASETS_CACHE"):
        load_dialogues(tmp_path / "data.jsonl")
