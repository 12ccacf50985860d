"""`load_recordings`: read a folder of clips as dialogues, one utterance per file."""

import codecs
import logging
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value

from ..io.messages import counted, listed
from ..processing import DialogueError

# What the FFmpeg inside PyAV decodes, and recorders, phones and cameras write.
_SOUNDS = "wav wave w64 flac mp3 mp2 m4a m4b aac ogg oga opus weba wma amr awb aif aiff aifc au snd caf mka ac3 wv"
_VIDEOS = "mp4 m4v mkv webm mov qt avi 3gp 3gpp 3g2 mpg mpeg flv f4v ts mts m2ts wmv asf ogv vob mxf"
AUDIO_SUFFIXES = frozenset(f".{kind}" for kind in _SOUNDS.split())
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _VIDEOS.split())

_KEYS = ("speaker", "text", "audio", "video")
_FEATURES = Features({"dialogue_id": Value("string"), "utterances": List({key: Value("string") for key in _KEYS})})
_SPEAKER = re.compile(r"\d+_(.+)")

logger = logging.getLogger(__name__)


def load_recordings(folder: str | Path, without: Collection[Path] = ()) -> Dataset:
    """Read a folder of audio and video clips as dialogues.

    Each folder with clips, at any depth, is a dialogue, and each clip an utterance, in natural order (`2.wav` before
    `10.wav`).

    `01_Ross.wav` is spoken by Ross, a clip with any other kind of name by `speaker`. `01_Ross.txt` beside a clip is
    its text. Audio and video of the same name are one utterance. Whatever else lies beside the clips is
    named in a warning.

    Args:
        folder: the folder.
        without: files in it that are not read, such as recordings that have a transcript of their own.

    Returns:
        A data set of `{"dialogue_id", "utterances": [{"speaker", "text", "audio", "video"}, ...]}`; the id is the
        folder's path below `folder`, or the name of `folder` itself.

    Raises:
        DialogueError: there is no clip, or a text is neither UTF-8 nor UTF-16.
    """
    root = Path(folder)
    clips: dict[Path, dict[str, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    for path in find_recordings(root):
        if path in without:
            continue
        kind = "audio" if path.suffix.lower() in AUDIO_SUFFIXES else "video"
        clip = clips[path.parent][path.stem]
        if kind in clip:
            raise DialogueError(f"{path}: {clip[kind].name} has the same name; one utterance has one {kind} file")
        clip[kind] = path
    if not clips:
        raise DialogueError(f"{root}: no audio and no video file in this folder")
    texts = {path.with_suffix(path.suffix.lower()): path for path in _files_of(root) if _is_text(path)}
    read = {texts.get(parent / f"{stem}.txt") for parent, of_parent in clips.items() for stem in of_parent}
    _warn_of_others(root, [path for path in _files_of(root) if path not in {*read, *without} and not _is_clip(path)])
    dialogues = [
        {
            "dialogue_id": root.resolve().name if parent == root else parent.relative_to(root).as_posix(),
            "utterances": [
                _utterance(stem, clips[parent][stem], texts.get(parent / f"{stem}.txt"))
                for stem in sorted(clips[parent], key=_natural)
            ],
        }
        for parent in sorted(clips, key=lambda parent: _natural(str(parent)))
    ]
    return Dataset.from_list(dialogues, features=_FEATURES)


def is_recording(path: str | Path) -> bool:
    """Return whether this is an audio or video file."""
    return _is_clip(Path(path)) and Path(path).is_file()


def find_recordings(folder: Path) -> list[Path]:
    """Return the audio and video files of a folder, at any depth, without hidden ones."""
    return [path for path in _files_of(folder) if _is_clip(path)]


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _files_of(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _warn_of_others(folder: Path, others: list[Path]) -> None:
    if others:
        names = listed([path.relative_to(folder).as_posix() for path in others], most=10)
        are = "is" if len(others) == 1 else "are"
        logger.warning("%s: %s %s no clip and not read: %s", folder, counted(len(others), "file"), are, names)


def _utterance(stem: str, files: dict[str, Path], text: Path | None) -> dict[str, Any]:
    named = _SPEAKER.fullmatch(stem)
    return {
        "speaker": named.group(1) if named else "speaker",
        "text": None if text is None else _text_of(text),
        **{kind: str(files[kind]) if kind in files else None for kind in ("audio", "video")},
    }


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    # Windows marks its texts: the mark belongs to none of their words.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return "\n".join(data.decode(encoding).strip().splitlines())
    except UnicodeDecodeError:
        raise DialogueError(f"{path}: the text is not UTF-8") from None


def _natural(name: str) -> list[Any]:
    """Return a key that sorts numbers in a name by value: text and numbers alternate, text first."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", name)]
