"""The focal losses: cross-entropy at gamma 0, where each has its least, and where none is."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from torch.nn import functional

from joyful_hf import MMGCNConfig, MMGCNForEmotionRecognition
from joyful_hf.modeling.focal_loss import focal_losses, released_focal_losses

LABELS = torch.tensor([0, 2, 1, -100])


def test_without_gamma_it_is_the_cross_entropy():
    logits = torch.randn(4, 3)
    expected = functional.cross_entropy(logits[:3], LABELS[:3], reduction="none")
    torch.testing.assert_close(focal_losses(logits, LABELS, 0.0)[:3], expected)


@pytest.mark.parametrize(("losses", "least"), [(focal_losses, 1.0), (released_focal_losses, 0.53)])
def test_where_it_has_its_least(losses, least):
    probability = torch.linspace(0.005, 0.9999, 2000)
    others = ((1 - probability) / 6)[:, None].expand(-1, 6)
    logits = torch.cat([probability[:, None], others], dim=1).log()
    found = losses(logits, torch.zeros(2000, dtype=torch.int64), 2.5)
    assert float(probability[found.argmin()]) == pytest.approx(least, abs=0.01)


@pytest.mark.parametrize("settings", [{"problem_type": "regression", "num_labels": 1}, {"label_smoothing": 0.1}])
def test_it_is_of_single_labels_without_smoothing(settings):
    with pytest.raises(StrictDataclassClassValidationError, match="is of single labels without label_smoothing"):
        MMGCNConfig(text_dim=4, classification_loss="focal", **settings)


def test_unknown_labels_do_not_count():
    config = MMGCNConfig(text_dim=4, num_labels=3, classification_loss="focal")
    model, logits = MMGCNForEmotionRecognition(config), torch.randn(4, 3)
    expected = focal_losses(logits, LABELS, 2.5)[:3].mean()
    torch.testing.assert_close(model.task_loss(logits, LABELS), expected)
