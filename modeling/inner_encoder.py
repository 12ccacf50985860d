"""An encoder of transformers as a part of a model: built from its config, filled with pretrained weights, frozen."""

import copy
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel

_CAPTURING = "transformers.utils.output_capturing"


class PretrainedEncoder(nn.Module):
    """The base of the encoders that a model can have.

    Args:
        encoder: from `build_encoder`.
        trainable: whether the encoder itself learns. Otherwise it has no gradient, and no dropout in training, unless
            one of its parameters asks for a gradient: those of an adapter (LoRA) do.
    """

    def __init__(self, encoder: Any, trainable: bool = True) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.trainable = trainable

    def __getstate__(self) -> dict[str, Any]:
        """As in torch, without the hooks by which transformers collects hidden states.

        They cannot be pickled, and stay once hidden states were asked for; the next time they are set anew.
        """
        for module in self.encoder.modules():
            hooks = module._forward_hooks
            for key in [key for key, hook in hooks.items() if hook.__module__ == _CAPTURING]:
                del hooks[key]
            if getattr(module, "_output_capturing_hooks_installed", False):
                module._output_capturing_hooks_installed = False
        return self.__dict__.copy()

    def load(self, pretrained: PreTrainedModel) -> None:
        """Take over the weights of a model of the same config, heads that this encoder does not have left out."""
        weights = pretrained.state_dict()
        self.encoder.load_state_dict({name: weights[name] for name in self.encoder.state_dict()})

    def freeze(self) -> None:
        """Switch off the gradients of what is not to learn; loading switches them on again."""
        if not self.trainable:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    @property
    def learns(self) -> bool:
        """Whether a parameter of the encoder asks for a gradient, an adapter's included."""
        return any(parameter.requires_grad for parameter in self.encoder.parameters())

    def train(self, mode: bool = True) -> Self:
        """As in torch; an encoder that does not learn stays in evaluation mode."""
        super().train(mode)
        self.encoder.train(mode and self.learns)
        return self

    @property
    def may_leave_out_parameters(self) -> bool:
        """Whether a training step may pass by some of what learns: a layer that is dropped, or an unused mask."""
        if not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            return False
        config = self.encoder.config
        drops_layers = any(getattr(config, name, 0) > 0 for name in ("layerdrop", "encoder_layerdrop"))
        masks_frames = getattr(config, "apply_spec_augment", False) and config.mask_time_prob > 0
        return drops_layers or (hasattr(self.encoder, "masked_spec_embed") and not masks_frames)


def build_encoder(config: Any) -> Any:
    """A model of this config with fresh weights, in the precision of the model around it."""
    from transformers import AutoModel

    return AutoModel.from_config(copy.deepcopy(config), dtype=torch.get_default_dtype())


def encoder_config(pretrained: PreTrainedModel) -> Any:
    """The config of an encoder that becomes a part of a model, without the place that it was loaded from."""
    config: Any = copy.deepcopy(pretrained.config)
    config.name_or_path = ""
    return config


def pretrained_model(given: str | Path | PreTrainedModel) -> PreTrainedModel:
    """The model of a folder or Hub id, or the given one itself."""
    from transformers import AutoModel

    return given if isinstance(given, PreTrainedModel) else AutoModel.from_pretrained(given)
