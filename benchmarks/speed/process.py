"""The workloads of the speed benchmark, and the separate process in which the memory of one is measured.

    echo '{"model": "recommended", "mode": "train", "lengths": [10000]}' | python -m benchmarks.speed.process

prints one line of JSON, a `Measurement`. Only `benchmarks/speed` needs to call it.
"""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed.reference import PlainDialogue, PlainJoyful
from joyful_hf import JoyfulConfig, JoyfulForEmotionRecognition, JoyfulProcessor
from joyful_hf.data.encoded import with_layout
from joyful_hf.processing import EncodedDialogue

WINDOW = {"released": 10, "recommended": 8}
NUM_LABELS = 6
# About the shortest and the longest dialogue of IEMOCAP.
SHORTEST, LONGEST = 8, 110
MEAN_LENGTH = 48
# Features are made for this many utterances; larger corpora repeat them.
POOL = 4096

_SMALL_SIZES: dict[str, Any] = {
    "text_dim": 12,
    "audio_dim": 6,
    "visual_dim": 8,
    "projection_size": 10,
    "num_hidden_layers": 1,
    "graph_num_heads": 2,
}
_SMALL: dict[str, dict[str, Any]] = {
    "released": _SMALL_SIZES
    | {
        "autoencoder_size": 20,
        "bottleneck_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "graph_hidden_size": 12,
    },
    "recommended": _SMALL_SIZES
    | {"contextual_size": 8, "basis_size": 4, "graph_hidden_size": 16, "plain_path_size": 16},
}


@dataclass(frozen=True)
class Job:
    """A measurement to make in a separate process."""

    model: str
    """"released", "recommended" or "reference"."""
    mode: str
    """"train" or "predict"."""
    lengths: list[int]
    """Number of utterances of each dialogue."""
    dialogues_per_batch: int = 1
    utterances_per_batch: int = 0
    """If given, a batch holds dialogues up to this many utterances."""
    repeats: int = 1
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 1
    quick: bool = False
    window: int = 0
    """Past and future utterances in the graph; 0 is the default of the model."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Fields of the config."""


@dataclass(frozen=True)
class Measurement:
    """The results of a separate process."""

    seconds: list[float]
    """Time of each pass over the corpus."""
    peak_bytes: int
    """Peak memory above corpus, model, gradients and optimizer."""
    resident_bytes: int
    """Memory of corpus, model, gradients and optimizer; on a CPU, of the libraries too."""
    largest_batch: int
    """Number of utterances in the largest batch."""


def make_config(size: str, quick: bool = False, **overrides: Any) -> JoyfulConfig:
    """Make `JoyfulConfig.released()` or `JoyfulConfig()`, with tiny sizes if quick."""
    fields: dict[str, Any] = {"num_labels": NUM_LABELS, **(_SMALL[size] if quick else {}), **overrides}
    return JoyfulConfig.released(**fields) if size == "released" else JoyfulConfig(**fields)


def make_processor(config: JoyfulConfig, size: str, window: int = 0) -> JoyfulProcessor:
    """Make the processor whose batches fit the config."""
    window = window or WINDOW[size]
    return JoyfulProcessor(
        text_dim=config.text_dim,
        audio_dim=config.audio_dim,
        visual_dim=config.visual_dim,
        window_past=window,
        window_future=window,
        relation_scheme=config.relation_scheme,
        max_speakers=config.max_speakers,
        label2id={f"label {index}": index for index in range(NUM_LABELS)},
    )


def iemocap_like_lengths(num_dialogues: int, num_utterances: int, seed: int = 0) -> list[int]:
    """Draw random lengths from 8 to 110, distributed as in IEMOCAP, that sum to exactly `num_utterances`."""
    if not SHORTEST * num_dialogues <= num_utterances <= LONGEST * num_dialogues:
        raise ValueError(f"{num_dialogues} dialogues of {SHORTEST} to {LONGEST} cannot have {num_utterances}")
    rng = np.random.default_rng(seed)
    drawn = rng.normal(num_utterances / num_dialogues, 17, num_dialogues)
    lengths = np.clip(drawn.round().astype(int), SHORTEST, LONGEST)
    rest, left = num_dialogues - 2, num_utterances - SHORTEST - LONGEST
    fixed = 2 if rest > 0 and SHORTEST * rest <= left <= LONGEST * rest else 0
    if fixed:
        lengths[:fixed] = SHORTEST, LONGEST
    while missing := num_utterances - int(lengths.sum()):
        index = rng.integers(fixed, num_dialogues)
        lengths[index] = np.clip(lengths[index] + np.sign(missing), SHORTEST, LONGEST)
    return rng.permutation(lengths).tolist()


def corpus_lengths(num_utterances: int) -> list[int]:
    """Draw the lengths of a corpus with this many utterances."""
    return iemocap_like_lengths(max(1, round(num_utterances / MEAN_LENGTH)), num_utterances)


def make_corpus(
    config: JoyfulConfig, lengths: Sequence[int], speakers: int = 2, seed: int = 0
) -> list[EncodedDialogue]:
    """Make random encoded dialogues, as views of one pool of utterances: more of them need no more memory."""
    rng = np.random.default_rng(seed)
    rows = max(POOL, max(lengths))
    features = {name: rng.standard_normal((rows, dim), dtype=np.float32) for name, dim in config.modality_dims.items()}
    present = np.ones((rows, 3), bool)
    speaker_ids = rng.integers(speakers, size=rows)
    labels = rng.integers(NUM_LABELS, size=rows)
    corpus = []
    for length in lengths:
        start = int(rng.integers(rows - length + 1))
        part = slice(start, start + length)
        own = {name: matrix[part] for name, matrix in features.items()}
        corpus.append(EncodedDialogue(own, present[part], speaker_ids[part], labels[part]))
    return corpus


def batches_of_dialogues(corpus: Sequence[EncodedDialogue], size: int) -> list[Sequence[EncodedDialogue]]:
    """Split the corpus into batches of `size` dialogues."""
    return [corpus[start : start + size] for start in range(0, len(corpus), size)]


def batches_of_utterances(corpus: Sequence[EncodedDialogue], limit: int) -> Iterator[Sequence[EncodedDialogue]]:
    """Yield batches of at most `limit` utterances, or of one longer dialogue, as `model.predict` makes them."""
    start = utterances = 0
    for index, dialogue in enumerate(corpus):
        if index > start and utterances + len(dialogue) > limit:
            yield corpus[start:index]
            start, utterances = index, 0
        utterances += len(dialogue)
    yield corpus[start:]


def num_utterances(dialogues: Sequence[EncodedDialogue]) -> int:
    """Count the utterances of several dialogues."""
    return sum(map(len, dialogues))


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Time one call, in seconds."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return a context that casts to bfloat16, or does nothing for other precisions."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


class Runner:
    """Trains and predicts batches of encoded dialogues with one network.

    Args:
        model: our model or the plain one.
        prepare: dialogues -> keyword arguments of the model; its time is included.
    """

    def __init__(
        self, model: nn.Module, prepare: Callable[[Sequence[EncodedDialogue]], Any], device: torch.device
    ) -> None:
        self.model = model
        self.prepare = prepare
        self.device = device
        self.called: Callable[..., Any] = model
        """The function that is called: the model, or its compiled form."""
        self.optimizer = make_optimizer(model)

    def train(self, dialogues: Sequence[EncodedDialogue], precision: str = "float32") -> None:
        """Make one training step: forward, backward, clipped gradients, AdamW."""
        self.model.train()
        inputs = self.prepare(dialogues)
        with autocast(self.device, precision):
            loss = self.called(**inputs).loss
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def predict(self, dialogues: Sequence[EncodedDialogue], precision: str = "float32") -> Tensor:
        """Return the logits (N, num_labels) of one batch, without a loss."""
        with torch.inference_mode():
            return self.evaluate(dialogues, precision)

    def evaluate(self, dialogues: Sequence[EncodedDialogue], precision: str = "float32") -> Tensor:
        """Predict outside inference mode, in which FLOP cannot be counted by module."""
        self.model.eval()
        inputs = self.prepare(dialogues)
        with autocast(self.device, precision):
            return self.called(**inputs, return_loss=False).logits

    def step(self, mode: str) -> Callable[[Sequence[EncodedDialogue], str], object]:
        """Return the method to time: `train` or `predict`."""
        return self.train if mode == "train" else self.predict


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """Make the optimizer of the Trainer: fused AdamW, no weight decay of biases and norms, at a negligible rate."""
    parameters = list(model.parameters())
    groups = [
        {"params": [parameter for parameter in parameters if parameter.dim() > 1], "weight_decay": 0.1},
        {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-6, fused=True)


def make_runner(
    name: str, device: torch.device, quick: bool = False, window: int = 0, **overrides: Any
) -> tuple[Runner, JoyfulConfig]:
    """Make the runner of "released", "recommended" or "reference", which is the plain network of released size."""
    size = "released" if name == "reference" else name
    config = make_config(size, quick, **overrides)
    torch.manual_seed(0)
    if name == "reference":
        window = window or WINDOW[size]
        plain = PlainJoyful(config, window, window).to(device)

        def as_plain(dialogues: Sequence[EncodedDialogue]) -> dict[str, Any]:
            return {"dialogues": [PlainDialogue.from_encoded(dialogue, device) for dialogue in dialogues]}

        return Runner(plain, as_plain, device), config
    model: nn.Module = JoyfulForEmotionRecognition(config)
    processor = make_processor(config, size, window)

    def as_batch(dialogues: Sequence[EncodedDialogue]) -> Any:
        batch = with_layout(processor.pack(dialogues, return_tensors="pt"))
        return {name: value.to(device, non_blocking=True) for name, value in batch.items()}

    return Runner(model.to(device), as_batch, device), config


def use_tf32(device: torch.device) -> None:
    """Let the GPU compute float32 products in TF32."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True


def measure_apart(job: Any, module: str = "benchmarks.speed.process") -> Measurement:
    """Measure in a fresh process, so that memory which earlier work has used and freed does not count.

    Args:
        job: a data class.
        module: the module that measures it, given its fields on standard input.
    """
    command = [sys.executable, "-m", module]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        command, cwd=root, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last_lines = " | ".join(done.stderr.strip().splitlines()[-2:])
        raise RuntimeError(f"the process ended with status {done.returncode}: {last_lines}")
    return Measurement(**json.loads(done.stdout.strip().splitlines()[-1]))


def measure(job: Job) -> Measurement:
    """Measure passes over the corpus, after a warm-up on short dialogues."""
    device = torch.device(job.device)
    use_tf32(device)
    runner, config = make_runner(job.model, device, job.quick, job.window, **job.overrides)
    corpus = make_corpus(config, job.lengths)
    if job.utterances_per_batch:
        batches = list(batches_of_utterances(corpus, job.utterances_per_batch))
    else:
        batches = batches_of_dialogues(corpus, job.dialogues_per_batch)
    warm_up, run = make_corpus(config, [SHORTEST, SHORTEST]), runner.step(job.mode)
    return measure_passes(lambda batch: run(batch, job.precision), batches, warm_up, job.repeats, device)


def measure_passes(
    step: Callable[[Sequence[Any]], object],
    batches: Sequence[Sequence[Any]],
    warm_up: Sequence[Any],
    repeats: int,
    device: torch.device,
) -> Measurement:
    """Measure passes of a step over batches, after a warm-up on short dialogues."""
    # Written to, so that they count as part of the corpus.
    logits = torch.ones(sum(map(num_utterances, batches)), NUM_LABELS)
    for _ in range(2):
        step(warm_up)

    def one_pass() -> None:
        done = 0
        for batch in batches:
            result = step(batch)
            if isinstance(result, Tensor):
                logits[done : done + len(result)] = result.float().cpu()
                done += len(result)

    synchronize(device)
    reset_peak(device)
    resident = current_memory(device)
    seconds = [seconds_of(one_pass, device) for _ in range(repeats)]
    peak = peak_memory(device)
    return Measurement(seconds, max(0, peak - resident), resident, max(map(num_utterances, batches)))


def current_memory(device: torch.device) -> int:
    """Return the bytes in use on the GPU, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS") or peak_memory(device)


def peak_memory(device: torch.device) -> int:
    """Return the peak of bytes in use since `reset_peak`, or since the start of the process if it cannot be reset."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # On Linux not `ru_maxrss`, which a process inherits from the one that started it.
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak(device: torch.device) -> None:
    """Reset the peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Read a number of bytes from `/proc/self/status`, 0 where there is none."""
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    """Measure the job given on standard input."""
    job = Job(**json.load(sys.stdin))
    torch.set_num_threads(job.threads)
    print(json.dumps(asdict(measure(job))))


if __name__ == "__main__":
    main()
