"""`import joyful_hf` makes the families known to transformers, and costs no more than it has to."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoProcessor

import joyful_hf
from joyful_hf import DialogueError
from joyful_hf.families import FAMILIES
from joyful_hf.registration import register
from tests.support.helpers import make_dialogues

DIALOGUES = make_dialogues((5, 3, 1))


def test_a_checkpoint_loads_through_the_auto_classes(family, tmp_path):
    model, processor = family.make(DIALOGUES)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    loaded_processor = AutoProcessor.from_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert type(config) is type(model.config)
    assert type(loaded_processor) is type(processor)
    assert type(loaded) is type(model)
    assert loaded_processor.to_dict() == processor.to_dict()
    with torch.no_grad():
        before = model(**processor(DIALOGUES, return_tensors="pt")).logits
        after = loaded(**loaded_processor(DIALOGUES, return_tensors="pt")).logits
    assert torch.equal(before, after)


def test_a_config_makes_its_model(family):
    model, _ = family.make(DIALOGUES)
    assert type(AutoModel.from_config(model.config)) is type(model)
    made = AutoConfig.for_model(model.config.model_type, text_dim=8)
    assert (type(made), made.text_dim) == (type(model.config), 8)


def test_registering_twice_does_no_harm():
    register()
    register()
    for family in FAMILIES.values():
        assert isinstance(AutoConfig.for_model(family.config_class.model_type), family.config_class)


def test_a_batch_that_does_not_fit_the_model_is_a_dialogue_error(family):
    model, processor = family.make(DIALOGUES)
    batch = processor(DIALOGUES, return_tensors="pt")
    key = next(key for key in ("text_features", "audio_features", "video_frames") if key in batch)
    size = batch[key].size(-1)
    batch[key] = batch[key][..., :-1]
    with pytest.raises(DialogueError, match=rf"{size - 1}\b.*\b{size}\b"):
        model(**batch)


def test_every_public_name_is_there():
    for name in joyful_hf.__all__:
        assert getattr(joyful_hf, name) is not None
    assert set(joyful_hf.__all__) <= set(dir(joyful_hf))
    with pytest.raises(AttributeError, match="no_such_name"):
        joyful_hf.no_such_name  # noqa: B018


def test_what_takes_long_to_import_waits_until_it_is_asked_for():
    code = "import sys, joyful_hf; print(*{'datasets', 'sklearn', 'transformers.trainer', 'typer'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert finished.stdout.split() == []
