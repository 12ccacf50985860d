"""Every model gets the same number of trials, judged on validation."""

import pytest

from joyful_hf.comparison.entrants import parse_entrants
from joyful_hf.comparison.trials import chosen_settings, optuna_trials, random_trials


@pytest.mark.parametrize("search", [random_trials, optuna_trials], ids=["random", "optuna"])
@pytest.mark.parametrize("greater", [True, False], ids=["highest", "lowest"])
def test_the_best_trial_wins_and_the_first_is_the_model_as_it_comes(search, greater):
    (entrant,) = parse_entrants(["joyful"])
    scores, seen = [0.2, 0.5, 0.1, 0.4], []

    def score(number, trial):
        seen.append(trial)
        return scores[number]

    chosen = search(score, entrant, 4, greater)
    assert len(seen) == 4
    assert seen[0] == entrant
    assert chosen == seen[1 if greater else 2]
    assert chosen_settings(entrant, chosen)["learning_rate"] == chosen.training["learning_rate"]


def test_a_failed_trial_is_not_the_best():
    (entrant,) = parse_entrants(["joyful"])
    scores = [0.1, float("nan"), 0.2]
    trials = {}

    def score(number, trial):
        trials[number] = trial
        return scores[number]

    assert random_trials(score, entrant, 3, greater=True) == trials[2]


def test_all_models_get_the_same_draws_around_their_own_rates():
    joyful, ar_iigcn = parse_entrants(["joyful", "slow=joyful"], training={"slow": {"learning_rate": 1e-4}})
    rates = []
    for entrant in (joyful, ar_iigcn):
        drawn = []
        random_trials(lambda _, trial, drawn=drawn: drawn.append(trial) or 0.0, entrant, 3, greater=True)
        rates.append([trial.training_arguments()["learning_rate"] for trial in drawn[1:]])
    assert rates[1] == pytest.approx([rate * 1e-4 / 2e-3 for rate in rates[0]])
    assert all(1e-5 <= rate <= 1e-3 for rate in rates[1])
