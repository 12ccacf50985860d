"""The dialogues of a run: read, held out for validation, and extracted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from ..data.dialogue_files import load_dialogues
from ..data.extraction import extract_features
from ..processing import EXTRACTOR_KEYS, DialogueError, JoyfulProcessor
from ..runs.names import HELD_OUT

HELD_OUT_SHARE = 0.1


@dataclass
class RunData:
    """The dialogues of a run, and a line that says where validation comes from."""

    train: Dataset | list[Any]
    """Records, or what `read_dialogues` made of them."""
    validation: Dataset
    test: Dataset | None
    validation_source: str
    sources: dict[str, str] = field(default_factory=dict)
    """Split -> what a model card calls its data."""


def load_run_data(train_file: str, validation_file: str | None, test_file: str | None, seed: int) -> RunData:
    """Read the files; without a validation file, hold out a tenth of the training dialogues.

    Raises:
        DialogueError: a file that cannot be read, or too few dialogues to hold one out.
    """
    train = load_dialogues(train_file)
    test = load_dialogues(test_file, split="test") if test_file else None
    sources = {"train": train_file} | ({"test": test_file} if test_file else {})
    if validation_file:
        validation = load_dialogues(validation_file, split="validation")
        sources["validation"] = validation_file
        return RunData(train, validation, test, f"{len(validation)} dialogues of {validation_file}", sources)
    if len(train) < 2:
        raise DialogueError(f"{train_file}: one dialogue is too few to hold out any; give --validation-file")
    train, validation = hold_out(train, seed)
    source = (
        f"{len(validation)} dialogues held out of {len(train) + len(validation)} (no --validation-file; seed {seed})"
    )
    sources["validation"] = f"{HELD_OUT}{Path(train_file).name}"
    return RunData(train, validation, test, source, sources)


def extract_run_data(
    data: RunData,
    settings: Mapping[str, Any],
    num_proc: int | None = None,
    strict: bool = False,
    verbose: bool = True,
    cache_dir: str | None = None,
) -> RunData:
    """The same dialogues with features in place of raw media, by the extractors that the settings name.

    Args:
        settings: as of `run_training`.
        num_proc, strict, verbose, cache_dir: as of `extract_features`.
    """
    extractors: dict[str, Any] = {key: settings.get(key) for key in EXTRACTOR_KEYS.values()}
    processor = JoyfulProcessor(**extractors)

    def extracted(dialogues: Iterable[Any], name: str) -> Dataset:
        return extract_features(dialogues, processor, num_proc, cache_dir, strict, verbose, name)

    return RunData(
        train=extracted(data.train, "training"),
        validation=extracted(data.validation, "validation"),
        test=None if data.test is None else extracted(data.test, "test"),
        validation_source=data.validation_source,
        sources=data.sources,
    )


def hold_out(dialogues: Dataset, seed: int, share: float = HELD_OUT_SHARE) -> tuple[Dataset, Dataset]:
    """Training and validation dialogues: a random `share` of them, at least one, is for validation."""
    order = np.random.default_rng(seed).permutation(len(dialogues))
    size = max(1, round(share * len(dialogues)))
    return dialogues.select(sorted(order[size:])), dialogues.select(sorted(order[:size]))
