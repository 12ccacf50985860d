"""Predictions of many dialogues, part by part: what a run that was killed has finished is not done again.

A part is a fixed number of dialogues, so that batches, and with them every bit of the scores, are the same whether a
run was interrupted or not, and on how many machines it was divided.
"""

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..io.files import read_json, write_json, written_whole
from ..io.shards import shard_name
from ..processing import DialogueError
from ..processing.dialogues import Dialogue
from .stored_predictions import StoredPredictions
from .writing import write_jsonl

_LEAST_DIALOGUES, _MOST_DIALOGUES = 16, 1024
"""Dialogues of a part: enough to fill a batch, few enough for any memory."""
_USUAL_PARTS = 64
_FACTS = "run.json"
_PART = re.compile(r"\d{9,}\.jsonl(\.part)?")


@dataclass(frozen=True)
class Share:
    """The dialogues that one of several machines works on: a whole number of parts, in the order of the data."""

    num_dialogues: int
    """The number for all machines together."""
    number: int = 1
    """The machine's own number, from 1."""
    count: int = 1
    """The number of machines."""

    @classmethod
    def parse(cls, text: str, num_dialogues: int) -> "Share":
        """Read `2/8`, the second of eight.

        Raises:
            DialogueError: it is something else.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise DialogueError(f"`shard`: {text!r} is not of the form 2/8, the second of eight, counted from 1")
        return cls(num_dialogues, int(number), int(count))

    @property
    def part_size(self) -> int:
        """Dialogues of a part, which do not depend on the number of machines."""
        return min(max(-(-self.num_dialogues // _USUAL_PARTS), _LEAST_DIALOGUES), _MOST_DIALOGUES)

    @property
    def rows(self) -> range:
        """Positions of this machine's dialogues."""
        parts = -(-self.num_dialogues // self.part_size)
        first, end = ((number * parts) // self.count for number in (self.number - 1, self.number))
        return range(min(first * self.part_size, self.num_dialogues), min(end * self.part_size, self.num_dialogues))

    @property
    def parts(self) -> list[range]:
        """Positions of the dialogues of each part."""
        return [self.rows[first : first + self.part_size] for first in range(0, len(self.rows), self.part_size)]

    def file(self, path: Path) -> Path:
        """Return the name of this machine's file: `found-00002-of-00008.jsonl`, or the name itself on a single one."""
        if self.count == 1:
            return path
        return path.with_name(shard_name(path.stem, self.number, self.count) + path.suffix)


class PredictionParts:
    """The parts of a run, each in a file in the folder `found.jsonl.parts` until the last one is there.

    Args:
        output: the file that they will make.
        share: the dialogues.
        facts: what the predictions depend on; parts of a run with other facts are not used.
    """

    def __init__(self, output: Path, share: Share, facts: Mapping[str, Any]) -> None:
        self.folder = output.with_name(f"{output.name}.parts")
        self.share = share
        self._facts = json.loads(json.dumps({**facts, "rows": [share.rows.start, share.rows.stop]}))

    def prepare(self, overwrite: bool) -> int:
        """Find what an interrupted run has left, or make the folder, and return how many dialogues are finished.

        Args:
            overwrite: whether to remove what another run has left.

        Raises:
            DialogueError: there are parts of another run, or the disk cannot be written.
        """
        if self.folder.exists():
            kept = read_json(self.folder / _FACTS) if (self.folder / _FACTS).exists() else None
            if kept != self._facts:
                changed = sorted(key for key in self._facts if kept is not None and kept.get(key) != self._facts[key])
                if not overwrite and kept is not None:
                    raise DialogueError(
                        f"{self.folder}: holds the finished parts of an interrupted run, of which "
                        f"{', '.join(changed) or 'the version'} differ; give `overwrite` to begin anew, or another "
                        "name for the output"
                    )
                self.remove()
        write_json(self._facts, self.folder / _FACTS)
        return sum(len(part) for part in self.share.parts if self._file(part).exists())

    def todo(self) -> list[range]:
        """Return the parts that are not finished."""
        return [part for part in self.share.parts if not self._file(part).exists()]

    def finish(self, part: range, predictions: list[Dialogue]) -> None:
        """Keep the predictions of a part."""
        with written_whole(self._file(part)) as file:
            write_jsonl(predictions, file)

    @cached_property
    def predictions(self) -> StoredPredictions:
        """The predictions of all parts, in order."""
        files = [self._file(part) for part in self.share.parts]
        return StoredPredictions(files, len(self.share.rows), self.share.rows.start)

    @contextmanager
    def kept_for_later(self) -> Generator[None, None, None]:
        """Remove the folder if the block fails before any part is finished that another run could go on from."""
        try:
            yield
        except BaseException:
            if len(self.share.parts) <= 1 or len(self.todo()) == len(self.share.parts):
                self.remove()
            raise

    def remove(self) -> None:
        """Remove the parts, and the folder if there is nothing else in it."""
        for path in self.folder.glob("*"):
            if path.name.removesuffix(".part") == _FACTS or _PART.fullmatch(path.name):
                path.unlink()
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _file(self, part: range) -> Path:
        return self.folder / f"{part.start:09d}.jsonl"


def stamp_of(path: str | Path) -> list[Any]:
    """Return what tells whether the files behind a path have changed: their sizes, and when they were written."""
    folder = Path(path)
    files = sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else [folder]
    states = [(file.name, file.stat()) for file in files if file.is_file()]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]
