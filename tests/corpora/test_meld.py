"""MELD: the order of utterances, mended quotes, clips known to be bad, and spoilt CSV files."""

import shutil

import pytest

from joyful_hf import load_dialogues
from joyful_hf.corpora.prepare import prepare_corpus
from joyful_hf.processing import DialogueError
from tests.support.corpus_trees import (
    meld_row,
    write,
    write_csv,
    write_dyadic_meld,
    write_meld,
)


@pytest.fixture
def release(tmp_path):
    return write_meld(tmp_path / "MELD.Raw")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


def test_dialogues_and_utterances_are_in_the_order_of_their_numbers(release, output):
    prepare_corpus("meld", release, output)
    train = load_dialogues(output, "train")
    assert [dialogue["dialogue_id"] for dialogue in train] == ["train_dia7", "train_dia125"]
    assert [one["utterance_id"] for one in train[1]["utterances"]] == ["dia125_utt2", "dia125_utt3"]
    assert [(one["speaker"], one["label"]) for one in train[0]["utterances"]] == [
        ("Ann", "neutral"),
        ("Bob", "sadness"),
    ]


def test_texts_have_their_quotes(release, output):
    prepare_corpus("meld", release, output)
    texts = [one["text"] for dialogue in load_dialogues(output, "train") for one in dialogue["utterances"]]
    assert texts == ['He said "no", twice', "Hi!", "It’s me", "You’re late…"]


def test_the_other_label_scheme_is_sentiment(release, output):
    prepare_corpus("meld", release, output, "sentiment")
    labels = [one["label"] for dialogue in load_dialogues(output, "train") for one in dialogue["utterances"]]
    assert labels == ["neutral", "negative", "positive", "negative"]


def test_clips_known_to_be_bad_are_not_used_and_listed(release, output):
    report = prepare_corpus("meld", release, output)
    assert set(report.notes.known_bad) == {
        "train_splits/dia125_utt3.mp4",
        "dev_splits_complete/dia110_utt7.mp4",
        "output_repeated_splits_test/dia38_utt4.mp4",
    }
    assert not report.notes.missing_files
    good, bad = load_dialogues(output, "train")[1]["utterances"]
    assert good["audio"] == good["video"] == str(release / "train/train_splits/dia125_utt2.mp4")
    assert bad["audio"] is bad["video"] is None
    assert "dia125_utt3.mp4" in str(report)


def test_missing_clips_are_listed_and_their_utterances_stay(release, output):
    clip = release / "train/train_splits/dia7_utt1.mp4"
    clip.unlink()
    shutil.rmtree(release / "dev")
    report = prepare_corpus("meld", release, output)
    assert set(report.notes.missing_files) == {str(clip), "dev_splits_complete"}
    assert report.counts["train"].utterances == 4
    assert report.counts["train"].present["video"] == 2
    assert report.counts["validation"].present["video"] == 0


@pytest.mark.parametrize("name", ["train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv"])
def test_a_missing_csv_file_is_named(name, release, output):
    (release / name).unlink()
    with pytest.raises(DialogueError, match=f"{name} is missing"):
        prepare_corpus("meld", release, output)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": "1"}], "the column 'Utterance' is missing"),
        ([meld_row(0, 0), meld_row(0, 1, Emotion="glee")], "line 3: unknown label 'glee'; known labels: neutral, sur"),
        ([meld_row(0, 0, Dialogue_ID="one")], "line 2: 'Dialogue_ID' must be a number, got 'one'"),
        ([meld_row(0, 0), meld_row(0, 0)], "line 3: this utterance occurs twice"),
        ([meld_row(0, 0, Speaker="")], "line 2: 'Speaker' is empty"),
    ],
)
def test_a_csv_file_of_another_kind_is_refused_with_its_line(rows, message, release, output):
    write_csv(release / "train_sent_emo.csv", rows)
    with pytest.raises(DialogueError, match=f"train_sent_emo.csv.*{message}"):
        prepare_corpus("meld", release, output)


@pytest.mark.parametrize("content", ["", b"\x89PNG\0", 'Sr No.,Utterance\n1,"cut off'])
def test_a_spoilt_csv_file_is_refused(content, release, output):
    write(release / "train_sent_emo.csv", content)
    with pytest.raises(DialogueError, match=r"train_sent_emo\.csv"):
        prepare_corpus("meld", release, output)


def test_a_csv_file_in_windows_1252_is_read(release, output):
    path = release / "train_sent_emo.csv"
    path.write_bytes(
        path.read_text("utf-8").replace("\u00e2\u20ac\u2122", "’").replace("\x92", "’").encode("cp1252", "ignore")
    )
    prepare_corpus("meld", release, output)
    texts = [one["text"] for dialogue in load_dialogues(output, "train") for one in dialogue["utterances"]]
    assert texts[2:] == ["It’s me", "You’re late"]


# The dyadic variant.


def test_dialogues_of_two_have_the_clips_of_meld(tmp_path, output):
    release = write_dyadic_meld(tmp_path / "release")
    report = prepare_corpus("meld-dyadic", release, output)
    train, test = load_dialogues(output, "train"), load_dialogues(output, "test")
    assert [dialogue["dialogue_id"] for dialogue in train] == ["train_dia0", "train_dia1"]
    names = [[one["utterance_id"] for one in dialogue["utterances"]] for dialogue in train]
    assert names == [["dia7_utt0", "dia7_utt1"], ["dia7_utt0", "dia125_utt2"]]
    assert train[1]["utterances"][1]["video"] == str(release / "train/train_splits/dia125_utt2.mp4")
    assert set(report.notes.known_bad) == {"output_repeated_splits_test/dia38_utt4.mp4"}
    assert [one["audio"] is None for one in test[0]["utterances"]] == [False, True]


def test_the_files_of_meld_are_not_those_of_its_dyadic_variant(release, output):
    with pytest.raises(DialogueError, match=r"train_sent_emo_dya\.csv is missing; .* of MELD_Dyadic"):
        prepare_corpus("meld-dyadic", release, output)
