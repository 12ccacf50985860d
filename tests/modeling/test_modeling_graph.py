"""A family on the packed graph batch says its equations; reading, checking and classifying are the same for all."""

import inspect

import pytest
import torch
from huggingface_hub.dataclasses import strict
from torch import nn

from joyful_hf import (
    ARIIGCNForEmotionRecognition,
    ARIIGCNModel,
    DialogueError,
    EmotionRecognitionOutput,
    JoyfulForEmotionRecognition,
    JoyfulModel,
    JoyfulProcessor,
    StreamingRecognizer,
)
from joyful_hf.modeling.batch_contract import PackedBatch
from joyful_hf.modeling.configuration_graph import SpeakerGraphConfig
from joyful_hf.modeling.context_encoder import DialogueGRU
from joyful_hf.modeling.modality_inputs import ModalityInputs
from joyful_hf.modeling.modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.modeling.prediction import with_layout
from joyful_hf.modeling.reach import Reach, in_sequence
from joyful_hf.modeling.text_encoder import TextEncoder
from tests.support.helpers import FAMILY_CASES, TEXT_CONFIG, make_dialogue, make_dialogues, make_tokenizer
from tests.test_invariants import assert_trained, train_step

PARAMETERS = [
    *("self", "dialogue_lengths", "text_features", "audio_features", "visual_features", "modality_mask"),
    *("speaker_ids", "edge_index", "edge_type", "labels", "output_edge_attention", "return_loss"),
    *("recurrent_states", "text_input_ids", "text_attention_mask", "loss_shares"),
    *("output_hidden_states", "output_attentions", "label_shares", "audio_input_values", "audio_attention_mask"),
    "layout",
]


@strict
class MeanConfig(SpeakerGraphConfig):
    """The configuration of the family in the docstring of `modeling_graph.py`."""

    model_type = "mean"
    size_loss_weight: float | int = 0.0


class MeanPreTrainedModel(SpeakerGraphPreTrainedModel):
    """Its base."""

    config: MeanConfig
    base_model_prefix = "mean"


class MeanModel(MeanPreTrainedModel):
    """Its bare model, with a loss of its own."""

    def __init__(self, config: MeanConfig) -> None:
        super().__init__(config)
        self.text_encoder = TextEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.hidden_size = sum(config.modality_dims.values())
        self.context_encoder = DialogueGRU(self.hidden_size, 1, 0.1, config.causal)
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The context encoder's."""
        return in_sequence(self.text_encoder, self.inputs, self.context_encoder)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Features in context."""
        features, _ = self.inputs(batch.features, batch.modality_mask, self.dtype)
        fused = torch.cat(list(features.values()), dim=-1)
        graph = self.context_encoder(fused, batch.layout)
        losses = {"size": graph.square().mean()} if batch.return_loss else None
        return EmotionRecognitionOutput(losses=losses, fused=fused, graph=graph)


class MeanForEmotionRecognition(SpeakerGraphClassifierMixin, MeanPreTrainedModel):
    """Its model with a classifier."""

    def __init__(self, config: MeanConfig) -> None:
        super().__init__(config)
        self.mean = MeanModel(config)
        self.classifier = nn.Linear(self.mean.hidden_size, config.num_labels)
        self.post_init()

    def loss_weights(self) -> dict[str, float]:
        """With the one of its own."""
        return super().loss_weights() | {"size": self.config.size_loss_weight}


@pytest.fixture
def made():
    """A model of the family and a processor."""
    processor = JoyfulProcessor.from_dialogues(make_dialogues(), window_future=0)
    return MeanForEmotionRecognition(MeanConfig(**processor.model_kwargs(), causal=True)).eval(), processor


@pytest.mark.parametrize(
    "model_class",
    [JoyfulModel, JoyfulForEmotionRecognition, ARIIGCNModel, ARIIGCNForEmotionRecognition, MeanForEmotionRecognition],
)
def test_every_family_has_one_forward_whose_parameters_can_be_read(model_class):
    """By the Trainer, which looks for labels and for `**kwargs`, and by exporters."""
    assert model_class.forward is SpeakerGraphPreTrainedModel.forward
    assert list(inspect.signature(model_class.forward).parameters) == PARAMETERS


def test_every_key_of_a_batch_is_a_parameter(made):
    assert set(made[1](make_dialogues(), return_tensors="pt")) <= set(PARAMETERS)


class TestANewFamily:
    def test_trains_and_predicts(self, made):
        model, processor = made
        output = train_step(model, processor(make_dialogues(), return_tensors="pt"))
        assert_trained(model, output)
        assert list(output.losses) == ["classification", "size"]
        assert len(model.predict(make_dialogues(), processor)) == 4

    def test_has_the_weights_of_its_losses(self, made):
        model, processor = made
        model.config.size_loss_weight = 0.25
        output = model(**processor(make_dialogues(), return_tensors="pt"))
        torch.testing.assert_close(output.loss, output.losses["classification"] + output.losses["size"] / 4)

    def test_is_asked_for_losses_only_where_they_are_wanted(self, made):
        model, processor = made
        batch = processor(make_dialogues(), return_tensors="pt")
        output = model(**batch, return_loss=False)
        assert (output.loss, output.losses) == (None, None)
        del batch["labels"]
        output = model(**batch)
        assert output.loss is None
        assert list(output.losses) == ["size"]

    def test_streams_exactly_since_it_states_its_reach(self, made):
        model, processor = made
        recognizer = StreamingRecognizer(model, processor)
        assert recognizer.is_exact
        dialogue = make_dialogue(9)
        streamed = list(recognizer.stream(dialogue["utterances"]))
        expected = model.predict(dialogue, processor)[0]["utterances"]
        for answer, whole in zip(streamed, expected, strict=True):
            assert answer["scores"] == pytest.approx(whole["scores"], abs=1e-5)

    def test_may_hold_an_encoder_of_text(self):
        processor = JoyfulProcessor.from_dialogues(make_dialogues(), tokenizer=make_tokenizer())
        settings = processor.model_kwargs() | {"text_config": TEXT_CONFIG, "unfreeze_text_encoder": True}
        model = MeanForEmotionRecognition(MeanConfig(**settings))
        assert_trained(model, train_step(model, processor(make_dialogues(), return_tensors="pt")))

    def test_without_equations_is_told_so(self, made):
        model, processor = made
        with pytest.raises(NotImplementedError, match="MeanPreTrainedModel has no forward_batch"):
            MeanPreTrainedModel(model.config)(**processor(make_dialogues(), return_tensors="pt"))


def test_a_label_that_does_not_fit_is_refused_before_anything_is_computed(made):
    model, processor = made
    batch = processor(make_dialogues(), return_tensors="pt")
    batch["labels"][0] = 9
    with pytest.raises(DialogueError, match="label 9, the model has num_labels=4"):
        model(**batch)
    assert model(**batch, return_loss=False).logits.shape == (38, 4)


class TestALayoutThatComesWithABatch:
    def test_changes_nothing(self, made):
        model, batch = made[0], made[1](make_dialogues(), return_tensors="pt")
        expected = model(**batch).loss
        assert torch.equal(model(**with_layout(batch)).loss, expected)

    def test_must_be_that_of_its_dialogues_and_speakers(self, made):
        model, batch = made[0], made[1](make_dialogues(), return_tensors="pt")
        lengths, speakers = batch["dialogue_lengths"], batch["speaker_ids"]
        for wrong in (
            DialogueLayout(lengths[:1], int(lengths[0]), speaker_ids=speakers[: lengths[0]]),
            DialogueLayout(lengths.flip(0), len(speakers), speaker_ids=speakers),
            DialogueLayout(lengths, len(speakers), speaker_ids=1 - speakers),
            DialogueLayout(lengths, len(speakers)),
        ):
            with pytest.raises(DialogueError, match="layout is that of other dialogues or speakers"):
                model(**batch, layout=wrong)


def test_a_model_with_a_graph_needs_one():
    model, processor = FAMILY_CASES[0].make(make_dialogues())
    batch = processor(make_dialogues(), return_tensors="pt")
    del batch["speaker_ids"]
    with pytest.raises(DialogueError, match="the batch needs speaker_ids, edge_index and edge_type"):
        model(**batch)
