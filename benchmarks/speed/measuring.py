"""Measure times and rates, and compare them with a target."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.process import Runner, num_utterances, seconds_of
from joyful_hf.processing import EncodedDialogue


@dataclass(frozen=True)
class Scale:
    """The size of the work. An epoch and its evaluation have as many dialogues and utterances as IEMOCAP."""

    training: tuple[int, int] = (108, 5163)
    evaluation: tuple[int, int] = (31, 1623)
    dialogues_per_batch: int = 32
    utterances_per_batch: int = 2048
    latency: int = 50
    long: tuple[int, ...] = (2500, 5000, 10_000)
    growth: tuple[int, ...] = (1000, 10_000, 100_000, 1_000_000)
    growth_least: int = 40_000
    """Passes over a corpus are repeated up to this many utterances: memory needs some batches to settle."""
    full_batch: int = 32_768
    matrix: dict[str, int] = field(default_factory=lambda: {"cpu": 2048, "cuda": 8192})


QUICK = Scale(
    training=(6, 80),
    evaluation=(3, 40),
    dialogues_per_batch=3,
    utterances_per_batch=64,
    latency=9,
    long=(16, 32),
    growth=(48, 96),
    growth_least=96,
    full_batch=96,
    matrix={"cpu": 64, "cuda": 64},
)


@dataclass(frozen=True)
class Bench:
    """The settings of all sections."""

    device: torch.device
    scale: Scale
    quick: bool
    repeats: int
    threads: int
    reference_batches: int
    largest: int
    largest_training: int
    only_eager: bool
    rivals: tuple[str, ...]
    """Those that the section of this name measures."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions to measure, the most exact first."""
        return ("float32" if self.device.type == "cpu" else "tf32", "bfloat16")

    @property
    def is_cpu(self) -> bool:
        return self.device.type == "cpu"


@dataclass
class Figure:
    """One row of the table."""

    what: str
    value: float | None
    unit: str
    repeats: list[float] = field(default_factory=list)
    target: float | None = None
    at_most: bool = False
    error: str = ""
    row: str = ""
    """Row of the section's summary, if the figure is in it."""
    column: str = ""
    """Column of the summary."""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached, if there is one."""
        if self.target is None or self.value is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


# How things are measured.


def compare(
    bench: Bench,
    works: dict[str, Callable[[], object]],
    precisions: Sequence[str] = (),
    times: int = 1,
    warm_up: Sequence[Callable[[], object]] = (),
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Time several works in turn, so that drift of the machine affects all of them, after one call each to warm up.

    Args:
        precisions: precisions whose matrix rate is measured.
        times: number of calls in a row that are timed together.
        warm_up: smaller calls to warm up with, where one of each work takes long.

    Returns:
        Seconds per call of each repeat, by work; matrix rate of each repeat, by precision.
    """
    for work in warm_up or works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    rates: dict[str, list[float]] = {precision: [] for precision in precisions}
    for _ in range(bench.repeats):
        for precision in precisions:
            rates[precision].append(matrix_rate(bench, precision))
        for name, work in works.items():
            seconds[name].append(seconds_of(repeated(work, times), bench.device) / times)
    return seconds, rates


def repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    """Return a function that makes several calls."""

    def run() -> None:
        for _ in range(times):
            work()

    return run


def matrix_rate(bench: Bench, precision: str, tries: int = 5) -> float:
    """Return the FLOP/s of the fastest of several square matrix products."""
    size = bench.scale.matrix[bench.device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = torch.randn(2, size, size, device=bench.device).to(dtype)
    out = torch.empty_like(left)
    fastest = min(seconds_of(lambda: torch.mm(left, right, out=out), bench.device) for _ in range(tries + 1))
    return 2 * size**3 / fastest


def arithmetic(runner: Runner, mode: str, batches: Sequence[Sequence[EncodedDialogue]], precision: str) -> int:
    """Count the FLOP of the matrix products in one pass over the batches."""
    with FlopCounterMode(display=False) as counter:
        for_all(runner.train if mode == "train" else runner.evaluate, batches, precision)
    return counter.get_total_flops()


def seconds_figure(what: str, seconds: list[float], scale: float = 1.0, **target: Any) -> Figure:
    """Return the median of times, each multiplied by `scale`."""
    scaled = [scale * time for time in seconds]
    return Figure(what, median(scaled), "s", scaled, **target)


def speedup(what: str, slow: float, fast: float, target: float | None = None) -> Figure:
    """Return the ratio of two times."""
    return Figure(what, slow / fast, "×", target=target)


def share_figures(
    what: str, flops: int, seconds: list[float], rates: list[float], target: float | None = None
) -> Iterator[Figure]:
    """Yield the rate of the useful arithmetic, and its share of the matrix rate measured before each repeat."""
    reached = [flops / time for time in seconds]
    yield Figure(f"{what}: useful arithmetic", median(reached), "FLOP/s", reached)
    shares = [own / whole for own, whole in zip(reached, rates, strict=True)]
    name = f"{what}: share of the matrix rate ({readable(median(rates), 'FLOP/s')})"
    yield Figure(name, median(shares), "share", shares, target)


def failure(what: str, error: Exception) -> Figure:
    """Return the row of a figure that could not be measured."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return Figure(what, None, "", error=f"{type(error).__name__}: {' '.join(lines)[:300]}")


def for_all(step: Callable[..., object], batches: Sequence[Sequence[EncodedDialogue]], precision: str) -> None:
    """Make one step per batch."""
    for batch in batches:
        step(batch, precision)


def rate_figure(
    what: str, corpus: Sequence[EncodedDialogue], seconds: list[float], target: float | None = None
) -> Figure:
    """Return the utterances per second."""
    rates = [num_utterances(corpus) / time for time in seconds]
    return Figure(what, median(rates), "utterances/s", rates, target)


def readable(value: float, unit: str) -> str:
    """Format a number with its unit, to three significant digits."""
    if unit == "share":
        return f"{value:.0%}"
    if unit == "s":
        for factor, name in ((1, "s"), (1e3, "ms")):
            if value * factor >= 1:
                return f"{three_digits(value * factor)} {name}"
        return f"{three_digits(value * 1e6)} µs"
    if unit.startswith("FLOP"):
        factor, name = (1e12, "T") if value >= 1e12 else (1e9, "G")
        return f"{three_digits(value / factor)} {name}{unit}"
    if unit == "B":
        return f"{three_digits(value / 2**20)} MiB"
    return f"{three_digits(value)} {unit}".strip()


def three_digits(value: float) -> str:
    """Format a number: 1234567 -> 1,234,567; 12.345 -> 12.3."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
