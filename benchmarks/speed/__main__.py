"""Speed and memory, compared with a plain reference that does the same work in the same run.

    python -m benchmarks.speed --output speed.json
    python -m benchmarks.speed --sections epoch speakers --repeats 5 --threads 2 --output speed.json
    python -m benchmarks.speed --sections rivals --rivals sdt lmam --repeats 1 --threads 2 --output speed.json
    python -m benchmarks.speed --table-only --output speed.json

Runs on the CPU, and on the GPU if there is one. Every figure is written to the output file as soon as it is measured;
sections that are run replace those in the file, the others are kept. A figure is the median of repeated runs, in which
our model and the reference take turns. The reference (`benchmarks/speed/reference.py`) is the released network as a
careful newcomer would write it. It trains on a part of the epoch, and its time is scaled by the number of utterances.
Each rival is compared with a plain padded formulation of itself (`benchmarks/speed/rivals`) in the section `rivals`.

Useful arithmetic is the count of torch's FlopCounterMode in one eager pass of our model: all matrix products, forward
and backward. Products inside fused attention and recurrent kernels of the CPU are not counted, for either model. The
matrix rate is the best of several large products, measured again before each repeat.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.measuring import QUICK, Bench, Scale, failure
from benchmarks.speed.process import use_tf32
from benchmarks.speed.rivals import RIVALS
from benchmarks.speed.sections import SECTIONS
from benchmarks.speed.tables import table_row, tables


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
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), help="default: all that the device has")
    parser.add_argument("--devices", nargs="+", choices=["cpu", "cuda"], help="default: all that there are")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--reference-batches", type=int, default=1, help="batches that the reference trains on")
    parser.add_argument("--largest", type=int, default=1_000_000, help="utterances of the largest corpus")
    parser.add_argument(
        "--largest-training", type=int, default=100_000, help="utterances of the largest corpus that is trained on"
    )
    parser.add_argument("--rivals", nargs="+", choices=list(RIVALS), default=list(RIVALS), help="default: all of them")
    parser.add_argument("--only-eager", action="store_true", help="leave torch.compile out of the section full-batch")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to check that everything runs")
    parser.add_argument("--table-only", action="store_true", help="print the tables of the output file")
    parser.add_argument("--output", default="speed.json", help="results; sections in it that are not run are kept")
    arguments = parser.parse_args()
    arguments.devices = arguments.devices or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
    return arguments


def default_sections(device: torch.device, quick: bool) -> list[str]:
    """Return the sections that are useful on the device; on a CPU, some only in a quick run."""
    left_out = {"graph"} if device.type == "cuda" else set() if quick else {"full-batch", "cuda-graph"}
    return [name for name in SECTIONS if name not in left_out]


def make_bench(arguments: argparse.Namespace, device: torch.device) -> Bench:
    """Make the settings for one device from the command line."""
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
        rivals=tuple(arguments.rivals),
    )


def run_section(name: str, bench: Bench, results: dict[str, Any], output: Path) -> None:
    """Add each figure to the results and the file as it is measured. An error ends the section, not the run."""
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
    """Describe what the figures depend on besides the code."""
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
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
