"""`transcribe_recording`: a recording without a transcript -> a dialogue, by finding speech and its words."""

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

from ..processing.dialogues import DialogueError
from ..processing.media_files import reason_of
from ..processing.optional_imports import import_optional
from .loading import make_dialogues, read_turns
from .options import DEFAULTS, TranscriptOptions
from .recognition import recognise
from .recording import Media, Recording
from .report import TranscriptReport
from .segments import Segment, Transcript

# silero-vad reads sound at 16 kHz, 32 ms at a time.
_RATE, _WINDOW = 16000, 512


def transcribe_recording(
    media: str | Path | Mapping[str, str | Path],
    model: str | None = None,
    options: TranscriptOptions = DEFAULTS,
    language: str | None = None,
    device: str | torch.device | None = None,
) -> tuple[Dataset, TranscriptReport]:
    """Make a dialogue of a recording that has no transcript: silero-vad finds where somebody speaks, and a model of
    speech recognition, if one is given, what they say.

    Args:
        media: the recording, or a recording for each speaker: {"Alice": "alice.wav", …}.
        model: folder or Hub id of a model for transformers' pipeline "automatic-speech-recognition", such as
            `openai/whisper-small`. Without one the utterances have no text.
        options: as of `load_transcript`; `columns`, `tiers` and `encoding` say nothing here. Speech is found on each
            of the `channels` by itself. Without them all channels are heard together, and without `speakers`, which
            need a `model`, everybody is called `unknown` then. No utterance becomes longer than `max_seconds`.
        language: for a `model` of several languages: the one that is spoken, such as "de". By default such a model
            guesses it anew for each stretch of speech.
        device: device of the model; by default the machine's accelerator.

    Returns:
        The dialogue as `load_transcript` gives it, and what became of the speech that was found.

    Raises:
        DialogueError: no recording, no speech in it, names for channels that it lacks, or a language for a model that
            takes none.
        ImportError: PyAV or silero-vad is not installed.
    """
    speakers, channels = options.speakers, options.channels
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
        for index, (start, end) in enumerate(detector.find(voice, options.max_seconds), 1)
    ]
    if not stretches:
        raise DialogueError(f"{path}: no speech was found; is it the right recording, and loud enough?")
    if model is None:
        transcript = Transcript("speech found by silero-vad", stretches, is_in_order=False)
    else:
        transcript = recognise(stretches, recordings, model, language, device)
    return make_dialogues(transcript, path, recordings, turns, options)


@dataclass(frozen=True)
class _Voice:
    """A source of speech: a recording, or one channel of it."""

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
        raise DialogueError(f"{voice.path}: cannot be decoded ({reason_of(error)})") from None


def _heard(frame: Any, channel: int | None) -> np.ndarray:
    samples = frame.to_ndarray()
    return samples.mean(axis=0) if channel is None else samples[channel]
