"""Names for a data set of which only a path or a Hub id is known."""

import re
from pathlib import PurePath

from .markdown import one_line

_SPLIT_WORDS = ("train", "training", "test", "testing", "dev", "valid", "validation", "val", "eval")
_SPLIT = re.compile(rf"(?:^|[._-])(?:{'|'.join(_SPLIT_WORDS)})(?:-\d+-of-\d+)?(?=$|[._-])", re.IGNORECASE)
_DATA_SUFFIX = re.compile(r"\.(?:jsonl|ndjson|json|parquet)$", re.IGNORECASE)
_LONGEST_ID = 96


def dataset_name_of(source: str) -> str:
    """Name a data set after its file, folder or Hub id: `data/meld/test.parquet` -> `meld`."""
    parts = [part for part in PurePath(source.replace("\\", "/")).parts if part.strip("/.")]
    if not parts:
        return one_line(source) or "unknown"
    if not _DATA_SUFFIX.search(parts[-1]):  # a Hub id or a folder
        return "/".join(parts) if len(parts) <= 2 and not source.startswith(("/", ".")) else parts[-1]
    stem = _SPLIT.sub("", _DATA_SUFFIX.sub("", parts[-1])).strip("._-")
    if stem:
        return stem
    return parts[-2] if len(parts) > 1 else parts[-1]


def dataset_id(name: str) -> str:
    """Make an id that the Hub accepts, as near to the name as possible: `MELD (7 emotions)` -> `MELD-7-emotions`."""
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "-", part) for part in name.split("/", 1)]
    parts = [re.sub(r"([.-])[.-]+", r"\1", part).strip("-.") for part in parts]
    joined = "/".join(part for part in parts if part)[:_LONGEST_ID].rstrip("-./")
    return joined.removesuffix(".git") or "dataset"
