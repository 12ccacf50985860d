"""Kill `joyful train`, let the same command go on, and hold the result against that of a run that never stopped.

    python -m tests.support.killing --kills 20 --processes 1 2

SIGKILL comes at random moments, and while each file of a checkpoint is being written; SIGTERM and Ctrl-C at random
moments, and have to end with one line. In the end the weights have to be equal to the last bit, and so have the scores
of validation and test. The command runs in forks of this process, which has imported everything.
"""

import argparse
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joyful_hf.cli import app as cli
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.families import FAMILIES
from joyful_hf.runs.names import UNFINISHED
from joyful_hf.training import run as training_run
from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, FamilyCase
from tests.support.training import TRAIN, VALIDATION

CASES = [*FAMILY_CASES, *(case for case in RIVAL_CASES if case.name.endswith("-recommended"))]
"""Every family, and of the first three every form."""
CHECKPOINT_FILES = (
    *("config.json", "model.safetensors", "step_weights.safetensors", "optimizer.pt", "scheduler.pt"),
    *("rng_state", "processor_config.json", "training_args.json", "trainer_state.json", "manifest.json"),
)
"""Files of a checkpoint in which a kill is aimed, by how their names begin."""
LONGEST = 300.0


@dataclass
class Command:
    """`joyful train` with the small model of a case, on one process or more."""

    case: FamilyCase
    data: Path
    processes: int = 1
    options: tuple[str, ...] = ()
    pids: list[int] = field(default_factory=list)

    def start(self, output_dir: Path) -> None:
        """Start it in the background."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.pids = [self._fork(output_dir, rank, port) for rank in range(self.processes)]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all of its processes."""
        for pid in self.pids:
            os.kill(pid, number)

    def is_running(self) -> bool:
        """Whether its first process has not ended yet; it is not waited for."""
        return os.waitid(os.P_PID, self.pids[0], os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self) -> list[int]:
        """The exit status of each process; that of a signal is negative."""
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self.pids]
        self.pids = []
        return statuses

    def finish(self, output_dir: Path) -> None:
        """Run it to its end."""
        self.start(output_dir)
        if any(statuses := self.wait()):
            raise SystemExit(f"{output_dir}: ended with {statuses}:\n{self.log(output_dir)}")

    def log(self, output_dir: Path) -> str:
        """What the first process has printed, in all of its runs."""
        return output_dir.with_suffix(".log").read_text()

    def _fork(self, output_dir: Path, rank: int, port: int) -> int:
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        try:
            log = output_dir.with_suffix(".log" if rank == 0 else f".{rank}.log")
            for stream in (1, 2):
                os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
            if self.processes > 1:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.processes)}
                os.environ |= {"LOCAL_WORLD_SIZE": str(self.processes)}
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
            training_run.make_model_and_processor = lambda *args, **kwargs: self.case.make(TRAIN)
            sys.argv = ["joyful", *self._words(output_dir)]
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def _words(self, output_dir: Path) -> list[str]:
        model_type = self.case.make(TRAIN[:1])[0].config.model_type
        family = next(name for name, family in FAMILIES.items() if family.model_type == model_type)
        files = ("--train-file", "train.jsonl", "--validation-file", "dev.jsonl", "--test-file", "dev.jsonl")
        return [
            *("train", "--model", family, "--output-dir", str(output_dir), "--use-cpu"),
            *(str(self.data / word) if word.endswith(".jsonl") else word for word in files),
            *("--num-train-epochs", "3", "--validation-start", "0", "--learning-rate", "2e-3"),
            *("--per-device-train-batch-size", str(self.case.train_batch_size), *self.options),
        ]


def result_of(output_dir: Path) -> tuple[bytes, dict[str, float]]:
    """The weights and the scores of a finished run."""
    scores = {}
    for name in ("eval", "test"):
        found = json.loads((output_dir / f"{name}_results.json").read_text())
        scores |= {key: value for key, value in found.items() if not key.endswith(("runtime", "per_second"))}
    return (output_dir / "model.safetensors").read_bytes(), scores


def at(moment: float) -> Callable[[Path], bool]:
    """Wait for a moment after the start."""
    end = time.monotonic() + moment
    return lambda output_dir: time.monotonic() >= end


def while_written(name: str) -> Callable[[Path], bool]:
    """Wait until a file of a checkpoint, whose name begins so, is there."""
    return lambda output_dir: any((output_dir / UNFINISHED).glob(f"checkpoint-*/{name}*"))


def run_killed(
    command: Command, output_dir: Path, is_due: Callable[[Path], bool], number: int = signal.SIGKILL
) -> bool:
    """Start the command, kill it when that is due, and let it go on to its end; return whether it was killed.

    Args:
        number: another signal, after which it has to end by itself, with one line.
    """
    command.start(output_dir)
    deadline = time.monotonic() + LONGEST
    while command.is_running() and not is_due(output_dir):
        if time.monotonic() > deadline:
            command.kill()
            command.wait()
            raise SystemExit(f"{output_dir}: still runs after {LONGEST:g} s:\n{command.log(output_dir)}")
        time.sleep(0.002)
    was_running = command.is_running()
    if was_running:
        command.kill(number)
    statuses = command.wait()
    expected = {0, -signal.SIGKILL} if number == signal.SIGKILL else {0, 128 + number}
    if was_running and set(statuses) <= expected:
        if number != signal.SIGKILL:
            check_stopped(command.log(output_dir), number)
        if not (output_dir / "train_results.json").exists():  # written last: it was finished, and only about to end
            command.finish(output_dir)
    elif was_running or any(statuses):
        raise SystemExit(f"{output_dir}: ended with {statuses}:\n{command.log(output_dir)}")
    return was_running


def check_stopped(log: str, number: int) -> None:
    """A run that was asked to stop leaves one line, or it was at its end already."""
    word = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM"
    lines = [line for line in log.splitlines() if line.startswith("joyful: ")]
    if "Traceback" in log or (lines and not lines[-1].startswith(f"joyful: {word}")):
        raise SystemExit(f"not one line after signal {number}:\n{log}")


def try_case(
    case: FamilyCase, processes: int, kills: int, stops: int, aimed: list[str], rng: random.Random
) -> Iterator[str]:
    """Kill the runs of a case; yield a line for each result that is not that of the whole run, and a last one."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_dialogues(TRAIN, data / "train.jsonl")
        write_dialogues(VALIDATION, data / "dev.jsonl")
        command = Command(case, data, processes)
        begin = time.monotonic()
        command.finish(data / "whole")
        duration, whole = time.monotonic() - begin, result_of(data / "whole")
        numbers = [signal.SIGKILL] * kills + ([signal.SIGTERM, signal.SIGINT] * stops)[:stops]
        aims: list[tuple[str, Callable[[Any], Callable[[Path], bool]], Any, int]] = [
            (f"at {moment:.2f} s by {number.name}", at, moment, number)
            for number, moment in ((number, rng.uniform(0, duration)) for number in numbers)
        ]
        aims += [(f"in {name}", while_written, name, signal.SIGKILL) for name in aimed]
        killed = 0
        for index, (what, wait, value, number) in enumerate(aims):
            output_dir = data / f"killed-{index}"
            killed += run_killed(command, output_dir, wait(value), number)
            if result_of(output_dir) != whole:
                yield f"{case.name}, {processes} process(es), killed {what}: another result"
        yield f"{case.name}, {processes} process(es): {killed} killed of {len(aims)} runs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("--kills", type=int, default=20, help="random moments for each family")
    parser.add_argument("--stops", type=int, default=2, help="random moments, by turns for SIGTERM and Ctrl-C")
    parser.add_argument("--files", nargs="*", default=CHECKPOINT_FILES, help="files of a checkpoint to aim at")
    parser.add_argument("--families", nargs="+", default=names, choices=names)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    rng, failures = random.Random(args.seed), 0
    for case in (case for case in CASES if case.name in args.families):
        for processes in args.processes:
            lines = list(try_case(case, processes, args.kills, args.stops, args.files, rng))
            failures += len(lines) - 1
            print("\n".join(lines), flush=True)
    sys.exit(f"{failures} runs with another result" if failures else 0)


if __name__ == "__main__":
    main()
