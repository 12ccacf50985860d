"""A folder of recordings, of which some have their transcripts beside them."""

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.transcripts.folders import find_transcripts, read_folder
from tests.support.media import tone, wav_bytes

SRT = "1\n00:00:00,000 --> 00:00:00,500\nAnn: Hello.\n\n2\n00:00:00,500 --> 00:00:01,000\nBob: Oh!\n"


@pytest.fixture
def folder(tmp_path):
    """A meeting with subtitles, and a folder of clips."""
    (tmp_path / "monday").mkdir()
    (tmp_path / "monday" / "01_Eve.wav").write_bytes(wav_bytes(tone(0.3)))
    (tmp_path / "monday" / "01_Eve.txt").write_text("Good morning.")
    (tmp_path / "meeting.wav").write_bytes(wav_bytes(np.concatenate([tone(0.5), tone(0.5, 330.0)])))
    (tmp_path / "meeting.srt").write_text(SRT)
    return tmp_path


def test_a_recording_with_a_transcript_is_a_dialogue_of_its_cues(folder, caplog):
    dialogues, (report,) = read_folder(folder)
    assert "meeting.srt" in str(report)
    turns = {
        dialogue["dialogue_id"]: [(one["speaker"], one["text"], one["start"]) for one in dialogue["utterances"]]
        for dialogue in dialogues
    }
    assert turns == {
        "meeting": [("Ann", "Hello.", 0.0), ("Bob", "Oh!", 0.5)],
        "monday": [("Eve", "Good morning.", None)],
    }
    assert dialogues[0]["utterances"][1]["audio"] == str(folder / "meeting.wav")
    assert not caplog.records, "nothing is left out"


def test_two_transcripts_of_one_recording_are_refused(folder):
    (folder / "meeting.vtt").write_text("WEBVTT\n\n" + SRT)
    with pytest.raises(DialogueError, match=r"meeting\.wav: has two transcripts, meeting\.srt and meeting\.vtt"):
        find_transcripts(folder)


def test_the_command_reads_them_by_themselves(folder, joyful):
    result = joyful("extract", "--data-file", folder, "--output-file", "x.jsonl", "--audio-extractor", "logmel")
    assert result.status == 0, result.err
    assert "features: text in 0, audio in 3, visual in 0 of 3 utterances" in result.out
    assert "2 dialogues with features: x.jsonl" in result.out
