"""What the page asks of a model: the emotions of a dialogue, why an utterance has its label, and files to keep."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from timeline import reasons_of

from joyful_hf import DialogueError, explain, write_predictions
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.io.messages import counted
from joyful_hf.processing.dialogues import MEDIA_KEYS, MODALITIES, Dialogue, dialogue_name, get_utterances
from joyful_hf.processing.feature_extraction import add_features
from joyful_hf.processing.media_failures import ExtractionFailure

DEVICE_VARIABLE = "JOYFUL_DEVICE"
UTTERANCES_PER_STEP = 16
"""Utterances that are read between two reports of progress."""
MOST_EXPLAINED = 120
"""Utterances around the one to be explained that are hidden one by one; each takes the model a run."""
DOWNLOADS = {".jsonl": "JSONL", ".csv": "CSV", ".srt": "SRT", ".vtt": "VTT", ".TextGrid": "TextGrid", ".eaf": "ELAN"}
"""Suffix -> name of the files that a visitor can keep."""
TIMELESS = (".jsonl", ".csv")
"""Those that need no times."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints that visitors choose from: name on the page -> folder or Hub id."""

    by_name: Mapping[str, str]
    is_free: bool = False
    """Whether visitors may name any other folder or id; for a page that somebody opens for themselves."""

    @classmethod
    def of(cls, checkpoints: Sequence[str], is_free: bool = False) -> "Checkpoints":
        """Name folders by their last two parts: where they lie is nobody's business."""
        names = ["/".join(Path(each).parts[-2:]) if Path(each).is_dir() else each for each in checkpoints]
        return cls(
            {
                name if names.count(name) == 1 else f"{name} ({number})": each
                for number, (name, each) in enumerate(zip(names, checkpoints, strict=True), 1)
            },
            is_free,
        )

    def find(self, name: str | None) -> str:
        """Return the folder or id of a name.

        Raises:
            DialogueError: there is no such name, and visitors may not give any other.
        """
        name = (name or "").strip()
        if name in self.by_name:
            return self.by_name[name]
        if not self.is_free:
            raise DialogueError(f"this page has no model {name!r:.60}; it has {', '.join(self.by_name)}")
        if not name:
            raise DialogueError("which checkpoint? Give a folder on this machine or an id on the Hub")
        return name


@lru_cache(maxsize=2)
def load(checkpoint: str) -> tuple[Any, Any]:
    """Load model and processor, once each."""
    return load_checkpoint(checkpoint, os.environ.get(DEVICE_VARIABLE))


@dataclass(frozen=True)
class Recognised:
    """The state that the page keeps for a visitor, in order to explain a prediction."""

    checkpoint: str
    dialogue: Dialogue
    prediction: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """How far the work is."""

    what: str
    share: float


def recognise(checkpoint: str, dialogue: Dialogue) -> Iterator[Step | tuple[Recognised, list[str]]]:
    """Recognise the emotions of a dialogue: yields steps, and at last the result with notes on how it was read."""
    yield Step("Loading the model", 0.0)
    model, processor = load(checkpoint)
    name = dialogue_name(dialogue, 0)
    given, utterances, failures = get_utterances(dialogue, name), [], []
    total = len(given)
    for first in range(0, total, UTTERANCES_PER_STEP):
        yield Step(f"Reading {counted(total, 'utterance')}", first / total)
        part = given[first : first + UTTERANCES_PER_STEP]
        ((_, read),), failed = add_features(
            [(name, part)], processor.extractors, device=str(model.device), frames=processor.extracts_frames
        )
        utterances += read
        failures += [describe(failure, first) for failure in failed]
    dialogue = {**dialogue, "utterances": utterances}
    present = np.concatenate([example.present for example in processor.encode(dialogue, return_labels=False)])
    reads = list(processor.dims)
    if not present.any():
        raise DialogueError(
            f"this model reads {' and '.join(reads)}, and nothing that it can read was given"
            + "".join(f"; {failure}" for failure in failures)
        )
    yield Step("Recognising", 1.0)
    (prediction,) = model.predict(dialogue, processor)
    counts = dict(zip(MODALITIES, present.sum(0).tolist(), strict=True))
    read_of = ", ".join(
        f"{MEDIA_KEYS[name]} of {'all' if counts[name] == total else counts[name] or 'none'}" for name in reads
    )
    yield Recognised(checkpoint, dialogue, prediction), [f"{counted(total, 'utterance')}; read: {read_of}", *failures]


def describe(failure: ExtractionFailure, first: int = 0) -> str:
    """Say what could not be read and was left out, in a dialogue whose utterances were read from `first` on."""
    number = first + int(failure.place.rpartition("[")[2].rstrip("]")) + 1
    what = MEDIA_KEYS[failure.modality]
    return f"{Path(failure.medium).name} cannot be read: {failure.reason}; utterance {number} is used without {what}"


def explain_label(recognised: Recognised, index: int) -> dict[str, Any]:
    """Return what the timeline shows of why an utterance got its label, among the utterances around it."""
    first = max(0, index - MOST_EXPLAINED // 2)
    part = recognised.dialogue["utterances"][first : first + MOST_EXPLAINED]
    model, processor = load(recognised.checkpoint)
    explanation = explain(model, processor, {**recognised.dialogue, "utterances": part}, index - first)
    return reasons_of(explanation, recognised.prediction, index, first)


def write_downloads(prediction: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Write a prediction in every format that can hold it, and return suffix -> file."""
    stem = re.sub(r"[^\w.-]+", "_", str(prediction.get("dialogue_id") or "dialogue"))[:60].strip("._") or "dialogue"
    files = {suffix: folder / f"{stem}-emotions{suffix}" for suffix in DOWNLOADS}
    written = {}
    for suffix, file in files.items():
        try:
            write_predictions(prediction, file)
        except DialogueError:
            if suffix in TIMELESS:
                raise
            continue  # subtitles and tiers of utterances without times
        written[suffix] = str(file)
    return written
