"""A resumed run is the run that was interrupted, and what cannot be trained is said before the first step."""

from pathlib import Path

import pytest

from joyful_hf import DialogueError, JoyfulTrainingArguments
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.runs.folder import last_checkpoint
from joyful_hf.training import resuming
from joyful_hf.training.run import run_training
from joyful_hf.training.run_data import load_run_data
from tests.support.training import SMALL_SETTINGS, TRAIN, VALIDATION, make_trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dialogues(TRAIN, folder / "train.jsonl")
    write_dialogues(VALIDATION, folder / "dev.jsonl")
    return load_run_data(str(folder / "train.jsonl"), str(folder / "dev.jsonl"), None, seed=0)


SHAPING = {
    "learning_rate": 5e-2,
    "gradient_accumulation_steps": 4,
    "num_train_epochs": 1,
    "seed": 1,
    "per_device_train_batch_size": 3,
    "weight_decay": 0.0,
    "lr_scheduler_type": "linear",
    "weight_averaging_decay": 0.0,
    "max_grad_norm": 2.0,
    "adam_beta2": 0.9,
    "warmup_steps": 3,
    "early_stopping_patience": 2,
    "dataloader_drop_last": True,
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, data):
    """The folder of a run, and its last checkpoint."""
    out = tmp_path_factory.mktemp("interrupted")
    args = JoyfulTrainingArguments(str(out), num_train_epochs=2)
    run_training(args, data, settings=SMALL_SETTINGS)
    return out, str(last_checkpoint(out))


@pytest.mark.parametrize("name", SHAPING)
def test_a_run_is_not_resumed_with_another_training_argument(name, interrupted, data):
    out, checkpoint = interrupted
    args = JoyfulTrainingArguments(str(out), **{"num_train_epochs": 2, name: SHAPING[name]})
    with pytest.raises(DialogueError, match=rf"interrupted run of other settings, which differ in {name} \(.* there"):
        run_training(args, data, settings=SMALL_SETTINGS, resume_from=checkpoint)
    assert last_checkpoint(out) == Path(checkpoint)


def test_so_is_the_trainer_s_own_way_to_resume(tmp_path):
    make_trainer(tmp_path).train()
    with pytest.raises(DialogueError, match=r"which differ in learning_rate \(.* there, 0.5 here\)"):
        make_trainer(tmp_path, learning_rate=0.5).train(resume_from_checkpoint=True)


def test_what_shapes_nothing_may_change_in_a_resumed_run_which_is_checked_once(interrupted, data, monkeypatch):
    out, checkpoint = interrupted
    args = JoyfulTrainingArguments(
        str(out), num_train_epochs=2, save_total_limit=5, logging_steps=3, per_device_eval_batch_size=2
    )
    check, checked = resuming.check_same_arguments, []
    monkeypatch.setattr(resuming, "check_same_arguments", lambda *given: checked.append(given) or check(*given))
    assert run_training(args, data, settings=SMALL_SETTINGS, resume_from=checkpoint)
    assert len(checked) == 1


def test_too_few_dialogues_for_one_full_batch_are_said_to_be_so(tmp_path, data):
    args = JoyfulTrainingArguments(str(tmp_path), dataloader_drop_last=True, per_device_train_batch_size=32)
    with pytest.raises(DialogueError, match=f"{len(TRAIN)} rows of training data give no full batch of 32"):
        run_training(args, data, settings=SMALL_SETTINGS)


def test_one_file_for_training_and_test_is_noticed(tmp_path, caplog):
    for name in ("a", "copy of a"):
        write_dialogues(TRAIN, tmp_path / f"{name}.jsonl")
    write_dialogues(VALIDATION, tmp_path / "b.jsonl")
    a, b, copy = (str(tmp_path / f"{name}.jsonl") for name in ("a", "b", "copy of a"))
    load_run_data(a, b, None, seed=0)
    assert not caplog.records
    load_run_data(a, b, copy, seed=0)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "train_file and test_file are the same file"
    ]
