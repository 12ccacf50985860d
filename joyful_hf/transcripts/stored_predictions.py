"""Predictions in files, one after the other: they may be gone through any number of times, and are never in memory."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..processing.dialogues import Dialogue


class StoredPredictions(Sequence[Dialogue]):
    """Predictions of dialogues in JSONL files.

    Args:
        files: one after the other.
        num_dialogues: how many dialogues they hold.
        first_position: position of the first dialogue, where these are part of a longer list.
    """

    def __init__(self, files: Sequence[Path], num_dialogues: int, first_position: int = 0) -> None:
        self.files = files
        self.first_position = first_position
        self._num_dialogues = num_dialogues

    def __len__(self) -> int:
        return self._num_dialogues

    def lines(self) -> Iterator[str]:
        """Yield each dialogue as it is written, with the end of its line."""
        for path in self.files:
            with path.open(encoding="utf-8", newline="\n") as file:
                yield from file

    def __iter__(self) -> Iterator[Dialogue]:
        return map(json.loads, self.lines())

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]
