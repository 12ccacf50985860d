"""Trackers of experiments that cannot start: nobody is logged in, or a server does not answer."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from transformers import TrainerCallback

from ..processing import DialogueError

_MODULE = "transformers.integrations"


def guard_trackers(callbacks: Iterable[TrainerCallback]) -> None:
    """Let the trackers in `report_to` that fail when training begins end it with one line.

    Raises:
        DialogueError: when training begins; a tracker does not start.
    """
    for callback in callbacks:
        if type(callback).__module__.startswith(_MODULE):
            name = type(callback).__name__.removesuffix("Callback").lower()
            callback.on_train_begin = partial(_begin, callback.on_train_begin, name)


def _begin(on_train_begin: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return on_train_begin(*args, **kwargs)
    except Exception as error:  # each tracker has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DialogueError(f"`report_to`: {name} does not start ({reason}); log in to it, or leave it out") from error
