"""A whole comparison: what it trains, what it keeps, and what it reports."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.comparison import cells, run
from joyful_hf.comparison.corpora import Corpus, Split
from joyful_hf.comparison.entrants import parse_entrants
from joyful_hf.comparison.run import Plan, compare
from joyful_hf.comparison.significance import main_score
from joyful_hf.comparison.tables import as_latex
from joyful_hf.comparison.trials import SAMPLERS

ONE_EPOCH = {"num_train_epochs": 1, "per_device_train_batch_size": 4}


@pytest.fixture
def plan(source, tmp_path):
    """Two models with two seeds, one epoch each."""
    entrants = parse_entrants(["bigru", "majority"], {"bigru": {"contextual_size": 8}}, ONE_EPOCH)
    return Plan([source], entrants, tmp_path / "comparison", num_seeds=2)


@pytest.fixture
def said():
    """What a comparison reports."""
    return []


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    """A finished comparison with all of its reports: plan, results and lines."""
    lines = []
    models = ["bigru", "logistic-regression", "majority"]
    entrants = parse_entrants(models, {"bigru": {"contextual_size": 8}}, ONE_EPOCH)
    plan = Plan([source], entrants, tmp_path_factory.mktemp("comparison"), num_seeds=2, watch_test=True)
    return plan, compare(plan, lines.append), lines


def test_the_best_model_comes_first_and_the_others_are_compared_with_it(finished):
    _, (result,), _ = finished
    means = [result.mean(row) for row in result.ranked]
    assert means == sorted(means, reverse=True)
    assert set(result.differences) == {row.title for row in result.ranked[1:]}
    for row in result.ranked[1:]:
        assert result.differences[row.title].effect == pytest.approx(result.mean(row) - means[0])
        assert result.corrected_p[row.title] >= result.differences[row.title].p


def test_the_score_of_the_counts_is_the_reported_score(finished):
    _, (result,), _ = finished
    for row in result.rows:
        scores = [main_score(result.problem_type, counts.sum(0)) for counts in row.counts]
        assert scores == pytest.approx(row.test[result.metric])


def test_reports_are_written_in_every_form(finished):
    plan, (result,), _ = finished
    text = (plan.output_dir / "comparison.md").read_text()
    assert "| model | parameters |" in text
    assert f"{result.ranked[0].title} has the best mean weighted F1" in text
    assert "![small](comparison_small.png)" in text
    assert (plan.output_dir / "comparison_small.png").stat().st_size > 5000
    record = json.loads((plan.output_dir / "comparison.json").read_text())["corpora"][0]
    assert [model["model"] for model in record["models"]] == [row.name for row in result.ranked]
    with (plan.output_dir / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 2
    assert float(lines[0]["test_weighted_f1"]) == result.rows[0].test["weighted_f1"][0]
    latex = (plan.output_dir / "comparison.tex").read_text()
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1
    assert r"$\pm$" in latex


def test_the_habit_of_choosing_by_the_test_score_stands_under_its_own_name(finished):
    plan, (result,), _ = finished
    assert "chosen on test (not a fair score)" in (plan.output_dir / "comparison.md").read_text()
    (bigru,) = [row for row in result.rows if row.name == "bigru"]
    selected = [folds[0].test_selected for folds in bigru.outcomes]
    assert all(best >= fair - 1e-9 for best, fair in zip(selected, bigru.test["weighted_f1"], strict=True))


def test_a_decision_without_probabilities_has_no_calibration_error(finished):
    _, (result,), _ = finished
    assert {row.name for row in result.rows if "ece" in row.test} == {"bigru"}


def test_costs_are_measured(finished):
    _, (result,), _ = finished
    (bigru,) = [row for row in result.rows if row.name == "bigru"]
    assert bigru.cost("seconds_per_epoch") > 0
    assert bigru.cost("peak_memory") >= 0
    assert bigru.parameters > 1000
    (majority,) = [row for row in result.rows if row.name == "majority"]
    assert np.isnan(majority.cost("seconds_per_epoch"))


def test_a_finished_cell_is_not_run_again(plan, said, monkeypatch):
    first = compare(plan, said.append)
    monkeypatch.setattr(run, "run_cell", lambda *_: pytest.fail("a finished cell was run again"))
    second = compare(plan, said.append)
    assert "4 cells of 4 finished already" in said
    for before, after in zip(first[0].rows, second[0].rows, strict=True):
        np.testing.assert_array_equal(before.counts, after.counts)


def test_a_cell_is_run_again_when_its_settings_or_dialogues_have_changed(plan, said, monkeypatch, toy_folder):
    plan = replace(plan, entrants=plan.entrants[1:])
    compare(plan, said.append)
    ran = []
    real = cells.run_cell
    monkeypatch.setattr(run, "run_cell", lambda corpus, cell: ran.append(cell.key) or real(corpus, cell))
    other = replace(plan.sources[0], test_file=str(toy_folder / "validation.jsonl"))
    compare(replace(plan, sources=[other]), said.append)
    assert len(ran) == 2


def test_a_cell_that_fails_costs_no_other(plan, said, monkeypatch):
    real = cells.run_cell

    def fails_once(corpus, cell):
        if cell.entrant.name == "bigru" and cell.seed == 1:
            raise RuntimeError("out of luck")
        return real(corpus, cell)

    monkeypatch.setattr(run, "run_cell", fails_once)
    with pytest.raises(DialogueError, match=r"1 cell failed \(small/bigru/all/seed-1\).*RuntimeError: out of luck"):
        compare(plan, said.append)
    record = json.loads((plan.output_dir / "comparison.json").read_text())
    assert [model["model"] for model in record["corpora"][0]["models"]] == ["majority"]
    monkeypatch.setattr(run, "run_cell", real)
    (result,) = compare(plan, said.append)
    assert "3 cells of 4 finished already" in said
    assert len(result.rows) == 2


def test_everything_is_checked_before_anything_is_trained(plan, monkeypatch):
    monkeypatch.setattr(run, "run_cell", lambda *_: pytest.fail("a cell was run"))
    wrong = parse_entrants(["majority", "joyful"], {"graph_num_layer": 2})
    with pytest.raises(DialogueError, match=r"joyful on small: .*graph_num_layer"):
        compare(replace(plan, entrants=wrong))
    wrong = parse_entrants(["majority", "joyful"], training={"learning_rat": 2})
    with pytest.raises(DialogueError, match=r"joyful on small: .*learning_rat"):
        compare(replace(plan, entrants=wrong))
    with pytest.raises(DialogueError, match="unknown taste"):
        compare(replace(plan, modalities=[("taste",)]))
    with pytest.raises(DialogueError, match="is there twice"):
        compare(replace(plan, sources=[*plan.sources, *plan.sources]))


def test_subsets_of_modalities_are_rows_of_their_own(plan, said):
    plan = replace(plan, entrants=plan.entrants[:1], modalities=[(), ("text",)], num_seeds=1)
    (result,) = compare(plan, said.append)
    assert {row.title for row in result.rows} == {"bigru", "bigru (text)"}
    sizes = {row.title: row.parameters for row in result.rows}
    assert sizes["bigru (text)"] < sizes["bigru"]


def test_folds_are_scored_together(plan, said):
    source = replace(plan.sources[0], validation_file=None, test_file=None, group_key="session")
    plan = replace(plan, sources=[source], entrants=plan.entrants[1:], num_seeds=1)
    (result,) = compare(plan, said.append)
    assert result.num_dialogues == 12
    assert result.rows[0].counts.sum() == result.num_utterances


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trials_choose_on_validation_and_are_kept(plan, said, monkeypatch, sampler):
    plan = replace(plan, num_seeds=1, num_trials=1, sampler=sampler)
    scores = iter([0.1, 0.9])
    monkeypatch.setattr(run, "validate", lambda corpus, cell: next(scores))
    (result,) = compare(plan, said.append)
    (bigru,) = [row for row in result.rows if row.name == "bigru"]
    (search,) = bigru.searches.values()
    assert search.scores == {0: 0.1, 1: 0.9}
    assert "learning_rate" in search.changed(search.best)
    text = (plan.output_dir / "comparison.md").read_text()
    assert "with its own settings and with 1 other drawn" in text
    assert re.search(r"^\| bigru \| 0\.100 \| 0\.900 \| .*learning_rate [\d.]+", text, re.MULTILINE)
    (record,) = json.loads((plan.output_dir / "comparison.json").read_text())["corpora"]
    tried = {model["model"]: [trial["chosen"] for trial in model["trials"]] for model in record["models"]}
    assert tried == {"bigru": [False, True], "majority": []}
    again = []
    compare(plan, again.append)  # there is no third score
    assert "2 trials of 2 finished already" in again
    assert "2 cells of 2 finished already" in again


def test_a_trial_does_not_read_the_test_dialogues(plan, corpus, monkeypatch):
    cell = next(plan.cells({plan.sources[0]: corpus}))
    split = replace(corpus.split(0).data, test=None)
    monkeypatch.setattr(Corpus, "split", lambda *_: Split(split, np.arange(0)))
    assert 0 <= cells.validate(corpus, cell) <= 1


@pytest.mark.parametrize(
    ("changes", "searched"),
    [
        ({}, {"seed-0"}),
        ({"test_file": None, "group_key": "session"}, {"seed-0-fold-0", "seed-0-fold-1"}),
        ({"test_file": None, "folds": 2}, {f"seed-{seed}-fold-{fold}" for seed in (0, 1) for fold in (0, 1)}),
    ],
    ids=["fixed", "groups", "folds"],
)
def test_no_trial_is_validated_on_what_its_cells_are_tested_on(plan, changes, searched):
    source = replace(plan.sources[0], **changes)
    cell = cells.Cell(source, plan.entrants[0])
    all_cells = [replace(cell, seed=seed, fold=fold) for seed in (0, 1) for fold in (0, 1)]
    assert {each.searched.key.rpartition("/")[2] for each in all_cells} == searched


def test_a_trial_that_fails_costs_no_other_model(plan, said, monkeypatch):
    monkeypatch.setattr(run, "validate", lambda *_: 1 / 0)
    with pytest.raises(DialogueError, match=r"small/bigru/all/seed-0.*ZeroDivisionError"):
        compare(replace(plan, num_trials=1), said.append)
    record = json.loads((plan.output_dir / "comparison.json").read_text())
    assert [model["model"] for model in record["corpora"][0]["models"]] == ["majority"]


def test_the_recipe_of_a_preset_is_said_and_reported(plan, said, monkeypatch):
    entrants = parse_entrants(["sdt:released", "majority"], training={"num_train_epochs": 1})
    monkeypatch.setattr(run, "check_cell", lambda *_: None)
    outcome = compare(replace(plan, entrants=plan.entrants[1:], num_seeds=1), said.append)[0].rows[0].outcomes[0][0]
    monkeypatch.setattr(run, "run_cell", lambda *_: outcome)
    compare(replace(plan, entrants=entrants, num_seeds=1), said.append)
    (line,) = [line for line in said if line.startswith("sdt:released:")]
    assert "learning_rate 0.0001" in line
    assert "num_train_epochs 1" in line
    text = (plan.output_dir / "comparison.md").read_text()
    assert "| sdt:released | 0.0001 | 16 | 1 | 1e-05 | class_balance 1," in text


def test_a_modality_that_a_model_would_not_read_is_refused(plan):
    wrong = replace(plan, entrants=parse_entrants(["foal-net"]), modalities=[("text", "audio")])
    with pytest.raises(DialogueError, match=r"foal-net on small: `modalities`: .* it reads audio, and no text"):
        compare(wrong)


@pytest.mark.slow
def test_processes_give_the_same_as_one(plan, said):
    plan = replace(plan, num_seeds=1)
    alone = compare(plan, said.append)
    together = compare(replace(plan, output_dir=plan.output_dir / "two", num_proc=2), said.append)
    for before, after in zip(alone[0].rows, together[0].rows, strict=True):
        np.testing.assert_array_equal(before.counts, after.counts)


def test_what_latex_would_read_as_a_command_is_escaped():
    text = as_latex(["a_b", "c"], [["50 % & more", "0.5 ± 0.1"]], "x_y")
    assert r"a\_b & c \\" in text
    assert r"50 \% \& more & 0.5 $\pm$ 0.1 \\" in text
