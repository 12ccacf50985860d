"""The dialogues of a run: read, held out for validation, and extracted."""

import filecmp
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from ..data.dialogue_files import load_dialogues
from ..data.extraction import extract_features
from ..processing import EXTRACTOR_KEYS, DialogueError, JoyfulProcessor

HELD_OUT_SHARE = 0.1

logger = logging.getLogger(__name__)


@dataclass
class RunData:
    """The dialogues of a run, and where they come from."""

    train: Dataset | list[Any]
    """Records, or what `read_dialogues` made of them."""
    validation: Dataset
    test: Dataset | None
    held_out_seed: int | None = None
    """The seed that drew the validation dialogues from the training file; None where they have a file of their own."""
    sources: dict[str, str] = field(default_factory=dict)
    """Split -> the file or Hub id that it was read from."""

    @property
    def validation_source(self) -> str:
        """A line that says where the validation dialogues come from."""
        count = len(self.validation)
        dialogues = f"{count} dialogue{'' if count == 1 else 's'}"
        if self.held_out_seed is not None:
            return f"{dialogues} held out of {count + len(self.train)} (seed {self.held_out_seed})"
        return f"{dialogues} of {self.sources['validation']}" if "validation" in self.sources else dialogues


def load_run_data(train_file: str, validation_file: str | None, test_file: str | None, seed: int) -> RunData:
    """Read the files; without a validation file, hold out a tenth of the training dialogues.

    Raises:
        DialogueError: a file that cannot be read, or too few dialogues to hold one out.
    """
    train = load_dialogues(train_file)
    test = load_dialogues(test_file, split="test") if test_file else None
    sources = {"train": train_file} | ({"test": test_file} if test_file else {})
    _warn_of_one_file_twice({"train_file": train_file, "validation_file": validation_file, "test_file": test_file})
    if validation_file:
        validation = load_dialogues(validation_file, split="validation")
        return RunData(train, validation, test, sources=sources | {"validation": validation_file})
    if len(train) < 2:
        raise DialogueError(
            f"`train_file`: {train_file} has one dialogue, too few to hold out any; give `validation_file`"
        )
    return RunData(*hold_out(train, seed), test, seed, sources | {"validation": train_file})


def _warn_of_one_file_twice(files: Mapping[str, str | None]) -> None:
    """Warn where a model is to be chosen or scored by the dialogues that it was trained on."""
    given = {name: Path(file).resolve() for name, file in files.items() if file and Path(file).is_file()}
    for first, second in combinations(given, 2):
        if given[first] == given[second] or filecmp.cmp(given[first], given[second], shallow=False):
            logger.warning("%s and %s are the same file: its scores say nothing of new dialogues", first, second)


def extract_run_data(
    data: RunData,
    settings: Mapping[str, Any],
    num_proc: int | None = None,
    strict: bool = False,
    verbose: bool = True,
    cache_dir: str | None = None,
) -> RunData:
    """Replace raw media by features, with the extractors that the settings name.

    Args:
        settings: as in `run_training`.
        num_proc, strict, verbose, cache_dir: as in `extract_features`.
    """
    extractors: dict[str, Any] = {key: settings.get(key) for key in EXTRACTOR_KEYS.values()}
    processor = JoyfulProcessor(**extractors)

    def extracted(dialogues: Iterable[Any], name: str) -> Dataset:
        return extract_features(dialogues, processor, num_proc, cache_dir, strict, verbose, name)

    return replace(
        data,
        train=extracted(data.train, "training"),
        validation=extracted(data.validation, "validation"),
        test=None if data.test is None else extracted(data.test, "test"),
    )


def hold_out(dialogues: Dataset, seed: int, share: float = HELD_OUT_SHARE) -> tuple[Dataset, Dataset]:
    """Split off a random `share` of the dialogues, at least one, for validation: (training, validation)."""
    order = np.random.default_rng(seed).permutation(len(dialogues))
    size = max(1, round(share * len(dialogues)))
    return dialogues.select(sorted(order[size:])), dialogues.select(sorted(order[:size]))
