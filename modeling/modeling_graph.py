"""What the models on the packed graph batch share: text as features, or as tokens for an encoder of their own."""

from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .batch_contract import (
    MODALITIES,
    WAY_OUT,
    PackedBatch,
    check_batch,
    check_tokens,
)
from .configuration_graph import SpeakerGraphConfig
from .inner_encoder import encoder_config, pretrained_model
from .modeling_base import EmotionRecognitionPreTrainedModel
from .packing import DialogueLayout
from .text_encoder import TextEncoder


class SpeakerGraphPreTrainedModel(EmotionRecognitionPreTrainedModel):
    """Base of the models that read `JoyfulProcessor`'s batch. The bare one of them holds `text_encoder`, or None."""

    def __init__(self, config: SpeakerGraphConfig) -> None:
        super().__init__(config)
        # There is nothing else that is deep enough to recompute.
        self.supports_gradient_checkpointing = config.text_config is not None

    @classmethod
    def from_encoders(cls, text_encoder: str | Path | PreTrainedModel, **settings: Any) -> Self:
        """A fresh model on a pretrained encoder of text.

        Args:
            text_encoder: folder or Hub id of an encoder of transformers, or the encoder itself; what
                sentence-transformers saves is such a folder.
            **settings: fields of the model's config.
        """
        pretrained = pretrained_model(text_encoder)
        make_config: Any = cls.config_class
        model = cls(make_config(**(settings | text_encoder_settings(pretrained))))
        model.load_text_encoder(pretrained)
        return model

    def load_text_encoder(self, pretrained: PreTrainedModel) -> None:
        """Take over the weights of an encoder of the config's `text_config`."""
        encoder = self._text_encoder
        assert encoder is not None
        encoder.load(pretrained)

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """That of the encoder of text, if there is one and it learns."""
        encoder = self._text_encoder
        if encoder is None or not encoder.trainable:
            return []
        return [(encoder.encoder, cast("Any", self.config).text_encoder_learning_rate)]

    @property
    def _text_encoder(self) -> TextEncoder | None:
        return cast("Any", self.base_model).text_encoder

    def read_batch(
        self,
        dialogue_lengths: Tensor,
        text_features: Tensor | None,
        audio_features: Tensor | None,
        visual_features: Tensor | None,
        modality_mask: Tensor | None,
        speaker_ids: Tensor | None,
        edge_index: Tensor | None,
        edge_type: Tensor | None,
        recurrent_states: dict[nn.Module, Tensor] | None,
        text_input_ids: Tensor | None,
        text_attention_mask: Tensor | None,
    ) -> PackedBatch:
        """What `forward` is given, checked, and with the text's features where the model has an encoder of text.

        Raises:
            ValueError: the batch does not fit the model.
        """
        text_features, modality_mask = self.read_text(
            text_features, modality_mask, text_input_ids, text_attention_mask
        )
        features = dict(zip(MODALITIES, (text_features, audio_features, visual_features), strict=True))
        num_utterances = check_batch(
            self.config,
            dialogue_lengths,
            features,
            modality_mask=modality_mask,
            speaker_ids=speaker_ids,
            edge_index=edge_index,
            edge_type=edge_type,
            error=self.batch_error,
        )
        layout = DialogueLayout(dialogue_lengths, num_utterances, recurrent_states)
        return PackedBatch(layout, features, modality_mask, speaker_ids, edge_index, edge_type)

    def read_text(
        self,
        text_features: Tensor | None,
        modality_mask: Tensor | None,
        text_input_ids: Tensor | None,
        text_attention_mask: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Text features (N, dim) and modality mask (N, 3), the encoder's and the tokens' if there is an encoder.

        Raises:
            ValueError: the batch has no tokens, or such as do not fit the encoder.
        """
        encoder = self._text_encoder
        if encoder is None:
            return text_features, modality_mask
        if text_input_ids is None or text_attention_mask is None:
            raise self.batch_error(
                "the batch has no text_input_ids and text_attention_mask, and the model has an encoder of text; "
                f"{WAY_OUT}"
            )
        check_tokens(encoder.encoder.config, text_input_ids, text_attention_mask, self.batch_error)
        if modality_mask is None:
            present = text_attention_mask.bool().any(-1, keepdim=True)
            modality_mask = torch.cat([present, torch.ones_like(present).expand(-1, 2)], dim=-1)
        return encoder(text_input_ids, text_attention_mask), modality_mask


def text_encoder_settings(pretrained: PreTrainedModel) -> dict[str, Any]:
    """Fields of the config of a model that is to have this encoder."""
    config = encoder_config(pretrained)
    return {"text_config": config, "text_dim": config.hidden_size}
