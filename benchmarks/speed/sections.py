"""The sections of the speed benchmark; each yields the figures of one question."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import numpy as np
import torch
from torch._dynamo.utils import counters

from benchmarks.speed.measuring import (
    Bench,
    Figure,
    arithmetic,
    compare,
    failure,
    for_all,
    matrix_rate,
    rate_figure,
    repeated,
    seconds_figure,
    share_figures,
    speedup,
)
from benchmarks.speed.process import (
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
)
from benchmarks.speed.reference import edges_by_loop, edges_by_tensors
from benchmarks.speed.rivals.section import rivals_section
from joyful_hf.processing import EncodedDialogue
from joyful_hf.processing.graph import relation_ids, window_edges

# Default batch size of the Trainer, in dialogues.
TRAINER_BATCH = 8
# Targets on a CPU, by precision: how many times as fast as the reference.
TRAINING_TARGET = {"float32": 3.0, "bfloat16": 8.0}
EVALUATION_TARGET = {"float32": 5.0, "bfloat16": 12.0}
GRAPH_TARGET = 100.0
SPEAKERS_TARGET = 1.3
FLAT_TARGET = 1.3
# Share of the matrix rate in training: over an epoch on a CPU, over full batches on a GPU.
SHARE_TARGET = {"cpu": 0.5, "cuda": 0.4}
# On a GPU.
EPOCH_TARGET = 0.2
PREDICTION_TARGET = 1e6


# The sections: each yields its figures, one after the other.


def matrix_section(bench: Bench) -> Iterator[Figure]:
    """The matrix rate, which the shares refer to."""
    size = bench.scale.matrix[bench.device.type]
    for precision in bench.precisions:
        rates = [matrix_rate(bench, precision) for _ in range(bench.repeats + 1)][1:]
        yield Figure(f"{size} × {size} products, {precision}", median(rates), "FLOP/s", rates)


def epoch_section(bench: Bench) -> Iterator[Figure]:
    """Training epoch and evaluation at the released size, compared with the reference."""
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
    """Our pass over the batches compared with the reference's over a part of them, in all precisions."""
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
    """The recommended model: batches compared with one dialogue at a time."""
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
                f"{name}: {bench.scale.dialogues_per_batch} dialogues per batch", corpus, seconds["batches"]
            )
            yield rate_figure(f"{name}: one dialogue per batch", corpus, seconds["alone"])
            yield speedup(f"{name}: faster in batches", median(seconds["alone"]), median(seconds["batches"]))
            yield from share_figures(name, flops, seconds["batches"], rates[precision])


def latency_section(bench: Bench) -> Iterator[Figure]:
    """The time that a user waits for the prediction of one dialogue."""
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
    """Turn encoded dialogues into the records that users write, with features as lists or as arrays."""
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
    own = [time / 20 for time in seconds["ours"]]
    yield seconds_figure(what, own)
    for name, manner in (("lists", "a Python loop into lists"), ("tensors", "a tensor per edge, as released")):
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
    """A training step with 9 speakers (162 relations) compared with one with 2."""
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
    """Peak memory of one batch, compared with the reference."""
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
    """Corpora of growing size, recommended model: batches of utterances to predict, the Trainer's batches to train."""
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
    """Make a job on the device of the benchmark, in its most exact precision unless given otherwise."""
    common: dict[str, Any] = {"precision": bench.precisions[0], "device": bench.device.type, "threads": bench.threads}
    return Job(model, mode, lengths, quick=bench.quick, **(common | settings))


def run_job(job: Job) -> Measurement:
    """Run a job in a separate process, or in this one in a quick run, whose figures mean nothing."""
    return measure(job) if job.quick else measure_apart(job)


def growth_figures(what: str, jobs: dict[int, Job], per_batch: bool) -> Iterator[Figure]:
    """Time and memory of each size, and the ratio of the highest to the lowest per utterance.

    Args:
        per_batch: divide memory by the utterances of the largest batch, not of the corpus.
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
        yield seconds_figure(f"{name}: time per utterance", found.seconds, 1 / size)
        yield Figure(f"{name}: peak memory", found.peak_bytes, "B")
    for kind, values in (("time", times), ("memory", memories)):
        if len(values) > 1 and min(values) > 0:
            unit = "per utterance in flight" if per_batch and kind == "memory" else "per utterance"
            ratio = max(values) / min(values)
            yield Figure(f"{what} …: {kind} {unit}, highest over lowest", ratio, "×", target=FLAT_TARGET, at_most=True)


def compile_section(bench: Bench) -> Iterator[Figure]:
    """`torch.compile(fullgraph=True, dynamic=True)` compared with eager mode, on batches of different sizes."""
    precision = bench.precisions[0] if bench.is_cpu else "bfloat16"
    for size, mode in product(("released", "recommended"), ("train", "predict")):
        what = f"{mode}, {size} size, {precision}"
        try:
            yield from compiled_figures(bench, what, size, mode, precision)
        except Exception as error:
            yield failure(f"{what}: torch.compile", error)


def compiled_figures(bench: Bench, what: str, size: str, mode: str, precision: str) -> Iterator[Figure]:
    """Time of compilation, number of recompilations, and time of a pass over the batches, eager and compiled."""
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
    """Compile the model of a runner, and count graphs from 0."""
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
    """Utterances per second and share of the matrix rate, with the batch already on the device."""
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
    what = f"{what}, {num_utterances(corpus):,} utterances per batch"
    yield rate_figure(what, corpus, seconds["step"], goal if mode == "predict" else None)
    if not is_compiled:
        yield rate_figure(f"{what}: packed and moved to the device each time", corpus, from_encoded["step"])
    wanted = SHARE_TARGET["cuda"] if mode == "train" and size == "released" and not bench.is_cpu else None
    yield from share_figures(what, flops, seconds["step"], rates[precision], wanted)


def cuda_graph_section(bench: Bench) -> Iterator[Figure]:
    """Work on one batch, recorded as one CUDA graph, compared with its launches one by one; on a CPU only these."""
    for size, mode in product(("released", "recommended"), ("train", "predict")):
        what = f"{mode} without the optimizer, {size} size" if mode == "train" else f"{mode}, {size} size"
        try:
            yield from cuda_graph_figures(bench, what, size, mode)
        except Exception as error:
            yield failure(what, error)


def cuda_graph_figures(bench: Bench, what: str, size: str, mode: str) -> Iterator[Figure]:
    """Seconds of a pass over one batch that is on the device already. It can be recorded only if nothing waits."""
    runner, config = make_runner(size, bench.device, bench.quick)
    lengths = iemocap_like_lengths(*bench.scale.training)[: bench.scale.dialogues_per_batch]
    inputs = runner.prepare(make_corpus(config, lengths))
    runner.model.train(mode == "train")

    def work() -> None:
        if mode == "train":
            runner.model.zero_grad(set_to_none=True)
            runner.model(**inputs).loss.backward()
        else:
            with torch.no_grad():
                runner.model(**inputs, return_loss=False)

    works: dict[str, Callable[[], object]] = {"launched one by one": work}
    if bench.device.type == "cuda":
        works["one CUDA graph"] = recorded(work).replay
    seconds, _ = compare(bench, works)
    for name, own in seconds.items():
        yield seconds_figure(f"{what}, {sum(lengths):,} utterances: {name}", own)


def recorded(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """Record a work as a CUDA graph, after some calls on a stream of their own, as torch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        repeated(work, 3)()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


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
    "cuda-graph": cuda_graph_section,
    "rivals": rivals_section,
}
