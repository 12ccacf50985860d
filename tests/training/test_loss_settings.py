"""Settings of the loss that belong to a run: they get neither into the user's configuration nor into the next run."""

import copy

import pytest
from transformers import TrainingArguments

from joyful_hf import JoyfulTrainer, load_for_fine_tuning
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.training.loss_settings import balanced_class_weights
from tests.support.helpers import FAMILY_CASES, LABELS, make_dialogues
from tests.support.training import TRAIN, VALIDATION, training_args

CASE = FAMILY_CASES[0]
NO_VALIDATION = {"eval_strategy": "no", "load_best_model_at_end": False}


def mostly(label):
    """Dialogues in which this label is the most frequent one, and the others occur."""
    weights = [0.7 if name == label else 0.1 for name in LABELS]
    return make_dialogues((8, 9, 7), label=lambda rng: str(rng.choice(LABELS, p=weights)))


ANGRY, SAD = mostly("anger"), mostly("sadness")


def run(folder, model, processor, train=None, args_class=None, **arguments):
    """A trainer, which sets up the loss of its run."""
    make = training_args if args_class is None else args_class
    arguments = NO_VALIDATION | arguments if train is not None or args_class is None else arguments
    return JoyfulTrainer(
        model=model, args=make(folder, **arguments), processing_class=processor, train_dataset=train,
        eval_dataset=VALIDATION,
    )  # fmt: skip


def weights_for(dialogues, processor, power=0.4):
    return pytest.approx(balanced_class_weights(EncodedDialogues(dialogues, processor).encoded, len(LABELS), power))


def save_and_load(trainer, family, folder):
    trainer.save_model(str(folder))
    return family.model_class.from_pretrained(folder)


def test_one_configuration_makes_the_model_of_every_fold(tmp_path, family):
    """Nothing of the first fold is left: no weights, no smoothing, no temperature."""
    processor = family.make(TRAIN)[1]
    shared = family.make_config(**processor.model_kwargs())
    untouched = copy.deepcopy(shared).to_dict()
    for fold in (ANGRY, SAD):
        trainer = run(tmp_path, family.model_class(shared), processor, fold, label_smoothing_factor=0.2)
        trainer.calibrate()
        assert trainer.model.config.class_weights == weights_for(fold, processor)
        assert trainer.model.config.label_smoothing == 0.2
        assert trainer.model.config.calibration_temperature != 1
    assert shared.to_dict() == untouched
    plain = family.model_class(shared)
    assert (plain.config.class_weights, plain.config.label_smoothing) == (None, shared.label_smoothing)


def test_every_module_reads_the_models_own_configuration(tmp_path, family):
    """A field that is changed in training must reach all modules that read it there."""
    model, processor = family.make(TRAIN)
    held = model.config
    readers = [module for module in model.modules() if getattr(module, "config", None) is held]
    run(tmp_path, model, processor, TRAIN)
    assert readers
    assert all(module.config is model.config for module in readers)
    assert model.config is not held


def test_the_next_training_weighs_its_own_classes(tmp_path, family):
    model, processor = family.make(TRAIN)
    first = run(tmp_path, model, processor, ANGRY, label_smoothing_factor=0.1)
    loaded = save_and_load(first, family, tmp_path / "first")
    assert loaded.config.class_weights == weights_for(ANGRY, processor)
    assert loaded.config.label_smoothing == 0.1
    for again in (loaded, model):  # read from its folder, or still at hand
        config = run(tmp_path, again, processor, SAD).model.config
        assert config.class_weights == weights_for(SAD, processor)
        assert config.label_smoothing == family.make_config(**processor.model_kwargs()).label_smoothing


@pytest.mark.parametrize("args_class", [None, TrainingArguments], ids=["joyful", "plain"])
def test_weights_that_nobody_wants_any_more_are_taken_back(tmp_path, args_class):
    model, processor = CASE.make(TRAIN)
    loaded = save_and_load(run(tmp_path, model, processor, ANGRY), CASE, tmp_path / "first")
    arguments = {"class_balance": 0} if args_class is None else {}
    config = run(tmp_path, loaded, processor, SAD, args_class, **arguments).model.config
    assert config.class_weights is None
    assert "set_by_training" not in config.to_dict()


def test_what_the_user_has_set_stays_and_comes_back(tmp_path):
    mine = [1.0, 2.0, 3.0, 4.0]
    model, processor = CASE.make(TRAIN, class_weights=mine, label_smoothing=0.05)
    kept = run(tmp_path, model, processor, ANGRY).model.config
    assert (kept.class_weights, kept.label_smoothing) == (mine, 0.05)
    asked = run(tmp_path, model, processor, ANGRY, class_balance=1, label_smoothing_factor=0.2)
    assert asked.model.config.class_weights == weights_for(ANGRY, processor, 1)
    loaded = save_and_load(asked, CASE, tmp_path / "asked")
    for arguments in ({}, {"class_balance": 0}):
        config = run(tmp_path, loaded, processor, SAD, **arguments).model.config
        assert (config.class_weights, config.label_smoothing) == (mine, 0.05)


def test_weights_that_the_user_gives_a_checkpoint_are_the_users(tmp_path):
    mine = [4.0, 3.0, 2.0, 1.0]
    model, processor = CASE.make(TRAIN)
    run(tmp_path, model, processor, ANGRY).save_model(str(tmp_path / "first"))
    loaded = CASE.model_class.from_pretrained(tmp_path / "first", class_weights=mine)
    assert run(tmp_path, loaded, processor, SAD).model.config.class_weights == mine


def test_a_checkpoint_is_scored_with_the_loss_of_its_run(tmp_path, family):
    model, processor = family.make(TRAIN)
    trainer = run(tmp_path, model, processor, ANGRY, label_smoothing_factor=0.3, class_balance=1)
    expected = trainer.evaluate()["eval_loss_classification"]
    loaded = save_and_load(trainer, family, tmp_path / "first")
    for args_class in (None, TrainingArguments):
        again = run(tmp_path, loaded, processor, None, args_class, per_device_eval_batch_size=2)
        found = again.evaluate()["eval_loss_classification"]
        assert found == pytest.approx(expected, rel=1e-6)
    plain = run(tmp_path, loaded, processor, ANGRY, class_balance=0).evaluate()["eval_loss_classification"]
    assert plain != pytest.approx(expected, rel=1e-4)


def test_fine_tuning_starts_from_what_the_user_had_set(tmp_path):
    model, processor = CASE.make(TRAIN, label_smoothing=0.05)
    trainer = run(tmp_path, model, processor, ANGRY, label_smoothing_factor=0.3)
    trainer.save_model(str(tmp_path / "first"))
    config = load_for_fine_tuning(tmp_path / "first", SAD)[0].config
    assert (config.class_weights, config.label_smoothing, config.calibration_temperature) == (None, 0.05, 1.0)
    assert "set_by_training" not in config.to_dict()
