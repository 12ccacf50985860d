"""Features of several layers of an encoder: from raw media into a file, a model, and back to raw media."""

import json

import numpy as np
import pytest

from joyful_hf import (
    DialogueError,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    extract_features,
    load_dialogues,
)
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.processing.dialogues import EXTRACTOR_KEYS, FEATURE_KEYS
from tests.support.media import RATE, pictures_that_brighten, tone
from tests.support.training import SMALL_SETTINGS

TEXTS = ("so good!", "so bad", "well", "no, never")


def make_raw() -> list[dict]:
    """Dialogues of two utterances with text, sound and pictures."""
    utterances = [
        {
            "speaker": "AB"[index % 2],
            "text": text,
            "audio": {"array": tone(0.2, 100.0 * (index + 1)), "sampling_rate": RATE},
            "video": pictures_that_brighten(2 + index),
            "label": ("joy", "sadness")[index % 2],
        }
        for index, text in enumerate(TEXTS)
    ]
    return [{"dialogue_id": f"d{first}", "utterances": utterances[first : first + 2]} for first in (0, 2)]


@pytest.fixture(scope="module")
def weighted(encoders, tmp_path_factory):
    """Dialogues with features of all layers of three encoders, and the extractors that made them."""
    processor = JoyfulProcessor(**{key: f"{encoders[name]}#weighted" for name, key in EXTRACTOR_KEYS.items()})
    cache = tmp_path_factory.mktemp("cache")
    return extract_features(make_raw(), processor, cache_dir=cache, verbose=False), processor.extractors


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_model_mixes_the_layers_that_a_file_holds_and_reads_raw_media_the_same_way(weighted, suffix, tmp_path):
    dialogues, extractors = weighted
    file = tmp_path / f"features{suffix}"
    dialogues.to_parquet(file) if suffix == ".parquet" else write_dialogues(dialogues, file)
    loaded = load_dialogues(file)
    processor = JoyfulProcessor.from_dialogues(loaded)
    assert processor.extractors == extractors
    assert processor.dims == {"text": 3 * 16, "audio": 2 * 16, "visual": 2 * 16}
    shared = processor.model_kwargs()
    assert shared["feature_layers"] == {"text": 3, "audio": 2, "visual": 2}
    model = JoyfulForEmotionRecognition(JoyfulConfig(**(SMALL_SETTINGS | shared))).eval()
    assert model.config.modality_dims == dict.fromkeys(("text", "audio", "visual"), 16)

    for part in (model, processor):
        part.save_pretrained(tmp_path / "saved")
    model = JoyfulForEmotionRecognition.from_pretrained(tmp_path / "saved")
    processor = JoyfulProcessor.from_pretrained(tmp_path / "saved")
    expected, found = model.predict(loaded, processor), model.predict(make_raw(), processor)
    for known, raw in zip(expected, found, strict=True):
        for utterance, other in zip(known["utterances"], raw["utterances"], strict=True):
            np.testing.assert_allclose(list(utterance["scores"].values()), list(other["scores"].values()), atol=1e-5)


def test_a_name_that_leaves_the_layers_open_takes_those_of_the_features(weighted, encoders):
    dialogues, extractors = weighted
    assert JoyfulProcessor.from_dialogues(dialogues, text_extractor=encoders["text"]).extractors == extractors
    with pytest.raises(DialogueError, match="it is not known how many layers lie in text_features; say it, as in"):
        JoyfulProcessor(text_dim=48, text_extractor=f"{encoders['text']}#weighted").model_kwargs()


@pytest.mark.parametrize("layers", ["-1", "mean", "weighted:0:1"])
def test_features_of_other_layers_are_refused(weighted, encoders, layers):
    dialogues, _ = weighted
    for modality, key in EXTRACTOR_KEYS.items():
        asked = {key: f"{encoders[modality]}#{layers}"}
        message = f"its {FEATURE_KEYS[modality]} were extracted by .*#weighted:0:"
        with pytest.raises(DialogueError, match=message):
            JoyfulProcessor.from_dialogues(dialogues, **asked)
        with pytest.raises(DialogueError, match=message):
            extract_features(dialogues, JoyfulProcessor(**asked), verbose=False)


class TestCommands:
    SMALL = ("--config-json", json.dumps(SMALL_SETTINGS), "--num-train-epochs", "1", "--device", "cpu")

    @pytest.fixture
    def texts(self, tmp_path, monkeypatch):
        monkeypatch.setattr("joyful_hf.data.extraction.default_cache_dir", lambda: tmp_path / "cache")
        rows = make_raw()
        for row in rows:
            row["utterances"] = [{key: one[key] for key in ("speaker", "text", "label")} for one in row["utterances"]]
        write_dialogues(rows, tmp_path / "texts.jsonl")
        return tmp_path / "texts.jsonl"

    def test_layers_of_extract_and_train(self, joyful, fails, texts, encoders):
        encoder = ("--text-extractor", encoders["text"])
        result = joyful("extract", "--data-file", texts, "--output-file", "x.parquet", *encoder, "--layers", "-2:")
        assert (result.status, result.err) == (0, "")
        (first, _) = load_dialogues("x.parquet")
        assert first["extractors"]["text"] == f"{encoders['text']}#-2:"
        assert len(first["utterances"][0]["text_features"]) == 32
        trained = ("--train-file", texts, "--validation-file", texts, "--output-dir", "out", *self.SMALL)
        result = joyful("train", *trained, *encoder, "--layers", "weighted")
        assert result.status == 0, result.err
        assert "features: text 3 * 16 (in 4)" in result.out
        with open("out/config.json") as file:
            assert json.load(file)["feature_layers"] == {"text": 3}
        assert joyful("predict", "out", "--data-file", texts, "--output-file", "found.jsonl").status == 0
        message = fails("predict", "out", "--data-file", "x.parquet", "--output-file", "other.jsonl")
        assert "its text_features were extracted by" in message
        assert "#-2:'" in message
        assert "#weighted:0:3'" in message

    @pytest.mark.parametrize(
        ("extractor", "layers", "message"),
        [
            ("hashing", "-1", "--layers: there is no encoder to take them of; give --text-extractor"),
            ("encoder", "last", "--layers: 'last' is no choice of layers; write a layer (6 or -1)"),
            ("encoder", "9", "there are no layers 9 in this encoder, which has layers 0, its embeddings, to 2"),
        ],
        ids=["no encoder", "no layers", "not in this encoder"],
    )
    def test_mistakes(self, fails, texts, encoders, extractor, layers, message):
        name = encoders["text"] if extractor == "encoder" else extractor
        options = ("--text-extractor", name, "--layers", layers)
        assert message in fails("extract", "--data-file", texts, "--output-file", "x.jsonl", *options)
