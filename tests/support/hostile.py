"""Files that are damaged, or made to do damage, and a child process in which they are read.

A child may take 1 GiB beside what its libraries take, 20 seconds per file, and the errors that are documented; it may
start no process, open no connection, and unpickle nothing.
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SECONDS, MEMORY = 20, 1 << 30
"""Of the processor, whatever else runs, and of memory."""
_WAIT = 600
"""Seconds after which a child that uses no processor either is ended."""
LONGEST_MESSAGE = 2000
"""Characters: a message tells of a value, and never prints it whole."""


@dataclass(frozen=True)
class Loader:
    """Something that reads files of strangers."""

    name: str
    make: Callable[[Path], Path]
    """Makes, in a folder, what is read, and returns the file of it that is to be damaged."""
    read: Callable[[Path], Any]
    """Reads it, given that file."""
    errors: tuple[type[Exception], ...]
    """The documented ones."""


@dataclass
class Finding:
    """A loader that did what it may not, with the file that made it do so."""

    loader: str
    what: str
    file: Path


@dataclass
class Examined:
    """The outcome of a loader's cases."""

    cases: int = 0
    findings: list[Finding] = field(default_factory=list)


# Damage to bytes: an edit is where (a share of the length), what kind, and with what.

_WORDS = [
    b"\0",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\r",
    b"\n",
    b'"',
    b"<",
    b",",
    b"-1",
]
_BYTES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from(_WORDS),
    st.integers(0, 2**32 - 1).map(lambda number: number.to_bytes(4, "little")),
)
_SHARE = st.floats(0, 1, exclude_max=True)
_BYTE_EDITS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "insert", "cut", "remove", "repeat"]), _SHARE, _SHARE, _BYTES),
    min_size=1,
    max_size=4,
)


def with_edited_bytes(data: bytes, edits: list[tuple[str, float, float, bytes]]) -> bytes:
    """Return a copy of a file's bytes after some edits."""
    for kind, where, length, value in edits:
        at = int(where * len(data))
        end = at + 1 + int(length**4 * (len(data) - at))
        if kind == "write":
            data = data[:at] + value + data[at + len(value) :]
        elif kind == "insert":
            data = data[:at] + value + data[at:]
        elif kind == "cut":
            data = data[:at]
        elif kind == "remove":
            data = data[:at] + data[end:]
        else:
            data = data[:end] + data[at:]
    return data


# Damage to JSON: some of its values, or keys, become others.

_NUMBERS = [0, 1, -1, 2, 7, 255, 2**31, 2**63, 10**5, 10**9, 10**30, -(10**30), 0.5, 1e-320, 1e308]
_NUMBERS += [float("inf"), float("nan")]
_STRINGS = ["", " ", "a", "0", "-1", "null", "\0", "\ud800", "é" * 500, "x" * 20_000, "1e999", "<script>"]
_STRINGS += ["../../../etc/passwd", "/etc/passwd", "file:///etc/passwd"]
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.sampled_from(_NUMBERS), st.sampled_from(_STRINGS), st.floats(), st.text(max_size=8)
)
_VALUES = st.one_of(
    _LEAVES,
    st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from([[[[[[]]]]], {"a": {"a": {}}}, [0] * 3000, [None], {"0": 0}, [1, "a"], [{}]]),
)
_JSON_EDITS = st.lists(
    st.tuples(st.sampled_from(["set", "set", "set", "remove", "rename", "repeat"]), _SHARE, _VALUES),
    min_size=1,
    max_size=4,
)


def with_edited_json(value: Any, edits: list[tuple[str, float, Any]]) -> Any:
    """Return a copy of a JSON value after some edits."""
    value = json.loads(json.dumps(value))
    for kind, where, new in edits:
        slots = list(_slots(value))
        if not slots:
            return new
        holder, key = slots[int(where * len(slots))]
        if kind == "set":
            holder[key] = json.loads(json.dumps(new))
        elif kind == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            held = holder.pop(key) if kind == "rename" else holder[key]
            holder[str(new)[:50] if kind == "rename" else f"{key}_"] = held
        else:
            holder.extend(holder[:1] * 3)
    return value


def _slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a JSON value that holds another."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _slots(value[key])


def damages(original: bytes) -> st.SearchStrategy[bytes]:
    """Damaged copies of a file: of its bytes, and of its values where it is JSON or JSON Lines."""
    of_bytes = _BYTE_EDITS.map(lambda edits: with_edited_bytes(original, edits))
    try:
        lines = [json.loads(line) for line in original.splitlines() if line.strip()]
        values, join = lines, "\n"
    except ValueError:
        try:
            values, join = [json.loads(original)], ""
        except ValueError:
            return of_bytes

    def written(edits: list[tuple[str, float, Any]]) -> bytes:
        changed = with_edited_json(values, edits)
        texts = [json.dumps(value) for value in changed] if isinstance(changed, list) else [json.dumps(changed)]
        return join.join(texts).encode()

    of_values = _JSON_EDITS.map(written)
    return st.one_of(of_values, of_values, of_values, of_bytes)


# The child.

_REFUSED_EVENTS = {
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.Popen", "pty.spawn"),
    *("socket.connect", "socket.bind", "pickle.find_class", "ctypes.dlopen"),
}


class ActedError(BaseException):
    """A file made its reader do what no file may; no `except Exception` hides it."""


class _Watch:
    """Refuses what a file may not make its reader do."""

    def __init__(self) -> None:
        self.acted: str | None = None
        self.is_on = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in _REFUSED_EVENTS:
            self.acted = f"{event} {arguments!r:.200}"
            raise ActedError(self.acted)


def examine(loader: Loader, cases: int, folder: Path, first_seed: int = 0) -> Examined:
    """Let a loader read so many damaged files, in a child process.

    Args:
        folder: files that lead to findings are kept in it.
    """
    examined = Examined()
    context = multiprocessing.get_context("fork")
    for attempt in range(_MOST_CHILDREN):
        place = folder / f"{loader.name}-{attempt}"
        place.mkdir(parents=True)
        here, there = context.Pipe(duplex=False)
        left = cases - examined.cases
        child = context.Process(target=_child, args=(loader, left, place, first_seed + attempt, there))
        child.start()
        there.close()
        is_done = _watched(here, examined, loader, place)
        if not is_done:
            child.join(timeout=1)  # it has ended, or will not
            child.kill()
        child.join()
        if is_done or examined.cases >= cases:
            break
        is_over_time = child.exitcode in (-signal.SIGPROF, -signal.SIGKILL)
        what = f"took longer than {SECONDS} s" if is_over_time else "the process ended"
        examined.findings.append(Finding(loader.name, what, place))
        examined.cases += 1
    return examined


_MOST_CHILDREN = 4
"""Children that may hang or die before a loader is given up."""


def _watched(pipe: Any, examined: Examined, loader: Loader, place: Path) -> bool:
    """Count the cases of a child and note its findings; return whether it came to its end."""
    try:
        while pipe.poll(_WAIT):
            message = pipe.recv()
            if message == "done":
                return True
            if message:
                examined.findings.append(Finding(loader.name, message, place))
            examined.cases += 1
    except EOFError:
        pass
    return False


def _child(loader: Loader, cases: int, place: Path, first_seed: int, pipe: Any) -> None:
    os.chdir(place)
    _be_quiet()
    file = loader.make(place)
    original = file.read_bytes()
    loader.read(file)  # as it is made, it can be read; and what is imported late is there
    watch = _Watch()
    sys.addaudithook(watch)
    _limit_memory()
    seen: set[str] = set()

    @seed(first_seed)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(damages(original))
    def read(data: bytes) -> None:
        file.write_bytes(data)
        what = ""
        try:
            with _watching(watch):
                signal.setitimer(signal.ITIMER_PROF, SECONDS)  # it ends the process, also in the midst of a library
                loader.read(file)
        except loader.errors as error:
            what = _wrong_with(error)
            if what and _is_of_ffmpeg(error) and not _takes_much(loader, file):
                what = ""
        except BaseException as error:
            what = _told(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        what = f"acted: {watch.acted}" if watch.acted else what
        watch.acted = None
        kind = what.rpartition("\n  File ")[2]
        is_new = bool(what) and kind not in seen
        seen.add(kind)
        if is_new:
            shutil.copy(file, place / f"finding-{len(seen)}{file.suffix}")
        pipe.send(what if is_new else "")

    read()
    pipe.send("done")


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    watch.is_on = True
    try:
        yield
    finally:
        watch.is_on = False


def _wrong_with(error: BaseException) -> str:
    """Return what is wrong with a documented error, or nothing."""
    message = str(error)
    if not message.strip():
        return f"an error without a word\n{_told(error)}"
    if len(message) > LONGEST_MESSAGE:
        return f"a message of {len(message)} characters\n{_told(error)}"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or "allocate" in str(seen):
            return f"more than 1 GiB of memory was asked for\n{_told(error)}"
        seen = seen.__cause__ or seen.__context__
    return ""


def _is_of_ffmpeg(error: BaseException) -> bool:
    """Whether FFmpeg had no memory: it refuses more than 2 GiB itself, and asks the system for nothing then."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) and type(seen).__module__.startswith("av"):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _takes_much(loader: Loader, file: Path) -> bool:
    """Read once more, with room for the 2 GiB that FFmpeg allows itself, and see whether it takes more than one."""
    limit, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit + 2 * MEMORY, most))
    try:
        loader.read(file)
    except loader.errors:
        pass
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmPeak"))
    return int(peak.split()[1]) * 1024 > limit


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _told(error: BaseException) -> str:
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "hypothesis" not in frame.filename]
    lines = "".join(traceback.format_list(own[-6:]))
    return f"{type(error).__name__}: {str(error)[:300]}\n{lines}"
