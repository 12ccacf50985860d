"""Recordings that a processor reads itself: in several processes, or not at all if one cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest

from joyful_hf import DialogueError, FoalNetForEmotionRecognition, FoalNetProcessor, JoyfulProcessor
from joyful_hf.data.extraction import extract_for
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.data.media_reading import read_media
from joyful_hf.processing.reading import read_dialogues
from tests.processing.test_processor_base import OutsideProcessor
from tests.support.helpers import LABELS, make_dialogues
from tests.support.media import make_speech_encoder, tone, wav_bytes

SETTINGS = {"projection_size": 8, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for index in range(4):
        (folder / f"{index}.wav").write_bytes(wav_bytes(tone(0.1 + 0.05 * index)))
    (folder / "bad.wav").write_text("no sound")
    return folder


def make_recorded(folder: Path, *names: str) -> list[dict]:
    """Dialogues of two utterances each, one sound file per utterance."""
    utterances = [
        {"speaker": "A", "audio": str(folder / name), "start": 0.02, "label": LABELS[index % len(LABELS)]}
        for index, name in enumerate(names)
    ]
    starts = range(0, len(utterances), 2)
    return [{"dialogue_id": f"d{start // 2}", "utterances": utterances[start : start + 2]} for start in starts]


GOOD = ("0.wav", "1.wav", "2.wav", "3.wav")
WITH_BAD = ("0.wav", "bad.wav", "2.wav", "gone.wav")


@pytest.fixture
def processor():
    return FoalNetProcessor(video_dim=0, max_audio_seconds=0.15)


class TestReading:
    @pytest.mark.parametrize("num_proc", [1, 2])
    @pytest.mark.parametrize("prepare", [list, read_dialogues], ids=["records", "read"])
    def test_ahead_gives_the_same_batch(self, sounds, processor, num_proc, prepare, caplog):
        dialogues = make_recorded(sounds, *GOOD)
        expected = processor(dialogues, return_labels=False)
        warned = [record.getMessage() for record in caplog.records]
        caplog.clear()
        read = read_media(prepare(dialogues), processor, num_proc, strict=True)
        found = processor(read, return_labels=False)
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, strict=True)
        assert [record.getMessage() for record in caplog.records] == warned, "what was cut is still said"
        assert warned

    def test_keeps_what_else_the_records_hold(self, sounds, processor):
        read = read_media(make_recorded(sounds, *GOOD), processor, num_proc=2)
        assert [dialogue["dialogue_id"] for dialogue in read] == ["d0", "d1"]
        assert [utterance["start"] for dialogue in read for utterance in dialogue["utterances"]] == [0.02] * 4

    def test_is_left_to_encoding_unless_it_is_asked_for(self, sounds, processor):
        dialogues = make_recorded(sounds, *WITH_BAD)
        assert read_media(dialogues, processor) is dialogues

    def test_masks_and_prints_what_cannot_be_read(self, sounds, processor, capsys, caplog):
        read = read_media(make_recorded(sounds, *WITH_BAD), processor, num_proc=2)
        first, *rows = capsys.readouterr().out.splitlines()
        assert first == "2 media could not be read and are masked:"
        assert [row.split("  ")[1] for row in rows] == [f"dialogue 'd{index}', utterances[1]" for index in (0, 1)]
        mask = processor(read, return_labels=False)["attention_mask"]
        assert mask.any(-1).tolist() == [True, False, True, False]
        assert "cannot be read" not in caplog.text, "it is not tried twice"

    @pytest.mark.parametrize("num_proc", [1, 2])
    def test_strict_names_dialogue_utterance_and_file(self, sounds, processor, num_proc):
        with pytest.raises(DialogueError) as caught:
            read_media(make_recorded(sounds, *WITH_BAD), processor, num_proc, strict=True)
        message = str(caught.value)
        assert message.startswith(f"dialogue 'd0', utterances[1]: audio: {sounds}/bad.wav: cannot be decoded")
        assert message.endswith("(2 media cannot be read in all)")

    @pytest.mark.parametrize("num_proc", [1, 2])
    def test_bad_input_is_an_error_in_any_case(self, processor, num_proc):
        dialogues = [{"dialogue_id": "d1", "utterances": [{"speaker": "A", "audio": {"array": [0.0]}}]}]
        with pytest.raises(DialogueError, match=r"dialogue 'd1', utterances\[0\]: 'audio' must be"):
            read_media(dialogues, processor, num_proc, strict=True)


class TestOtherProcessors:
    def test_without_recordings_there_is_nothing_to_do(self):
        dialogues = make_dialogues()
        for processor in (FoalNetProcessor(audio_dim=6), JoyfulProcessor(audio_dim=6)):
            assert read_media(dialogues, processor, num_proc=2, strict=True) is dialogues

    @pytest.mark.parametrize(
        ("options", "refused"),
        [
            ({"strict": True}, "strict"),
            ({"num_proc": 2}, "num_proc"),
            ({"strict": True, "num_proc": 2}, "num_proc and"),
        ],
    )
    def test_what_a_family_from_outside_cannot_honour_is_refused_by_name(self, options, refused):
        with pytest.raises(DialogueError, match=f"^{refused}.*: OutsideProcessor reads its inputs in its own way"):
            extract_for(OutsideProcessor(), make_dialogues(), **options)

    def test_and_it_is_left_alone_where_nothing_is_asked_for(self):
        dialogues = make_dialogues()
        assert extract_for(OutsideProcessor(), dialogues) is dialogues


class TestCommandLine:
    @pytest.fixture
    def checkpoint(self, tmp_path):
        """A model that reads waveforms."""
        processor = FoalNetProcessor(video_dim=0, label2id={label: index for index, label in enumerate(LABELS)})
        encoder = str(make_speech_encoder(tmp_path / "encoder"))
        model = FoalNetForEmotionRecognition.from_encoders(encoder, **SETTINGS, **processor.model_kwargs())
        for part in (model, processor):
            part.save_pretrained(tmp_path / "foal")
        return tmp_path / "foal"

    def test_predicts_strictly_or_masked(self, joyful, fails, checkpoint, sounds):
        write_dialogues(make_recorded(sounds, *WITH_BAD), "bad.jsonl")
        message = fails("predict", checkpoint, "--data-file", "bad.jsonl", "--output-file", "a.jsonl", "--strict")
        assert f"dialogue 'd0', utterances[1]: audio: {sounds}/bad.wav: cannot be decoded" in message
        assert not Path("a.jsonl").exists()

        result = joyful("predict", checkpoint, "--data-file", "bad.jsonl", "--output-file", "b.jsonl", "--num-proc", 2)
        assert result.status == 0, result.err
        assert "2 media could not be read and are masked:" in result.out
        assert len(Path("b.jsonl").read_text().splitlines()) == 2

    def test_evaluates_strictly(self, fails, checkpoint, sounds):
        write_dialogues(make_recorded(sounds, *WITH_BAD), "bad.jsonl")
        assert "bad.wav: cannot be decoded" in fails("evaluate", checkpoint, "--data-file", "bad.jsonl", "--strict")

    def test_trains_strictly_or_masked(self, joyful, fails, sounds, tmp_path):
        for name, files in (("train", WITH_BAD), ("validation", GOOD)):
            write_dialogues(make_recorded(sounds, *files), f"{name}.jsonl")
        encoder = make_speech_encoder(tmp_path / "encoder")
        arguments = ["train", "--model", "foal-net", "--config-json", json.dumps(SETTINGS), "--num-train-epochs", "1"]
        arguments += ["--train-file", "train.jsonl", "--validation-file", "validation.jsonl", "--output-dir", "out"]
        arguments += ["--audio-encoder", str(encoder)]
        assert f"utterances[1]: audio: {sounds}/bad.wav: cannot be decoded" in fails(*arguments, "--strict")
        result = joyful(*arguments, "--num-proc", "2")
        assert result.status == 0, result.err
        assert "2 media could not be read and are masked:" in result.out
