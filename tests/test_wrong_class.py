"""A checkpoint is loaded by the classes that saved it, or refused with their names."""

import pytest
from transformers import AutoProcessor, BertConfig

from joyful_hf import DialogueError, JoyfulConfig, JoyfulProcessor
from joyful_hf.families import FAMILIES
from tests.support.helpers import FAMILY_CASES, make_dialogues

# One case of each family, in one of its forms.
CASES = list({case.model_class: case for case in FAMILY_CASES}.values())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Family -> the folder of a model and its processor."""
    folders = {}
    for case in CASES:
        folders[case.name] = tmp_path_factory.mktemp(case.name)
        for part in case.make(make_dialogues()):
            part.save_pretrained(folders[case.name])
    return folders


@pytest.mark.parametrize("reading", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("saving", CASES, ids=lambda case: case.name)
def test_of_another_family_nothing_is_loaded(saved, saving, reading):
    folder = saved[saving.name]
    for loading in (reading.model_class, reading.model_class.config_class):
        if saving is reading:
            assert type(loading.from_pretrained(folder)) is loading
        else:
            with pytest.raises(ValueError, match=f"{folder}.* load it by {saving.model_class.__name__}"):
                loading.from_pretrained(folder)


@pytest.mark.parametrize("reading", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("saving", CASES, ids=lambda case: case.name)
def test_a_processor_reads_its_own_parameters_alone(saved, saving, reading):
    folder = saved[saving.name]
    if saving.processor_class is reading.processor_class:
        assert type(reading.processor_class.from_pretrained(folder)) is saving.processor_class
    else:
        with pytest.raises(DialogueError, match=f"{folder}: its processor is a {saving.processor_class.__name__}"):
            reading.processor_class.from_pretrained(folder)


def test_a_dictionary_of_another_family_makes_no_configuration():
    other = FAMILIES["ar-iigcn"].config_class().to_dict()
    with pytest.raises(ValueError, match=r"the configuration: .*'ar_iigcn'.* by ARIIGCNForEmotionRecognition"):
        JoyfulConfig.from_dict(other)


def test_a_model_of_another_package_is_refused_too(tmp_path):
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"'bert'.* load it by BertModel \(its configuration by BertConfig\)"):
        JoyfulConfig.from_pretrained(tmp_path)


def test_a_configuration_that_extends_another_reads_its_checkpoints(saved):
    class Wider(JoyfulConfig):
        model_type = "wider"

    folder = next(folder for name, folder in saved.items() if name.startswith("joyful"))
    assert Wider.from_pretrained(folder).text_dim == JoyfulConfig.from_pretrained(folder).text_dim


@pytest.mark.parametrize("loading", [JoyfulProcessor, AutoProcessor], ids=lambda loading: loading.__name__)
def test_without_a_processor_there_are_no_default_ones(tmp_path, loading):
    JoyfulConfig().save_pretrained(tmp_path)
    with pytest.raises(DialogueError, match=r"has no processor_config\.json"):
        loading.from_pretrained(tmp_path)
