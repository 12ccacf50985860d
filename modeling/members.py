"""Networks of one form as one computation: their weights lie side by side, and each product is for all of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Outputs = TypeVar("Outputs")


def compute_together(networks: Sequence[nn.Module], compute: Callable[[Any], Outputs]) -> Outputs:
    """Compute networks of one form on the same input.

    Args:
        compute: from a network to its tensors, in whatever holds them. Every operation needs a rule of `torch.vmap`.

    Returns:
        The same with the networks in front of each tensor's axes, (M, ...). Each draws random numbers of its own.
    """
    form = networks[-1]  # the first one may hold more: encoders that have read the input for all
    tensors = zip(*(_tensors_of(network, form) for network in networks), strict=True)
    side_by_side = [torch.stack(own) for own in tensors]

    def compute_one(own: list[Tensor]) -> Outputs:
        return compute(_with_tensors(form, iter(own)))

    return torch.vmap(compute_one, randomness="different")(side_by_side)


def is_plain(network: nn.Module) -> bool:
    """Whether all that a network computes with are ordinary tensors under names, unlike where it is quantised."""
    return all(
        type(module)._save_to_state_dict is nn.Module._save_to_state_dict
        and not any(type(weight).__module__.startswith("torchao") for weight in module._parameters.values())
        for module in network.modules()
    )


def are_together(tensor: Tensor) -> bool:
    """Whether a tensor is one of several networks' that are one computation."""
    return torch._C._functorch.is_batchedtensor(tensor)


def is_of_several() -> bool:
    """Whether what is computed now is computed for several networks."""
    return torch._C._functorch.maybe_current_level() is not None


def stacked(tensor: Tensor, dim: int | None, networks: int, at: int = 0) -> Tensor:
    """A tensor whose networks lie in `dim`, or which all of them share (None), with the networks in dimension `at`."""
    if dim is None:
        return tensor.unsqueeze(at).expand(*tensor.shape[:at], networks, *tensor.shape[at:])
    return tensor.movedim(dim, at)


def _tensors_of(module: nn.Module, form: nn.Module) -> Iterator[Tensor]:
    """The weights and buffers of a module that another one of the same form has, too."""
    for kind in ("_parameters", "_buffers"):
        for name, held in getattr(form, kind).items():
            if held is not None:
                yield getattr(module, kind)[name]
    for name, child in form._modules.items():
        if child is not None:
            yield from _tensors_of(getattr(module, name), child)


def _with_tensors(module: nn.Module, tensors: Iterator[Tensor]) -> nn.Module:
    """A module of the same kind with other tensors, in the same order.

    The module itself stays as it is: other threads may be using it, unlike with `torch.func.functional_call`.
    """
    copy = type(module).__new__(type(module))
    copy.__dict__ = dict(module.__dict__)
    for kind in ("_parameters", "_buffers"):
        own = module.__dict__[kind]
        copy.__dict__[kind] = {name: None if held is None else next(tensors) for name, held in own.items()}
    copy.__dict__["_modules"] = {
        name: None if child is None else _with_tensors(child, tensors) for name, child in module._modules.items()
    }
    return copy
