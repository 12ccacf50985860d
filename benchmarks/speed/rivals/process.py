"""The separate process in which the memory of a training step of a rival is measured.

    echo '{"rival": "sdt", "formulation": "plain"}' | python -m benchmarks.speed.rivals.process

prints one line of JSON, a `Measurement`. Only `benchmarks/speed` needs to call it.
"""

import json
import sys
from dataclasses import asdict, dataclass, field

import torch

from benchmarks.speed.process import SHORTEST, Measurement, measure_passes, use_tf32
from benchmarks.speed.rivals.workload import RivalWorkload


@dataclass(frozen=True)
class RivalJob:
    """A measurement to make in a separate process."""

    rival: str
    formulation: str
    """"ours" or "plain"."""
    lengths: list[int] = field(default_factory=list)
    """Number of utterances of each dialogue of the batch."""
    device: str = "cpu"
    threads: int = 1
    quick: bool = False


def measure_rival(job: RivalJob) -> Measurement:
    """Measure one training step, after a warm-up on short dialogues."""
    device = torch.device(job.device)
    use_tf32(device)
    workload = RivalWorkload(job.rival, device, job.quick)
    batch, warm_up = workload.corpus(job.lengths), workload.corpus([SHORTEST, SHORTEST])
    return measure_passes(workload.runner(job.formulation).train, [batch], warm_up, 1, device)


def main() -> None:
    """Measure the job given on standard input."""
    job = RivalJob(**json.load(sys.stdin))
    torch.set_num_threads(job.threads)
    print(json.dumps(asdict(measure_rival(job))))


if __name__ == "__main__":
    main()
