"""The sizes of a checkpoint's weights, read from the headers of its files, and held against those of a model."""

import json
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import chain, count
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from ..processing.dialogue_error import DialogueError


def shapes_of_weights(name: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a checkpoint, a folder or an id on the Hub; no tensor is read.

    Raises:
        DialogueError: there are no weights as safetensors, or their index names a file of another folder.
        SafetensorError: a damaged file.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _files_of(name):
        with safe_open(file, "pt") as weights:
            shapes |= {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    return shapes


def _files_of(name: str) -> Iterator[Path]:
    single = _found(name, SAFE_WEIGHTS_NAME)
    if single is not None:
        yield single
        return
    index = _found(name, SAFE_WEIGHTS_INDEX_NAME)
    if index is None:
        raise DialogueError(f"{name}: {SAFE_WEIGHTS_NAME} (the weights) is missing")
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    for file in sorted(set(names)):
        found = _found(name, file) if Path(file).name == file else None
        if found is None:
            raise DialogueError(f"{name}: {index.name} names {file!r:.60}, which is no file of the checkpoint")
        yield found


def _found(name: str, file: str) -> Path | None:
    options: dict[str, Any] = {
        "_raise_exceptions_for_missing_entries": False,
        "_raise_exceptions_for_gated_repo": False,
        "_raise_exceptions_for_connection_errors": False,
    }
    found = cached_file(name, file, **options)
    return None if found is None else Path(found)


def check_model_fits(make_model: Callable[[], nn.Module], name: str) -> None:
    """Refuse a configuration whose model is larger than a checkpoint's weights, before anything is allocated.

    Args:
        make_model: makes the model; its tensors get no memory here.
        name: folder or id of the checkpoint.

    Raises:
        DialogueError: the model has tensors of other sizes, or far more of them.
    """
    shapes = shapes_of_weights(name)
    with torch.device("meta"), _refuse_parts_beyond(_PARTS_PER_TENSOR * len(shapes) + _FEW_PARTS, name, len(shapes)):
        model = make_model()
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    others = sorted(key for key, shape in wanted.items() if shapes.get(key, shape) != shape)
    if others:
        raise DialogueError(
            f"{name}: {len(others)} tensors of the weights have another size than the model's, among them "
            f"{others[0]}; config.json belongs to another model"
        )
    tensors = chain(model.parameters(), model.buffers())
    size, stored = sum(tensor.numel() for tensor in tensors), sum(map(prod, shapes.values()))
    if size > _SIZE_PER_NUMBER * stored + _SMALL_SIZE:
        raise DialogueError(
            f"{name}: config.json describes a model of {size:,} numbers, and the weights hold {stored:,}; it belongs "
            "to another model"
        )


# Modules and parameters that a model may register for each tensor of its weights: modules without weights, and those
# that are moved to other names or shared, count too.
_PARTS_PER_TENSOR, _FEW_PARTS = 16, 1000
# Numbers that a model may have for each number of its weights: computed tables and shared weights count too.
_SIZE_PER_NUMBER, _SMALL_SIZE = 2, 1 << 24


@contextmanager
def _refuse_parts_beyond(most: int, name: str, tensors: int) -> Generator[None, None, None]:
    """Raise a DialogueError once the modules that this thread makes have registered more parts than these."""
    own, parts = threading.get_ident(), count(1)

    def on_registration(*_: Any) -> None:
        if threading.get_ident() == own and next(parts) > most:
            raise DialogueError(
                f"{name}: config.json describes a model of far more parts than the {tensors} tensors of the weights; "
                "it belongs to another model"
            )

    hooks = [register_module_module_registration_hook(on_registration)]
    hooks.append(register_module_parameter_registration_hook(on_registration))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
