"""The layers of an encoder of transformers by depth: the lower ones hold what every task needs, and learn less."""

from typing import Any

from torch import nn

from .inner_encoder import PretrainedEncoder

# Parts of the names of what lies below the first layer: embeddings, the convolutional front and its projection.
_BELOW = ("embed", "feature_extractor", "feature_projection")


def layers_of(encoder: Any) -> list[nn.Module]:
    """The layers of an encoder, the lowest first; none where they share their weights (ALBERT)."""
    count = getattr(encoder.config, "num_hidden_layers", 0)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and not any(part in name for part in _BELOW):
            return list(module)
    return []


def parameters_by_depth(encoder: Any) -> list[list[nn.Parameter]]:
    """The parameters of an encoder: those below the first layer, then those of each layer.

    What is used by all layers or follows them counts as part of the last one. An encoder whose layers cannot be told
    apart has one.
    """
    layers = layers_of(encoder)
    found: list[list[nn.Parameter]] = [[], *([list(layer.parameters()) for layer in layers] or [[]])]
    of_layers = {id(parameter) for parameters in found for parameter in parameters}
    for name, parameter in encoder.named_parameters():
        if id(parameter) not in of_layers:
            found[0 if any(part in name for part in _BELOW) else -1].append(parameter)
    return found


def rates_by_depth(encoder: nn.Module, rate: float, decay: float) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters of an encoder with their learning rate: `rate` in the last layer, times `decay` in each below it."""
    depths = parameters_by_depth(encoder)
    return [(parameters, rate * decay ** (len(depths) - 1 - depth)) for depth, parameters in enumerate(depths)]


def learning_encoders(model: nn.Module) -> list[PretrainedEncoder]:
    """The encoders in a model that learn."""
    return [part for part in model.modules() if isinstance(part, PretrainedEncoder) and part.learns]


def freeze_embeddings(model: nn.Module) -> None:
    """Freeze what lies below the first layer of each encoder of a model that learns."""
    for encoder in learning_encoders(model):
        for parameter in parameters_by_depth(encoder.encoder)[0]:
            parameter.requires_grad = False
