"""inductor on CPUs: the layers that were suspected when it gave wrong logits in training."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from joyful_hf.modeling.graph_convolution import GraphAttention


class AttendNormalizeRectify(nn.Module):
    """The end of the released graph encoder: attention over edges, batch normalisation, leaky ReLU."""

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.attention = GraphAttention(size, size, num_heads)
        self.norm = nn.BatchNorm1d(num_heads * size)

    def forward(self, nodes: Tensor, edge_index: Tensor) -> Tensor:
        attended, _ = self.attention(nodes, edge_index)
        return functional.leaky_relu(self.norm(attended))


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True], ids=["of fixed sizes", "of any size"])
def test_attention_normalisation_and_rectifier_compiled_are_those_of_the_model(dynamic):
    torch.manual_seed(0)
    num_nodes, size = 13, 20
    layers = AttendNormalizeRectify(size, num_heads=2)
    nodes, weights = torch.randn(num_nodes, size), torch.randn(num_nodes, 2 * size)
    themselves = torch.arange(num_nodes).expand(2, num_nodes)
    edge_index = torch.cat([torch.randint(num_nodes, (2, 60)), themselves], dim=1)

    def outputs_and_gradients(forward: nn.Module) -> list[Tensor]:
        inputs = nodes.clone().requires_grad_()
        outputs = forward(inputs, edge_index)
        return [outputs, *torch.autograd.grad((outputs * weights).sum(), [inputs, *layers.parameters()])]

    expected = outputs_and_gradients(layers)
    found = outputs_and_gradients(torch.compile(layers, backend="inductor", dynamic=dynamic))
    torch.compiler.reset()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
