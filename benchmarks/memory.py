"""Peak memory of `joyful train`, `extract` and `predict` as the data grow.

    python -m benchmarks.memory --output memory.json
    python -m benchmarks.memory --utterances 20000 200000 --commands train --output memory.json
    python -m benchmarks.memory --table-only --output memory.json

Dialogues of ten utterances with text and three feature vectors (394 floats in all), in Parquet shards. Each command
runs in a process of its own. Two peaks are measured: all resident memory, and the part that is its own. The rest
are pages of files, among them the mapped data: the system takes these back where memory is short.
Training makes 10 steps, after it has read, fitted and encoded every dialogue.

A figure that is in the output file already is not measured again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.accuracy.tables import markdown_table

COMMANDS = ("train", "extract", "predict")
SIZES = {"text_features": 300, "audio_features": 64, "visual_features": 30}
LABELS = ("anger", "joy", "neutral", "sadness")
WORDS = ("I", "never", "said", "that", "you", "would", "come", "to", "the", "party", "because", "it", "rains")
LENGTH = 10
_DIALOGUES_OF_A_SHARD = 5000
_SETTINGS = {"num_members": 1}
_SECONDS_BETWEEN_LOOKS = 0.02


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, and print the table."""
    arguments = parse_arguments(argv)
    output = Path(arguments.output)
    figures: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    if not arguments.table_only:
        for utterances in arguments.utterances:
            wanted = [name for name in COMMANDS if name in arguments.commands]  # a model is trained before it predicts
            missing = [name for name in wanted if f"{name}/{utterances}" not in figures]
            if not missing:
                continue
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                for name, figure in measured(Path(folder), utterances, missing):
                    figures[f"{name}/{utterances}"] = figure
                    output.write_text(json.dumps(figures, indent=1) + "\n")
                    print(f"{name}/{utterances}: {figure}", flush=True)
    print(table(figures))
    return 0


def measured(folder: Path, utterances: int, commands: Sequence[str]) -> Any:
    """Yield each command with its figures."""
    size = write_shards(folder, utterances // LENGTH)
    train = ["train", "--train-file", folder / "train-*.parquet", "--validation-file", folder / "few.parquet"]
    train += ["--output-dir", folder / "model", "--max-steps", "10", "--config-json", json.dumps(_SETTINGS)]
    calls: dict[str, list[Any]] = {
        "train": [*train, "--per-device-train-batch-size", "16"],
        "extract": ["extract", "--data-file", folder / "text-*.parquet", "--text-extractor", "hashing"],
        "predict": ["predict", folder / "model", "--data-file", folder / "train-*.parquet"],
    }
    calls["extract"] += ["--output-file", folder / "extracted.parquet"]
    calls["predict"] += ["--output-file", folder / "found.jsonl"]
    if "train" not in commands and "predict" in commands:
        few = [folder / "few.parquet" if part == folder / "train-*.parquet" else part for part in calls["train"]]
        run(few, folder)
    for name in commands:
        yield name, {"data_mib": size, **run(calls[name], folder)}


def run(call: Sequence[Any], folder: Path) -> dict[str, float]:
    """Run a command of `joyful`; return its peaks of memory in MiB, and its seconds."""
    command = [sys.executable, "-m", "joyful_hf.cli.app", *map(str, call)]
    caches = {"HF_DATASETS_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "home")}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | caches, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    own = whole = 0
    while process.poll() is None:
        now = _memory_of(process.pid)
        own, whole = max(own, now.get("RssAnon", 0)), max(whole, now.get("VmHWM", 0))
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    assert process.stderr is not None
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {process.stderr.read()[-2000:]}")
    seconds = time.perf_counter() - start
    return {"own_mib": round(own / 1024), "peak_mib": round(whole / 1024), "seconds": round(seconds, 1)}


def _memory_of(process: int) -> dict[str, int]:
    """Return the fields of a process's memory in KiB; nothing once it is over."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith(("RssAnon:", "VmHWM:")))
    return {name.rstrip(":"): int(kib) for name, kib, _ in fields}


def write_shards(folder: Path, num_dialogues: int) -> int:
    """Write the dialogues with features, and without them as text alone; return the size of the vectors in MiB."""
    count = -(-num_dialogues // _DIALOGUES_OF_A_SHARD)
    for number in range(count):
        rows = range(number * _DIALOGUES_OF_A_SHARD, min((number + 1) * _DIALOGUES_OF_A_SHARD, num_dialogues))
        table = make_dialogues(rows)
        pq.write_table(table, folder / f"train-{number:05d}-of-{count:05d}.parquet", row_group_size=1000)
        structs = table.column("utterances").chunk(0).flatten()
        kept = [structs.field(key) for key in ("speaker", "text", "label")]
        texts = pa.StructArray.from_arrays(kept, ["speaker", "text", "label"])
        utterances = pa.ListArray.from_arrays(table.column("utterances").chunk(0).offsets, texts)
        table = table.set_column(1, "utterances", utterances)
        pq.write_table(table, folder / f"text-{number:05d}-of-{count:05d}.parquet", row_group_size=1000)
    pq.write_table(make_dialogues(range(20)), folder / "few.parquet")
    return round(num_dialogues * LENGTH * sum(SIZES.values()) * 4 / 2**20)


def make_dialogues(rows: range) -> pa.Table:
    """Make the dialogues with these numbers."""
    rng = np.random.default_rng(rows.start)
    total = len(rows) * LENGTH
    words = rng.integers(len(WORDS), size=(total, 8))
    columns: dict[str, pa.Array] = {
        "speaker": pa.array([("Ross", "Rachel")[index % 2] for index in range(total)]),
        "text": pa.array([" ".join(WORDS[index] for index in row) for row in words]),
        "label": pa.array([LABELS[index] for index in rng.integers(len(LABELS), size=total)]),
    }
    for key, size in SIZES.items():
        values = pa.array(rng.standard_normal(total * size, np.float32))
        columns[key] = pa.ListArray.from_arrays(np.arange(0, total * size + 1, size, dtype=np.int32), values)
    structs = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    utterances = pa.ListArray.from_arrays(np.arange(0, total + 1, LENGTH, dtype=np.int32), structs)
    return pa.table({"dialogue_id": [f"d{row:07d}" for row in rows], "utterances": utterances})


def table(figures: dict[str, Any]) -> str:
    """Format the figures by command and size, with the growth of each command's own memory per utterance."""
    rows = []
    for command in COMMANDS:
        sizes = sorted(int(key.partition("/")[2]) for key in figures if key.startswith(f"{command}/"))
        for before, size in zip([None, *sizes], sizes, strict=False):
            figure = figures[f"{command}/{size}"]
            growth = ""
            if before is not None:
                more = figure["own_mib"] - figures[f"{command}/{before}"]["own_mib"]
                growth = f"{more * 2**20 / (size - before):.0f} B"
            row = [command, f"{size:,}", f"{figure['data_mib']:,} MiB", f"{figure['own_mib']:,} MiB", growth]
            rows.append([*row, f"{figure['peak_mib']:,} MiB", f"{figure['seconds']:.0f} s"])
    header = ["command", "utterances", "vectors", "own memory, peak", "growth per utterance", "resident, peak", "time"]
    return markdown_table(header, rows)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, nargs="+", default=[20_000, 200_000, 2_000_000])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--folder", help="where the data are made; by default the system's temporary folder")
    parser.add_argument("--table-only", action="store_true", help="print the table of the output file")
    parser.add_argument("--output", default="memory.json", help="results; figures that are there are kept")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
