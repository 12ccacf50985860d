"""The rivals' plain formulations: each does the same work as our model, and only then is timed beside it."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from benchmarks.speed.measuring import QUICK, Bench
from benchmarks.speed.process import measure_apart
from benchmarks.speed.rivals import RIVALS
from benchmarks.speed.rivals.process import RivalJob
from benchmarks.speed.rivals.section import rivals_section
from benchmarks.speed.rivals.workload import RivalWorkload
from benchmarks.speed.tables import summary

LENGTHS = [5, 9, 1, 23]
DROPOUTS = ("hidden_dropout_prob", "state_dropout_prob", "emotion_dropout_prob")


def without_dropout(name: str) -> RivalWorkload:
    """The tiny networks of a rival, in which nothing is dropped, and whose norms have seen some data."""
    fields = RivalWorkload(name, quick=True).config.to_dict()
    workload = RivalWorkload(name, quick=True, **{field: 0.0 for field in DROPOUTS if field in fields})
    for module in workload.plain.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    workload.ours.load_state_dict(RIVALS[name].convert(workload.plain.released_state()))
    return workload


@pytest.mark.parametrize("name", RIVALS)
def test_both_formulations_predict_the_same(name):
    workload = without_dropout(name)
    assert workload.difference(workload.corpus(LENGTHS)) <= 1e-5


@pytest.mark.parametrize("name", RIVALS)
def test_both_formulations_learn_the_same(name):
    workload = without_dropout(name)
    corpus, weights = workload.corpus(LENGTHS), dict(workload.plain.named_parameters())
    expected = workload.plain.train()(**workload.pad(corpus)).loss
    gradients = torch.autograd.grad(expected, list(weights.values()))
    converted = RIVALS[name].convert(workload.plain.released_state())
    loss = functional_call(workload.ours.train(), converted, kwargs=dict(workload.pack(corpus))).loss
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-5)
    ours = torch.autograd.grad(loss, list(weights.values()))
    for parameter, own, plain in zip(weights, ours, gradients, strict=True):
        torch.testing.assert_close(own, plain, rtol=0, atol=1e-5, msg=lambda text, name=parameter: f"{name}: {text}")


def quick_bench(*rivals: str) -> Bench:
    """The settings of a quick run on the CPU."""
    return Bench(torch.device("cpu"), QUICK, True, 1, 1, 1, 100, 100, True, rivals)


def test_a_rival_is_one_row_of_the_table():
    figures = list(rivals_section(quick_bench("dialogue-gcn", "gban")))
    assert [figure.error for figure in figures if figure.error] == []
    header, _, *rows = (line for line in summary([vars(figure) for figure in figures]) if line)
    assert "training epoch, faster" in header
    assert [row.split(":")[0] for row in rows] == ["| dialogue-gcn", "| gban"]
    assert all(row.count("|") == header.count("|") for row in rows)
    assert not any("|  |" in row for row in rows), "a cell is empty"


def test_formulations_that_differ_are_not_timed(monkeypatch):
    rival = RIVALS["dialogue-gcn"]

    def doubled(state):
        return {name: 2 * weight for name, weight in rival.convert(state).items()}

    monkeypatch.setitem(RIVALS, "dialogue-gcn", replace(rival, convert=doubled))
    difference, reason = rivals_section(quick_bench("dialogue-gcn"))
    assert difference.met is False
    assert "both formulations differ by" in reason.error


@pytest.mark.slow
def test_memory_of_a_rival_is_measured_in_a_process_of_its_own():
    job = RivalJob("lmam", "plain", [9, 40], quick=True)
    assert measure_apart(job, "benchmarks.speed.rivals.process").largest_batch == 49
