"""GBAN's alignment, its gates, and its words."""

import pytest
import torch

from joyful_hf import DialogueError, GBANConfig, GBANForEmotionRecognition, GBANProcessor
from joyful_hf.modeling.modeling_gban import GroupGate
from tests.support.helpers import DIMS, make_dialogues, without_modality

SIZES = {"frame_filters": [4], "text_filters": 3, "lstm_size": 4, "gate_size": 5, "classifier_hidden_size": 5}


def spoken():
    """Dialogues with frames of speech and with text, in words that are there more than once."""
    texts = ["Oh no!", "Yes, I did it.", "you did?", "no"]
    dialogues = make_dialogues((4, 3), modalities=("audio",))
    for dialogue in dialogues:
        for index, utterance in enumerate(dialogue["utterances"]):
            utterance["text"] = texts[index]
    return dialogues


def make(dialogues, **settings):
    processor = GBANProcessor.from_dialogues(dialogues)
    torch.manual_seed(0)
    return GBANForEmotionRecognition(GBANConfig(**(SIZES | processor.model_kwargs() | settings))).eval(), processor


@pytest.mark.parametrize("form", ["default", "dot", "released"])
def test_speech_and_words_learn_in_every_form(form):
    dialogues = spoken()
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            utterance["audio_frames"] = [[float(index)] * DIMS["audio"] for index in range(9)]
    processor = GBANProcessor.from_dialogues(dialogues)
    settings = SIZES | processor.model_kwargs()
    config = {
        "default": GBANConfig(**settings),
        "dot": GBANConfig(**settings, alignment="dot"),
        "released": GBANConfig.released(**settings),
    }[form]
    model = GBANForEmotionRecognition(config)
    model(**processor(dialogues, return_tensors="pt")).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_words_are_read_and_padding_is_not():
    dialogues = spoken()
    model, processor = make(dialogues)
    one = [dialogues[0]["utterances"][3]]
    alone = model(**processor(one, return_tensors="pt")).logits
    together = model(**processor(dialogues, return_tensors="pt")).logits
    torch.testing.assert_close(together[3:4], alone)
    other = model(**processor([one[0] | {"text": "yes"}], return_tensors="pt")).logits
    assert (other - alone).abs().max() > 1e-4


def test_a_batch_without_words_is_refused():
    model, processor = make(spoken())
    batch = processor(spoken(), return_tensors="pt")
    with pytest.raises(DialogueError, match="no text_input_ids"):
        model(audio_frames=batch["audio_frames"])
    with pytest.raises(DialogueError, match="token id 99"):
        model(**(batch | {"text_input_ids": batch["text_input_ids"] + 99 - batch["text_input_ids"].max()}))


def test_gates_of_two_modalities_are_a_sigmoid_and_its_rest():
    torch.manual_seed(0)
    gate = GroupGate(["text", "audio"], 3, 4)
    vectors = {"text": torch.randn(5, 3), "audio": torch.randn(5, 3)}
    here = dict.fromkeys(vectors, torch.ones(5, 1, dtype=torch.bool))
    shares = gate.shares(vectors, here)
    scores = gate.gate(torch.cat(list(vectors.values()), -1))
    torch.testing.assert_close(shares[0], torch.sigmoid(scores[:, :4] - scores[:, 4:]))
    torch.testing.assert_close(shares.sum(0), torch.ones(5, 4))
    here["audio"] = torch.zeros(5, 1, dtype=torch.bool)
    assert gate.shares(vectors, here)[0].eq(1).all()
    here["text"] = here["audio"]
    assert not gate(vectors, here).any()


def test_an_utterance_without_speech_is_read_by_its_words():
    dialogues = spoken()
    model, processor = make(dialogues)
    silent = [without_modality(dialogues[0]["utterances"][0], "audio")]
    logits = model(**processor([*silent, dialogues[0]["utterances"][1]], return_tensors="pt")).logits
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits[:1], model(**processor(silent, return_tensors="pt")).logits)
