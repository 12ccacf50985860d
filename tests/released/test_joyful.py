"""Released weights, converted: every stage agrees with what the authors' code computed (tests/data)."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from joyful_hf import JoyfulForEmotionRecognition, convert_released_state_dict
from joyful_hf.modeling.contrast import info_nce_loss
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.modeling.speaker_graph import SpeakerGraph
from joyful_hf.released.joyful import released_config_of, released_processor_of

PARITY_FILE = Path(__file__).parents[1] / "parity" / "joyful_tiny.safetensors"
PARITY = load_file(PARITY_FILE)
TOLERANCE = 1e-5
# Parameters that the released network registers and never uses.
UNUSED = [
    "rnn.encoding_layer.weight",
    "rnn.LayerNorm.weight",
    "clf.emotion_att.lin.weight",
    "clf.lin_7.weight",
    "clf.linear.weight",
    "clf.nll_loss.weight",
]

each_dialogue = pytest.mark.parametrize("dialogue", ["dialogue0", "dialogue1", "dialogue2"])


def tensors_below(prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in PARITY.items() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def sizes() -> dict:
    with safe_open(PARITY_FILE, "pt") as file:
        return json.loads(file.metadata()["config"])


@pytest.fixture
def fusion_state():
    return tensors_below("fusion_state.")


@pytest.fixture
def model_state():
    return tensors_below("model_state.")


@pytest.fixture(scope="module")
def model():
    fusion_state, model_state = tensors_below("fusion_state."), tensors_below("model_state.")
    model = JoyfulForEmotionRecognition(released_config_of(fusion_state, model_state))
    model.load_state_dict(convert_released_state_dict(fusion_state, model_state))
    return model.eval()


@pytest.fixture(scope="module")
def processor(model, sizes):
    return released_processor_of(
        model.config, sizes["window_past"], sizes["window_future"], speaker_to_id={"0": 0, "1": 1}
    )


def as_dialogue(recorded) -> dict:
    rows = zip(*(recorded[name].tolist() for name in ("speaker", "text", "audio", "visual")), strict=True)
    keys = ("text_features", "audio_features", "visual_features")
    return {
        "utterances": [
            {"speaker": str(speaker), **dict(zip(keys, features, strict=True))} for speaker, *features in rows
        ]
    }


@pytest.fixture
def recorded(dialogue):
    return tensors_below(f"{dialogue}.")


@pytest.fixture
def batch(recorded, processor):
    return processor(as_dialogue(recorded), return_tensors="pt")


@pytest.fixture
def output(batch, model):
    with torch.inference_mode():
        return model(**batch)


def assert_agrees(ours: torch.Tensor, released: torch.Tensor) -> None:
    torch.testing.assert_close(ours, released, rtol=0, atol=TOLERANCE)


# The data's way through the network, stage by stage.


@each_dialogue
def test_the_processor_draws_the_released_graph(batch, recorded):
    order = torch.argsort(batch["edge_index"][0] * 1000 + batch["edge_index"][1])
    assert batch["edge_index"][:, order].equal(recorded["edge_index"])
    assert batch["edge_type"][order].equal(recorded["edge_type"])
    assert batch["speaker_ids"].equal(recorded["speaker"])


@each_dialogue
def test_the_fused_modalities_agree(output, recorded):
    assert_agrees(output.fused, recorded["fused"])


@each_dialogue
def test_the_reconstruction_losses_of_each_utterance_agree(recorded, model):
    features = {name: recorded[name] for name in ("text", "audio", "visual")}
    length = len(recorded["text"])
    present = dict.fromkeys(features, torch.ones(length, 1, dtype=torch.bool))
    with torch.inference_mode():
        loss = model.joyful.fusion(features, present, DialogueLayout(torch.tensor([length]), length)).loss
    assert_agrees(loss, recorded["loss_global"] + recorded["loss_inter"])


@each_dialogue
def test_the_fusion_loss_is_their_mean(output, recorded):
    assert_agrees(output.losses["fusion"], (recorded["loss_global"] + recorded["loss_inter"]).mean())


@each_dialogue
def test_the_context_agrees(output, recorded):
    assert_agrees(output.context, recorded["context"])


@each_dialogue
def test_the_relational_convolution_agrees(batch, recorded, model):
    length = len(recorded["context"])
    graph = SpeakerGraph(
        nodes=recorded["context"],
        edge_index=batch["edge_index"],
        edge_type=batch["edge_type"],
        speaker_ids=batch["speaker_ids"],
        layout=DialogueLayout(torch.tensor([length]), length),
        relation_scheme=model.config.relation_scheme,
        max_speakers=model.config.max_speakers,
    )
    with torch.inference_mode():
        assert_agrees(model.joyful.graph_encoder.convolve(graph), recorded["rgcn"])


@each_dialogue
def test_the_graph_representations_agree(output, recorded):
    assert_agrees(output.graph, recorded["graph"])


@each_dialogue
def test_the_log_probabilities_agree(output, recorded):
    assert_agrees(output.logits.log_softmax(-1), recorded["log_prob"])


def test_a_batch_of_all_dialogues_agrees_too(model, processor):
    """The released code let padding take part in a batch; each dialogue was recorded alone."""
    recordings = [tensors_below(f"dialogue{index}.") for index in range(3)]
    batch = processor([as_dialogue(recorded) for recorded in recordings], return_tensors="pt")
    with torch.inference_mode():
        log_prob = model(**batch).logits.log_softmax(-1)
    assert_agrees(log_prob, torch.cat([recorded["log_prob"] for recorded in recordings]))


def test_the_contrastive_loss_agrees(sizes):
    """As released, with the anchor among its own negatives."""
    recorded = tensors_below("contrast.")
    length = len(recorded["view1"])
    loss = info_nce_loss(
        recorded["view1"],
        recorded["view2"],
        DialogueLayout(torch.tensor([length]), length),
        scope="batch",
        temperature=sizes["temperature"],
        exclude_self=False,
    )
    assert_agrees(loss, recorded["loss"][0])


# What the shapes tell.


def test_the_config_is_read_from_the_shapes(fusion_state, model_state, sizes):
    config = released_config_of(fusion_state, model_state)
    assert (config.text_dim, config.audio_dim, config.visual_dim) == (24, 10, 16)
    assert config.projection_size == sizes["projection_dim"]
    assert config.autoencoder_size == sizes["autoencoder_hidden"]
    assert config.bottleneck_size == sizes["bottleneck"]
    assert config.num_hidden_layers == sizes["context_layers"]
    assert config.num_attention_heads == sizes["context_heads"]
    assert config.intermediate_size == sizes["context_ffn"]
    assert config.graph_hidden_size == sizes["graph_hidden"]
    assert config.graph_num_heads == sizes["graph_heads"]
    assert config.max_speakers == sizes["num_speakers"]
    assert config.num_relations == 8
    assert config.num_labels == sizes["num_labels"]


def test_the_rest_of_the_config_is_the_released_preset(fusion_state, model_state):
    config = released_config_of(fusion_state, model_state, hidden_dropout_prob=0.5)
    assert config.fusion == "autoencoder"
    assert config.contrast == "anchor_to_views"
    assert config.hidden_dropout_prob == 0.5


def test_the_number_of_attention_heads_can_be_told(fusion_state, model_state):
    assert released_config_of(fusion_state, model_state, num_attention_heads=4).num_attention_heads == 4


def test_attention_heads_must_divide_the_width(fusion_state, model_state):
    with pytest.raises(ValueError, match="5 attention heads do not divide a width of 56"):
        released_config_of(fusion_state, model_state, num_attention_heads=5)


def test_the_two_windows_change_places(model):
    """In the released code an edge leaves an utterance for its window; here a node receives from its window."""
    processor = released_processor_of(model.config, released_window_past=1, released_window_future=3)
    features = {f"{name}_features": [0.0] * dim for name, dim in model.config.modality_dims.items()}
    batch = processor({"utterances": [{"speaker": "A", **features}] * 9}, return_tensors="pt")
    source, target = batch["edge_index"]
    assert source[target == 4].tolist() == [1, 2, 3, 4, 5]


# Which weights are taken, and which are not.


def test_every_parameter_of_the_model_is_converted(fusion_state, model_state, model):
    assert convert_released_state_dict(fusion_state, model_state).keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", UNUSED)
def test_a_parameter_that_the_released_network_never_uses_is_left_out(name, fusion_state, model_state):
    expected = convert_released_state_dict(fusion_state, model_state)
    model_state[name] = torch.zeros(3)
    assert convert_released_state_dict(fusion_state, model_state).keys() == expected.keys()


def test_an_unknown_parameter_is_refused(fusion_state, model_state):
    with pytest.raises(ValueError, match=r"released JOYFUL does not have: clf\.lin3\.weight"):
        convert_released_state_dict(fusion_state, model_state | {"clf.lin3.weight": torch.zeros(3)})


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("fusion", "projectV.bias"),
        ("fusion", "projectB.0.weight"),
        ("model", "gcl.bn.running_var"),
        ("model", "rnn.transformer_encoder.layers.1.norm2.weight"),
    ],
)
def test_a_missing_parameter_is_refused(part, name, fusion_state, model_state):
    del {"fusion": fusion_state, "model": model_state}[part][name]
    with pytest.raises(ValueError, match=f"lacks .*: {name}"):
        convert_released_state_dict(fusion_state, model_state)


@pytest.mark.parametrize(
    ("name", "option"),
    [("clf.highway.gate.0.weight", "--use_highway"), ("rnn.rnn.weight_ih_l0", "--rnn lstm or gru")],
)
def test_a_network_of_another_kind_is_refused(name, option, fusion_state, model_state):
    """Its forward pass uses these weights: without them the emotions would be wrong, and nobody would know."""
    with pytest.raises(ValueError, match=option):
        convert_released_state_dict(fusion_state, model_state | {name: torch.zeros(3)})


@pytest.mark.parametrize(
    ("part", "name", "shape"),
    [
        ("fusion", "fuse_outInter.2.bias", (59,)),
        ("fusion", "projectB.0.weight", (20, 21)),
        ("model", "clf.lin1.weight", (24, 120)),  # --concat_gin_gout
        ("model", "gcl.conv1.root", (24,)),
    ],
)
def test_a_shape_that_does_not_fit_the_others_is_refused(part, name, shape, fusion_state, model_state):
    {"fusion": fusion_state, "model": model_state}[part][name] = torch.zeros(shape)
    with pytest.raises(ValueError, match=name):
        convert_released_state_dict(fusion_state, model_state)


def test_relations_that_no_number_of_speakers_gives_are_refused(fusion_state, model_state):
    model_state["gcl.conv1.weight"] = torch.zeros(6, 24, 24)
    with pytest.raises(ValueError, match="6 relations"):
        released_config_of(fusion_state, model_state)


def test_the_given_weights_are_not_changed(fusion_state, model_state):
    before = {name: tensor.clone() for name, tensor in (fusion_state | model_state).items()}
    convert_released_state_dict(fusion_state, model_state)
    after = fusion_state | model_state
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
