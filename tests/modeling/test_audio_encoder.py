"""Waveforms to frames: whatever the encoder, a waveform's frames do not depend on who shares its batch."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from joyful_hf.modeling.audio_encoder import AudioEncoder

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 8),
    "conv_stride": (5, 4, 4),
    "conv_kernel": (10, 5, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "layerdrop": 0.0,
    "mask_time_prob": 0.0,
    "apply_spec_augment": False,
}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
ENCODERS = {
    "wavlm, group norm": ("wavlm", {}),
    "wavlm, layer norm": ("wavlm", LAYER_NORM),
    "wav2vec2, group norm": ("wav2vec2", {}),
    "wav2vec2, layer norm": ("wav2vec2", LAYER_NORM),
    "hubert": ("hubert", {}),
    "unispeech-sat": ("unispeech-sat", {}),
    "data2vec": ("data2vec-audio", {}),
    "sew": ("sew", {"conv_dim": (8, 8, 16)}),
}
LENGTHS = (3000, 700, 2011, 130)
SHORTEST = 90  # of the last layer's 4 inputs the second layer needs (4 - 1) * 4 + 5 = 17, and they (17 - 1) * 5 + 10


def config_of(name: str):
    model_type, changes = ENCODERS[name]
    return AutoConfig.for_model(model_type, **(SMALL | changes))


def make_encoder(name: str) -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(config_of(name)).eval()


def waveforms(lengths=LENGTHS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, generator=generator) for length in lengths]


def padded(parts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(part), dtype=torch.long) for part in parts], True)
    return torch.nn.utils.rnn.pad_sequence(parts, True), mask


def encode(encoder, parts):
    with torch.no_grad():
        return encoder(*padded(parts), torch.float32)


@pytest.mark.parametrize("name", ENCODERS)
def test_frames_do_not_depend_on_batch_mates(name):
    encoder, parts = make_encoder(name), waveforms()
    together = encode(encoder, parts)
    for row, part in enumerate(parts):
        alone = encode(encoder, [part])
        assert together.mask[row].sum() == alone.mask.sum() > 0
        torch.testing.assert_close(together.frames[row][together.mask[row]], alone.frames[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_one_waveform_is_what_the_encoder_makes_of_it(name):
    encoder, (part,) = make_encoder(name), waveforms((1500,))
    plain = AutoModel.from_config(config_of(name)).eval()
    plain.load_state_dict(encoder.encoder.state_dict())
    with torch.no_grad():
        expected = plain(part[None]).last_hidden_state
    torch.testing.assert_close(encode(encoder, [part]).frames, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_too_short_or_absent_waveforms_do_no_harm(name):
    encoder = make_encoder(name)
    values, mask = padded(waveforms((1500, 1, 1)))
    mask[2] = 0
    stream = encoder(values, mask, torch.float32)
    assert torch.isfinite(stream.frames).all()
    assert stream.present.tolist() == [True, True, False]
    assert not stream.frames[2].any()
    alone = encoder(values[1:2, :1], mask[1:2, :1], torch.float32)
    torch.testing.assert_close(stream.frames[1][stream.mask[1]], alone.frames[0], rtol=1e-4, atol=1e-5)


def test_the_shortest_waveform_gives_one_frame():
    encoder = make_encoder("wavlm, layer norm")
    assert encoder.shortest == SHORTEST
    assert encode(encoder, waveforms((SHORTEST,))).frames.shape == (1, 1, 16)


def test_what_stands_in_the_padding_does_not_matter():
    encoder = make_encoder("wavlm, group norm")
    values, mask = padded(waveforms())
    clean = encoder(values, mask, torch.float32)
    spoilt = encoder(values.masked_fill(mask == 0, torch.nan), mask, torch.float32)
    assert torch.equal(clean.frames, spoilt.frames)


def test_a_frozen_front_stays_and_the_rest_learns():
    encoder = AudioEncoder(config_of("wavlm, group norm"), freeze_feature_encoder=True)
    encoder(*padded(waveforms()), torch.float32).frames.sum().backward()
    learning = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert learning
    assert not [name for name in learning if ".feature_extractor." in name]


def test_what_reads_no_waveforms_is_refused():
    with pytest.raises(ValueError, match=r"whisper.*does not read waveforms"):
        AudioEncoder(AutoConfig.for_model("whisper"))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("lengths", [(150,), (3000, 150), (150, 90), (0, 3000), (0,)])
def test_short_and_absent_waveforms_train_with_spec_augment(name, lengths):
    model_type, changes = ENCODERS[name]
    masks = {"apply_spec_augment": True, "mask_time_prob": 0.5, "mask_time_length": 10, "mask_time_min_masks": 2}
    encoder = AudioEncoder(AutoConfig.for_model(model_type, **(SMALL | changes | masks))).train()
    longest = max(*lengths, 1)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    stream = encoder(torch.randn(len(lengths), longest), mask.long(), torch.float32)
    assert stream.mask.any(-1).tolist() == [length > 0 for length in lengths]
    torch.where(stream.mask[..., None], stream.frames, 0.0).sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_waveforms_that_are_long_enough_are_masked():
    masks = {"apply_spec_augment": True, "mask_time_prob": 0.5, "mask_time_length": 10}
    encoder = AudioEncoder(AutoConfig.for_model("wavlm", **(SMALL | masks))).train()
    waveform = torch.randn(1, 3000)
    trained = encoder(waveform, None, torch.float32).frames
    assert not torch.allclose(trained, encoder.eval()(waveform, None, torch.float32).frames, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),  # a vector for masked frames, and nothing is masked
        ({"apply_spec_augment": True, "mask_time_prob": 0.1}, False),
        ({"apply_spec_augment": True, "mask_time_prob": 0.1, "layerdrop": 0.1}, True),
    ],
    ids=["no-mask", "mask", "layers-dropped"],
)
def test_it_says_whether_a_step_may_leave_out_what_learns(changes, may):
    config = AutoConfig.for_model("wav2vec2", **(SMALL | {"mask_feature_prob": 0.1} | changes))
    encoder = AudioEncoder(config)
    assert encoder.may_leave_out_parameters is may
    encoder.requires_grad_(False)
    assert not encoder.may_leave_out_parameters
