"""The extractor of OpenFace's CSV files: mean and deviation over time of gaze, pose and action units."""

import io
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from .dialogues import Utterance
from .extractor_base import FeatureExtractor
from .media import MediaError, Source, as_source, check_cut, cut_of, medium_name
from .optional_imports import import_optional

_ACTION_UNITS = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26", "45")
COLUMNS = (
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *("gaze_angle_x", "gaze_angle_y"),
    *(f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz"),
    *(f"AU{unit}_r" for unit in _ACTION_UNITS),
    *(f"AU{unit}_c" for unit in sorted((*_ACTION_UNITS, "28"))),
)
"""The columns that are read: gaze (8), pose of the head (6), action units' intensity (17) and presence (18)."""

LEAST_CONFIDENCE = 0.5
"""Confidence of a frame that counts; OpenFace must have called it a success, too."""


_MOST_TABLES = 4


class OpenFaceStatistics(FeatureExtractor):
    """98 statistics of OpenFace 2's output for a video: the mean and the standard deviation of each of `COLUMNS`.

    `video` is the path of the CSV file, or its bytes. Frames without success, or of a lower confidence than
    `LEAST_CONFIDENCE`, do not count. Of several faces, the one counts whose `face_id` is the utterance's `face`;
    without it, the one that is seen longest, and of several that are seen as long, the one that OpenFace is surest of.
    """

    def read(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[Any]:
        """Yield the frames of each utterance; a file of many is read once."""
        tables: dict[Source, Any] = {}
        for utterance in utterances:
            source = as_source(utterance["video"])
            if source is None:
                yield MediaError("'video' must be the path of an OpenFace CSV file")
                continue
            try:
                if source not in tables:
                    if len(tables) == _MOST_TABLES:
                        del tables[next(iter(tables))]
                    tables[source] = _read(source)
                yield _face_of(_frames_of(tables[source], *cut_of(utterance)), utterance.get("face"))
            except MediaError as error:
                yield MediaError(f"{medium_name(source)}: {error}")

    def encode(self, medium: Any) -> np.ndarray:
        """Return the statistics of frames."""
        values = medium[list(COLUMNS)].to_numpy(np.float64)
        return np.concatenate([values.mean(0), values.std(0)]).astype(np.float32)


def _read(source: Any) -> Any:
    pandas = import_optional("pandas", None, "video_extractor 'openface'")  # takes long to import
    try:
        table = pandas.read_csv(io.BytesIO(source) if isinstance(source, bytes) else source, skipinitialspace=True)
    except FileNotFoundError:
        raise MediaError("there is no such file") from None
    except (OSError, ValueError) as error:  # the errors of pandas' parser are ValueErrors
        raise MediaError(f"is no OpenFace CSV file ({str(error).splitlines()[0]})") from None
    table.columns = [str(column).strip() for column in table.columns]
    needed = ("timestamp", "success", "confidence", *COLUMNS)
    if missing := [column for column in needed if column not in table]:
        raise MediaError(f"is no OpenFace CSV file with gaze, pose and action units: no column {missing[0]!r}")
    try:
        return table[[*needed, *(["face_id"] if "face_id" in table else [])]].astype(np.float64)
    except ValueError as error:
        raise MediaError(f"is no OpenFace CSV file ({error})") from None


def _frames_of(table: Any, start: float, end: float | None) -> Any:
    """Return the rows of a cut in which a face was found."""
    if not len(table):
        raise MediaError("the file holds no frames")
    if start > 0 or end is not None:
        check_cut(start, end, float(table["timestamp"].max()))
        table = table[(table["timestamp"] >= start) & (table["timestamp"] < (np.inf if end is None else end))]
    table = table[(table["success"] == 1) & (table["confidence"] >= LEAST_CONFIDENCE)]
    if not len(table):
        raise MediaError("no face was found in any frame")
    return table


def _face_of(table: Any, face: Any) -> Any:
    """Return the rows of one face."""
    if face is not None and (not isinstance(face, Integral) or isinstance(face, bool)):
        raise MediaError(f"'face' must be a face_id of OpenFace, got {face!r:.60}")
    if "face_id" not in table:
        if face:
            raise MediaError(f"'face' is {face}, and the file tells no faces apart: it has no column 'face_id'")
        return table
    if face is None:
        seen = table.groupby("face_id")["confidence"].agg(["count", "mean"])
        face = seen.sort_values(["count", "mean"], ascending=False, kind="stable").index[0]
    found = table[table["face_id"] == face]
    if not len(found):
        seen_ids = ", ".join(f"{each:g}" for each in sorted(table["face_id"].unique()))
        raise MediaError(f"'face' is {face}, which is not seen in this time (faces seen: {seen_ids})")
    return found
