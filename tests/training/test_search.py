"""The search for hyperparameters: every trial trains with its values, and counts by this field's metric."""

import pytest

from joyful_hf import JoyfulTrainer
from joyful_hf.training.search import with_fields, with_values
from joyful_hf.training.weight_averaging import WeightAveraging
from tests.support.helpers import FAMILY_CASES
from tests.support.training import TRAIN, VALIDATION, training_args

CASE = FAMILY_CASES[0]


def make_searching_trainer(folder, kind=JoyfulTrainer, **arguments):
    processor = CASE.make(TRAIN)[1]
    return kind(
        model_init=lambda: CASE.make(TRAIN)[0],
        args=training_args(folder, **({"num_train_epochs": 1} | arguments)),
        train_dataset=TRAIN,
        eval_dataset=VALIDATION,
        processing_class=processor,
    )


@pytest.mark.parametrize(("metric", "direction"), [("weighted_f1", max), ("loss", min)])
def test_a_trial_counts_by_the_metric_of_the_checkpoint_that_it_ends_with(tmp_path, metric, direction):
    pytest.importorskip("optuna")
    trainer = make_searching_trainer(tmp_path, metric_for_best_model=metric)
    kept = []

    def space(trial):
        return {"learning_rate": trial.suggest_categorical("learning_rate", [1e-2, 1e-6])}

    train = trainer.train

    def keep(*args, **kwargs):
        outcome = train(*args, **kwargs)
        kept.append(trainer.state.best_metric)
        return outcome

    trainer.train = keep
    best = trainer.hyperparameter_search(space, n_trials=2)
    assert len(kept) == 2
    assert best.objective == direction(kept)
    assert trainer.args.learning_rate == 2e-3, "the trainer has its own arguments again"
    trainer.train()


def test_each_trial_has_its_arguments_and_the_fields_of_its_configuration(tmp_path):
    pytest.importorskip("optuna")
    seen = []

    class Watching(JoyfulTrainer):
        def evaluate(self, *args, **kwargs):
            if self.is_in_train:
                callbacks = self.callback_handler.callbacks
                (averaging,) = [callback for callback in callbacks if isinstance(callback, WeightAveraging)]
                (stopping,) = [callback for callback in callbacks if hasattr(callback, "early_stopping_patience")]
                config = self.model.config
                seen.append(
                    {
                        "weight_averaging_decay": averaging.averaged.decay if averaging.averaged else 0,
                        "early_stopping_patience": stopping.early_stopping_patience,
                        "label_smoothing_factor": config.label_smoothing,
                        "class_balance": 0 if config.class_weights is None else 1,
                        "validation_start": self.args.eval_delay,
                        "per_device_train_batch_size": self._train_batch_size,
                        "lr_scheduler_type": self.args.lr_scheduler_type.value,
                        "num_train_epochs": self.args.num_train_epochs,
                        "seed": self.args.seed,
                        "graph_num_layers": config.graph_num_layers,
                        "basis_size": self.model.config.basis_size,
                    }
                )
            return super().evaluate(*args, **kwargs)

    trials = [
        {
            "weight_averaging_decay": 0.9,
            "early_stopping_patience": 0,
            "label_smoothing_factor": 0.1,
            "class_balance": 1,
            "validation_start": 0.5,
            "per_device_train_batch_size": 4,
            "lr_scheduler_type": "linear",
            "num_train_epochs": 1.5,
            "seed": 3,
            "graph_num_layers": 2,
            "basis_size": 3,
        },
        {
            "weight_averaging_decay": 0,
            "early_stopping_patience": 5,
            "label_smoothing_factor": 0.2,
            "class_balance": 0,
            "validation_start": 0,
            "per_device_train_batch_size": 9,
            "lr_scheduler_type": "cosine",
            "num_train_epochs": 1,
            "seed": 4,
            "graph_num_layers": 1,
            "basis_size": 4,
        },
    ]
    trainer = make_searching_trainer(tmp_path, Watching)
    trainer.hyperparameter_search(lambda trial: trials[trial.number], n_trials=2)
    expected = [trials[0] | {"validation_start": 0.5}, trials[1]]
    assert [seen[0], seen[-1]] == expected


def test_the_default_space_is_around_the_arguments(tmp_path):
    pytest.importorskip("optuna")
    trainer = make_searching_trainer(tmp_path, eval_strategy="no", load_best_model_at_end=False)
    best = trainer.hyperparameter_search(n_trials=1)
    assert 2e-4 <= best.hyperparameters["learning_rate"] <= 2e-2


def test_an_objective_of_the_caller_needs_its_direction(tmp_path):
    pytest.importorskip("optuna")
    with pytest.raises(ValueError, match="`direction`"):
        make_searching_trainer(tmp_path).hyperparameter_search(compute_objective=lambda metrics: 0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output_dir": "x"}, "'output_dir', which is settled"),
        ({"metric_for_best_model": "loss"}, "settled before the search"),
        ({"num_train_epochs": 2, "gradient_accumulation_steps": 1.5}, "a whole number"),
    ],
)
def test_arguments_that_no_trial_can_change_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        with_values(training_args(tmp_path), values)


def test_a_name_that_is_nothing_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="graph_num_layers"):
        with_fields(CASE.make(TRAIN)[0], {"graph_num_layer": 2})


def test_weights_that_keep_their_shape_keep_their_values():
    model = CASE.make(TRAIN)[0]
    changed = with_fields(model, {"basis_size": 3})
    same = {
        name: bool((tensor == model.state_dict()[name]).all())
        for name, tensor in changed.state_dict().items()
        if tensor.shape == model.state_dict()[name].shape
    }
    assert same
    assert all(same.values())
    assert changed.config.basis_size == 3
    assert model.config.basis_size == 4
