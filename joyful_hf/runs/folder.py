"""The folder of a run: whether it holds a finished run, which checkpoint can be resumed, and how it is cleared."""

import json
import shutil
from pathlib import Path

from ..processing.dialogues import DialogueError
from .names import CONFIG_FILES, CONFUSION_MATRIX, FROZEN_STAGE, RUN_SUMMARY, TRAINER_STATE, TRAINING_ARGUMENTS

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
        DialogueError: a finished run, and `overwrite` is False.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise DialogueError(f"`output_dir`: {output_dir} is a file, not a folder")
    if overwrite:
        return None
    checkpoint = last_of_stages(output_dir)
    if (output_dir / _FINISHED).exists() or ((output_dir / _WEIGHTS).exists() and checkpoint is None):
        raise DialogueError(
            f"`output_dir`: {output_dir} holds a finished run; choose another, or give `overwrite_output_dir` to "
            "replace it; `from_checkpoint` goes on from its model in another folder"
        )
    return None if checkpoint is None else str(checkpoint)


def last_checkpoint(output_dir: Path) -> Path | None:
    """Return the checkpoint with the most steps in a folder; one that was not written to its end does not count."""
    return max(filter(_is_complete, _checkpoints(output_dir)), key=_steps_of, default=None)


def last_of_stages(output_dir: Path) -> Path | None:
    """Return the last checkpoint of a run, or that of its first stage (`FROZEN_STAGE`) where the second has none."""
    return last_checkpoint(output_dir) or last_checkpoint(output_dir / FROZEN_STAGE)


def folder_of_weights(folder: Path) -> Path:
    """Return a folder itself, or the best checkpoint in it where a training has left its weights in checkpoints alone.

    Without a best one, it is the checkpoint with the most steps.
    """
    last = last_checkpoint(folder)
    if (folder / CONFIG_FILES[0]).exists() or last is None:
        return folder
    best = json.loads((last / TRAINER_STATE).read_text(encoding="utf-8")).get("best_model_checkpoint")
    chosen = last if best is None else folder / Path(best).name
    return chosen if chosen.is_dir() else last


def _is_complete(checkpoint: Path) -> bool:
    """Whether the file that is written last is whole."""
    try:
        json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _checkpoints(output_dir: Path) -> list[Path]:
    return [folder for folder in output_dir.glob("checkpoint-*") if _steps_of(folder) >= 0]


def _steps_of(checkpoint: Path) -> int:
    steps = checkpoint.name.removeprefix("checkpoint-")
    return int(steps) if steps.isdecimal() else -1


def remove_run(output_dir: Path) -> None:
    """Remove the checkpoints and files of an earlier run, and nothing else from the folder."""
    frozen = output_dir / FROZEN_STAGE
    for checkpoint in (*_checkpoints(output_dir), *_checkpoints(frozen)):
        shutil.rmtree(checkpoint)
    if frozen.is_dir():
        (frozen / TRAINER_STATE).unlink(missing_ok=True)
        if not any(frozen.iterdir()):
            frozen.rmdir()
    for name in reversed(_RUN_FILES):
        (output_dir / name).unlink(missing_ok=True)
