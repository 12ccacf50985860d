"""Extracted vectors on disk, so that no medium is read again in another run or after an interruption."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .dialogues import Utterance
from .encoder_layers import split_layers
from .media import as_source, audio_of

logger = logging.getLogger(__name__)

# Part of every name: a new number forgets the vectors of a version that read media in another way.
_READING = 4


class FeatureCache:
    """One small file per vector, named by a hash of everything that the vector depends on.

    These are: path, size and time of change of a file on disk; the content of bytes, arrays and texts; the name of an
    extractor with its revision and layers, and the files of an extractor in a folder.

    Args:
        folder: made when the first vector is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_writable = True
        self._stamps: dict[str, str] = {}

    def key(self, utterance: Utterance, modality: str, extractor: str, frames: bool = False) -> str | None:
        """Return the name of an utterance's vector; None where a vector is not worth a file, or there is no medium.

        Args:
            frames: whether it is the name of a sequence of frames.
        """
        if extractor == "hashing":  # faster than reading a file
            return None
        if extractor not in self._stamps:
            self._stamps[extractor] = _stamp_of_folder(Path(split_layers(extractor)[0]))
        digest = hashlib.sha256(f"{_READING}\0{modality}\0{extractor}\0{self._stamps[extractor]}\0".encode())
        if frames:
            digest.update(b"frames\0")
        if modality == "text":
            digest.update(str(utterance.get("text")).encode(errors="surrogatepass"))
        else:
            medium = audio_of(utterance) if modality == "audio" else utterance.get("video")
            digest.update(f"{utterance.get('start')}\0{utterance.get('end')}\0".encode())
            if modality == "audio" and utterance.get("channel") is not None:
                digest.update(f"channel {utterance['channel']}\0".encode())
            if modality == "visual" and utterance.get("face") is not None:
                digest.update(f"face {utterance['face']}\0".encode())
            try:
                _add_medium(digest, medium)
            except (OSError, ValueError, TypeError, RuntimeError):  # the extractor says what is wrong with it
                return None
        return digest.hexdigest()

    def get(self, key: str) -> np.ndarray | None:
        """Return the vector of this name, or None."""
        try:
            return np.load(self._path(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or not whole
            return None

    def put(self, key: str, vector: np.ndarray) -> None:
        """Keep a vector; another process may do so at the same time.

        A folder that cannot be written, or a disk that is full, is warned of once, and costs nothing but the cache.
        """
        if not self._is_writable:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
                np.save(file, vector, allow_pickle=False)
            os.replace(file.name, path)
        except OSError as error:
            self._is_writable = False
            logger.warning(
                "the cache of features, %s, cannot be written (%s), and the features are not kept; set HF_HOME to a "
                "folder that can be written to keep them",
                *(self.folder, error.strerror or error),
            )

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npy"


def _add_medium(digest: Any, medium: Any) -> None:
    source = as_source(medium)
    if isinstance(source, Path):
        state = source.stat()
        digest.update(f"{source.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode())
    elif source is not None:
        digest.update(source)
    else:
        rate = medium.get("sampling_rate") if isinstance(medium, Mapping) else None
        array = np.ascontiguousarray(medium["array"] if isinstance(medium, Mapping) else medium)
        digest.update(f"{rate}\0{array.shape}\0{array.dtype}\0".encode())
        digest.update(array.data)


def _stamp_of_folder(folder: Path) -> str:
    if not folder.is_dir():
        return ""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "\0".join(f"{path}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}" for path in files)
