"""The head: two layers, with dropout between them."""

import torch

from joyful_hf.modeling.classifier import make_classifier


def test_it_is_two_layers():
    classifier = make_classifier(6, 5, 3, 0.5).eval()
    rows = torch.randn(4, 6)
    torch.testing.assert_close(classifier(rows), classifier[3](torch.relu(classifier[0](rows))))
    assert classifier[2].p == 0.5
