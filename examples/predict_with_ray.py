"""Predict the emotions of many dialogues on all machines of a Ray cluster. Copy this file and change what you like.

    pip install "ray[data]"
    python examples/predict_with_ray.py user/joyful-iemocap "data/test-*.parquet" predictions --workers 8

Each row of the data is a dialogue. Each worker holds the model and its processor, and predicts one batch of dialogues
after the other. `joyful_hf.load_dialogues("predictions/*.parquet")` reads what they write, in the order of the data.
"""

import argparse
import glob
import os

import pyarrow as pa
import ray  # ty: ignore[import-not-found]
from datasets import Dataset

from joyful_hf.checkpoints import load_checkpoint


class Predictor:
    """A model and its processor, on one worker."""

    def __init__(self, checkpoint: str, device: str) -> None:
        self.model, self.processor = load_checkpoint(checkpoint, device)

    def __call__(self, dialogues: pa.Table) -> pa.Table:
        """Return the dialogues with a label and scores for each utterance."""
        return pa.Table.from_pylist(self.model.predict(Dataset(dialogues), self.processor))


def main() -> None:
    """Read, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Folder or Hub id of a checkpoint.")
    parser.add_argument("data", help="Parquet files of dialogues: a pattern, a folder, or s3://...")
    parser.add_argument("output", help="Folder for the predictions.")
    parser.add_argument("--workers", type=int, default=2, help="Workers on all machines together.")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each worker.")
    parser.add_argument("--batch-size", type=int, default=256, help="Dialogues that a worker gets at once.")
    arguments = parser.parse_args()

    model = os.path.abspath(arguments.model) if os.path.isdir(arguments.model) else arguments.model  # a Hub id
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    dialogues = ray.data.read_parquet(sorted(glob.glob(arguments.data)) or arguments.data)
    predictions = dialogues.map_batches(
        Predictor,
        fn_constructor_args=(model, "cuda" if arguments.gpus else "cpu"),
        batch_size=arguments.batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=arguments.workers),
        num_gpus=arguments.gpus,
    )
    predictions.write_parquet(os.path.abspath(arguments.output))
    print(f"predictions: {arguments.output}")


if __name__ == "__main__":
    main()
