"""What the tests of the command line share."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

from tests.support.helpers import LABELS
from tests.support.training import SMALL_SETTINGS

SCORES = {"weighted_f1", "accuracy", "unweighted_accuracy", "ece", *(f"f1_{label}" for label in LABELS)}


def train_options(
    files: dict[str, Path], output_dir: str | Path, settings: dict[str, Any] | None = None, **options: Any
) -> list[Any]:
    """`joyful train` on the small files with a small model; `num_epochs=2` becomes `--num-epochs 2`."""
    options = {"config_json": json.dumps(SMALL_SETTINGS | (settings or {})), "num_train_epochs": 1} | options
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    return ["train", "--train-file", files["train"], "--output-dir", output_dir, *given]


def bytes_of(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder, to see whether something has changed."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The records of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


class Terminal(StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True
