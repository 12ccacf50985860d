"""A run that stops anywhere and is resumed ends at the same weights, to the last bit, as one that never stopped.

Dropout and augmentation are on: the random numbers go on where they stopped too.
"""

import pytest
import torch
from datasets import Dataset, load_dataset
from transformers import set_seed

from tests.support.helpers import FAMILY_CASES
from tests.support.training import (
    STEPS_PER_EPOCH,
    TRAIN,
    InterruptAt,
    Interruption,
    assert_same_weights,
    make_trainer,
    weights_of,
)

EVERY_STEP = {
    "early_stopping_patience": 20,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "save_total_limit": None,
}
LAST_STEP = 2 * STEPS_PER_EPOCH

# In the middle of the first epoch, between the epochs, in the middle of the second one, and at the very end.
STOPS = [2, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 3, LAST_STEP]


def test_dropout_and_augmentation_are_active(family):
    model, processor = family.make(TRAIN)
    batch = processor(TRAIN, return_tensors="pt")
    assert not torch.equal(model.train()(**batch).loss, model(**batch).loss)


def test_resumes_at_any_step(tmp_path, family):
    whole = make_trainer(tmp_path, family, **EVERY_STEP)
    whole.train()
    assert whole.state.global_step == LAST_STEP
    for step in STOPS:
        resumed = make_trainer(tmp_path, family, **EVERY_STEP)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert resumed.state.global_step == LAST_STEP, step
        assert_same_weights(weights_of(resumed), weights_of(whole))
        assert resumed.state.best_global_step == whole.state.best_global_step


@pytest.mark.parametrize(
    "arguments",
    [
        {"gradient_accumulation_steps": 2},
        {"load_best_model_at_end": False},
        {"load_best_model_at_end": False, "max_steps": 8},
        {"bf16": True, "use_cpu": True},
        {"settings": {"absent_modality": "learnt"}},
    ],
    ids=["accumulated gradients", "last checkpoint", "steps that are no whole epochs", "bfloat16", "learnt vectors"],
)
def test_resumes_in_every_way_of_training(tmp_path, arguments):
    whole = make_trainer(tmp_path, **(EVERY_STEP | arguments))
    whole.train()
    steps = whole.state.global_step
    for step in (2, steps - 1, steps):
        resumed = make_trainer(tmp_path, **(EVERY_STEP | arguments))
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert resumed.state.global_step == steps, step
        assert_same_weights(weights_of(resumed), weights_of(whole))


def test_a_crash_between_two_checkpoints_costs_the_steps_since_the_last_one(tmp_path):
    arguments = EVERY_STEP | {"eval_steps": 3, "save_steps": 3, "load_best_model_at_end": False}
    whole = make_trainer(tmp_path / "whole", **arguments)
    whole.train()
    interrupted = make_trainer(tmp_path / "interrupted", callbacks=[InterruptAt(8)], **arguments)
    with pytest.raises(Interruption):
        interrupted.train()
    assert {folder.name for folder in (tmp_path / "interrupted").iterdir()} == {"checkpoint-3", "checkpoint-6"}
    resumed = make_trainer(tmp_path / "interrupted", **arguments)
    resumed.train(resume_from_checkpoint=True)
    assert_same_weights(weights_of(resumed), weights_of(whole))


def test_patience_goes_on_where_it_stopped(tmp_path):
    # Nothing is learnt: the first validation stays the best, and the sixth is the last.
    arguments = EVERY_STEP | {"learning_rate": 0.0, "early_stopping_patience": 5}
    whole = make_trainer(tmp_path, **arguments)
    whole.train()
    assert whole.state.global_step == 6
    for step in (1, 4, 6):
        resumed = make_trainer(tmp_path, **arguments)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert resumed.state.global_step == 6, step


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides_the_run(tmp_path, family, seed):
    trained = []
    for folder in ("one", "other"):
        set_seed(99)  # whatever happened before
        trainer = make_trainer(tmp_path / folder, family, validation=None, seed=seed, max_steps=3)
        trainer.train()
        trained.append(weights_of(trainer))
    assert_same_weights(*trained)


def test_another_seed_gives_another_run(tmp_path):
    trained = []
    for seed in (0, 1):
        trainer = make_trainer(tmp_path / str(seed), FAMILY_CASES[0], validation=None, seed=seed, max_steps=3)
        trainer.train()
        trained.append(weights_of(trainer))
    with pytest.raises(AssertionError):
        assert_same_weights(*trained)


@pytest.mark.usefixtures("streams_end_at_once")
def test_a_shuffled_stream_is_resumed_in_the_middle_of_an_epoch(tmp_path):
    Dataset.from_list(TRAIN).to_parquet(tmp_path / "train.parquet")

    def train_from(checkpoint):
        stream = load_dataset(
            "parquet", data_files=str(tmp_path / "train.parquet"), split="train", streaming=True, cache_dir=tmp_path
        )
        arguments = EVERY_STEP | {"max_steps": STEPS_PER_EPOCH + 3, "class_balance": 0}
        trainer = make_trainer(tmp_path / "run", train=stream.shuffle(seed=1, buffer_size=4), **arguments)
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    whole = train_from(None)
    assert whole.state.global_step == STEPS_PER_EPOCH + 3
    for step in (2, STEPS_PER_EPOCH + 1):
        resumed = train_from(str(tmp_path / "run" / f"checkpoint-{step}"))
        assert_same_weights(weights_of(resumed), weights_of(whole))
