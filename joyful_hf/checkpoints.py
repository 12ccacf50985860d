"""Load a checkpoint, model and processor together, or say which part of it is missing."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoFeatureExtractor, AutoModel, AutoTokenizer, PreTrainedConfig

from .families import family_of
from .io.hub_errors import hub_reason
from .io.messages import shortened
from .io.weights import check_model_fits
from .processing import DialogueError
from .processing.devices import choose_device

_PARTS = {
    "config.json": "the model's configuration",
    "processor_config.json": "the processor",
}
# Errors of transformers for files that are missing, cut off, or something else.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_MISFITS = {
    "missing_keys": "the weights lack {} tensors of the model",
    "mismatched_keys": "{} tensors of the weights have another size than the model's",
    "unexpected_keys": "the weights hold {} tensors that the model does not have",
}


def load_checkpoint(path_or_hub_id: str | Path, device: str | torch.device | None = None) -> tuple[Any, Any]:
    """Load the model, in evaluation mode, and the processor of a local folder or a Hub id.

        model, processor = load_checkpoint("out")
        predictions = model.predict(dialogues, processor)

    Args:
        path_or_hub_id: folder or Hub id of a checkpoint.
        device: device to put the model on, such as "cpu" or "cuda:1"; by default the machine's accelerator (CUDA,
            Apple's MPS, Intel's XPU), or the CPU where there is none.

    Raises:
        DialogueError: no such folder or repository, a part of the checkpoint is missing, unreadable, or does not fit
            the others, weights that are not finite, or the machine has no such device.
    """
    chosen = choose_device(device)
    name = str(path_or_hub_id)
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        _check_parts(folder)
    elif folder.exists() or folder.is_absolute() or name.startswith("."):
        raise DialogueError(f"{name}: there is no such checkpoint folder")
    try:
        model, processor = _load(name)
    except (DialogueError, ImportError):  # a library that is missing is no fault of the checkpoint
        raise
    except HFValidationError:
        raise DialogueError(f"{name!r} is neither a checkpoint folder nor the id of a model on the Hub") from None
    except StrictDataclassError as error:
        raise DialogueError(
            f"{name}: the checkpoint cannot be loaded ({shortened(error.__cause__ or error)})"
        ) from None
    except Exception as error:  # whatever is in a file that is damaged, or was written by hand
        what = "the checkpoint" if folder.is_dir() else "there is no such folder, and a model of this id"
        known = isinstance(error, _UNREADABLE)
        reason = hub_reason(error) or (_reason(error) if known else f"{type(error).__name__}: {error}")
        raise DialogueError(f"{name}: {what} cannot be loaded ({shortened(reason)})") from (None if known else error)
    return model.eval().to(chosen), processor


def _load(name: str) -> tuple[Any, Any]:
    model_type = PreTrainedConfig.get_config_dict(name)[0].get("model_type")
    family = family_of(model_type, name)
    config = family.config_class.from_pretrained(name)
    check_model_fits(lambda: family.model_class(config), name)
    with _without_load_report():
        loaded: Any = family.model_class.from_pretrained(
            name, config=config, output_loading_info=True, ignore_mismatched_sizes=True, use_safetensors=True
        )
    model, report = loaded
    for kind, message in _MISFITS.items():
        if report[kind]:
            # transformers would continue, with random numbers where something is missing.
            first = sorted(key if isinstance(key, str) else key[0] for key in report[kind])[0]
            misfit = message.format(len(report[kind]))
            raise DialogueError(f"{name}: {misfit}, among them {first}; config.json belongs to another model")
    for tensor_name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():
            raise DialogueError(f"{name}: the weights are not finite numbers, among them {tensor_name}: they diverged")
    return model, family.processor_class.from_pretrained(name)


def load_text_encoder(path_or_hub_id: str | Path) -> tuple[Any, Any]:
    """Load a pretrained encoder of text and its tokenizer from a local folder or a Hub id.

    Raises:
        DialogueError: no such folder or repository, or a part of it is missing or unreadable.
    """
    return _load_encoder(path_or_hub_id, AutoTokenizer)


def load_audio_encoder(path_or_hub_id: str | Path) -> tuple[Any, Any]:
    """Load a pretrained encoder of waveforms and its feature extractor from a local folder or a Hub id.

    Raises:
        DialogueError: no such folder or repository, or a part of it is missing or unreadable.
    """
    return _load_encoder(path_or_hub_id, AutoFeatureExtractor)


def _load_encoder(path_or_hub_id: str | Path, input_class: Any) -> tuple[Any, Any]:
    """Load the encoder, and the tokenizer or feature extractor that makes its inputs."""
    name = str(path_or_hub_id)
    is_folder = Path(path_or_hub_id).is_dir()
    if not is_folder and (Path(path_or_hub_id).exists() or Path(name).is_absolute() or name.startswith(".")):
        raise DialogueError(f"{name}: there is no such folder of an encoder")
    try:
        with _without_load_report():
            return AutoModel.from_pretrained(name), input_class.from_pretrained(name)
    except HFValidationError:
        raise DialogueError(f"{name!r} is neither a folder nor the id of a model on the Hub") from None
    except _UNREADABLE as error:
        what = "the encoder" if is_folder else "there is no such folder, and an encoder of this id"
        raise DialogueError(f"{name}: {what} cannot be loaded ({shortened(_reason(error))})") from None


def _reason(error: Exception) -> str:
    return hub_reason(error) or str(error) or type(error).__name__


@contextmanager
def _without_load_report() -> Generator[None, None, None]:
    """Hide the table that transformers prints of tensors that do not fit: an error of one line is raised instead."""

    def is_no_report(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(is_no_report)
    try:
        yield
    finally:
        logger.removeFilter(is_no_report)


def _check_parts(folder: Path) -> None:
    for file, what in _PARTS.items():
        if not (folder / file).is_file():
            raise DialogueError(f"{folder}: {file} ({what}) is missing; is this the folder of a finished training?")
    if not any((folder / file).is_file() for file in _WEIGHTS):
        raise DialogueError(f"{folder}: {_WEIGHTS[0]} (the weights) is missing")
