"""Initial weights are those the originals trained with, and loading touches nothing that a file gives."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from joyful_hf import (
    ARIIGCNConfig,
    ARIIGCNModel,
    JoyfulConfig,
    JoyfulModel,
)
from joyful_hf.modeling.attention import RelativePositionBias
from joyful_hf.modeling.fusion import AutoencoderFusion, SpecificBranch
from joyful_hf.modeling.graph_convolution import RelationalGraphConvolution
from tests.support.helpers import make_dialogues


def assert_uniform(tensor: torch.Tensor, bound: float) -> None:
    """Drawn between -bound and bound, as far as its size tells."""
    assert tensor.abs().max() <= bound
    if tensor.numel() >= 256:
        assert tensor.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)


@pytest.fixture(scope="module", params=["recommended", "paper", "released", "ar-iigcn"])
def model(request):
    if request.param == "ar-iigcn":
        return ARIIGCNModel(ARIIGCNConfig(text_dim=64, audio_dim=16, visual_dim=32))
    make = {"recommended": JoyfulConfig, "paper": JoyfulConfig.paper, "released": JoyfulConfig.released}
    sizes = {"projection_size": 64, "autoencoder_size": 64, "bottleneck_size": 32, "intermediate_size": 64}
    return JoyfulModel(make[request.param](text_dim=64, audio_dim=16, visual_dim=32, max_speakers=2, **sizes))


class TestFresh:
    """torch's defaults, not the N(0, 0.02) of transformers."""

    def test_linear_and_recurrent_layers(self, model):
        for module in model.modules():
            if isinstance(module, nn.Linear):
                for parameter in module.parameters():
                    assert_uniform(parameter, 1 / math.sqrt(module.in_features))
            elif isinstance(module, nn.GRU):
                for parameter in module.parameters():
                    assert_uniform(parameter, 1 / math.sqrt(module.hidden_size))

    def test_norms(self, model):
        for module in model.modules():
            if isinstance(module, nn.LayerNorm | nn.BatchNorm1d):
                assert (module.weight == 1).all()
                assert not module.bias.any()
            if isinstance(module, nn.BatchNorm1d):
                assert (module.running_var == 1).all()
                assert not module.running_mean.any()

    def test_layers_of_this_package(self, model):
        for module in model.modules():
            if isinstance(module, RelationalGraphConvolution):
                for weight in (module.weight, module.root):
                    assert_uniform(weight, math.sqrt(6 / (weight.size(-2) + weight.size(-1))))
                assert not module.bias.any()
            elif isinstance(module, RelativePositionBias):
                assert not module.table.any()
            elif isinstance(module, SpecificBranch):
                assert module.basis.norm(dim=-1).mean().item() == pytest.approx(1, rel=0.1)
            elif isinstance(module, AutoencoderFusion):
                assert module.basis.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.3)


@pytest.fixture
def saved(family, tmp_path):
    """A folder with a model, and the model."""
    model, _ = family.make(make_dialogues())
    for parameter in model.parameters():
        nn.init.normal_(parameter)  # nothing stays as it began
    model.save_pretrained(tmp_path)
    return tmp_path, model


@pytest.mark.parametrize("half", [0, 1])
def test_a_missing_weight_begins_anew_and_a_loaded_one_stays(family, saved, half):
    """Every second tensor is taken away, so that most layers are half loaded."""
    folder, model = saved
    weights = load_file(folder / "model.safetensors")
    missing = set(sorted(weights)[half::2])
    kept = {name: tensor for name, tensor in weights.items() if name not in missing}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})

    fresh = type(model)(model.config).state_dict()
    loaded, info = type(model).from_pretrained(folder, output_loading_info=True)
    state = loaded.state_dict()
    assert set(info["missing_keys"]) == missing
    assert not info["unexpected_keys"]
    for name, tensor in state.items():
        if name in kept:
            assert torch.equal(tensor, weights[name]), name
        else:
            assert tensor.dtype == fresh[name].dtype
            assert torch.isfinite(tensor).all(), name
            assert tensor.abs().max() < 5, name
            if tensor.numel() >= 64:
                assert float(tensor.std()) == pytest.approx(float(fresh[name].std()), rel=0.4), name


def test_loaded_weights_lie_aligned(saved):
    """So that products round as in the model that was saved."""
    folder, model = saved
    loaded = type(model).from_pretrained(folder)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in loaded.state_dict().values())


def test_a_model_can_be_made_without_memory(family):
    model, _ = family.make(make_dialogues())
    with torch.device("meta"):
        shape_only = type(model)(model.config)
    shapes = {name: tensor.shape for name, tensor in shape_only.state_dict().items()}
    assert all(tensor.is_meta for tensor in shape_only.state_dict().values())
    assert shapes == {name: tensor.shape for name, tensor in model.state_dict().items()}


def test_the_state_dict_holds_every_tensor_and_no_garbage(family):
    model, _ = family.make(make_dialogues())
    state = model.state_dict()
    of_encoder = {name for name, _ in model.named_buffers() if ".encoder.embeddings." in name}  # transformers' own
    assert set(state) == {name for name, _ in (*model.named_parameters(), *model.named_buffers())} - of_encoder
    assert all(torch.isfinite(tensor).all() and tensor.abs().max() < 5 for tensor in state.values())
    pointers = [tensor.data_ptr() for tensor in state.values()]
    assert len(set(pointers)) == len(pointers)  # no weight is shared


def test_the_same_seed_gives_the_same_weights(family):
    first, again, other = (family.make(make_dialogues(), seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
