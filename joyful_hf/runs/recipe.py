"""Read the folder of a training run, and check that several runs differ only in the seed."""

import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from huggingface_hub.errors import StrictDataclassError

from ..families import Family, family_of
from ..io.files import read_json
from ..processing import DialogueError, EmotionRecognitionProcessor
from .names import RUN_SUMMARY
from .summary import DataSummary, RunSummary

# Two runs of one recipe may differ in what is learnt, the seed, where a run lies, and what wrote its files.
_OF_ONE_RUN = {
    *("class_weights", "calibration_temperature", "feature_statistics", "modality_weights", "set_by_training"),
    *("seed", "data_seed", "output_dir", "logging_dir", "run_name", "report_to", "push_to_hub"),
    *("transformers_version", "processor_class", "auto_map"),
}
_NAMED_DIFFERENCES = 3
_SPLITS = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class RunFolder:
    """A checkpoint folder as a model card reads it."""

    folder: Path
    family: Family
    config: Any
    """The model's configuration."""
    has_code: bool
    """Whether the folder brings the code that loads it (`auto_map`)."""
    parameters: dict[str, Any]
    """Parameters of the processor, defaults included."""
    summary: RunSummary | None
    """None without a `run_summary.json`."""

    @classmethod
    def read(cls, folder: str | Path, needs_processor: bool = True) -> Self:
        """Read the configurations and the summary; the weights are not read.

        Args:
            needs_processor: False reads a folder without a processor as one whose processor has its defaults.

        Raises:
            DialogueError: a file that is missing, is not JSON, or is something else.
        """
        folder = Path(folder)
        fields = _read_json(folder / "config.json", "the model's configuration")
        processor = _read_json(folder / "processor_config.json", "the processor") if needs_processor else {}
        family = family_of(fields.get("model_type"), str(folder))
        try:
            config = family.config_class.from_dict(dict(fields))
        except (StrictDataclassError, ValueError, TypeError) as error:
            raise DialogueError(f"{folder / 'config.json'}: {error.__cause__ or error}") from None
        run = cls(
            folder=folder,
            family=family,
            config=config,
            has_code="auto_map" in fields,
            parameters=_defaults(family) | processor,
            summary=RunSummary.read(folder),
        )
        if run.preset is not None and run.preset not in run.family.presets:
            known = ", ".join(run.family.presets)
            raise DialogueError(f"{folder / RUN_SUMMARY}: unknown preset {run.preset!r}; {family.name} has {known}")
        return run

    @cached_property
    def processor(self) -> EmotionRecognitionProcessor:
        """The processor itself, loaded when it is first asked for.

        Raises:
            DialogueError: it cannot be loaded.
        """
        try:
            return self.family.processor_class.from_pretrained(self.folder)
        except (OSError, ValueError, TypeError) as error:
            raise DialogueError(f"{self.folder}: the processor cannot be loaded ({error})") from None

    @property
    def preset(self) -> str | None:
        """The published form of the family that the model has; None for the recommended one, or if it is not known."""
        return None if self.summary is None else self.summary.preset

    @property
    def results(self) -> dict[str, dict[str, float]]:
        """Split -> its scores; {} where nothing is known."""
        return {} if self.summary is None else self.summary.results

    def recipe(self) -> dict[str, Any]:
        """Everything that two runs of one recipe have in common, as plain JSON: name -> value."""
        assert self.summary is not None
        config, parameters, arguments = (
            {name: value for name, value in given.items() if name not in _OF_ONE_RUN and not name.startswith("hub_")}
            for given in (self.config.to_dict(), self.parameters, self.summary.training_arguments)
        )
        recipe = {
            "family": self.family.name,
            "preset": self.preset,
            "splits that were scored": sorted(self.results),
            **config,
            **{f"processor's {name}": value for name, value in parameters.items()},
            **arguments,
            **_data_of(self.summary),
        }
        return json.loads(json.dumps(recipe))


def check_same_recipe(runs: Sequence[RunFolder]) -> None:
    """Refuse runs that differ in more than their seed.

    Raises:
        DialogueError: such a run, with what differs; a run without a summary; or a seed that comes twice.
    """
    seeds = [_known_summary(run).seed for run in runs]
    first, *others = runs
    recipe = first.recipe()
    for position, run in enumerate(others, 1):
        differences = list(_differences(recipe, run.recipe()))
        if differences:
            more = len(differences) - _NAMED_DIFFERENCES
            listed = "; ".join(differences[:_NAMED_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
            raise DialogueError(
                f"{run.folder}: differs from the card's run in more than the seed: {listed}; "
                "mean and standard deviation are taken over runs of one recipe"
            )
        if seeds[position] in seeds[:position]:
            raise DialogueError(
                f"{run.folder}: has the seed {seeds[position]}, as another of these runs has; give each run once"
            )


def _known_summary(run: RunFolder) -> RunSummary:
    if run.summary is None:
        raise DialogueError(
            f"{run.folder}: {RUN_SUMMARY} is missing, so nothing is known of its recipe and its scores; "
            "leave this run out"
        )
    return run.summary


def _differences(recipe: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for name in sorted(recipe.keys() | other.keys()):
        here, there = (json.dumps(given.get(name), ensure_ascii=False, sort_keys=True) for given in (other, recipe))
        if here != there:
            values = f" ({here}, not {there})"
            yield name + (values if len(values) < 80 else "")


def _data_of(summary: RunSummary) -> dict[str, Any]:
    """The counts of the dialogues; where the seed draws those held out, training and validation count as one."""
    parts: dict[str, Any] = {name: asdict(part) for name, part in summary.splits.items()}
    if summary.validation_is_held_out and summary.train is not None and summary.validation is not None:
        parts |= {"train": _joined(summary.train, summary.validation), "validation": None}
    return {f"{name} data": parts.get(split) for split, name in _SPLITS.items()}


def _joined(train: DataSummary, validation: DataSummary) -> dict[str, Any]:
    def added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
        return {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}

    return {
        "source": train.source,
        "num_dialogues": train.num_dialogues + validation.num_dialogues,
        "num_utterances": train.num_utterances + validation.num_utterances,
        "label_counts": added(train.label_counts, validation.label_counts),
        "modality_counts": added(train.modality_counts, validation.modality_counts),
    }


def _defaults(family: Family) -> dict[str, Any]:
    parameters = inspect.signature(family.processor_class).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "tokenizer"}


def _read_json(file: Path, what: str) -> dict[str, Any]:
    if not file.is_file():
        raise DialogueError(f"{file.parent}: {file.name} ({what}) is missing; is this the folder of a checkpoint?")
    return read_json(file)
