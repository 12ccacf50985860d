"""`ARIIGCNConfig`: what survives JSON, what it refuses, and its preset."""

import dataclasses

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BertConfig, PreTrainedConfig

from joyful_hf import ARIIGCNConfig, JoyfulConfig
from joyful_hf.modeling.configuration_graph import SpeakerGraphConfig

INHERITED = {field.name for field in dataclasses.fields(PreTrainedConfig)}
FIELDS = {field.name: field for field in dataclasses.fields(ARIIGCNConfig) if field.name not in INHERITED}
FLOATS = [name for name, field in FIELDS.items() if "float" in str(field.type) and name != "class_weights"]
# Fields whose values hang together, or that have a form of their own.
CHOSEN = {
    "text_dim": 5,
    "audio_dim": 6,
    "visual_dim": 7,
    "max_speakers": 4,
    "num_relations": 32,
    "generator": "mlp",
    "absent_modality": "learnt",
    "relation_scheme": "speaker_pair",
    "graph_residual": False,
    "causal": True,
    "class_weights": [0.5, 1, 2.0],
    "feature_layers": {"visual": 7},
    "text_config": BertConfig(hidden_size=5),
    "text_encoder_layers": 2,
    "text_dim": 10,
    "text_pooling": "cls",
    "unfreeze_text_encoder": True,
    "audio_config": BertConfig(hidden_size=6),
    "freeze_feature_encoder": False,
    "unfreeze_audio_encoder": True,
}
# Fields that belong to the data or to an encoder: a preset keeps their defaults.
DATA = {"text_dim", "audio_dim", "visual_dim", "max_speakers", "relation_scheme", "num_relations", "class_weights"}
DATA |= {
    "text_config",
    "text_encoder_layers",
    "text_pooling",
    "unfreeze_text_encoder",
    "text_encoder_learning_rate",
    "audio_config",
    "freeze_feature_encoder",
    "unfreeze_audio_encoder",
    "audio_encoder_learning_rate",
    "calibration_temperature",
    "feature_layers",
}


def another(name):
    if name in CHOSEN:
        return CHOSEN[name]
    default = FIELDS[name].default
    return 1 - default / 2 if isinstance(default, float) else default + 1


def test_every_field_survives_json(tmp_path):
    values = {name: another(name) for name in FIELDS}
    config = ARIIGCNConfig(**values, num_labels=3)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is ARIIGCNConfig
    assert {name: getattr(loaded, name) for name in values} == values
    assert loaded.to_json_string() == config.to_json_string()


@pytest.mark.parametrize("name", FLOATS)
def test_an_int_does_for_a_float(name, tmp_path):
    ARIIGCNConfig(**{name: 1}).save_pretrained(tmp_path)
    assert getattr(ARIIGCNConfig.from_pretrained(tmp_path), name) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"generator": "cnn"}, "generator must be one of mlp, gru, got 'cnn'"),
        ({"relation_scheme": "all"}, "relation_scheme must be one of speaker_pair, same_or_other, got 'all'"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob must lie between 0 and 1, got 1.5"),
        ({"projection_size": 0}, "projection_size must be 1 or more, got 0"),
        ({"discriminator_hidden_size": 0}, "discriminator_hidden_size must be 1 or more, got 0"),
        ({"classifier_hidden_size": 0}, "classifier_hidden_size must be 1 or more, got 0"),
        ({"discriminator_learning_rate": -1}, "discriminator_learning_rate must be 0 or more, got -1"),
        ({"adversarial_loss_weight": float("nan")}, "adversarial_loss_weight must be 0 or more, got nan"),
        ({"intra_modal_loss_weight": -1}, "intra_modal_loss_weight must be 0 or more, got -1"),
        ({"inter_modal_loss_weight": -1}, "inter_modal_loss_weight must be 0 or more, got -1"),
        ({"graph_num_layers": -1}, "graph_num_layers must be 0 or more, got -1"),
        ({"contrastive_temperature": 0}, "contrastive_temperature must be above 0, got 0"),
        ({"num_relations": 5}, "num_relations is 5, but speaker_pair .*=2 has 8; leave num_relations out"),
        ({"class_weights": [1.0]}, "class_weights has 1 weights for num_labels=2"),
        ({"projection_size": "64"}, "projection_size"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        ARIIGCNConfig(**fields)


def test_the_discriminators_may_do_without_a_learning_rate_of_their_own(tmp_path):
    ARIIGCNConfig(discriminator_learning_rate=None).save_pretrained(tmp_path)
    assert ARIIGCNConfig.from_pretrained(tmp_path).discriminator_learning_rate is None


class TestPaper:
    def test_it_has_the_abstracts_parts_and_no_more(self):
        config = ARIIGCNConfig.paper()
        assert (config.generator, config.graph_num_heads, config.graph_residual) == ("mlp", 0, False)
        assert config.adversarial_loss_weight > 0
        assert config.intra_modal_loss_weight > 0
        assert config.inter_modal_loss_weight > 0

    def test_it_does_not_lean_on_what_we_recommend(self):
        class Recorder(ARIIGCNConfig):
            def __init__(self, **given):
                self.__dict__["given"] = given

        assert set(Recorder.paper().given) == set(FIELDS) - DATA

    def test_every_field_can_be_overridden(self):
        values = {name: another(name) for name in FIELDS}
        config = ARIIGCNConfig.paper(**values, num_labels=3)
        assert {name: getattr(config, name) for name in values} == values

    def test_it_refuses_what_would_change_nothing(self):
        with pytest.raises(ValueError, match="ARIIGCNConfig has no field 'generatr'; did you mean generator"):
            ARIIGCNConfig.paper(generatr="gru")


def test_what_both_families_share_is_said_once():
    shared = {field.name for field in dataclasses.fields(SpeakerGraphConfig)}
    assert shared <= {field.name for field in dataclasses.fields(JoyfulConfig)}
    assert shared <= {field.name for field in dataclasses.fields(ARIIGCNConfig)}
    assert ARIIGCNConfig(audio_dim=7).modality_dims == JoyfulConfig(audio_dim=7).modality_dims == {"audio": 7}
