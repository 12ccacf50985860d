"""From raw media to emotions: the processor, the data set, the cache, the report, and the command line."""

import json
import logging
import shutil
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Audio, Dataset, Features, LargeList, List, Value, Video
from transformers import pipeline

from joyful_hf import (
    DialogueError,
    FoalNetProcessor,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    extract_features,
    load_dialogues,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.data.extraction import extract_for
from joyful_hf.data.extraction_jobs import _read
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.processing.extractors import load_extractor
from tests.support.media import (
    pictures_that_brighten,
    tone,
    wav_bytes,
    write_clip,
    write_recording,
)
from tests.support.training import SMALL_SETTINGS

EXTRACTORS = {"text_extractor": "hashing", "audio_extractor": "logmel", "video_extractor": "frame-statistics"}
SIZES = {"text": 512, "audio": 87, "visual": 198}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A good clip, one without a sound track, and one that is none."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "good.mp4")
    write_recording(folder / "mute.mp4", pictures=pictures_that_brighten(5))
    (folder / "bad.mp4").write_text("no video")
    (folder / "loud.wav").write_bytes(wav_bytes(tone(0.5)))
    (folder / "silent.wav").write_bytes(wav_bytes(np.zeros(8000, np.float32)))
    return folder


def make_raw(folder: Path, count: int = 6) -> list[dict]:
    """Dialogues of two utterances each, of text and video, good ones."""
    video = str(folder / "good.mp4")
    return [
        {
            "dialogue_id": f"d{index}",
            "utterances": [
                {"speaker": "A", "text": "so good!", "video": video, "start": 0.0, "end": 0.5, "label": "joy"},
                {"speaker": "B", "text": "so bad", "video": video, "start": 0.1 * index, "label": "sadness"},
            ],
        }
        for index in range(count)
    ]


@pytest.fixture
def raw(clips):
    return make_raw(clips)


@pytest.fixture
def failing(clips):
    """A dialogue in which every second medium fails, each in its own way."""
    utterances = [
        {"speaker": "A", "text": "fine", "video": str(clips / "good.mp4")},
        {"speaker": "A", "text": "mute", "video": str(clips / "mute.mp4")},
        {"speaker": "A", "text": "bad", "video": str(clips / "bad.mp4")},
        {"speaker": "A", "text": "silent", "audio": str(clips / "silent.wav")},
        {"speaker": "A", "text": "late", "audio": str(clips / "loud.wav"), "start": 7.0},
        {"speaker": "A", "text": "gone", "audio": str(clips / "gone.wav")},
        {"speaker": "A"},
    ]
    return {"dialogue_id": "d1", "utterances": utterances}


FAILURES = {
    "dialogue 'd1', utterances[1]: audio: {}/mute.mp4: there is no sound track",
    "dialogue 'd1', utterances[2]: audio: {}/bad.mp4: cannot be decoded (Invalid data found when processing input)",
    "dialogue 'd1', utterances[2]: visual: {}/bad.mp4: cannot be decoded (Invalid data found when processing input)",
    "dialogue 'd1', utterances[3]: audio: {}/silent.wav: is silent",
    "dialogue 'd1', utterances[4]: audio: {}/loud.wav: 'start' (7 s) is past the end of the recording (0.50 s)",
    "dialogue 'd1', utterances[5]: audio: {}/gone.wav: there is no such file",
}
MASK = [[1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]


@pytest.fixture
def extract(tmp_path):
    """`extract_features` with a cache of its own."""
    return lambda *args, **kwargs: extract_features(*args, **({"cache_dir": tmp_path / "cache"} | kwargs))


@pytest.fixture
def no_decoding(monkeypatch):
    """Nothing can be extracted any more."""

    def refuse(*args, **kwargs):
        raise AssertionError("extracted once more")

    return lambda: monkeypatch.setattr("joyful_hf.processing.feature_extraction.load_extractor", refuse)


class _InTurn:
    """Stands for the pool of processes: it does the work itself, when it gets it."""

    def __init__(self, num_proc, initializer, initargs):
        initializer(*initargs)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, work, *arguments):
        future = Future()
        future.set_result(work(*arguments))
        return future


def _record_of(sizes, read):
    def recorded(places):
        sizes.append(len(places))
        return read(places)

    return recorded


class TestProcessor:
    def test_is_made_to_measure_from_raw_media(self, raw):
        processor = JoyfulProcessor.from_dialogues(raw, **EXTRACTORS)
        assert processor.dims == SIZES
        batch = processor(raw)
        assert batch["modality_mask"].all()
        for modality in SIZES:
            assert np.abs(batch[f"{modality}_features"].mean(0)).max() < 1e-3, "standardised"

    def test_reads_each_utterance_as_its_extractor_does(self, raw):
        processor = JoyfulProcessor(**{f"{modality}_dim": size for modality, size in SIZES.items()}, **EXTRACTORS)
        utterance = raw[3]["utterances"][1]
        batch = processor(raw[3], return_labels=False)
        for modality, name in processor.extractors.items():
            (expected,) = load_extractor(modality, name)([utterance])
            np.testing.assert_array_equal(batch[f"{modality}_features"][1], expected)

    def test_takes_bytes_and_arrays(self, clips):
        sound, video = tone(0.5), pictures_that_brighten(5)
        utterances = [
            {"speaker": "A", "audio": wav_bytes(sound), "video": (clips / "good.mp4").read_bytes()},
            {"speaker": "A", "audio": {"array": sound, "sampling_rate": 16000}, "video": video},
        ]
        processor = JoyfulProcessor(audio_dim=87, visual_dim=198, **EXTRACTORS)
        assert processor({"utterances": utterances})["modality_mask"].tolist() == [[False, True, True]] * 2

    def test_features_win_over_raw_media(self, no_decoding):
        no_decoding()
        processor = JoyfulProcessor(audio_dim=2, audio_extractor="logmel")
        dialogue = {"utterances": [{"speaker": "A", "audio_features": [1.0, 2.0], "audio": "no such file"}]}
        assert processor(dialogue)["audio_features"].tolist() == [[1, 2]]

    def test_a_modality_of_size_0_is_not_read(self, raw, monkeypatch):
        processor = JoyfulProcessor.from_dialogues(raw, **EXTRACTORS, visual_dim=0)
        assert processor.extractors == {"text": "hashing", "audio": "logmel"}
        assert processor.video_extractor is None

    def test_what_cannot_be_read_is_masked_and_named(self, failing, clips, caplog):
        processor = JoyfulProcessor(**{f"{modality}_dim": size for modality, size in SIZES.items()}, **EXTRACTORS)
        with caplog.at_level(logging.WARNING, "joyful_hf"):
            batch = processor(failing)
        assert batch["modality_mask"].tolist() == [[bool(one) for one in row] for row in MASK]
        (record,) = caplog.records
        message = record.getMessage()
        assert message.startswith("6 media cannot be read and are masked: ")
        assert {one.format(clips) for one in FAILURES} == set(message.partition("masked: ")[2].split("; "))

    def test_what_cannot_be_read_is_tried_once_when_a_processor_is_made(self, failing, raw, caplog):
        with caplog.at_level(logging.WARNING, "joyful_hf"):
            processor = JoyfulProcessor.from_dialogues([*raw, failing], **EXTRACTORS)
        assert len(caplog.records) == 1
        assert processor.dims == SIZES

    def test_a_dialogue_of_nothing_but_failures_is_masked_too(self, clips, caplog):
        processor = JoyfulProcessor(audio_dim=87, audio_extractor="logmel")
        batch = processor({"utterances": [{"speaker": "A", "audio": "gone.wav"}]})
        assert not batch["modality_mask"].any()

    def test_an_extractor_that_gives_another_size_is_refused(self):
        processor = JoyfulProcessor(text_dim=3, text_extractor="hashing")
        with pytest.raises(DialogueError, match="'text_features' has size 512, expected 3"):
            processor({"utterances": [{"speaker": "A", "text": "hm"}]})

    def test_an_unknown_extractor_is_refused_at_once(self):
        with pytest.raises(ValueError, match="unknown extractor 'hashin', did you mean hashing"):
            JoyfulProcessor(text_extractor="hashin")

    def test_it_saves_the_commit_of_a_hub_id(self, encoders, monkeypatch, tmp_path):
        commit, repository = "c" * 40, tmp_path / "hub" / "models--user--tiny"
        shutil.copytree(encoders["text"], repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        dialogue = {"utterances": [{"speaker": "A", "text": "hm", "label": "joy"}]}
        JoyfulProcessor.from_dialogues([dialogue], text_extractor="user/tiny").save_pretrained(tmp_path)
        (repository / "refs" / "main").write_text("d" * 40)
        loaded = JoyfulProcessor.from_pretrained(tmp_path)
        assert loaded.text_extractor == f"user/tiny@{commit}#-3:"
        assert loaded(dialogue)["modality_mask"].tolist() == [[True, False, False]]
        loaded.text_extractor = f"user/tiny@{'d' * 40}#-3:"
        with pytest.raises(DialogueError, match=f"user/tiny@{'d' * 40}' is none of hashing, and no encoder"):
            loaded(dialogue)

    def test_encoders_of_every_modality(self, raw, encoders):
        extractors = {key: encoders[modality] for modality, key in zip(SIZES, EXTRACTORS, strict=True)}
        processor = JoyfulProcessor.from_dialogues(raw, **extractors)
        assert processor.dims == {"text": 3 * 16, "audio": 16, "visual": 16}
        assert processor(raw)["modality_mask"].all()


class TestPrediction:
    @pytest.fixture
    def made(self, raw):
        processor = JoyfulProcessor.from_dialogues(raw, **EXTRACTORS)
        config = JoyfulConfig(**(SMALL_SETTINGS | processor.model_kwargs()))
        return JoyfulForEmotionRecognition(config).eval(), processor

    def test_of_the_model_the_pipeline_and_a_loaded_one(self, made, raw, tmp_path):
        model, processor = made
        expected = model.predict(raw, processor)
        assert [len(one["utterances"]) for one in expected] == [2] * 6
        for part in made:
            part.save_pretrained(tmp_path)
        recognizer = pipeline("emotion-recognition", model=str(tmp_path))
        for one, other in zip(recognizer(raw), expected, strict=True):
            assert [u["label"] for u in one["utterances"]] == [u["label"] for u in other["utterances"]]

    def test_of_a_folder_of_recordings(self, made, clips):
        model, processor = made
        found = pipeline("emotion-recognition", model=model, processor=processor)(clips)
        assert [len(one["utterances"]) for one in found] == [5]


class TestDataSet:
    @pytest.mark.parametrize("form", [list, Dataset.from_list], ids=["list", "data set"])
    @pytest.mark.parametrize("num_proc", [1, 2])
    def test_gets_the_features_that_the_processor_would_extract(self, raw, extract, form, num_proc, capsys):
        processor = JoyfulProcessor(**EXTRACTORS)
        extracted = extract(form(raw), processor, num_proc=num_proc)
        assert "features: text in 12, audio in 12, visual in 12 of 12 utterances\n" in capsys.readouterr().out
        fitted = JoyfulProcessor.from_dialogues(extracted)
        assert fitted.extractors == processor.extractors
        direct = JoyfulProcessor.from_dialogues(raw, **EXTRACTORS)
        assert fitted.to_dict() == direct.to_dict()
        for key, value in fitted(extracted).items():
            np.testing.assert_array_equal(value, direct(raw)[key], err_msg=key)

    def test_of_several_processes_after_the_encoder_has_run_in_this_one(self, raw, extract, encoders, tmp_path):
        processor = JoyfulProcessor(text_extractor=encoders["text"], video_extractor=encoders["visual"])
        alone = extract(raw, processor)
        together = extract(raw, processor, num_proc=2, cache_dir=tmp_path / "another cache")
        for one, other in zip(alone, together, strict=True):
            for utterance, same in zip(one["utterances"], other["utterances"], strict=True):
                np.testing.assert_allclose(utterance["text_features"], same["text_features"], atol=1e-5)
                np.testing.assert_array_equal(utterance["visual_features"], same["visual_features"])

    def test_keeps_everything_but_the_media(self, raw, extract):
        extracted = extract(raw, JoyfulProcessor(**EXTRACTORS))
        for one, other in zip(extracted, raw, strict=True):
            assert one["dialogue_id"] == other["dialogue_id"]
            for utterance, given in zip(one["utterances"], other["utterances"], strict=True):
                kept = given.keys() - {"video", "end"}
                assert {key: utterance[key] for key in kept} == {key: given[key] for key in kept}
                assert "video" not in utterance

    def test_of_text_alone_leaves_media_alone(self, raw, extract):
        extracted = extract(raw, JoyfulProcessor(text_extractor="hashing"))
        assert extracted[0]["utterances"][0]["video"] == raw[0]["utterances"][0]["video"]
        assert extracted[0]["extractors"] == {"text": "hashing", "audio": None, "visual": None}

    def test_without_anything_to_extract_stays_as_it_is(self, raw, extract, no_decoding, capsys):
        no_decoding()
        dataset = Dataset.from_list(raw)
        assert extract(dataset, JoyfulProcessor()).features == dataset.features
        vector = [1.0] * SIZES["text"]
        extracted = Dataset.from_list([{"utterances": [{"speaker": "A", "text": "hm", "text_features": vector}]}])
        assert extract(extracted, JoyfulProcessor(text_extractor="hashing")).features == extracted.features
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("num_proc", [1, 3])
    def test_the_bar_counts_utterances(self, extract, clips, monkeypatch, num_proc):
        counted = []

        class Bar:
            def __init__(self, total, **settings):
                counted.append((total, settings["unit"]))

            def update(self):
                counted.append(1)

            def close(self):
                counted.append("end")

        monkeypatch.setattr("joyful_hf.data.extraction_jobs.tqdm", Bar)
        (dialogue,) = make_raw(clips, count=1)
        dialogue["utterances"] *= 3
        extract([dialogue], JoyfulProcessor(audio_extractor="logmel"), num_proc=num_proc, verbose=False)
        assert counted == [(6, "utterance"), *[1] * 6, "end"]

    def test_several_processes_share_the_utterances_of_one_dialogue(self, extract, clips, monkeypatch):
        at_once = []
        monkeypatch.setattr("joyful_hf.data.extraction_jobs._read", _record_of(at_once, _read))
        monkeypatch.setattr("joyful_hf.data.extraction_jobs.ProcessPoolExecutor", _InTurn)
        (dialogue,) = make_raw(clips, count=1)
        dialogue["utterances"] *= 8
        alone = extract([dialogue], JoyfulProcessor(**EXTRACTORS), verbose=False)
        shared = extract([dialogue], JoyfulProcessor(**EXTRACTORS), num_proc=2, verbose=False)
        assert at_once == [2] * 8
        assert shared.to_list() == alone.to_list()

    def test_a_selection_of_rows_is_extracted_and_no_other(self, raw, extract):
        dataset = Dataset.from_list(raw)
        some = extract(dataset.select([4, 1]), JoyfulProcessor(audio_extractor="logmel"), verbose=False)
        assert some["dialogue_id"] == ["d4", "d1"]
        whole = extract(dataset, JoyfulProcessor(audio_extractor="logmel"), verbose=False)
        assert some[0]["utterances"] == whole[4]["utterances"]

    def test_an_extractor_with_nothing_to_read_is_noticed(self, extract, caplog):
        texts = [{"utterances": [{"speaker": "A", "text": "hm"}]}]
        processor = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
        assert len(extract(texts, processor, name="training")[0]["utterances"][0]["text_features"]) == SIZES["text"]
        (message,) = [record.getMessage() for record in caplog.records]
        expected = "`audio_extractor`: 'logmel' has nothing to read, as no utterance of the training dialogues has"
        assert message == f"{expected} 'audio' or 'video'"
        with pytest.raises(DialogueError, match="no utterance of the dialogues has 'audio' or 'video'"):
            extract(texts, processor, strict=True)

    def test_an_extractor_whose_features_are_there_is_noticed(self, extract, caplog):
        utterance = {"speaker": "A", "text": "hm", "text_features": [1.0] * SIZES["text"]}
        extract([{"utterances": [utterance]}], JoyfulProcessor(text_extractor="hashing"))
        (message,) = [record.getMessage() for record in caplog.records]
        assert message.endswith(
            "'hashing' reads nothing, as every utterance of the dialogues has text_features already"
        )

    def test_an_extractor_that_did_not_make_the_features_is_refused(self, extract):
        utterance = {"speaker": "A", "text": "hm", "text_features": [1.0, 2.0]}
        with pytest.raises(DialogueError, match=r"has text_features of size 2 already, and .* 512 numbers"):
            extract([{"utterances": [utterance]}], JoyfulProcessor(text_extractor="hashing"))

    def test_features_that_it_made_itself_are_no_news(self, raw, extract, caplog):
        processor = JoyfulProcessor(**EXTRACTORS)
        once = extract(raw, processor, verbose=False)
        assert extract(once, processor).features == once.features
        assert not caplog.records

    def test_foal_net_gets_sequences_of_frames(self, raw, extract):
        processor = FoalNetProcessor(audio_extractor="logmel", video_extractor="frame-statistics")
        extracted = extract(raw, processor, verbose=False)
        (first, second) = extracted[1]["utterances"]
        assert [len(first[key]) for key in ("audio_frames", "video_frames")] == [12, 16]
        assert {len(frame) for frame in second["audio_frames"]} == {40}
        assert {len(frame) for frame in second["video_frames"]} == {136}
        made = FoalNetProcessor.from_dialogues(extracted)
        assert (made.audio_dim, made.video_dim) == (40, 136)
        assert made.extractors == {"audio": "logmel", "visual": "frame-statistics"}
        from_clips, from_frames = made(raw), made(extracted)
        np.testing.assert_array_equal(from_clips["audio_frames"], from_frames["audio_frames"])
        np.testing.assert_array_equal(from_clips["video_frames"], from_frames["video_frames"])

    def test_report_names_every_failure(self, failing, extract, clips, capsys):
        extracted = extract([failing], JoyfulProcessor(**EXTRACTORS))
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [
            "features: text in 6, audio in 1, visual in 2 of 7 utterances",
            "6 media could not be read and are masked:",
        ]
        row = f"  dialogue 'd1', utterances[1]  audio   {clips}/mute.mp4    there is no sound track"
        assert row in lines
        assert len(lines) == 8
        masks = [[u[f"{m}_features"] is not None for m in SIZES] for u in extracted[0]["utterances"]]
        assert masks == [[bool(one) for one in row] for row in MASK]

    def test_failures_are_not_tried_again(self, failing, extract, no_decoding, caplog):
        extracted = extract([failing], JoyfulProcessor(**EXTRACTORS))
        no_decoding()
        processor = JoyfulProcessor.from_dialogues(extracted)
        assert processor(extracted)["modality_mask"].tolist() == [[bool(one) for one in row] for row in MASK]
        assert not caplog.records

    def test_strict_makes_a_failure_an_error(self, failing, extract):
        with pytest.raises(DialogueError) as caught:
            extract([failing], JoyfulProcessor(**EXTRACTORS), strict=True)
        message = str(caught.value)
        assert message.startswith("dialogue 'd1', utterances[2]: audio: "), "a video without sound was read"
        assert message.endswith("(4 media cannot be read in all)")

    def test_what_was_extracted_once_is_found_again(self, raw, extract, no_decoding):
        processor = JoyfulProcessor(audio_extractor="logmel", video_extractor="frame-statistics")
        first = extract(raw, processor)
        no_decoding()
        assert extract(raw, processor).to_list() == first.to_list()
        assert extract(raw[3:], processor).to_list() == first.to_list()[3:]

    def test_but_not_of_another_cut_extractor_or_file(self, clips, tmp_path, extract, encoders):
        path = tmp_path / "clip.wav"
        path.write_bytes(wav_bytes(tone(0.5)))

        def features(extractor="logmel", **keys):
            dialogue = {"utterances": [{"speaker": "A", "audio": str(path)} | keys]}
            processor = JoyfulProcessor(audio_extractor=extractor)
            return extract([dialogue], processor)[0]["utterances"][0]["audio_features"]

        first = features()
        assert features(end=0.25) != first
        assert len(features(encoders["audio"])) != len(first)
        path.write_bytes(wav_bytes(tone(0.6, 300)))
        assert features() != first

    def test_a_vector_that_was_half_written_is_extracted_again(self, raw, extract, tmp_path):
        processor = JoyfulProcessor(audio_extractor="logmel")
        first = extract(raw[:1], processor).to_list()
        for file in (tmp_path / "cache").rglob("*.npy"):
            file.write_bytes(file.read_bytes()[:50])
        assert extract(raw[:1], processor).to_list() == first

    def test_a_change_of_the_extractor_is_refused(self, raw, extract):
        extracted = extract(raw, JoyfulProcessor(text_extractor="hashing"))
        other = JoyfulProcessor(text_dim=512, text_extractor="user/model")
        message = "dialogue 'd0': its text_features were extracted by 'hashing', and those of this processor by 'user"
        for use in (other, other.fit, lambda data: extract(data, other)):
            with pytest.raises(DialogueError) as caught:
                use(extracted)
            assert str(caught.value).startswith(message)
        with pytest.raises(DialogueError, match="those of this processor by 'user/model'"):
            JoyfulProcessor.from_dialogues(extracted, text_extractor="user/model")
        mixed = [extracted[0], extracted[1] | {"extractors": {"text": "user/model"}}]
        with pytest.raises(DialogueError, match=r"dialogue 'd1': .* those of other dialogues by 'hashing'"):
            JoyfulProcessor.from_dialogues(mixed)

    def test_of_arrays(self, extract):
        utterance = {"speaker": "A", "audio": {"array": tone(0.3), "sampling_rate": 16000}}
        utterance["video"] = pictures_that_brighten(3, size=8)
        dialogue = {"utterances": [utterance]}
        extracted = extract([dialogue], JoyfulProcessor(**EXTRACTORS))
        processor = JoyfulProcessor(audio_dim=87, visual_dim=198, **EXTRACTORS)
        np.testing.assert_array_equal(processor(extracted)["visual_features"], processor(dialogue)["visual_features"])

    def test_of_media_of_every_kind_at_once(self, extract, clips):
        path = clips / "loud.wav"
        array = {"array": tone(0.5), "sampling_rate": 16000}
        utterances = [{"speaker": "A", "audio": audio} for audio in (str(path), path, path.read_bytes(), array)]
        (extracted,) = extract([{"utterances": utterances}], JoyfulProcessor(**EXTRACTORS))
        first, *others = (one["audio_features"] for one in extracted["utterances"])
        for other in others:
            np.testing.assert_allclose(other, first, atol=0.1)

    def test_of_records_that_fit_into_no_table(self, extract, clips):
        utterances = [{"speaker": "A", "text": text} for text in ("hm", 3)]
        with pytest.raises(DialogueError, match="do not fit into one table"):
            extract([{"utterances": utterances}], JoyfulProcessor(**EXTRACTORS))


class TestUndecodedColumns:
    """Data sets on the Hub have `Audio()` and `Video()` columns, which `datasets` decodes by torchcodec only."""

    def dialogues(self, key: str, path: Path, **others) -> Dataset:
        utterance = {"speaker": "A", key: {"bytes": path.read_bytes(), "path": path.name}, **others}
        plain = Dataset.from_list([{"utterances": [utterance]}])
        info = plain.info.copy()
        of_media = {"audio": Audio(), "video": Video()}[key]
        fields = plain.features["utterances"].feature | {key: of_media}
        info.features = Features({"utterances": List(fields)})
        return Dataset(plain.data.table.replace_schema_metadata(info.features.arrow_schema.metadata), info=info)

    @pytest.mark.parametrize(("key", "name"), [("audio", "loud.wav"), ("video", "good.mp4")])
    @pytest.mark.parametrize("from_file", [False, True])
    def test_are_decoded_here(self, key, name, from_file, clips, extract, tmp_path):
        dialogues = self.dialogues(key, clips / name)
        if from_file:
            pq.write_table(dialogues.data.table, tmp_path / "d.parquet")
            dialogues = load_dialogues(tmp_path / "d.parquet")
        extracted = extract(dialogues, JoyfulProcessor(audio_extractor="logmel"), strict=True)
        assert extracted[0]["utterances"][0]["audio_features"]

    @pytest.mark.parametrize("key", ["audio", "video"])
    def test_do_not_matter_beside_features(self, key, clips, extract, tmp_path):
        dialogues = self.dialogues(key, clips / "good.mp4", text="so", audio_features=[1.0, 2.0])
        pq.write_table(dialogues.data.table, tmp_path / "d.parquet")
        dialogues = load_dialogues(tmp_path / "d.parquet")
        batch = JoyfulProcessor(audio_dim=2)(dialogues)
        np.testing.assert_array_equal(batch["audio_features"], [[1, 2]])
        assert extract(dialogues, JoyfulProcessor(text_extractor="hashing"))[0]["utterances"][0]["text_features"]


def test_a_cache_that_cannot_be_written_costs_nothing_but_a_warning(clips, tmp_path, caplog):
    (tmp_path / "file").touch()
    dialogues = [{"utterances": [{"speaker": "A", "audio": str(clips / "loud.wav")}] * 3}]
    processor = JoyfulProcessor(audio_extractor="logmel")
    extracted = extract_features(dialogues, processor, cache_dir=tmp_path / "file" / "in")
    assert extracted[0]["utterances"][2]["audio_features"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "cannot be written" in message
    assert "HF_HOME" in message


class TestNothingRead:
    @pytest.mark.parametrize(
        ("parameter", "medium", "files"),
        [
            ("audio_extractor", "audio", ["gone.wav", "bad.mp4"]),
            ("audio_extractor", "audio", ["silent.wav"]),
            ("audio_extractor", "video", ["mute.mp4", "bad.mp4"]),
            ("video_extractor", "video", ["bad.mp4", "gone.mp4"]),
        ],
    )
    def test_an_extractor_that_could_read_not_one_medium_ends_the_run(self, parameter, medium, files, clips, extract):
        utterances = [{"speaker": "A", "text": "so", medium: str(clips / name)} for name in files]
        processor = JoyfulProcessor(text_extractor="hashing", **{parameter: EXTRACTORS[parameter]})
        with pytest.raises(DialogueError, match=f"`{parameter}`: .* could read none of {len(files)} medi") as caught:
            extract([{"dialogue_id": "d", "utterances": utterances}], processor)
        assert files[0] in str(caught.value)

    def test_a_trained_model_reads_on_where_videos_are_mute_and_not_where_none_is_found(self, clips):
        processor = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
        mute, gone = (
            [{"utterances": [{"speaker": "A", "text": "so", "video": str(clips / f"{name}.mp4")}]}]
            for name in ("mute", "gone")
        )
        assert extract_for(processor, mute)[0]["utterances"][0]["audio_features"] is None
        with pytest.raises(DialogueError, match="could read none of 1 medium"):
            extract_for(processor, gone)

    def test_recordings_that_the_model_reads_itself_and_that_are_all_unreadable_end_the_run(self, clips):
        utterances = [
            {"speaker": "A", "audio": str(clips / name), "label": "joy"} for name in ("gone.wav", "silent.mp3")
        ]
        processor = FoalNetProcessor(video_dim=0, label2id={"joy": 0, "sadness": 1})
        with pytest.raises(
            DialogueError, match=r"none of 2 recordings could be read, the first of which is .*gone\.wav"
        ):
            EncodedDialogues([{"utterances": utterances}], processor)

    @pytest.mark.parametrize("nothing", ["", " ", {"path": "", "bytes": None}, {"path": None, "bytes": None}])
    def test_an_empty_path_is_no_medium(self, nothing, extract):
        dialogue = {"utterances": [{"speaker": "A", "text": "so", "audio": nothing, "video": nothing}]}
        extracted = extract([dialogue], JoyfulProcessor(**EXTRACTORS))
        assert extracted[0]["utterances"][0].get("audio_features") is None
        batch = FoalNetProcessor(video_dim=0)(dialogue)
        assert not batch["attention_mask"].any()

    @pytest.mark.parametrize("from_file", [False, True])
    def test_paths_with_backslashes_are_tried_with_slashes(self, from_file, tmp_path, extract, monkeypatch):
        write_clip(tmp_path / "clips" / "a.mp4", 0.3)
        dialogues = [{"utterances": [{"speaker": "A", "video": "clips\\a.mp4"}]}]
        if from_file:
            write_dialogues(dialogues, tmp_path / "d.jsonl")
            dialogues = load_dialogues(tmp_path / "d.jsonl")
        else:
            monkeypatch.chdir(tmp_path)
        extracted = extract(dialogues, JoyfulProcessor(audio_extractor="logmel"), strict=True)
        assert extracted[0]["utterances"][0]["audio_features"]

    def test_a_path_of_windows_that_leads_nowhere_is_called_so(self, extract):
        dialogues = [{"utterances": [{"speaker": "A", "audio": "C:\\clips\\a.wav"}]}]
        with pytest.raises(DialogueError, match="its backslashes are those of a path on Windows"):
            extract(dialogues, JoyfulProcessor(audio_extractor="logmel"))


@pytest.mark.parametrize(("kind", "scale"), [("int16", 2**15), ("uint8", 2**7), ("int32", 2**31), ("int64", 2**15)])
@pytest.mark.parametrize("from_file", [False, True])
def test_samples_that_are_integers_are_the_sound_that_they_stand_for(kind, scale, from_file, extract, tmp_path):
    sound = tone(0.5, loudness=0.25)
    samples = (sound.astype(np.float64) * scale + (scale if kind == "uint8" else 0)).astype(kind)

    def features_of(array):
        utterance = {"speaker": "A", "audio": {"array": array, "sampling_rate": 16000}}
        dialogues = [{"dialogue_id": "d", "utterances": [utterance]}]
        if from_file:
            Dataset.from_list(dialogues).to_parquet(tmp_path / "d.parquet")
            dialogues = load_dialogues(tmp_path / "d.parquet")
        extracted = extract(dialogues, JoyfulProcessor(audio_extractor="logmel"), verbose=False)
        return np.array(extracted[0]["utterances"][0]["audio_features"])

    expected = features_of(as_floats(samples, scale, kind))
    np.testing.assert_allclose(features_of(samples), expected, atol=1e-5)


def as_floats(samples: np.ndarray, scale: int, kind: str) -> np.ndarray:
    return ((samples.astype(np.float64) - (scale if kind == "uint8" else 0)) / scale).astype(np.float32)


class TestFoalNet:
    def test_reads_files_as_it_reads_arrays(self, clips):
        processor = FoalNetProcessor(video_dim=0, normalize_audio=False)
        of_array = {"speaker": "A", "audio": {"array": tone(0.5), "sampling_rate": 16000}}
        files = [
            {"speaker": "A", "audio": str(clips / "loud.wav")},
            {"speaker": "A", "audio": clips / "loud.wav"},
            {"speaker": "A", "audio": (clips / "loud.wav").read_bytes()},
            {"speaker": "A", "video": str(clips / "good.mp4"), "start": 0.25, "end": 0.75},
        ]
        expected, *found = processor({"utterances": [of_array, *files]})["input_values"]
        for one in found[:3]:
            np.testing.assert_allclose(one, expected, atol=1e-4)
        assert found[3].std() == pytest.approx(expected.std(), abs=0.02)

    def test_what_cannot_be_read_is_masked_and_named(self, caplog):
        processor = FoalNetProcessor(video_dim=0)
        batch = processor({"utterances": [{"speaker": "A", "audio": "a.wav"}, {"speaker": "A", "audio": b"RIFF"}]})
        assert not batch["attention_mask"].any()
        assert "utterances[0]: audio: a.wav: there is no such file" in caplog.text
        assert "utterances[1]: audio: the bytes given: cannot be decoded" in caplog.text


OPTIONS = [word for key, name in EXTRACTORS.items() for word in (f"--{key.replace('_', '-')}", name)]
SMALL = ["--config-json", json.dumps(SMALL_SETTINGS), "--num-train-epochs", "1"]


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def cache(self, monkeypatch, tmp_path):
        monkeypatch.setattr("joyful_hf.data.extraction.default_cache_dir", lambda: tmp_path / "cache")

    @pytest.fixture
    def train_file(self, tmp_path, clips, raw):
        """Paths in it are relative to its folder."""
        folder = tmp_path / "data"
        write_clip(folder / "clips" / "good.mp4")
        for dialogue in raw:
            for utterance in dialogue["utterances"]:
                utterance["video"] = "clips/good.mp4"
        write_dialogues(raw, folder / "train.jsonl")
        return folder / "train.jsonl"

    @pytest.fixture
    def checkpoint(self, joyful, train_file, tmp_path):
        result = joyful("train", "--train-file", train_file, "--output-dir", tmp_path / "out", *OPTIONS, *SMALL)
        assert result.status == 0, result.err
        assert "training features: text in 10, audio in 10, visual in 10 of 10 utterances" in result.out
        assert "validation features: text in 2, audio in 2, visual in 2 of 2 utterances" in result.out
        return tmp_path / "out"

    def test_the_whole_way(self, joyful, fails, train_file, checkpoint, no_decoding, tmp_path, clips):
        saved = json.loads((checkpoint / "processor_config.json").read_text())
        assert {key: saved[key] for key in EXTRACTORS} == EXTRACTORS
        assert (saved["text_dim"], saved["audio_dim"], saved["visual_dim"]) == tuple(SIZES.values())

        clip_folder = tmp_path / "calls" / "monday"
        for name in ("1_Ross.mp4", "2_Rachel.mp4"):
            write_clip(clip_folder / name)
        (clip_folder / "3_Ross.mp4").write_text("no video")
        (clip_folder / "1_Ross.txt").write_text("so good!")
        result = joyful("predict", checkpoint, "--data-file", clip_folder.parent, "--output-file", "found.jsonl")
        assert result.status == 0, result.err
        assert "2 media could not be read and are masked:" in result.out
        (found,) = map(json.loads, Path("found.jsonl").read_text().splitlines())
        assert found["dialogue_id"] == "monday"
        assert [one["speaker"] for one in found["utterances"]] == ["Ross", "Rachel", "Ross"]
        assert [one["video"] for one in found["utterances"]] == ["1_Ross.mp4", "2_Rachel.mp4", "3_Ross.mp4"]
        labels = [one["label"] for one in found["utterances"]]
        assert set(labels[:2]) <= {"joy", "sadness"}
        assert labels[2] is None, "nothing of it could be read"

        message = fails("predict", checkpoint, "--data-file", clip_folder, "--output-file", "strict.jsonl", "--strict")
        assert "3_Ross.mp4: cannot be decoded" in message
        assert not Path("strict.jsonl").exists()

        result = joyful("evaluate", checkpoint, "--data-file", train_file)
        assert result.status == 0, result.err
        assert "features: text in 12, audio in 12, visual in 12 of 12 utterances" in result.out

    def test_a_file_of_features_trains_what_reads_raw_media(self, joyful, fails, train_file, tmp_path):
        result = joyful("extract", "--data-file", train_file, "--output-file", "features.parquet", *OPTIONS)
        assert result.status == 0, result.err
        assert result.out.splitlines()[-1] == "6 dialogues with features: features.parquet"
        assert joyful("train", "--train-file", "features.parquet", "--output-dir", "out", *SMALL).status == 0
        assert load_checkpoint("out")[1].extractors == JoyfulProcessor(**EXTRACTORS).extractors

        result = joyful(
            "extract", "--data-file", train_file, "--output-file", "more.jsonl", "--checkpoint", "out", "--num-proc", 2
        )
        assert result.status == 0, result.err
        assert load_dialogues("more.jsonl")[0]["extractors"] == load_dialogues("features.parquet")[0]["extractors"]
        message = fails(
            *("extract", "--data-file", train_file, "--output-file", "x.parquet", "--checkpoint", "out"),
            *("--audio-extractor", "opensmile:eGeMAPSv02"),
        )
        assert message == "--audio-extractor is 'opensmile:eGeMAPSv02', and out was trained with 'logmel'"
        message = fails(
            *("train", "--train-file", "features.parquet", "--output-dir", "other", *SMALL),
            *("--text-extractor", "user/model"),
        )
        assert "its text_features were extracted by 'hashing', and those of this processor by 'user/model'" in message

    @pytest.mark.parametrize("large", [False, True], ids=["", "large"])
    def test_parquet_files_may_have_relative_paths_too(self, train_file, raw, large):
        file = train_file.with_suffix(".parquet")
        dataset = Dataset.from_list(raw)
        if large:
            utterance = dataset.features["utterances"].feature | {"video": Value("large_string")}
            dataset = dataset.cast(Features(dataset.features | {"utterances": LargeList(utterance)}))
        dataset.to_parquet(file)
        for dialogue in load_dialogues(file):
            for utterance in dialogue["utterances"]:
                assert utterance["video"] == str(train_file.parent / "clips" / "good.mp4")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--audio-extractor", "logmell"], "unknown extractor 'logmell', did you mean logmel?"),
            (
                ["--text-extractor", "nobody/nothing"],
                "text_extractor: 'nobody/nothing' is none of hashing, and no e",
            ),
            (
                ["--text-extractor", "hashing", "--model", "foal-net"],
                "--text-extractor: the processor of foal-net reads no text by an extractor",
            ),
            (
                ["--audio-extractor", "logmel", "--config-json", '{"audio_extractor": "opensmile:emobase"}'],
                "--audio-extractor is 'logmel', and --config-json says 'opensmile:emobase'",
            ),
            (
                [],
                "no utterance has text_features, audio_features or visual_features; raw media are read with text_",
            ),
        ],
        ids=["near", "far", "family", "twice", "none"],
    )
    def test_mistakes_in_training(self, fails, train_file, arguments, message):
        assert message in fails("train", "--train-file", train_file, "--output-dir", "out", *arguments)

    def test_foal_net_learns_from_clips_with_sound_and_pictures(self, joyful, train_file, tmp_path):
        options = ("--audio-extractor", "logmel", "--video-extractor", "frame-statistics")
        small = ("--config-json", '{"projection_size": 8, "num_hidden_layers": 1}', "--num-train-epochs", "1")
        result = joyful(
            *("train", "--model", "foal-net", "--train-file", train_file, "--output-dir", "out", *options, *small)
        )
        assert result.status == 0, result.err
        assert "features: audio 40 (in 10), visual 136 (in 10)" in result.out
        clip_folder = tmp_path / "calls"
        write_clip(clip_folder / "1_Ross.mp4")
        result = joyful("predict", "out", "--data-file", clip_folder, "--output-file", "clips.jsonl")
        assert result.status == 0, result.err
        result = joyful("extract", "--data-file", clip_folder, "--output-file", "x.parquet", "--frames", *options)
        assert result.status == 0, result.err
        result = joyful("predict", "out", "--data-file", "x.parquet", "--output-file", "frames.jsonl")
        assert result.status == 0, result.err
        scores = [
            json.loads(Path(f"{name}.jsonl").read_text())["utterances"][0]["scores"] for name in ("clips", "frames")
        ]
        assert scores[0] == scores[1]

    def test_a_missing_library(self, fails, train_file, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "av", None)
        message = fails(
            "train", "--train-file", train_file, "--output-dir", "out", "--video-extractor", "frame-statistics"
        )
        assert (
            message
            == 'decoding audio and video needs av, which is not installed: pip install "av>=15.0" "pillow>=11.0"'
        )

    def test_mistakes_in_extraction(self, fails, train_file):
        assert "give --text-extractor, --audio-extractor, --video-extractor or --checkpoint" in fails(
            "extract", "--data-file", train_file, "--output-file", "x.parquet"
        )
        assert "give .parquet or .jsonl" in fails(
            "extract", "--data-file", train_file, "--output-file", "x.csv", *OPTIONS
        )
