"""The threads of a command, settled before torch is loaded: as many as the process may use, and none that spins
for long.

OpenMP's threads wait for each other by spinning. Where other work wants the same cores, a thread that spins keeps the
one that it waits for from running, and small steps, such as those of a recurrent layer, become many times slower.
"""

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

# Three epochs of 120 toy dialogues, two threads on two cores. Alone: 14.2 s with 2,000 turns, 16.6 and 19.0 s with
# none, 14.4 to 18.6 s with OpenMP's 300,000. Beside two busy loops: 32.7 s with 2,000, 31.7 s with none, 38.8 s with
# 20,000.
SPINS = "2000"
_CGROUP = Path("/sys/fs/cgroup")


def settle_threads(environment: MutableMapping[str, str] | None = None) -> None:
    """Set the number of threads and how they wait, unless the user has.

    Args:
        environment: the variables of the process.
    """
    environment = os.environ if environment is None else environment
    environment.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)  # of GNU's OpenMP, which torch's wheels for Linux bring
        environment.setdefault("KMP_BLOCKTIME", "0")  # of Intel's and LLVM's


def usable_cores() -> int:
    """Count the cores that this process may use: those it is bound to, or the share that its control group has."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    quota = _quota(_CGROUP)
    return cores if math.isinf(quota) else max(1, min(cores, math.ceil(quota)))


def _quota(cgroup: Path) -> float:
    """Return the number of cores that a control group grants; infinity where it grants all, or there is none."""
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # version 2, version 1
        try:
            quota, period = " ".join((cgroup / file).read_text(encoding="ascii") for file in files).split()
            return int(quota) / int(period) if quota != "max" and int(quota) > 0 else math.inf
        except (OSError, ValueError):
            continue
    return math.inf
