"""A disk that is full or cannot be written is one line with the file."""

import errno
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from joyful_hf import DialogueError
from joyful_hf.io.disk import check_writable, clear_write_errors, size_of
from joyful_hf.io.files import write_json


@contextmanager
def files_of_at_most(size):
    """Let no file grow beyond a size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITERS = {
    "torch": lambda file: torch.save(torch.zeros(100_000), file),
    "safetensors": lambda file: save_file({"weight": torch.zeros(100_000)}, file),
    "numpy": lambda file: np.save(file.open("wb"), np.zeros(100_000)),
    "text": lambda file: file.write_text("x" * 100_000),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_the_file_that_did_not_fit_is_named(tmp_path, writer, folder):
    file = tmp_path / "model.safetensors"
    with (
        pytest.raises(DialogueError, match=rf"{file}: cannot be written \(.*(too large|size of files)"),
        files_of_at_most(10_000),
        clear_write_errors(tmp_path if folder else file),
    ):
        WRITERS[writer](file)


def test_a_file_that_is_written_whole_is_not_there_when_it_does_not_fit(tmp_path):
    with (
        pytest.raises(DialogueError, match=r"scores.json: cannot be written"),
        files_of_at_most(10),
    ):
        write_json({"weighted_f1": 0.123456789}, tmp_path / "scores.json")
    assert not list(tmp_path.iterdir())


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="shapes"), clear_write_errors(tmp_path):
        raise RuntimeError("shapes differ")
    with pytest.raises(FileNotFoundError), clear_write_errors(tmp_path):
        (tmp_path / "missing").read_text()
    with pytest.raises(PermissionError), clear_write_errors(tmp_path / "here"):
        raise PermissionError(errno.EACCES, "not allowed", "/elsewhere/secret")


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())

    def refuse(**kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(DialogueError, match=r"^`output_dir`: .*new cannot be written \(Read-only file system\)$"):
        check_writable(tmp_path / "new")


def test_too_little_room_is_said_with_both_numbers(tmp_path):
    with pytest.raises(DialogueError, match=r"has [\d.]+ [kMGT]?B free, .* take up to 1152922 TB"):
        check_writable(tmp_path, 1 << 60)


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_bytes(bytes(100))
    assert size_of(tmp_path) == 100
    assert size_of(tmp_path / "nothing") == 0
