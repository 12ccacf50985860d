"""`joyful export`."""

from transformers.utils import logging


def test_export_writes_a_model_and_replaces_a_file_only_when_told_to(joyful, fails, checkpoint, tmp_path):
    output = tmp_path / "model.pt2"
    output.write_text("mine")
    message = fails("export", checkpoint, output)
    assert message == f"{output}: exists already; choose another name, or give --overwrite"
    assert output.read_text() == "mine"
    logging.enable_progress_bar()  # whatever ran before
    result = joyful("export", checkpoint, output, "--overwrite")
    assert (result.status, result.err) == (0, "")
    assert result.out == f"exported model: {output}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    assert output.read_bytes() != b"mine"


def test_export_refuses_another_ending_and_what_exists(fails, checkpoint, tmp_path):
    assert ".onnx (ONNX, for onnxruntime and others)" in fails("export", checkpoint, tmp_path / "model.bin")
    (tmp_path / "model.onnx").touch()
    assert "exists already" in fails("export", checkpoint, tmp_path / "model.onnx")
