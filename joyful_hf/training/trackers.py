"""The trackers in `report_to`: one that does not start ends a run with one line, before the first step."""

from collections.abc import Callable
from functools import partial
from typing import Any

from transformers import TrainerCallback, TrainingArguments, trainer

from ..processing import DialogueError

# Where a tracker starts: `setup` is called when training begins, or else with the first numbers that it gets.
_STARTS = ("setup", "on_init_end", "on_train_begin")


def make_trackers(args: TrainingArguments) -> list[TrainerCallback]:
    """Make the callbacks of the trackers in `report_to`.

    Raises:
        DialogueError: a tracker is unknown, not installed or, when it is first used, does not start.
    """
    try:
        kinds = trainer.get_reporting_integration_callbacks(args.report_to)
    except ValueError as error:
        raise DialogueError(f"`report_to`: {error}") from None
    return [_guarded(_start(kind, kind, "install it or set it up")) for kind in kinds]


def _guarded(tracker: TrainerCallback) -> TrainerCallback:
    for name in _STARTS:
        if (start := getattr(tracker, name, None)) is not None:
            setattr(tracker, name, partial(_start, start, type(tracker), "log in to it"))
    return tracker


def _start(start: Callable[..., Any], kind: type, remedy: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return start(*args, **kwargs)
    except DialogueError:
        raise
    except Exception as error:  # each tracker has errors of its own
        name = kind.__name__.removesuffix("Callback").lower()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DialogueError(f"`report_to`: {name} does not start ({reason}); {remedy}, or leave it out") from error
