"""Extractors: what each makes of text, sound and pictures, and how a wrong name is answered."""

import itertools
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from joyful_hf import DialogueError
from joyful_hf.processing import audio_extractors, feature_extraction, openface_extractor
from joyful_hf.processing.dialogues import EXTRACTOR_KEYS
from joyful_hf.processing.encoder_layers import split_layers
from joyful_hf.processing.encoders import split_revision
from joyful_hf.processing.extractors import check_extractor, load_extractor, pinned
from joyful_hf.processing.feature_cache import FeatureCache
from joyful_hf.processing.feature_extraction import add_features
from joyful_hf.processing.feature_origin import same_extractor
from joyful_hf.processing.media import MediaError
from joyful_hf.processing.media_pictures import get_pictures
from joyful_hf.processing.openface_extractor import COLUMNS
from joyful_hf.processing.openface_extractor import _read as original
from tests.support.media import (
    RATE,
    pictures_that_brighten,
    tone,
    wav_bytes,
    write_clip,
)


def sound(waveform: np.ndarray) -> dict:
    return {"audio": {"array": waveform, "sampling_rate": RATE}}


def extract(modality: str, name: str, *utterances: dict) -> np.ndarray:
    return np.stack(list(load_extractor(modality, name)(utterances)))


class TestHashing:
    def test_says_the_same_of_the_same_words_in_any_case(self):
        first, second, third = extract("text", "hashing", *({"text": t} for t in ("I'm fine!", "i'M FINE!", "No.")))
        assert (first.shape, first.dtype) == ((512,), np.float32)
        np.testing.assert_array_equal(first, second)
        assert first @ third < 0.2

    def test_hears_marks_and_order(self):
        texts = ("fine", "fine!", "fine?", "not fine", "fine not")
        vectors = extract("text", "hashing", *({"text": text} for text in texts))
        assert len(np.unique(vectors, axis=0)) == len(texts)

    def test_a_text_that_is_none_is_an_error_of_its_own(self):
        given = [{"text": "fine"}, {"text": 3}, {"text": "well"}]
        first, second, third = load_extractor("text", "hashing")(given)
        assert isinstance(second, DialogueError)
        np.testing.assert_array_equal(np.stack([first, third]), extract("text", "hashing", given[0], given[2]))


class TestTextEncoder:
    TEXTS = ("i am fine", "no", "a longer sentence, of more words than the others!", "no")

    def reference(self, folder, text):
        """The tokens of one text alone."""
        extractor = load_extractor("text", folder)
        ids = extractor._tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            return AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state[0]

    def test_is_the_mean_of_the_tokens_whatever_else_is_read(self, encoders):
        vectors = extract("text", encoders["text"] + "#-1", *({"text": text} for text in self.TEXTS))
        assert vectors.shape == (4, 16)
        for vector, text in zip(vectors, self.TEXTS, strict=True):
            expected = self.reference(encoders["text"], text).mean(0)
            np.testing.assert_allclose(vector, expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("settings", "pool"),
        [
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, lambda tokens: tokens[0]),
            ({"pooling_mode_max_tokens": True}, lambda tokens: tokens.amax(0)),
            ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda tokens: tokens.sum(0) / len(tokens) ** 0.5),
            ({"pooling_mode_lasttoken": True, "include_prompt": True}, lambda tokens: tokens[-1]),
            ({"pooling_mode": "cls"}, lambda tokens: tokens[0]),
            (
                {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
                lambda tokens: torch.cat([tokens[0], tokens.mean(0)]),
            ),
        ],
        ids=["cls", "max", "sqrt", "last", "named", "two"],
    )
    @pytest.mark.parametrize("normalize", [False, True], ids=["", "normalised"])
    def test_is_pooled_as_a_sentence_transformers_folder_says(self, encoders, tmp_path, settings, pool, normalize):
        folder = sentence_transformer(tmp_path, encoders["text"], settings, normalize)
        vectors = extract("text", folder + "#pooled", *({"text": text} for text in self.TEXTS))
        for vector, text in zip(vectors, self.TEXTS, strict=True):
            expected = pool(self.reference(folder, text))
            expected = torch.nn.functional.normalize(expected, dim=0) if normalize else expected
            np.testing.assert_allclose(vector, expected, atol=1e-5)

    def test_another_pooling_is_refused(self, encoders, tmp_path):
        folder = sentence_transformer(tmp_path, encoders["text"], {"pooling_mode_weightedmean_tokens": True})
        with pytest.raises(DialogueError, match="pools its tokens in another way than cls, max, mean"):
            load_extractor("text", folder)

    def test_long_texts_are_cut_where_the_encoder_ends(self, encoders, tmp_path):
        assert extract("text", encoders["text"] + "#-1", {"text": "long " * 100}).shape == (1, 16)
        folder = sentence_transformer(tmp_path, encoders["text"], {"pooling_mode_mean_tokens": True})
        (Path(folder) / "sentence_bert_config.json").write_text('{"max_seq_length": 3}')
        same = extract("text", folder, {"text": "abcdef"}, {"text": "abcxyz"})
        np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def sentence_transformer(folder: Path, encoder: str, pooling: dict, normalize: bool = False) -> str:
    shutil.copytree(encoder, folder, dirs_exist_ok=True)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(zip(kinds, paths, strict=False))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16} | pooling))
    return str(folder)


class TestLogMel:
    # Where its statistics lie: 40 means, 40 deviations, loudness (3), pitch (3), share with a pitch.
    LOUDNESS, PITCH, PITCHED = 80, 83, 86

    def test_has_87_finite_numbers_of_any_sound(self):
        noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
        click = np.zeros(RATE, np.float32)
        click[100] = 1
        vectors = extract("audio", "logmel", *map(sound, (noise, click, tone(0.001), tone(3), np.ones(9) / 2)))
        assert (vectors.shape, vectors.dtype) == ((5, 87), np.float32)
        assert np.isfinite(vectors).all()

    @pytest.mark.parametrize("frequency", [80, 110, 220, 440])
    def test_hears_the_pitch(self, frequency):
        voice = sum(tone(1, frequency * k, loudness=0.3 / k) for k in (1, 2, 3, 4))
        (vector,) = extract("audio", "logmel", sound(voice))
        assert vector[self.PITCH] == pytest.approx(12 * np.log2(frequency / 55), abs=0.5)
        assert vector[self.PITCH + 1] < 0.2
        assert vector[self.PITCHED] > 0.9

    def test_hears_no_pitch_in_noise(self):
        noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
        (vector,) = extract("audio", "logmel", sound(noise))
        assert vector[self.PITCHED] < 0.1

    def test_hears_how_loud_it_is(self):
        loud, soft = extract("audio", "logmel", sound(tone(1, loudness=0.8)), sound(tone(1, loudness=0.08)))
        assert loud[self.LOUDNESS] - soft[self.LOUDNESS] == pytest.approx(20, abs=0.1)

    def test_a_file_gives_what_its_array_gives(self):
        of_array, of_file = extract("audio", "logmel", sound(tone(1)), {"audio": wav_bytes(tone(1))})
        np.testing.assert_allclose(of_array, of_file, atol=0.1)

    def test_an_hour_is_measured_in_parts_to_the_same_numbers(self, monkeypatch):
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, RATE).astype(np.float32)
        whole = extract("audio", "logmel", sound(noise))
        monkeypatch.setattr(audio_extractors, "_FRAMES_AT_ONCE", 7)
        np.testing.assert_allclose(extract("audio", "logmel", sound(noise)), whole, rtol=1e-6)


class TestSpeechEncoder:
    def test_is_the_mean_over_time_whatever_else_is_read(self, encoders):
        sounds = [sound(tone(seconds, 100 + 400 * seconds)) for seconds in (1, 0.3, 0.5)]
        together = extract("audio", encoders["audio"] + "#-1", *sounds)
        assert together.shape == (3, 16)
        for vector, one in zip(together, sounds, strict=True):
            np.testing.assert_array_equal(extract("audio", encoders["audio"] + "#-1", one)[0], vector)
        waveform = torch.from_numpy(sounds[0]["audio"]["array"])[None]
        waveform = (waveform - waveform.mean()) / (waveform.var(correction=0) + 1e-7).sqrt()
        with torch.inference_mode():
            expected = AutoModel.from_pretrained(encoders["audio"]).eval()(waveform).last_hidden_state.mean(1)[0]
        np.testing.assert_allclose(together[0], expected, atol=1e-4)

    def test_a_long_sound_is_read_in_pieces_whose_means_are_averaged(self, encoders, monkeypatch):
        extractor = load_extractor("audio", encoders["audio"])
        loud, quiet = tone(0.7), tone(0.7, 440.0, loudness=0.1)
        whole = np.concatenate([loud, quiet])
        pieces = np.stack(list(extractor([sound(loud), sound(quiet)])))
        monkeypatch.setattr(audio_extractors, "_LONGEST_PIECE", 0.8)
        (vector,) = extractor([sound(whole)])
        np.testing.assert_allclose(vector, pieces.mean(0), atol=1e-6)
        longest = []
        model = extractor._model
        handle = model.register_forward_pre_hook(lambda _, args: longest.append(args[0].shape[-1]))
        list(extractor([sound(np.tile(whole, 5))]))
        handle.remove()
        assert (len(longest), max(longest)) == (9, -(-5 * len(whole) // 9))

    def test_a_sound_for_which_the_memory_is_not_enough_costs_no_other(self, encoders, monkeypatch):
        extractor = load_extractor("audio", encoders["audio"])
        frames_of = extractor._frames_of

        def frames_of_short(piece, frames):
            if len(piece) > RATE:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore")
            return frames_of(piece, frames)

        monkeypatch.setattr(extractor, "_frames_of", frames_of_short)
        first, second, third = extractor([sound(tone(0.5)), sound(tone(2.0)), sound(tone(0.5))])
        np.testing.assert_array_equal(first, third)
        assert str(second) == (
            "cannot be encoded (DefaultCPUAllocator: can't allocate memory); `start` and `end` cut out a part of it"
        )

    def test_a_sound_too_short_for_it_is_followed_by_silence(self, encoders):
        assert np.isfinite(extract("audio", encoders["audio"], sound(tone(0.0005)))).all()


@pytest.mark.parametrize("name", ["logmel", "encoder"])
def test_silence_is_no_sound(encoders, name):
    name = encoders["audio"] if name == "encoder" else name
    (result,) = load_extractor("audio", name)([{"audio": wav_bytes(np.zeros(RATE, np.float32))}])
    assert isinstance(result, MediaError)
    assert str(result) == "is silent"


class TestOpenSmile:
    def test_without_it_the_line_that_installs_it_is_given(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "opensmile", None)
        with pytest.raises(ImportError) as caught:
            load_extractor("audio", "opensmile:eGeMAPSv02")
        assert str(caught.value) == (
            "audio_extractor 'opensmile:eGeMAPSv02' needs opensmile, which is not installed: "
            'pip install "opensmile>=2.6"'
        )


class TestFrameStatistics:
    def test_where_it_is_bright_and_what_moves(self):
        still = np.zeros((4, 64, 80, 3), np.uint8)
        still[:, :8, 10:20] = 255  # the second cell of the first row
        moving = still.copy()
        moving[::2] = 0
        first, second = extract("visual", "frame-statistics", {"video": still}, {"video": moving})
        assert (first.shape, first.dtype) == ((198,), np.float32)
        assert np.flatnonzero(first[:64]).tolist() == [1]
        assert not first[64:192].any()
        assert second[1] == pytest.approx(0.5)
        assert np.flatnonzero(second[128:192]).tolist() == [1]

    def test_colours(self):
        red = np.zeros((2, 4, 4, 3), np.uint8)
        red[..., 0] = 255
        (vector,) = extract("visual", "frame-statistics", {"video": red})
        np.testing.assert_allclose(vector[192:], [1, 0, 0, 0, 0, 0], atol=1e-6)


class TestImageEncoder:
    def test_pooled_is_the_mean_over_pictures_of_what_clip_compares_texts_with(self, encoders):
        video = pictures_that_brighten(8, size=40)
        (vector,) = extract("visual", encoders["visual"] + "#pooled", {"video": video})
        assert vector.shape == (12,)
        extractor = load_extractor("visual", encoders["visual"])
        pixels = extractor._inputs(list(get_pictures({"video": video}, 8)), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            model = AutoModel.from_pretrained(encoders["visual"]).eval()
            expected = model.visual_projection(model.vision_model(pixels).pooler_output).mean(0)
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def states_of(modality: str, folder: str) -> list[np.ndarray]:
    """The hidden states of an example, each averaged over its tokens, its time, or its places and pictures."""
    return [state.mean((0, 1)).numpy() for state in load_extractor(modality, folder)._example_states()]


@pytest.mark.parametrize("modality", EXTRACTOR_KEYS)
@pytest.mark.parametrize(
    ("layers", "places"),
    [("-1", [-1]), ("0", [0]), ("-2:", [-2, -1]), ("-1,0", [-1, 0]), ("weighted", "all"), ("weighted:0:2", [0, 1])],
    ids=["last", "embeddings", "two", "in another order", "all to be weighed", "some to be weighed"],
)
def test_several_layers_of_an_encoder_lie_side_by_side(encoders, modality, layers, places):
    states = states_of(modality, encoders[modality])
    wanted = states if places == "all" else [states[place] for place in places]
    extractor = load_extractor(modality, f"{encoders[modality]}#{layers}")
    (vector,) = extractor([extractor.example])
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, np.concatenate(wanted), atol=1e-5)


@pytest.mark.parametrize("modality", EXTRACTOR_KEYS)
@pytest.mark.parametrize("layers", ["", "#mean"], ids=["default", "mean"])
def test_the_mean_of_the_layers_is_the_default_of_sound_and_pictures(encoders, modality, layers):
    states = states_of(modality, encoders[modality])
    extractor = load_extractor(modality, encoders[modality] + layers)
    (vector,) = extractor([extractor.example])
    expected = np.concatenate(states) if modality == "text" and not layers else np.mean(states, axis=0)
    np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_the_last_layer_is_read_behind_the_last_norm(encoders, tmp_path):
    folder = Path(shutil.copytree(encoders["audio"], tmp_path / "large"))
    config = json.loads((folder / "config.json").read_text()) | {"do_stable_layer_norm": True}
    (folder / "config.json").write_text(json.dumps(config))
    last, pooled = (load_extractor("audio", f"{folder}#{layers}") for layers in ("-1", "pooled"))
    np.testing.assert_allclose(*(next(each([each.example], frames=True)) for each in (last, pooled)), atol=1e-6)


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_frames_are_of_the_last_layer_unless_others_are_asked_for(encoders, modality):
    last, two = (load_extractor(modality, encoders[modality] + layers) for layers in ("", "#-2:"))
    ((frames,), (more,)) = (extractor([extractor.example], frames=True) for extractor in (last, two))
    assert more.shape == (len(frames), 2 * frames.shape[1])
    np.testing.assert_allclose(more[:, frames.shape[1] :], frames, atol=1e-6)


class TestOpenFace:
    @staticmethod
    def table(folder: Path, rows: int = 20, **columns) -> str:
        """Frames at 10 a second; gaze_angle_x is the time."""
        values = {"frame": np.arange(rows), "face_id": np.zeros(rows, int), "timestamp": np.arange(rows) / 10}
        values |= {"confidence": np.full(rows, 0.98), "success": np.ones(rows, int)}
        values |= {name: np.zeros(rows) for name in COLUMNS} | {"gaze_angle_x": np.arange(rows) / 10} | columns
        lines = [", ".join(values), *(", ".join(map(str, row)) for row in zip(*values.values(), strict=True))]
        path = folder / "clip.csv"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    COLUMN = COLUMNS.index("gaze_angle_x")

    def test_mean_and_deviation_of_each_column(self, tmp_path):
        (vector,) = extract("visual", "openface", {"video": self.table(tmp_path)})
        assert (vector.shape, vector.dtype) == ((98,), np.float32)
        assert vector[self.COLUMN] == pytest.approx(0.95)
        assert vector[49 + self.COLUMN] == pytest.approx(np.std(np.arange(20) / 10))
        assert np.count_nonzero(vector) == 2

    def test_a_cut(self, tmp_path):
        (vector,) = extract("visual", "openface", {"video": self.table(tmp_path), "start": 0.95, "end": 1.55})
        assert vector[self.COLUMN] == pytest.approx(1.25)

    def test_only_frames_with_a_face_count_and_only_those_of_one(self, tmp_path):
        success = np.arange(20) >= 10
        confidence = np.where(np.arange(20) < 15, 0.98, 0.2)
        face = np.where(np.arange(20) == 12, 1, 0)
        path = self.table(tmp_path, success=success.astype(int), confidence=confidence, face_id=face)
        (vector,) = extract("visual", "openface", {"video": path})
        assert vector[self.COLUMN] == pytest.approx((1.0 + 1.1 + 1.3 + 1.4) / 4)

    def test_of_several_faces_the_one_that_is_named_counts_or_else_the_one_seen_longest(self, tmp_path):
        face = np.where(np.arange(20) < 12, 3, 7)
        video = self.table(tmp_path, face_id=face)
        for own, seconds in (({}, 0.55), ({"face": 3}, 0.55), ({"face": 7}, 1.55)):
            (vector,) = extract("visual", "openface", {"video": video} | own)
            assert vector[self.COLUMN] == pytest.approx(seconds)
        (vector,) = extract("visual", "openface", {"video": video, "start": 1.0})
        assert vector[self.COLUMN] == pytest.approx(1.55)

    def test_of_faces_seen_as_long_the_one_counts_that_openface_is_surer_of(self, tmp_path):
        face = np.arange(20) % 2
        video = self.table(tmp_path, face_id=face, confidence=np.where(face == 1, 0.98, 0.8))
        (vector,) = extract("visual", "openface", {"video": video})
        assert vector[self.COLUMN] == pytest.approx(1.0)

    @pytest.mark.parametrize(
        ("face", "message"),
        [
            (5, "clip.csv: 'face' is 5, which is not seen in this time (faces seen: 0)"),
            ("Ana", "'face' must be a face_id of OpenFace, got 'Ana'"),
        ],
    )
    def test_a_face_that_is_not_there_is_refused(self, tmp_path, face, message):
        (result,) = load_extractor("visual", "openface")([{"video": self.table(tmp_path), "face": face}])
        assert message in str(result)

    def test_two_faces_of_one_recording_have_vectors_of_their_own_in_the_cache(self, tmp_path):
        cache, video = FeatureCache(tmp_path / "cache"), self.table(tmp_path)
        keys = {cache.key({"video": video} | own, "visual", "openface") for own in ({}, {"face": 0}, {"face": 1})}
        assert len(keys) == 3

    def test_a_table_of_many_utterances_is_read_once(self, tmp_path, monkeypatch):
        video = self.table(tmp_path)
        read = []
        monkeypatch.setattr(openface_extractor, "_read", lambda source: read.append(source) or original(source))
        utterances = [{"video": video, "start": start / 10, "end": start / 10 + 0.5} for start in range(10)]
        assert len(list(load_extractor("visual", "openface")(utterances))) == 10
        assert len(read) == 1

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda f: TestOpenFace.table(f, success=np.zeros(20, int)), "no face was found in any frame"),
            (lambda f: TestOpenFace.table(f, rows=0), "the file holds no frames"),
            (lambda f: TestOpenFace.table(f, AU06_r=["?"] * 20), "is no OpenFace CSV file"),
            (lambda f: str(f / "missing.csv"), "there is no such file"),
            (lambda f: write_text(f / "other.csv", "a,b\n1,2\n"), "no column 'timestamp'"),
            (lambda f: write_text(f / "empty.csv", ""), "is no OpenFace CSV file"),
            (lambda f: str(write_clip(f / "clip.mp4", 0.3)), "is no OpenFace CSV file"),
            (lambda f: pictures_that_brighten(2), "must be the path of an OpenFace CSV file"),
        ],
        ids=["no face", "no frames", "no number", "missing", "another table", "empty", "a video", "an array"],
    )
    def test_what_it_cannot_read(self, tmp_path, make, message):
        (result,) = load_extractor("visual", "openface")([{"video": make(tmp_path)}])
        assert isinstance(result, MediaError)
        assert message in str(result)

    def test_a_cut_past_its_end(self, tmp_path):
        (result,) = load_extractor("visual", "openface")([{"video": self.table(tmp_path), "start": 7}])
        assert "'start' (7 s) is past the end of the recording (1.90 s)" in str(result)

    def test_its_files_are_nothing_to_other_extractors(self, tmp_path):
        (result,) = load_extractor("visual", "frame-statistics")([{"video": self.table(tmp_path)}])
        assert "OpenFace's CSV files are for video_extractor='openface'" in str(result)


def write_text(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


class TestNames:
    @pytest.mark.parametrize(
        ("modality", "name", "message"),
        [
            ("audio", "logmell", "audio_extractor: unknown extractor 'logmell', did you mean logmel?"),
            ("text", "hash", "text_extractor: unknown extractor 'hash', did you mean hashing?"),
            ("visual", "OpenFace", "video_extractor: unknown extractor 'OpenFace', did you mean openface?"),
            ("visual", "frames-statistics", "did you mean frame-statistics?"),
            ("audio", "opensmile:egemaps", "did you mean opensmile:eGeMAPS"),
            ("audio", "opensmile:x", "did you mean opensmile:"),
            ("audio", "", "audio_extractor must be a name or None, got ''"),
            ("text", 3, "text_extractor must be a name or None, got 3"),
        ],
    )
    def test_an_unknown_one_is_answered_with_the_nearest(self, modality, name, message):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - held against the message
            check_extractor(modality, name)
        assert message in str(caught.value)

    @pytest.mark.parametrize("modality", EXTRACTOR_KEYS)
    @pytest.mark.parametrize("name", ["nobody/nothing", "bert-tiny", "nobody/nothing@main"])
    def test_one_that_may_be_on_the_hub_and_is_not(self, modality, name):
        check_extractor(modality, name)
        for call in (load_extractor, pinned):
            with pytest.raises(DialogueError) as caught:
                call(modality, name)
            assert f"{EXTRACTOR_KEYS[modality]}: {name!r} is none of" in str(caught.value)
            assert "and no encoder of this folder or Hub id can be loaded (" in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_an_encoder_of_another_modality(self, encoders):
        for modality, other in itertools.permutations(encoders, 2):
            with pytest.raises(DialogueError, match=r"_extractor: .* can be loaded"):
                load_extractor(modality, encoders[other])

    def test_a_folder_and_what_needs_no_download_have_no_revision(self, encoders):
        assert pinned("text", "hashing") == "hashing"
        assert pinned("text", encoders["text"] + "#-1") == encoders["text"] + "#-1"

    def test_the_layers_are_said_where_the_name_leaves_them_open(self, encoders):
        for modality, count, layers in (("text", 3, "-3:"), ("audio", 2, "mean:0:2"), ("visual", 2, "mean:-2:")):
            name = encoders[modality]
            assert pinned(modality, name) == f"{name}#{layers}"
            assert pinned(modality, f"{name}#weighted") == f"{name}#weighted:0:{count}"
            assert pinned(modality, f"{name}#1:") == f"{name}#1:{count}"
            assert pinned(modality, name, frames=True) == f"{name}#-1"

    def test_layers_of_what_has_none_and_that_are_none_are_refused(self, encoders):
        for name, message in (
            ("hashing#-1", "text_extractor: 'hashing' is no encoder and has no layers; leave out #-1"),
            ("user/model#last", "text_extractor: 'last' is no choice of layers; write a layer"),
        ):
            with pytest.raises(ValueError, match=message):
                check_extractor("text", name)
        for modality, name in encoders.items():
            with pytest.raises(DialogueError, match="there are no layers 9 in this encoder, which has layers 0"):
                load_extractor(modality, f"{name}#9")
            with pytest.raises(ValueError, match="is for models of one vector per utterance"):
                check_extractor(modality, f"{name}#weighted", frames=True)

    def test_a_hub_id_is_pinned_once(self, monkeypatch):
        asked = []

        def commit_of(name, revision):
            asked.append((name, revision))
            return "0" * 40

        monkeypatch.setattr("joyful_hf.processing.encoders.commit_of", commit_of)
        name = pinned("text", "user/model@main#-4:")
        assert name == f"user/model@{'0' * 40}#-4:"
        assert pinned("text", name) == name
        assert asked == [("user/model", "main")]
        assert split_revision(split_layers(name)[0]) == ("user/model", "0" * 40)

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("hashing", "hashing", True),
            ("user/model", "user/model@abc", True),
            ("user/model@abc", "user/model@def", False),
            ("user/model", "user/other", False),
            ("user/model", "user/model@abc#-4:", True),
            ("user/model#-4:", "user/model@abc#-4:", True),
            ("user/model#-1", "user/model@abc#-4:", False),
            ("user/model#weighted", "user/model@abc#weighted:0:7", True),
            ("user/model@def#-4:", "user/model@abc#-4:", False),
            ("my own#2 of them", "my own#3 of them", False),
        ],
    )
    def test_a_name_without_a_revision_or_layers_stands_for_any(self, one, other, same):
        assert same_extractor(one, other) is same_extractor(other, one) is same


class TestAddFeatures:
    EXTRACTORS = {"text": "hashing", "audio": "logmel", "visual": "frame-statistics"}

    def test_features_go_before_raw_media_and_nothing_is_invented(self):
        given = [1.0, 2.0]
        utterances = [
            {"speaker": "A", "text": "hm", "text_features": given, "audio_features": given, "audio": "no such file"},
            {"speaker": "A", "text": " "},
        ]
        ((_, filled),), failures = add_features([("d", utterances)], self.EXTRACTORS)
        assert filled == utterances
        assert not failures

    def test_only_what_is_needed_is_loaded(self, monkeypatch):
        loaded = []
        load = feature_extraction.load_extractor
        monkeypatch.setattr(feature_extraction, "load_extractor", lambda *args: loaded.append(args[0]) or load(*args))
        add_features([("d", [{"speaker": "A", "text": "hm"}])], self.EXTRACTORS)
        assert loaded == ["text"]

    def test_the_records_are_left_as_they_were(self):
        utterance = {"speaker": "A", "text": "hm"}
        add_features([("d", [utterance])], self.EXTRACTORS)
        assert utterance == {"speaker": "A", "text": "hm"}

    def test_a_failure_names_place_modality_file_and_reason(self):
        utterances = [{"speaker": "A", "video": "a.mp4"}, {"speaker": "A", "text": "hm"}]
        ((_, filled),), failures = add_features([("dialogue 'd1'", utterances)], self.EXTRACTORS)
        assert [(one.place, one.modality, one.medium) for one in failures] == [
            ("dialogue 'd1', utterances[0]", "audio", "a.mp4"),
            ("dialogue 'd1', utterances[0]", "visual", "a.mp4"),
        ]
        assert str(failures[0]) == "dialogue 'd1', utterances[0]: audio: a.mp4: there is no such file"
        assert filled[0] == utterances[0]
        assert filled[1].keys() == {"speaker", "text", "text_features"}
