"""`joyful export`."""


def test_export_writes_a_model_that_predicts(joyful, checkpoint, tmp_path):
    result = joyful("export", checkpoint, tmp_path / "model.pt2")
    assert (result.status, result.err) == (0, "")
    assert result.out == f"exported model: {tmp_path / 'model.pt2'}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


def test_export_refuses_another_ending_and_what_exists(fails, checkpoint, tmp_path):
    assert ".onnx (ONNX, for onnxruntime and others)" in fails("export", checkpoint, tmp_path / "model.bin")
    (tmp_path / "model.onnx").touch()
    assert "exists already" in fails("export", checkpoint, tmp_path / "model.onnx")
