"""Read a checkpoint that the authors' code saved, without importing or calling anything that it names.

The released code gives whole modules to `torch.save`, which writes a zip file: a pickle that rebuilds every object,
and the bytes of each tensor beside it. Loading such a pickle the usual way runs whatever its author put there. Here
every class and function in it becomes a `StandIn`, which only remembers what it was given; parameters and buffers
are then read from what the stand-ins remember. A name that no such checkpoint needs is refused.
"""

import math
import sys
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .pickle_bounds import UnsafePickleError, check_opcodes, check_sharing, told
from .restricted_pickle import RestrictedUnpickler
from .stand_in import StandIn


class CheckpointError(ValueError):
    """A file that is not a checkpoint, or not the expected one. The message names the file."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint that asks for something which no released checkpoint needs. The message names it."""


@dataclass
class ReleasedCheckpoint:
    """The content of a file that the authors' code saved."""

    states: list[dict[str, Tensor]] = field(default_factory=list)
    """Parameters and buffers of each module or state dict, under their released names."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Plain values of the training script's command line, if the file has them."""


# Everything below these gets a stand-in: the authors' modules and the libraries that they are made of.
_STOOD_IN_PACKAGES = (
    "joyful",
    "cogmen",
    "fusion_methods",
    "torch.nn",
    "torch._C._nn",
    "torch_geometric",
    "torch_sparse",
    "GCL",
    "typing",
)
_STORAGES = {
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.BoolStorage": torch.bool,
    "torch.ByteStorage": torch.uint8,
    "torch.CharStorage": torch.int8,
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.IntStorage": torch.int32,
    "torch.LongStorage": torch.int64,
    "torch.ShortStorage": torch.int16,
}
_NAMESPACE = "argparse.Namespace"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
# Some of these look dangerous. They are the signatures and hooks that torch-geometric's layers carry with them, and
# like all the rest they are never looked up: `builtins.getattr` here is a word, not a function.
_STOOD_IN_NAMES = frozenset(
    [
        *_STORAGES,
        _NAMESPACE,
        _TENSOR,
        *_PARAMETERS,
        "_operator.getitem",
        "operator.getitem",
        "builtins.bool",
        "builtins.float",
        "builtins.getattr",
        "builtins.int",
        "builtins.str",
        "builtins.type",
        "functools.partial",
        "inspect.Parameter",
        "inspect._ParameterKind",
        "inspect._empty",
        "torch.Tensor",
        "torch.device",
        "torch.utils.hooks.RemovableHandle",
    ]
)

# Bytes that tensors may take for each byte of the file; a network may hold its layers by several names.
_MOST_PER_BYTE, _SMALL_SIZE = 4, 1 << 20

_LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"


def read_released_checkpoint(path: str | Path) -> ReleasedCheckpoint:
    """Read a file that `torch.save` wrote: whole modules or state dicts, alone or in a dict.

    Raises:
        UnsafeCheckpointError: the file names a class or function that no released checkpoint needs.
        CheckpointError: no such file, not a file of `torch.save`, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file")
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _Reader(archive, path).read()
        except CheckpointError:
            raise
        except zipfile.BadZipFile:
            raise CheckpointError(f"{path}: {_why_no_archive(path)}") from None
        except Exception as error:  # a damaged pickle, or archive, can fail in any way
            reason = f"{type(error).__name__}: {error}"[:100]
            raise CheckpointError(f"{path}: the checkpoint is damaged ({reason})") from error


def _why_no_archive(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"PK"):
        return "the checkpoint is damaged or breaks off; copy it again"
    if start.startswith(b"version https://git-lfs"):
        return "this is a git-LFS pointer, not the checkpoint itself; fetch it with `git lfs pull`"
    if start.startswith(_LEGACY_MAGIC):
        return "this was saved in torch's format from before version 1.6, which is not read here"
    return "this is not a checkpoint that torch.save wrote"


@dataclass(frozen=True)
class _Storage:
    """The bytes of a tensor: which file of the archive holds them, and what they are."""

    key: str
    dtype: torch.dtype
    size: int


class _Unpickler(RestrictedUnpickler):
    """An unpickler that also knows where the tensors lie, and refuses a name that no released checkpoint needs."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(BytesIO(data))
        self._path = path

    def check_name(self, name: str) -> None:
        """Raise an UnsafeCheckpointError for a name that is not in the list."""
        if name not in _STOOD_IN_NAMES and not name.startswith(tuple(f"{package}." for package in _STOOD_IN_PACKAGES)):
            raise UnsafeCheckpointError(
                f"{self._path}: the checkpoint asks for {name}, which no released checkpoint needs; "
                "it is refused, and nothing in it was run"
            )

    def persistent_load(self, pid: Any, /) -> _Storage:
        """Return a tensor's storage by its key; the bytes are read later, and only if they are needed."""
        match pid:
            case ("storage", type() as kind, str(key), str(), int(size)) if issubclass(kind, StandIn):
                if kind.path in _STORAGES:
                    return _Storage(key, _STORAGES[kind.path], size)
        raise UnsafeCheckpointError(f"{self._path}: the checkpoint refers to {told(pid)}, not a storage")


class _Reader:
    """Reads modules, state dicts and arguments from one archive."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        self._flat: dict[_Storage, Tensor] = {}
        self._left = _MOST_PER_BYTE * path.stat().st_size + _SMALL_SIZE
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"{path}: this zip file is not a checkpoint that torch.save wrote")
        self._folder = pickles[0].removesuffix("data.pkl")
        byte_order = f"{self._folder}byteorder"
        if byte_order in archive.namelist() and self._bytes("byteorder").decode() != sys.byteorder:
            raise CheckpointError(f"{path}: the checkpoint was saved on a machine with another byte order")

    def read(self) -> ReleasedCheckpoint:
        """Read what is recognised at the top of the file; the rest, such as a learning rate, is left out."""
        data = self._bytes("data.pkl")
        try:
            check_opcodes(BytesIO(data), len(data))
            content = _Unpickler(data, self._path).load()
            check_sharing(content, len(data))
        except UnsafePickleError as error:
            raise UnsafeCheckpointError(f"{self._path}: the checkpoint {error}") from None
        checkpoint = ReleasedCheckpoint()
        for part in [content, *content.values()] if isinstance(content, dict) else [content]:
            if isinstance(part, dict):
                tensors = {name: self._tensor(value) for name, value in part.items() if isinstance(name, str)}
                checkpoint.states.append({name: tensor for name, tensor in tensors.items() if tensor is not None})
            elif isinstance(part, StandIn) and isinstance(part.state, dict):
                if part.path == _NAMESPACE:
                    plain = {k: v for k, v in part.state.items() if isinstance(v, str | int | float | bool)}
                    checkpoint.arguments |= plain
                elif "_modules" in part.state:
                    checkpoint.states.append(self._state_of(part))
        checkpoint.states = [state for state in checkpoint.states if state]
        return checkpoint

    def _bytes(self, name: str) -> bytes:
        info = self._archive.getinfo(self._folder + name)
        if info.compress_type != zipfile.ZIP_STORED:  # a small file could unpack to any size
            raise CheckpointError(f"{self._path}: {name} is compressed, which torch.save does not do")
        if info.file_size > self._path.stat().st_size:
            raise CheckpointError(f"{self._path}: the checkpoint is damaged ({name} is larger than the whole file)")
        return self._archive.read(info)

    def _state_of(self, module: StandIn) -> dict[str, Tensor]:
        """Return what `module.state_dict()` would give."""
        state: dict[str, Tensor] = {}
        seen: set[int] = set()
        waiting = [("", module)]
        while waiting:
            prefix, module = waiting.pop()
            if id(module) in seen:
                raise CheckpointError(f"{self._path}: the module {prefix.rstrip('.')!r} is in several places")
            seen.add(id(module))
            inner = module.state if isinstance(module.state, dict) else {}
            for name, value in {**inner.get("_parameters", {}), **inner.get("_buffers", {})}.items():
                if value is None or name in inner.get("_non_persistent_buffers_set", ()):
                    continue
                tensor = self._tensor(value)
                if tensor is None:
                    raise CheckpointError(f"{self._path}: {prefix}{name} is not a tensor")
                state[prefix + name] = tensor
            children = inner.get("_modules", {}).items()
            waiting += [(f"{prefix}{name}.", child) for name, child in children if isinstance(child, StandIn)]
        return state

    def _tensor(self, value: Any) -> Tensor | None:
        """Return the tensor that a stand-in was meant to rebuild; None if it is something else."""
        while isinstance(value, StandIn) and value.path in _PARAMETERS and value.arguments:
            value = value.arguments[0]
        if not isinstance(value, StandIn) or value.path != _TENSOR:
            return None
        storage, offset, size, stride = value.arguments[:4]
        if math.prod(size) > storage.size:
            raise CheckpointError(f"{self._path}: a tensor of shape {size} is larger than its storage")
        # A storage is kept once, and as many tensors as the pickle likes are made of it.
        self._left -= math.prod(size) * storage.dtype.itemsize
        if self._left < 0:
            raise CheckpointError(f"{self._path}: the tensors are together far larger than the file")
        # as_strided refuses what lies outside of the storage.
        return self._load(storage).as_strided(size, stride, offset).contiguous()

    def _load(self, storage: _Storage) -> Tensor:
        if storage not in self._flat:
            data = bytearray(self._bytes(f"data/{storage.key}"))
            if len(data) != storage.size * storage.dtype.itemsize:
                raise CheckpointError(
                    f"{self._path}: storage {storage.key} has {len(data)} bytes, "
                    f"{storage.size * storage.dtype.itemsize} were announced"
                )
            self._flat[storage] = (
                torch.frombuffer(data, dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)
            )
        return self._flat[storage]
