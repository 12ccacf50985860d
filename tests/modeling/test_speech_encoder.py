"""A speech encoder inside the families of dialogues: one vector per utterance from its waveform."""

import dataclasses

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from joyful_hf import (
    ARIIGCNForEmotionRecognition,
    DialogueError,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    StreamingRecognizer,
)
from joyful_hf.families import FAMILIES
from joyful_hf.modeling.configuration_dialogue import DialogueConfig
from joyful_hf.modeling.speech_encoder import SpeechEncoder
from joyful_hf.processing.pyg import batch_to_pyg, pyg_to_batch
from tests.support.helpers import SPEECH_CONFIG, make_dialogues
from tests.support.training import SMALL_SETTINGS

OF_DIALOGUES = [name for name, family in FAMILIES.items() if issubclass(family.config_class, DialogueConfig)]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def spoken(lengths=(3, 2)) -> list[dict]:
    """Dialogues of recordings; of every third utterance there is none."""
    rng = np.random.default_rng(3)
    dialogues = make_dialogues(lengths)
    count = 0
    for dialogue in dialogues:
        kept = []
        for utterance in dialogue["utterances"]:
            count += 1
            sound = {"array": rng.normal(scale=0.1, size=300 + 70 * count).astype(np.float32), "sampling_rate": 16000}
            own = {key: utterance[key] for key in ("speaker", "label", "text")}
            kept.append(own | ({"audio": sound} if count % 3 else {}))
        dialogue["utterances"] = kept
    return dialogues


@pytest.fixture(scope="module")
def processor():
    return JoyfulProcessor.from_dialogues(spoken((4, 5, 3)), audio_dim=None)


@pytest.fixture(scope="module")
def pretrained():
    torch.manual_seed(1)
    return AutoModel.from_config(AutoConfig.for_model(**SPEECH_CONFIG))


def make_model(pretrained, processor, model_class=JoyfulForEmotionRecognition, **settings):
    torch.manual_seed(0)
    known = {field.name for field in dataclasses.fields(model_class.config_class)}
    small = {name: value for name, value in SMALL_SETTINGS.items() if name in known}
    return model_class.from_encoders(audio_encoder=pretrained, **(small | processor.model_kwargs() | settings)).eval()


def logits_of(model, processor, dialogues) -> torch.Tensor:
    with torch.no_grad():
        return model(**processor(dialogues, return_tensors="pt", return_labels=False)).logits


class TestEveryFamily:
    @pytest.mark.parametrize("name", OF_DIALOGUES)
    def test_a_dialogue_does_not_depend_on_batch_mates_and_is_saved(self, name, processor, pretrained, tmp_path):
        model = make_model(pretrained, processor, FAMILIES[name].model_class)
        assert model.config.audio_dim == 8
        dialogues = spoken()
        together = logits_of(model, processor, dialogues)
        torch.testing.assert_close(together[:3], logits_of(model, processor, dialogues[0]), **TOLERANCE)
        model.save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        loaded = type(model).from_pretrained(tmp_path)
        assert torch.equal(logits_of(loaded, JoyfulProcessor.from_pretrained(tmp_path), dialogues), together)
        assert not any(parameter.requires_grad for parameter in loaded.inner_encoders["audio"].encoder.parameters())

    @pytest.mark.parametrize("model_class", [JoyfulForEmotionRecognition, ARIIGCNForEmotionRecognition])
    def test_what_was_encoded_before_gives_the_same(self, model_class, processor, pretrained):
        model, batch = make_model(pretrained, processor, model_class), processor(spoken(), return_tensors="pt")
        expected = model(**batch).logits
        encoded = model.encode_utterances(batch)["audio"]
        rest = {key: value for key, value in batch.items() if not key.startswith("audio_")}
        assert torch.equal(model(**rest, audio_features=encoded).logits, expected)

    @pytest.mark.parametrize("unfrozen", [False, True], ids=["frozen", "unfrozen"])
    def test_it_learns_if_it_is_unfrozen_but_for_its_front(self, processor, pretrained, unfrozen):
        model = make_model(pretrained, processor, unfreeze_audio_encoder=unfrozen).train()
        model(**processor(spoken(), return_tensors="pt")).loss.backward()
        encoder = model.inner_encoders["audio"].encoder
        front = {id(parameter) for parameter in encoder.feature_extractor.parameters()}
        unused = {id(encoder.masked_spec_embed)}  # too few frames to mask any
        for parameter in encoder.parameters():
            if id(parameter) not in unused:
                assert (parameter.grad is not None) == (unfrozen and id(parameter) not in front)
        assert [rate for _, rate in model.learning_rates()][: int(unfrozen)] == [3e-5] * unfrozen


class TestTheEncoder:
    def test_it_averages_the_frames_of_the_utterance(self, pretrained):
        encoder = SpeechEncoder(pretrained.config, freeze_feature_encoder=True, trainable=False).eval()
        encoder.load(pretrained)
        samples = torch.randn(1, 900, generator=torch.Generator().manual_seed(0))
        expected = pretrained.eval()(samples).last_hidden_state.mean(1)
        torch.testing.assert_close(
            encoder.encode(samples, torch.ones(1, 900, dtype=torch.long)), expected, **TOLERANCE
        )

    def test_an_absent_waveform_is_zeros(self, pretrained):
        encoder = SpeechEncoder(pretrained.config, freeze_feature_encoder=True, trainable=False).eval()
        samples = torch.randn(2, 900, generator=torch.Generator().manual_seed(0))
        mask = torch.tensor([[1] * 900, [0] * 900])
        assert encoder(samples, mask)[0].any()
        assert not encoder(samples, mask)[1].any()


class TestRefusals:
    def test_another_size(self):
        with pytest.raises(Exception, match="audio_dim is 3, the encoder of audio_config gives vectors of size 8"):
            JoyfulConfig(audio_config=SPEECH_CONFIG, audio_dim=3)

    def test_a_batch_without_waveforms(self, processor, pretrained):
        batch = dict(processor(spoken(), return_tensors="pt"))
        model = make_model(pretrained, processor)
        with pytest.raises(DialogueError, match="audio_input_values have shape"):
            model(**(batch | {"audio_attention_mask": torch.ones(5, 2)}))
        del batch["audio_input_values"]
        with pytest.raises(DialogueError, match="the batch has no audio_input_values and audio_attention_mask"):
            model(**batch)

    def test_nothing_to_hear(self):
        with pytest.raises(DialogueError, match="no utterance has 'audio' or 'video'"):
            JoyfulProcessor.from_dialogues(make_dialogues(), audio_dim=None)

    def test_an_extractor_beside_it(self):
        with pytest.raises(ValueError, match="audio_extractor is 'logmel', and with audio_dim=None"):
            JoyfulProcessor.from_dialogues(spoken(), audio_dim=None, audio_extractor="logmel")

    def test_no_encoder_at_all(self):
        with pytest.raises(ValueError, match="from_encoders needs text_encoder or audio_encoder"):
            JoyfulForEmotionRecognition.from_encoders()


class TestTheProcessor:
    def test_long_waveforms_are_cut_and_that_is_said(self, caplog):
        processor = JoyfulProcessor.from_dialogues(spoken(), audio_dim=None, max_audio_seconds=0.025)
        batch = processor(spoken())
        assert batch["audio_input_values"].shape == (5, 400)
        assert "3 of 5 utterances have audio of more than max_audio_seconds=0.025" in caplog.text

    def test_the_graph_of_torch_geometric_keeps_them(self, processor):
        batch = processor(spoken(), return_tensors="pt")
        back = pyg_to_batch(batch_to_pyg(batch))
        assert list(back) == list(batch)
        assert all(torch.equal(back[key], tensor) for key, tensor in batch.items())

    def test_utterance_by_utterance(self, processor, pretrained):
        causal = JoyfulProcessor.from_dialogues(spoken((4, 5, 3)), audio_dim=None, window_future=0)
        model = make_model(pretrained, causal, causal=True)
        (dialogue,) = spoken((4,))
        expected = model.predict(dialogue, causal)[0]["utterances"]
        recognizer = StreamingRecognizer(model, causal)
        for utterance, whole in zip(dialogue["utterances"], expected, strict=True):
            found = recognizer.add(utterance)
            assert found["scores"] == pytest.approx(whole["scores"], abs=1e-5)
