"""Models whose features were made by an encoder in a local folder: pushed without its path, and used without it."""

import json
from inspect import signature

import pytest
import torch
from transformers import AutoProcessor

from joyful_hf import JoyfulProcessor, extract_features
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.hub.push import push_folder
from joyful_hf.processing.dialogues import EXTRACTOR_KEYS
from joyful_hf.training.fine_tuning import load_for_fine_tuning
from tests.support.helpers import FAMILY_CASES
from tests.support.pushes import REPO, card_on, logits_of

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_no_path_of_an_encoder_is_pushed(hub, family, dialogues, caplog):
    model, processor = family.make(dialogues)
    parameters = signature(type(processor)).parameters
    named = {
        key: f"/home/ada/secret/{modality}#-1"
        for modality, key in EXTRACTOR_KEYS.items()
        if key in parameters and processor.dims.get(modality) is not None
    }
    for key, name in named.items():
        setattr(processor, key, name)
    model.push_to_hub(REPO, processor=processor)
    assert [name for name, content in hub.files(REPO).items() if b"secret" in content] == []
    assert caplog.text.count("is a folder of this machine, which is not pushed") == len(named)
    loaded = AutoProcessor.from_pretrained(REPO)
    assert set(loaded.extractors.values()) == {
        f"local:{modality}#-1" for modality, key in EXTRACTOR_KEYS.items() if key in named
    }
    assert torch.equal(logits_of(model, loaded, dialogues), logits_of(model, processor, dialogues))
    processor.push_to_hub("ada/processor")
    assert b"secret" not in hub.files("ada/processor")["processor_config.json"]
    assert set(processor.extractors.values()) == set(named.values())


@pytest.fixture
def texts():
    """Two dialogues of texts alone."""
    words = (("hi", "anger"), ("no!", "joy"), ("well?", "neutral"), ("i go", "sadness"))
    return [
        {
            "dialogue_id": f"d{number}",
            "utterances": [{"speaker": "Ross", "text": text * number, "label": label} for text, label in words],
        }
        for number in (1, 2)
    ]


@pytest.fixture
def pushed(hub, texts, encoders, tmp_path):
    """The processor and the model of a run on these texts, which is on the Hub; the folder of the run is `out`."""
    processor = JoyfulProcessor.from_dialogues(texts, text_extractor=encoders["text"])
    model, _ = FAMILY_CASES[0].make(extract_features(texts, processor, verbose=False))
    model.save_pretrained(tmp_path / "out")
    processor.save_pretrained(tmp_path / "out")
    push_folder(tmp_path / "out", REPO)
    return model, processor


def test_the_pushed_model_reads_features_or_is_given_the_encoder(pushed, texts, encoders, tmp_path):
    model, processor = pushed
    assert encoders["text"] in (tmp_path / "out" / "processor_config.json").read_text()
    expected = logits_of(model, processor, texts)
    loaded, read = load_checkpoint(REPO, "cpu")
    features = list(extract_features(texts, processor, verbose=False))
    assert torch.equal(logits_of(loaded, read, features), expected)
    given = JoyfulProcessor.from_pretrained(REPO, text_extractor=processor.text_extractor)
    assert torch.equal(logits_of(loaded, given, texts), expected)


def test_its_card_has_an_example_that_runs_and_says_what_is_missing(hub, pushed, encoders, capsys):
    card = card_on(hub)
    assert "The encoder of text, text, is not in this repository" in card
    assert encoders["text"] not in card
    exec(card.split("```python\n")[1].split("```")[0], {})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_commands_take_the_encoder_where_they_need_it(pushed, texts, encoders, joyful, fails, tmp_path):
    write_dialogues(texts, tmp_path / "texts.jsonl")
    data = ("--data-file", "texts.jsonl", "--output-file")
    assert "text_extractor: 'text' is an encoder" in fails("predict", REPO, *data, "found.jsonl")
    extract = ("extract", *data, "features.parquet", "--checkpoint", REPO)
    assert "text_extractor: 'text' is an encoder" in fails(*extract)
    assert joyful(*extract, "--text-extractor", encoders["text"]).status == 0
    data = ("--data-file", "features.parquet", "--output-file")
    assert joyful("predict", REPO, *data, "found.jsonl").status == 0
    assert joyful("predict", "out", *data, "local.jsonl").status == 0
    assert (tmp_path / "found.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()


def test_a_model_that_is_tuned_further_knows_where_the_encoder_lies_here(pushed, texts, encoders, joyful, tmp_path):
    write_dialogues(texts, tmp_path / "texts.jsonl")
    features = extract_features(texts, pushed[1], verbose=False)
    assert load_for_fine_tuning(REPO, features)[1].text_extractor == pushed[1].text_extractor
    options = ("--from-checkpoint", REPO, "--text-extractor", encoders["text"], "--max-steps", "1")
    files = ("--train-file", "texts.jsonl", "--validation-file", "texts.jsonl", "--output-dir", "tuned")
    assert joyful("train", *options, *files).status == 0
    saved = json.loads((tmp_path / "tuned" / "processor_config.json").read_text())
    assert saved["text_extractor"].startswith(encoders["text"])
