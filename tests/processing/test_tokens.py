"""Raw text: what is read of an utterance, how it is cut and padded, and that the tokenizer is saved."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from joyful_hf import (
    DialogueError,
    JoyfulProcessor,
    batch_to_pyg,
    pyg_to_batch,
)
from joyful_hf.processing.tokens import run_tokenizer
from tests.support.helpers import (
    DIMS,
    VOCABULARY,
    make_dialogues,
    make_tokenizer,
)

PAD, CLS, SEP = (VOCABULARY.index(token) for token in ("[PAD]", "[CLS]", "[SEP]"))


def letters(text: str) -> list[int]:
    """The tokens of one word."""
    return [CLS, *(VOCABULARY.index(one if not index else f"##{one}") for index, one in enumerate(text)), SEP]


def said(*texts) -> dict:
    return {"utterances": [{"speaker": "A", "text": text, "label": "joy"} for text in texts]}


def make_processor(**parameters) -> JoyfulProcessor:
    return JoyfulProcessor(tokenizer=make_tokenizer(), label2id={"joy": 0}, **parameters)


def test_texts_are_padded_at_the_end_to_the_longest_of_the_batch():
    batch = make_processor()([said("abc", "a"), said("ab")])
    assert batch["text_input_ids"].tolist() == [
        letters("abc"),
        [*letters("a"), PAD, PAD],
        [*letters("ab"), PAD],
    ]
    assert batch["text_attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]
    assert {batch[key].dtype for key in ("text_input_ids", "text_attention_mask")} == {np.dtype(np.int64)}


def test_the_keys_of_a_batch_are_in_their_order():
    processor = make_processor(audio_dim=2)
    batch = processor(said("a"), return_tensors="pt")
    assert list(batch) == processor.model_input_names
    assert list(batch)[:4] == ["dialogue_lengths", "text_input_ids", "text_attention_mask", "audio_features"]
    assert all(isinstance(value, torch.Tensor) for value in batch.values())


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_an_utterance_without_text_is_masked(text):
    batch = make_processor()(said("a", text))
    assert batch["text_attention_mask"].sum(-1).tolist() == [3, 0]
    assert batch["modality_mask"].tolist() == [[True, False, False], [False, False, False]]


def test_without_any_text_a_row_has_one_column_of_padding():
    batch = make_processor()(said(None, None))
    assert batch["text_input_ids"].tolist() == [[PAD], [PAD]]
    assert not batch["text_attention_mask"].any()


def test_a_long_text_is_cut_before_its_last_special_token():
    processor = make_processor(text_max_length=4)
    assert processor(said("abcdef"))["text_input_ids"].tolist() == [[*letters("ab")[:-1], SEP]]


def test_128_tokens_are_read_unless_the_tokenizer_reads_less():
    tokenizer = make_tokenizer()
    assert JoyfulProcessor(tokenizer=tokenizer).text_max_length == 40
    tokenizer.model_max_length = 10**30
    assert JoyfulProcessor(tokenizer=tokenizer).text_max_length == 128


def test_text_features_are_not_read():
    dialogues = make_dialogues()
    processor = JoyfulProcessor.from_dialogues(dialogues, tokenizer=make_tokenizer())
    assert processor.dims == DIMS | {"text": None}
    assert "text_features" not in processor(dialogues)
    assert "text_dim" not in processor.model_kwargs()
    assert processor(dialogues)["modality_mask"].all()


def test_text_alone_is_enough():
    processor = JoyfulProcessor.from_dialogues([said("a", "b")], tokenizer=make_tokenizer())
    assert processor.reads_anything
    assert processor.label2id == {"joy": 0}


def test_no_text_at_all_is_refused():
    with pytest.raises(DialogueError, match="no utterance has 'text'"):
        JoyfulProcessor.from_dialogues([said(None, "")], tokenizer=make_tokenizer())


def test_text_that_is_no_string_is_refused():
    with pytest.raises(DialogueError, match=r"utterances\[1\]: 'text' must be a string, got int 3"):
        make_processor()(said("a", 3))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tokenizer": make_tokenizer(), "text_dim": 3}, "text_dim is 3, and with a tokenizer"),
        ({"tokenizer": make_tokenizer(), "text_max_length": 2}, "text_max_length must be an int of at least 3, got 2"),
        ({"text_max_length": 5}, "text_max_length needs a tokenizer, and there is none"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        JoyfulProcessor(**parameters)


def test_a_text_extractor_beside_a_tokenizer_is_refused_and_not_ignored():
    with pytest.raises(DialogueError, match="text_extractor is 'hashing', and with a tokenizer the model reads text"):
        JoyfulProcessor.from_dialogues([said("a")], tokenizer=make_tokenizer(), text_extractor="hashing")


@pytest.mark.parametrize("load", [JoyfulProcessor.from_pretrained, AutoProcessor.from_pretrained], ids=["own", "auto"])
def test_the_tokenizer_survives_saving(load, tmp_path):
    processor = JoyfulProcessor.from_dialogues(make_dialogues(), tokenizer=make_tokenizer(), text_max_length=9)
    expected = processor(make_dialogues())
    processor.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is JoyfulProcessor
    batch = loaded(make_dialogues())
    assert list(batch) == list(expected)
    assert all(np.array_equal(batch[key], expected[key]) for key in expected)
    assert "tokenizer" not in json.loads((tmp_path / "processor_config.json").read_text())


def test_a_parameter_can_be_changed_while_loading(tmp_path):
    make_processor().save_pretrained(tmp_path)
    loaded = JoyfulProcessor.from_pretrained(tmp_path, text_max_length=5, window_past=3)
    assert (loaded.text_max_length, loaded.window_past) == (5, 3)
    assert loaded(said("abcdef"))["text_input_ids"].shape == (1, 5)


def test_batches_go_to_torch_geometric_and_back():
    batch = make_processor()([said("abc", "a"), said(None)], return_tensors="pt")
    again = pyg_to_batch(batch_to_pyg(batch))
    assert list(again) == list(batch)
    assert all(torch.equal(again[key], batch[key]) for key in batch)


def test_a_tokenizer_that_breaks_down_is_named():
    class PanicException(BaseException):
        """As pyo3 makes it of a panic in Rust."""

    def damaged(texts, **options):
        raise PanicException("no entry found for key")

    with pytest.raises(DialogueError, match=r"the tokenizer is damaged \(no entry found for key\); copy"):
        run_tokenizer(damaged, ["a"])


def test_other_ends_of_a_run_pass_through_a_tokenizer():
    def interrupted(texts, **options):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tokenizer(interrupted, ["a"])
