"""The toy corpus as raw media: written sentences, voices and drawn faces, in files as users have them.

Dialogues, speakers and emotions are those of `make_toy_corpus`. The media show what its features show of an emotion,
noise included:

- text, how pleasant: a sentence with a word between "terrible" and "wonderful";
- audio, how excited: syllables of a synthetic voice, the more excited the higher and the louder;
- video, how close: a face that is large where the speaker approaches and small where the speaker withdraws. Its
  mouth and brows show how pleasant the words are, but less reliably than the words do.

Nothing else in the media depends on the emotion. The best possible accuracy on the features of `make_toy_corpus`, with
the same sizes and seed, is therefore a ceiling on the media too: `joyful_hf.toy.corpus.best_possible_accuracy`.
"""

import wave
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from datasets import DatasetDict

from ..data.dialogue_files import load_dialogues
from ..data.jsonl import write_dialogues
from ..processing.optional_imports import import_optional
from .corpus import MODALITIES, make_toy_corpus, part_direction

SAMPLING_RATE = 16000
NUM_PICTURES = 8
PICTURE_SIZE = 64

_PICTURES_PER_SECOND = 10

_OPENERS = ("Well,", "You know,", "I must say,", "Honestly,", "As I said,", "Look,")
_TOPICS = ("the evening", "the meeting", "your letter", "our trip", "the news", "this dinner", "the plan", "my day")
_WORDS = (
    ("terrible", "awful", "horrible", "dreadful"),
    ("bad", "sad", "hard", "unfair"),
    ("dull", "odd", "slow", "a bit much"),
    ("fine", "all right", "decent", "quite useful"),
    ("good", "nice", "pleasant", "kind"),
    ("wonderful", "great", "lovely", "perfect"),
)
"""From the most unpleasant to the most pleasant grade; a sentence has any word of its grade."""
_GRADES = (-1.0, -0.4, 0.0, 0.4, 1.0)  # how pleasant it must be for the next grade

# Per unit of excitement, in which the two kinds of emotions lie 2 apart.
_SEMITONES, _DECIBELS = 2.5, 3.5
_SYLLABLES = (3, 5)  # fewest and most
_SYLLABLE_SECONDS = 0.18
_PAUSE_SECONDS = 0.5  # between the utterances of a joined dialogue
_HARMONICS = np.arange(1, 19)
_CYCLE = np.sin(2 * np.pi * np.outer(np.linspace(0, 1, 513), _HARMONICS)) @ (1 / _HARMONICS)  # one cycle of the voice

# Standard deviation of the noise that makes a face less reliable than the words.
_FACE_NOISE = 1.0
_ROWS, _COLUMNS = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float32)
_SKIN = np.array([240, 200, 165], np.float32)
_INK = np.array([40, 25, 25], np.float32)


@dataclass(frozen=True)
class Speaker:
    """The voice and the looks of a speaker, whatever the emotion."""

    pitch: float  # Hz, neither excited nor quiet
    skin: np.ndarray  # (3,) of 0 to 255
    background: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Draw a speaker."""
        return cls(
            pitch=rng.uniform(110, 190),
            skin=np.float32(rng.uniform(0.9, 1.0)) * _SKIN,
            background=rng.uniform(50, 90, 3).astype(np.float32),
        )


def make_toy_media_corpus(
    folder: str | Path, num_train: int = 90, num_validation: int = 15, num_test: int = 30, seed: int = 0
) -> DatasetDict:
    """Make the toy corpus as raw media: the splits train, validation and test, one dialogue per row.

    The folder gets `<split>.jsonl`, which every command reads, and one folder of recordings per dialogue,
    `<split>/<dialogue>/`, as `load_recordings` reads it: `01_Anna.wav` (0.5 to 1 s of sound at 16 kHz), `01_Anna.mp4`
    (8 pictures of 64 x 64) and `01_Anna.txt`; 35 kB in all. Files of these names are replaced.

    The same seed gives the same media, and a larger split starts with the dialogues of a smaller one.

    Args:
        folder: created if it is missing.
        num_train, num_validation, num_test: number of dialogues in each split. The default is 2200 utterances: 20 s
            to make and as long to extract features from, on one CPU core.
        seed: seed of the draw.

    Returns:
        A `DatasetDict`; a row is `{"dialogue_id": …, "utterances": [{"speaker", "text", "audio", "video", "label"},
        …]}`, where `audio` and `video` are paths.

    Raises:
        ImportError: PyAV is not installed.
    """
    import_optional("av", "media", "making the toy corpus of raw media")
    root = Path(folder)
    splits = make_toy_corpus(num_train, num_validation, num_test, seed)
    for number, (split, dialogues) in enumerate(splits.items()):
        made = [
            _make_dialogue(dialogue, root, str(split), np.random.default_rng((seed, number, index)))
            for index, dialogue in enumerate(dialogues)
        ]
        write_dialogues(made, root / f"{split}.jsonl")
    return DatasetDict({split: load_dialogues(root / f"{split}.jsonl") for split in map(str, splits)})


def _make_dialogue(dialogue: Mapping[str, Any], root: Path, split: str, rng: np.random.Generator) -> dict[str, Any]:
    """Write the media of a dialogue, and return its record with paths below `root`."""
    folder = Path(split) / dialogue["dialogue_id"]
    (root / folder).mkdir(parents=True, exist_ok=True)
    speakers: dict[str, Speaker] = {}
    utterances = []
    for position, utterance in enumerate(dialogue["utterances"], 1):
        name = utterance["speaker"]
        if name not in speakers:
            speakers[name] = Speaker.drawn(rng)
        speaker = speakers[name]
        pleasant, excited, close = (_shown(utterance, modality) for modality in MODALITIES)
        text = write_sentence(pleasant, rng)
        files = {suffix: folder / f"{position:02}_{name}.{suffix}" for suffix in ("txt", "wav", "mp4")}
        (root / files["txt"]).write_text(f"{text}\n", encoding="utf-8")
        _write_sound(root / files["wav"], speak(excited, speaker.pitch, rng))
        smile = pleasant + rng.normal(0, _FACE_NOISE)
        _write_pictures(root / files["mp4"], draw_face(smile, close, speaker, rng))
        utterances.append(
            {
                "speaker": name,
                "text": text,
                "audio": files["wav"].as_posix(),
                "video": files["mp4"].as_posix(),
                "label": utterance["label"],
            }
        )
    return {"dialogue_id": dialogue["dialogue_id"], "utterances": utterances}


def join_toy_dialogue(dialogue: Mapping[str, Any], folder: str | Path) -> tuple[Path, Path]:
    """Join the clips of a dialogue into one recording, as a meeting is recorded, and write its transcript.

    Args:
        dialogue: a dialogue of `make_toy_media_corpus`.
        folder: gets `<dialogue_id>.wav` and `<dialogue_id>.srt`; files of these names are replaced.

    Returns:
        The paths of the recording and of the transcript.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    pause = np.zeros(round(_PAUSE_SECONDS * SAMPLING_RATE))
    pieces, cues, at = [pause], [], len(pause)
    for number, utterance in enumerate(dialogue["utterances"], 1):
        sound = _read_sound(Path(utterance["audio"]))
        start, end = (_clock(samples / SAMPLING_RATE) for samples in (at, at + len(sound)))
        cues.append(f"{number}\n{start} --> {end}\n{utterance['speaker']}: {utterance['text']}\n")
        pieces += [sound, pause]
        at += len(sound) + len(pause)
    recording, transcript = (root / f"{dialogue['dialogue_id']}.{suffix}" for suffix in ("wav", "srt"))
    _write_sound(recording, np.concatenate(pieces))
    transcript.write_text("\n".join(cues), encoding="utf-8")
    return recording, transcript


def _clock(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{milliseconds:03}"


def _shown(utterance: Mapping[str, Any], modality: str) -> float:
    """Return what the features of a modality show of the emotion, around +1 or -1; the rest of them is noise."""
    return float(np.asarray(utterance[f"{modality}_features"]) @ part_direction(modality))


def write_sentence(pleasant: float, rng: np.random.Generator) -> str:
    """Return a sentence that is as pleasant as this."""
    opener, topic, word = (
        str(rng.choice(choices)) for choices in (_OPENERS, _TOPICS, _WORDS[bisect(_GRADES, pleasant)])
    )
    return f"{opener} {topic} was {word}."


def speak(excited: float, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """Return syllables of a voice in a little noise: (samples,) at 16 kHz, between -1 and 1.

    Args:
        excited: raises the voice and its energy.
        pitch: pitch of the speaker in Hz where `excited` is 0.
    """
    syllables = int(rng.integers(_SYLLABLES[0], _SYLLABLES[1] + 1))
    seconds = syllables * _SYLLABLE_SECONDS * rng.uniform(0.9, 1.1)
    times = np.linspace(0, 1, round(seconds * SAMPLING_RATE), endpoint=False)
    intonation = np.sin(2 * np.pi * (times * rng.uniform(0.5, 1.5) + rng.random()))
    semitones = _SEMITONES * excited + rng.normal(0, 0.5) + intonation
    cycles = np.cumsum(pitch * 2 ** (semitones / 12)) / SAMPLING_RATE
    voice = np.interp(cycles % 1, np.linspace(0, 1, len(_CYCLE)), _CYCLE)
    voice *= np.abs(np.sin(np.pi * syllables * times))
    decibels = -28 + _DECIBELS * excited + rng.normal(0, 1)
    voice *= 10 ** (decibels / 20) / np.sqrt(np.mean(voice**2))
    return np.clip(voice + rng.normal(0, 1e-3, len(voice)), -1, 1)


def draw_face(pleasant: float, close: float, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Return a face that moves a little: (pictures, height, width, 3) uint8.

    Args:
        pleasant: bends the corners of the mouth up and raises the brows; below 0 they go down and slant inwards.
        close: makes the face larger.
    """
    each = (NUM_PICTURES, 1, 1)
    radius = np.float32(np.clip(20 + 2.5 * close + rng.normal(0, 0.5), 11, 30))
    middle = (PICTURE_SIZE - 1) / 2 + rng.normal(0, 1, 2)
    # A radius is 1; up and left of the face's middle are below 0.
    across, down = (
        (places - (centre + rng.normal(0, 0.4, each)).astype(np.float32)) / radius
        for places, centre in zip((_COLUMNS, _ROWS), middle, strict=True)
    )
    smile = (np.tanh(0.8 * pleasant) + rng.normal(0, 0.05, each)).astype(np.float32)
    from_nose = np.abs(across)
    along = from_nose - 0.36  # an eye and its brow, from the middle of the eye outwards

    head = _inside(1 - np.sqrt(across**2 + down**2), radius)
    eyes = 0.11 - np.sqrt(along**2 + (down + 0.12) ** 2)
    mouth_height = 0.5 - 0.3 * smile * ((across / 0.5) ** 2 - 0.5)
    mouth = np.minimum(0.09 - np.abs(down - mouth_height), 0.5 - from_nose)
    brow_height = -0.45 - 0.1 * smile + 0.6 * np.minimum(smile, 0) * along + 2 * np.maximum(smile, 0) * along**2
    brows = np.minimum(0.08 - np.abs(down - brow_height), 0.22 - np.abs(along))
    ink = _inside(np.maximum(np.maximum(eyes, mouth), brows), radius)

    pictures = speaker.background + head * (speaker.skin - speaker.background)
    pictures += ink * (_INK - pictures)
    pictures *= np.float32(rng.uniform(0.9, 1.05))
    pictures += 4 * rng.standard_normal(head.shape, np.float32)
    return np.clip(pictures, 0, 255).astype(np.uint8)


def _inside(distance: np.ndarray, radius: np.floating) -> np.ndarray:
    """Return how much of each pixel is inside a shape, (pictures, height, width, 1), given its depth in radii."""
    return np.clip(distance * radius + np.float32(0.5), 0, 1)[..., None]


def _write_sound(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def _read_sound(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def _write_pictures(path: Path, pictures: np.ndarray) -> None:
    import av

    reformat = _reformatter().reformat
    with av.open(f"file:{path}", "w") as container:
        stream: Any = container.add_stream("libx264", rate=_PICTURES_PER_SECOND, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = PICTURE_SIZE, PICTURE_SIZE, "yuv420p"
        stream.thread_count = 1
        frames = [
            reformat(av.VideoFrame.from_ndarray(picture, format="rgb24"), format="yuv420p") for picture in pictures
        ]
        for frame in [*frames, None]:
            container.mux(stream.encode(frame))


@cache
def _reformatter() -> Any:
    """Return one converter for all pictures: each starts threads, which takes longer than the conversion."""
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()
