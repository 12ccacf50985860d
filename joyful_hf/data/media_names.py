"""The names of recordings in predictions: features have taken the place of the recordings themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset

from .columns import MEDIA_FILE_KEYS
from .extraction_jobs import utterances_of


def name_media(predictions: Sequence[Mapping[str, Any]], dialogues: Any) -> None:
    """Write the names of `audio` and `video` files into the predictions for the dialogues, where they are missing.

    Args:
        dialogues: those that were predicted, before their features were extracted.
    """
    if not isinstance(dialogues, Dataset):
        return
    predicted = [utterance for dialogue in predictions for utterance in dialogue["utterances"]]
    for key in sorted(MEDIA_FILE_KEYS):
        for utterance, path in zip(predicted, _paths_of(dialogues, key), strict=False):
            if path and utterance.get(key) is None:
                utterance[key] = Path(path).name


def _paths_of(dialogues: Dataset, key: str) -> list[str | None]:
    """Return the path of a medium of each utterance; nothing if there are none, or no paths."""
    paths: list[str | None] = []
    for structs in utterances_of(dialogues):
        at = structs.type.get_field_index(key)
        values = structs.field(at) if at >= 0 else None
        if values is not None and pa.types.is_struct(values.type):
            at = values.type.get_field_index("path")
            values = values.field(at) if at >= 0 else None
        has_paths = values is not None and (pa.types.is_string(values.type) or pa.types.is_large_string(values.type))
        paths += values.to_pylist() if has_paths else [None] * len(structs)
    return paths
