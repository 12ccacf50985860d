"""CMU-MOSEI and CMU-MOSI: the SDK's sequences and the shared pickles."""

import sys

import numpy as np
import pytest

from joyful_hf import load_dialogues
from joyful_hf.corpora.prepare import prepare_corpus
from joyful_hf.processing import DialogueError
from tests.support.corpus_trees import (
    cmu_split,
    save_pickle,
    write,
    write_cmu,
    write_sequence,
)


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


@pytest.fixture
def mosei(h5py, tmp_path):
    return write_cmu(tmp_path / "mosei", known_bad=["7l3BNtSE0xc"])


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


def utterances_of(output, part):
    return [one for dialogue in load_dialogues(output, part) for one in dialogue["utterances"]]


def test_a_dialogue_is_a_video_with_its_segments_in_the_order_of_time(mosei, output):
    prepare_corpus("cmu-mosei", mosei, output)
    dialogues = load_dialogues(output, "train")
    assert dialogues["dialogue_id"] == ["a1", "b_2"]
    first, second = dialogues[0]["utterances"]
    assert first == {
        "utterance_id": "a1[0]",
        "speaker": "speaker",
        "label": [],
        "start": 0.0,
        "end": 2.0,
        "text": "good",
        "audio_features": [2.0, 2.0],  # the mean of what is finite
        "visual_features": [2.0],
    }
    assert second["text"] == "very bad"
    assert second["label"] == ["sadness", "anger"]
    assert second["audio_features"] == [5.0, 6.0]
    assert second["visual_features"] is None


def test_what_is_missing_is_masked_left_out_and_listed(mosei, output):
    report = prepare_corpus("cmu-mosei", mosei, output)
    assert report.notes.missing_files["d4, audio"] == "the sequence lacks this video"
    assert report.notes.missing_files["a1[1], visual"] == "no frames in the segment"
    assert list(report.notes.known_bad) == ["7l3BNtSE0xc"]
    assert set(report.notes.left_out) == {"bare", "extra"}
    assert utterances_of(output, "test")[0]["audio_features"] is None


def test_sentiment_is_a_number(mosei, output):
    prepare_corpus("cmu-mosei", mosei, output, "sentiment")
    assert [one["label"] for one in utterances_of(output, "train")[:2]] == [2.0, -1.0]


def test_mosi_has_sentiment_only(h5py, tmp_path, output):
    prepare_corpus("cmu-mosi", write_cmu(tmp_path / "mosi", "MOSI"), output)
    assert [one["label"] for one in utterances_of(output, "test")] == [2.0, -1.0]


def test_recordings_beside_the_sequences_are_used(mosei, output):
    video = write(mosei / "Raw/Videos/Full/Combined/a1.mp4", b"video")
    sound = write(mosei / "Raw/Audio/Full/WAV_16000/a1.wav", b"sound")
    prepare_corpus("cmu-mosei", mosei, output)
    first = utterances_of(output, "train")[0]
    assert (first["video"], first["audio"], first["start"]) == (str(video), str(sound), 0.0)


def test_emotions_of_a_file_with_sentiment_alone_are_refused_with_the_way_out(mosei, output):
    write_sequence(mosei / "CMU_MOSEI_Labels.csd", {"a1": (np.ones((1, 1)), [[0, 1]])})
    with pytest.raises(DialogueError, match="set `label_scheme` to sentiment"):
        prepare_corpus("cmu-mosei", mosei, output)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("*Labels.csd", "needs one .csd file of labels, found none"),
        ("*std_folds.py", "cmu_mosei_std_folds.py is missing"),
        ("*[!l]?.csd", "holds labels only"),
        ("*", "holds neither .csd files of the CMU-MultimodalSDK nor a .pkl file"),
    ],
)
def test_a_missing_part_is_named(remove, message, mosei, output):
    for path in mosei.glob(remove):
        path.unlink()
    with pytest.raises(DialogueError, match=message):
        prepare_corpus("cmu-mosei", mosei, output)


def test_a_sequence_that_breaks_off_is_named(mosei, output):
    path = mosei / "CMU_MOSEI_COVAREP.csd"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DialogueError, match=r"CMU_MOSEI_COVAREP\.csd: not a computational sequence"):
        prepare_corpus("cmu-mosei", mosei, output)


@pytest.mark.parametrize("text", ["def f(:", "standard_train_fold = open('x')", "x = ['a1']"])
def test_a_file_of_folds_is_parsed_and_never_run(text, mosei, output):
    write(mosei / "cmu_mosei_std_folds.py", text)
    with pytest.raises(DialogueError, match=r"cmu_mosei_std_folds\.py: should hold the lists standard_train_fold"):
        prepare_corpus("cmu-mosei", mosei, output)


def link_out(h5py, data, other):
    data["a1"] = h5py.ExternalLink(str(other), "/secret")


def link_features_out(h5py, data, other):
    data.create_group("a1")["features"] = h5py.ExternalLink(str(other), "/secret/features")
    data["a1"]["intervals"] = np.zeros((1, 2))


def read_another_file(h5py, data, other):
    data.create_group("a1").create_dataset("features", (4, 2), "u1", external=[(str(other), 0, 8)])
    data["a1"]["intervals"] = np.zeros((4, 2))


@pytest.mark.parametrize("change", [link_out, link_features_out, read_another_file])
def test_no_file_of_a_sequence_leads_to_another_one(change, h5py, mosei, output, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other.create_group("secret")["features"] = np.ones((1, 2))
        other["secret"]["intervals"] = np.zeros((1, 2))
    with h5py.File(mosei / "CMU_MOSEI_COVAREP.csd", "r+") as file:
        data = file["CMU_MOSEI_COVAREP"]["data"]
        del data["a1"]
        change(h5py, data, tmp_path / "secret.h5")
    with pytest.raises(DialogueError, match=r"COVAREP\.csd: .* lies in another file"):
        prepare_corpus("cmu-mosei", mosei, output)


def test_an_array_that_tells_of_more_than_the_file_has_is_refused(h5py, mosei, output):
    with h5py.File(mosei / "CMU_MOSEI_COVAREP.csd", "r+") as file:
        data = file["CMU_MOSEI_COVAREP"]["data"]
        del data["a1"]["features"]
        data["a1"].create_dataset("features", (10**9, 10), "f8", chunks=(1000, 10))
    with pytest.raises(DialogueError, match=r"tells of 80,000,000,000 bytes, far more than the file has"):
        prepare_corpus("cmu-mosei", mosei, output)


def test_without_h5py_the_line_that_installs_it_is_given(tmp_path, output, monkeypatch):
    write(tmp_path / "mosi" / "CMU_MOSI_Labels.csd", b"")
    lists = "".join(f"standard_{part}_fold = []\n" for part in ("train", "valid", "test"))
    write(tmp_path / "mosi" / "cmu_mosi_std_folds.py", lists)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'which is not installed: pip install "h5py>=3.12.1"$'):
        prepare_corpus("cmu-mosi", tmp_path / "mosi", output)


IDS = {
    "aligned_50.pkl": ["a1$_$10", "a1$_$9", "b_2$_$0"],
    "mosi_data.pkl": np.array([["a1", "4.5", "6"], ["a1", "0.5", "4.5"], ["b_2", "0", "1"]]),
    "bytes.pkl": np.array([[b"a1", b"4.5", b"6"], [b"a1", b"0.5", b"4.5"], [b"b_2", b"0", b"1"]], object),
    "brackets.pkl": ["a1[1]", "a1[0]", "b_2[0]"],
}


def save_splits(path, ids, labels, **changes):
    columns = cmu_split(ids, labels, ["later", "first", "only"]) | changes
    return save_pickle(path, {"train": columns, "valid": columns, "test": columns})


@pytest.mark.parametrize("name", IDS)
def test_pickles_are_grouped_by_video_whatever_their_ids_look_like(name, tmp_path, output):
    labels = np.array([[[1.0]], [[-2.0]], [[0.5]]])
    prepare_corpus("cmu-mosi", save_splits(tmp_path / name, IDS[name], labels), output)
    dialogues = load_dialogues(output, "validation")
    assert dialogues["dialogue_id"] == ["a1", "b_2"]
    assert [one["text"] for one in dialogues[0]["utterances"]] == ["first", "later"]
    assert [one["label"] for one in dialogues[0]["utterances"]] == [-2.0, 1.0]


def test_the_mean_over_time_leaves_out_padding_and_what_is_infinite(tmp_path, output):
    prepare_corpus("cmu-mosi", save_splits(tmp_path / "a.pkl", IDS["brackets.pkl"], np.zeros((3, 1, 1))), output)
    later = load_dialogues(output, "train")[0]["utterances"][1]
    assert later["text_features"] == [4.0, 5.0]
    assert later["audio_features"] == [5.0, 5.0]
    assert later["visual_features"] == [4.0]


def test_an_utterance_of_nothing_but_padding_is_masked_and_listed(tmp_path, output):
    save_splits(tmp_path / "pickles" / "a.pkl", IDS["brackets.pkl"], np.zeros((3, 1, 1)), vision=np.zeros((3, 3, 2)))
    report = prepare_corpus("cmu-mosi", tmp_path / "pickles", output)
    assert report.notes.missing_files["a1[0], visual"] == "the pickle has nothing but padding"
    assert report.counts["train"].present["visual_features"] == 0


def test_a_pickle_with_seven_labels_has_emotions_too(tmp_path, output):
    labels = np.array([[[1.0, 0, 0.3, 0, 0, 0, 1]], [[0.0] * 7], [[0, 2, 0, 0, 0, 0, 0]]])
    prepare_corpus("cmu-mosei", save_splits(tmp_path / "a.pkl", IDS["brackets.pkl"], labels), output)
    labels = [one["label"] for one in utterances_of(output, "train")]
    assert labels == [[], ["sadness", "fear"], ["happiness"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a dict with the splits train, valid and test"),
        ({"train": {}, "valid": {}, "test": {}}, "train: 'id' is missing"),
        ({part: {"id": ["a_1"]} for part in ("train", "valid", "test")}, "train: 'labels' is missing"),
        ({part: {"id": [], "labels": []} for part in ("train", "valid", "test")}, "the split holds no utterances"),
        (
            {part: {"id": ["a_1"], "labels": [1, 2]} for part in ("train", "valid", "test")},
            "'labels' should be an array over the 1 utterances",
        ),
        (
            {part: {"id": ["a1"], "labels": [1.0]} for part in ("train", "valid", "test")},
            "the id 'a1' is neither video, start, end nor",
        ),
        (
            {part: {"id": ["a_1"], "labels": [1.0], "audio": [[1.0]]} for part in ("train", "valid", "test")},
            r"'audio' should be \(utterances, time, size\)",
        ),
        (
            {part: {"id": ["a_1"], "labels": ["good"]} for part in ("train", "valid", "test")},
            "holds a value that its format does not have there",
        ),
    ],
)
def test_a_pickle_of_another_form_is_refused(content, message, tmp_path, output):
    with pytest.raises(DialogueError, match=message):
        prepare_corpus("cmu-mosi", save_pickle(tmp_path / "a.pkl", content), output)
    assert not output.exists()


def test_of_several_pickles_one_must_be_chosen(tmp_path, output):
    for name in ("aligned_50.pkl", "unaligned_50.pkl"):
        save_pickle(tmp_path / "mosi" / name, {})
    with pytest.raises(DialogueError, match=r"several pickles \(aligned_50.pkl, unaligned_50.pkl\)"):
        prepare_corpus("cmu-mosi", tmp_path / "mosi", output)
