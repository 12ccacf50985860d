"""The accuracy benchmark: what it compares, what it keeps, and that its statistics are right."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import cell as accuracy_cell
from benchmarks.accuracy import paired_bootstrap
from benchmarks.accuracy.claims import Claim
from benchmarks.accuracy.equal_size import num_parameters, with_equal_size
from benchmarks.accuracy.noisy_edges import NoisyEdgesCollator, add_noisy_edges
from benchmarks.accuracy.paired_bootstrap import (
    Difference,
    PairedBootstrap,
    confusion_counts,
    weighted_f1,
)
from benchmarks.accuracy.variants import (
    DEPTH_CURVE,
    GROUPS,
    NOISE_CURVES,
    PAPER_VIEWS,
    RECOMMENDED,
    VARIANTS,
    VIEW_PAIRS,
    WINDOW_CURVE,
    Variant,
    expand_groups,
    needs_other_corpus,
)
from joyful_hf import (
    JoyfulConfig,
    JoyfulProcessor,
    load_dialogues,
    make_toy_corpus,
)
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.families import FAMILIES
from joyful_hf.processing.graph import relation_ids, window_edges
from joyful_hf.training.building import split_settings
from tests.support.helpers import make_dialogues

QUICK = ["--training-json", '{"num_train_epochs": 1, "per_device_train_batch_size": 4}']


@pytest.fixture(scope="module")
def toy_files(tmp_path_factory):
    """A toy corpus of few dialogues, as the command line takes it."""
    folder = tmp_path_factory.mktemp("toy")
    arguments = []
    for split, dialogues in make_toy_corpus(num_train=12, num_validation=4, num_test=6).items():
        write_dialogues(dialogues, folder / f"{split}.jsonl")
        arguments += [f"--{split}-file", str(folder / f"{split}.jsonl")]
    return arguments


def run(*arguments):
    """The exit status of the command."""
    return accuracy.main([str(argument) for argument in arguments])


# The paired bootstrap.


def random_classes(rng, lengths, num_labels):
    return [rng.integers(num_labels, size=length).tolist() for length in lengths]


@given(st.integers(0, 1000), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(2, 4))
def test_f1_of_confusion_counts_is_that_of_scikit_learn(seed, lengths, num_labels):
    rng = np.random.default_rng(seed)
    gold, predicted = (random_classes(rng, lengths, num_labels) for _ in range(2))
    expected = f1_score(np.concatenate(gold), np.concatenate(predicted), average="weighted", zero_division=0)
    assert weighted_f1(confusion_counts(gold, predicted, num_labels).sum(0)) == pytest.approx(expected)


def test_an_unknown_label_does_not_count():
    counts = confusion_counts([[0, -100, 1]], [[0, 1, 1]], 2)
    assert counts.tolist() == [[[1, 0], [0, 1]]]


def test_bootstrap_is_the_brute_force_one(monkeypatch):
    monkeypatch.setattr(paired_bootstrap, "_RESAMPLES_PER_CHUNK", 25)
    rng = np.random.default_rng(0)
    lengths, num_labels, resamples, seeds = [3, 7, 1, 5], 3, 60, 2
    gold = random_classes(rng, lengths, num_labels)
    predictions = {name: [random_classes(rng, lengths, num_labels) for _ in range(seeds)] for name in "ab"}
    confusions = {
        name: np.stack([confusion_counts(gold, one, num_labels) for one in of_seeds])
        for name, of_seeds in predictions.items()
    }
    bootstrap = PairedBootstrap(confusions, resamples, seed=3)

    generator = np.random.default_rng(3)
    expected = {name: [] for name in predictions}
    # More than one chunk of draws, which come from one stream.
    for times in generator.multinomial(4, np.full(4, 0.25), resamples):
        drawn = np.repeat(np.arange(4), times)
        true = np.concatenate([gold[dialogue] for dialogue in drawn])
        for name, of_seeds in predictions.items():
            scores = [
                f1_score(true, np.concatenate([one[d] for d in drawn]), average="weighted", zero_division=0)
                for one in of_seeds
            ]
            expected[name].append(np.mean(scores))
    for name, scores in expected.items():
        np.testing.assert_allclose(bootstrap.drawn[name], scores, atol=1e-12)

    difference = np.subtract(expected["a"], expected["b"])
    found = bootstrap.difference("a", "b")
    assert [found.low, found.high] == pytest.approx(np.percentile(difference, [2.5, 97.5]))
    rarer = min((difference <= 0).sum(), (difference >= 0).sum())
    assert found.p == pytest.approx(min(1, 2 * (rarer + 1) / (resamples + 1)))
    assert found.value == pytest.approx(bootstrap.scores["a"] - bootstrap.scores["b"])


def test_a_system_does_not_differ_from_itself():
    counts = confusion_counts([[0, 1], [1, 1]], [[0, 0], [1, 0]], 2)[None]
    found = PairedBootstrap({"a": counts, "b": counts}, 50).difference("a", "b", "b")
    assert found == Difference(0, 0, 0, 1)


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.01, 0.03, 0, "holds"),
        (-0.01, 0.03, 0, "not distinguishable"),
        (-0.03, -0.01, 0, "does not hold"),
        (-0.02, 0.01, 0.03, "holds"),
        (-0.04, -0.01, 0.03, "not distinguishable"),
    ],
)
def test_a_claim_is_judged_by_the_whole_interval(low, high, margin, verdict):
    assert Claim("", "a", ("b",), margin).judge(Difference((low + high) / 2, low, high, 0.1)) == verdict


# What is compared.


@pytest.mark.parametrize(
    "dims", [{"text_dim": 384}, {"text_dim": 384, "audio_dim": 73}, {"text_dim": 8, "audio_dim": 6, "visual_dim": 4}]
)
@pytest.mark.parametrize("name", ["bigru-equal", "transformer-equal"])
def test_equal_baselines_have_as_many_parameters(name, dims):
    shared = {**dims, "num_labels": 6, "relation_scheme": "same_or_other"}
    settings = with_equal_size(VARIANTS["joyful"][name].settings, shared)
    wanted = num_parameters(JoyfulConfig(**shared))
    assert num_parameters(JoyfulConfig(**{**shared, **settings})) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("model", VARIANTS)
def test_every_variant_and_group_is_known_to_the_model(model):
    family = FAMILIES[model]
    for variant in VARIANTS[model].values():
        split_settings(family, dict(variant.settings))
        assert variant.preset is None or variant.preset in family.presets
    assert all(names[0] == RECOMMENDED for names in GROUPS[model].values())
    assert {name for names in GROUPS[model].values() for name in names} == set(VARIANTS[model])


def test_groups_expand_to_each_variant_once():
    assert expand_groups("joyful", ["paper", "depth", "noise"]) == [
        *("paper", "recommended", "depth-2", "depth-4", "depth-8"),
        *("noise-5", "noise-10", "noise-15", "noise-20"),
    ]
    with pytest.raises(ValueError, match="no 'dept'; did you mean depth"):
        expand_groups("joyful", ["dept"])


def test_the_recommended_model_is_a_point_of_every_curve():
    assert VARIANTS["joyful"][RECOMMENDED] == Variant()
    assert DEPTH_CURVE[1] == WINDOW_CURVE[8] == NOISE_CURVES[1][0] == VIEW_PAIRS[PAPER_VIEWS] == RECOMMENDED
    assert NOISE_CURVES[4][20] == "depth-4-noise-20"
    assert [*WINDOW_CURVE.values()][-2:] == ["window-16", "window-all"]
    for window, name in WINDOW_CURVE.items():
        settings = {"window_past": window, "window_future": window}
        assert VARIANTS["joyful"][name].settings == ({} if name == RECOMMENDED else settings)
    assert len(VIEW_PAIRS) == 28


@pytest.mark.parametrize(
    ("name", "modalities", "reason"),
    [
        ("text", ["text", "audio"], None),
        ("visual", ["text", "audio"], "no visual features"),
        ("text", ["text"], "it would be the recommended model"),
        ("recommended", ["text"], None),
    ],
)
def test_variants_without_a_meaning_for_the_corpus_say_why(name, modalities, reason):
    found = needs_other_corpus(VARIANTS["joyful"][name], modalities, single_label=True)
    assert found is None if reason is None else reason in found


# Noisy edges.


@pytest.mark.parametrize("scheme", ["same_or_other", "speaker_pair"])
def test_noisy_edges_stay_inside_dialogues_and_fit_their_relations(scheme):
    dialogues = make_dialogues([30, 3, 25], speakers=3)
    parameters = {"relation_scheme": scheme, "max_speakers": 3, "window_past": 2, "window_future": 2}
    processor = JoyfulProcessor.from_dialogues(dialogues, **parameters)
    encoded = processor.encode(dialogues)
    noisy = add_noisy_edges(encoded, processor, 0.2, seed=1)
    clean, batch = (NoisyEdgesCollator(processor)(list(rows)) for rows in (encoded, noisy))

    known = clean["edge_index"].size(1)
    assert torch.equal(batch["edge_index"][:, :known], clean["edge_index"])
    added = batch["edge_index"][:, known:]
    dialogue = torch.repeat_interleave(torch.arange(3), clean["dialogue_lengths"])
    assert torch.equal(dialogue[added[0]], dialogue[added[1]])
    for index, length in enumerate([30, 3, 25]):
        own_edges = window_edges(np.array([length]), 2, 2).shape[1]
        assert (dialogue[added[0]] == index).sum() == round(0.2 * own_edges)
    expected = relation_ids(batch["edge_index"].numpy(), batch["speaker_ids"].numpy(), scheme, 3)
    assert batch["edge_type"].tolist() == expected.tolist()
    # New ones wherever there is room for some, which the dialogue of three utterances has not.
    of_long = added[:, dialogue[added[0]] != 1]
    assert len({*zip(*of_long.tolist(), strict=True)}) == of_long.size(1)
    assert not {*zip(*of_long.tolist(), strict=True)} & {*zip(*clean["edge_index"].tolist(), strict=True)}


def test_noisy_edges_are_the_same_for_the_same_seed(dialogues):
    processor = JoyfulProcessor.from_dialogues(dialogues)
    encoded = processor.encode(dialogues)
    first, again, other = (add_noisy_edges(encoded, processor, 0.2, seed) for seed in (1, 1, 2))
    edges = [np.concatenate([one.noisy_edges for one in noisy], axis=1) for noisy in (first, again, other)]
    assert np.array_equal(edges[0], edges[1])
    assert not np.array_equal(edges[0], edges[2])


# The corpus and its results.


def test_gold_labels_and_predictions_lie_as_the_dialogues_do(toy_files, tmp_path):
    output = tmp_path / "folds.json"
    train_file = toy_files[1]
    assert (
        run("--train-file", train_file, "--folds", 3, "--seeds", 2, "--variants", "majority", "--output", output) == 0
    )
    results = json.loads(output.read_text())
    labels = results["corpus"]["labels"]
    expected = [[one["label"] for one in dialogue["utterances"]] for dialogue in load_dialogues(train_file)]
    assert [[labels[index] for index in dialogue] for dialogue in results["corpus"]["gold"]] == expected
    for seed in range(2):
        cell = results["cells"][f"joyful/majority/{seed}"]
        assert [len(dialogue) for dialogue in cell["predictions"]] == [len(dialogue) for dialogue in expected]
        hits = np.concatenate(cell["predictions"]) == np.concatenate(results["corpus"]["gold"])
        assert cell["test"]["accuracy"] == pytest.approx(hits.mean())


def test_a_finished_cell_is_not_run_again(toy_files, tmp_path, monkeypatch, capsys):
    ran = []

    def counted(corpus, model, variant, seed, training):
        ran.append((variant.classifier, seed))
        if len(ran) == 2:
            raise KeyboardInterrupt
        return accuracy_cell.run_cell(corpus, model, variant, seed, training)

    monkeypatch.setattr(accuracy, "run_cell", counted)
    command = [*toy_files, "--seeds", 2, "--variants", "majority", "--output", tmp_path / "results.json"]
    with pytest.raises(KeyboardInterrupt):
        run(*command)
    assert run(*command) == 0
    assert ran == [("majority", 0), ("majority", 1), ("majority", 1)]
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]

    capsys.readouterr()
    assert run(*command, *QUICK) == 0
    assert "joyful/majority/0: its settings have changed, it is run again" in capsys.readouterr().out
    assert len(ran) == 5


def test_results_of_another_corpus_are_refused(toy_files, tmp_path, capsys):
    output = tmp_path / "results.json"
    assert run(*toy_files, "--seeds", 1, "--variants", "majority", "--output", output) == 0
    before = output.read_text()
    train_file = toy_files[1]
    assert (
        run("--train-file", train_file, "--folds", 2, "--seeds", 1, "--variants", "majority", "--output", output) == 2
    )
    assert "of other dialogues or of another number of folds" in capsys.readouterr().err
    assert output.read_text() == before

    output.write_text('{"cells": {}}')
    assert run(*toy_files, "--output", output) == 2
    assert "holds no results of this benchmark" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --train-file"),
        (["--corpus", "toy", "--variants", "all"], "joyful has no 'all'"),
        (["--train-file", "a", "--test-file", "b", "--folds", "2"], "--folds splits"),
        (["--corpus", "toy", "--training-json", '{"lr": 1}'], "unknown training arguments lr"),
        (["--corpus", "toy", "--seeds", "0"], "at least 1"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_models_and_baselines_share_a_table(toy_files, tmp_path, capsys):
    output, folder = tmp_path / "toy.json", tmp_path / "report"
    names = ["recommended", "majority", "logistic-regression", "no-contrast", "noise-20", "depth-2"]
    common = ["--seeds", 1, "--variants", *names, "--output", output, "--report", folder]
    assert run(*toy_files, *common, *QUICK) == 0
    printed = capsys.readouterr().out
    for name in names:
        assert f"| {name} |" in printed
    assert "Contrast helps: recommended − no-contrast" in printed
    for name in ("variants", "depth", "noise", "class_f1", "confusion"):
        for suffix in ("png", "svg"):
            assert (folder / f"{name}.{suffix}").stat().st_size > 1000
    assert not (folder / "window.png").exists()

    tables = (folder / "tables.md").read_text()
    assert run("--table-only", *common) == 0
    assert (folder / "tables.md").read_text() == tables, "the results do not stand alone"


@pytest.mark.parametrize(
    ("label", "metric"),
    [(lambda rng: float(rng.normal()), "mean absolute error"), (lambda rng: ["joy", "fear"][: rng.integers(3)], "")],
    ids=["regression", "several labels"],
)
def test_other_tasks_are_measured_without_a_bootstrap(label, metric, tmp_path, capsys):
    file = tmp_path / "train.jsonl"
    write_dialogues(make_dialogues([4] * 6, label=label), file)
    command = ["--train-file", file, "--test-file", file, "--seeds", 1, "--output", tmp_path / "results.json"]
    names = ["--variants", "recommended", "majority", "no-graph"]
    assert run(*command, *names, *QUICK, "--report", tmp_path / "report") == 0
    printed = capsys.readouterr().out
    assert "joyful/majority is left out: it needs one class per utterance" in printed
    assert f"test {metric or 'weighted F1'}" in printed
    assert "No bootstrap" in printed
    assert (tmp_path / "report" / "variants.png").exists()
    assert not (tmp_path / "report" / "confusion.png").exists()


@pytest.mark.slow
def test_everything_runs(toy_files, tmp_path, capsys):
    output, folder = tmp_path / "toy.json", tmp_path / "report"
    groups = ["baselines", "presets", "ablations", "modalities", "depth", "window", "noise"]
    names = [*groups, "depth-2-noise-20", "views-none-none"]
    common = ["--seeds", 1, "--variants", *names, "--output", output, "--report", folder, *QUICK]
    assert run(*toy_files, *common) == 0
    cells = json.loads(output.read_text())["cells"]
    assert [key.split("/")[1] for key in cells] == expand_groups("joyful", names)
    assert capsys.readouterr().out.count("**") == 2 * 7
    for name in ("variants", "depth", "noise", "window", "views", "class_f1", "confusion"):
        assert (folder / f"{name}.png").exists()
