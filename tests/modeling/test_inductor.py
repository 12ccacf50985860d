"""inductor on CPUs, torch's default backend: a compiled training step is that of the model."""

import copy

import pytest
import torch
from torch import nn

from joyful_hf.modeling.tracing import let_scans_compile
from tests.support.helpers import FAMILY_CASES, make_dialogues

FORMS = [case for case in FAMILY_CASES if case.name in ("joyful-released", "joyful-recommended")]


def without_chance(form):
    """A model that draws no random numbers: inductor draws them in another order than the model does."""
    model, processor = form.make(make_dialogues(), contrastive_loss_weight=0.0, num_members=1)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "modality_dropout"):
            module.modality_dropout = 0.0
    return model.train(), processor(make_dialogues((5, 9, 2, 1)), return_tensors="pt")


@pytest.fixture(autouse=True)
def scans():
    with torch._dynamo.config.patch(capture_scalar_outputs=False):
        let_scans_compile()
        yield
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_compiled_step_is_that_of_the_model(form):
    model, batch = without_chance(form)
    before = copy.deepcopy(model.state_dict())

    def step(forward):
        model.load_state_dict(before)  # the statistics of batch normalisation
        model.zero_grad()
        output = forward(**batch)
        output.loss.backward()
        gradients = {name: own.grad.clone() for name, own in model.named_parameters() if own.grad is not None}
        return [output.logits.detach(), output.loss.detach(), gradients]

    expected, found = step(model), step(torch.compile(model, backend="inductor"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
