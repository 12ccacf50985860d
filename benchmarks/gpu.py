"""What only a GPU can show, in a few minutes: the tests marked `gpu`, then the sections of the speed benchmark.

    python -m benchmarks.gpu --output gpu.json
    python -m benchmarks.gpu --quick --device cpu --output gpu.json    # tiny sizes, to check that everything runs

Each part is a process of its own and ends when the time is up; what it has measured by then is in the file.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = ("matrix", "epoch", "cuda-graph", "recommended", "full-batch", "compile")
"""The most important ones first. The epoch has the reference beside it."""


def parts(arguments: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the command of each part that is measured."""
    yield "tests", ["pytest", "-q", "-m", "gpu", "tests", *(["--collect-only"] if arguments.quick else [])]
    for section in arguments.sections:
        command = ["benchmarks.speed", "--devices", arguments.device, "--sections", section]
        command += ["--repeats", "1" if arguments.quick else "3", "--output", arguments.output]
        yield section, command + (["--quick", "--only-eager"] if arguments.quick else [])


def main() -> None:
    """Run the parts, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="gpu.json", help="the figures")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--minutes", type=float, default=5.0, help="for everything")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; tests are only listed")
    arguments = parser.parse_args()
    arguments.output = str(Path(arguments.output).resolve())
    begin, failed = time.monotonic(), []
    for name, command in parts(arguments):
        left = max(1.0, 60 * arguments.minutes - (time.monotonic() - begin))
        try:
            ended = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, timeout=left, check=False).returncode
        except subprocess.TimeoutExpired:
            ended = None
        took = f"{time.monotonic() - begin:.0f} s since the beginning"
        print(f"{name}: {'out of time' if ended is None else f'status {ended}'}, {took}", flush=True)
        if ended:
            failed.append(name)
    if Path(arguments.output).exists():
        table = [sys.executable, "-m", "benchmarks.speed", "--table-only", "--output", arguments.output]
        subprocess.run(table, cwd=ROOT, check=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
