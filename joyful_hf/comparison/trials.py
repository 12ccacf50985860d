"""The same number of trials for every model: settings drawn from one space, and judged on validation alone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ..evaluation.task import task_of
from ..processing.optional_imports import import_optional
from ..training.arguments import JoyfulTrainingArguments
from ..training.building import setting_names
from .cells import Cell
from .corpora import Corpus
from .entrants import Entrant

SAMPLERS = ("random", "optuna")
_RATE_FACTOR = 10.0
_BATCH_FACTORS = (0.5, 1.0, 2.0, 4.0)
_DROPOUTS = (0.1, 0.3, 0.5)
_WEIGHT_DECAYS = (0.0, 0.01, 0.1)


class _Draw(Protocol):
    """Draws one value of the space."""

    def __call__(self, name: str, choices: tuple[float, ...] | None = None) -> float:
        """One of the choices, or without them a number from -1 to 1."""
        ...


def draw_settings(entrant: Entrant, draw: _Draw) -> Entrant:
    """Draw the settings of one trial.

    The space is the same for all: the learning rate between a tenth and ten times the model's own, the batch size
    between half of it and four times it, weight decay, and the dropout of hidden layers where the model has it.
    """
    family = entrant.family
    assert family is not None
    own = entrant.training_arguments()
    rate = float(own.get("learning_rate", JoyfulTrainingArguments.learning_rate))
    batch = int(own.get("per_device_train_batch_size", JoyfulTrainingArguments.per_device_train_batch_size))
    training = {
        "learning_rate": rate * _RATE_FACTOR ** draw("learning_rate"),
        "per_device_train_batch_size": max(1, round(batch * draw("batch", _BATCH_FACTORS))),
        "weight_decay": draw("weight_decay", _WEIGHT_DECAYS),
    }
    settings = {}
    if "hidden_dropout_prob" in setting_names(family)[0]:
        settings["hidden_dropout_prob"] = draw("hidden_dropout_prob", _DROPOUTS)
    return replace(entrant, settings=dict(entrant.settings) | settings, training=dict(entrant.training) | training)


def random_trials(score: Callable[[int, Entrant], float], entrant: Entrant, num_trials: int, greater: bool) -> Entrant:
    """Return the best of the model as it comes and of `num_trials - 1` random settings, the same draws for all models.

    Args:
        score: the validation score of a trial, by its number.
        greater: whether the highest score is the best one.
    """

    def draws(trial: int) -> _Draw:
        generator = np.random.default_rng(trial)

        def draw(name: str, choices: tuple[float, ...] | None = None) -> float:
            number = generator.random()
            return 2 * number - 1 if choices is None else choices[int(number * len(choices))]

        return draw

    trials = [entrant, *(draw_settings(entrant, draws(trial)) for trial in range(1, num_trials))]
    scores = [score(number, trial) for number, trial in enumerate(trials)]
    return trials[_best(scores, greater)]


def optuna_trials(score: Callable[[int, Entrant], float], entrant: Entrant, num_trials: int, greater: bool) -> Entrant:
    """Return the best of the model as it comes and of `num_trials - 1` settings that Optuna's TPE sampler proposes."""
    optuna = import_optional("optuna", "search", "trials by Optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if greater else "minimize"
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=0))
    trials, scores = [entrant], [score(0, entrant)]
    for number in range(1, num_trials):
        asked = study.ask()

        def draw(name: str, choices: tuple[float, ...] | None = None, asked: Any = asked) -> float:
            return asked.suggest_float(name, -1, 1) if choices is None else asked.suggest_categorical(name, choices)

        trials.append(draw_settings(entrant, draw))
        scores.append(score(number, trials[-1]))
        study.tell(asked, scores[-1])
    return trials[_best(scores, greater)]


def _best(scores: list[float], greater: bool) -> int:
    ordered = [(-score if greater else score, number) for number, score in enumerate(scores) if math.isfinite(score)]
    return min(ordered)[1] if ordered else 0


def tune(cell: Cell, corpus: Corpus, num_trials: int, sampler: str, score: Callable[[int, Entrant], float]) -> Entrant:
    """Return the entrant of a cell with the settings that were best on validation.

    Args:
        score: the validation score of a trial, by its number and the entrant with its settings.
    """
    task = task_of(corpus.problem_type)
    greater = bool(task.greater_is_better(task.main_metric))
    search = optuna_trials if sampler == "optuna" else random_trials
    return search(score, cell.entrant, num_trials, greater)


def chosen_settings(before: Entrant, after: Entrant) -> dict[str, Any]:
    """Return what a search has changed."""
    changed: dict[str, Any] = {}
    parts: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = (
        (before.settings, after.settings),
        (before.training, after.training),
    )
    for old, new in parts:
        changed |= {name: value for name, value in new.items() if old.get(name) != value}
    return changed
