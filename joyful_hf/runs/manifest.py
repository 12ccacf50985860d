"""The manifest of a checkpoint, written last: with it, a checkpoint is known to be whole, and unchanged since."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..io.files import write_json
from .names import MANIFEST, TRAINER_STATE, TRAINING_ARGUMENTS

_AT_ONCE = 1 << 20
# The parts of a checkpoint that a run goes on from, each by the patterns of its files, of which one is enough.
# FSDP and DeepSpeed keep some of them in folders.
_WEIGHTS = ("model*.safetensors", "adapter_model*.safetensors", "pytorch_model*", "global_step*")
_OPTIMIZER = ("optimizer.pt", "optimizer*", "global_step*")


def write_manifest(checkpoint: Path, data: Mapping[str, str] | None = None) -> None:
    """Write the sizes and SHA-256 of all files of a checkpoint, which is complete from here on.

    Args:
        data: split -> the fingerprint of its dialogues.
    """
    files = {
        file.relative_to(checkpoint).as_posix(): {"size": file.stat().st_size, "sha256": _sha256(file)}
        for file in _files(checkpoint)
    }
    write_json({"files": files, "data": dict(data or {})}, checkpoint / MANIFEST)


def data_fingerprints(checkpoint: Path) -> dict[str, str]:
    """Return split -> fingerprint of the dialogues that a checkpoint was made on, as far as they are known."""
    data = _object(checkpoint / MANIFEST).get("data")
    return data if isinstance(data, dict) else {}


def find_damage(checkpoint: Path) -> str | None:
    """Return what of a checkpoint is missing or damaged, file first; None if it is whole.

    Every file is held against the manifest. A checkpoint without one, of an earlier version or another trainer, has
    to have all that a run goes on from, in files that can be read.
    """
    if not _object(checkpoint / TRAINER_STATE):
        return f"{TRAINER_STATE} is {'damaged' if (checkpoint / TRAINER_STATE).exists() else 'missing'}"
    if not (checkpoint / MANIFEST).exists():
        missing = None if _saves_models_only(checkpoint) else find_missing(checkpoint)
        return missing or next(_unreadable(checkpoint), None)
    files = _object(checkpoint / MANIFEST).get("files")
    if not isinstance(files, dict):
        return f"{MANIFEST} is damaged"
    return next(filter(None, (_difference(checkpoint / name, made) for name, made in files.items())), None)


def find_missing(checkpoint: Path) -> str | None:
    """Return which part that a run needs to go on is missing in a checkpoint, file first; None if there are all."""
    arguments = _object(checkpoint / TRAINING_ARGUMENTS)
    needed: dict[str, tuple[str, ...]] = {"the weights": _WEIGHTS}
    if arguments:
        needed["the processor"] = ("processor_config.json",)
    needed["the state of the optimizer"] = _OPTIMIZER
    needed["the state of the schedule"] = ("scheduler.pt",)
    processes = arguments.get("num_processes")
    if isinstance(processes, int) and processes > 1:
        for index in range(processes):
            needed[f"the random numbers of process {index}"] = (f"rng_state_{index}.pth",)
    else:
        needed["the random numbers"] = ("rng_state*.pth",)
    if arguments.get("weight_averaging_decay"):
        needed["the weights of the last step"] = ("step_weights.safetensors",)
    for what, patterns in needed.items():
        if not any(found for pattern in patterns for found in checkpoint.glob(pattern)):
            why = ", as `save_only_model` leaves it out" if _saves_models_only(checkpoint) else ""
            return f"{patterns[0].replace('*', '')} ({what}) is missing{why}"
    return None


def ends_with_the_best(checkpoint: Path) -> bool:
    """Whether the run of a checkpoint ends with the best one; True where that is not known."""
    return bool(_object(checkpoint / TRAINING_ARGUMENTS).get("load_best_model_at_end", True))


def _saves_models_only(checkpoint: Path) -> bool:
    return bool(_object(checkpoint / TRAINING_ARGUMENTS).get("save_only_model"))


def _files(checkpoint: Path) -> list[Path]:
    return sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != MANIFEST)


def _difference(file: Path, made: Any) -> str | None:
    """The damage of a file that was `made` with this size and hash, if there is any."""
    if not isinstance(made, dict):
        return f"{MANIFEST} is damaged"
    if not file.is_file():
        return f"{file.name} is missing"
    if (size := file.stat().st_size) != made.get("size"):
        return f"{file.name} is damaged ({size:,} of {made.get('size'):,} bytes)"
    return None if _sha256(file) == made.get("sha256") else f"{file.name} is damaged (its bytes have changed)"


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _unreadable(checkpoint: Path) -> Iterator[str]:
    """The files that are cut off or something else, as far as their form tells."""
    readers: dict[str, Callable[[Path], bool]] = {
        ".json": _is_json,
        ".safetensors": _is_safetensors,
        ".pt": _is_archive,
        ".pth": _is_archive,
    }
    for file in _files(checkpoint):
        if not readers.get(file.suffix, lambda file: True)(file):
            yield f"{file.name} is damaged"


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return True


def _is_safetensors(file: Path) -> bool:
    try:
        with safe_open(file, "np") as weights:
            return bool(weights.keys())
    except (OSError, SafetensorError):
        return False


def _is_archive(file: Path) -> bool:
    """Whether what `torch.save` has written is whole, by the checksums in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _object(file: Path) -> dict[str, Any]:
    """The JSON object of a file, empty if it cannot be read."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
