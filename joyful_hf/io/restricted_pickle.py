"""Read pickles that others made, without importing or calling anything that they name.

Loading a pickle the usual way runs whatever its author put there. Here every class and function that it names becomes
a `StandIn`, which only remembers what it was given; known and harmless values are then rebuilt from the stand-ins.
`load_plain_pickle` does so for files of features: containers, numbers, strings and numpy arrays, and objects of
unknown classes as `Record`.
"""

import math
import pickle
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..processing.dialogue_error import DialogueError
from .pickle_bounds import UnsafePickleError, check_opcodes, check_sharing, told
from .stand_in import StandIn

# The only names that become the thing itself: containers, which can do no harm.
_CONTAINERS = {
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "collections.OrderedDict": OrderedDict,
}


class RestrictedUnpickler(pickle.Unpickler):
    """Builds containers and stand-ins, and nothing else."""

    def __init__(self, file: IO[bytes], encoding: str = "ASCII") -> None:
        super().__init__(file, encoding=encoding)
        self._stand_ins: dict[str, type[StandIn]] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return what stands for a name; the name is never imported."""
        # Protocols up to 2 give the standard library the names that it had in Python 2.
        module = IMPORT_MAPPING.get(module_name, module_name)
        name = ".".join(NAME_MAPPING.get((module_name, global_name), (module, global_name)))
        if name in _CONTAINERS:
            return _CONTAINERS[name]
        self.check_name(name)
        if name not in self._stand_ins:
            self._stand_ins[name] = type("StandIn", (StandIn,), {"__slots__": (), "path": name})
        return self._stand_ins[name]

    def check_name(self, name: str) -> None:
        """Refuse a name, in a subclass; here, every name gets a stand-in."""

    def persistent_load(self, pid: Any, /) -> Any:
        """Refuse a reference to data outside of the pickle, as there is none."""
        raise pickle.UnpicklingError(f"refers to {told(pid)}, which lies outside of it")


@dataclass(eq=False)
class Record:
    """An object of a class that was not imported: its name, and its attributes as plain values."""

    class_name: str
    attributes: dict[str, Any] = field(default_factory=dict, repr=False)  # an object may hold itself many times over


_DTYPE = re.compile(r"[biufSUO]\d*")
_ARRAY_PACKAGES = ("numpy.core.", "numpy._core.", "numpy.")


def load_plain_pickle(path: Path) -> Any:
    """Read a pickle of features: containers, strings, numbers, numpy arrays, and everything else as `Record`.

    Nothing in it is imported or run. Strings of Python 2 are read as Latin-1, as the field's code does.

    Raises:
        DialogueError: there is no such file, or it is not a pickle, is damaged, or could do harm.
    """
    if not path.is_file():
        raise DialogueError(f"{path}: there is no such file")
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            if file.read(20) == b"version https://git-":
                raise DialogueError(
                    f"{path}: this is a git-LFS pointer, not the pickle itself; fetch it with `git lfs pull`"
                )
            file.seek(0)
            check_opcodes(file, size)
            file.seek(0)
            content = RestrictedUnpickler(file, encoding="latin1").load()
            check_sharing(content, size)
        return _Rebuilder().rebuild(content)
    except (DialogueError, OSError):
        raise
    except UnsafePickleError as error:
        raise DialogueError(f"{path}: the pickle {error}; it is refused, and nothing in it was run") from None
    except Exception as error:  # a damaged pickle can fail in any way
        reason = f"{type(error).__name__}: {error}"[:100]
        raise DialogueError(f"{path}: not a readable pickle, it may be damaged or break off ({reason})") from None


class _Rebuilder:
    """Turns stand-ins into arrays and records throughout a tree of containers. What is shared stays shared."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}

    def rebuild(self, value: Any) -> Any:
        if not isinstance(value, list | tuple | dict | set | frozenset | StandIn):
            return value
        key = id(value)
        if key in self._done:
            return self._done[key]
        if isinstance(value, list):  # first into the table: a list can hold itself
            made: Any = self._done.setdefault(key, [])
            made.extend(map(self.rebuild, value))
        elif isinstance(value, dict):
            made = self._done.setdefault(key, {})
            made.update((self.rebuild(name), self.rebuild(held)) for name, held in value.items())
        elif isinstance(value, StandIn):
            made = self._done[key] = self._rebuild_stand_in(value)
        else:
            made = self._done[key] = type(value)(map(self.rebuild, value))
        return made

    def _rebuild_stand_in(self, stand_in: StandIn) -> Any:
        name = stand_in.path
        for package in _ARRAY_PACKAGES:
            name = name.removeprefix(package)
        rebuild: Callable[[StandIn], Any] | None = {
            "multiarray._reconstruct": self._array,
            "multiarray.scalar": self._scalar,
            "numeric._frombuffer": self._buffer,
            "_codecs.encode": self._encoded,
            "builtins.bytes": self._encoded,
        }.get(name)
        if rebuild is not None:
            return rebuild(stand_in)
        if name == "dtype" and stand_in.path.startswith("numpy."):
            return _dtype(stand_in)
        return self._record(stand_in)

    def _record(self, stand_in: StandIn) -> Record:
        path = stand_in.path
        if path == "copyreg._reconstructor":  # how protocols below 2 make an object
            path = getattr(stand_in.arguments[0], "path", path)
        record = Record(path)
        self._done[id(stand_in)] = record  # an object can hold itself
        state = stand_in.state
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # with __slots__
            state = {**(state[0] or {}), **state[1]}
        if isinstance(state, dict):
            record.attributes = {str(name): self.rebuild(value) for name, value in state.items()}
        return record

    def _array(self, stand_in: StandIn) -> np.ndarray:
        *_, shape, dtype, in_columns, data = stand_in.state
        return self._from_bytes(data, self.rebuild(dtype), shape, "F" if in_columns else "C")

    def _buffer(self, stand_in: StandIn) -> np.ndarray:
        """Rebuild an array of protocol 5, which keeps its bytes as they lie in memory."""
        data, dtype, shape, order = stand_in.arguments
        return self._from_bytes(data, self.rebuild(dtype), shape, order)

    def _from_bytes(self, data: Any, dtype: np.dtype, shape: Any, order: Any) -> np.ndarray:
        data = self.rebuild(data)
        if dtype.kind == "O":
            array = np.empty(len(data), object)
            array[:] = data
        else:
            array = np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)
        if array.size != math.prod(shape):
            raise ValueError(f"an array of shape {shape} with {array.size} values")
        return array.reshape(shape, order="F" if order == "F" else "C")

    def _scalar(self, stand_in: StandIn) -> Any:
        dtype, data = map(self.rebuild, stand_in.arguments)
        return data if dtype.kind == "O" else self._from_bytes(data, dtype, (), "C")[()]

    def _encoded(self, stand_in: StandIn) -> bytes:
        """Rebuild bytes of protocol 2: `_codecs.encode(text, "latin1")`, or `bytes()` where there are none."""
        return str(stand_in.arguments[0]).encode("latin1") if stand_in.arguments else b""


def _dtype(stand_in: StandIn) -> np.dtype:
    code = str(stand_in.arguments[0])
    if not _DTYPE.fullmatch(code):
        raise ValueError(f"an array of type {code!r}")
    byte_order = stand_in.state[1] if isinstance(stand_in.state, tuple) else "="
    return np.dtype(code).newbyteorder(">" if byte_order == ">" else "<" if byte_order == "<" else "=")
