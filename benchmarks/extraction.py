"""How fast `joyful extract` reads sound: seconds of a recording per second of work.

    python -m benchmarks.extraction
    python -m benchmarks.extraction --minutes 60 --extractors logmel

Recordings of a minute, 16 kHz, each cut into utterances of four seconds, as WAV files. The encoder is as large as
WavLM Base, with random weights: it takes as long whatever it has learnt. Each command runs in a process of its own,
and its time includes the start of Python.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy.tables import markdown_table

RATE = 16_000
MINUTE, UTTERANCE = 60, 4
ENCODER = "an encoder of WavLM Base's size"
EXTRACTORS = ("logmel", "opensmile:eGeMAPSv02", ENCODER)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each extractor with one process and as it comes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10, help="of sound")
    parser.add_argument("--extractors", nargs="+", default=EXTRACTORS, choices=EXTRACTORS)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        data = write_recordings(Path(folder), arguments.minutes)
        rows = list(measured(Path(folder), data, arguments.extractors, arguments.minutes * MINUTE))
    print(markdown_table(["extractor", "processes", "seconds", "times real time"], rows))
    return 0


def measured(folder: Path, data: Path, extractors: Sequence[str], seconds_of_sound: int) -> Iterator[list[str]]:
    """Yield a row for each extractor and number of processes."""
    for extractor in extractors:
        name = str(save_encoder(folder / "encoder")) if extractor == ENCODER else extractor
        for processes in ("1", "as it comes"):
            given = [] if processes == "as it comes" else ["--num-proc", processes]
            output = folder / "features.parquet"
            command = ["extract", "--data-file", data, "--output-file", output, "--audio-extractor", name, *given]
            cache = folder / f"home {extractor.partition(':')[0]} {processes}"  # nothing is found there
            seconds = time_of([*map(str, command), "--overwrite"], cache)
            yield [extractor, processes, f"{seconds:.1f}", f"{seconds_of_sound / seconds:.0f}"]


def time_of(command: Sequence[str], cache: Path) -> float:
    """Run a command of `joyful`; return its seconds."""
    start = time.perf_counter()
    environment = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    call = [sys.executable, "-m", "joyful_hf.cli.app", *command]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


def write_recordings(folder: Path, minutes: int) -> Path:
    """Write recordings of a minute of noise, and the dialogues that are cut from them."""
    rng, dialogues = np.random.default_rng(0), []
    for number in range(minutes):
        file = folder / f"{number}.wav"
        samples = (rng.standard_normal(MINUTE * RATE) * 3000).astype("<i2")
        with wave.open(str(file), "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(2)
            written.setframerate(RATE)
            written.writeframes(samples.tobytes())
        cuts = [
            {"speaker": "A", "audio": str(file), "start": start, "end": start + UTTERANCE}
            for start in range(0, MINUTE, UTTERANCE)
        ]
        dialogues.append({"utterances": cuts})
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in dialogues))
    return data


def save_encoder(folder: Path) -> Path:
    """Save an encoder of the size of WavLM Base with random weights."""
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

    WavLMModel(WavLMConfig()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
