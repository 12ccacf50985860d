"""Compute features of many dialogues on all machines of a Ray cluster. Copy this file and change what you like.

    pip install "ray[data]"
    python examples/extract_with_ray.py "data/train-*.parquet" features --text-extractor roberta-base --workers 8

Each row of the data is a dialogue. Each worker holds a processor with its extractors, and reads one batch of dialogues
after the other. Every command reads what they write: `joyful train --train-file "features/*.parquet"`.
"""

import argparse
import glob
import os
from typing import Any

import pyarrow as pa
import ray  # ty: ignore[import-not-found]
from datasets import Dataset

from joyful_hf import JoyfulProcessor, extract_features


class Extractor:
    """A processor with its extractors, on one worker."""

    def __init__(self, extractors: dict[str, Any], device: str) -> None:
        self.processor = JoyfulProcessor(**extractors)
        self.device = device

    def __call__(self, dialogues: pa.Table) -> pa.Table:
        """Return the dialogues with features in place of recordings, and beside texts."""
        extracted = extract_features(Dataset(dialogues), self.processor, device=self.device, verbose=False)
        return extracted.with_format("arrow")[:]


def main() -> None:
    """Read, extract, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="Parquet files of dialogues: a pattern, a folder, or s3://...")
    parser.add_argument("output", help="Folder for the dialogues with features.")
    parser.add_argument("--text-extractor", help="As in `joyful extract`.")
    parser.add_argument("--audio-extractor", help="As in `joyful extract`.")
    parser.add_argument("--video-extractor", help="As in `joyful extract`.")
    parser.add_argument("--workers", type=int, default=2, help="Workers on all machines together.")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each worker.")
    parser.add_argument("--batch-size", type=int, default=64, help="Dialogues that a worker gets at once.")
    arguments = parser.parse_args()
    named: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("text_extractor", "audio_extractor", "video_extractor")
    }
    extractors = {name: extractor for name, extractor in named.items() if extractor is not None}

    ray.data.DataContext.get_current().execution_options.preserve_order = True
    dialogues = ray.data.read_parquet(sorted(glob.glob(arguments.data)) or arguments.data)
    features = dialogues.map_batches(
        Extractor,
        fn_constructor_args=(extractors, "cuda" if arguments.gpus else "cpu"),
        batch_size=arguments.batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=arguments.workers),
        num_gpus=arguments.gpus,
    )
    features.write_parquet(os.path.abspath(arguments.output))
    print(f"dialogues with features: {arguments.output}")


if __name__ == "__main__":
    main()
