"""`FoalNetProcessor`: waveforms and frames in, one padded batch out, and every mistake named."""

import logging

import numpy as np
import pytest
import torch

from joyful_hf import DialogueError, FoalNetConfig, FoalNetProcessor
from joyful_hf.processing.waveforms import normalize_loudness, resample
from tests.support.helpers import DIMS, make_dialogue, make_dialogues


def tone(seconds: float, rate: int, frequency: float = 440.0) -> dict:
    times = np.arange(round(seconds * rate)) / rate
    return {"array": np.sin(2 * np.pi * frequency * times).astype(np.float32), "sampling_rate": rate}


def utterance(**keys) -> dict:
    return {"speaker": "A", **keys}


def dialogue_of(*utterances) -> dict:
    return {"dialogue_id": "d1", "utterances": list(utterances)}


FRAMES = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.fixture
def of_frames():
    return FoalNetProcessor(audio_dim=2, video_dim=2, label2id={"joy": 0, "sadness": 1})


@pytest.fixture
def of_waveforms():
    return FoalNetProcessor(video_dim=0, normalize_audio=False)


class TestBatch:
    def test_its_keys_shapes_and_masks(self, of_frames):
        batch = of_frames(
            dialogue_of(
                utterance(audio_frames=FRAMES, video_frames=FRAMES[:1], label="joy"),
                utterance(audio_frames=FRAMES[:2], video_frames=FRAMES[:2], label="sadness"),
            ),
            return_tensors="pt",
        )
        assert list(batch) == [
            "audio_frames",
            "audio_frame_mask",
            "video_frames",
            "video_frame_mask",
            "labels",
        ]
        assert of_frames.model_input_names == list(batch)
        assert batch["audio_frames"].shape == (2, 3, 2)
        assert batch["audio_frames"].dtype == torch.float32
        assert batch["audio_frame_mask"].tolist() == [[True, True, True], [True, True, False]]
        assert batch["audio_frames"][1].tolist() == [*FRAMES[:2], [0.0, 0.0]]
        assert batch["video_frame_mask"].tolist() == [[True, False], [True, True]]
        assert batch["labels"].tolist() == [0, 1]

    def test_waveforms(self, of_waveforms):
        batch = of_waveforms(dialogue_of(utterance(audio=tone(0.1, 16000)), utterance(audio=tone(0.05, 16000))))
        assert list(batch) == ["input_values", "attention_mask"]
        assert batch["input_values"].shape == batch["attention_mask"].shape == (2, 1600)
        assert batch["attention_mask"].sum(-1).tolist() == [1600, 800]
        np.testing.assert_array_equal(batch["input_values"][0], tone(0.1, 16000)["array"])

    def test_a_vector_counts_as_one_frame_and_frames_go_before_it(self, of_frames):
        batch = of_frames(
            dialogue_of(
                utterance(audio_features=[7, 8], visual_features=[1, 2]),
                utterance(audio_features=[7, 8], audio_frames=FRAMES),
            )
        )
        assert batch["audio_frames"][0].tolist() == [[7, 8], [0, 0], [0, 0]]
        assert batch["audio_frames"][1].tolist() == FRAMES
        assert batch["video_frame_mask"].tolist() == [[True], [False]]

    def test_what_is_absent_everywhere_still_has_a_shape(self, of_frames):
        batch = of_frames(dialogue_of(utterance(text="hm"), utterance(text="well")))
        assert batch["audio_frames"].shape == (2, 1, 2)
        assert not batch["audio_frame_mask"].any()

    def test_utterances_may_come_without_a_dialogue(self, of_frames):
        utterances = [{"audio_frames": FRAMES, "label": "joy"}, {"video_frames": FRAMES}]
        for given in (utterances, tuple(utterances)):
            assert of_frames(given)["labels"].tolist() == [0, -100]
        assert of_frames(utterances[0])["audio_frames"].shape == (1, 3, 2)

    def test_an_utterance_is_an_example(self, of_frames):
        encoded = of_frames.encode([dialogue_of(*[utterance(audio_frames=FRAMES, label="joy")] * 3)] * 2)
        assert [len(one) for one in encoded] == [1] * 6
        assert all(one.has_labels for one in encoded)
        assert of_frames.pack(encoded[4:])["labels"].tolist() == [0, 0]


class TestWaveforms:
    @pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
    def test_other_rates_are_resampled(self, of_waveforms, rate):
        batch = of_waveforms(dialogue_of(utterance(audio=tone(1.0, rate))))
        found = batch["input_values"][0]
        assert len(found) == 16000
        inner = slice(800, -800)  # the filter sees silence at both ends
        np.testing.assert_allclose(found[inner], tone(1.0, 16000)["array"][inner], atol=0.01)

    def test_what_is_above_the_band_is_filtered_out(self):
        high = tone(1.0, 48000, frequency=15000)["array"]
        assert np.abs(resample(high, 48000, 16000)[800:-800]).max() < 0.01

    def test_long_ones_are_cut_and_counted(self, caplog, monkeypatch):
        processor = FoalNetProcessor(video_dim=2, max_audio_seconds=0.5, max_video_frames=2)
        dialogue = dialogue_of(
            utterance(audio=tone(0.6, 8000), video_frames=FRAMES),
            utterance(audio=tone(0.5, 16000), video_frames=FRAMES[:2]),
            utterance(audio=tone(0.7, 16000)),
        )
        with caplog.at_level(logging.WARNING, "joyful_hf"):
            batch = processor(dialogue)
        assert batch["attention_mask"].sum(-1).tolist() == [8000, 8000, 8000]
        assert batch["video_frame_mask"].sum(-1).tolist() == [2, 2, 0]
        assert "2 of 3 utterances have audio of more than max_audio_seconds=0.5" in caplog.text
        assert "1 of 3 utterances have more than max_video_frames=2" in caplog.text

    def test_loudness_is_normalised_without_the_padding(self):
        processor = FoalNetProcessor(video_dim=0)
        loud = {"array": 2 * tone(0.1, 16000)["array"] + 0.5, "sampling_rate": 16000}
        batch = processor(dialogue_of(utterance(audio=loud), utterance(audio=tone(0.2, 16000))))
        for row, length in zip(batch["input_values"], (1600, 3200), strict=True):
            assert row[:length].mean() == pytest.approx(0, abs=1e-5)
            assert row[:length].std() == pytest.approx(1, rel=1e-3)
            assert not row[length:].any()
        assert not normalize_loudness(np.zeros(4, np.float32)).any()


class TestFromDialogues:
    def test_sizes_come_from_frames_and_text_only_if_asked_for(self):
        processor = FoalNetProcessor.from_dialogues(make_dialogues())
        assert (processor.audio_dim, processor.video_dim, processor.text_dim) == (DIMS["audio"], DIMS["visual"], 0)
        with_text = FoalNetProcessor.from_dialogues(make_dialogues(), text_dim=12)
        assert with_text.dims == {"text": 12, "audio": DIMS["audio"], "visual": DIMS["visual"]}
        streams = [key for key in with_text.model_input_names if key.endswith("_frames")]
        assert streams == ["audio_frames", "video_frames", "text_frames"], "the order of the model"

    def test_audio_alone_as_waveforms(self):
        dialogue = dialogue_of(*(utterance(audio=tone(0.1, 16000), label=label) for label in ("joy", "anger")))
        processor = FoalNetProcessor.from_dialogues([dialogue])
        assert processor.reads_waveforms
        assert processor.dims == {"audio": None}
        shared = processor.model_kwargs()
        assert "audio_dim" not in shared
        config = FoalNetConfig(audio_config={"hidden_size": 8, "num_attention_heads": 2}, **shared)
        assert (config.audio_dim, config.video_dim) == (8, 0)

    def test_with_nothing_to_read(self):
        with pytest.raises(DialogueError, match="no utterance has audio, audio_frames"):
            FoalNetProcessor.from_dialogues([dialogue_of(utterance(text="hm", text_features=[1.0]))])

    def test_every_parameter_survives_saving(self, tmp_path):
        processor = FoalNetProcessor(3, 4, 5, 8000, 2.5, False, 7, {"a": 0, "b": 1}, "single_label_classification")
        processor.save_pretrained(tmp_path)
        assert FoalNetProcessor.from_pretrained(tmp_path).to_dict() == processor.to_dict()

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"audio_dim": -1}, "audio_dim must be an int of at least 0"),
            ({"max_video_frames": 0}, "max_video_frames must be an int of at least 1"),
            ({"max_audio_seconds": 0}, "max_audio_seconds must be above 0"),
            ({"label2id": {"a": 1}}, "label2id must number"),
        ],
    )
    def test_parameters_out_of_range(self, parameters, message):
        with pytest.raises(ValueError, match=message):
            FoalNetProcessor(**parameters)


NAN = [[1.0, 2.0], [float("nan"), 4.0]]


class TestMistakes:
    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"audio_frames": [[1.0, 2.0, 3.0]]}, "'audio_frames' has frames of size 3, expected 2"),
            ({"audio_frames": [1.0, 2.0]}, r"must be a list of vectors.*shape \(2,\).*'audio_features'"),
            ({"audio_frames": []}, "'audio_frames' is empty"),
            ({"audio_frames": [[1.0], [1.0, 2.0]]}, "must be a list of vectors of one size"),
            ({"video_frames": NAN}, r"'video_frames'\[1\]\[0\] is nan"),
            ({"audio_features": [1.0]}, "'audio_features' has size 1, expected 2"),
            ({"audio": "a.wav"}, "there is 'audio' but neither 'audio_frames' nor 'audio_features'"),
            ({"video": b"..."}, "there is 'video' but neither 'video_frames' nor 'visual_features'"),
            ({"audio_frames": FRAMES, "label": "boredom"}, "unknown label 'boredom'"),
        ],
    )
    def test_in_frames(self, of_frames, keys, message):
        with pytest.raises(DialogueError, match=rf"dialogue 'd1', utterances\[1\]: .*{message}"):
            of_frames(dialogue_of(utterance(audio_frames=FRAMES), utterance(**keys)))

    @pytest.mark.parametrize(
        ("audio", "message"),
        [
            ([0.0, 0.1], "'audio' must be"),
            ({"array": [0.0, 0.1]}, "'audio' must be"),
            ({"array": [0.0, 0.1], "sampling_rate": 0}, "sampling rate of 'audio' must be an int above 0"),
            ({"array": [], "sampling_rate": 16000}, "is empty"),
            ({"array": [[0.0], [0.1]], "sampling_rate": 16000}, r"shape \(2, 1\).*mono"),
            ({"array": [0.0, float("inf")], "sampling_rate": 16000}, "sample 1 of 'audio' is inf"),
            ({"array": ["x"], "sampling_rate": 16000}, "must hold numbers"),
        ],
    )
    def test_in_waveforms(self, of_waveforms, audio, message):
        with pytest.raises(DialogueError, match=rf"dialogue 'd1', utterances\[0\]: .*{message}"):
            of_waveforms(dialogue_of(utterance(audio=audio)))

    def test_a_misspelt_dialogue_is_no_utterance(self, of_frames):
        with pytest.raises(DialogueError, match="'utterances' is missing"):
            of_frames([{"dialogue_id": "d1", "turns": []}])

    def test_only_whole_dialogues_are_encoded_for_training_and_prediction(self, of_frames):
        with pytest.raises(DialogueError, match="wrap them"):
            of_frames.encode(make_dialogue(2)["utterances"])
