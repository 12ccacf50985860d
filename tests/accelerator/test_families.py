"""Every family in each of its forms on a device without doubles: the numbers of the CPU, and the invariants."""

import pytest
import torch
from transformers import pipeline

from joyful_hf import StreamingRecognizer, explain
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.inference.representations import represent
from tests.support.accelerator import NAME, WORK
from tests.support.helpers import FAMILY_CASES, hide_modalities, make_dialogues, without_modality

DIALOGUES = make_dialogues((5, 3, 1))
# Largest difference that was measured: 4e-7.
AS_ON_CPU = {"rtol": 1e-5, "atol": 1e-6}


def on_both(family):
    """A model and its processor on the CPU, and the same model on the device."""
    model, processor = family.make(DIALOGUES)
    twin, _ = family.make(DIALOGUES)
    return model, twin.to(NAME), processor


def logits_of(model, batch):
    with torch.no_grad():
        return model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).logits.cpu()


def assert_scores_agree(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_loss_and_gradients_are_those_of_the_cpu(family):
    *models, processor = on_both(family)
    batch = processor(DIALOGUES, return_tensors="pt")
    outputs = []
    for model in models:
        torch.manual_seed(0)
        outputs.append(model(**batch.to(model.device)))
        outputs[-1].loss.backward()
    torch.testing.assert_close(outputs[1].logits.cpu(), outputs[0].logits, **AS_ON_CPU)
    torch.testing.assert_close(outputs[1].loss.cpu(), outputs[0].loss, **AS_ON_CPU)
    for (name, here), there in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(there.grad.cpu(), here.grad, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "bfloat16"])
def test_it_trains(family, mixed):
    _, model, processor = on_both(family)
    batch = processor(DIALOGUES, return_tensors="pt").to(NAME)
    before = {name: tensor.clone() for name, tensor in batch.items()}
    with torch.autocast(NAME, torch.bfloat16, enabled=mixed):
        output = model.train()(**batch)
    output.loss.backward()
    assert output.loss.dtype == torch.float32
    finite = [parameter.grad.isfinite().all() for parameter in model.parameters()]
    assert torch.stack(finite).all()
    assert all(torch.equal(batch[name], tensor) for name, tensor in before.items())


def test_a_dialogue_does_not_depend_on_its_batch_mates(family):
    _, model, processor = on_both(family)
    together = logits_of(model, processor(DIALOGUES, return_tensors="pt"))
    alone = [logits_of(model, processor([dialogue], return_tensors="pt")) for dialogue in DIALOGUES]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-5)


def test_modalities_may_be_absent(family):
    here, model, processor = on_both(family)
    batch = processor(DIALOGUES, return_tensors="pt")
    torch.manual_seed(0)
    hidden = hide_modalities(batch, torch.rand(9, 3) < 0.6)
    torch.testing.assert_close(logits_of(model, hidden), logits_of(here, hidden), **AS_ON_CPU)
    lacking = [
        dialogue | {"utterances": [without_modality(one, "audio") for one in dialogue["utterances"]]}
        for dialogue in DIALOGUES
    ]
    batch = processor(lacking, return_tensors="pt").to(NAME)
    model.train()(**batch).loss.backward()


def test_saved_from_the_device_and_loaded_onto_it(family, tmp_path):
    _, model, processor = on_both(family)
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    batch = processor(DIALOGUES, return_tensors="pt")
    expected = logits_of(model, batch)
    loaded, _ = load_checkpoint(tmp_path)
    assert loaded.device == torch.device(NAME, 0)
    assert torch.equal(logits_of(loaded, batch), expected)
    assert load_checkpoint(tmp_path, "cpu")[0].device == torch.device("cpu")


def test_it_predicts_streams_explains_and_represents(family):
    here, model, processor = on_both(family)
    expected = here.predict(DIALOGUES, processor)
    for found, other in zip(model.predict(DIALOGUES, processor), expected, strict=True):
        assert_scores_agree(found["utterances"], other["utterances"])

    utterances = DIALOGUES[1]["utterances"]
    assert_scores_agree(*(list(StreamingRecognizer(one, processor).stream(utterances)) for one in (model, here)))

    explained, other = (explain(one, processor, DIALOGUES[1], 1) for one in (model, here))
    assert explained.labels == other.labels
    assert explained.utterance_falls == pytest.approx(other.utterance_falls, abs=2e-5)

    encoded = processor.encode(DIALOGUES)
    stages = represent(model, processor, encoded).stages
    assert stages.keys() == represent(here, processor, encoded).stages.keys()


@pytest.mark.parametrize("family", [FAMILY_CASES[0], FAMILY_CASES[-1]], ids=lambda family: family.name)
def test_the_pipeline_runs_on_the_accelerator_unless_it_is_told_otherwise(family):
    model, processor = family.make(DIALOGUES)
    expected = model.predict(DIALOGUES, processor)
    for device, chosen in ((None, NAME), ("cpu", "cpu")):
        recognizer = pipeline("emotion-recognition", model=model, processor=processor, device=device)
        assert recognizer.device.type == model.device.type == chosen
        WORK.clear()
        for found, other in zip(recognizer(DIALOGUES), expected, strict=True):
            assert_scores_agree(found["utterances"], other["utterances"])
        assert bool(WORK.launches) == (chosen == NAME)


def test_the_released_form_has_the_same_numbers_with_doubles_and_without(doubles):
    here, model, processor = on_both(FAMILY_CASES[2])
    batch = processor(DIALOGUES, return_tensors="pt")
    expected = logits_of(here, batch)
    torch.testing.assert_close(logits_of(model, batch), expected, **AS_ON_CPU)
    doubles.allowed = True
    torch.testing.assert_close(logits_of(model, batch), expected, **AS_ON_CPU)
