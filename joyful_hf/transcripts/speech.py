"""`transcribe_recording`: a recording without a transcript -> a dialogue, by finding speech and its words."""

import logging
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import pipeline

from ..processing.dialogues import DialogueError
from ..processing.optional_imports import import_optional
from ..processing.waveforms import get_waveform
from .loading import make_dialogues, read_turns
from .recording import Media, Recording
from .report import TranscriptReport
from .segments import Segment, Transcript, Word

# silero-vad reads sound at 16 kHz, 32 ms at a time.
_RATE, _WINDOW = 16000, 512


def transcribe_recording(
    media: str | Path | Mapping[str, str | Path],
    model: str | None = None,
    *,
    speakers: str | Path | None = None,
    channels: Sequence[str | None] | None = None,
    merge_gap: float | None = None,
    max_seconds: float = 15.0,
    dialogue_id: str | None = None,
) -> tuple[Dataset, TranscriptReport]:
    """Make a dialogue of a recording that has no transcript: silero-vad finds where somebody speaks, and a model of
    speech recognition, if one is given, what they say.

    Args:
        media: the recording, or a recording for each speaker: {"Alice": "alice.wav", …}.
        model: folder or Hub id of a model for transformers' pipeline "automatic-speech-recognition", such as
            `openai/whisper-small`. Without one the utterances have no text.
        speakers: with `model`: an RTTM, or another transcript with speakers, that says who spoke when.
        channels: the speaker on each channel of the recording, from the first on; None for a channel on which nobody
            speaks. Speech is found on each channel by itself. Without it all channels are heard together, and without
            `speakers` too everybody is called `unknown`.
        merge_gap: stretches of speech of one speaker with a pause shorter than this are one utterance, in seconds. By
            default 0.3.
        max_seconds: no utterance becomes longer than this.
        dialogue_id: by default the name of the recording without its suffix.

    Returns:
        The dialogue as `load_transcript` gives it, and what became of the speech that was found.

    Raises:
        DialogueError: no recording, no speech in it, or names for channels that it lacks.
        ImportError: PyAV or silero-vad is not installed.
    """
    recordings = Media.of(media)
    path = next(each.path for each in [recordings.shared, *recordings.own.values()] if each is not None)
    if speakers is not None and model is None:
        raise DialogueError(
            f"{speakers}: it says already when each one speaks; give it as `transcript` and leave `segment` out, or "
            "recognise the words too, with `transcribe`"
        )
    turns = None if speakers is None else read_turns(Path(speakers), tuple(recordings.names), None)
    detector = _SpeechDetector.load()
    stretches = [
        Segment(start, end, speaker=voice.speaker, channel=voice.channel, place=f"{voice.path}, speech {index}")
        for voice in _voices(recordings, channels)
        for index, (start, end) in enumerate(detector.find(voice, max_seconds), 1)
    ]
    if not stretches:
        raise DialogueError(f"{path}: no speech was found; is it the right recording, and loud enough?")
    if model is None:
        transcript = Transcript("speech found by silero-vad", stretches, is_in_order=False)
    else:
        transcript = _recognised(stretches, model, recordings)
    return make_dialogues(
        transcript, path, recordings, turns, channels, merge_gap, max_seconds, dialogue_id or path.stem
    )


@dataclass(frozen=True)
class _Voice:
    """What is listened to: a recording or one channel of it."""

    path: Path
    seconds: float
    channel: int | None = None
    speaker: str | None = None


def _voices(media: Media, channels: Sequence[str | None] | None) -> list[_Voice]:
    if media.shared is None:
        return [_Voice(each.path, each.seconds, speaker=speaker) for speaker, each in media.own.items()]
    recording = media.shared
    _check_channels(recording, channels)
    if channels is None:
        return [_Voice(recording.path, recording.seconds)]
    return [
        _Voice(recording.path, recording.seconds, channel) for channel, name in enumerate(channels) if name is not None
    ]


def _check_channels(recording: Recording, channels: Sequence[str | None] | None) -> None:
    if not recording.channels:
        raise DialogueError(f"{recording.path}: there is no sound track in which speech could be found")
    if channels is not None and len(channels) > recording.channels:
        raise DialogueError(
            f"{recording.path}: `channels` names {len(channels)} channels, and the recording has "
            f"{recording.channels}; give the recording as it was before it was mixed down"
        )


# Where somebody speaks


@dataclass(frozen=True)
class _SpeechDetector:
    """silero-vad, fed block by block, so that a recording of hours is never in memory as a whole."""

    library: Any
    model: Any

    @classmethod
    def load(cls) -> "_SpeechDetector":
        with _one_thread():  # importing silero-vad 6.2 sets it, for the whole process
            library = import_optional("silero_vad", "vad", "finding speech")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, for the form in which silero-vad comes
            return cls(library, library.load_silero_vad())

    def find(self, voice: _Voice, max_seconds: float) -> list[tuple[float, float]]:
        """Start and end in seconds of each stretch of speech."""
        self.model.reset_states()
        scores: list[float] = []
        bar = tqdm(
            total=round(voice.seconds),
            desc="finding speech",
            unit="s",
            leave=False,
            dynamic_ncols=True,
            disable=None,
        )
        with bar, torch.inference_mode(), _one_thread():
            for window in _windows(voice):
                scores.append(self.model(torch.from_numpy(window), _RATE).item())
                bar.update(round(len(scores) * _WINDOW / _RATE) - bar.n)
        found = self.library.get_speech_timestamps_from_probs(
            scores, sampling_rate=_RATE, max_speech_duration_s=max_seconds
        )
        times = [(each["start"] / _RATE, min(each["end"] / _RATE, voice.seconds)) for each in found]
        return [(start, end) for start, end in times if end > start]


@contextmanager
def _one_thread() -> Generator[None, None, None]:
    """Give torch one thread, then what it had: on two busy cores, 32 s of sound took 1 s with one, 20 s with two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _windows(voice: _Voice) -> Iterator[np.ndarray]:
    """The sound at 16 kHz from second 0 of the recording on, in windows of 32 ms; the last one is filled up."""
    rest = np.zeros(0, np.float32)
    for block in _blocks(voice):
        rest = np.concatenate([rest, block])
        whole = len(rest) // _WINDOW * _WINDOW
        yield from rest[:whole].reshape(-1, _WINDOW)
        rest = rest[whole:]
    if len(rest):
        yield np.pad(rest, (0, _WINDOW - len(rest)))


def _blocks(voice: _Voice) -> Iterator[np.ndarray]:
    av = import_optional("av", "media", "decoding audio and video")
    try:
        with av.open(f"file:{voice.path}", options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp", rate=_RATE)
            origin = (container.start_time or 0) / 1_000_000
            is_first = True
            for frame in container.decode(stream):
                if is_first and frame.time is not None:  # sound may start after the picture
                    yield np.zeros(max(0, round((frame.time - origin) * _RATE)), np.float32)
                is_first = False
                yield from (_heard(part, voice.channel) for part in resampler.resample(frame))
            if not is_first:
                yield from (_heard(part, voice.channel) for part in resampler.resample(None))
    except av.FFmpegError as error:
        raise DialogueError(f"{voice.path}: cannot be decoded ({error.strerror or type(error).__name__})") from None


def _heard(frame: Any, channel: int | None) -> np.ndarray:
    samples = frame.to_ndarray()
    return samples.mean(axis=0) if channel is None else samples[channel]


# What they say


def _recognised(stretches: Sequence[Segment], model: str, media: Media) -> Transcript:
    """The words of each stretch of speech, with their times in the recording."""
    recognizer: Any = pipeline("automatic-speech-recognition", model=model)
    has_times = _gives_word_times(recognizer)
    notes = [] if has_times else [f"{model}: gives no times of words; who speaks is found for each stretch as a whole"]
    rate = recognizer.feature_extractor.sampling_rate
    shown = tqdm(stretches, desc="recognising words", unit="stretch", leave=False, dynamic_ncols=True, disable=None)
    with _quiet_generation():
        segments = [_with_words(stretch, recognizer, rate, has_times, media) for stretch in shown]
    return Transcript(f"transcribed with {model}", segments, is_in_order=False, notes=notes)


@contextmanager
def _quiet_generation() -> Generator[None, None, None]:
    """Whisper's `generate` warns of what it does itself, in transformers 5.23: of arguments that are deprecated."""
    logger = logging.getLogger("transformers.generation.utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _gives_word_times(recognizer: Any) -> bool:
    """Whether a model tells the times of words: by its steps, or by attention heads that are known to follow them."""
    if recognizer.type == "seq2seq_whisper":
        return getattr(recognizer.model.generation_config, "alignment_heads", None) is not None
    return recognizer.type.startswith("ctc")


def _with_words(stretch: Segment, recognizer: Any, rate: int, has_times: bool, media: Media) -> Segment:
    start, end = stretch.times
    recording = media.recording_of(stretch.speaker)
    assert recording is not None, "speech was found in it"
    utterance = {"audio": str(recording.path), "start": start, "end": end, "channel": stretch.channel}
    sound = {"raw": get_waveform(utterance, rate), "sampling_rate": rate}
    found = recognizer(sound, return_timestamps="word") if has_times else recognizer(sound)
    words = [_word(chunk, start, end) for chunk in found.get("chunks", ())]
    return Segment(start, end, found["text"].strip(), stretch.speaker, words, stretch.channel, stretch.place)


def _word(chunk: Mapping[str, Any], start: float, end: float) -> Word:
    first, last = (None if time is None else min(start + time, end) for time in chunk["timestamp"])
    return Word(chunk["text"], first, last)
