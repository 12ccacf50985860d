"""Small files and a trained model for the commands."""

import sys

import pytest

from joyful_hf.cli import app as cli
from joyful_hf.data.jsonl import write_dialogues
from tests.support.command_line import train_options
from tests.support.training import TRAIN, VALIDATION


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Training, validation and test dialogues; those to predict have no labels."""
    folder = tmp_path_factory.mktemp("data")
    unlabelled = [
        dialogue | {"utterances": [utterance | {"label": None} for utterance in dialogue["utterances"]]}
        for dialogue in VALIDATION
    ]
    paths = {}
    for name, dialogues in (
        ("train", TRAIN),
        ("validation", VALIDATION),
        ("test", VALIDATION[:2]),
        ("unlabelled", unlabelled),
    ):
        paths[name] = folder / f"{name}.jsonl"
        write_dialogues(dialogues, paths[name])
    return paths


@pytest.fixture(scope="session")
def checkpoint(files, tmp_path_factory):
    """The output folder of a finished run."""
    folder = tmp_path_factory.mktemp("run") / "out"
    arguments = train_options(files, folder, validation_file=files["validation"], test_file=files["test"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["joyful", *map(str, arguments)])
        cli.main()
    return folder
