"""Convert checkpoints of the authors' released code: what the families' conversions have in common."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from ..io.messages import listed


def with_weight_and_bias(layers: Mapping[str, str]) -> dict[str, str]:
    """Map the weight and the bias of each released layer to those of ours."""
    return {f"{old}.{kind}": f"{new}.{kind}" for old, new in layers.items() for kind in ("weight", "bias")}


def check_names(title: str, state: Mapping[str, Tensor], expected: Iterable[str], unused: Iterable[str] = ()) -> None:
    """Check that a state has the parameters of a released network.

    Args:
        title: the system's name.
        unused: patterns of further names, which the released network has and never uses.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    expected = set(expected)
    pattern = re.compile("|".join(unused) or r"(?!)")
    if missing := sorted(expected - state.keys()):
        raise ValueError(f"this is not a released {title}: it lacks {listed(missing)}")
    unknown = sorted(name for name in state if name not in expected and not pattern.fullmatch(name))
    if unknown:
        raise ValueError(f"this is not a released {title}, which has no parameters {listed(unknown)}")


def size(state: Mapping[str, Tensor], name: str, dim: int) -> int:
    """Return a size of a parameter.

    Raises:
        ValueError: the parameter is missing, or has no such dimension; the message names it.
    """
    if name not in state:
        raise ValueError(f"the released weights lack {name}")
    shape = state[name].shape
    if len(shape) <= dim or not shape[dim]:
        raise ValueError(f"{name} has shape {tuple(shape)}, which the released network does not have")
    return shape[dim]
