"""The base of every family's models: initial weights, loading and saving, and what the package asks of a model."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .inner_encoder import PretrainedEncoder
from .reach import UNKNOWN, Reach

# The widest vector registers; products over unaligned weights round differently in the last bit.
_ALIGNMENT = 64
# The arguments of `save_pretrained` that are passed on to the push.
_PUSH_ARGUMENTS = {
    *("repo_id", "commit_message", "commit_description", "private", "token", "revision", "create_pr"),
    *("tags", "with_code"),
}


class EmotionRecognitionPreTrainedModel(PreTrainedModel):
    """The base of every family's models."""

    main_input_name = "dialogue_lengths"
    input_modalities = ["text", "audio", "video"]
    supports_gradient_checkpointing = False
    batch_error: type[ValueError] = ValueError
    """The error for a batch that does not fit; `joyful_hf` sets its `DialogueError` here."""
    pusher: Callable[..., Any] | None = None
    """Called by `push_to_hub`; `joyful_hf` sets its `push_model` here. None pushes as transformers does."""

    @property
    def reach(self) -> Reach:
        """Which other utterances the logits of an utterance depend on; unknown until a model says so."""
        return UNKNOWN

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """Parts of the model that `JoyfulTrainer` trains with a learning rate of their own, and that rate."""
        return []

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # torch's own defaults, which the originals trained with, instead of transformers' N(0, 0.02).
        # The functions of `initialization` leave loaded weights alone; `reset_parameters` of this package's
        # layers is written with them.
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, nn.RNNBase):
            bound = 1 / math.sqrt(module.hidden_size)
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm1d)):
            super()._init_weights(module)
        elif type(module).__module__.startswith(__package__ or "joyful_hf"):
            reset_parameters = getattr(module, "reset_parameters", None)
            if callable(reset_parameters):
                reset_parameters()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """As in transformers. Encoders that the config leaves untrained are frozen again.

        Loaded weights are moved to aligned memory, so that logits equal the saved model's bit for bit: a safetensors
        file maps them to where they happen to lie in it.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
                tensor.data = tensor.data.clone()
        for module in model.modules():
            if isinstance(module, PretrainedEncoder):
                module.freeze()
        return loaded

    def save_pretrained(
        self, save_directory: str | os.PathLike, *args: Any, push_to_hub: bool = False, **kwargs: Any
    ) -> None:
        """As in transformers; `push_to_hub=True` pushes as the method of that name does."""
        if not push_to_hub or self.pusher is None:
            super().save_pretrained(save_directory, *args, push_to_hub=push_to_hub, **kwargs)
            return
        where = {name: kwargs.pop(name) for name in _PUSH_ARGUMENTS & kwargs.keys()}
        super().save_pretrained(save_directory, *args, **kwargs)
        self.push_to_hub(where.pop("repo_id", Path(save_directory).name), **where)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """As in transformers, or, where `joyful_hf` is imported, as `joyful_hf.hub.push.push_model` does."""
        if self.pusher is None:
            return super().push_to_hub(repo_id, **kwargs)
        return self.pusher(repo_id, **kwargs)
