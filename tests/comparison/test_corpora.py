"""The division of a corpus for each seed and fold."""

from dataclasses import replace

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.comparison.corpora import Corpus, corpus_source, read_corpus
from joyful_hf.data.jsonl import write_dialogues


def test_a_folder_is_a_corpus(toy_folder):
    source = corpus_source(f"small={toy_folder}")
    assert source.name == "small"
    assert source.test_file == str(toy_folder / "test.jsonl")
    assert corpus_source(str(toy_folder)).name == toy_folder.name
    assert corpus_source(str(toy_folder), folds=3).test_file is None


def test_the_toy_corpus_needs_no_files():
    corpus = read_corpus(corpus_source("toy"))
    assert 0.5 < corpus.best["best_possible_accuracy"] < 1


def test_a_split_keeps_the_given_dialogues(corpus):
    split = corpus.split(seed=3)
    assert [len(part) for part in (split.data.train, split.data.validation, split.data.test)] == [12, 4, 6]
    assert split.positions.tolist() == list(range(6))


@pytest.mark.parametrize("form", [{"folds": 4}, {"group_key": "session"}], ids=["folds", "sessions"])
def test_each_dialogue_is_left_out_once(corpus, form):
    crossed = replace(corpus, validation=None, test=None, **form)
    splits = [crossed.split(0, fold) for fold in range(crossed.num_folds)]
    assert sorted(np.concatenate([split.positions for split in splits])) == list(range(12))
    for split in splits:
        parts = (split.data.train, split.data.validation, split.data.test)
        ids = [dialogue["dialogue_id"] for part in parts for dialogue in part]
        assert len(ids) == len(set(ids)) == 12
    if "group_key" in form:
        assert [set(split.data.test["session"]) for split in splits] == [{"Ses0"}, {"Ses1"}, {"Ses2"}]


def test_folds_are_the_same_for_every_model_and_others_for_another_seed(corpus):
    crossed = replace(corpus, validation=None, test=None, folds=3)
    assert crossed.split(0, 1).positions.tolist() == crossed.split(0, 1).positions.tolist()
    assert crossed.split(0, 1).positions.tolist() != crossed.split(1, 1).positions.tolist()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "give `test_file`, or `folds` or `group_key`"),
        ({"folds": 13}, "13 folds cannot be made of 12"),
        ({"group_key": "speaker"}, "no key 'speaker', but dialogue_id, session"),
    ],
)
def test_what_cannot_be_split_is_refused(corpus, form, message):
    with pytest.raises(DialogueError, match=message):
        Corpus(corpus.train, **form)


def test_other_dialogues_have_another_fingerprint(corpus):
    assert replace(corpus, test=corpus.validation).fingerprint != corpus.fingerprint
    assert replace(corpus).fingerprint == corpus.fingerprint


def test_labels_that_training_does_not_know_are_refused_before_it(tmp_path, source):
    record = {"dialogue_id": "d", "utterances": [{"speaker": "A", "text_features": [0.0], "label": "boredom"}]}
    write_dialogues([record], tmp_path / "test.jsonl")
    with pytest.raises(DialogueError, match=r"test\.jsonl: label boredom is not in the training dialogues"):
        read_corpus(replace(source, test_file=str(tmp_path / "test.jsonl")))
