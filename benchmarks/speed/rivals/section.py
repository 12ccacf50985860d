"""The section of the rivals: each beside its plain formulation, in training, prediction and memory."""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from benchmarks.speed.measuring import Bench, Figure, compare, failure, for_all, seconds_figure, speedup
from benchmarks.speed.process import SHORTEST, iemocap_like_lengths, measure_apart, num_utterances
from benchmarks.speed.rivals import RIVALS
from benchmarks.speed.rivals.process import RivalJob, measure_rival
from benchmarks.speed.rivals.workload import AGREEMENT, RivalWorkload

FORMULATIONS = ("ours", "plain")
# As fast as the authors' code at least.
TARGET = 1.0


def rivals_section(bench: Bench) -> Iterator[Figure]:
    """Training, prediction and memory of each rival, compared with its plain formulation."""
    for name in bench.rivals:
        try:
            yield from rival_figures(bench, name)
        except Exception as error:
            yield failure(name, error)


def rival_figures(bench: Bench, name: str) -> Iterator[Figure]:
    """One row of the table, after both formulations were found to agree.

    Raises:
        ValueError: they do not.
    """
    workload = RivalWorkload(name, bench.device, bench.quick)
    part = partial(part_of_corpus, bench, workload)
    apart = workload.difference(workload.corpus(part(bench.scale.evaluation)[0]))
    yield Figure(f"{name}: largest difference of a logit", apart, "", target=AGREEMENT, at_most=True)
    if not apart <= AGREEMENT:
        raise ValueError(f"both formulations differ by {apart:.1e}, and were not timed")
    for mode, what, sizes in (
        ("train", "training epoch", bench.scale.training),
        ("predict", "prediction", bench.scale.evaluation),
    ):
        lengths = part(sizes)
        batches = [workload.corpus(own, seed=index) for index, own in enumerate(lengths)]
        works: dict[str, Callable[[], object]] = {
            formulation: partial(for_all, workload.runner(formulation).step(mode), batches, bench.precisions[0])
            for formulation in FORMULATIONS
        }
        short = workload.corpus([SHORTEST, SHORTEST])
        warm_up = [
            partial(for_all, workload.runner(own).step(mode), [short], bench.precisions[0]) for own in FORMULATIONS
        ]
        seconds, _ = compare(bench, works, warm_up=warm_up)
        measured = sum(map(num_utterances, batches))
        note = f"{sizes[1]} utterances, {measured} of them measured"
        for formulation in FORMULATIONS:
            place = {"row": row_of(name), "column": f"{what}, {formulation}"}
            scale = sizes[1] / measured
            yield seconds_figure(f"{name}: {what} of {note}, {formulation}", seconds[formulation], scale, **place)
        slow, fast = median(seconds["plain"]), median(seconds["ours"])
        faster = speedup(f"{name}: {what}, faster than plain", slow, fast, TARGET)
        faster.row, faster.column = row_of(name), f"{what}, faster"
        yield faster
    yield from memory_figures(bench, name, part(bench.scale.training)[0])


def row_of(name: str) -> str:
    """Name of a rival and how its plain formulation computes."""
    return f"{name}: {RIVALS[name].manner}"


def part_of_corpus(bench: Bench, workload: RivalWorkload, sizes: tuple[int, int]) -> list[list[int]]:
    """The lengths of the dialogues of the first batches; of a system that reads utterances, how many there are."""
    count, size = bench.reference_batches, workload.dialogues_per_batch
    lengths = [size] * count if workload.reads_utterances else iemocap_like_lengths(*sizes)[: count * size]
    step = 1 if workload.reads_utterances else size
    return [lengths[start : start + step] for start in range(0, len(lengths), step)]


def memory_figures(bench: Bench, name: str, lengths: list[int]) -> Iterator[Figure]:
    """Peak memory of a training step of one batch; in this process in a quick run, whose figures mean nothing."""
    for formulation in FORMULATIONS:
        job = RivalJob(name, formulation, lengths, bench.device.type, bench.threads, bench.quick)
        found = measure_rival(job) if job.quick else measure_apart(job, "benchmarks.speed.rivals.process")
        what = f"{name}: peak memory of a training step, {formulation}"
        yield Figure(what, found.peak_bytes, "B", row=row_of(name), column=f"memory, {formulation}")
