"""The loop of the Trainer on the device that Accelerate's variable, an argument, or nothing names."""

import pytest
import torch

from joyful_hf import DialogueError, JoyfulTrainingArguments
from tests.support.accelerator import NAME, WORK
from tests.support.helpers import FAMILY_CASES, make_dialogues
from tests.support.training import InterruptAt, Interruption, assert_same_weights, make_trainer, weights_of

TRAIN, VALIDATION = make_dialogues((3, 2, 1)), make_dialogues((3, 2))


def trainer_of(folder, family, **arguments):
    return make_trainer(
        folder, family, TRAIN, VALIDATION, num_train_epochs=1, save_strategy="steps", save_steps=1, **arguments
    )


@pytest.mark.parametrize("family", [FAMILY_CASES[index] for index in (0, 3, 6)], ids=lambda family: family.name)
def test_it_trains_resumes_evaluates_calibrates_and_predicts(family, tmp_path):
    settings = {
        "eval_strategy": "no",
        "load_best_model_at_end": False,
        "per_device_train_batch_size": 2 if family.reads_dialogues else 3,
    }
    whole = trainer_of(tmp_path / "whole", family, **settings)
    whole.train()
    assert whole.model.device == torch.device(NAME, 0)
    broken = trainer_of(tmp_path / "broken", family, callbacks=[InterruptAt(2)], **settings)
    with pytest.raises(Interruption):
        broken.train()
    resumed = trainer_of(tmp_path / "broken", family, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "broken" / "checkpoint-1"))
    assert_same_weights(weights_of(resumed), weights_of(whole))
    WORK.clear()
    assert resumed.evaluate()["eval_loss"] > 0
    assert WORK.launches
    resumed.calibrate()
    assert len(resumed.predict(VALIDATION).predictions)


def test_mixed_precision_and_the_best_checkpoint(tmp_path):
    trainer = make_trainer(tmp_path, FAMILY_CASES[1], TRAIN, VALIDATION, num_train_epochs=1)
    trainer.train()
    assert trainer.state.best_model_checkpoint


class TestTheDeviceOfTheArguments:
    @pytest.mark.parametrize(
        ("variables", "arguments", "expected"),
        [
            ({}, {}, f"{NAME}:0"),
            ({}, {"torch_device": NAME}, f"{NAME}:0"),
            ({}, {"torch_device": "cpu"}, "cpu"),
            ({}, {"use_cpu": True}, "cpu"),
            ({"ACCELERATE_TORCH_DEVICE": NAME}, {}, NAME),
            ({"ACCELERATE_TORCH_DEVICE": "cpu"}, {}, "cpu"),
            ({"ACCELERATE_TORCH_DEVICE": "cpu"}, {"torch_device": NAME}, f"{NAME}:0"),
            ({"ACCELERATE_USE_CPU": "true"}, {}, "cpu"),
        ],
    )
    def test_is_the_one_that_is_named_or_else_the_accelerator(
        self, variables, arguments, expected, monkeypatch, tmp_path
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        trainer = make_trainer(tmp_path, FAMILY_CASES[1], **arguments)
        assert str(trainer.args.device) == str(trainer.accelerator.device) == expected
        assert trainer.model.device.type == expected.split(":")[0]

    @pytest.mark.parametrize("name", ["cuda", "mps:0", f"{NAME}:1", "a GPU"])
    def test_must_exist(self, name, tmp_path):
        with pytest.raises(DialogueError, match=rf"no device '{name}'; it has cpu, {NAME}:0$"):
            JoyfulTrainingArguments(str(tmp_path), torch_device=name)

    def test_must_not_contradict_use_cpu(self, tmp_path):
        with pytest.raises(ValueError, match="`use_cpu` and `torch_device` 'shadow' contradict"):
            JoyfulTrainingArguments(str(tmp_path), torch_device=NAME, use_cpu=True)
