"""The folder of a run: whether it holds a finished run, which checkpoint can be resumed, and how it is cleared."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from ..io.disk import check_writable
from ..processing.dialogue_error import DialogueError
from .manifest import ends_with_the_best, find_damage, find_missing
from .names import (
    CONFIG_FILES,
    CONFUSION_MATRIX,
    FROZEN_STAGE,
    RUN_SUMMARY,
    TRAINER_STATE,
    TRAINING_ARGUMENTS,
    UNFINISHED,
)

logger = logging.getLogger(__name__)

_FINISHED = "train_results.json"
_WEIGHTS = "model.safetensors"
# The files that a run leaves beside checkpoints. The first two mark it as finished: they are removed last.
_RUN_FILES = (
    _FINISHED,
    _WEIGHTS,
    "config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    TRAINING_ARGUMENTS,
    RUN_SUMMARY,
    f"{CONFUSION_MATRIX}.png",
    f"{CONFUSION_MATRIX}.svg",
    TRAINER_STATE,
    "all_results.json",
    "eval_results.json",
    "test_results.json",
)


def prepare_output_dir(output_dir: Path, overwrite: bool) -> str | None:
    """Refuse a folder that holds a finished run, unless it may be overwritten, and find where to resume.

    Nothing is changed here: an earlier run is removed (`remove_run`) when everything else has been checked.

    Returns:
        The checkpoint of an interrupted run, or None for a fresh start.

    Raises:
        DialogueError: a finished run, and `overwrite` is False; no checkpoint from which an interrupted one can go
            on; a folder that cannot be written.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise DialogueError(f"`output_dir`: {output_dir} is a file, not a folder")
    check_writable(output_dir)
    if overwrite:
        return None
    is_finished = (output_dir / _FINISHED).exists()
    checkpoint = None if is_finished else checkpoint_of_stages(output_dir)
    if is_finished or ((output_dir / _WEIGHTS).exists() and checkpoint is None):
        raise DialogueError(
            f"`output_dir`: {output_dir} holds a finished run; choose another, or give `overwrite_output_dir` to "
            "replace it; `from_checkpoint` goes on from its model in another folder"
        )
    return None if checkpoint is None else str(checkpoint)


def last_checkpoint(output_dir: Path) -> Path | None:
    """Return the checkpoint with the most steps in a folder; one that is damaged is passed over with a warning."""
    return _newest(output_dir, find_damage)[0]


def checkpoint_to_resume(output_dir: Path) -> Path | None:
    """Return the newest checkpoint of a folder from which its run can go on; None if there is no checkpoint.

    Those that are damaged, or whose best checkpoint is, are passed over with a warning.

    Raises:
        DialogueError: there are checkpoints, and a run can go on from none of them.
    """
    for unfinished in sorted((output_dir / UNFINISHED).glob("*")):
        logger.warning("%s was not written to its end, and is not used", output_dir / unfinished.name)
    found, faults = _newest(output_dir, _find_fault)
    if found is None and faults:
        listed = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        raise DialogueError(
            f"`output_dir`: {output_dir} holds an interrupted run that cannot go on from any checkpoint ({listed}); "
            "choose another folder, or give `overwrite_output_dir` to begin again"
        )
    return found


def check_resumable(checkpoint: Path) -> None:
    """Refuse a checkpoint from which a run would not go on as it was.

    Raises:
        DialogueError: a file in it, or in the best checkpoint that it names, is damaged or missing.
    """
    if fault := _find_fault(checkpoint):
        raise DialogueError(f"{checkpoint}: the run cannot go on from it: {fault}")


def best_checkpoint(checkpoint: Path) -> Path | None:
    """Return the best checkpoint that one of the same run names, beside it; None if it names none."""
    best = json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8")).get("best_model_checkpoint")
    # The folder of the run may have been moved, or may be named from elsewhere.
    return None if best is None else checkpoint.parent / Path(best).name


def _newest(output_dir: Path, find: Callable[[Path], str | None]) -> tuple[Path | None, dict[str, str]]:
    """The newest checkpoint without a fault, and the faults of those that are newer."""
    faults = {}
    for checkpoint in sorted(_checkpoints(output_dir), key=_steps_of, reverse=True):
        fault = find(checkpoint)
        if fault is None:
            for name, of_newer in faults.items():
                logger.warning("%s is not used: %s; %s is", output_dir / name, of_newer, checkpoint.name)
            return checkpoint, faults
        faults[checkpoint.name] = fault
    return None, faults


def _find_fault(checkpoint: Path) -> str | None:
    """Return why a run cannot go on from a checkpoint; None if it can."""
    fault = find_damage(checkpoint) or find_missing(checkpoint)
    if fault is not None or not ends_with_the_best(checkpoint):
        return fault
    best = best_checkpoint(checkpoint)
    if best is None or best.name == checkpoint.name:
        return None
    fault = find_damage(best) if best.is_dir() else "is missing"
    return None if fault is None else f"of {best.name}, the best one so far, {fault}"


def checkpoint_of_stages(output_dir: Path) -> Path | None:
    """As `checkpoint_to_resume`; of the first stage (`FROZEN_STAGE`) where the second has no checkpoint."""
    return checkpoint_to_resume(output_dir) or checkpoint_to_resume(output_dir / FROZEN_STAGE)


def folder_of_weights(folder: Path) -> Path:
    """Return a folder itself, or the best checkpoint in it where a training has left its weights in checkpoints alone.

    Without a best one, it is the checkpoint with the most steps.
    """
    last = last_checkpoint(folder)
    if (folder / CONFIG_FILES[0]).exists() or last is None:
        return folder
    best = best_checkpoint(last)
    return best if best is not None and best.is_dir() else last


def rotate(newest: Path, limit: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints beside the newest, so that `limit` are left; None or 0 keeps all.

    Those of later steps, which the run has gone back behind, go first. The newest and the best one stay.
    """
    if not limit or limit < 0:
        return
    kept = {newest.name} | ({Path(best).name} if best else set())
    others = [checkpoint for checkpoint in _checkpoints(newest.parent) if checkpoint.name not in kept]
    others.sort(key=lambda checkpoint: (_steps_of(checkpoint) < _steps_of(newest), _steps_of(checkpoint)))
    for checkpoint in others[: max(0, len(others) + len(kept) - max(limit, len(kept)))]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def _checkpoints(output_dir: Path) -> list[Path]:
    return [folder for folder in output_dir.glob("checkpoint-*") if _steps_of(folder) >= 0]


def _steps_of(checkpoint: Path) -> int:
    steps = checkpoint.name.removeprefix("checkpoint-")
    return int(steps) if steps.isdecimal() else -1


def remove_run(output_dir: Path) -> None:
    """Remove the checkpoints and files of an earlier run, and nothing else from the folder."""
    frozen = output_dir / FROZEN_STAGE
    unfinished = (output_dir / UNFINISHED, frozen / UNFINISHED)
    for folder in (*_checkpoints(output_dir), *_checkpoints(frozen), *unfinished):
        shutil.rmtree(folder, ignore_errors=not folder.exists())
    if frozen.is_dir():
        (frozen / TRAINER_STATE).unlink(missing_ok=True)
        if not any(frozen.iterdir()):
            frozen.rmdir()
    for name in reversed(_RUN_FILES):
        (output_dir / name).unlink(missing_ok=True)
