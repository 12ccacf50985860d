"""The same number of trials for every model: settings drawn from one space, and judged on validation alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..io.messages import counted
from ..processing.optional_imports import import_optional
from ..training.arguments import MOST_DIALOGUES_PER_STEP, JoyfulTrainingArguments
from ..training.building import setting_names
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
    """Draw the settings of one trial, from the space that `describe_search` tells of."""
    family = entrant.family
    assert family is not None
    own = entrant.training_arguments()
    rate = float(own.get("learning_rate", JoyfulTrainingArguments.learning_rate))
    batch = int(own.get("per_device_train_batch_size", MOST_DIALOGUES_PER_STEP))
    training = {
        "learning_rate": rate * _RATE_FACTOR ** draw("learning_rate"),
        "per_device_train_batch_size": max(1, round(batch * draw("batch", _BATCH_FACTORS))),
        "weight_decay": draw("weight_decay", _WEIGHT_DECAYS),
    }
    settings = {}
    if "hidden_dropout_prob" in setting_names(family)[0]:
        settings["hidden_dropout_prob"] = draw("hidden_dropout_prob", _DROPOUTS)
    return replace(entrant, settings=dict(entrant.settings) | settings, training=dict(entrant.training) | training)


def describe_search(num_trials: int, sampler: str) -> str:
    """Say what each model is tried with."""
    who = "drawn by Optuna" if sampler == "optuna" else "drawn at random, the same draws for all models"
    return (
        f"Each model was tried on validation with its own settings and with {counted(num_trials, 'other')} {who}: "
        f"the learning rate from {1 / _RATE_FACTOR:g} to {_RATE_FACTOR:g} times its own, the batch size "
        f"{_choices(_BATCH_FACTORS)} times its own, weight decay {_choices(_WEIGHT_DECAYS)}, and the dropout of "
        f"hidden layers {_choices(_DROPOUTS)} where the model has it. The best of them was trained"
    )


def _choices(values: tuple[float, ...]) -> str:
    *first, last = (f"{value:g}" for value in values)
    return f"{', '.join(first)} or {last}"


def _optuna() -> Any:
    return import_optional("optuna", "search", "trials by Optuna")


def _random_draw(number: int) -> _Draw:
    generator = np.random.default_rng(number)

    def draw(name: str, choices: tuple[float, ...] | None = None) -> float:
        value = generator.random()
        return 2 * value - 1 if choices is None else choices[int(value * len(choices))]

    return draw


@dataclass
class Search:
    """The trials of one model: number 0 has its own settings, and each further one draws others."""

    entrant: Entrant
    greater: bool
    """Whether the highest score is the best one."""
    sampler: str = SAMPLERS[0]
    tried: dict[int, Entrant] = field(default_factory=dict)
    """Number -> the model of that trial."""
    scores: dict[int, float] = field(default_factory=dict)
    """Number -> the main metric on validation."""
    _asked: dict[int, Any] = field(default_factory=dict, repr=False)
    _study: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.sampler == "optuna":
            optuna = _optuna()
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            direction = "maximize" if self.greater else "minimize"
            self._study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=0))

    def propose(self, number: int) -> Entrant:
        """Return the model of a trial. Optuna looks at the scores of the trials before it."""
        trial = self.entrant if number == 0 else draw_settings(self.entrant, self._draw(number))
        self.tried[number] = trial
        return trial

    def _draw(self, number: int) -> _Draw:
        if self._study is None:
            return _random_draw(number)
        self._asked[number] = asked = self._study.ask()

        def draw(name: str, choices: tuple[float, ...] | None = None) -> float:
            return asked.suggest_float(name, -1, 1) if choices is None else asked.suggest_categorical(name, choices)

        return draw

    def learn(self, number: int, score: float) -> None:
        """Take the score of a trial."""
        self.scores[number] = score
        if number in self._asked:
            if math.isfinite(score):
                self._study.tell(self._asked[number], score)
            else:
                self._study.tell(self._asked[number], state=_optuna().trial.TrialState.FAIL)

    @property
    def best(self) -> int:
        """The number of the best trial; of equal ones the first, and 0 if none has a score."""
        ordered = [
            (-score if self.greater else score, number)
            for number, score in self.scores.items()
            if math.isfinite(score)
        ]
        return min(ordered)[1] if ordered else 0

    def changed(self, number: int) -> dict[str, Any]:
        """Return the settings of a trial that are not the model's own."""
        before, after = self.entrant, self.tried[number]
        parts: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = (
            (before.training_arguments(), after.training_arguments()),
            (before.settings, after.settings),
        )
        return {name: value for old, new in parts for name, value in new.items() if old.get(name) != value}
