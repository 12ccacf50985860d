"""Every model gets the same number of trials, judged on validation."""

import pytest

from joyful_hf.comparison.entrants import parse_entrants
from joyful_hf.comparison.trials import SAMPLERS, Search, describe_search

each_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def searched(entrant, scores, greater=True, sampler="random"):
    search = Search(entrant, greater, sampler)
    for number, score in enumerate(scores):
        search.propose(number)
        search.learn(number, score)
    return search


@each_sampler
@pytest.mark.parametrize("greater", [True, False], ids=["highest", "lowest"])
def test_the_best_trial_wins_and_the_first_is_the_model_as_it_comes(sampler, greater):
    (entrant,) = parse_entrants(["joyful"])
    search = searched(entrant, [0.2, 0.5, 0.1, 0.4], greater, sampler)
    assert search.tried[0] == entrant
    assert search.changed(0) == {}
    assert search.best == (1 if greater else 2)
    chosen = search.tried[search.best]
    assert search.changed(search.best)["learning_rate"] == chosen.training["learning_rate"]


@each_sampler
def test_a_failed_trial_is_not_the_best(sampler):
    (entrant,) = parse_entrants(["joyful"])
    assert searched(entrant, [0.1, float("nan"), 0.2], sampler=sampler).best == 2


@each_sampler
def test_the_same_scores_lead_to_the_same_trials(sampler):
    """A restart takes the scores that it finds, and goes on as the first run would have."""
    (entrant,) = parse_entrants(["sdt:released"])
    first, second = (searched(entrant, [0.2, 0.5, 0.1], sampler=sampler) for _ in range(2))
    assert first.tried == second.tried
    assert first.propose(3) == second.propose(3)


def test_all_models_get_the_same_draws_around_their_own_rates():
    entrants = parse_entrants(["joyful", "slow=joyful"], training={"slow": {"learning_rate": 1e-4}})
    rates = []
    for entrant in entrants:
        search = searched(entrant, [0.0, 0.0, 0.0])
        rates.append([search.tried[number].training_arguments()["learning_rate"] for number in (1, 2)])
    assert rates[1] == pytest.approx([rate * 1e-4 / 2e-3 for rate in rates[0]])
    assert all(1e-5 <= rate <= 1e-3 for rate in rates[1])


def test_a_preset_is_searched_around_its_published_recipe():
    (entrant,) = parse_entrants(["sdt:released"])
    trial = Search(entrant, greater=True).propose(1)
    assert 1e-5 <= trial.training["learning_rate"] <= 1e-3
    assert trial.training["per_device_train_batch_size"] in (8, 16, 32, 64)
    assert trial.training_arguments()["num_train_epochs"] == 150


def test_a_recommended_form_is_searched_around_the_most_dialogues_of_a_step():
    (entrant,) = parse_entrants(["sdt"])
    search = Search(entrant, greater=True)
    assert {search.propose(number).training["per_device_train_batch_size"] for number in range(1, 20)} == {
        4,
        8,
        16,
        32,
    }


def test_what_was_searched_is_said():
    said = describe_search(5, "optuna")
    assert "its own settings and with 5 others drawn by Optuna" in said
    assert "the learning rate from 0.1 to 10 times its own" in said
    assert "dropout of hidden layers 0.1, 0.3 or 0.5" in said
