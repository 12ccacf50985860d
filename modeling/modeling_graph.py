"""The models on the packed graph batch: their one `forward`, and what else a family does not have to write again.

A family states its equations in `forward_batch`, which gets the batch checked and, where the model has an encoder of
text or of speech, with its vectors for features. A bare model returns the representations that are classified as
`graph`; a classifier on them makes it a model for emotion recognition:

    class MeanModel(MeanPreTrainedModel):  # config: MeanConfig, base_model_prefix = "mean"
        def __init__(self, config: MeanConfig) -> None:
            super().__init__(config)
            self.text_encoder = TextEncoder.of(config)
            self.speech_encoder = SpeechEncoder.of(config)
            self.inputs = ModalityInputs.of(config)
            self.context_encoder = DialogueGRU(sum(config.modality_dims.values()), 1, 0.1, config.causal)
            self.hidden_size = sum(config.modality_dims.values())
            self.post_init()

        @property
        def reach(self) -> Reach:  # without it, nobody knows whether it can stream exactly
            return in_sequence(self.text_encoder, self.inputs, self.context_encoder)

        def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
            features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
            fused = torch.cat(list(features.values()), dim=-1)
            return EmotionRecognitionOutput(fused=fused, graph=self.context_encoder(fused, batch.layout))


    class MeanForEmotionRecognition(SpeakerGraphClassifierMixin, MeanPreTrainedModel):
        def __init__(self, config: MeanConfig) -> None:
            super().__init__(config)
            self.mean = MeanModel(config)
            self.classifier = nn.Linear(self.mean.hidden_size, config.num_labels)
            self.post_init()

A bare model that joins its utterances in a graph gets it from `speaker_graph`. One with losses of its own puts them
in the output's `losses`, if `batch.return_loss` asks for them, and names their weights in `loss_weights`. Each is a
mean over the utterances of the batch, or a vector of means that are summed; one that is a mean over anything else says
over how many in `loss_counts`.

One file because the one `forward` and what it reads are one contract, which each family relies on as a whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import can_return_tuple

from .audio_encoder import audio_encoder_settings
from .batch_contract import MODALITIES, WAY_OUT, PackedBatch, check_batch, check_labels, check_tokens, check_waveforms
from .configuration_dialogue import DialogueConfig
from .inner_encoder import encoder_config, pretrained_model
from .loss_parts import total, weigh
from .modeling_base import EmotionRecognitionPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .packing import DialogueLayout, check_layout
from .prediction import EmotionRecognitionMixin
from .reach import Reach, in_sequence
from .speaker_graph import SpeakerGraph
from .text_encoder import TextEncoder
from .utterance_encoder import UtteranceEncoder

# Modality -> the inputs of the encoder that a model can have of it, and their mask.
ENCODER_INPUTS = {
    "text": ("text_input_ids", "text_attention_mask"),
    "audio": ("audio_input_values", "audio_attention_mask"),
}


class SpeakerGraphPreTrainedModel(EmotionRecognitionPreTrainedModel):
    """Base of the models that read `JoyfulProcessor`'s batch.

    The bare one of a family holds `text_encoder` and `speech_encoder`, each None without its config.
    """

    @classmethod
    def from_encoders(
        cls,
        text_encoder: str | Path | PreTrainedModel | None = None,
        audio_encoder: str | Path | PreTrainedModel | None = None,
        **settings: Any,
    ) -> Self:
        """A fresh model on a pretrained encoder of text, of speech, or one of each.

        Args:
            text_encoder, audio_encoder: folder or Hub id of an encoder of transformers, or the encoder itself;
                sentence-transformers saves such folders.
            **settings: fields of the model's config.

        Raises:
            ValueError: neither is given.
        """
        if text_encoder is None and audio_encoder is None:
            raise ValueError("from_encoders needs text_encoder or audio_encoder; without either, give a config")
        text = None if text_encoder is None else pretrained_model(text_encoder)
        audio = None if audio_encoder is None else pretrained_model(audio_encoder)
        of_text = {} if text is None else text_encoder_settings(text)
        of_audio = {} if audio is None else audio_encoder_settings(audio)
        make_config: Any = cls.config_class
        model = cls(make_config(**(settings | of_text | of_audio)))
        if text is not None:
            model.load_text_encoder(text)
        if audio is not None:
            model.load_audio_encoder(audio)
        return model

    def load_text_encoder(self, pretrained: PreTrainedModel) -> None:
        """Take over the weights of an encoder of the config's `text_config`."""
        encoder = self._text_encoder
        assert encoder is not None
        encoder.load(pretrained)

    def load_audio_encoder(self, pretrained: PreTrainedModel) -> None:
        """Take over the weights of an encoder of the config's `audio_config`."""
        encoder = self.inner_encoders["audio"]
        encoder.load(pretrained)

    @property
    def inner_encoders(self) -> dict[str, UtteranceEncoder]:
        """Modality -> the encoder that is a part of the model, where there is one."""
        base: Any = self.base_model
        of_config: dict[str, UtteranceEncoder] = {}
        if self._dialogue_config.text_config is not None:
            of_config["text"] = base.text_encoder
        if self._dialogue_config.audio_config is not None:
            if not hasattr(base, "speech_encoder"):
                raise NotImplementedError(f"{type(base).__name__} has no `speech_encoder`: SpeechEncoder.of(config)")
            of_config["audio"] = base.speech_encoder
        return of_config

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """The encoders that learn, each with its learning rate."""
        config = self._dialogue_config
        return [
            (encoder.encoder, getattr(config, f"{modality}_encoder_learning_rate"))
            for modality, encoder in self.inner_encoders.items()
            if encoder.learns
        ]

    def encode_utterances(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality -> (N, dim) what the encoders that do not learn make of a batch, their layer norm left out.

        `forward` takes them as the modality's features, in place of tokens or waveforms.
        """
        return {
            modality: encoder.encode(*self._encoder_inputs(modality, batch))
            for modality, encoder in self.inner_encoders.items()
            if not encoder.learns
        }

    def get_input_embeddings(self) -> Any:
        """The token embeddings of the encoder of text, if there is one."""
        encoder = self._text_encoder
        return None if encoder is None else encoder.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embeddings of the encoder of text."""
        encoder = self._text_encoder
        assert encoder is not None
        encoder.encoder.set_input_embeddings(value)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As in transformers; the number of tokens is that of the encoder's config, `text_config`."""
        encoder = self._text_encoder
        if encoder is None:
            return super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        embeddings = encoder.encoder.resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        cast("Any", self._dialogue_config.text_config).vocab_size = encoder.encoder.config.vocab_size
        return embeddings

    @property
    def _dialogue_config(self) -> DialogueConfig:
        return cast("DialogueConfig", self.config)

    @property
    def _text_encoder(self) -> TextEncoder | None:
        return cast("TextEncoder | None", self.inner_encoders.get("text"))

    @can_return_tuple
    def forward(
        self,
        dialogue_lengths: Tensor,
        text_features: Tensor | None = None,
        audio_features: Tensor | None = None,
        visual_features: Tensor | None = None,
        modality_mask: Tensor | None = None,
        speaker_ids: Tensor | None = None,
        edge_index: Tensor | None = None,
        edge_type: Tensor | None = None,
        labels: Tensor | None = None,
        output_edge_attention: bool = False,
        return_loss: bool = True,
        recurrent_states: dict[nn.Module, Tensor] | None = None,
        text_input_ids: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
        loss_shares: dict[str, Tensor] | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        label_shares: Tensor | None = None,
        audio_input_values: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        layout: DialogueLayout | None = None,
    ) -> EmotionRecognitionOutput:
        """Compute a packed graph batch as `JoyfulProcessor` makes it; N utterances, E edges, B dialogues.

        Args:
            dialogue_lengths: (B,).
            text_features, audio_features, visual_features: (N, dim) of each modality of the model. Of a modality with
                an encoder, what `encode_utterances` made, in place of the encoder's inputs.
            modality_mask: (N, 3) bool or 0 and 1, text, audio and visual present; all by default.
            speaker_ids: (N,); edge_index: (2, E); edge_type: (E,). Needed by a model with a graph.
            labels: (N,) int64 with -100 where unknown; (N, num_labels) float32 for several emotions at once and
                (N,) float32 for regression, with NaN where unknown. A bare model needs them only if it has losses
                that compare emotions.
            output_edge_attention: return the graph attention's weights.
            return_loss: compute `losses`: the self-supervised ones, and with labels the others and `loss`.
            recurrent_states: for a causal model that gets a dialogue piece by piece (one dialogue per batch): the
                state of each recurrent layer before the first utterance, none at the dialogue's beginning. Each
                is replaced by the layer's states after every utterance, (N, size).
            text_input_ids, text_attention_mask: (N, T) of a model with an encoder of text, in place of text_features:
                tokens and their mask, 1 = real, padded at the end; a row without any is an utterance without text.
            loss_shares: for a training step that is cut into several batches, on one process or on several: each part
                of the loss -> the share of this batch in what the part is a mean over (`loss_counts`). The losses of
                the batches add up to the step's, and contrasts over a batch see the utterances of all processes.
            output_hidden_states: return `hidden_states`, the vectors of each stage; the config's word by default.
            output_attentions: return `attentions`, the graph attention's weights; the config's word by default.
            label_shares: (N, num_labels) float32 share of each class in the votes of several annotators, all 0 where
                there are none; the classifier learns them in place of `labels`, the majorities.
            audio_input_values, audio_attention_mask: (N, S) of a model with an encoder of speech, in place of
                audio_features: waveforms and their mask, as with tokens.
            layout: what follows from the lengths and speakers of this batch, as `DialogueCollator` computes it on the
                CPU. Without it an accelerator is asked for them, and waits.

        `return_dict=False` gives a tuple: the loss, if there is one, the logits, and the rest.

        Raises:
            ValueError: the batch does not fit the model.
        """
        features = {"text": text_features, "audio": audio_features, "visual": visual_features}
        if modality_mask is not None:
            modality_mask = modality_mask.bool()  # a mask of 0 and 1 would index instead of mask
        encoders = self.inner_encoders
        if encoders:
            inputs = {
                "text_input_ids": text_input_ids,
                "text_attention_mask": text_attention_mask,
                "audio_input_values": audio_input_values,
                "audio_attention_mask": audio_attention_mask,
            }
            features, modality_mask, present = self._with_encoded(features, inputs, modality_mask)
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
        if layout is None or recurrent_states is not None or torch.compiler.is_compiling():
            layout = DialogueLayout(dialogue_lengths, num_utterances, recurrent_states, speaker_ids)
        elif fault := check_layout(layout, dialogue_lengths, num_utterances, speaker_ids):
            raise self.batch_error(fault)
        if labels is not None and return_loss:
            check_labels(self.config, labels, num_utterances, self.batch_error, label_shares)
        for modality, encoder in encoders.items():
            features[modality] = encoder.normalize(cast("Tensor", features[modality]), present[modality])
        batch = PackedBatch(
            layout=layout.to(dialogue_lengths.device),
            features=features,
            modality_mask=modality_mask,
            speaker_ids=speaker_ids,
            edge_index=edge_index,
            edge_type=edge_type,
            labels=labels if return_loss else None,
            return_loss=return_loss,
            output_edge_attention=output_edge_attention or self.wants_attentions(output_attentions),
            output_hidden_states=self.wants_hidden_states(output_hidden_states),
            loss_shares=loss_shares,
            label_shares=label_shares,
        )
        output = self._with_loss(self.forward_batch(batch), loss_shares)
        return self.complete(output, output_hidden_states, output_attentions)

    def _with_loss(
        self, output: EmotionRecognitionOutput, loss_shares: dict[str, Tensor] | None
    ) -> EmotionRecognitionOutput:
        """Sum the means that each part of the loss is made of, and the parts."""
        if output.losses is None:
            return output
        several = {name: means.detach() for name, means in output.losses.items() if means.dim()}
        output.means = (several | (output.means or {})) or None
        output.losses = {name: total(weigh(name, means, loss_shares)) for name, means in output.losses.items()}
        if "classification" in output.losses:
            output.loss = cast("Any", self).weighted_sum(output.losses)
        return output

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute a batch that fits the model: the equations of the family."""
        raise NotImplementedError(f"{type(self).__name__} has no forward_batch")

    def speaker_ids(self, batch: PackedBatch) -> Tensor:
        """(N,) id of the speaker of each utterance of a batch.

        Raises:
            ValueError: the batch does not say.
        """
        if batch.speaker_ids is None:
            raise self.batch_error(f"the model tells speakers apart: the batch needs speaker_ids; {WAY_OUT}")
        return batch.speaker_ids

    def edges(self, batch: PackedBatch) -> tuple[Tensor, Tensor, Tensor]:
        """The edges (2, E) of a batch, their relations (E,) and the speakers (N,) of its utterances.

        Raises:
            ValueError: the batch has no graph.
        """
        if batch.speaker_ids is None or batch.edge_index is None or batch.edge_type is None:
            raise self.batch_error("the model has a graph: the batch needs speaker_ids, edge_index and edge_type")
        return batch.edge_index, batch.edge_type, batch.speaker_ids

    def speaker_graph(self, batch: PackedBatch, nodes: Tensor) -> SpeakerGraph:
        """The graph of a batch, with a row of `nodes` (N, size) at each utterance; an error as in `edges`."""
        edge_index, edge_type, speaker_ids = self.edges(batch)
        return SpeakerGraph(
            nodes=nodes,
            edge_index=edge_index,
            edge_type=edge_type,
            speaker_ids=speaker_ids,
            layout=batch.layout,
            relation_scheme=self._dialogue_config.relation_scheme,
            max_speakers=self._dialogue_config.max_speakers,
            causal=getattr(self.config, "causal", False),
        )

    def _with_encoded(
        self, features: dict[str, Tensor | None], inputs: Mapping[str, Tensor | None], modality_mask: Tensor | None
    ) -> tuple[dict[str, Tensor | None], Tensor | None, dict[str, Tensor]]:
        """Let the encoders read their inputs, unless these were encoded before.

        Returns:
            The features with what the encoders made, the mask of modalities, and modality -> (N, 1) bool, where an
            encoder had an input.
        """
        features, present = dict(features), {}
        for modality, encoder in self.inner_encoders.items():
            encoded = features[modality]
            if encoded is not None and inputs[ENCODER_INPUTS[modality][0]] is None:
                column = MODALITIES.index(modality)
                here = None if modality_mask is None else modality_mask[:, column : column + 1]
                present[modality] = torch.ones_like(encoded[:, :1], dtype=torch.bool) if here is None else here
                continue
            given, mask = self._encoder_inputs(modality, inputs)
            features[modality] = encoder.encode(given, mask)
            present[modality] = mask.bool().any(-1, keepdim=True)
        if modality_mask is None:
            everything = torch.ones_like(next(iter(present.values())))
            modality_mask = torch.cat([present.get(name, everything) for name in MODALITIES], dim=-1)
        return features, modality_mask, present

    def _encoder_inputs(self, modality: str, batch: Mapping[str, Tensor | None]) -> tuple[Tensor, Tensor]:
        """The inputs of an encoder and their mask, both (N, T), checked."""
        names = ENCODER_INPUTS[modality]
        given, mask = (batch.get(name) for name in names)
        if given is None or mask is None:
            what = {"text": "text", "audio": "speech"}[modality]
            raise self.batch_error(
                f"the batch has no {' and '.join(names)}, and the model has an encoder of {what}; {WAY_OUT}"
            )
        if modality == "text":
            check_tokens(self.inner_encoders[modality].encoder.config, given, mask, self.batch_error)
        else:
            check_waveforms(given, mask, self.batch_error)
        return given, mask


class SpeakerGraphClassifierMixin(EmotionRecognitionMixin):
    """A bare model on the packed graph batch with `classifier` on the representations of each utterance.

    Goes before the family's `PreTrainedModel` among the base classes.
    """

    base_model: Any
    classifier: nn.Module

    @property
    def reach(self) -> Reach:
        """The reach of the bare model followed by the classifier."""
        return in_sequence(self.base_model, self.classifier)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute what the bare model returns, the logits and, with labels, the loss."""
        output = self.base_model.forward_batch(batch)
        output.logits = self.classifier(output.graph)
        if batch.targets is not None:
            output.losses = {"classification": self.task_loss(output.logits, batch.targets)} | (output.losses or {})
        return output


def text_encoder_settings(pretrained: PreTrainedModel) -> dict[str, Any]:
    """Fields of the config of a model that is to have this encoder of text."""
    return {"text_config": encoder_config(pretrained)}
