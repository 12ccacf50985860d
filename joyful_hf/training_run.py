"""One training run: files in, a folder with a checkpoint and its results out. What `joyful train` does."""

import difflib
import inspect
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import get_last_checkpoint

from .dialogue_files import load_dialogues
from .families import FAMILIES, Family
from .processing import DialogueError, summarize_dialogues
from .progress import EpochLines
from .trainer import EncodedDialogues, JoyfulTrainer
from .training_args import JoyfulTrainingArguments

HELD_OUT_SHARE = 0.1
_RESULT_FILES = ("all_results.json", "train_results.json", "eval_results.json", "test_results.json")
_FINISHED = ("train_results.json", "model.safetensors")


@dataclass
class RunData:
    """The dialogues of a run, and a line that says where validation comes from."""

    train: Dataset
    validation: Dataset
    test: Dataset | None
    validation_source: str


def load_run_data(train_file: str, validation_file: str | None, test_file: str | None, seed: int) -> RunData:
    """Read the files; without a validation file, hold out a tenth of the training dialogues.

    Raises:
        DialogueError: a file that cannot be read, or too few dialogues to hold one out.
    """
    train = load_dialogues(train_file)
    test = load_dialogues(test_file, split="test") if test_file else None
    if validation_file:
        validation = load_dialogues(validation_file, split="validation")
        return RunData(train, validation, test, f"{len(validation)} dialogues of {validation_file}")
    if len(train) < 2:
        raise DialogueError(f"{train_file}: one dialogue is too few to hold out any; give --validation-file")
    train, validation = hold_out(train, seed)
    source = (
        f"{len(validation)} dialogues held out of {len(train) + len(validation)} (no --validation-file; seed {seed})"
    )
    return RunData(train, validation, test, source)


def hold_out(dialogues: Dataset, seed: int, share: float = HELD_OUT_SHARE) -> tuple[Dataset, Dataset]:
    """Training and validation dialogues: a random `share` of them, at least one, is for validation."""
    order = np.random.default_rng(seed).permutation(len(dialogues))
    size = max(1, round(share * len(dialogues)))
    return dialogues.select(sorted(order[size:])), dialogues.select(sorted(order[:size]))


def prepare_output_dir(output_dir: Path, overwrite: bool) -> str | None:
    """Refuse a folder that holds a finished run, empty it if told to, and find where to resume.

    Returns:
        The checkpoint of an interrupted run, or None for a fresh start.

    Raises:
        DialogueError: a finished run, and `overwrite` is False.
    """
    if not output_dir.exists():
        return None
    if not output_dir.is_dir():
        raise DialogueError(f"{output_dir}: is a file, not a folder")
    if overwrite:
        for checkpoint in output_dir.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        for name in (*_RESULT_FILES, *_FINISHED, "trainer_state.json"):
            (output_dir / name).unlink(missing_ok=True)
        return None
    if (output_dir / _FINISHED[0]).exists() or (
        (output_dir / _FINISHED[1]).exists() and get_last_checkpoint(str(output_dir)) is None
    ):
        raise DialogueError(
            f"{output_dir}: holds a finished run; choose another --output-dir, or --overwrite-output-dir to replace it"
        )
    return get_last_checkpoint(str(output_dir))


def split_settings(family: Family, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort the settings of `--config-json` into those of the config and those of the processor; some are of both.

    Raises:
        DialogueError: a setting that neither knows, with the nearest that one of them does.
    """
    of_config = {field.name for field in fields(family.config_class)} | {"num_labels"}  # type: ignore[arg-type]
    of_processor = set(inspect.signature(family.processor_class).parameters)
    for name in settings:
        if name not in of_config | of_processor:
            nearest = difflib.get_close_matches(name, of_config | of_processor, n=3)
            hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
            raise DialogueError(f"--config-json: unknown setting {name!r}{hint}")
    return (
        {name: value for name, value in settings.items() if name in of_config},
        {name: value for name, value in settings.items() if name in of_processor},
    )


def make_model_and_processor(
    family: Family, preset: str | None, settings: dict[str, Any], data: RunData
) -> tuple[Any, Any]:
    """A fresh model and a processor fitted to the training dialogues.

    Raises:
        DialogueError: an unknown preset or setting, or bad dialogues.
    """
    if preset is not None and preset not in family.presets:
        raise DialogueError(f"--preset: unknown preset {preset!r}; choose from {', '.join(family.presets)}")
    config_settings, processor_settings = split_settings(family, settings)
    if preset is not None:
        # The published relations, with room for the dialogues of every file.
        parts = [part for part in (data.train, data.validation, data.test) if part is not None]
        most = max(summarize_dialogues(part).max_speakers for part in parts)
        processor_settings = {"relation_scheme": "speaker_pair", "max_speakers": max(2, most)} | processor_settings
    processor = family.processor_class.from_dialogues(data.train, **processor_settings)
    make_config = getattr(family.config_class, preset) if preset else family.config_class
    config = make_config(**(processor.model_kwargs() | config_settings))
    return family.model_class(config), processor


def run_training(
    args: JoyfulTrainingArguments,
    data: RunData,
    model_name: str = "joyful",
    preset: str | None = None,
    settings: dict[str, Any] | None = None,
    resume_from: str | None = None,
) -> dict[str, float]:
    """Train, validate and test; leave checkpoint and results in `args.output_dir`.

    Everything that is read is checked before the first step.

    Returns:
        The metrics of the best checkpoint on validation: `eval_...`, and `test_...` where there is a test set.

    Raises:
        DialogueError: bad input.
    """
    if model_name not in FAMILIES:
        raise DialogueError(f"--model: unknown model {model_name!r}; choose from {', '.join(FAMILIES)}")
    set_seed(args.seed)
    model, processor = make_model_and_processor(FAMILIES[model_name], preset, settings or {}, data)
    test = None if data.test is None else EncodedDialogues(data.test, processor)
    trainer = JoyfulTrainer(
        model=model,
        args=args,
        train_dataset=data.train,
        eval_dataset=data.validation,
        processing_class=processor,
    )
    _require_labels("the training dialogues", trainer.train_dataset.encoded)
    _require_labels("the validation dialogues", trainer.eval_dataset.encoded)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(EpochLines())
    if trainer.is_world_process_zero():
        print(f"training:   {summarize_dialogues(data.train)}")
        print(f"validation: {data.validation_source}")
        print(f"model:      {model_name}, {model.num_parameters():,} parameters, on {args.device}")
        if resume_from:
            print(f"resuming from {resume_from}")

    outcome = trainer.train(resume_from_checkpoint=resume_from)
    trainer.save_model()
    trainer.save_state()
    metrics = trainer.evaluate()
    trainer.save_metrics("eval", metrics)
    if test is not None:
        tested = trainer.evaluate(test, metric_key_prefix="test")
        trainer.save_metrics("test", tested)
        metrics |= tested
    # Last: this file marks the run as finished.
    trainer.save_metrics("train", outcome.metrics)
    return metrics


def _require_labels(which: str, encoded: Iterable[Any]) -> None:
    if not any(dialogue.has_labels for dialogue in encoded):
        raise DialogueError(f"not one utterance of {which} has a label")
