"""A learnt vector stands in for an absent modality in every part of a model, and is taken for no observation."""

from dataclasses import replace

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file, save_file

from joyful_hf import JoyfulForEmotionRecognition
from joyful_hf.processing import MODALITIES
from tests.support.helpers import (
    FAMILY_CASES,
    RIVAL_CASES,
    hide_modalities,
    make_dialogues,
    tell_absence,
    without_modality,
)
from tests.test_invariants import (
    assert_trained,
    logits_of,
    run,
    train_step,
)

# The families that read one vector a modality, with a learnt one where it is absent.
LEARNT_CASES = [
    replace(case, make_config=lambda make=case.make_config, **kwargs: make(**({"absent_modality": "learnt"} | kwargs)))
    for case in [*FAMILY_CASES, *RIVAL_CASES]
    if case.reads_dialogues
]
each_learnt = pytest.mark.parametrize("case", LEARNT_CASES, ids=lambda case: case.name)


def hidden_half(processor):
    """A batch in which every second modality of an utterance is hidden, and which those are not."""
    present = torch.arange(3 * 38).view(38, 3) % 2 > 0
    return hide_modalities(processor(make_dialogues(), return_tensors="pt"), present), present


# JMT brings feature vectors to length 1, and has to leave a learnt one as it is: at first it is zero.
@pytest.mark.parametrize(
    "case", [case for case in LEARNT_CASES if not {"encoder", "jmt"} & {*case.name.split("-")}], ids=lambda c: c.name
)
def test_a_learnt_vector_is_to_the_network_what_a_feature_vector_is(case):
    # Several members have a vector each.
    alone = {"num_members": 1} if case.model_class is JoyfulForEmotionRecognition else {}
    model, processor = case.make(make_dialogues(), **alone)
    inputs = model.base_model.inputs
    tell_absence(inputs)
    batch, present = hidden_half(processor)
    filled = dict(processor(make_dialogues(), return_tensors="pt"))
    for column, name in enumerate(MODALITIES):
        key = f"{name}_features"
        filled[key] = torch.where(present[:, column, None], filled[key], inputs.absent[name].detach())
    torch.testing.assert_close(run(model, batch).logits, run(model, filled).logits)


@each_learnt
def test_it_moves_the_logits_and_takes_part_in_no_loss_of_its_own(case):
    model, processor = case.make(make_dialogues())
    batch, _ = hidden_half(processor)
    before = run(model, batch).logits
    tell_absence(model.base_model.inputs)
    assert (run(model, batch).logits - before).abs().max() > 1e-3
    output = train_step(model, batch)
    assert_trained(model, output)
    assert all(vector.grad.any() for vector in model.base_model.inputs.absent.values())
    nothing = hide_modalities(batch, torch.zeros(38, 3, dtype=torch.bool))
    losses = run(model, nothing).losses
    assert losses.get("generator", 0) == losses.get("discriminator", 0) == 0
    if case.name == "joyful-released":  # the others' has the smoothing in it too
        assert losses["fusion"] == 0


@each_learnt
def test_it_is_saved_and_loaded(case, tmp_path):
    model, processor = case.make(make_dialogues())
    tell_absence(model.base_model.inputs)
    model.save_pretrained(tmp_path)
    dialogues = [
        {"utterances": [without_modality(utterance, "text") for utterance in dialogue["utterances"]]}
        for dialogue in make_dialogues()
    ]
    expected = logits_of(model, processor, dialogues)
    assert torch.equal(logits_of(case.model_class.from_pretrained(tmp_path), processor, dialogues), expected)

    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.endswith("absent.audio")}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    absent = case.model_class.from_pretrained(tmp_path).base_model.inputs.absent
    assert not absent["audio"].any(), "what a file lacks begins as zeros"
    assert torch.equal(absent["visual"], model.base_model.inputs.absent["visual"])


@each_learnt
def test_zeros_have_no_weights(case):
    dialogues = make_dialogues()
    names, fewer = (
        set(case.make(dialogues, **fields)[0].state_dict()) for fields in ({}, {"absent_modality": "zeros"})
    )
    assert {name.rpartition(".")[2] for name in names - fewer} == set(MODALITIES)
    assert not fewer - names
    with pytest.raises(StrictDataclassError, match="absent_modality must be one of zeros, learnt"):
        case.make(dialogues, absent_modality="learned")
