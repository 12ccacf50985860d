"""The LSTM and the convolutions over padded sequences of frames."""

import pytest
import torch
from torch import nn

from joyful_hf.modeling.frame_convolution import FrameConvolution
from joyful_hf.modeling.frame_lstm import FrameLSTM


def frames_of(lengths: list[int], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randn(*mask.shape, size, generator=generator) * mask[..., None], mask


def test_with_logistic_gates_it_is_torchs_lstm():
    torch.manual_seed(0)
    ours, theirs = FrameLSTM(3, 4), nn.LSTM(3, 4, bidirectional=True, batch_first=True)
    with torch.no_grad():
        ours.input.weight.copy_(torch.cat([theirs.weight_ih_l0, theirs.weight_ih_l0_reverse]))
        ours.recurrent_weight.copy_(torch.stack([theirs.weight_hh_l0.T, theirs.weight_hh_l0_reverse.T]))
        biases = [theirs.bias_ih_l0 + theirs.bias_hh_l0, theirs.bias_ih_l0_reverse + theirs.bias_hh_l0_reverse]
        ours.input.bias.copy_(torch.cat(biases))
    frames, mask = frames_of([5, 5], 3)
    torch.testing.assert_close(ours(frames, mask), theirs(frames)[0])


@pytest.mark.parametrize("hard", [False, True])
def test_padding_changes_nothing(hard):
    torch.manual_seed(0)
    lstm = FrameLSTM(3, 4, hard)
    frames, mask = frames_of([2, 6], 3)
    alone = lstm(frames[:1, :2], mask[:1, :2])
    torch.testing.assert_close(lstm(frames, mask)[:1, :2], alone)


@pytest.mark.parametrize("hard", [False, True])
def test_gradients_are_those_of_finite_differences(hard):
    torch.manual_seed(0)
    lstm = FrameLSTM(3, 2, hard).double()
    frames, mask = frames_of([2, 0, 4], 3)
    given = frames.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda own, *_: lstm(own, mask), (given, *lstm.parameters()))


@pytest.mark.parametrize("steps", [0, 2])
def test_without_a_frame_everything_is_zeros_and_has_a_gradient(steps):
    """One process of several may have a batch in which nobody has the modality."""
    lstm = FrameLSTM(3, 4)
    states = lstm(torch.zeros(2, steps, 3), torch.zeros(2, steps, dtype=torch.bool))
    assert states.shape == (2, steps, 8)
    assert not states.any()
    states.sum().backward()
    assert all(parameter.grad is not None for parameter in lstm.parameters())


def test_a_hard_gate_is_a_line_between_0_and_1():
    gate = FrameLSTM(1, 1, hard=True)._gate(torch.tensor([-9.0, 0.0, 1.0, 9.0]))
    assert gate.tolist() == pytest.approx([0.0, 0.5, 0.7, 1.0])


@pytest.mark.parametrize(
    ("whole_windows", "drop_odd", "lengths", "steps"),
    [
        (False, False, [1, 2, 3, 7], [1, 1, 2, 4]),
        (False, True, [1, 2, 3, 7], [0, 1, 1, 3]),
        (True, True, [3, 5, 8], [0, 1, 2]),
    ],
    ids=["each frame", "pairs", "whole windows"],
)
def test_how_many_steps_are_left(whole_windows, drop_odd, lengths, steps):
    frames, mask = frames_of(lengths, 2)
    pooled, kept = FrameConvolution(2, 3, 4, whole_windows, drop_odd)(frames, mask)
    assert kept.sum(-1).tolist() == steps
    assert not pooled[~kept].any()


@pytest.mark.parametrize("whole_windows", [False, True])
def test_a_sequence_has_the_same_steps_beside_a_longer_one(whole_windows):
    torch.manual_seed(0)
    convolution = FrameConvolution(2, 3, 4, whole_windows, drop_odd=whole_windows)
    frames, mask = frames_of([7, 12], 2)
    alone, kept = convolution(frames[:1, :7], mask[:1, :7])
    beside, kept_beside = convolution(frames, mask)
    torch.testing.assert_close(beside[0][kept_beside[0]], alone[0][kept[0]])


def test_whole_windows_are_those_of_a_convolution_and_a_pooling_of_torch():
    torch.manual_seed(0)
    convolution = FrameConvolution(2, 3, 4, whole_windows=True, drop_odd=True)
    frames, mask = frames_of([11], 2)
    pooled, kept = convolution(frames, mask)
    expected = nn.functional.conv1d(frames.transpose(1, 2), convolution.weight, convolution.bias).relu()
    expected = nn.functional.max_pool1d(expected, 2).transpose(1, 2)
    torch.testing.assert_close(pooled[kept], expected[0])
