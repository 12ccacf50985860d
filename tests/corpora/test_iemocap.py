"""IEMOCAP: label schemes, splits, what is left out, and what may be missing."""

import shutil
from collections import Counter

import pytest

from joyful_hf import load_dialogues
from joyful_hf.corpora.prepare import prepare_corpus
from joyful_hf.processing import DialogueError
from tests.support.corpus_trees import EMOTIONS_OF_TURNS, write, write_iemocap

DIALOGUES = 15


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_iemocap(tmp_path_factory.mktemp("iemocap") / "IEMOCAP_full_release")


@pytest.fixture
def own_release(tmp_path):
    """A release that the test may spoil."""
    return write_iemocap(tmp_path / "release", dialogues_per_session=1)


def utterances_of(output, *parts):
    return [one for part in parts for dialogue in load_dialogues(output, part) for one in dialogue["utterances"]]


ALL_PARTS = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        ("6-way", {"neutral": 1, "happy": 1, "excited": 1, "sad": 1, "frustrated": 1, "angry": 1}),
        ("4-way-erc", {"neutral": 1, "happy": 1, "sad": 1, "angry": 1}),
        ("4-way-ser", {"neutral": 1, "happy": 2, "sad": 1, "angry": 1}),
    ],
)
def test_a_label_scheme_takes_its_own_utterances_and_counts_those_it_leaves_out(scheme, labels, release, tmp_path):
    report = prepare_corpus("iemocap", release, tmp_path / "out", scheme)
    found = Counter(one["label"] for one in utterances_of(tmp_path / "out", *ALL_PARTS))
    assert found == {label: count * DIALOGUES for label, count in labels.items()}
    reasons = Counter(report.notes.left_out.values())
    assert reasons["no agreed emotion"] == reasons["surprised"] == DIALOGUES
    assert reasons["only in the transcript, never rated"] == DIALOGUES
    assert sum(found.values()) + reasons.total() == (len(EMOTIONS_OF_TURNS) + 1) * DIALOGUES
    assert f"{DIALOGUES}  no agreed emotion" in str(report)


def test_an_utterance_has_its_speaker_its_words_and_its_place_in_the_recordings(release, tmp_path):
    prepare_corpus("iemocap", release.parent, tmp_path / "out")  # the folder above will do
    dialogue = load_dialogues(tmp_path / "out", "test")[0]
    assert dialogue["dialogue_id"] == "Ses05F_impro02"
    first, second = dialogue["utterances"][:2]
    assert first == {
        "utterance_id": "Ses05F_impro02_F000",
        "speaker": "F",
        "label": "neutral",
        "text": "words of Ses05F_impro02_F000",
        "audio": str(release / "Session5/dialog/wav/Ses05F_impro02.wav"),
        "video": str(release / "Session5/dialog/avi/DivX/Ses05F_impro02.avi"),
        "start": 0.0,
        "end": 2.0,
    }
    assert (second["speaker"], second["start"]) == ("M", 1.5)
    starts = [one["start"] for one in dialogue["utterances"]]
    assert starts == sorted(starts)


def ids_of(output, part):
    return [dialogue["dialogue_id"] for dialogue in load_dialogues(output, part)]


def test_the_standard_split_tests_on_session_5_and_holds_out_every_tenth_of_the_others(release, tmp_path):
    prepare_corpus("iemocap", release, tmp_path / "out")
    assert {name[:5] for name in ids_of(tmp_path / "out", "test")} == {"Ses05"}
    assert ids_of(tmp_path / "out", "validation") == ["Ses04F_impro02"]
    assert len(ids_of(tmp_path / "out", "train")) == 11


def test_session_folds_test_on_each_session_once(release, tmp_path):
    report = prepare_corpus("iemocap", release, tmp_path / "out", split="session-folds")
    assert len(report.counts) == 15
    for session in range(1, 6):
        fold = tmp_path / "out" / f"fold{session}"
        names = {part: ids_of(fold, part) for part in ALL_PARTS}
        assert {name[:5] for name in names["test"]} == {f"Ses0{session}"}
        assert len({name for part in names.values() for name in part}) == DIALOGUES
        assert sum(map(len, names.values())) == DIALOGUES
    assert Counter(report.notes.left_out.values())["no agreed emotion"] == DIALOGUES  # told once, not in each fold


def test_without_recordings_of_dialogues_those_of_utterances_are_used(own_release, tmp_path):
    shutil.rmtree(own_release / "Session1" / "dialog" / "wav")
    report = prepare_corpus("iemocap", own_release, tmp_path / "out")
    first = load_dialogues(tmp_path / "out", "train")[0]["utterances"][0]
    assert first["audio"].endswith(f"Session1/sentences/wav/Ses01M_impro01/{first['utterance_id']}.wav")
    assert first["start"] is first["end"] is first["video"] is None
    assert list(report.notes.missing_files) == [str(own_release / "Session1/dialog/wav")]


def test_a_missing_recording_is_listed_and_its_utterances_stay(own_release, tmp_path):
    video = own_release / "Session2/dialog/avi/DivX/Ses02M_impro01.avi"
    video.unlink()
    report = prepare_corpus("iemocap", own_release, tmp_path / "out")
    assert report.notes.missing_files == {str(video): "the file is missing"}
    assert str(video) in str(report)
    assert report.counts["train"].present["video"] == report.counts["train"].utterances - 6


def test_a_turn_without_a_line_in_the_transcript_stays_without_text(own_release, tmp_path):
    path = own_release / "Session1/dialog/transcriptions/Ses01M_impro01.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    report = prepare_corpus("iemocap", own_release, tmp_path / "out")
    assert "Ses01M_impro01_F000" in report.notes.missing_files
    assert load_dialogues(tmp_path / "out", "train")[0]["utterances"][0]["text"] is None


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("Session1", "Session1 is missing"),
        ("Session3", "session 3 of IEMOCAP"),
        ("Session2/dialog/EmoEvaluation", "the emotion labels of session 2"),
        ("Session4/dialog/transcriptions", "the transcripts of session 4"),
        ("Session5/dialog/transcriptions/Ses05M_impro01.txt", "the transcript Ses05M_impro01.txt is missing"),
    ],
)
def test_a_part_without_which_nothing_works_is_named(part, message, own_release, tmp_path):
    path = own_release / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DialogueError, match=message):
        prepare_corpus("iemocap", own_release, tmp_path / "out")


@pytest.mark.parametrize("content", ["", "no ratings here", b"\0\1\2"], ids=["empty", "other text", "binary"])
def test_a_spoilt_file_of_labels_is_named(content, own_release, tmp_path):
    path = write(own_release / "Session1/dialog/EmoEvaluation/Ses01M_impro01.txt", content)
    with pytest.raises(DialogueError, match=path.name):
        prepare_corpus("iemocap", own_release, tmp_path / "out")
    assert not (tmp_path / "out").exists()
