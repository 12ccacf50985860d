"""`JoyfulConfig`: what it refuses, what survives JSON, and that the presets say what the papers say."""

import dataclasses
import json
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BertConfig, PreTrainedConfig

from joyful_hf import JoyfulConfig
from joyful_hf.modeling.configuration_joyful import CHOICES

PRESETS = ("paper", "released")
INHERITED = {field.name for field in dataclasses.fields(PreTrainedConfig)}
FIELDS = {field.name: field.default for field in dataclasses.fields(JoyfulConfig) if field.name not in INHERITED}
FLOATS = [
    field.name for field in dataclasses.fields(JoyfulConfig) if field.name in FIELDS and "float" in str(field.type)
]
SHARES = [name for name in FLOATS if name.endswith(("_rate", "_prob", "_threshold"))]
SHARES = [name for name in SHARES if name != "smoothing_rate" and not name.endswith("_learning_rate")]
# Fields whose values hang together, or that have a form of their own; any other value of its type does for the rest.
CHOSEN = {
    "text_dim": 10,
    "audio_dim": 6,
    "visual_dim": 7,
    "max_speakers": 4,
    "relation_scheme": "speaker_pair",
    "num_relations": 32,
    "fusion_branches": ["specific"],
    "views": [["edge_perturb"], []],
    "class_weights": [0.5, 1, 2.0],
    "text_config": BertConfig(hidden_size=5),
    "text_encoder_layers": 2,
    "audio_config": BertConfig(hidden_size=6),
    "feature_layers": {"visual": 7},
}
IEMOCAP = {"text_dim": 768, "audio_dim": 100, "visual_dim": 512}

each_preset = pytest.mark.parametrize("preset", PRESETS)


def another(name: str, value: Any) -> Any:
    """A value of the same kind that is not the default."""
    if name in CHOSEN:
        return CHOSEN[name]
    if name in CHOICES:
        return next(choice for choice in CHOICES[name] if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return 1 - value / 2
    return 3 if value is None else value + 1


def preset_config(preset: str, **overrides: Any) -> JoyfulConfig:
    return getattr(JoyfulConfig, preset)(**overrides)


class TestJson:
    def test_every_field_survives(self, tmp_path):
        values = {name: another(name, default) for name, default in FIELDS.items()}
        labels = {"id2label": {0: "joy", 1: "anger", 2: "fear"}, "label2id": {"joy": 0, "anger": 1, "fear": 2}}
        config = JoyfulConfig(**values, **labels, problem_type="multi_label_classification")
        config.save_pretrained(tmp_path)
        loaded = JoyfulConfig.from_pretrained(tmp_path)
        assert {name: getattr(loaded, name) for name in values | labels} == values | labels
        assert loaded.problem_type == "multi_label_classification"
        assert loaded.to_json_string() == config.to_json_string()

    @pytest.mark.parametrize("make", [JoyfulConfig, JoyfulConfig.paper, JoyfulConfig.released])
    def test_auto_config_knows_it(self, make, tmp_path):
        config = make()
        config.save_pretrained(tmp_path)
        loaded = AutoConfig.from_pretrained(tmp_path)
        assert type(loaded) is JoyfulConfig
        assert loaded.to_json_string() == config.to_json_string()

    def test_lists_and_tuples_are_the_same(self):
        as_tuples = JoyfulConfig(
            views=(("feature_mask",), ()), fusion_branches=("contextual",), class_weights=(1.0, 2.0)
        )
        as_lists = JoyfulConfig(views=[["feature_mask"], []], fusion_branches=["contextual"], class_weights=[1.0, 2.0])
        assert as_tuples.to_dict() == as_lists.to_dict()
        assert as_tuples.views == [["feature_mask"], []]

    @pytest.mark.parametrize("name", FLOATS)
    def test_an_int_does_for_a_float(self, name, tmp_path):
        value = [1, 2] if name == "class_weights" else 1
        JoyfulConfig(**{name: value}).save_pretrained(tmp_path)
        assert getattr(JoyfulConfig.from_pretrained(tmp_path), name) == value

    def test_a_field_of_a_later_version_does_no_harm(self, tmp_path):
        JoyfulConfig(projection_size=9).save_pretrained(tmp_path)
        path = tmp_path / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"field_of_tomorrow": 3}))
        assert JoyfulConfig.from_pretrained(tmp_path).projection_size == 9


class TestRefusals:
    @pytest.mark.parametrize("name", CHOICES)
    def test_a_word_that_is_no_choice(self, name):
        with pytest.raises(StrictDataclassError, match=f"{name} must be one of .*{CHOICES[name][-1]}, got 'non"):
            JoyfulConfig(**{name: "nonsense"})

    @pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
    @pytest.mark.parametrize("name", SHARES)
    def test_a_share_out_of_range(self, name, value):
        with pytest.raises(StrictDataclassError, match=rf"{name} must .*, got {value}"):
            JoyfulConfig(**{name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("text_dim", -1),
            ("max_speakers", 0),
            ("contextual_size", 0),
            ("projection_size", 0),
            ("basis_size", 0),
            ("autoencoder_size", 0),
            ("bottleneck_size", 0),
            ("num_hidden_layers", -1),
            ("num_attention_heads", 0),
            ("intermediate_size", 0),
            ("max_relative_distance", -1),
            ("graph_hidden_size", 0),
            ("graph_num_layers", -1),
            ("graph_num_heads", 0),
            ("graph_max_distance", -1),
            ("katz_order", 0),
            ("smoothing_rate", -0.2),
            ("smoothing_rate", float("nan")),
            ("katz_attenuation", -0.5),
            ("contrastive_temperature", 0),
            ("fusion_loss_weight", -1),
            ("contrastive_loss_weight", -1),
            ("classifier_hidden_size", 0),
        ],
    )
    def test_a_size_that_is_too_small(self, name, value):
        with pytest.raises(StrictDataclassError, match=rf"{name} must be .*, got {value}"):
            JoyfulConfig(**{name: value})

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"views": [["feature_mask"]]}, "views must be a pair of augmentation lists, got 1 lists"),
            ({"views": [["flip"], []]}, r"unknown augmentations \['flip'\]; choose from feature_mask, edge_perturb"),
            ({"fusion_branches": ["global"]}, r"unknown fusion_branches \['global'\]; choose from contextual, spec"),
            ({"num_relations": 5}, "num_relations is 5, but speaker_pair .*=2 has 8; leave num_relations out"),
            ({"class_weights": [1.0]}, "class_weights has 1 weights for num_labels=2"),
            ({"problem_type": "regression", "num_labels": 3}, "regression .* got num_labels=3; set it to 1"),
            ({"num_labels": 0}, "num_labels must be 1 or more"),
            (
                {"id2label": {0: "joy", 2: "anger"}},
                "id2label numbers its 2 labels 0, 2; they begin at 0, without a gap",
            ),
        ],
    )
    def test_what_does_not_fit_together(self, fields, message):
        with pytest.raises(StrictDataclassError, match=message):
            JoyfulConfig(**fields)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("text_dim", "768"),
            ("text_dim", 7.5),
            ("fusion", 3),
            ("fusion_branches", "specific"),
            ("hidden_dropout_prob", "0.3"),
            ("graph_residual", 1),
            ("views", "feature_mask"),
            ("class_weights", [None]),
        ],
    )
    def test_a_wrong_type_at_init_and_later(self, name, value):
        with pytest.raises(StrictDataclassError, match=name):
            JoyfulConfig(**{name: value})
        config = JoyfulConfig()
        before = getattr(config, name)
        with pytest.raises(StrictDataclassError, match=name):
            setattr(config, name, value)
        assert getattr(config, name) == before

    def test_positional_arguments(self):
        with pytest.raises(ValueError, match="keyword"):
            JoyfulConfig(768)

    @each_preset
    def test_a_preset_refuses_what_would_change_nothing(self, preset):
        with pytest.raises(ValueError, match="no field 'graph_num_layer'; did you mean graph_num_layers"):
            preset_config(preset, graph_num_layer=2)

    def test_a_config_that_was_spoilt_is_not_saved(self, tmp_path):
        config = JoyfulConfig()
        config.max_speakers = 5
        with pytest.raises(StrictDataclassError, match="has 50; leave num_relations out"):
            config.save_pretrained(tmp_path)


class TestSizes:
    @pytest.mark.parametrize("make", [JoyfulConfig, JoyfulConfig.paper, JoyfulConfig.released])
    def test_without_any_size_those_of_iemocap_are_taken(self, make):
        config = make()
        assert {name: getattr(config, name) for name in IEMOCAP} == IEMOCAP

    @pytest.mark.parametrize("make", [JoyfulConfig, JoyfulConfig.paper, JoyfulConfig.released])
    def test_one_size_leaves_the_other_modalities_out(self, make):
        assert make(audio_dim=7).modality_dims == {"audio": 7}

    @pytest.mark.parametrize(
        ("fields", "relations"),
        [
            ({}, 8),
            ({"max_speakers": 1}, 2),
            ({"max_speakers": 9}, 162),
            ({"max_speakers": 9, "num_relations": 162}, 162),
            ({"relation_scheme": "same_or_other", "max_speakers": 30}, 4),
        ],
    )
    def test_relations_follow_from_the_scheme(self, fields, relations):
        assert JoyfulConfig(**fields).num_relations == relations

    @pytest.mark.parametrize(
        ("overrides", "heads"),
        [
            ({}, 10),
            ({"text_dim": 768}, 8),
            ({"audio_dim": 7}, 7),
            ({"contextual_size": 128}, 8),
            ({"text_dim": 11, "contextual_size": 9}, 9),
            ({"num_attention_heads": 12}, 12),
        ],
    )
    def test_the_papers_heads_divide_the_width(self, overrides, heads):
        assert JoyfulConfig.paper(**overrides).num_attention_heads == heads


class TestLabels:
    def test_a_number_a_list_of_names_or_a_way_back(self):
        assert JoyfulConfig(num_labels=3).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
        assert JoyfulConfig(id2label={0: "joy", 1: "anger", 2: "fear"}).num_labels == 3
        assert JoyfulConfig(label2id={"joy": 0, "anger": 1, "fear": 2}).id2label == {0: "joy", 1: "anger", 2: "fear"}


class TestPresets:
    # Section 3.2 and 4.1, Eqs. 1-15, Tables 7 and 8, Appendices A and D; where the paper is silent, our reading of it.
    PAPER = {
        **IEMOCAP,
        "fusion": "contextual_basis",
        "fusion_branches": ["contextual", "specific"],
        "contextual_size": None,
        "projection_size": 460,
        "basis_size": 32,
        "smoothing_rate": 0.2,
        "input_dropout_prob": 0,
        "context_encoder": "transformer",
        "num_hidden_layers": 4,
        "num_attention_heads": 10,
        "intermediate_size": 2048,
        "hidden_dropout_prob": 0.3,
        "norm_first": False,
        "max_relative_distance": 0,
        "graph_encoder": "aggregate_combine",
        "graph_hidden_size": None,
        "graph_num_layers": 1,
        "graph_residual": False,
        "graph_max_distance": 0,
        "views": [["feature_mask", "edge_perturb"], ["feature_mask", "global_proximity"]],
        "feature_mask_rate": 0.2,
        "edge_perturb_rate": 0.2,
        "global_proximity_rate": 0.2,
        "global_proximity_threshold": 0.5,
        "katz_attenuation": 0.5,
        "katz_order": 4,
        "feature_mask_unit": "dimension",
        "feature_mask_rescale": True,
        "edge_perturb_mode": "drop_and_add",
        "contrast": "view_to_view",
        "contrast_scope": "dialogue",
        "contrastive_temperature": 1,
        "contrast_exclude_self": True,
        "fusion_loss_weight": 0.06,
        "contrastive_loss_weight": 0.3,
        "classifier_hidden_size": None,
        "classifier_residual": False,
        "label_smoothing": 0,
    }
    # The authors' code at its defaults.
    RELEASED = {
        **IEMOCAP,
        "fusion": "autoencoder",
        "projection_size": 460,
        "autoencoder_size": 1024,
        "bottleneck_size": 512,
        "input_dropout_prob": 0,
        "context_encoder": "transformer",
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "intermediate_size": 2048,
        "hidden_dropout_prob": 0.3,
        "norm_first": False,
        "max_relative_distance": 0,
        "graph_encoder": "relational",
        "graph_hidden_size": 100,
        "graph_num_layers": 1,
        "graph_num_heads": 4,
        "graph_residual": False,
        "graph_max_distance": 0,
        "views": [["feature_mask", "edge_perturb"], ["feature_mask", "edge_perturb"]],
        "feature_mask_rate": 0.25,
        "edge_perturb_rate": 0.1,
        "feature_mask_unit": "element",
        "feature_mask_rescale": False,
        "edge_perturb_mode": "rewire",
        "contrast": "anchor_to_views",
        "contrast_scope": "batch",
        "contrastive_temperature": 0.2,
        "contrast_exclude_self": True,
        "fusion_loss_weight": 0.05,
        "contrastive_loss_weight": 0.2,
        "classifier_hidden_size": None,
        "classifier_residual": False,
        "label_smoothing": 0,
    }
    # Fields that belong to the data or that the form does not have: a preset keeps their defaults.
    DATA = {
        "max_speakers",
        "relation_scheme",
        "num_relations",
        "class_weights",
        "calibration_temperature",
        "feature_layers",
    }
    ENCODER = {
        "text_config",
        "text_encoder_layers",
        "text_pooling",
        "unfreeze_text_encoder",
        "text_encoder_learning_rate",
    }
    ENCODER |= {"audio_config", "freeze_feature_encoder", "unfreeze_audio_encoder", "audio_encoder_learning_rate"}
    OURS = {"plain_path_dropout_prob", "path_loss_weight"}
    NOT_IN = {
        "paper": DATA | OURS | {"autoencoder_size", "bottleneck_size", "graph_num_heads"},
        "released": (DATA | OURS)
        | {"fusion_branches", "contextual_size", "basis_size", "smoothing_rate"}
        | {"global_proximity_rate", "global_proximity_threshold", "katz_attenuation", "katz_order"},
    }

    @pytest.mark.parametrize(("preset", "published"), [("paper", PAPER), ("released", RELEASED)])
    def test_it_says_what_was_published(self, preset, published):
        config = preset_config(preset)
        assert {name: getattr(config, name) for name in published} == published

    @each_preset
    def test_it_does_not_lean_on_what_we_recommend(self, preset):
        """A new field has a value in every published form: the one that changes nothing there."""

        class Recorder(JoyfulConfig):
            def __init__(self, **given):
                self.__dict__["given"] = given

        given = getattr(Recorder, preset)().given
        assert set(given) == set(FIELDS) - self.NOT_IN[preset] - set(IEMOCAP) - self.ENCODER

    @each_preset
    def test_every_field_can_be_overridden(self, preset):
        values = {name: another(name, default) for name, default in FIELDS.items()}
        config = preset_config(preset, **values, num_labels=3)
        assert {name: getattr(config, name) for name in values} == values
        assert config.num_labels == 3


class TestHeadsOfThePaper:
    """The paper's form takes as many heads as divide the width of its contextual branch."""

    @pytest.mark.parametrize("given", [dict, lambda **fields: AutoConfig.for_model("bert", **fields)])
    def test_an_encoder_of_text_counts_with_its_own_size(self, given):
        config = JoyfulConfig.paper(text_config=given(hidden_size=48, num_attention_heads=4), num_labels=3)
        assert config.text_dim == 48
        assert config.num_attention_heads == 8
        assert JoyfulConfig.paper(text_config={}, num_labels=3).num_attention_heads == 8  # BERT's 768

    def test_a_width_that_nothing_divides_is_told(self, caplog):
        assert JoyfulConfig.paper(text_dim=11, audio_dim=2, num_labels=3).num_attention_heads == 1
        (record,) = caplog.records
        assert "13 wide" in record.getMessage()
        assert "`contextual_size`" in record.getMessage()

    def test_who_asks_for_one_head_gets_it_without_a_word(self, caplog):
        assert JoyfulConfig.paper(text_dim=11, audio_dim=2, num_attention_heads=1).num_attention_heads == 1
        assert not caplog.records
