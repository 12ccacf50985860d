"""DialogueRNN: an attentive recurrent network for emotion detection in conversations.

Majumder, Poria, Hazarika, Mihalcea, Gelbukh, Cambria (AAAI 2019). The recurrence itself is in `dialogue_rnn`.
"""

import torch

from .batch_contract import PackedBatch
from .configuration_dialogue_rnn import DialogueRNNConfig
from .dialogue_rnn import DialogueRNN, DialogueRNNCell, who_speaks
from .dropout import Dropout
from .matching_attention import MatchingAttention
from .mlp import make_mlp
from .modality_inputs import ModalityInputs
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .reach import Reach, in_sequence, side_by_side
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


class DialogueRNNPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the DialogueRNN models."""

    config: DialogueRNNConfig
    base_model_prefix = "dialogue_rnn"


class DialogueRNNModel(DialogueRNNPreTrainedModel):
    """The recurrence from both ends, and attention over the emotions that it finds."""

    def __init__(self, config: DialogueRNNConfig) -> None:
        super().__init__(config)
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.forwards = DialogueRNN(self._make_cell())
        self.backwards = DialogueRNN(self._make_cell(), backwards=True) if config.bidirectional else None
        self.emotion_dropout = Dropout(config.emotion_dropout_prob)
        self.emotion_attention = MatchingAttention(config.hidden_size) if config.emotion_attention else None
        self.hidden_size = config.hidden_size
        self.post_init()

    def _make_cell(self) -> DialogueRNNCell:
        config = self.config
        return DialogueRNNCell(
            sum(config.modality_dims.values()),
            config.global_size,
            config.party_size,
            config.emotion_size,
            config.context_attention,
            config.context_attention_size,
            config.listener_state,
            config.state_dropout_prob,
        )

    @property
    def reach(self) -> Reach:
        """The whole dialogue; the past alone in one direction and without attention over the emotions."""
        directions = side_by_side(self.forwards, self.backwards)
        return in_sequence(self.text_encoder, self.inputs, directions, self.emotion_attention)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the emotions of all utterances, each with its context.

        Returns:
            `fused` (N, sum of the modalities' sizes): u, the features side by side; `context` (N, hidden_size): m, the
            emotions of both directions; `graph` (N, hidden_size): what the attention over them makes of them.
        """
        features, _ = self.inputs(batch.features, batch.modality_mask, self.dtype)
        utterances = torch.cat(list(features.values()), dim=-1)
        speaks = who_speaks(self.speaker_ids(batch), batch.layout, self.config.most_speakers)
        directions = [self.forwards, *([] if self.backwards is None else [self.backwards])]
        emotions = torch.cat(
            [self.emotion_dropout(direction(utterances, speaks, batch.layout)) for direction in directions], dim=-1
        )
        attended = emotions if self.emotion_attention is None else self.emotion_attention(emotions, batch.layout)
        return EmotionRecognitionOutput(features=utterances, fused=utterances, context=emotions, graph=attended)


class DialogueRNNForEmotionRecognition(SpeakerGraphClassifierMixin, DialogueRNNPreTrainedModel):
    """DialogueRNN with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    def __init__(self, config: DialogueRNNConfig) -> None:
        super().__init__(config)
        self.dialogue_rnn = DialogueRNNModel(config)
        self.classifier = make_mlp(
            config.hidden_size, config.classifier_hidden_size, len(config.id2label or ()), config.hidden_dropout_prob
        )
        self.post_init()


__all__ = ["DialogueRNNForEmotionRecognition", "DialogueRNNModel", "DialogueRNNPreTrainedModel"]
