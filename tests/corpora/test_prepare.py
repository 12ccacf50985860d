"""`joyful prepare`: what it leaves behind, what it says, and what it refuses, whatever the corpus."""

import json
import sys

import pyarrow.parquet
import pytest

from joyful_hf import load_dialogues
from joyful_hf.cli import app as cli
from joyful_hf.corpora.base import PublishedCounts, hold_out, join_splits
from joyful_hf.corpora.prepare import CORPORA, METADATA_KEY, prepare_corpus
from joyful_hf.corpora.reading import mend_quotes
from joyful_hf.corpora.report import FileCounts, compare_counts
from joyful_hf.processing import DialogueError
from tests.support.corpus_trees import (
    Sample,
    save_pickle,
    write,
    write_meld,
)
from tests.support.training import SMALL_SETTINGS

PARTS, PICKLED = ("train", "validation", "test"), ("train", "dev", "test")


@pytest.fixture
def joyful(monkeypatch, capsys, tmp_path):
    """Runs `joyful` with these arguments in a folder of its own; gives the exit status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["joyful", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            return end.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def meld(tmp_path_factory):
    return write_meld(tmp_path_factory.mktemp("MELD.Raw"))


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_says_what_its_label_schemes_and_splits_are(name):
    corpus = CORPORA[name]
    assert corpus.label_schemes
    assert corpus.splits
    for scheme in corpus.label_schemes.values():
        assert scheme.meaning
        assert (scheme.problem_type == "regression") == (not scheme.labels)


def test_the_output_is_files_of_dialogues_with_metadata_beside_and_in_them(meld, tmp_path, joyful):
    status, out, _ = joyful("prepare", "meld", meld, "out")
    assert status == 0
    output = tmp_path / "out"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert sorted(path.name for path in output.iterdir()) == [
        "metadata.json",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
    ]
    metadata = json.loads((output / "metadata.json").read_text())
    assert metadata["corpus"] == "meld"
    assert metadata["label_scheme"]["name"] == "7-way"
    assert metadata["label_scheme"]["labels"][0] == "neutral"
    assert metadata["counts"]["train"]["utterances"] == 4
    assert metadata["published_counts"]["compared"] is False
    assert metadata["speaker_scheme"]
    assert metadata["split"]
    assert metadata["contents"]["text"]
    assert metadata["versions"]["pyarrow"]
    in_file = json.loads(pyarrow.parquet.read_schema(output / "train.parquet").metadata[METADATA_KEY])
    assert in_file == {key: metadata[key] for key in in_file}
    for part in PARTS:
        assert len(load_dialogues(output, split=part)) == metadata["counts"][part]["dialogues"]
    assert "2           4" in out
    assert "not the whole corpus" in out


def test_the_files_train_a_model(tmp_path, joyful):
    save_pickle(tmp_path / "features.pkl", {part: [Sample(f"Ses0{part}", [0, 1, 2, 3])] for part in PICKLED})
    assert joyful("prepare", "pickle", "features.pkl", "out")[0] == 0
    files = [word for part in PARTS for word in (f"--{part}-file", f"out/{part}.parquet")]
    settings = ["--config-json", json.dumps(SMALL_SETTINGS), "--num-train-epochs", 1]
    status, _, err = joyful("train", *files, "--output-dir", "run", *settings)
    assert status == 0, err
    results = json.loads((tmp_path / "run" / "test_results.json").read_text())
    assert "test_f1_neutral" in results


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["iemocup", "x", "out"], "did you mean iemocap"),
        (["meld", "x", "out", "--label-scheme", "6way"], "unknown label scheme of meld '6way'; did you mean 7-way"),
        (["meld", "x", "out", "--split", "session-folds"], "unknown split of meld"),
        (["meld", "nowhere", "out"], "nowhere: there is no such file or folder"),
        (
            ["meld", "empty", "there"],
            "there: is not empty, and nothing in it is overwritten; choose",
        ),
        (["meld", "empty", "out"], "train_sent_emo.csv is missing"),
    ],
)
def test_bad_arguments_end_with_one_line(arguments, message, joyful, tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "there" / "file", "kept")
    status, _, err = joyful("prepare", *arguments)
    assert status == 2
    assert message in err
    assert err.startswith("joyful: error: ")
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file", "there"]


def test_a_run_that_fails_midway_leaves_nothing(meld, tmp_path, monkeypatch):
    def fail(*_):
        raise DialogueError("midway")

    monkeypatch.setattr(FileCounts, "add", fail)
    with pytest.raises(DialogueError, match="midway"):
        prepare_corpus("meld", meld, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def counts(dialogues: int, **labels: int) -> FileCounts:
    return FileCounts(dialogues, sum(labels.values()), labels=FileCounts().labels + labels_of(labels))


def labels_of(labels):
    counter = FileCounts().labels
    counter.update(labels)
    return counter


PUBLISHED = PublishedCounts(
    "a paper", {"train+validation": 10, "test": 2}, {"test": 5}, {"train+validation": {"joy": 7}, "test": {"joy": 5}}
)


def test_counts_as_published_leave_nothing_to_report():
    here = {"train": counts(8, joy=6), "validation": counts(2, joy=1), "test": counts(2, joy=5)}
    assert compare_counts(here, PUBLISHED) == []


def test_each_difference_from_published_counts_is_reported():
    here = {"train": counts(8, joy=6), "validation": counts(1, joy=1), "test": counts(2, joy=4)}
    differences = compare_counts(here, PUBLISHED)
    assert [(one.split, one.what, one.published, one.here) for one in differences] == [
        ("train+validation", "dialogues", 10, 9),
        ("test", "utterances", 5, 4),
        ("test", "joy", 5, 4),
    ]


def test_a_part_of_a_corpus_is_not_compared():
    assert compare_counts({"train": counts(1), "test": counts(2)}, PUBLISHED) is None


def test_of_folds_the_first_is_compared_as_it_holds_the_whole_corpus():
    fold = {"train": counts(8, joy=6), "validation": counts(2, joy=1), "test": counts(2, joy=5)}
    here = {f"fold{number}/{name}": of_file for number in (1, 2) for name, of_file in fold.items()}
    joined = join_splits(PUBLISHED, ("train+validation", "test"))
    assert joined.dialogues == {"train+validation+test": 12}
    assert joined.labels == {"train+validation+test": {"joy": 12}}
    assert compare_counts(here, joined)[0].what == "utterances"  # of which PUBLISHED tells the test set's alone


def test_every_tenth_dialogue_is_held_out_and_at_least_one_of_two():
    train, validation = hold_out(range(25))
    assert validation == [9, 19]
    assert train == [number for number in range(25) if number not in (9, 19)]
    assert hold_out(["a", "b"]) == (["a"], ["b"])
    assert hold_out(["a"]) == (["a"], [])


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        ("It\x92s", "It’s"),
        ("Itâ€™s", "It’s"),
        ("â€œNoâ€\x9d", "“No”"),
        ("so\x85", "so…"),
        ("café â€ñ", "café â€ñ"),
        ("“right” – already…", "“right” – already…"),
    ],
)
def test_quotes_that_were_decoded_wrongly_are_mended_and_the_rest_is_left(stored, meant):
    assert mend_quotes(stored) == meant
