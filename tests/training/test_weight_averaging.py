"""The average of the weights: what it is, and that validation, checkpoints and the end of a run have it."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerCallback

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from joyful_hf.training.weight_averaging import STEP_WEIGHTS_FILE, AveragedWeights, WeightAveraging
from tests.support.helpers import FAMILY_CASES, make_dialogues


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def test_it_is_an_exponential_moving_average_that_starts_fast(linear):
    averaged = AveragedWeights(linear, decay=0.9)
    expected = linear.weight.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            linear.weight.add_(torch.randn_like(linear.weight))
        averaged.update(linear, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * linear.weight.detach()

    torch.testing.assert_close(averaged.average["weight"], expected)


def test_inside_the_block_the_model_has_the_average_and_after_it_its_own_weights_to_the_bit(linear):
    averaged = AveragedWeights(linear, decay=0.9)
    average = linear.weight.detach().clone()
    with torch.no_grad():
        linear.weight.add_(1)
    own = linear.weight.detach().clone()

    with averaged.applied_to(linear):
        assert torch.equal(linear.weight, average)
    assert torch.equal(linear.weight, own)


def test_in_bfloat16_the_average_moves_as_in_float32(linear, tmp_path):
    half = copy.deepcopy(linear).bfloat16()
    precise, rounded = AveragedWeights(linear, decay=0.999), AveragedWeights(half, decay=0.999)
    for model in (linear, half):
        nn.init.ones_(model.weight)
    for step in range(10_000, 10_200):
        precise.update(linear, step)
        rounded.update(half, step)
    torch.testing.assert_close(rounded.average["weight"], precise.average["weight"], rtol=0, atol=4e-3)
    with rounded.applied_to(half):
        assert half.weight.dtype == torch.bfloat16
    assert half.weight.eq(1).all()

    rounded.save_step_weights(half, tmp_path)
    resumed = AveragedWeights(half, decay=0.999)
    resumed.load_step_weights(half, tmp_path)
    assert all(torch.equal(resumed.average[name], average) for name, average in rounded.average.items())


def test_running_statistics_are_averaged_with_the_weights(tmp_path):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    averaged = AveragedWeights(model, decay=0.5)
    model(torch.full((4, 2), 10.0))
    own = model[0].running_mean.clone()
    averaged.update(model, 100)
    with averaged.applied_to(model):
        torch.testing.assert_close(model[0].running_mean, own / 2)
    assert torch.equal(model[0].running_mean, own)


def test_step_weights_are_saved_beside_a_checkpoint_as_safetensors(linear, tmp_path):
    AveragedWeights(linear, decay=0.9).save_step_weights(linear, tmp_path)
    other = copy.deepcopy(linear)
    with torch.no_grad():
        other.weight.zero_()

    AveragedWeights(other, decay=0.9).load_step_weights(other, tmp_path)

    assert torch.equal(other.weight, linear.weight)


def test_a_checkpoint_without_step_weights_leaves_the_model_as_it_is(linear, tmp_path):
    before = linear.weight.detach().clone()
    AveragedWeights(linear, decay=0.9).load_step_weights(linear, tmp_path)
    assert torch.equal(linear.weight, before)


def make_trainer(folder: Path, **arguments: object) -> JoyfulTrainer:
    dialogues = make_dialogues([4, 6, 5, 3, 7, 2])
    model, processor = FAMILY_CASES[0].make(dialogues)
    defaults = {"num_train_epochs": 2, "per_device_train_batch_size": 2, "learning_rate": 0.01, "disable_tqdm": True}
    args = JoyfulTrainingArguments(str(folder), **(defaults | arguments))
    return JoyfulTrainer(
        model=model, args=args, train_dataset=dialogues, eval_dataset=dialogues, processing_class=processor
    )


def test_a_checkpoint_holds_the_average_that_was_validated_and_the_last_step_apart(tmp_path):
    trainer = make_trainer(tmp_path, validation_start=0)
    trainer.train()

    checkpoint = Path(trainer.state.best_model_checkpoint)
    best = load_file(checkpoint / "model.safetensors")
    step = load_file(checkpoint / STEP_WEIGHTS_FILE)
    state = trainer.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in best.items())
    assert any(not torch.equal(best[name], tensor) for name, tensor in step.items())
    assert trainer.evaluate()["eval_weighted_f1"] == trainer.state.best_metric


def test_without_a_best_checkpoint_a_run_ends_with_the_average(tmp_path):
    arguments = {"eval_strategy": "no", "load_best_model_at_end": False, "save_strategy": "no"}
    averaged = make_trainer(tmp_path / "a", **arguments)
    plain = make_trainer(tmp_path / "b", weight_averaging_decay=0, **arguments)
    averaged.train()
    plain.train()

    pairs = list(zip(averaged.model.parameters(), plain.model.parameters(), strict=True))
    assert any(not torch.equal(one, other) for one, other in pairs)


def test_the_callback_holds_an_average_during_training_only(tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=1)
    (averaging,) = [
        callback for callback in trainer.callback_handler.callbacks if isinstance(callback, WeightAveraging)
    ]
    seen = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            seen.append(averaging.averaged is not None)

    trainer.add_callback(Look())
    trainer.train()
    assert seen == [True] * 3
    assert averaging.averaged is None


def test_predictions_during_training_are_of_the_weights_that_are_evaluated(tmp_path):
    trainer = make_trainer(tmp_path, learning_rate=0.1, validation_start=0, num_train_epochs=1)
    scores = []

    class Predict(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics, **kwargs):
            if not scores:
                scores.append(metrics["eval_loss"])
                scores.append(trainer.predict(trainer.eval_dataset).metrics["test_loss"])

    trainer.add_callback(Predict())
    trainer.train()
    assert scores[0] == pytest.approx(scores[1])


def test_a_decay_of_zero_leaves_it_out(tmp_path):
    trainer = make_trainer(tmp_path, weight_averaging_decay=0)
    trainer.train()
    assert not list(tmp_path.rglob(STEP_WEIGHTS_FILE))


@pytest.mark.parametrize(("epochs", "start", "validations"), [(1, 0.5, 1), (2, 0.5, 2), (4, 0.5, 3), (4, 0, 4)])
def test_validation_starts_after_its_share_of_the_epochs(epochs, start, validations, tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=epochs, validation_start=start, early_stopping_patience=0)
    trainer.train()
    assert sum("eval_weighted_f1" in line for line in trainer.state.log_history) == validations
