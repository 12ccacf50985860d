"""Run the parts of a comparison one after the other, or several at the same time, and say how far they have come."""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, Self

import torch

from ..io.messages import counted
from ..processing import DialogueError


class Workers:
    """The processes that run tasks: this one, or a pool that lives as long as the comparison."""

    def __init__(self, num_proc: int) -> None:
        self._num_proc = num_proc
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def run(self, tasks: Sequence[Callable[[], Any]]) -> Iterator[tuple[int, Any, str | None]]:
        """Run tasks; yield the place of each with its result, or with why it failed."""
        if self._num_proc == 1 or not tasks:
            for place, task in enumerate(tasks):
                yield place, *_guarded(task)
            return
        if self._pool is None:
            threads = max(1, (os.cpu_count() or 1) // self._num_proc)
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._num_proc, context, torch.set_num_threads, (threads,))
        places: dict[Future, int] = {self._pool.submit(_guarded, task): place for place, task in enumerate(tasks)}
        waiting = set(places)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield places[future], *future.result()


def _guarded(task: Callable[[], Any]) -> tuple[Any, str | None]:
    """Run a task; one that fails must not cost the others what they have computed."""
    try:
        return task(), None
    except DialogueError as error:
        return None, str(error)
    except Exception as error:  # a fault of the model's code, of the machine, ...
        place = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"


class Progress:
    """Count what is finished, and say how long the rest may take."""

    def __init__(self, number: int, what: str, report: Callable[[str], None]) -> None:
        self._number, self._what, self._report = number, what, report
        self._done = self._skipped = 0
        self._start = time.monotonic()

    def skip(self, number: int = 1) -> None:
        """Count what an earlier run has finished."""
        self._done += number
        self._skipped += number
        if number and self._done == self._number:
            self._report_skipped()

    def _report_skipped(self) -> None:
        if self._skipped:
            self._report(f"{counted(self._skipped, self._what)} of {self._number} finished already")

    def step(self, line: str) -> None:
        """Report one more."""
        if self._done == self._skipped:
            self._report_skipped()
        self._done += 1
        each = (time.monotonic() - self._start) / (self._done - self._skipped)
        left = each * (self._number - self._done)
        rest = f"; about {_duration(left)} left" if self._done < self._number else ""
        self._report(f"{self._what} {self._done} of {self._number}: {line}{rest}")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
