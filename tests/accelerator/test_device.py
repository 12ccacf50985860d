"""The device of these tests refuses what a GPU refuses, and counts what one is asked for."""

import copy

import pytest
import torch

from tests.support.accelerator import NAME, WORK

HERE = torch.arange(6.0).view(2, 3)


def test_it_is_the_accelerator_of_this_machine():
    assert torch.accelerator.current_accelerator().type == NAME
    assert HERE.to(NAME).device == torch.device(NAME, 0)


@pytest.mark.parametrize(
    ("error", "operation"),
    [
        (RuntimeError, lambda there: there + HERE),
        (RuntimeError, lambda there: there @ HERE.T),
        (RuntimeError, lambda there: torch.cat([there, HERE])),
        (RuntimeError, lambda there: torch.rand(3, device=NAME, generator=torch.Generator())),
        (RuntimeError, lambda there: there.normal_(generator=torch.Generator())),
        (TypeError, lambda there: there.numpy()),
        (TypeError, lambda there: there.double()),
        (TypeError, lambda there: torch.zeros(3, dtype=torch.float64, device=NAME)),
        (TypeError, lambda there: torch.tensor([1.0], dtype=torch.float64, device=NAME)),
    ],
)
def test_it_refuses_what_a_gpu_refuses(error, operation):
    with pytest.raises(error):
        operation(HERE.to(NAME))


def test_doubles_can_be_allowed(doubles):
    doubles.allowed = True
    assert HERE.to(NAME).double().cpu().dtype == torch.float64


@pytest.mark.parametrize(
    ("waits", "uploads", "launches", "operation"),
    [
        (0, 0, 2, lambda there: there * 2 + 1),
        (0, 0, 0, lambda there: there.T[None, 1:].detach().squeeze(0)),
        (0, 0, 2, lambda there: there[torch.zeros(3, dtype=torch.long, device=NAME)]),
        (0, 1, 0, lambda there: HERE.to(NAME)),
        (0, 1, 0, lambda there: torch.tensor([1.0, 2.0], device=NAME)),
        (0, 1, 0, lambda there: there.copy_(HERE)),
        (1, 0, 0, lambda there: there[0, 0].item()),
        (1, 0, 0, lambda there: there.cpu()),
        (1, 0, 0, lambda there: there.tolist()),
        (1, 0, 0, lambda there: there.nonzero()),
        (1, 0, 1, lambda there: there[there > 2]),
        (1, 0, 0, lambda there: there[torch.tensor([0])]),
        (1, 0, 1, lambda there: bool((there > 2).T[0, 0])),
    ],
)
def test_it_counts_what_it_is_asked_for(waits, uploads, launches, operation):
    there = HERE.to(NAME)
    WORK.clear()
    operation(there)
    counted = (WORK.waits.total(), WORK.uploads.total(), WORK.launches.total())
    assert counted == (waits, uploads, launches), str(WORK)
    assert all("tests/accelerator/test_device.py:" in line for counter in vars(WORK).values() for line in counter)


def test_it_computes_as_the_cpu_does():
    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 4, bidirectional=True)
    runs = []
    for device in ("cpu", NAME):
        layer, steps = copy.deepcopy(gru).to(device), HERE.clone().to(device).requires_grad_()
        layer(steps)[0].square().sum().backward()
        runs.append([steps.grad.cpu(), *(weight.grad.cpu() for weight in layer.parameters())])
    for one, other in zip(*runs, strict=True):
        torch.testing.assert_close(one, other)
