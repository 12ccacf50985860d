"""Bounds of what a pickle may ask of whoever reads it: opcodes, depth, and how much it spells out."""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, cast

from .stand_in import StandIn


class UnsafePickleError(ValueError):
    """A pickle that could act without asking `find_class`, or end the process. The message says how."""


# Feature files and checkpoints stay below 10. As the key of a dict, many thousands would end the process.
_DEEPEST_TUPLE = 1000
# A value that stands in several places is stored once: forty tuples of ten references each spell out 10^40 values, and
# whoever hashes, compares or prints them never ends. What files of features spell out has about their own size.
_MOST_IN_TUPLE, _MOST_VALUES, _MOST_PER_BYTE = 1 << 20, 1 << 22, 16
_BYTES_PER_VALUE = 64

_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}


def check_opcodes(file: IO[bytes], size: int) -> None:
    """Refuse opcodes on which the unpickler would act without asking `find_class`.

    Args:
        size: size of the file in bytes.

    Raises:
        UnsafePickleError: an extension of copyreg, a memo or a frame that asks for all memory, or tuples nested too
            deep, or that spell out too much.
    """
    tuples = _Tuples()
    most = max(_MOST_IN_TUPLE, _MOST_PER_BYTE * size)
    for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", _UpToItsEnd(file, size))):
        name = opcode.name
        if name.startswith("EXT"):
            raise UnsafePickleError(f"asks for a copyreg extension ({argument})")
        # The memo is a table as long as its highest index: four bytes could ask for all memory there is.
        asks_for_too_much = isinstance(argument, int) and argument > size
        if name in _PUTS and asks_for_too_much:
            raise UnsafePickleError(f"is damaged (memo index {argument})")
        if name == "FRAME" and asks_for_too_much:  # which is made room for, too
            raise UnsafePickleError(f"is damaged (a frame of {argument:,} bytes)")
        depth, values = tuples.after(name, argument)
        if depth > _DEEPEST_TUPLE:
            raise UnsafePickleError(f"holds tuples nested more than {_DEEPEST_TUPLE} deep")
        if values > most:
            raise UnsafePickleError(f"holds a tuple that spells out more than {most:,} values")


class _UpToItsEnd:
    """A file that is never asked for more than it has: Python makes room for all that a damaged length asks for."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self.readline, self.tell = file.readline, file.tell

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))


@dataclass(frozen=True)
class _StackEffect:
    """The effect of an opcode on the stack."""

    takes_to_mark: bool
    taken: int
    """Values taken, after those up to the mark."""
    made: int
    makes_mark: bool
    makes_tuple: bool

    @classmethod
    def of(cls, opcode: pickletools.OpcodeInfo) -> "_StackEffect":
        before, after = opcode.stack_before, opcode.stack_after
        takes_to_mark = pickletools.markobject in before
        taken = before.index(pickletools.markobject) if takes_to_mark else len(before)
        makes_mark = pickletools.markobject in after
        return cls(takes_to_mark, taken, len(after), makes_mark, opcode.name.startswith("TUPLE"))


_STACK_EFFECTS = {opcode.name: _StackEffect.of(opcode) for opcode in pickletools.opcodes}


_Measures = tuple[int, int]
"""The depth of nested tuples, and the number of values that they spell out."""


class _Tuples:
    """Upper bounds of what tuples hold, for each value that the unpickler would have on its stack."""

    _MARK = (-1, -1)
    _PLAIN = (0, 1)

    def __init__(self) -> None:
        self._stack: list[_Measures] = []
        self._memo: dict[Any, _Measures] = {}

    def after(self, name: str, argument: Any) -> _Measures:
        """Return the measures of the value on top of the stack once this opcode has run."""
        if name in _PUTS:
            self._memo[argument] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in _GETS:
            self._stack.append(self._memo.get(argument, self._PLAIN))
        elif name == "DUP":
            self._stack.append(self._top())
        else:
            effect = _STACK_EFFECTS[name]
            taken = self._take(effect)
            depth = max((depth for depth, _ in taken), default=0)
            if effect.makes_tuple:
                made = depth + 1, 1 + sum(values for _, values in taken)
            else:  # it may be what was taken: BUILD and SETITEMS without anything to do leave a tuple as it is
                made = depth, max((values for _, values in taken), default=1)
            self._stack += [self._MARK if effect.makes_mark else made] * effect.made
        return self._top()

    def _top(self) -> _Measures:
        return self._stack[-1] if self._stack else self._PLAIN

    def _take(self, effect: _StackEffect) -> list[_Measures]:
        """Remove from the stack what the opcode uses up, and return its measures."""
        taken = []
        if effect.takes_to_mark:
            while self._stack and (top := self._stack.pop()) != self._MARK:
                taken.append(top)
        for _ in range(min(effect.taken, len(self._stack))):
            taken.append(self._stack.pop())
        return taken


def check_sharing(content: Any, size: int) -> None:
    """Refuse what was unpickled if it spells out far more than the file holds: it can be read, and never be used.

    Args:
        size: size of the file in bytes.

    Raises:
        UnsafePickleError: too many values, or a list, tuple or dict that holds itself other than by way of an object.
    """
    most = max(_MOST_VALUES, _MOST_PER_BYTE * size)
    values: dict[int, int] = {}
    objects: dict[int, int] = {}  # a value that is being gone through -> objects on the way to it
    way = [_Visit(content)]
    number_of_objects = 0
    while way:
        visit = way[-1]
        if not visit.has_begun:
            visit.has_begun = True
            number_of_objects += isinstance(visit.value, StandIn)
            objects[id(visit.value)] = number_of_objects
        for child in visit.children:
            known = values.get(id(child))
            if known is not None:
                visit.values += known
            elif id(child) in objects:
                if objects[id(child)] == number_of_objects and not isinstance(child, StandIn):
                    raise UnsafePickleError(f"holds a {type(child).__name__} that holds itself")
            elif isinstance(child, _HOLDERS):
                way.append(_Visit(child))
                break
            else:
                visit.values += 1 + (len(child) // _BYTES_PER_VALUE if isinstance(child, str | bytes) else 0)
        else:
            if visit.values > most:
                raise UnsafePickleError(f"spells out more than {most:,} values")
            way.pop()
            number_of_objects -= isinstance(visit.value, StandIn)
            values[id(visit.value)] = visit.values
            if way:
                way[-1].values += visit.values


_HOLDERS = (list, tuple, dict, set, frozenset, StandIn)


class _Visit:
    """A container or object on the way through what was unpickled."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.values = 1
        self.has_begun = False
        if isinstance(value, dict):
            self.children: Iterator[Any] = chain(value, value.values())
        elif isinstance(value, StandIn):
            self.children = iter((*value.arguments, value.state))
        else:
            self.children = iter(value if isinstance(value, _HOLDERS) else ())


def told(value: Any) -> str:
    """Return how messages call a value of a pickle; its containers are not printed: what they share has no end."""
    if isinstance(value, tuple):
        return f"({', '.join(_told_alone(part) for part in value[:10])})"
    return _told_alone(value)


def _told_alone(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, StandIn):
        return value.path[:80]
    return repr(value)[:80] if isinstance(value, str | bytes | int | float | None) else f"a {type(value).__name__}"
