"""What each process of `tests/test_two_processes.py` runs, and the test itself in one process.

torchrun --standalone --nproc-per-node 2 tests/two_processes.py FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from joyful_hf.cli import app as cli
from joyful_hf.data.jsonl import write_dialogues
from tests.support.helpers import FAMILY_CASES, make_dialogue, make_dialogues
from tests.support.training import SMALL_SETTINGS

# Seven dialogues in batches of two: two processes have to invent one to fill the last batch.
EVALUATED = make_dialogues((5, 9, 1, 7, 4, 3, 6))
# Batches without a modality, and one without any label: some parameters get no gradient on some process.
TRAINED = [
    *EVALUATED[:4],
    make_dialogue(4, seed=7, modalities=["text"]),
    make_dialogue(3, seed=8, modalities=["audio", "visual"]),
    make_dialogue(5, seed=9, label=lambda rng: None),
]
MODEL = FAMILY_CASES[0]


class Stream(IterableDataset):
    def __init__(self, dialogues: list[dict[str, Any]]) -> None:
        self.dialogues = dialogues

    def __iter__(self):
        return iter(self.dialogues)


def make_trainer(folder: Path, train: Any = None, **arguments: Any) -> JoyfulTrainer:
    model, processor = MODEL.make(EVALUATED)
    defaults = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False, "use_cpu": True}
    args = JoyfulTrainingArguments(
        str(folder),
        per_device_train_batch_size=1,
        per_device_eval_batch_size=2,
        logging_strategy="steps",
        logging_steps=1,
        **(defaults | arguments),
    )
    return JoyfulTrainer(model=model, args=args, train_dataset=train, processing_class=processor)


def weights_of(trainer: JoyfulTrainer) -> torch.Tensor:
    unwrapped = trainer.accelerator.unwrap_model(trainer.model)
    return torch.cat([parameter.detach().flatten() for parameter in unwrapped.parameters()])


def run(folder: Path) -> dict[str, Any]:
    """Everything that the test looks at."""
    trainer = make_trainer(folder)
    output = trainer.predict(EVALUATED)
    results: dict[str, Any] = {
        "processes": trainer.accelerator.num_processes,
        "metrics": output.metrics,
        "metrics of a stream": trainer.evaluate(Stream(EVALUATED)),
        "utterances": int((output.label_ids != -100).sum()),
        "predictions": output.predictions.tolist(),
        "metrics without labels": trainer.evaluate(TRAINED[-1:] * 3),
    }
    for name, train in (("training", TRAINED), ("training of a stream", Stream(TRAINED))):
        trainer = make_trainer(folder, train, max_steps=5)
        trainer.train()
        weights = trainer.accelerator.gather(weights_of(trainer)[None])
        results[name] = {
            "finite": bool(weights.isfinite().all()),
            "largest difference": float((weights - weights[:1]).abs().max()),
            "log": [entry for entry in trainer.state.log_history if "loss" in entry],
        }
    return results


def run_command_line(folder: Path, trainer_process: int) -> None:
    """`joyful train` as it is, in every process."""
    data = folder / f"train-{trainer_process}.jsonl"
    write_dialogues(TRAINED, data)
    settings = json.dumps(SMALL_SETTINGS)
    options = ["--train-file", str(data), "--test-file", str(data), "--output-dir", str(folder / "out")]
    sys.argv = ["joyful", "train", *options, "--config-json", settings, "--num-train-epochs", "2", "--use-cpu"]
    cli.main()


def main() -> None:
    folder = Path(sys.argv[1])
    results = run(folder)
    trainer = make_trainer(folder)
    if trainer.is_world_process_zero():
        (folder / "results.json").write_text(json.dumps(results))
    run_command_line(folder, trainer.args.process_index)


if __name__ == "__main__":
    main()
