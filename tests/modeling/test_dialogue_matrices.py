"""One matrix per dialogue does what a sum over its edges does."""

import torch

from joyful_hf.modeling.dialogue_matrices import DialogueMatrices, multiply
from tests.support.helpers import make_graph, make_layout

LENGTHS = (1, 90, 4, 200, 3)  # of several blocks


def test_a_product_is_the_sum_over_the_edges():
    graph, layout = make_graph(LENGTHS, size=4), make_layout(LENGTHS)
    assert len(layout.blocks) > 1
    source, target = graph.edge_index
    values = torch.randn(2, len(source), generator=torch.Generator().manual_seed(0))
    rows = torch.stack([graph.nodes, graph.nodes.flip(1)], dim=1)
    matrices = DialogueMatrices(layout, graph.edge_index).fill(values)
    found = layout.restore(multiply(layout, matrices, layout.arrange(rows)))
    expected = torch.zeros_like(rows).index_add(0, target, values.T[..., None] * rows[source])
    torch.testing.assert_close(found, expected)
