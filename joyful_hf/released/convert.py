"""Convert checkpoints of the authors' released code: what the families' conversions have in common."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from ..io.messages import listed

_MAPS = ("query", "key", "value")
_THREE_MAPS = "query|key|value"
# Our layer -> that of torch.nn.TransformerEncoderLayer.
_ENCODER_LAYER = {
    "attention_output": "self_attn.out_proj",
    "attention_norm": "norm1",
    "intermediate": "linear1",
    "output": "linear2",
    "output_norm": "norm2",
}


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


def transformer_layer(released: str, ours: str, released_layers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Map the parameters of a `torch.nn.TransformerEncoderLayer`, or of one of other names, to a `TransformerLayer`'s.

    Args:
        released_layers: our layer -> the released one.
    """
    layers = released_layers or _ENCODER_LAYER
    names = with_weight_and_bias({f"{released}.{theirs}": f"{ours}.{name}" for name, theirs in layers.items()})
    attention = layers["attention_output"].removesuffix(".out_proj")
    return names | {
        f"{released}.{attention}.in_proj_{kind}": f"{ours}.query_key_value.{kind}" for kind in ("weight", "bias")
    }


def multi_head_attention(released: str, ours: str, own_maps: bool = False) -> dict[str, str]:
    """Map the parameters of a `torch.nn.MultiheadAttention` to a `MultiHeadAttention`'s, for `renamed`.

    Args:
        own_maps: whether the weights of queries, keys and values are separate, since their widths differ.
    """
    names = with_weight_and_bias({f"{released}.out_proj": f"{ours}.output"})
    names[f"{released}.in_proj_bias"] = f"{ours}.{_THREE_MAPS}.bias"
    if own_maps:
        weights = {f"{released}.{name[0]}_proj_weight": f"{ours}.{name}.weight" for name in _MAPS}
        return names | weights
    return names | {f"{released}.in_proj_weight": f"{ours}.{_THREE_MAPS}.weight"}


def renamed(names: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state under our names; queries, keys and values of `multi_head_attention` are taken apart."""
    converted = {}
    for released, ours in names.items():
        if f".{_THREE_MAPS}." not in ours:
            converted[ours] = state[released]
            continue
        for name, own in zip(_MAPS, state[released].chunk(3), strict=True):
            converted[ours.replace(_THREE_MAPS, name)] = own.clone()
    return converted
