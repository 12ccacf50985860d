"""Numbers that are not finite end a run before they are saved, and it is said whose they are."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from joyful_hf import DialogueError
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.runs.folder import last_checkpoint
from joyful_hf.runs.manifest import find_damage
from joyful_hf.training.divergence import DivergedError
from tests.support.helpers import FAMILY_CASES, make_dialogues
from tests.support.training import STEPS_PER_EPOCH, TRAIN, VALIDATION, make_trainer

UTTERANCES = FAMILY_CASES[6]  # a family that sees one utterance at a time


def breaks_at(trainer, step, value=math.nan):
    """Let the loss of a step be `value`."""
    compute = trainer.compute_loss

    def compute_loss(model, *args, **kwargs):
        loss = compute(model, *args, **kwargs)
        return loss * value if model.training and trainer.state.global_step == step - 1 else loss

    trainer.compute_loss = compute_loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("family", [FAMILY_CASES[0], UTTERANCES], ids=lambda family: family.name)
def test_a_loss_that_is_not_finite_ends_the_run_with_step_dialogues_and_checkpoint(tmp_path, family, value):
    trainer = make_trainer(tmp_path, family)
    breaks_at(trainer, STEPS_PER_EPOCH + 2, value)
    with pytest.raises(DivergedError) as diverged:
        trainer.train()
    message = str(diverged.value)
    assert message.startswith(f"the loss of step {STEPS_PER_EPOCH + 2} is {value:g} (dialogue")
    assert (
        f"; the last good checkpoint is {tmp_path / f'checkpoint-{STEPS_PER_EPOCH}'}; lower `learning_rate`" in message
    )
    assert find_damage(last_checkpoint(tmp_path)) is None


def test_the_dialogues_are_those_of_the_step(tmp_path):
    named = [dialogue | {"dialogue_id": f"d{index}"} for index, dialogue in enumerate(TRAIN)]
    trainer = make_trainer(tmp_path, train=named, num_train_epochs=1, train_sampling_strategy="sequential")
    breaks_at(trainer, 2)
    with pytest.raises(
        DivergedError, match=r"the loss of step 2 is nan \(dialogue 'd2', dialogue 'd3'\); there is no"
    ):
        trainer.train()


def test_a_gradient_that_is_not_finite_ends_the_run_too(tmp_path):
    trainer = make_trainer(tmp_path)
    next(trainer.model.parameters()).register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(DivergedError, match=r"the gradient of step 1 is not finite \(dialogue"):
        trainer.train()


def test_a_learning_rate_that_is_far_too_high_leaves_no_checkpoint_of_nan(tmp_path):
    trainer = make_trainer(
        tmp_path, learning_rate=1e30, max_grad_norm=0.0, lr_scheduler_type="constant", warmup_steps=0
    )
    with pytest.raises(DivergedError):
        trainer.train()
    assert last_checkpoint(tmp_path) is None


def test_an_output_that_is_not_finite_has_no_metrics_and_its_dialogue_is_named(tmp_path):
    extreme = make_dialogues((3, 2))
    for utterance in extreme[1]["utterances"]:
        utterance["text_features"] = [3e38] * len(utterance["text_features"])
    trainer = make_trainer(tmp_path, FAMILY_CASES[1])
    extreme[1]["dialogue_id"] = "loud"
    with pytest.raises(DialogueError, match=r"the model's output is not finite \(dialogue 'loud'\)"):
        trainer.evaluate(extreme)


def test_a_prediction_that_is_not_finite_is_refused_with_its_dialogue(family):
    model, processor = family.make(TRAIN)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    with pytest.raises(ValueError, match=r"^dialogue '.*: the model's output is not a finite number"):
        model.predict(VALIDATION, processor)


def test_weights_that_are_not_finite_are_refused_with_their_name(tmp_path):
    model, processor = FAMILY_CASES[0].make(TRAIN)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    load_checkpoint(tmp_path, "cpu")
    weights = load_file(tmp_path / "model.safetensors")
    name = sorted(weights)[-1]
    weights[name].view(-1)[0] = math.inf
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DialogueError, match=f"the weights are not finite numbers, among them {name}"):
        load_checkpoint(tmp_path, "cpu")


@pytest.mark.parametrize("size", [1e6, 1e30, 3e38])
def test_extreme_features_do_not_poison_those_who_share_the_batch(family, size):
    model, processor = family.make(TRAIN)
    plain, extreme = make_dialogues((3, 4)), make_dialogues((2,))
    keys = [key for key in extreme[0]["utterances"][0] if key.endswith("_features")]
    for utterance in extreme[0]["utterances"]:
        utterance |= {key: [size] * len(utterance[key]) for key in keys}
    with torch.no_grad():
        alone = model(**processor(plain, return_tensors="pt")).logits
        shared = model(**processor([plain[0], *extreme, plain[1]], return_tensors="pt")).logits
    others = torch.cat([shared[:3], shared[5:]])
    assert others.isfinite().all()
    assert float((others - alone).abs().max() / alone.abs().max()) <= 1e-6
