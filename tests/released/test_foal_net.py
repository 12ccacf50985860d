"""Released Foal-Net weights, converted: every stage agrees with what the authors' code computed (tests/data)."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from joyful_hf import FoalNetConfig, FoalNetForEmotionRecognition, convert_released_foalnet_state_dict

PARITY_FILE = Path(__file__).parents[1] / "parity" / "foalnet_tiny.safetensors"
PARITY = load_file(PARITY_FILE)
STATE = {name.removeprefix("state."): tensor for name, tensor in PARITY.items() if name.startswith("state.")}
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def sizes() -> dict:
    with safe_open(PARITY_FILE, "pt") as file:
        return json.loads(file.metadata()["config"])


@pytest.fixture(scope="module")
def model(sizes):
    config = FoalNetConfig.released(
        audio_dim=sizes["audio_dim"],
        video_dim=sizes["video_dim"],
        projection_size=sizes["projection_dim"],
        num_hidden_layers=sizes["num_layers"],
        num_attention_heads=sizes["num_heads"],
        num_labels=sizes["num_labels"],
    )
    model = FoalNetForEmotionRecognition(config)
    model.load_state_dict(convert_released_foalnet_state_dict(STATE, sizes["temperature"]))
    return model.eval()


def batch(**changes):
    return {
        "audio_frames": PARITY["audio"],
        "audio_frame_mask": PARITY["audio_mask"],
        "video_frames": PARITY["video"],
        "video_frame_mask": PARITY["video_mask"],
        "labels": PARITY["labels"],
        "negative_video_index": PARITY["negative_video_index"],
        "negative_audio_index": PARITY["negative_audio_index"],
    } | changes


@pytest.fixture(scope="module")
def output(model):
    with torch.inference_mode():
        return model(**batch())


def assert_agrees(ours: torch.Tensor, released: torch.Tensor) -> None:
    torch.testing.assert_close(ours, released, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "stage", ["audio_embedding", "video_embedding", "match_logits_a2v", "match_logits_v2a", "logits"]
)
def test_each_stage_agrees(output, stage):
    assert_agrees(output[stage], PARITY[stage])


@pytest.mark.parametrize("part", ["avel", "mem"])
def test_each_loss_agrees(output, part):
    assert_agrees(output.losses[part][None], PARITY[f"{part}_loss"])


def test_what_stands_in_the_padding_does_not_matter(model, output):
    spoilt = {}
    for stream in ("audio", "video"):
        padding = PARITY[f"{stream}_mask"] == 0
        assert padding.any()
        spoilt[f"{stream}_frames"] = PARITY[stream].masked_fill(padding[..., None], math.nan)
    with torch.inference_mode():
        assert torch.equal(model(**batch(**spoilt)).logits, output.logits)


def test_every_parameter_is_converted(model):
    assert convert_released_foalnet_state_dict(STATE).keys() == model.state_dict().keys()


def test_the_divisor_is_that_of_the_state_or_the_one_that_the_released_code_begins_with():
    name = "foal_net.alignment.temperature"
    assert convert_released_foalnet_state_dict(STATE)[name] == pytest.approx(math.log(1 / 0.07))
    assert convert_released_foalnet_state_dict(STATE | {"temp": torch.tensor([0.5])})[name] == 0.5
    released = FoalNetForEmotionRecognition(FoalNetConfig.released(audio_dim=24, video_dim=16))
    assert released.state_dict()[name] == pytest.approx(math.log(1 / 0.07))


def test_a_parameter_that_is_missing_or_unknown_is_named():
    lacking = {name: tensor for name, tensor in STATE.items() if name != "cls_head.bias"}
    with pytest.raises(ValueError, match=r"cls_head\.bias"):
        convert_released_foalnet_state_dict(lacking)
    with pytest.raises(ValueError, match="b2v_head"):
        convert_released_foalnet_state_dict(STATE | {"b2v_head": torch.zeros(1)})
