"""The shared feature pickles of papers on conversations, in both of their forms."""

import numpy as np
import pytest
import torch

from joyful_hf import load_dialogues
from joyful_hf.corpora.prepare import prepare_corpus
from joyful_hf.processing import DialogueError
from tests.support.corpus_trees import Sample, feature_tuple, save_pickle

IEMOCAP = [f"Ses0{session}F_impro0{number}" for session in (1, 5) for number in (1, 2)]
IEMOCAP_FIELDS = ("ids", "speakers", "labels", "text", "audio", "visual", "sentences", "train", "test")
MELD_RAW_FIELDS = ("ids", "speakers", "labels", "text", "audio", "sentences", "train", "test", "labels")


def iemocap_tuple(**changes):
    return feature_tuple(IEMOCAP, IEMOCAP[2:], ["M", "F"], 6) | changes


def as_tuple(columns, fields=IEMOCAP_FIELDS):
    return tuple(columns[field] for field in fields)


@pytest.fixture
def prepare(tmp_path):
    """Pickles the content, prepares it, and gives the report and the dialogues of each split."""

    def run(content, label_scheme=None, protocol=2):
        path = save_pickle(tmp_path / "features.pkl", content, protocol)
        report = prepare_corpus("pickle", path, tmp_path / "out", label_scheme)
        written = [part for part, counts in report.counts.items() if counts.dialogues]
        return report, {part: load_dialogues(tmp_path / "out", part) for part in written}

    return run


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_the_tuple_of_iemocap_is_read_in_every_protocol(protocol, prepare):
    columns = iemocap_tuple()
    report, parts = prepare(as_tuple(columns), protocol=protocol)
    assert report.label_scheme == "iemocap-6-way"
    assert parts["train"]["dialogue_id"] == IEMOCAP[:1]
    assert parts["validation"]["dialogue_id"] == IEMOCAP[1:2]
    assert parts["test"]["dialogue_id"] == IEMOCAP[2:]
    utterances = parts["test"][0]["utterances"]
    assert [one["label"] for one in utterances] == ["happy", "sad", "neutral", "angry", "excited", "frustrated"]
    assert [one["speaker"] for one in utterances] == ["M", "F"] * 3
    assert utterances[1]["utterance_id"] == f"{IEMOCAP[2]}_1"
    assert utterances[1]["text"] == "sentence 1’s"
    for key, column in (("text_features", "text"), ("audio_features", "audio"), ("visual_features", "visual")):
        np.testing.assert_array_equal(utterances[1][key], np.float32(columns[column][IEMOCAP[2]][1]))


def test_arrays_of_any_order_and_byte_order_are_read(prepare):
    columns = iemocap_tuple()
    columns["audio"] = {name: np.asfortranarray(rows).astype(">f8") for name, rows in columns["audio"].items()}
    _, parts = prepare(as_tuple(columns))
    np.testing.assert_array_equal(
        parts["test"][0]["utterances"][3]["audio_features"], np.float32(columns["audio"][IEMOCAP[2]][3])
    )


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        ("iemocap-4-way-erc", ["happy", "sad", "neutral", "angry"]),
        ("iemocap-4-way-ser", ["happy", "sad", "neutral", "angry", "happy"]),
    ],
)
def test_of_six_emotions_the_other_schemes_can_be_made(scheme, labels, prepare):
    report, parts = prepare(as_tuple(iemocap_tuple()), scheme)
    assert [one["label"] for one in parts["test"][0]["utterances"]] == labels
    assert len(report.notes.left_out) == 4 * (6 - len(labels))


def test_the_tuples_of_meld_have_speakers_as_vectors_and_may_lack_visual_features(prepare):
    columns = feature_tuple([1, 2, 10, 11], [11], list(np.eye(9)[[0, 4]]), 7)
    report, parts = prepare(as_tuple(columns, MELD_RAW_FIELDS))
    assert report.label_scheme == "meld-7-way"
    assert parts["train"]["dialogue_id"] == ["1", "2"]  # by number, not by name
    assert parts["validation"]["dialogue_id"] == ["10"]
    utterance = parts["test"][0]["utterances"][1]
    assert (utterance["speaker"], utterance["label"]) == ("speaker 4", "surprise")
    assert "visual_features" not in utterance


def test_the_tuple_of_mmgcn_for_meld_has_one_part_more(prepare):
    columns = feature_tuple([1, 2, 3], [3], list(np.eye(9)[[0, 4]]), 7)
    _, parts = prepare((*as_tuple(columns), {}))
    assert len(parts["test"][0]["utterances"][0]["visual_features"]) == 2


def test_four_roberta_vectors_become_their_mean(prepare):
    columns = iemocap_tuple()
    four = [{name: np.full((6, 2), number) for name in IEMOCAP} for number in (1.0, 2.0, 3.0, 6.0)]
    _, parts = prepare((*as_tuple(columns)[:3], *four, *as_tuple(columns)[4:]))
    assert parts["test"][0]["utterances"][0]["text_features"] == [3.0, 3.0]


FOUR = ("roberta1", "roberta2", "roberta3", "roberta4")
SPLITS = ("train", "test", "validation")
COSMIC = {
    "iemocap": ("speakers", "labels", *FOUR, "sentences", *SPLITS),
    "meld": ("speakers", "labels", "sentiments", *FOUR, "sentences", *SPLITS),
    "text": ("speakers", "labels", "sentences", *SPLITS),
}


@pytest.mark.parametrize("layout", COSMIC)
def test_the_tuples_of_cosmic_have_their_own_validation_dialogues(layout, prepare):
    columns = iemocap_tuple(validation=IEMOCAP[:1], train=IEMOCAP[1:2])
    columns |= {name: {one: np.full((6, 2), float(number)) for one in IEMOCAP} for number, name in enumerate(FOUR)}
    columns["sentiments"] = dict.fromkeys(IEMOCAP, [0] * 6)
    _, parts = prepare(as_tuple(columns, COSMIC[layout]))
    assert {name: part["dialogue_id"] for name, part in parts.items()} == {
        "train": IEMOCAP[1:2],
        "validation": IEMOCAP[:1],
        "test": IEMOCAP[2:],
    }
    (first, *_) = parts["test"][0]["utterances"]
    assert (first["label"], first["speaker"]) == ("happy", "M")
    assert layout == "text" or first["text_features"] == [1.5, 1.5]


def test_text_vectors_of_emoberta_take_the_place_of_the_others(prepare):
    columns = iemocap_tuple()
    newer = {name: np.full((6, 3), 7.0) for name in IEMOCAP}
    _, parts = prepare((*as_tuple(columns), dict.fromkeys(IEMOCAP, [0] * 6), newer))
    assert parts["test"][0]["utterances"][0]["text_features"] == [7.0] * 3


def test_tensors_are_named(prepare):
    columns = iemocap_tuple()
    columns["text"] = {name: torch.zeros(6, 2) for name in IEMOCAP}
    with pytest.raises(DialogueError, match=r"the text are a torch\..*save plain numpy arrays"):
        prepare(as_tuple(columns))


def test_an_empty_vector_is_masked_and_listed(prepare):
    columns = iemocap_tuple()
    columns["audio"][IEMOCAP[2]] = [np.zeros(0), *columns["audio"][IEMOCAP[2]][1:]]
    report, parts = prepare(as_tuple(columns))
    assert parts["test"][0]["utterances"][0]["audio_features"] is None
    assert "an empty vector in the pickle" in str(report)


def samples(labels, names=("Ses01F_a", "Ses01F_b", "Ses05F_a")):
    return {part: [Sample(name, labels)] for part, name in zip(("train", "dev", "test"), names, strict=True)}


def test_samples_of_joyful_and_cogmen_are_read_without_their_class(prepare):
    content = samples([3, 0, 1, 2])
    report, parts = prepare(content)
    assert report.label_scheme == "iemocap-4-way-erc"
    utterances = parts["validation"][0]["utterances"]
    assert [one["label"] for one in utterances] == ["angry", "happy", "sad", "neutral"]
    assert utterances[0]["text"] == "sentence 0"
    sample = content["dev"][0]
    np.testing.assert_array_equal(utterances[2]["text_features"], sample.sbert_sentence_embeddings[2])
    np.testing.assert_array_equal(utterances[2]["audio_features"], np.float32(sample.audio[2]))


def test_samples_of_mosei_have_several_emotions_at_once(prepare):
    names = ("v1", "v2", "v3")
    report, parts = prepare(samples([[1, 0, 0, 0, 0, 1], [0] * 6], names))
    assert report.label_scheme == "mosei-emotions"
    assert [one["label"] for one in parts["train"][0]["utterances"]] == [["happiness", "fear"], []]


def test_samples_of_one_emotion_of_mosei_are_negative_or_positive(prepare):
    _, parts = prepare(samples([0, 1], ("v1", "v2", "v3")))
    assert [one["label"] for one in parts["train"][0]["utterances"]] == ["negative", "positive"]


def test_features_that_are_no_numbers_are_masked_and_listed(prepare):
    columns = iemocap_tuple()
    columns["audio"][IEMOCAP[2]][1, 0] = np.nan
    report, parts = prepare(as_tuple(columns))
    assert parts["test"][0]["utterances"][1]["audio_features"] is None
    assert list(report.notes.missing_files) == [f"{IEMOCAP[2]}_1, audio"]


def test_a_dialogue_in_training_and_test_is_for_test_only(prepare):
    report, parts = prepare(as_tuple(iemocap_tuple(train=IEMOCAP)))
    assert parts["train"]["dialogue_id"] == IEMOCAP[:1]
    assert list(report.notes.known_bad) == IEMOCAP[2:]


@pytest.mark.parametrize(
    ("content", "scheme", "message"),
    [
        (({},) * 9, None, r"none of the known layouts of feature pickles; got a tuple of 9 parts \(dict"),
        ({"a": 1}, None, "none of the known forms of feature pickles"),
        ("text", None, "none of the known forms of feature pickles"),
        ({"train": [], "dev": [], "test": []}, None, "the pickle holds no dialogues"),
        (samples([0, 5], ("v1", "v2", "v3")), None, "the label scheme cannot be told from dialogues such as 'v1'"),
        (samples([0, 5]), "meld-7-way", None),
        (samples([0, 7]), "meld-7-way", "the label 7 is none of 0 to 6"),
        (samples([0, 1]), "mosei-emotions", "1 labels, expected happiness, sadness"),
        (as_tuple(iemocap_tuple(labels={name: [0] for name in IEMOCAP})), None, "6 speakers for 1 labels"),
        (as_tuple(iemocap_tuple(labels={})), None, "is in the split and not among the labels"),
        (
            as_tuple(iemocap_tuple(labels={name: ["a"] * 6 for name in IEMOCAP})),
            None,
            "that its format does not have",
        ),
        (as_tuple(iemocap_tuple(audio={name: np.ones((6, 2, 2)) for name in IEMOCAP})), None, "should be a vector"),
    ],
)
def test_a_pickle_of_another_form_or_scheme_is_refused(content, scheme, message, prepare, tmp_path):
    if message is None:
        prepare(content, scheme)
        return
    with pytest.raises(DialogueError, match=message):
        prepare(content, scheme)
    assert not (tmp_path / "out").exists()


def test_features_of_different_sizes_are_refused(prepare):
    columns = iemocap_tuple()
    columns["audio"] |= {name: np.ones((6, 5)) for name in IEMOCAP[2:]}  # both of the test set
    with pytest.raises(DialogueError, match="'audio_features' has size"):
        prepare(as_tuple(columns))


def test_in_a_folder_the_one_pickle_is_found(tmp_path):
    save_pickle(tmp_path / "data" / "a.pkl", as_tuple(iemocap_tuple()))
    prepare_corpus("pickle", tmp_path / "data", tmp_path / "out")
    save_pickle(tmp_path / "data" / "b.pkl", ())
    with pytest.raises(DialogueError, match=r"give the path of one pickle .*a\.pkl, b\.pkl"):
        prepare_corpus("pickle", tmp_path / "data", tmp_path / "out2")
