"""Damaged and malicious files: documented errors, no hang, bounded memory. `make fuzz` tries many more."""

import os
from pathlib import Path

import pytest

from tests.support.hostile import Loader, examine
from tests.support.hostile_loaders import LOADERS

CASES = 8
SAMPLE = {"jsonl", "parquet", "pickle-2", "released", "config-joyful-recommended", "wav", "transcript-whisper"}
"""Loaders that stand for the others, which are left to the slow tests."""


@pytest.mark.parametrize(
    "loader",
    [
        pytest.param(loader, marks=[] if loader.name in SAMPLE else [pytest.mark.slow], id=loader.name)
        for loader in LOADERS
    ],
)
def test_a_damaged_file_is_read_or_refused_in_words(loader, tmp_path):
    examined = examine(loader, CASES, tmp_path)
    assert [finding.what for finding in examined.findings] == []
    assert examined.cases == CASES


def hang(file: Path) -> None:
    while file.read_bytes() != ORIGINAL:
        pass


def fill_memory(file: Path) -> None:
    if file.read_bytes() != ORIGINAL:
        try:
            bytes(2 << 30)
        except MemoryError as error:
            raise ValueError("it cannot be read") from error


def end(file: Path) -> None:
    if file.read_bytes() != ORIGINAL:
        os._exit(1)


def act(file: Path) -> None:
    if file.read_bytes() != ORIGINAL:
        os.system("true")


def stumble(file: Path) -> None:
    if file.read_bytes() != ORIGINAL:
        raise KeyError("undocumented")


def print_it_whole(file: Path) -> None:
    if file.read_bytes() != ORIGINAL:
        raise ValueError("x" * 10_000)


ORIGINAL = b"one file"


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (hang, "took longer than 0.5 s"),
        (fill_memory, "more than 1 GiB of memory was asked for"),
        (end, "the process ended"),
        (act, "acted: os.system"),
        (stumble, "KeyError: 'undocumented'"),
        (print_it_whole, "a message of 10000 characters"),
    ],
    ids=["hangs", "fills the memory", "ends", "acts", "raises another error", "prints it whole"],
)
def test_a_loader_that_does_what_it_may_not_is_found_out(read, what, tmp_path, monkeypatch):
    def make(folder: Path) -> Path:
        (folder / "file").write_bytes(ORIGINAL)
        return folder / "file"

    if read is hang:
        monkeypatch.setattr("tests.support.hostile.SECONDS", 0.5)
    monkeypatch.setattr("tests.support.hostile._MOST_CHILDREN", 1)
    examined = examine(Loader("bad", make, read, (ValueError,)), 3, tmp_path)
    assert examined.findings[0].what.startswith(what)
