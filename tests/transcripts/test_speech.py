"""Recordings without a transcript: speech is found, its words recognised, and its speakers told apart."""

import sys

import numpy as np
import pytest
import torch

from joyful_hf import DialogueError
from joyful_hf.transcripts.options import TranscriptOptions
from joyful_hf.transcripts.speech import _RATE, _SpeechDetector, _Voice, _windows, transcribe_recording
from tests.support.media import tone, wav_bytes, write_recording
from tests.support.speech import save_whisper, say, silence

# Seconds by which the limits of speech may be off: silero-vad hears in steps of 32 ms, and adds 30 ms at both ends.
TOLERANCE = 0.15


@pytest.fixture(scope="module")
def meeting(tmp_path_factory):
    """From 1 s to 2.4 s somebody speaks, and from 4 s to 5.2 s somebody else."""
    path = tmp_path_factory.mktemp("meeting") / "meeting.wav"
    sound = [silence(1), say(1.4, 120), silence(1.6), say(1.2, 210), silence(1)]
    path.write_bytes(wav_bytes(np.concatenate(sound)))
    return path


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return save_whisper(tmp_path_factory.mktemp("whisper"))


def utterances_of(media, model=None, language=None, **options):
    dataset, report = transcribe_recording(media, model, TranscriptOptions(**options), language)
    (dialogue,) = dataset
    return dialogue["utterances"], report


def limits_of(utterances):
    return [time for utterance in utterances for time in (utterance["start"], utterance["end"])]


def test_speech_is_found_where_somebody_speaks(meeting):
    utterances, report = utterances_of(meeting)
    assert limits_of(utterances) == pytest.approx([1, 2.4, 4, 5.2], abs=TOLERANCE)
    assert all(utterance["audio"] == str(meeting) and "text" not in utterance for utterance in utterances)
    assert {utterance["speaker"] for utterance in utterances} == {"unknown"}
    assert "speech found by silero-vad): 2 cues, 2 utterances\n  of an unknown speaker: 2" in str(report)


def test_a_recording_of_another_rate_has_the_same_times(tmp_path):
    sound = np.concatenate([silence(1), say(1.4), silence(1)])
    fast = write_recording(tmp_path / "fast.flac", np.repeat(sound, 3), rate=48000)
    assert limits_of(utterances_of(fast)[0]) == pytest.approx([1, 2.4], abs=TOLERANCE)


def test_each_channel_is_heard_by_itself(tmp_path):
    call = tmp_path / "call.wav"
    agent = np.concatenate([silence(0.5), say(1.4, 120), silence(2)])
    customer = np.concatenate([silence(1.5), say(1.4, 210), silence(1)])
    call.write_bytes(wav_bytes(np.stack([agent, customer], axis=1)))
    utterances, _ = utterances_of(call, channels=["Agent", "Customer"])
    assert [(each["speaker"], each["channel"]) for each in utterances] == [("Agent", 0), ("Customer", 1)]
    assert limits_of(utterances) == pytest.approx([0.5, 1.9, 1.5, 2.9], abs=TOLERANCE)

    only, _ = utterances_of(call, channels=[None, "Customer"])
    assert [(each["speaker"], each["channel"]) for each in only] == [("Customer", 1)]
    with pytest.raises(DialogueError, match="`channels` names 3 channels, and the recording has 2"):
        utterances_of(call, channels=["A", "B", "C"])


def test_one_file_per_speaker(tmp_path):
    files = {}
    for name, before in (("Alice", 2.0), ("Bob", 0.5)):
        files[name] = tmp_path / f"{name}.wav"
        files[name].write_bytes(wav_bytes(np.concatenate([silence(before), say(1.2), silence(1)])))
    utterances, _ = utterances_of(files)
    assert [(each["speaker"], each["audio"]) for each in utterances] == [
        ("Bob", str(files["Bob"])),
        ("Alice", str(files["Alice"])),
    ]


def test_no_utterance_is_longer_than_asked_for(tmp_path):
    path = tmp_path / "monologue.wav"
    path.write_bytes(wav_bytes(say(7)))
    utterances, _ = utterances_of(path, max_seconds=3)
    assert len(utterances) > 1
    assert all(utterance["end"] - utterance["start"] <= 3 for utterance in utterances)


def test_words_are_recognised_with_their_times(meeting, whisper):
    utterances, report = utterances_of(meeting, str(whisper))
    assert [utterance["text"] for utterance in utterances] == ["hello hello"] * 2
    assert limits_of(utterances) == pytest.approx([1, 2.4, 4, 5.2], abs=TOLERANCE)
    assert f"transcribed with {whisper}" in str(report)


def test_speakers_come_from_an_rttm_when_words_are_recognised(meeting, whisper, tmp_path):
    turns = tmp_path / "meeting.rttm"
    turns.write_text(
        "SPEAKER meeting 1 0.9 1.6 <NA> <NA> Alice <NA> <NA>\nSPEAKER meeting 1 3.9 1.4 <NA> <NA> Bob <NA> <NA>\n"
    )
    utterances, _ = utterances_of(meeting, str(whisper), speakers=turns)
    assert [utterance["speaker"] for utterance in utterances] == ["Alice", "Bob"]
    with pytest.raises(DialogueError, match="give it as `transcript` and leave `segment` out"):
        utterances_of(meeting, speakers=turns)


def test_a_model_without_times_of_words_is_good_enough(meeting, tmp_path):
    utterances, report = utterances_of(meeting, str(save_whisper(tmp_path / "plain", with_word_times=False)))
    assert [utterance["text"] for utterance in utterances] == ["hello hello hello hello hello hello"] * 2
    assert "gives no times of words" in str(report)


def test_a_language_that_a_model_does_not_know_is_refused(meeting, whisper):
    with pytest.raises(DialogueError, match=r"`language`: .*whisper.* is a model of one language; leave it out"):
        utterances_of(meeting, str(whisper), language="de")


def test_a_recording_without_speech_is_named(tmp_path):
    path = tmp_path / "tone.wav"
    path.write_bytes(wav_bytes(tone(2)))
    with pytest.raises(DialogueError, match=r"tone\.wav: no speech was found"):
        transcribe_recording(path)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.001])
def test_all_of_the_sound_is_listened_to(seconds, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(seconds)))
    windows = list(_windows(_Voice(path, seconds)))
    assert {window.shape for window in windows} == {(512,)}
    assert {window.dtype for window in windows} == {np.dtype(np.float32)}
    heard = np.concatenate(windows)[: round(seconds * _RATE)]
    np.testing.assert_allclose(heard, tone(seconds), atol=1e-4)


def test_the_threads_of_the_process_stay_as_many_as_they_were(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "silero_vad"]:
        monkeypatch.delitem(sys.modules, name)  # it sets them to 1 when it is imported
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        _SpeechDetector.load()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_without_silero_vad_it_says_what_to_install(meeting, monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(ImportError, match=r'finding speech needs silero_vad.*: pip install "silero-vad>=6\.2\.3"'):
        transcribe_recording(meeting)
