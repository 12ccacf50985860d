"""What exists is replaced only when the user says so; of exports `test_export.py` says it."""

import pytest

from joyful_hf.data.jsonl import write_dialogues
from tests.support.command_line import bytes_of


def outputs(command, files, checkpoint, folder):
    """The words of a command, and the files that it writes."""
    data = ["--data-file", files["test"]]
    if command == "predict":
        return ["predict", checkpoint, *data, "--output-file", folder / "found.jsonl"], [folder / "found.jsonl"]
    if command == "evaluate":
        return ["evaluate", checkpoint, *data, "--output-dir", folder], [folder / "eval_results.json"]
    if command == "extract":
        texts = folder.with_name("texts.jsonl")
        write_dialogues([{"utterances": [{"speaker": "Ada", "text": "no features yet"}]}], texts)
        options = ["--text-extractor", "hashing", "--output-file", folder / "features.jsonl"]
        return ["extract", "--data-file", texts, *options], [folder / "features.jsonl"]
    return ["plot", checkpoint, *data, "--output-dir", folder], [folder / "timeline.png", folder / "timeline.svg"]


@pytest.mark.parametrize("command", ["predict", "evaluate", "extract", "plot"])
def test_an_output_that_exists_is_replaced_only_when_told_to(joyful, fails, files, checkpoint, tmp_path, command):
    words, written = outputs(command, files, checkpoint, tmp_path / "there")
    written[0].parent.mkdir()
    written[0].write_text("mine")
    message = fails(*words)
    assert message == f"{written[0]}: exists already; choose another name, or give --overwrite"
    assert bytes_of(tmp_path / "there") == {written[0]: b"mine"}
    result = joyful(*words, "--overwrite")
    assert (result.status, result.err) == (0, "")
    assert all(file.read_bytes() != b"mine" for file in written)


def test_a_folder_is_not_taken_for_a_file(fails, files, checkpoint, tmp_path):
    asked = ["--data-file", files["test"], "--output-file", tmp_path, "--overwrite"]
    assert fails("predict", checkpoint, *asked) == f"{tmp_path}: is a folder; give the name of a file"


def test_overwriting_nothing_is_refused(fails, files, checkpoint):
    message = fails("evaluate", checkpoint, "--data-file", files["test"], "--overwrite")
    assert message == "--overwrite: nothing is written without --output-dir"
