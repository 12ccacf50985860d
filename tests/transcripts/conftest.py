"""Transcripts as small files, and recordings of a given length."""

import wave

import numpy as np
import pytest

from joyful_hf.transcripts.loading import read_transcript
from joyful_hf.transcripts.options import TranscriptOptions


@pytest.fixture
def transcript(tmp_path):
    """Writes a transcript and gives its path."""

    def write(name, text, encoded="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoded))
        return path

    return write


@pytest.fixture
def read(transcript):
    """Writes a transcript, reads it, and gives the utterances of its dialogue without keys that they lack."""

    def run(name, text, media=None, encoded="utf-8", **options):
        dataset, _ = read_transcript(transcript(name, text, encoded), media, TranscriptOptions(**options))
        (dialogue,) = dataset
        return [{key: value for key, value in each.items() if value is not None} for each in dialogue["utterances"]]

    return run


@pytest.fixture
def rows(read):
    """Writes a transcript, reads it, and gives (speaker, start, end, text) of each utterance."""

    def run(name, text, media=None, encoded="utf-8", **options):
        return rows_of(read(name, text, media, encoded, **options))

    return run


def rows_of(utterances):
    return [(each["speaker"], each["start"], each["end"], each.get("text")) for each in utterances]


@pytest.fixture
def report(transcript):
    """Writes a transcript, reads it, and gives the report."""

    def run(name, text, media=None, encoded="utf-8", **options):
        return read_transcript(transcript(name, text, encoded), media, TranscriptOptions(**options))[1]

    return run


@pytest.fixture
def recording(tmp_path):
    """Writes a recording of silence: seconds, channels, and gives its path."""

    def write(name="meeting.wav", seconds=10.0, channels=1):
        path = tmp_path / name
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(np.zeros(round(seconds * 8000) * channels, np.int16).tobytes())
        return path

    return write
