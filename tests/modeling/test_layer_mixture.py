"""Layers of an encoder that lie side by side in the features: every family mixes them with weights that it learns."""

import copy

import numpy as np
import pytest
import torch

from joyful_hf import JoyfulConfig
from joyful_hf.modeling.layer_mixture import LayerMixture
from joyful_hf.modeling.modality_inputs import ModalityInputs
from tests.support.helpers import DIMS, FAMILY_CASES, make_dialogues

LAYERS = {"text": 2, "audio": 3, "visual": 2}
SCORES = {"text": [0.5, -1.0], "audio": [0.0, 1.0, 2.0], "visual": [3.0, 0.0]}
READERS = [case for case in FAMILY_CASES if hasattr(case.make_config(), "feature_layers")]


def mixed(dialogues: list, modalities: list[str]) -> list:
    """The dialogues with the mean of their layers, weighed by the softmax of the scores."""
    dialogues = copy.deepcopy(dialogues)
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            for name in modalities:
                weights = np.exp(SCORES[name]) / np.exp(SCORES[name]).sum()
                layers = np.reshape(utterance[f"{name}_features"], (LAYERS[name], -1))
                utterance[f"{name}_features"] = (weights @ layers).tolist()
    return dialogues


def test_it_begins_with_the_mean_of_all_layers():
    layers = torch.randn(5, 3 * 4)
    torch.testing.assert_close(LayerMixture(3)(layers), layers.view(5, 3, 4).mean(1))


@pytest.mark.parametrize("case", READERS, ids=lambda case: case.name)
def test_a_model_of_layers_is_the_model_of_their_weighted_mean(case):
    dialogues = make_dialogues((3, 2))
    model, processor = case.make(dialogues)
    read = [name for name in LAYERS if f"{name}_features" in processor(dialogues)]
    model, processor = case.make(dialogues, feature_layers={name: LAYERS[name] for name in read})
    processor.feature_statistics = processor.modality_weights = None
    mixtures = {name: parameter for name, parameter in model.named_parameters() if ".mixtures." in name}
    with torch.no_grad():
        for name, scores in mixtures.items():
            scores.copy_(torch.tensor(SCORES[name.split(".")[-2]]))
    means = mixed(dialogues, read)
    plain, plain_processor = case.make(means)
    plain_processor.feature_statistics = plain_processor.modality_weights = None
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if name not in mixtures})

    batch, batch_of_means = processor(dialogues, return_tensors="pt"), plain_processor(means, return_tensors="pt")
    output = model(**batch)
    torch.testing.assert_close(output.logits, plain(**batch_of_means).logits, rtol=1e-4, atol=1e-5)
    assert len(mixtures) == len(read) * len({name.split(".inputs.")[0] for name in mixtures})
    output.loss.backward()
    assert all(scores.grad is not None and scores.grad.any() for scores in mixtures.values())


@pytest.mark.parametrize("absent_modality", ["zeros", "learnt"])
def test_what_stands_in_an_absent_row_reaches_neither_features_nor_gradients(absent_modality):
    inputs = ModalityInputs({"text": 4}, 0.0, 0.0, absent_modality, {"text": 3})
    mask = torch.tensor([[True, False, False], [False, False, False]])
    given = torch.randn(2, 12)
    given[1] = torch.nan
    features, _ = inputs({"text": given}, mask, torch.float32)
    assert not features["text"][1].any()
    features["text"].square().sum().backward()
    assert torch.isfinite(inputs.mixtures["text"].scores.grad).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_layers": {"text": 5}}, "feature_layers of text: 5 layers do not divide text_dim=12"),
        ({"feature_layers": {"text": 0}}, "feature_layers of text: 0 layers do not divide text_dim=12"),
        ({"feature_layers": {"audio": 2}}, "feature_layers name 'audio', of which this model reads no features"),
        ({"feature_layers": {"smell": 2}}, "feature_layers name 'smell', of which this model reads no features"),
    ],
    ids=["no divisor", "none", "absent", "unknown"],
)
def test_layers_that_do_not_fit_the_features_are_refused(settings, message):
    with pytest.raises(Exception, match=message):
        JoyfulConfig(text_dim=DIMS["text"], **settings)
