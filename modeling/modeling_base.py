"""The base of every family's models: initial weights, loading and saving, and what the package asks of a model."""

import logging
import math
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .inner_encoder import PretrainedEncoder
from .outputs import EmotionRecognitionOutput
from .reach import UNKNOWN, Reach

logger = logging.getLogger(__name__)
Output = TypeVar("Output", bound=EmotionRecognitionOutput)

TEMPERATURE = "calibration_temperature"
"""The name of that field of the config among the weights of an adapter, which has no config."""
# The widest vector registers; products over unaligned weights round differently in the last bit.
_ALIGNMENT = 64
# The arguments of `save_pretrained` that are passed on to the push.
_PUSH_ARGUMENTS = {
    *("repo_id", "commit_message", "commit_description", "private", "token", "revision", "create_pr"),
    *("tags", "with_code"),
}


# Of the encoders of transformers: what masks frames, a gate's scale, and the length that weight normalisation learns.
_UNDECAYED_IN_ENCODERS = ("masked_spec_embed", "gru_rel_pos_const", "original0")


def parameters_without_weight_decay(model: nn.Module) -> set[str]:
    """Names of parameters that `JoyfulTrainer` does not decay, beside every bias and norm.

    Each layer names its own in `without_weight_decay`: scales, temperatures, and vectors that stand for something, of
    which zero is no neutral value.

    Args:
        model: of this package, as it is or in the wrapper of an adapter.
    """
    names = set()
    for prefix, module in model.named_modules():
        undecayed = (*getattr(module, "without_weight_decay", ()), *_UNDECAYED_IN_ENCODERS)
        own = {name for name, _ in module.named_parameters(recurse=False)}
        names |= {f"{prefix}.{name}" if prefix else name for name in own.intersection(undecayed)}
    return names


class EmotionRecognitionPreTrainedModel(PreTrainedModel):
    """The base of every family's models."""

    main_input_name = "dialogue_lengths"
    input_modalities = ["text", "audio", "video"]
    supports_gradient_checkpointing = True
    # Attention over a dialogue is torch's `scaled_dot_product_attention`; an encoder inside decides for itself.
    _supports_sdpa = True
    batch_error: type[ValueError] = ValueError
    """The error for a batch that does not fit; `joyful_hf` sets its `DialogueError` here."""
    pusher: Callable[..., Any] | None = None
    """Called by `push_to_hub`; `joyful_hf` sets its `push_model` here. None pushes as transformers does."""

    @property
    def reach(self) -> Reach:
        """Which other utterances the logits of an utterance depend on; unknown until a model says so."""
        return UNKNOWN

    @property
    def may_leave_out_parameters(self) -> bool:
        """Whether a training step may leave something that learns without a gradient.

        Every part of a model takes part in every step, with a gradient of 0 where it has nothing to say: in a batch
        without a modality, without a label, or of a single utterance. An encoder inside may do otherwise.
        """
        return any(part.may_leave_out_parameters for part in self.modules() if isinstance(part, PretrainedEncoder))

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """Parts of the model that `JoyfulTrainer` trains with a learning rate of their own, and that rate."""
        return []

    def complete(self, output: Output, output_hidden_states: bool | None, output_attentions: bool | None) -> Output:
        """Return the output with hidden states and attentions, if the arguments or else the config ask for them.

        Its fields lie in the order of their class: `output[0]` is the loss, if there is one, and then come the logits.
        """
        if self.wants_hidden_states(output_hidden_states):
            stages = (output.features, output.fused, output.context, output.graph)
            output.hidden_states = tuple(stage for stage in stages if stage is not None)
        if self.wants_attentions(output_attentions):
            output.attentions = () if output.edge_attention is None else (output.edge_attention,)
        # A `ModelOutput` counts its fields in the order in which they were set.
        return type(output)(**{field.name: getattr(output, field.name) for field in fields(output)})

    def wants_hidden_states(self, output_hidden_states: bool | None) -> bool:
        """Whether `forward`'s argument or else the config asks for hidden states."""
        return bool(self.config.output_hidden_states if output_hidden_states is None else output_hidden_states)

    def wants_attentions(self, output_attentions: bool | None) -> bool:
        """Whether `forward`'s argument or else the config asks for attentions."""
        return bool(self.config.output_attentions if output_attentions is None else output_attentions)

    def get_input_embeddings(self) -> Any:
        """The embeddings of the tokens that the model reads; None unless it has an encoder of text."""
        return None

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As in transformers.

        Raises:
            ValueError: the model has no encoder of text.
        """
        raise ValueError(
            f"{type(self).__name__} reads no tokens, so there are no embeddings to resize; give it an encoder of text "
            "(`text_config`, `from_encoders`) if its family has one"
        )

    def _set_gradient_checkpointing(self, enable: bool = True, *args: Any, **kwargs: Any) -> None:
        # A form without a layer that is worth recomputing trains as it is: the arguments of a run are often shared
        # by several models.
        if any(hasattr(module, "gradient_checkpointing") for module in self.modules()):
            super()._set_gradient_checkpointing(enable, *args, **kwargs)
        elif enable:
            logger.warning(
                "%s has no layer that can be recomputed (encoders, transformer layers): gradient checkpointing "
                "changes nothing, and it trains as it is",
                type(self).__name__,
            )

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

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """As in torch; an adapter that `JoyfulTrainer` trained has its temperature among its weights."""
        temperature = state_dict.pop(f"{prefix}{TEMPERATURE}", None)
        if temperature is not None:
            self.config.calibration_temperature = float(temperature)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """As in transformers. Encoders that the config leaves untrained are frozen again.

        Loaded weights are moved to aligned memory, so that logits equal the saved model's bit for bit: a safetensors
        file maps them to where they happen to lie in it.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if not getattr(model, "is_quantized", False):  # quantised weights are no plain memory
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
                    tensor.data = tensor.data.clone()
        if not getattr(model, "_hf_peft_config_loaded", False):  # of a model with an adapter, nothing else learns
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
