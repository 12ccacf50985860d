"""The table of families: what it says of a published form holds for the model at hand."""

import pytest

from joyful_hf import JoyfulConfig
from joyful_hf.families import FAMILIES

DIMS = {"text_dim": 8, "audio_dim": 6, "visual_dim": 4, "num_attention_heads": 2}
LITERAL = {"fusion_loss_reduction": "sum", "feature_mask_rescale": False}


@pytest.mark.parametrize("field", LITERAL)
def test_a_departure_is_told_unless_the_model_has_the_literal_form(field):
    family = FAMILIES["joyful"]
    _, words = family.presets["paper"].departing_fields[field]
    assert words in family.departures("paper", {}, JoyfulConfig.paper(**DIMS))
    literal = family.departures("paper", {}, JoyfulConfig.paper(**DIMS, **{field: LITERAL[field]}))
    assert words not in literal
    assert family.presets["paper"].departures in literal


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_departing_field_has_another_value_than_what_was_published(family):
    for name, preset in family.presets.items():
        config = getattr(family.config_class, name)()
        for field, (published, _) in preset.departing_fields.items():
            assert getattr(config, field) != published, (name, field)


def test_the_recommended_form_departs_from_nothing():
    assert FAMILIES["joyful"].departures(None, {"learning_rate": 1}, JoyfulConfig()) == ""
