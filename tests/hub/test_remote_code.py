"""A checkpoint that carries its code loads where joyful_hf is not installed, and says the same there."""

import json
import logging
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from transformers import AutoConfig, AutoModel, AutoProcessor

from joyful_hf import (
    DialogueError,
    FoalNetForEmotionRecognition,
    FoalNetProcessor,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
)
from joyful_hf.families import FAMILIES
from joyful_hf.hub.remote_code import LICENSE_FILE, add_code
from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, make_dialogues, without_modality
from tests.support.remote_code_run import outputs_of
from tests.training.test_foal_net_workflow import waveform_dialogues

ROOT = Path(__file__).parents[2]
DIALOGUES = make_dialogues((5, 3, 1))
SMALL = {"contextual_size": 8, "graph_hidden_size": 8, "projection_size": 8, "num_members": 1}
WITH_MEDIA = ("log-mel", "hashed-words", "foal-net-with-audio-encoder")


def with_media(name, encoders):
    """A model and a processor that read raw media, and the dialogues for them."""
    dialogues = waveform_dialogues()
    if name == "foal-net-with-audio-encoder":
        processor = FoalNetProcessor.from_dialogues(dialogues)
        sizes = processor.model_kwargs() | {"projection_size": 8, "num_attention_heads": 2}
        return FoalNetForEmotionRecognition.from_encoders(encoders["audio"], **sizes), processor, dialogues
    if name == "hashed-words":
        dialogues = [
            {"utterances": [without_modality(one, "audio") | {"text": "so it is"} for one in dialogue["utterances"]]}
            for dialogue in dialogues
        ]
    extractor = {"log-mel": {"audio_extractor": "logmel"}, "hashed-words": {"text_extractor": "hashing"}}[name]
    processor = JoyfulProcessor.from_dialogues(dialogues, **extractor)
    return JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs(), **SMALL)), processor, dialogues


def save(folder, model, processor):
    for one in (model, processor):
        one.save_pretrained(folder)
    return folder


def link_installed(names, folder):
    """A folder to import these distributions from, those that they need, and nothing else."""
    folder.mkdir()
    todo, seen = list(names), set()
    while todo:
        name = todo.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        if found.name in seen:
            continue
        seen.add(found.name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
        requirements = map(Requirement, found.requires or ())
        todo += [one.name for one in requirements if not one.marker or one.marker.evaluate({"extra": ""})]
    return str(folder)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, encoders):
    """Checkpoint -> what it says here, and what an interpreter makes of it that has transformers and torch alone."""
    root = tmp_path_factory.mktemp("elsewhere")
    made = {case.name: (*case.make(DIALOGUES), DIALOGUES) for case in [*FAMILY_CASES, *RIVAL_CASES]}
    made |= {name: with_media(name, encoders) for name in WITH_MEDIA}
    here = {}
    for name, (model, processor, dialogues) in made.items():
        here[name] = outputs_of(model, processor, dialogues)
        add_code(save(root / "checkpoints" / name / "checkpoint", model, processor))
        (root / "checkpoints" / name / "dialogues.json").write_text(json.dumps(dialogues))
    environment = link_installed(["transformers", "torch"], root / "environment")
    scikit_learn = link_installed(["scikit-learn"], root / "scikit-learn")
    script = [ROOT / "tests" / "support" / "remote_code_run.py", environment, root / "checkpoints", scikit_learn]
    variables = {"HF_HOME": str(root / "home"), "HF_MODULES_CACHE": str(root / "modules"), "HF_HUB_OFFLINE": "1"}
    finished = subprocess.run(
        [sys.executable, "-I", "-S", *map(str, script)],
        cwd=root,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "", "transformers asks whether it may"
    there = json.loads((root / "results.json").read_text())
    return {name: (here[name], there[name]) for name in made}


def test_every_family_says_the_same_where_this_package_is_not_installed(family, elsewhere):
    here, there = elsewhere[family.name]
    assert there["outputs"] == here
    assert there["outputs_again"] == here, "saved once more and loaded"
    assert all(module.startswith("transformers_modules.") for module in there["classes"])


@pytest.mark.parametrize("name", ["log-mel", "foal-net-with-audio-encoder"])
def test_raw_media_are_read_there_too(name, elsewhere):
    here, there = elsewhere[name]
    assert there["outputs"] == there["outputs_again"] == here
    assert "refused" not in there


def test_words_are_hashed_there_once_scikit_learn_is_installed(elsewhere):
    here, there = elsewhere["hashed-words"]
    reason = "text_extractor 'hashing' needs sklearn.feature_extraction.text, which is not installed"
    assert there["refused"] == f'{reason}: pip install "scikit-learn>=1.7"'
    assert there["outputs"] == there["outputs_again"] == here


@pytest.fixture
def checkpoint(family, tmp_path):
    return save(tmp_path / "out", *family.make(DIALOGUES))


def test_with_this_package_its_own_classes_are_loaded(family, checkpoint, monkeypatch, caplog):
    add_code(checkpoint)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)  # for caplog to see it
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail(f"transformers asks: {prompt}"))
    for options in ({}, {"trust_remote_code": True}):
        assert type(AutoConfig.from_pretrained(checkpoint, **options)).__module__.startswith("joyful_hf.")
        assert type(AutoModel.from_pretrained(checkpoint, **options)) is family.model_class
        assert type(AutoProcessor.from_pretrained(checkpoint, **options)) is family.processor_class
    assert not caplog.records


def test_the_files_are_the_packages_own_and_the_license_goes_with_them(checkpoint):
    before = {file.name for file in checkpoint.iterdir()}
    copied = add_code(checkpoint)
    assert {file.name for file in copied} == {file.name for file in checkpoint.iterdir()} - before
    for file in copied:
        (original,) = [
            ROOT / room / file.name for room in ("modeling", "processing") if (ROOT / room / file.name).is_file()
        ] or [ROOT / "LICENSE"]
        assert file.read_bytes() == original.read_bytes()
    assert LICENSE_FILE in {file.name for file in copied}


def test_no_two_files_share_a_name():
    """In the folder of a checkpoint, the two rooms are one."""
    modeling, processing = ({file.name for file in (ROOT / room).glob("*.py")} for room in ("modeling", "processing"))
    assert modeling & processing == {"__init__.py"}, "and that one is not copied"


def test_adding_the_code_again_changes_nothing(checkpoint):
    add_code(checkpoint)
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    add_code(checkpoint)
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == before


def test_what_is_loaded_from_it_and_saved_elsewhere_names_no_code_that_is_not_there(family, checkpoint, tmp_path):
    add_code(checkpoint)
    loaded = AutoModel.from_pretrained(checkpoint), AutoProcessor.from_pretrained(checkpoint)
    again = save(tmp_path / "again", *loaded)
    for file in ("config.json", "processor_config.json"):
        assert "auto_map" not in json.loads((again / file).read_text())
    for one in (*loaded, loaded[0].config):
        assert one._auto_class is None


@pytest.mark.parametrize(
    ("alone", "classes"),
    [
        ("config.json", {"AutoConfig": "config_class", "AutoModel": "model_class"}),
        ("processor_config.json", {"AutoProcessor": "processor_class"}),
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_and_a_processor_may_lie_in_folders_of_their_own(alone, classes, name, tmp_path):
    family = FAMILIES[name]
    contents = {"model_type": family.config_class.model_type, "processor_class": family.processor_class.__name__}
    (tmp_path / alone).write_text(json.dumps(contents))
    copied = {file.stem for file in add_code(tmp_path)}
    auto_map = json.loads((tmp_path / alone).read_text())["auto_map"]
    assert auto_map.keys() == classes.keys()
    for auto, reference in auto_map.items():
        module, _, one = reference.partition(".")
        assert one == getattr(family, classes[auto]).__name__
        assert module in copied


@pytest.mark.parametrize(
    ("file", "contents", "message"),
    [
        (None, None, "has none of config.json, processor_config.json"),
        ("config.json", "{", "config.json: cannot be read"),
        ("config.json", "[]", "config.json: holds a list, expected an object"),
        ("config.json", '{"model_type": "bert"}', "of type 'bert', expected one of joyful, ar_iigcn, foal_net"),
        ("processor_config.json", '{"processor_class": "X"}', "belongs to a 'X', expected one of JoyfulProcessor"),
    ],
)
def test_what_is_no_checkpoint_of_this_package_is_refused_and_left_alone(file, contents, message, tmp_path):
    if file:
        (tmp_path / file).write_text(contents)
    with pytest.raises(DialogueError, match=message):
        add_code(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ([file] if file else [])
