"""What a training run left in its folder, and whether several runs differ in nothing but the seed."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from huggingface_hub.errors import StrictDataclassError

from ..families import Family, family_of
from ..io.files import read_json
from ..processing import DialogueError, EmotionRecognitionProcessor
from .names import HELD_OUT, RUN_SUMMARY

_SUMMARY_KEYS = {"seed", "train", "validation", "test", "chosen_by", "results", "training_arguments"}
# What may differ between two runs of one recipe: what is learnt, the seed, where a run lies, and who wrote its files.
_OF_ONE_RUN = {
    *("class_weights", "calibration_temperature", "feature_statistics", "modality_weights"),
    *("seed", "data_seed", "output_dir", "logging_dir", "run_name", "report_to", "push_to_hub"),
    *("transformers_version", "processor_class", "auto_map"),
}
_NAMED_DIFFERENCES = 3


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
    """Of the processor, defaults included."""
    summary: dict[str, Any] | None
    """What `run_summary.json` holds, or None without one."""

    @classmethod
    def read(cls, folder: str | Path, needs_processor: bool = True) -> Self:
        """Read the configurations and the summary; the weights are not read.

        Args:
            needs_processor: False reads a folder without a processor as one whose processor has its defaults.

        Raises:
            DialogueError: a file that is missing, is not JSON, or is of something else.
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
            summary=_read_summary(folder / RUN_SUMMARY),
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
        return (self.summary or {}).get("preset")

    @property
    def labels(self) -> list[str]:
        """Names of the classes, in the model's order; none for regression."""
        if self.config.problem_type == "regression":
            return []
        return [str(self.config.id2label[index]) for index in range(self.config.num_labels)]

    @property
    def results(self) -> dict[str, dict[str, float]]:
        """Split -> its scores; {} where nothing is known."""
        return (self.summary or {}).get("results") or {}

    def recipe(self) -> dict[str, Any]:
        """Everything that two runs of one recipe have in common, as plain JSON: name -> value."""
        assert self.summary is not None
        config, parameters, arguments = (
            {name: value for name, value in given.items() if name not in _OF_ONE_RUN and not name.startswith("hub_")}
            for given in (self.config.to_dict(), self.parameters, self.summary["training_arguments"])
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


def is_held_out(summary: Mapping[str, Any]) -> bool:
    """Whether `joyful train` drew the validation dialogues from the training file."""
    return str((summary["validation"] or {}).get("source")).startswith(HELD_OUT)


def check_same_recipe(runs: Sequence[RunFolder]) -> None:
    """Refuse runs that differ in more than their seed.

    Raises:
        DialogueError: such a run, with what differs; a run without a summary; or a seed that comes twice.
    """
    for run in runs:
        if run.summary is None:
            raise DialogueError(
                f"{run.folder}: {RUN_SUMMARY} is missing, so nothing is known of its recipe and its scores; "
                "leave this run out"
            )
    first, *others = runs
    seeds = {first.summary["seed"]} if first.summary else set()
    recipe = first.recipe()
    for run in others:
        differences = list(_differences(recipe, run.recipe()))
        if differences:
            more = len(differences) - _NAMED_DIFFERENCES
            listed = "; ".join(differences[:_NAMED_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
            raise DialogueError(
                f"{run.folder}: differs from the card's run in more than the seed: {listed}; "
                "mean and spread are of runs of one recipe"
            )
        seed = run.summary["seed"] if run.summary else None
        if seed in seeds:
            raise DialogueError(f"{run.folder}: has the seed {seed}, as another of these runs has; give each run once")
        seeds.add(seed)


def _differences(recipe: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for name in sorted(recipe.keys() | other.keys()):
        one, two = (json.dumps(which.get(name), ensure_ascii=False, sort_keys=True) for which in (other, recipe))
        if one != two:
            values = f" ({one}, not {two})"
            yield name + (values if len(values) < 80 else "")


def _data_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the dialogues; where the seed draws those held out, training and validation are one."""
    train, validation = summary["train"], summary["validation"]
    if is_held_out(summary) and train:
        train, validation = _joined(train, validation), None
    parts = {"training": train, "validation": validation, "test": summary["test"]}
    return {f"{name} data": part for name, part in parts.items()}


def _joined(train: Mapping[str, Any], validation: Mapping[str, Any]) -> dict[str, Any]:
    sums = {name: train[name] + validation[name] for name in ("num_dialogues", "num_utterances")}
    for name in ("label_counts", "modality_counts"):
        keys = train[name].keys() | validation[name].keys()
        sums[name] = {key: train[name].get(key, 0) + validation[name].get(key, 0) for key in keys}
    return {"source": train["source"], **sums}


def _defaults(family: Family) -> dict[str, Any]:
    parameters = inspect.signature(family.processor_class).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "tokenizer"}


def _read_summary(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    summary = _read_json(file, "the summary of the run")
    missing = _SUMMARY_KEYS - summary.keys()
    if missing:
        raise DialogueError(
            f"{file}: lacks {', '.join(sorted(missing))}; is it of another version of joyful_hf? "
            "Without this file, the card goes without training and scores"
        )
    return summary


def _read_json(file: Path, what: str) -> dict[str, Any]:
    if not file.is_file():
        raise DialogueError(f"{file.parent}: {file.name} ({what}) is missing; is this the folder of a checkpoint?")
    return read_json(file)
