"""Let every loader read damaged files, and tell what it did that it may not: `python -m tests.fuzz --cases 10000`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.hostile import examine
from tests.support.hostile_loaders import LOADERS


def main() -> int:
    """Examine the loaders in turn, print a line for each, and return 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="damaged files in all")
    parser.add_argument("--seed", type=int, default=0, help="another number makes other files")
    parser.add_argument("--only", default="", help="beginning of the names of loaders")
    arguments = parser.parse_args()
    loaders = [loader for loader in LOADERS if loader.name.startswith(arguments.only)]
    folder = Path(tempfile.mkdtemp(prefix="joyful-fuzz-"))
    findings = []
    total = 0
    for loader in loaders:
        begun = time.perf_counter()
        examined = examine(loader, -(-arguments.cases // len(loaders)), folder, arguments.seed)
        findings += examined.findings
        total += examined.cases
        print(f"{loader.name:<32} {examined.cases:>6} files  {time.perf_counter() - begun:6.1f} s", flush=True)
        for finding in examined.findings:
            print(f"  {finding.what}\n  the file is in {finding.file}", flush=True)
    print(f"{total} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
