"""The dialogues of a run: read, held out for validation, and extracted."""

import filecmp
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from ..data.dialogue_files import load_dialogues
from ..data.extraction import extract_features
from ..processing import EXTRACTOR_KEYS, DialogueError, EmotionRecognitionProcessor, JoyfulProcessor
from ..processing.labels import REGRESSION, get_label

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


def load_run_data(
    train_file: str,
    validation_file: str | None,
    test_file: str | None,
    seed: int,
    *,
    problem_type: str | None = None,
    columns: Mapping[str, str] | None = None,
    data_root: Path | None = None,
) -> RunData:
    """Read the files; without a validation file, hold out a tenth of the training dialogues.

    Args:
        problem_type: as in transformers, where it is known; by default the labels tell it.
        columns, data_root: as in `load_dialogues`, of every file.

    Raises:
        DialogueError: a file that cannot be read, or too few dialogues to hold one out.
    """
    train = load_dialogues(train_file, None, columns, data_root)
    test = load_dialogues(test_file, "test", columns, data_root) if test_file else None
    sources = {"train": train_file} | ({"test": test_file} if test_file else {})
    _warn_of_one_file_twice({"train_file": train_file, "validation_file": validation_file, "test_file": test_file})
    if validation_file:
        validation = load_dialogues(validation_file, "validation", columns, data_root)
        return RunData(train, validation, test, sources=sources | {"validation": validation_file})
    if len(train) < 2:
        raise DialogueError(
            f"`train_file`: {train_file} has one dialogue, too few to hold out any; give `validation_file`"
        )
    return RunData(*hold_out(train, seed, problem_type=problem_type), test, seed, sources | {"validation": train_file})


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
    device: str | torch.device | None = None,
    processor_class: type[EmotionRecognitionProcessor] = JoyfulProcessor,
) -> RunData:
    """Replace raw media by features, with the extractors that the settings name.

    Args:
        settings: as in `run_training`.
        processor_class: of the family that is to be trained, which says whether it reads vectors or frames.
        num_proc, strict, verbose, cache_dir, device: as in `extract_features`.
    """
    given = {key: settings[key] for key in EXTRACTOR_KEYS.values() if settings.get(key) is not None}
    if not given and processor_class is not JoyfulProcessor:
        return data  # a family from outside may know no extractors
    processor = processor_class(**given)

    def extracted(dialogues: Iterable[Any], name: str) -> Dataset:
        return extract_features(dialogues, processor, num_proc, cache_dir, strict, verbose, name, device)

    return replace(
        data,
        train=extracted(data.train, "training"),
        validation=extracted(data.validation, "validation"),
        test=None if data.test is None else extracted(data.test, "test"),
    )


def hold_out(
    dialogues: Dataset, seed: int, share: float = HELD_OUT_SHARE, problem_type: str | None = None
) -> tuple[Dataset, Dataset]:
    """Split off a random `share` of the dialogues, at least one, for validation: (training, validation).

    A dialogue stays with the training dialogues if it has a label that no other of them has, which the model would
    never learn, or if it has no label at all, which validates nothing. So fewer dialogues may be held out.

    Args:
        problem_type: as in transformers; values are not kept together as classes are.

    Raises:
        DialogueError: no dialogue can be held out.
    """
    order = np.random.default_rng(seed).permutation(len(dialogues))
    size = max(1, round(share * len(dialogues)))
    classes = [_classes_of(labels, problem_type) for labels in _labels_of(dialogues)]
    left = Counter(name for of_dialogue in classes if of_dialogue for name in of_dialogue)
    num_labelled = sum(of_dialogue is not None for of_dialogue in classes)
    held_out: list[int] = []
    for position in order.tolist():
        here = classes[position]
        if len(held_out) == size or here is None or num_labelled == 1 or any(left[name] == 1 for name in here):
            continue
        held_out.append(position)
        left.subtract(here)
        num_labelled -= 1
    if not held_out and not num_labelled:
        held_out = order[:size].tolist()  # whoever needs labels says that there are none
    if not held_out:
        reason = "one dialogue only has labels" if num_labelled == 1 else "each has a label that no other one has"
        raise DialogueError(f"no dialogue can be held out for validation: {reason}; give `validation_file`")
    rest = np.setdiff1d(order, held_out)
    return dialogues.select(rest.tolist()), dialogues.select(sorted(held_out))


def _labels_of(dialogues: Dataset) -> Iterator[list[Any]]:
    """Yield the labels of each dialogue's utterances, None where unknown, without reading anything else."""
    for utterances in dialogues.select_columns("utterances").with_format("arrow")[:].column("utterances"):
        structs = utterances.values
        has_labels = structs is not None and structs.type.get_field_index("label") >= 0
        yield [get_label({"label": label}) for label in structs.field("label").to_pylist()] if has_labels else []


def _classes_of(labels: Iterable[Any], problem_type: str | None) -> set[Any] | None:
    """The classes of a dialogue, none where labels are values; None without a label."""
    known = [label for label in labels if label is not None]
    if not known:
        return None
    if problem_type == REGRESSION:
        return set()
    parts = [part for label in known for part in _parts_of(label)]
    return {part for part in parts if isinstance(part, str | int)}


def _parts_of(label: Any) -> list[Any]:
    """The classes of a label: one, several, or those that have votes."""
    if isinstance(label, dict):
        return [name for name, votes in label.items() if votes > 0]
    return label if isinstance(label, list) else [label]
