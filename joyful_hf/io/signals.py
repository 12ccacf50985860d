"""Requests to stop, by Ctrl-C or by SIGTERM, which schedulers send some seconds before they kill."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_ONE_REQUEST = 1.0
"""Seconds in which several signals are one request: the launcher of several processes hands on to each of them what a
terminal has sent to all."""


class Stopped(KeyboardInterrupt):
    """Work that was stopped by a signal.

    Args:
        number: the signal.
        checkpoint: where the work was saved when it stopped, if it was.
    """

    def __init__(self, number: int, checkpoint: Path | None = None) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.checkpoint = checkpoint


class StopRequest:
    """The request to stop that has been made, if any: work looks at it where it can stop without a loss.

    A second one, later than a second after the first, stops at once.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that has come."""
        self._time = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if self.number is None:
            self.number, self._time = number, now
        elif now - self._time > _ONE_REQUEST:
            raise Stopped(number)


@contextmanager
def collected_stops() -> Generator[StopRequest, None, None]:
    """Collect requests to stop inside the block, in place of raising; only the main thread can."""
    request = StopRequest()
    with _handled(request, signal.SIGINT, signal.SIGTERM):
        yield request


@contextmanager
def raised_stops() -> Generator[None, None, None]:
    """Raise `Stopped` on SIGTERM inside the block, as Python raises `KeyboardInterrupt` on SIGINT."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled(stop, signal.SIGTERM):
        yield


def describe_stop(error: BaseException | None) -> tuple[int, str]:
    """Return the number of the signal behind a `KeyboardInterrupt`, and what a person calls it."""
    number = error.number if isinstance(error, Stopped) else int(signal.SIGINT)
    return number, "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"


@contextmanager
def _handled(handler: Any, *numbers: int) -> Generator[None, None, None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)
        elif number != signal.SIGINT:  # a worker leaves Ctrl-C to its parent, and is ended by it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)
