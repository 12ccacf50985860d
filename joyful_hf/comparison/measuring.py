"""The cost of a training: seconds per epoch, and the highest memory."""

import ctypes
import gc
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class EpochClock(TrainerCallback):
    """Measure how long each epoch of training takes, without its validation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop it: transformers validates after this."""
        self.seconds.append(time.perf_counter() - self._start)

    @property
    def median(self) -> float | None:
        """Seconds of a typical epoch."""
        return statistics.median(self.seconds) if self.seconds else None


class PeakMemory:
    """The highest memory in MiB since this was made, in addition to what was in use then.

    On an accelerator its own memory counts, on a CPU the resident memory of the process, where the system tells it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start = 0.0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.memory_allocated(device) / 2**20
        elif device.type == "cpu":
            self._start = _reset_peak()

    @property
    def peak(self) -> float | None:
        """The highest so far; None where nobody knows."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20 - self._start
        peak = _of_status("VmHWM") if self._device.type == "cpu" else None
        return None if peak is None else max(0.0, peak - self._start)


def _reset_peak() -> float:
    """Forget the highest resident memory so far, and return what is resident now.

    What earlier work has freed is first given back to the system: used again, it would not count.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # of glibc
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # without it, the highest of the process so far is all that can be had
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _of_status("VmRSS") or 0.0


def _of_status(name: str) -> float | None:
    """Return a line of /proc/self/status in MiB; None where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), None)
