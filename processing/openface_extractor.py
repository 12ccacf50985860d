"""The extractor of OpenFace's CSV files: mean and deviation over time of gaze, pose and action units."""

import io
from typing import Any

import numpy as np

from .dialogues import Utterance
from .extractor_base import FeatureExtractor
from .media import MediaError, as_source, check_cut, cut_of
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


class OpenFaceStatistics(FeatureExtractor):
    """98 statistics of OpenFace 2's output for a video: the mean and the standard deviation of each of `COLUMNS`.

    `video` is the path of the CSV file, or its bytes. Frames without success, or of a lower confidence than
    `LEAST_CONFIDENCE`, do not count; of several faces, the one that is seen longest does.
    """

    def extract(self, utterance: Utterance) -> np.ndarray:
        source = as_source(utterance["video"])
        if source is None:
            raise MediaError("'video' must be the path of an OpenFace CSV file")
        try:
            return _statistics(_read(source), *cut_of(utterance))
        except MediaError as error:
            raise MediaError(f"{source if not isinstance(source, bytes) else 'the bytes given'}: {error}") from None


def _read(source: Any) -> Any:
    pandas = import_optional("pandas", None, "video_extractor 'openface'")  # takes long to import
    try:
        table = pandas.read_csv(io.BytesIO(source) if isinstance(source, bytes) else source, skipinitialspace=True)
    except FileNotFoundError:
        raise MediaError("there is no such file") from None
    except (OSError, ValueError) as error:  # the errors of pandas' parser are ValueErrors
        raise MediaError(f"is no OpenFace CSV file ({str(error).splitlines()[0]})") from None
    table.columns = [str(column).strip() for column in table.columns]
    if missing := [column for column in ("timestamp", "success", "confidence", *COLUMNS) if column not in table]:
        raise MediaError(f"is no OpenFace CSV file with gaze, pose and action units: no column {missing[0]!r}")
    return table


def _statistics(table: Any, start: float, end: float | None) -> np.ndarray:
    if not len(table):
        raise MediaError("the file holds no frames")
    if start > 0 or end is not None:
        check_cut(start, end, float(table["timestamp"].max()))
        table = table[(table["timestamp"] >= start) & (table["timestamp"] < (np.inf if end is None else end))]
    table = table[(table["success"] == 1) & (table["confidence"] >= LEAST_CONFIDENCE)]
    if not len(table):
        raise MediaError("no face was found in any frame")
    if "face_id" in table:
        table = table[table["face_id"] == table["face_id"].mode()[0]]
    try:
        values = table[list(COLUMNS)].to_numpy(np.float64)
    except ValueError as error:
        raise MediaError(f"is no OpenFace CSV file ({error})") from None
    return np.concatenate([values.mean(0), values.std(0)]).astype(np.float32)
