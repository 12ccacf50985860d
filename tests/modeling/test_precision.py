"""Inside the block products are float32, on every device."""

import pytest
import torch

from joyful_hf.modeling.precision import full_precision


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_products_stay_in_float32(device):
    rows = torch.ones(3, 3, device=device)
    with torch.autocast("cpu", torch.bfloat16), full_precision(rows):
        assert (rows @ rows).dtype == torch.float32


def test_outside_they_do_not():
    rows = torch.ones(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert (rows @ rows).dtype == torch.bfloat16
