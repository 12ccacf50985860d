"""Load a checkpoint, model and processor together, or say which part of it is missing."""

from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from transformers import AutoModel, AutoProcessor

from .processing import DialogueError

_PARTS = {
    "config.json": "the model's configuration",
    "processor_config.json": "the processor",
}
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def load_checkpoint(path_or_hub_id: str | Path) -> tuple[Any, Any]:
    """The model, in evaluation mode, and the processor of a local folder or a Hub id.

    Raises:
        DialogueError: no such folder or repository, or a part of the checkpoint is missing or unreadable.
    """
    name = str(path_or_hub_id)
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        _check_parts(folder)
    elif folder.is_file() or folder.is_absolute() or name.startswith("."):
        raise DialogueError(f"{name}: there is no such checkpoint folder")
    try:
        return AutoModel.from_pretrained(name).eval(), AutoProcessor.from_pretrained(name)
    except HFValidationError:
        raise DialogueError(f"{name!r} is neither a checkpoint folder nor the id of a model on the Hub") from None
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise DialogueError(f"{name}: the checkpoint cannot be loaded ({reason})") from None


def _check_parts(folder: Path) -> None:
    for file, what in _PARTS.items():
        if not (folder / file).is_file():
            raise DialogueError(f"{folder}: {file} ({what}) is missing; is this the folder of a finished training?")
    if not any((folder / file).is_file() for file in _WEIGHTS):
        raise DialogueError(f"{folder}: {_WEIGHTS[0]} (the weights) is missing")
