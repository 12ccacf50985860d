"""The reach of a layer or a model: which other utterances of the dialogue one utterance's row depends on.

A layer states it in an attribute or property `reach`, and a model puts its layers' together with `in_sequence` and
`side_by_side`. Whatever states nothing is unknown, and so is everything that contains it.
"""

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from torch import nn

# Layers of torch that compute each row from that row alone.
_ROW_BY_ROW = (nn.Linear, nn.LayerNorm, nn.Identity, nn.Dropout, nn.ReLU, nn.LeakyReLU, nn.GELU, nn.Tanh, nn.Sigmoid)


@dataclass(frozen=True)
class Reach:
    """The utterances that a row depends on besides its own, in evaluation mode."""

    past: float = 0
    """Number of utterances back, without those that a carried state stands for; `math.inf` is all of them."""
    future: float = 0
    """Number of utterances ahead."""
    graph_steps: int = 0
    """Edges, one after the other, that lead further; how far each of them goes depends on the processor's window."""
    carries_state: bool = False
    """Whether a layer's state after an utterance stands for all utterances up to it: see `recurrent_states`."""
    is_known: bool = True

    def then(self, later: "Reach") -> "Reach":
        """The reach of a layer like this one, followed by another."""
        past, carries_state = self.past + later.past, self.carries_state or later.carries_state
        if later.carries_state and (self.past or self.graph_steps):
            # The state would have to be computed from rows that themselves need the utterances before them.
            past, carries_state = math.inf, self.carries_state
        return Reach(
            past,
            self.future + later.future,
            self.graph_steps + later.graph_steps,
            carries_state,
            self.is_known and later.is_known,
        )

    def beside(self, other: "Reach") -> "Reach":
        """The reach of two layers whose outputs are joined."""
        return Reach(
            max(self.past, other.past),
            max(self.future, other.future),
            max(self.graph_steps, other.graph_steps),
            self.carries_state or other.carries_state,
            self.is_known and other.is_known,
        )

    def on_graph(self, window_past: int, window_future: int) -> "Reach":
        """The same in utterances alone, for a graph whose edges go this far; -1 is unlimited, as in the processor."""
        if not self.graph_steps:
            return self
        past, future = (
            math.inf if window < 0 else self.graph_steps * window for window in (window_past, window_future)
        )
        return replace(self, past=self.past + past, future=self.future + future, graph_steps=0)


ALONE = Reach()
"""Each utterance is computed on its own."""

WHOLE_DIALOGUE = Reach(math.inf, math.inf)
"""Every utterance of the dialogue counts."""

UNKNOWN = Reach(math.inf, math.inf, is_known=False)
"""It may be anything."""


def reach_of(module: Any) -> Reach:
    """Return the reach that a layer or a model states, or `UNKNOWN` if it states none.

    A subclass that replaces the computation and not the statement has stated nothing. What `torch.compile` returns
    computes what the module in it does.
    """
    module = getattr(module, "_orig_mod", module)
    if isinstance(module, _ROW_BY_ROW):
        return ALONE
    if isinstance(module, nn.Sequential):
        return in_sequence(*module)
    for kind in type(module).__mro__:
        members = vars(kind)
        if "reach" in members:
            return module.reach
        if "forward" in members or "forward_batch" in members:
            break
    return UNKNOWN


def in_sequence(*layers: nn.Module | Reach | None) -> Reach:
    """The reach of layers that follow each other, some of them given by their reach; None is one that is left out."""
    return reduce(Reach.then, map(_reach, layers), ALONE)


def side_by_side(*layers: nn.Module | Reach | None) -> Reach:
    """The reach of layers whose outputs are joined, given as for `in_sequence`."""
    return reduce(Reach.beside, map(_reach, layers), ALONE)


def _reach(layer: nn.Module | Reach | None) -> Reach:
    if layer is None:
        return ALONE
    return layer if isinstance(layer, Reach) else reach_of(layer)
