"""The words of stretches of speech, by a model of transformers' speech recognition."""

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import pipeline

from ..processing.devices import choose_device
from ..processing.dialogues import DialogueError
from ..processing.waveforms import waveforms_of_all
from .recording import Media
from .segments import Segment, Transcript, Word

_WHISPER = "seq2seq_whisper"


def recognise(
    stretches: Sequence[Segment], media: Media, model: str, language: str | None, device: str | torch.device | None
) -> Transcript:
    """Return the words of each stretch of speech, with their times in the recording.

    Raises:
        DialogueError: a `language` for a model that takes none, or that it does not know.
    """
    recognizer: Any = pipeline("automatic-speech-recognition", model=model, device=choose_device(device))
    has_times = _gives_word_times(recognizer)
    notes = [] if has_times else [f"{model}: gives no times of words; who speaks is found for each stretch as a whole"]
    settings: dict[str, Any] = {"return_timestamps": "word"} if has_times else {}
    if language is not None:
        _check_language(recognizer, model, language)
        settings["generate_kwargs"] = {"language": language}
    sounds = _sounds_of(stretches, media, recognizer.feature_extractor.sampling_rate)
    shown = tqdm(stretches, desc="recognising words", unit="stretch", leave=False, dynamic_ncols=True, disable=None)
    with _quiet_generation():
        segments = [
            _with_words(stretch, recognizer(sound, **settings)) for stretch, sound in zip(shown, sounds, strict=True)
        ]
    return Transcript(f"transcribed with {model}", segments, is_in_order=False, notes=notes)


def _check_language(recognizer: Any, model: str, language: str) -> None:
    known = getattr(recognizer.model.generation_config, "lang_to_id", None) or {}
    if recognizer.type != _WHISPER or not known:
        raise DialogueError(f"`language`: {model} is a model of one language; leave it out")
    names = [name.strip("<|>") for name in known]
    if language not in names:
        raise DialogueError(f"`language`: {model} knows no {language!r}; it knows {', '.join(sorted(names))}")


def _gives_word_times(recognizer: Any) -> bool:
    """Whether a model tells the times of words: by its steps, or by attention heads that are known to follow them."""
    if recognizer.type == _WHISPER:
        return getattr(recognizer.model.generation_config, "alignment_heads", None) is not None
    return recognizer.type.startswith("ctc")


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


def _sounds_of(stretches: Sequence[Segment], media: Media, rate: int) -> Iterator[dict[str, Any]]:
    """Yield the sound of each stretch as the pipeline takes it; a recording is read once for all of its own."""
    utterances = []
    for stretch in stretches:
        recording = media.recording_of(stretch.speaker)
        assert recording is not None, "speech was found in it"
        start, end = stretch.times
        utterances.append({"audio": str(recording.path), "start": start, "end": end, "channel": stretch.channel})
    for waveform in waveforms_of_all(utterances, rate):
        if not isinstance(waveform, np.ndarray):
            raise DialogueError(str(waveform))
        yield {"raw": waveform, "sampling_rate": rate}


def _with_words(stretch: Segment, found: Mapping[str, Any]) -> Segment:
    start, end = stretch.times
    words = [_word(chunk, start, end) for chunk in found.get("chunks", ())]
    return Segment(start, end, found["text"].strip(), stretch.speaker, words, stretch.channel, stretch.place)


def _word(chunk: Mapping[str, Any], start: float, end: float) -> Word:
    first, last = (None if time is None else min(start + time, end) for time in chunk["timestamp"])
    return Word(chunk["text"], first, last)
