"""Encoders in folders of one machine: the names that a processor has for them elsewhere."""

import pytest

from joyful_hf import DialogueError, JoyfulProcessor
from joyful_hf.processing.encoder_folders import without_folder
from joyful_hf.processing.extractor_base import describe_extractor
from joyful_hf.processing.extractors import load_extractor, pinned
from joyful_hf.processing.feature_origin import same_extractor


@pytest.mark.parametrize(
    ("extractor", "shared"),
    [
        ("/home/ada/encoders/tiny-bert#-4:", "local:tiny-bert#-4:"),
        ("/home/ada/encoders/tiny-bert", "local:tiny-bert"),
        ("/home/ada/encoders/tiny@bert/#pooled", "local:tiny#pooled"),
        ("../tiny-bert#mean:-4:", "local:tiny-bert#mean:-4:"),
        ("~/tiny-bert", "local:tiny-bert"),
        ("models/of/mine", "local:mine"),
        (r"C:\models\tiny-bert#-1", "local:tiny-bert#-1"),
        ("encoders/here#-1", "local:here#-1"),
        ("encoders/elsewhere#-1", "encoders/elsewhere#-1"),
        (f"user/model@{'0' * 40}#-4:", f"user/model@{'0' * 40}#-4:"),
        ("opensmile:eGeMAPSv02", "opensmile:eGeMAPSv02"),
        ("local:tiny-bert#-4:", "local:tiny-bert#-4:"),
    ],
)
def test_a_folder_is_shared_under_its_own_name_and_a_hub_id_as_it_is(extractor, shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoders" / "here").mkdir(parents=True)
    assert without_folder(extractor) == shared
    assert describe_extractor(shared).count("/") == shared.count("/")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("local:tiny#-4:", "/home/bob/tiny#-4:", True),
        ("local:tiny#-4:", "user/tiny@abc#-4:", True),
        ("local:tiny#-4:", "/home/bob/tiny", True),
        ("local:tiny#-4:", "/home/bob/tiny#-1", False),
        ("local:tiny#-4:", "/home/bob/large#-4:", False),
        ("local:tiny#-4:", "hashing", False),
        ("local:tiny#-4:", "local:tiny#-4:", True),
    ],
)
def test_features_of_an_encoder_with_that_name_are_its_own(one, other, same):
    assert same_extractor(one, other) is same_extractor(other, one) is same


@pytest.mark.parametrize("load", [load_extractor, pinned])
def test_whoever_needs_the_encoder_is_told_what_to_give(load):
    with pytest.raises(DialogueError, match="text_extractor: 'tiny' is an encoder in a folder of the machine"):
        load("text", "local:tiny#-4:")


def test_raw_text_needs_the_encoder_and_features_do_not():
    processor = JoyfulProcessor(text_dim=3, text_extractor="local:logmel#-4:")
    utterance = {"speaker": "Ross", "text": "Hi!", "text_features": [1.0, 2.0, 3.0]}
    assert processor([{"utterances": [utterance]}])["text_features"].tolist() == [[1.0, 2.0, 3.0]]
    del utterance["text_features"]
    with pytest.raises(DialogueError, match="load the processor with its folder or Hub id as text_extractor"):
        processor([{"utterances": [utterance]}])
