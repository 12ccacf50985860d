"""The models of a comparison, as users name them."""

import pytest

from joyful_hf import DialogueError
from joyful_hf.comparison.entrants import BASELINES, parse_entrants


def test_a_model_may_have_a_preset_and_a_name():
    entrants = parse_entrants(["joyful", "joyful:released", "deep=joyful", "old=ar-iigcn:paper", "bigru"])
    found = [(entrant.name, entrant.family_name, entrant.preset) for entrant in entrants]
    assert found == [
        ("joyful", "joyful", None),
        ("joyful:released", "joyful", "released"),
        ("deep", "joyful", None),
        ("old", "ar-iigcn", "paper"),
        ("bigru", "joyful", None),
    ]


def test_settings_are_for_all_or_for_one():
    settings = {"hidden_dropout_prob": 0.1, "deep": {"graph_num_layers": 4}}
    plain, deep, majority = parse_entrants(["joyful", "deep=joyful", "majority"], settings, {"num_train_epochs": 2})
    assert plain.settings == {"hidden_dropout_prob": 0.1}
    assert deep.settings == {"hidden_dropout_prob": 0.1, "graph_num_layers": 4}
    assert deep.training == {"num_train_epochs": 2}
    assert not majority.settings
    assert not majority.training


def test_a_preset_brings_its_recipe():
    (released,) = parse_entrants(["joyful:released"], training={"num_train_epochs": 2})
    recipe = released.training_arguments()
    assert (recipe["learning_rate"], recipe["num_train_epochs"]) == (3e-5, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["joyfull"], "unknown model 'joyfull'.*did you mean joyful"),
        (["joyful:papr"], "`models`: unknown preset 'papr' of joyful"),
        (["bigru:paper"], "the baseline bigru has no preset"),
        (["joyful", "joyful"], "joyful is there twice"),
        (["=joyful"], "begins with ="),
        ([], "at least one model"),
    ],
)
def test_what_is_no_model_is_refused(words, message):
    with pytest.raises(DialogueError, match=message):
        parse_entrants(words)


def test_settings_of_a_model_that_does_not_take_part_are_refused():
    with pytest.raises(DialogueError, match="'ar-iigcn' does not take part"):
        parse_entrants(["joyful"], {"ar-iigcn": {"projection_size": 8}})


def test_every_baseline_has_the_name_that_users_give():
    assert all(name == baseline.name for name, baseline in BASELINES.items())
