"""The toy corpus as raw media: files as users have them, that show what the toy corpus's features show."""

import sys
import wave

import numpy as np
import pytest

from joyful_hf import (
    load_dialogues,
    load_recordings,
    make_toy_corpus,
    make_toy_media_corpus,
)
from joyful_hf.processing.audio_extractors import LogMelStatistics
from joyful_hf.processing.media_pictures import get_pictures
from joyful_hf.toy.corpus import EMOTION_PARTS, EMOTIONS
from joyful_hf.toy.media import (
    NUM_PICTURES,
    PICTURE_SIZE,
    SAMPLING_RATE,
    write_sentence,
)

SIZES = {"num_train": 6, "num_validation": 1, "num_test": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def corpus(folder):
    return make_toy_media_corpus(folder, **SIZES)


@pytest.fixture(scope="module")
def utterances(corpus):
    return [utterance for dialogue in corpus["train"] for utterance in dialogue["utterances"]]


@pytest.fixture(scope="module")
def pictures(utterances):
    """(utterances, pictures, height, width) grey."""
    return np.stack([get_pictures(one, NUM_PICTURES).mean(-1) for one in utterances])


def parts(utterances, modality):
    """+1 or -1 an utterance: the part of its emotion that this modality shows in the features."""
    return EMOTION_PARTS[modality][[EMOTIONS.index(one["label"]) for one in utterances]]


def correlation(one, other):
    return np.corrcoef(one, other)[0, 1]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_speakers_and_labels_are_those_of_the_toy_corpus(corpus):
    for split, dialogues in make_toy_corpus(**SIZES).items():
        for made, drawn in zip(corpus[split], dialogues, strict=True):
            assert made["dialogue_id"] == drawn["dialogue_id"]
            for key in ("speaker", "label"):
                assert [one[key] for one in made["utterances"]] == [one[key] for one in drawn["utterances"]]


def test_the_same_seed_makes_the_same_files_and_a_larger_split_begins_with_a_smaller_one(corpus, folder, tmp_path):
    make_toy_media_corpus(tmp_path, num_train=1, num_validation=1, num_test=1)
    for path, content in contents(tmp_path).items():
        if path.name != "train.jsonl":
            assert (folder / path).read_bytes() == content, path


def test_another_seed_makes_others(corpus, tmp_path):
    other = make_toy_media_corpus(tmp_path, num_train=1, num_validation=1, num_test=1, seed=1)
    assert other["test"][0]["utterances"][0]["text"] != corpus["test"][0]["utterances"][0]["text"]


def test_every_command_reads_the_folder(corpus, folder):
    assert load_dialogues(folder, split="test").to_list() == corpus["test"].to_list()


def test_each_dialogue_is_a_folder_of_recordings(corpus, folder):
    dialogue = corpus["test"][0]
    (found,) = load_recordings(folder / "test" / dialogue["dialogue_id"])
    assert found["dialogue_id"] == dialogue["dialogue_id"]
    keys = ("speaker", "text", "audio", "video")
    assert found["utterances"] == [{key: one[key] for key in keys} for one in dialogue["utterances"]]


def test_the_files_can_be_decoded(utterances, pictures):
    assert pictures.shape == (len(utterances), NUM_PICTURES, PICTURE_SIZE, PICTURE_SIZE)
    with wave.open(utterances[0]["audio"]) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (SAMPLING_RATE, 1)
        assert 0.4 < sound.getnframes() / SAMPLING_RATE < 1.2


def test_a_voice_is_higher_and_louder_where_the_emotion_is_excited(utterances):
    extractor = LogMelStatistics()
    statistics = np.stack([vector for vector in extractor(utterances)])
    loudness, pitch, voiced = statistics[:, 80], statistics[:, 83], statistics[:, 86]
    excited = parts(utterances, "audio")
    assert voiced.mean() > 0.5
    assert correlation(loudness, excited) > 0.5
    assert correlation(pitch, excited) > 0.2


def test_mouths_bend_and_brows_rise_where_the_emotion_is_pleasant(utterances, pictures):
    # Pleasant minus unpleasant, around the middle of the face: dark mouth corners come up, dark brows too.
    pleasant = parts(utterances, "text") > 0
    difference = pictures[pleasant].mean((0, 1)) - pictures[~pleasant].mean((0, 1))
    middle = PICTURE_SIZE // 2
    corners = np.r_[middle - 11 : middle - 5, middle + 5 : middle + 11]
    assert difference[middle + 5 : middle + 9, corners].mean() < difference[middle + 12 : middle + 16, corners].mean()
    nose = slice(middle - 6, middle + 6)
    assert difference[middle - 8 : middle - 4, nose].mean() > 0, "brows that slant down to the nose darken it"


def test_a_face_is_larger_where_the_emotion_approaches(utterances, pictures):
    size = (pictures.mean(1) > 130).mean((1, 2))  # skin is lighter than any background
    assert correlation(size, parts(utterances, "visual")) > 0.4


@pytest.mark.parametrize(("pleasant", "word"), [(-2.0, "terrible"), (2.0, "wonderful")])
def test_words_grade_how_pleasant_it_is(pleasant, word):
    rng = np.random.default_rng(0)
    assert any(write_sentence(pleasant, rng).endswith(f" {word}.") for _ in range(50))
    assert not any(write_sentence(-pleasant, rng).endswith(f" {word}.") for _ in range(50))


def test_pyav_is_needed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"needs av.* pip install"):
        make_toy_media_corpus(tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
