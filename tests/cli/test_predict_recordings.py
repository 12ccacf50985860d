"""`joyful predict` on one long recording, with a transcript that is given or made."""

import json
from pathlib import Path

import numpy as np
import pytest

from joyful_hf import JoyfulConfig, JoyfulForEmotionRecognition, JoyfulProcessor, extract_features, load_transcript
from joyful_hf.transcripts.writing import OUTPUT_SUFFIXES
from tests.support.media import RATE, pictures_that_brighten, tone, wav_bytes, write_recording
from tests.support.speech import save_whisper, say, silence

CUES = "1\n00:00:00,500 --> 00:00:01,500\nAnna: Good morning!\n\n2\n00:00:01,500 --> 00:00:02,400\nBob: Is it?\n"


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """A checkpoint that reads text and sound."""
    folder = tmp_path_factory.mktemp("listener")
    utterances = [
        {
            "speaker": "Anna",
            "text": f"{label} words",
            "audio": {"array": tone(0.3, 100 + 100 * index), "sampling_rate": RATE},
            "label": label,
        }
        for index, label in enumerate(("joy", "anger", "neutral"))
    ]
    extractors = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
    extracted = extract_features([{"utterances": utterances}], extractors, cache_dir=folder / "cache")
    processor = JoyfulProcessor.from_dialogues(extracted)
    model = JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs(), graph_hidden_size=8))
    for part in (model, processor):
        part.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Two speakers on two channels: the agent from 0.5 s to 1.5 s, the customer from 2 s to 3.2 s."""
    path = tmp_path_factory.mktemp("call") / "call.wav"
    agent = np.concatenate([silence(0.5), say(1, 120), silence(2.5)])
    customer = np.concatenate([silence(2), say(1.2, 210), silence(0.8)])
    path.write_bytes(wav_bytes(np.stack([agent, customer], axis=1)))
    return path


@pytest.fixture
def predict(joyful, listener, call, tmp_path):
    """Runs the command on the call, and gives the utterances that it wrote and what it printed."""

    def run(*arguments):
        output = tmp_path / "out.csv"
        result = joyful("predict", listener, "--data-file", call, *arguments, "--output-file", output)
        assert result.status == 0, result.err
        (dialogue,) = load_transcript(output)
        return dialogue["utterances"], result.out

    return run


def test_speech_is_found_on_the_channel_of_each_speaker(predict):
    utterances, printed = predict("--segment", "--channels", "Agent,Customer")
    assert [(each["speaker"], each["channel"]) for each in utterances] == [("Agent", 0), ("Customer", 1)]
    assert "speech found by silero-vad): 2 cues, 2 utterances" in printed


def test_words_are_recognised_by_a_model(predict, tmp_path):
    whisper = save_whisper(tmp_path / "whisper")
    utterances, printed = predict("--transcribe", whisper, "--channels", "Agent,Customer", "--device", "cpu")
    assert printed.startswith("running on cpu\n")
    assert printed.count("running on") == 1
    assert [(each["speaker"], each["text"]) for each in utterances] == [
        ("Agent", "hello hello"),
        ("Customer", "hello hello"),
    ]
    assert f"transcribed with {whisper}" in printed


def test_a_transcript_gives_speakers_times_and_words(predict, tmp_path):
    (tmp_path / "call.srt").write_text(CUES)
    utterances, _ = predict("--transcript", tmp_path / "call.srt")
    assert [(each["speaker"], each["start"], each["end"], each["text"]) for each in utterances] == [
        ("Anna", 0.5, 1.5, "Good morning!"),
        ("Bob", 1.5, 2.4, "Is it?"),
    ]


def test_without_any_of_them_a_recording_is_refused_with_the_commands_that_make_a_transcript(fails, listener, call):
    said = fails("predict", listener, "--data-file", call, "--output-file", "out.csv")
    for way_out in ("whisperx call.wav", "--transcript", "--transcribe openai/whisper-small", "--segment"):
        assert way_out in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--segment", "--transcript", "call.srt"], "--segment: makes a transcript itself; leave --transcript out"),
        (
            ["--transcribe", "w", "--columns", "start=s"],
            "--transcribe: makes a transcript itself; leave --columns out",
        ),
        (["--segment", "--speakers", "call.rttm"], "give it as --transcript and leave --segment out"),
        (["--segment", "--channels", "A,B,C"], "--channels names 3 channels, and the recording has 2"),
        (["--speakers", "call.rttm"], "is one long recording"),
        (["--segment", "--language", "de"], "--segment hears no words"),
        (["--language", "de"], "--language: is what --transcribe listens for"),
        (["--transcript", "call.srt", "--faces", "Anna=left"], "--faces: 'left' of Anna is no face_id of OpenFace"),
        (["--transcript", "call.srt", "--faces", "Anna"], "--faces: 'Anna' is not of the form Alice=0"),
        (["--transcript", "call.srt", "--faces", "Anna=0"], "give the file as --openface"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_contradict_each_other_are_refused(fails, listener, call, arguments, message):
    Path("call.srt").write_text(CUES)
    assert message in fails("predict", listener, "--data-file", call, *arguments, "--output-file", "out.csv")


def test_speech_is_found_in_recordings_only(fails, listener, files):
    said = fails("predict", listener, "--data-file", files["test"], "--segment", "--output-file", "out.csv")
    assert "is no recording; --segment listens to one recording" in said


ODD = {
    "telephone.wav": {"rate": 8000, "codec": "pcm_alaw"},
    "studio.wav": {"rate": 96000, "codec": "pcm_s24le"},
    "cinema.m4a": {"layout": "5.1"},
    "browser.webm": {"options": {"live": "1"}, "pictures": pictures_that_brighten(24)},
    "screen.mp4": {"pictures": pictures_that_brighten(4), "shown_at": (0.0, 0.1, 1.8, 2.0)},
    "late.mp4": {"sound_starts": 0.5, "pictures": pictures_that_brighten(24)},
    "short.mp4": {"pictures": pictures_that_brighten(10)},
}


@pytest.mark.parametrize("name", ODD)
def test_recordings_of_phones_browsers_and_studios_are_read_whole(joyful, listener, tmp_path, name):
    settings = {"rate": 48000} | ODD[name]
    sound = tone(2.6 - settings.get("sound_starts", 0), rate=settings["rate"])
    sound = np.repeat(sound[:, None], 6, axis=1) if settings.get("layout") else sound
    recording = write_recording(tmp_path / name, sound, **settings)
    (tmp_path / "call.srt").write_text(CUES)
    arguments = [
        "--data-file",
        recording,
        "--transcript",
        tmp_path / "call.srt",
        "--output-file",
        tmp_path / "out.srt",
    ]
    result = joyful("predict", listener, *arguments, "--strict")
    assert result.status == 0, result.err
    assert "2 with audio" in result.out.replace("audio 2", "2 with audio") or "audio" in result.out
    (dialogue,) = load_transcript(tmp_path / "out.srt")
    assert [(each["speaker"], each["start"], each["end"]) for each in dialogue["utterances"]] == [
        ("Anna", 0.5, 1.5),
        ("Bob", 1.5, 2.4),
    ]


def test_one_command_writes_every_kind_of_output_with_the_same_rows(joyful, listener, call):
    words = [
        {"word": word, "start": 0.531 + 0.3 * index, "end": 0.831 + 0.3 * index, "speaker": f"SPEAKER_0{index // 4}"}
        for index, word in enumerate(["well", "good", "morning", "all", "yes", "it", "is", "fine"])
    ]
    segment = {"start": 0.531, "end": 2.931, "text": " well good morning all yes it is fine", "words": words}
    Path("call.json").write_text(json.dumps({"segments": [segment], "language": "en"}))
    files = [f"out{suffix}" for suffix in OUTPUT_SUFFIXES]
    arguments = [part for file in files for part in ("--output-file", file)]
    result = joyful("predict", listener, "--data-file", call, "--transcript", "call.json", *arguments)
    assert result.status == 0, result.err
    for file in files:
        if file == "out.jsonl":
            utterances = json.loads(Path(file).read_text())["utterances"]
        else:
            (dialogue,) = load_transcript(file)
            utterances = dialogue["utterances"]
        assert [(each["speaker"], each["start"], each["end"], each["text"]) for each in utterances] == [
            ("SPEAKER_00", 0.531, 1.731, "well good morning all"),
            ("SPEAKER_01", 1.731, 2.931, "yes it is fine"),
        ], file
        assert {each["label"] for each in utterances} <= {"joy", "anger", "neutral"}


def test_tiers_and_an_encoding_can_be_named(predict, tmp_path):
    tiers = [("Анна", 0.5, 1.5, "Доброе утро!"), ("notes", 1.5, 2.4, "a door")]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "4", "<exists>", "2"]
    for name, start, end, text in tiers:
        lines += ['"IntervalTier"', f'"{name}"', "0", "4", "1", str(start), str(end), f'"{text}"']
    (tmp_path / "call.TextGrid").write_text("\n".join(lines), encoding="cp1251")
    utterances, _ = predict(*("--transcript", tmp_path / "call.TextGrid", "--tiers", "Анна", "--encoding", "cp1251"))
    assert [(each["speaker"], each["text"]) for each in utterances] == [("Анна", "Доброе утро!")]
