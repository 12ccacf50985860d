"""Low-rank updates: they begin with nothing, reach every layer, and are merged without a trace."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from joyful_hf.modeling.lora import add_low_rank_updates, has_low_rank_updates, merge_low_rank_updates
from tests.modeling.test_speech_encoder import SPEECH_CONFIG
from tests.support.helpers import TEXT_CONFIG

CONFIGS = {"bert": TEXT_CONFIG, "wavlm": SPEECH_CONFIG}


@pytest.fixture(params=CONFIGS)
def encoder(request):
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(**CONFIGS[request.param])).eval()


def output(encoder) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if encoder.main_input_name == "input_ids":
        return encoder(input_ids=torch.randint(20, (3, 7), generator=generator)).last_hidden_state
    return encoder(torch.randn(3, 500, generator=generator)).last_hidden_state


def test_they_begin_with_nothing_and_are_merged_without_a_trace(encoder):
    before, names = output(encoder), list(encoder.state_dict())
    add_low_rank_updates(encoder, rank=2, alpha=4)
    assert has_low_rank_updates(encoder)
    assert torch.equal(output(encoder), before)
    for name, parameter in encoder.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    changed = output(encoder)
    assert not torch.allclose(changed, before, atol=1e-2)
    merge_low_rank_updates(encoder)
    assert not has_low_rank_updates(encoder)
    torch.testing.assert_close(output(encoder), changed, rtol=1e-4, atol=1e-5)
    assert list(encoder.state_dict()) == names
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_every_update_learns_and_nothing_else(encoder):
    add_low_rank_updates(encoder, rank=2, alpha=4)
    output(encoder).square().sum().backward()
    learning = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(name.endswith(("lora_A", "lora_B")) for name in learning)
    reached = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert {name for name in learning if name.endswith("lora_B")} <= reached
    kinds = ("query", "value", "dense") if encoder.main_input_name == "input_ids" else ("q_proj", "intermediate_dense")
    assert all(any(kind in name for name in reached) for kind in kinds)
