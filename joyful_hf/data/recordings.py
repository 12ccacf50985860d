"""`load_recordings`: read a folder of clips as dialogues, one utterance per file."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value

from ..processing import DialogueError

AUDIO_SUFFIXES = frozenset((".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus"))
VIDEO_SUFFIXES = frozenset((".mp4", ".mkv", ".webm", ".mov", ".avi"))

_KEYS = ("speaker", "text", "audio", "video")
_FEATURES = Features({"dialogue_id": Value("string"), "utterances": List({key: Value("string") for key in _KEYS})})
_SPEAKER = re.compile(r"\d+_(.+)")


def load_recordings(folder: str | Path) -> Dataset:
    """Read a folder of audio and video clips as dialogues.

    Each folder with clips, at any depth, is a dialogue, and each clip an utterance, in natural order (`2.wav` before
    `10.wav`).

    `01_Ross.wav` is spoken by Ross, a clip with any other kind of name by `speaker`. `01_Ross.txt` beside a clip is
    its text. Audio and video of the same name are one utterance.

    Returns:
        A data set of `{"dialogue_id", "utterances": [{"speaker", "text", "audio", "video"}, ...]}`; the id is the
        folder's path below `folder`, or the name of `folder` itself.

    Raises:
        DialogueError: there is no clip, or a text is not UTF-8.
    """
    root = Path(folder)
    clips: dict[Path, dict[str, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    for path in find_recordings(root):
        kind = "audio" if path.suffix.lower() in AUDIO_SUFFIXES else "video"
        clip = clips[path.parent][path.stem]
        if kind in clip:
            raise DialogueError(f"{path}: {clip[kind].name} has the same name; one utterance has one {kind} file")
        clip[kind] = path
    if not clips:
        raise DialogueError(f"{root}: no audio and no video file in this folder")
    dialogues = [
        {
            "dialogue_id": root.resolve().name if parent == root else parent.relative_to(root).as_posix(),
            "utterances": [
                _utterance(parent, stem, clips[parent][stem]) for stem in sorted(clips[parent], key=_natural)
            ],
        }
        for parent in sorted(clips, key=lambda parent: _natural(str(parent)))
    ]
    return Dataset.from_list(dialogues, features=_FEATURES)


def is_recording(path: str | Path) -> bool:
    """Return whether this is an audio or video file."""
    path = Path(path)
    return path.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES and path.is_file()


def find_recordings(folder: Path) -> list[Path]:
    """Return the audio and video files of a folder, at any depth, without hidden ones."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _utterance(folder: Path, stem: str, files: dict[str, Path]) -> dict[str, Any]:
    named = _SPEAKER.fullmatch(stem)
    return {
        "speaker": named.group(1) if named else "speaker",
        "text": _text_of(folder / f"{stem}.txt"),
        **{kind: str(files[kind]) if kind in files else None for kind in ("audio", "video")},
    }


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None
    except UnicodeDecodeError:
        raise DialogueError(f"{path}: the text is not UTF-8") from None


def _natural(name: str) -> list[Any]:
    """Return a key that sorts numbers in a name by value: text and numbers alternate, text first."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", name)]
