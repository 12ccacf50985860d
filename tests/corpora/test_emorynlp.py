"""EmoryNLP: scenes of an episode, speakers in lists, clips, and files that are not its own."""

import pytest

from joyful_hf import load_dialogues
from joyful_hf.corpora.emorynlp import PUBLISHED
from joyful_hf.corpora.prepare import prepare_corpus
from joyful_hf.processing import DialogueError
from tests.support.corpus_trees import emorynlp_row, write_csv, write_emorynlp


@pytest.fixture
def release(tmp_path):
    return write_emorynlp(tmp_path / "emorynlp")


def test_a_scene_of_an_episode_is_a_dialogue(release, tmp_path):
    report = prepare_corpus("emorynlp", release, tmp_path / "out")
    train = load_dialogues(tmp_path / "out", "train")
    assert [dialogue["dialogue_id"] for dialogue in train] == ["s01_e01_c02", "s01_e02_c01", "s01_e02_c02"]
    turns = [(one["utterance_id"], one["speaker"], one["label"]) for one in train[1]["utterances"]]
    assert turns == [
        ("sea1_ep2_sc1_utt1", "Ann Lee", "joyful"),
        ("sea1_ep2_sc1_utt3", "Ann Lee and Bob Orr", "mad"),
    ]
    assert report.differences is None, "so few dialogues are not the whole corpus"


def test_clips_are_found_and_missing_ones_listed(release, tmp_path):
    report = prepare_corpus("emorynlp", release, tmp_path / "out")
    without, with_clip = load_dialogues(tmp_path / "out", "train")[1]["utterances"]
    clip = str(release / "clips/emorynlp_train_splits/sea1_ep2_sc1_utt3.mp4")
    assert (without["video"], with_clip["video"]) == (None, clip)
    assert str(release / "clips/emorynlp_train_splits/sea1_ep2_sc1_utt1.mp4") in report.notes.missing_files
    assert report.notes.missing_files["emorynlp_dev_splits"].startswith("the folder with the clips")


def test_the_published_counts_add_up():
    assert {split: sum(labels.values()) for split, labels in PUBLISHED.labels.items()} == PUBLISHED.utterances


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Emotion": "joy"}, "line 2: unknown label 'joy'; known labels: joyful, mad"),
        ({"Scene_ID": "one"}, "line 2: 'Scene_ID' must be a number, got 'one'"),
        ({"Speaker": "[1]"}, "line 2: the speaker '[1]' is neither a name nor a list of names"),
    ],
    ids=repr,
)
def test_a_row_of_something_else_is_refused_with_its_line(release, tmp_path, changes, message):
    write_csv(release / "emorynlp_train_final.csv", [emorynlp_row(1, 1, **changes)])
    with pytest.raises(DialogueError) as caught:
        prepare_corpus("emorynlp", release, tmp_path / "out")
    assert f"emorynlp_train_final.csv, {message}" in str(caught.value)
