"""Two layers, with ReLU and dropout between them."""

import torch

from joyful_hf.modeling.mlp import make_mlp


def test_it_is_two_layers():
    mlp = make_mlp(6, 5, 3, 0.5).eval()
    rows = torch.randn(4, 6)
    torch.testing.assert_close(mlp(rows), mlp[3](torch.relu(mlp[0](rows))))
    assert mlp[2].p == 0.5
