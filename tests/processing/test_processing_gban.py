"""`GBANProcessor`: frames and words in, one padded batch out."""

import logging

import pytest
import torch

from joyful_hf import DialogueError, GBANProcessor
from joyful_hf.processing.words import learn_vocabulary, split_words
from tests.support.helpers import DIMS, make_dialogues


def test_words_are_in_lower_case_and_marks_stand_alone():
    assert split_words("Oh NO, don't… you’re 2 late?!") == ["oh", "no", "don't", "you’re", "2", "late", "?", "!"]


def test_the_vocabulary_has_frequent_words_first_whatever_the_order_of_the_texts():
    assert learn_vocabulary(["b a", "c a", "c a"]) == learn_vocabulary(["c a", "c a", "b a"]) == ["a", "c", "b"]


def test_text_is_words_where_it_has_no_frames():
    processor = GBANProcessor.from_dialogues(make_dialogues((2,), modalities=("audio",)))
    assert processor.dims == {"text": None, "audio": DIMS["audio"]}
    assert processor.model_kwargs()["vocab_size"] == 2 + len(processor.vocabulary)
    batch = processor(
        [{"text": "utterance 9 utterance"}, {"audio_features": [0.0] * DIMS["audio"]}], return_tensors="pt"
    )
    known = 2 + processor.vocabulary.index("utterance")
    assert batch["text_input_ids"].tolist() == [[known, 1, known], [0, 0, 0]]
    assert batch["text_attention_mask"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert batch["text_input_ids"].dtype == torch.int64
    assert list(batch)[:4] == ["audio_frames", "audio_frame_mask", "text_input_ids", "text_attention_mask"]
    assert processor.model_input_names == [*batch, "labels"]


def test_text_is_frames_where_it_has_some():
    processor = GBANProcessor.from_dialogues(make_dialogues((2,)))
    assert processor.dims == {"text": DIMS["text"], "audio": DIMS["audio"], "visual": DIMS["visual"]}
    assert processor.vocabulary is None
    assert "text_frames" in processor(make_dialogues((2,)))


def test_text_may_be_left_out():
    processor = GBANProcessor.from_dialogues(make_dialogues((2,), modalities=("audio",)), text_dim=0)
    assert set(processor.dims) == {"audio"}
    with pytest.raises(DialogueError, match="this processor reads words and sequences of frames"):
        GBANProcessor.from_dialogues([{"utterances": [{"speaker": "A", "text": "no"}]}], text_dim=0)


def test_it_is_saved_with_its_words(tmp_path):
    processor = GBANProcessor.from_dialogues(make_dialogues((3,), modalities=("audio",)))
    processor.save_pretrained(tmp_path)
    loaded = GBANProcessor.from_pretrained(tmp_path)
    batches = [made(make_dialogues((3,)), return_tensors="pt") for made in (processor, loaded)]
    assert all(torch.equal(batches[0][key], batches[1][key]) for key in batches[0])


def test_what_is_too_long_is_cut_and_told(caplog):
    processor = GBANProcessor(1, 0, 3, vocabulary=["no"], max_audio_frames=2, max_words=1)
    with caplog.at_level(logging.WARNING):
        batch = processor([{"text": "no no", "audio_frames": [[1.0], [2.0], [3.0]]}])
    assert batch["audio_frames"].shape == (1, 2, 1)
    assert batch["text_input_ids"].shape == (1, 1)
    assert "1 of 1 utterances have more than max_audio_frames=2" in caplog.text
    assert "more than max_words=1" in caplog.text


def test_its_example_is_read_by_its_words():
    processor = GBANProcessor(2, 0, 3, vocabulary=["never", "did"])
    encoded = processor.encode(processor.example_dialogue())
    assert [set(utterance.streams) for utterance in encoded] == [{"audio", "text"}] * 2
