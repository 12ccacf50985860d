"""The same numbers on two processes as on one: `torchrun` starts them, on the CPU, over gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import two_processes
from tests.support.one_step import STEP_CASES, one_step
from tests.support.two_processes import EVALUATED_CASES

ROOT = Path(__file__).resolve().parents[2]
CHOSEN_QUICKLY = ("joyful-recommended", "foal-net-with-text")
CHOOSING_CASES = [
    pytest.param(case, id=case.name, marks=[] if case.name in CHOSEN_QUICKLY else pytest.mark.slow)
    for case in EVALUATED_CASES
]
NUM_UTTERANCES = sum(len(dialogue["utterances"]) for dialogue in two_processes.EVALUATED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """The folder that two processes fill; of the cases of `CHOOSING_CASES` with those that are to be tested."""
    chosen = {item.callspec.params["choosing"].name for item in request.session.items if _is_of_a_choice(item)}
    folder = tmp_path_factory.mktemp("two")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finished = subprocess.run(
        [sys.executable, *command, str(ROOT / "tests/support/two_processes.py"), str(folder), *sorted(chosen)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    (folder / "stdout").write_text(finished.stdout)
    (folder / "stderr").write_text(finished.stderr)
    return folder


def _is_of_a_choice(item: pytest.Item) -> bool:
    return "choosing" in getattr(getattr(item, "callspec", None), "params", {})


@pytest.fixture(scope="module")
def two(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return two_processes.run(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def steps(folder):
    return torch.load(folder / "steps.pt", weights_only=True)


def scores(metrics):
    return {name: value for name, value in metrics.items() if "f1" in name or "accuracy" in name}


def timeless(metrics):
    return {name: value for name, value in metrics.items() if not name.endswith(("time", "per_second"))}


def test_there_are_two(one, two):
    assert (one["processes"], two["processes"]) == (1, 2)


def test_every_utterance_counts_exactly_once(one, two):
    assert one["utterances"] == two["utterances"] == NUM_UTTERANCES
    np.testing.assert_allclose(two["predictions"], one["predictions"], atol=1e-5)


@pytest.mark.parametrize("metrics", ["metrics", "metrics of a stream"])
def test_the_metrics_are_those_of_one_process(one, two, metrics):
    assert scores(two[metrics]) == pytest.approx(scores(one[metrics]))
    assert len(scores(two[metrics])) >= 7
    assert timeless(two[metrics]) == pytest.approx(timeless(one[metrics]), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("case", EVALUATED_CASES, ids=lambda case: case.name)
def test_an_evaluation_is_that_of_one_process_to_the_last_utterance(one, two, case):
    expected, found = (results["evaluations"][case.name] for results in (one, two))
    np.testing.assert_allclose(found["predictions"], expected["predictions"], atol=1e-5)
    assert {"eval_loss", "eval_loss_classification"} <= expected["metrics"].keys()
    assert timeless(found["metrics"]) == pytest.approx(timeless(expected["metrics"]), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("choosing", CHOOSING_CASES)
def test_the_same_checkpoint_is_chosen_as_by_one_process(folder, tmp_path, choosing):
    found = torch.load(folder / "choices.pt", weights_only=True)[choosing.name]
    expected = two_processes.run_choice(tmp_path, choosing)
    assert len(expected["validations"]) == 4
    assert found["validations"] == pytest.approx(expected["validations"], rel=1e-4)
    assert found["step"] == expected["step"]
    assert found["score"] == pytest.approx(expected["score"])
    torch.testing.assert_close(found["weights"], expected["weights"], rtol=1e-4, atol=1e-5)


def test_no_parameter_is_looked_for_in_vain(folder):
    """Each takes part in each step: DDP would warn if it were told to look for others."""
    assert "find_unused_parameters" not in (folder / "stderr").read_text()


@pytest.mark.parametrize("order", ["random", "sequential", "group_by_length", "stream"])
def test_every_dialogue_is_seen_once_an_epoch(two, order):
    assert two["seen"][order] == list(range(1, 24))


def test_the_last_batch_is_dropped_on_all_processes_together(two):
    assert two["seen"]["odd stream"] == list(range(1, 22))
    assert two["seen"]["last batch dropped"] == list(range(1, 21))


@pytest.mark.parametrize("case", STEP_CASES, ids=lambda case: case.name)
def test_a_step_is_the_step_of_one_process(steps, tmp_path, case):
    whole = one_step(tmp_path, case, batch_size=5)
    largest = whole["gradient"].abs().max().clamp(min=1)
    assert steps[case.name].keys() == set(two_processes.cuts_of(case))
    for step in steps[case.name].values():
        assert ((step["gradient"] - whole["gradient"]).abs().max() / largest) < 1e-6
        assert step["log"] == pytest.approx(whole["log"], rel=1e-5)


def test_without_labels_both_processes_agree_that_there_is_nothing_to_score(two):
    assert not scores(two["metrics without labels"])
    assert "eval_loss_fusion" in two["metrics without labels"]


@pytest.mark.parametrize("name", ["training", "training of a stream"])
def test_both_processes_train_the_same_weights(two, name):
    assert two[name]["finite"]
    assert two[name]["largest difference"] == 0


@pytest.mark.parametrize("name", ["training", "training of a stream"])
def test_the_loss_parts_are_means_over_both_processes(two, name):
    model, _ = two_processes.MODEL.make(two_processes.EVALUATED)
    assert len(two[name]["log"]) == 5
    for entry in two[name]["log"]:
        parts = {part: torch.tensor(value) for part, value in entry.items() if part.startswith("loss_")}
        total = model.weighted_sum({part.removeprefix("loss_"): value for part, value in parts.items()})
        assert entry["loss"] == pytest.approx(total.item(), rel=1e-4)


def test_the_command_line_prints_once_and_leaves_one_checkpoint(folder):
    printed = (folder / "stdout").read_text()
    assert printed.count("checkpoint and results:") == printed.count("running on cpu, 2 processes\n") == 1
    assert {"model.safetensors", "train_results.json", "test_results.json"} <= {
        file.name for file in (folder / "out").iterdir()
    }
