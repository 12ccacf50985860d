"""Speed and memory, beside a plain reference that does the same work in the same run.

    python benchmarks/speed.py --output speed.json
    python benchmarks/speed.py --sections epoch speakers --repeats 5 --threads 2 --output speed.json
    python benchmarks/speed.py --table-only --output speed.json

Runs on the CPU, and on the GPU where there is one. Every figure is written to the output file as soon as it is found;
the sections that are run replace those in the file, the others stay. A figure is the median of repeated runs, ours
and the reference in turn. The reference (`benchmarks/reference.py`) is the released network as a careful newcomer
would write it. It trains on a part of the epoch, and its time is scaled by utterances.

Useful arithmetic is what torch's FlopCounterMode counts in one eager pass of ours: matrix products, forward and
backward, nothing taken off. Products inside fused attention and recurrent kernels of the CPU are not counted, the
reference's are not either. The matrix rate is the best of several large products, measured anew before each repeat.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch._dynamo.utils import counters
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.reference import edges_by_loop, edges_by_tensors
from benchmarks.speed_process import (
    WINDOW,
    Job,
    Measurement,
    Runner,
    batches_of_dialogues,
    corpus_lengths,
    iemocap_like_lengths,
    make_config,
    make_corpus,
    make_processor,
    make_runner,
    measure,
    measure_apart,
    num_utterances,
    seconds_of,
    use_tf32,
)
from joyful_hf.processing import EncodedDialogue
from joyful_hf.processing.graph import relation_ids, window_edges

# A training step of the Trainer has 8 dialogues by default.
TRAINER_BATCH = 8
# What must be reached on a CPU, by precision: how many times as fast as the reference.
TRAINING_TARGET = {"float32": 3.0, "bfloat16": 8.0}
EVALUATION_TARGET = {"float32": 5.0, "bfloat16": 12.0}
GRAPH_TARGET = 100.0
SPEAKERS_TARGET = 1.3
FLAT_TARGET = 1.3
# Share of the matrix rate in training: of an epoch on a CPU, of full batches on a GPU.
SHARE_TARGET = {"cpu": 0.5, "cuda": 0.4}
# On a GPU.
EPOCH_TARGET = 0.2
PREDICTION_TARGET = 1e6


@dataclass(frozen=True)
class Scale:
    """How large the work is. Dialogues and utterances of an epoch and of its evaluation are IEMOCAP's."""

    training: tuple[int, int] = (108, 5163)
    evaluation: tuple[int, int] = (31, 1623)
    dialogues_per_batch: int = 32
    utterances_per_batch: int = 2048
    latency: int = 50
    long: tuple[int, ...] = (2500, 5000, 10_000)
    growth: tuple[int, ...] = (1000, 10_000, 100_000, 1_000_000)
    growth_least: int = 40_000
    """Corpora are passed over until they have given so many utterances: memory needs some batches to settle."""
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
    """What all sections are measured with."""

    device: torch.device
    scale: Scale
    quick: bool
    repeats: int
    threads: int
    reference_batches: int
    largest: int
    largest_training: int
    only_eager: bool

    @property
    def precisions(self) -> tuple[str, ...]:
        """Of float32 first."""
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

    @property
    def met(self) -> bool | None:
        """Whether the target is reached, if there is one."""
        if self.target is None or self.value is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def main() -> None:
    """Run the sections and print their tables."""
    arguments = parse_arguments()
    output = Path(arguments.output)
    results: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    if not arguments.table_only:
        torch.set_num_threads(arguments.threads)
        for name in arguments.devices:
            device = torch.device(name)
            use_tf32(device)
            for section in arguments.sections or default_sections(device, arguments.quick):
                run_section(section, make_bench(arguments, device), results, output)
    print(tables(results))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), help="all that the device has, by default")
    parser.add_argument("--devices", nargs="+", choices=["cpu", "cuda"], help="all there are, by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--reference-batches", type=int, default=1, help="batches that the reference trains on")
    parser.add_argument("--largest", type=int, default=1_000_000, help="utterances of the largest corpus")
    parser.add_argument(
        "--largest-training", type=int, default=100_000, help="utterances of the largest corpus that is trained on"
    )
    parser.add_argument("--only-eager", action="store_true", help="leave torch.compile out of the section full-batch")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether everything runs")
    parser.add_argument("--table-only", action="store_true", help="print the tables of the output file")
    parser.add_argument("--output", default="speed.json", help="results; sections in it that are not run are kept")
    arguments = parser.parse_args()
    arguments.devices = arguments.devices or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
    return arguments


def default_sections(device: torch.device, quick: bool) -> list[str]:
    """All sections that say something about the device; batches that fill it on a CPU for trying out only."""
    left_out = {"graph"} if device.type == "cuda" else set() if quick else {"full-batch"}
    return [name for name in SECTIONS if name not in left_out]


def make_bench(arguments: argparse.Namespace, device: torch.device) -> Bench:
    """The settings of the command line, for one device."""
    return Bench(
        device=device,
        scale=QUICK if arguments.quick else Scale(),
        quick=arguments.quick,
        repeats=arguments.repeats,
        threads=arguments.threads,
        reference_batches=arguments.reference_batches,
        largest=arguments.largest,
        largest_training=arguments.largest_training,
        only_eager=arguments.only_eager,
    )


def run_section(name: str, bench: Bench, results: dict[str, Any], output: Path) -> None:
    """Put each figure into the results and the file as it comes. An error ends the section, not the run."""
    figures: list[dict[str, Any]] = []
    results.setdefault(bench.device.type, {})[name] = {
        "machine": describe_machine(bench),
        "settings": asdict(bench) | {"device": bench.device.type},
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "figures": figures,
    }
    print(f"## {name} ({bench.device.type})", flush=True)
    found = SECTIONS[name](bench)
    while True:
        try:
            figure = next(found, None)
        except Exception as error:
            figure = failure(f"the section {name}", error)
        if figure is None:
            break
        figures.append(asdict(figure) | {"met": figure.met})
        output.write_text(json.dumps(results, indent=1) + "\n")
        print(table_row(figures[-1]), flush=True)


def describe_machine(bench: Bench) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    machine = {
        "cpu": cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    return machine if bench.is_cpu else machine | {"gpu": torch.cuda.get_device_name(bench.device)}


def cpu_name() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# How things are measured.


def compare(
    bench: Bench, works: dict[str, Callable[[], object]], precisions: Sequence[str] = (), times: int = 1
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Each work in turn, so that a machine that drifts drifts for all of them; once before that to warm up.

    Args:
        precisions: of which the matrix rate is wanted.
        times: calls in a row that are timed together.

    Returns:
        Seconds a call of each repeat, by work; matrix rate of each repeat, by precision.
    """
    for work in works.values():
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
    """Several calls as one."""

    def run() -> None:
        for _ in range(times):
            work()

    return run


def matrix_rate(bench: Bench, precision: str, tries: int = 5) -> float:
    """FLOP/s of the fastest of several square matrix products."""
    size = bench.scale.matrix[bench.device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = torch.randn(2, size, size, device=bench.device).to(dtype)
    out = torch.empty_like(left)
    fastest = min(seconds_of(lambda: torch.mm(left, right, out=out), bench.device) for _ in range(tries + 1))
    return 2 * size**3 / fastest


def arithmetic(runner: Runner, mode: str, batches: Sequence[Sequence[EncodedDialogue]], precision: str) -> int:
    """FLOP of the matrix products in one pass over the batches."""
    with FlopCounterMode(display=False) as counter:
        for_all(runner.train if mode == "train" else runner.evaluate, batches, precision)
    return counter.get_total_flops()


def seconds_figure(what: str, seconds: list[float], scale: float = 1.0, **target: Any) -> Figure:
    """The median of some times, each multiplied by `scale`."""
    scaled = [scale * one for one in seconds]
    return Figure(what, median(scaled), "s", scaled, **target)


def speedup(what: str, slow: float, fast: float, target: float | None = None) -> Figure:
    """How many times as fast."""
    return Figure(what, slow / fast, "×", target=target)


def share_figures(
    what: str, flops: int, seconds: list[float], rates: list[float], target: float | None = None
) -> Iterator[Figure]:
    """The rate of the useful arithmetic, and its share of the matrix rate that was measured before each repeat."""
    reached = [flops / one for one in seconds]
    yield Figure(f"{what}: useful arithmetic", median(reached), "FLOP/s", reached)
    shares = [own / whole for own, whole in zip(reached, rates, strict=True)]
    name = f"{what}: share of the matrix rate ({readable(median(rates), 'FLOP/s')})"
    yield Figure(name, median(shares), "share", shares, target)


def failure(what: str, error: Exception) -> Figure:
    """A row for what could not be measured."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return Figure(what, None, "", error=f"{type(error).__name__}: {' '.join(lines)[:300]}")


def for_all(step: Callable[..., object], batches: Sequence[Sequence[EncodedDialogue]], precision: str) -> None:
    """One step a batch."""
    for batch in batches:
        step(batch, precision)


# The sections: each yields its figures, one after the other.


def matrix_section(bench: Bench) -> Iterator[Figure]:
    """The rate that the shares are shares of."""
    size = bench.scale.matrix[bench.device.type]
    for precision in bench.precisions:
        rates = [matrix_rate(bench, precision) for _ in range(bench.repeats + 1)][1:]
        yield Figure(f"{size} × {size} products, {precision}", median(rates), "FLOP/s", rates)


def epoch_section(bench: Bench) -> Iterator[Figure]:
    """Training epoch and evaluation at the released size, ours and the reference."""
    ours, config = make_runner("released", bench.device, bench.quick)
    plain, _ = make_runner("reference", bench.device, bench.quick)
    training = make_corpus(config, iemocap_like_lengths(*bench.scale.training))
    evaluation = make_corpus(config, iemocap_like_lengths(*bench.scale.evaluation, seed=1))
    batches = batches_of_dialogues(training, bench.scale.dialogues_per_batch)
    yield from beside_reference(
        bench,
        f"training epoch of {num_utterances(training)} utterances",
        "train",
        (ours, plain),
        batches,
        batches[: bench.reference_batches],
        TRAINING_TARGET,
    )
    batches = batches_of_dialogues(evaluation, bench.scale.dialogues_per_batch)
    yield from beside_reference(
        bench,
        f"evaluation of {num_utterances(evaluation)} utterances",
        "predict",
        (ours, plain),
        batches,
        batches,
        EVALUATION_TARGET,
    )


def beside_reference(
    bench: Bench,
    what: str,
    mode: str,
    runners: tuple[Runner, Runner],
    batches: list[Sequence[EncodedDialogue]],
    part: list[Sequence[EncodedDialogue]],
    targets: dict[str, float],
) -> Iterator[Figure]:
    """Our pass over the batches and the reference's over a part of them, in all precisions in turn."""
    ours, reference = runners
    is_epoch = mode == "train"
    first = bench.precisions[0]
    whole, measured = (sum(map(num_utterances, some)) for some in (batches, part))
    flops = arithmetic(ours, mode, batches, first)
    works: dict[str, Callable[[], object]] = {}
    for precision in bench.precisions:
        works[f"ours {precision}"] = partial(for_all, ours.step(mode), batches, precision)
        works[f"plain {precision}"] = partial(for_all, reference.step(mode), part, precision)
    seconds, rates = compare(bench, works, bench.precisions)
    scale = whole / measured
    yield Figure(f"{what}: useful arithmetic of ours", flops, "FLOP")
    for precision in bench.precisions:
        own, plain = seconds[f"ours {precision}"], seconds[f"plain {precision}"]
        goal: dict[str, Any] = {} if bench.is_cpu or not is_epoch else {"target": EPOCH_TARGET, "at_most": True}
        yield seconds_figure(f"{what}, {precision}", own, **goal)
        note = "" if scale == 1 else f" ({measured} utterances, scaled)"
        yield seconds_figure(f"{what}, {precision}: reference{note}", plain, scale)
        target = targets.get(precision) if bench.is_cpu else None
        for baseline in dict.fromkeys((precision, first)):
            slow = median(seconds[f"plain {baseline}"]) * scale
            yield speedup(f"{what}, {precision}: faster than the {baseline} reference", slow, median(own), target)
        share = SHARE_TARGET["cpu"] if is_epoch and bench.is_cpu else None
        yield from share_figures(f"{what}, {precision}", flops, own, rates[precision], share)


def recommended_section(bench: Bench) -> Iterator[Figure]:
    """The recommended model: batches against one dialogue after the other."""
    runner, config = make_runner("recommended", bench.device, bench.quick)
    for mode, sizes in (("train", bench.scale.training), ("predict", bench.scale.evaluation)):
        step = runner.step(mode)
        corpus = make_corpus(config, iemocap_like_lengths(*sizes))
        batches = batches_of_dialogues(corpus, bench.scale.dialogues_per_batch)
        alone = batches_of_dialogues(corpus, 1)
        flops = arithmetic(runner, mode, batches, bench.precisions[0])
        for precision in bench.precisions:
            seconds, rates = compare(
                bench,
                {
                    "batches": partial(for_all, step, batches, precision),
                    "alone": partial(for_all, step, alone, precision),
                },
                [precision],
            )
            name = f"{mode}, {precision}"
            yield rate_figure(
                f"{name}: {bench.scale.dialogues_per_batch} dialogues a batch", corpus, seconds["batches"]
            )
            yield rate_figure(f"{name}: one dialogue a batch", corpus, seconds["alone"])
            yield speedup(f"{name}: faster in batches", median(seconds["alone"]), median(seconds["batches"]))
            yield from share_figures(name, flops, seconds["batches"], rates[precision])


def rate_figure(
    what: str, corpus: Sequence[EncodedDialogue], seconds: list[float], target: float | None = None
) -> Figure:
    """Utterances a second."""
    rates = [num_utterances(corpus) / one for one in seconds]
    return Figure(what, median(rates), "utterances/s", rates, target)


def latency_section(bench: Bench) -> Iterator[Figure]:
    """How long a user waits for the prediction of one dialogue."""
    length = bench.scale.latency
    for size in ("released", "recommended"):
        ours, config = make_runner(size, bench.device, bench.quick)
        dialogue = make_corpus(config, [length])
        record = as_records(dialogue)[0]
        processor = make_processor(config, size)
        model: Any = ours.model
        plain = make_runner("reference", bench.device, bench.quick)[0] if size == "released" else None
        for precision in bench.precisions:
            works: dict[str, Callable[[], object]] = {"ours": partial(ours.predict, dialogue, precision)}
            if precision == bench.precisions[0]:
                works["record"] = partial(model.predict, record, processor)
            if plain is not None:
                works["plain"] = partial(plain.predict, dialogue, precision)
            seconds, _ = compare(bench, works, times=5)
            what = f"a dialogue of {length} utterances, {size} size, {precision}"
            yield seconds_figure(what, seconds["ours"])
            if "record" in works:
                yield seconds_figure(f"{what}: from the record to named scores", seconds["record"])
            if "plain" in works:
                yield seconds_figure(f"{what}: reference", seconds["plain"])
                yield speedup(f"{what}: faster than the reference", median(seconds["plain"]), median(seconds["ours"]))


def as_records(corpus: Sequence[EncodedDialogue], as_lists: bool = True) -> list[dict[str, Any]]:
    """Encoded dialogues as the records that users write, features as lists or as arrays."""
    records = []
    for index, dialogue in enumerate(corpus):
        assert dialogue.labels is not None
        utterances: list[dict[str, Any]] = [
            {"speaker": f"speaker {speaker}", "label": f"label {label}"}
            for speaker, label in zip(dialogue.speaker_ids, dialogue.labels, strict=True)
        ]
        for name, matrix in dialogue.features.items():
            for utterance, vector in zip(utterances, matrix.tolist() if as_lists else matrix, strict=True):
                utterance[f"{name}_features"] = vector
        records.append({"dialogue_id": f"d{index}", "utterances": utterances})
    return records


def graph_section(bench: Bench) -> Iterator[Figure]:
    """Graph construction and the processor; both work on the CPU."""
    config = make_config("released", bench.quick)
    processor = make_processor(config, "released")
    count = bench.scale.dialogues_per_batch
    corpus = make_corpus(config, iemocap_like_lengths(*bench.scale.training))[:count]
    speakers = [dialogue.speaker_ids.tolist() for dialogue in corpus]
    speaker_tensors = [torch.from_numpy(dialogue.speaker_ids) for dialogue in corpus]
    lengths = np.array([len(dialogue) for dialogue in corpus])
    speaker_ids = np.concatenate([dialogue.speaker_ids for dialogue in corpus])
    window, most = WINDOW["released"], config.max_speakers

    def own_edges() -> tuple[torch.Tensor, torch.Tensor]:
        edge_index = window_edges(lengths, window, window)
        edge_type = relation_ids(edge_index, speaker_ids, config.relation_scheme, most)
        return torch.from_numpy(edge_index), torch.from_numpy(edge_type)

    seconds, _ = compare(
        bench,
        {
            "ours": repeated(own_edges, 20),
            "lists": lambda: edges_by_loop(speakers, window, window, most),
            "tensors": lambda: edges_by_tensors(speaker_tensors, window, window, most),
        },
    )
    what = f"edges and relations of {count} dialogues ({own_edges()[1].numel()} edges)"
    own = [one / 20 for one in seconds["ours"]]
    yield seconds_figure(what, own)
    for name, manner in (("lists", "a Python loop into lists"), ("tensors", "a tensor an edge, as released")):
        yield seconds_figure(f"{what}: {manner}", seconds[name])
        yield speedup(f"{what}: faster than {manner}", median(seconds[name]), median(own), GRAPH_TARGET)

    lists, arrays = as_records(corpus), as_records(corpus, as_lists=False)
    seconds, _ = compare(
        bench,
        {
            "lists": lambda: processor.encode(lists),
            "arrays": lambda: processor.encode(arrays),
            "pack": lambda: processor.pack(corpus, return_tensors="pt"),
        },
    )
    yield rate_figure(f"processor, {count} dialogues: encode records of lists", corpus, seconds["lists"])
    yield rate_figure(f"processor, {count} dialogues: encode records of arrays", corpus, seconds["arrays"])
    yield rate_figure(f"processor, {count} dialogues: pack", corpus, seconds["pack"])


def speakers_section(bench: Bench) -> Iterator[Figure]:
    """A training step with 9 speakers, 162 relations, against one with 2."""
    runners = {}
    for speakers in (2, 9):
        runner, config = make_runner("released", bench.device, bench.quick, max_speakers=speakers)
        corpus = make_corpus(config, iemocap_like_lengths(*bench.scale.training), speakers)
        runners[speakers] = runner, corpus[: bench.scale.dialogues_per_batch]
    for precision in bench.precisions:
        works: dict[str, Callable[[], object]] = {
            str(speakers): partial(runner.train, batch, precision) for speakers, (runner, batch) in runners.items()
        }
        seconds, _ = compare(bench, works)
        for speakers in runners:
            yield seconds_figure(f"training step, {speakers} speakers, {precision}", seconds[str(speakers)])
        ratio = median(seconds["9"]) / median(seconds["2"])
        yield Figure(
            f"training step, 9 speakers over 2, {precision}", ratio, "×", target=SPEAKERS_TARGET, at_most=True
        )


def memory_section(bench: Bench) -> Iterator[Figure]:
    """Peak memory of one batch, ours and the reference's."""
    lengths = iemocap_like_lengths(*bench.scale.training)[: bench.scale.dialogues_per_batch]
    for mode, precision in product(("train", "predict"), bench.precisions):
        found = {}
        for model in ("released", "reference", "recommended"):
            what = f"{mode}, {precision}, {len(lengths)} dialogues, {model}"
            job = make_job(bench, model, mode, lengths, dialogues_per_batch=len(lengths), precision=precision)
            try:
                found[model] = run_job(job).peak_bytes
            except Exception as error:
                yield failure(what, error)
            else:
                yield Figure(f"{what}: peak memory", found[model], "B")
        if found.get("released") and "reference" in found:
            ratio = found["released"] / found["reference"]
            yield Figure(f"{mode}, {precision}: memory, released size over reference", ratio, "×")


def long_section(bench: Bench) -> Iterator[Figure]:
    """Dialogues of growing length, window 8; the released transformer sees 64 utterances to either side."""
    models: list[tuple[str, dict[str, Any]]] = [("recommended", {}), ("released", {"context_window": 64})]
    for (model, overrides), mode in product(models, ("train", "predict")):
        jobs = {
            length: make_job(
                bench, model, mode, [length], window=8, overrides=overrides, repeats=min(bench.repeats, 3)
            )
            for length in bench.scale.long
        }
        yield from growth_figures(f"{mode}, {model}, one dialogue of", jobs, per_batch=False)


def growth_section(bench: Bench) -> Iterator[Figure]:
    """Corpora of growing size, recommended model: batches by utterances to predict, the Trainer's to train."""
    for mode, largest in (("predict", bench.largest), ("train", bench.largest_training)):
        batching = (
            {"utterances_per_batch": bench.scale.utterances_per_batch}
            if mode == "predict"
            else {"dialogues_per_batch": TRAINER_BATCH}
        )
        jobs = {
            size: make_job(
                bench,
                "recommended",
                mode,
                corpus_lengths(size),
                repeats=math.ceil(bench.scale.growth_least / size),
                **batching,
            )
            for size in bench.scale.growth
            if size <= largest
        }
        yield from growth_figures(f"{mode}, recommended, corpus of", jobs, per_batch=True)


def make_job(bench: Bench, model: str, mode: str, lengths: list[int], **settings: Any) -> Job:
    """A job on the benchmark's device, in its most exact precision unless told otherwise."""
    common: dict[str, Any] = {"precision": bench.precisions[0], "device": bench.device.type, "threads": bench.threads}
    return Job(model, mode, lengths, quick=bench.quick, **(common | settings))


def run_job(job: Job) -> Measurement:
    """In a process of its own; a quick run, whose figures mean nothing, saves that."""
    return measure(job) if job.quick else measure_apart(job)


def growth_figures(what: str, jobs: dict[int, Job], per_batch: bool) -> Iterator[Figure]:
    """Time and memory of each size, and how much the highest per utterance exceeds the least.

    Args:
        per_batch: memory is that of the largest batch's utterances: a corpus is worked through batch by batch.
    """
    times, memories = [], []
    for size, job in jobs.items():
        name = f"{what} {size:,} utterances"
        try:
            found = run_job(job)
        except Exception as error:
            yield failure(name, error)
            continue
        times.append(median(found.seconds) / size)
        memories.append(found.peak_bytes / (found.largest_batch if per_batch else size))
        yield seconds_figure(f"{name}: time", found.seconds)
        yield seconds_figure(f"{name}: time an utterance", found.seconds, 1 / size)
        yield Figure(f"{name}: peak memory", found.peak_bytes, "B")
    for kind, values in (("time", times), ("memory", memories)):
        if len(values) > 1 and min(values) > 0:
            unit = "an utterance in flight" if per_batch and kind == "memory" else "an utterance"
            ratio = max(values) / min(values)
            yield Figure(f"{what} …: {kind} {unit}, highest over least", ratio, "×", target=FLAT_TARGET, at_most=True)


def compile_section(bench: Bench) -> Iterator[Figure]:
    """`torch.compile(fullgraph=True, dynamic=True)` against eager, on batches of different sizes."""
    precision = bench.precisions[0] if bench.is_cpu else "bfloat16"
    for size, mode in product(("released", "recommended"), ("train", "predict")):
        what = f"{mode}, {size} size, {precision}"
        try:
            yield from compiled_figures(bench, what, size, mode, precision)
        except Exception as error:
            yield failure(f"{what}: torch.compile", error)


def compiled_figures(bench: Bench, what: str, size: str, mode: str, precision: str) -> Iterator[Figure]:
    """Time of compilation, recompilations, and time of a pass over the batches, eager and compiled."""
    eager, config = make_runner(size, bench.device, bench.quick)
    compiled, _ = make_runner(size, bench.device, bench.quick)
    corpus = make_corpus(config, iemocap_like_lengths(*bench.scale.training))
    batches = batches_of_dialogues(corpus, bench.scale.dialogues_per_batch)
    compile_model(compiled)

    def run(runner: Runner) -> None:
        for_all(runner.step(mode), batches, precision)

    yield seconds_figure(
        f"{what}: first pass, compilation included", [seconds_of(lambda: run(compiled), bench.device)]
    )
    seconds, _ = compare(bench, {"eager": lambda: run(eager), "compiled": lambda: run(compiled)})
    yield Figure(f"{what}: recompilations", counters["stats"]["unique_graphs"] - 1, "")
    for name, some in seconds.items():
        yield seconds_figure(f"{what}: {name}", some)
    yield speedup(f"{what}: faster compiled", median(seconds["eager"]), median(seconds["compiled"]))


def compile_model(runner: Runner) -> None:
    """Let a runner call its model compiled, and count the graphs from 0."""
    torch.compiler.reset()
    counters.clear()
    runner.called = torch.compile(runner.model, fullgraph=True, dynamic=True)


def full_batch_section(bench: Bench) -> Iterator[Figure]:
    """One batch that fills the device: training and prediction, eager and compiled."""
    for size, is_compiled in product(("released", "recommended"), (False, True)):
        if is_compiled and bench.only_eager:
            continue
        for mode in ("train", "predict"):
            for precision in bench.precisions:
                what = f"{mode}, {size} size, {precision}, {'compiled' if is_compiled else 'eager'}"
                try:
                    yield from full_batch_figures(bench, what, size, mode, precision, is_compiled)
                except Exception as error:
                    yield failure(what, error)


def full_batch_figures(
    bench: Bench, what: str, size: str, mode: str, precision: str, is_compiled: bool
) -> Iterator[Figure]:
    """Utterances a second and share of the matrix rate, with the batch on the device already."""
    runner, config = make_runner(size, bench.device, bench.quick)
    corpus = make_corpus(config, corpus_lengths(bench.scale.full_batch))
    step = runner.step(mode)
    from_encoded, _ = compare(bench, {"step": lambda: step(corpus, precision)})
    prepared = runner.prepare(corpus)
    runner.prepare = lambda _: prepared
    flops = arithmetic(runner, mode, [corpus], precision)
    if is_compiled:
        compile_model(runner)
    seconds, rates = compare(bench, {"step": lambda: step(corpus, precision)}, [precision])
    goal = None if bench.is_cpu else PREDICTION_TARGET
    what = f"{what}, {num_utterances(corpus):,} utterances a batch"
    yield rate_figure(what, corpus, seconds["step"], goal if mode == "predict" else None)
    if not is_compiled:
        yield rate_figure(f"{what}: packed and moved to the device anew", corpus, from_encoded["step"])
    wanted = SHARE_TARGET["cuda"] if mode == "train" and size == "released" and not bench.is_cpu else None
    yield from share_figures(what, flops, seconds["step"], rates[precision], wanted)


SECTIONS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "matrix": matrix_section,
    "epoch": epoch_section,
    "recommended": recommended_section,
    "latency": latency_section,
    "graph": graph_section,
    "speakers": speakers_section,
    "memory": memory_section,
    "long": long_section,
    "growth": growth_section,
    "compile": compile_section,
    "full-batch": full_batch_section,
}


# How results are shown.


def tables(results: dict[str, Any]) -> str:
    """All sections as Markdown."""
    lines = []
    for device, sections in results.items():
        for name, section in sections.items():
            machine = ", ".join(f"{key} {value}" for key, value in section["machine"].items())
            settings = section["settings"]
            quick = "; quick, figures mean nothing" if settings["quick"] else ""
            lines += [
                f"\n## {name} ({device})\n",
                f"{machine}; {settings['repeats']} repeats{quick}\n",
                "| what | figure | lowest to highest | target | |",
                "|---|---|---|---|---|",
                *map(table_row, section["figures"]),
            ]
    return "\n".join(lines)


def table_row(figure: dict[str, Any]) -> str:
    """One figure as a row of a Markdown table."""
    if figure["error"]:
        error = figure["error"].replace("|", "/")
        return f"| {figure['what']} | not measured: {error} | | | |"
    unit, repeats, target = figure["unit"], figure["repeats"], figure["target"]
    spread = f"{readable(min(repeats), unit)} to {readable(max(repeats), unit)}" if len(repeats) > 1 else ""
    wanted = "" if target is None else f"{'≤' if figure['at_most'] else '≥'} {readable(target, unit)}"
    verdict = {None: "", True: "met", False: "**missed**"}[figure["met"]]
    return f"| {figure['what']} | {readable(figure['value'], unit)} | {spread} | {wanted} | {verdict} |"


def readable(value: float, unit: str) -> str:
    """A number with its unit, three digits that count."""
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
    """1234567 -> 1,234,567; 12.345 -> 12.3."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    main()
