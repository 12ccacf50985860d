"""What each process of `tests/training/test_two_processes.py` runs, and the test itself in one process.

torchrun --standalone --nproc-per-node 2 tests/support/two_processes.py FOLDER CASE ...
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch.utils.data import IterableDataset

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from joyful_hf.cli import app as cli
from joyful_hf.data.jsonl import write_dialogues
from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, FamilyCase, make_dialogue, make_dialogues
from tests.support.one_step import (
    STEP_CASES,
    StepCase,
    dialogues_of,
    make_without_chance,
    most_similar_negatives,
    one_step,
    some_labels,
)
from tests.support.training import SMALL_SETTINGS, training_args

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
# Twenty-three dialogues, told apart by their length.
SAMPLED = make_dialogues(range(1, 24))
EVALUATED_CASES = [
    case
    for case in [*FAMILY_CASES, *RIVAL_CASES]
    if case.name.endswith(("recommended", "with-text", "with-text-encoder", "cogmen"))
]
"""Every family, in its recommended form."""


def cuts_of(case: StepCase) -> list[tuple[int, int]]:
    """Batch sizes and accumulation steps with which a step of five dialogues is made on two processes.

    They make 3 + 2 dialogues; 5 and none; 2 + 2, 1 and none.
    """
    return [(3, 1), (5, 1)] if case.compares else [(3, 1), (2, 2)]


class Stream(IterableDataset):
    def __init__(self, dialogues: list[dict[str, Any]]) -> None:
        self.dialogues = dialogues

    def __iter__(self):
        return iter(self.dialogues)


def make_trainer(folder: Path, train: Any = None, **arguments: Any) -> JoyfulTrainer:
    model, processor = MODEL.make(EVALUATED)
    defaults: dict[str, Any] = {
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "use_cpu": True,
    }
    defaults |= {"per_device_train_batch_size": 1, "per_device_eval_batch_size": 2}
    args = JoyfulTrainingArguments(
        str(folder), logging_strategy="steps", logging_steps=1, disable_tqdm=True, **(defaults | arguments)
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
        "evaluations": run_evaluations(folder),
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


def seen_by_all(folder: Path, train: Any, **arguments: Any) -> list[int]:
    """The lengths of the dialogues that all processes see in an epoch, as often as they count."""
    trainer = make_trainer(folder, train, **({"per_device_train_batch_size": 2, "max_steps": 20} | arguments))
    batches = [batch for batch in trainer.get_train_dataloader() if "is_filler" not in batch]
    lengths = [length for batch in batches for length in batch["dialogue_lengths"].tolist()]
    return sorted(gather_object(lengths))


def run_samplers(folder: Path) -> dict[str, list[int]]:
    """An epoch in each order."""
    orders = ("random", "sequential", "group_by_length")
    seen = {order: seen_by_all(folder, SAMPLED, train_sampling_strategy=order) for order in orders}
    return seen | {
        "stream": seen_by_all(folder, Stream(SAMPLED)),
        "odd stream": seen_by_all(folder, Stream(SAMPLED[:21])),
        "last batch dropped": seen_by_all(
            folder, SAMPLED, train_sampling_strategy="sequential", dataloader_drop_last=True
        ),
    }


def run_evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """Every family, on dialogues of which some have no label."""
    dialogues, results = dialogues_of(some_labels), {}
    for case in EVALUATED_CASES:
        model, processor = case.make(dialogues)
        args = training_args(folder, eval_strategy="no", load_best_model_at_end=False, use_cpu=True)
        trainer = JoyfulTrainer(model=model, args=args, processing_class=processor)
        output = trainer.predict(dialogues, metric_key_prefix="eval")
        results[case.name] = {"metrics": output.metrics, "predictions": output.predictions.tolist()}
    return results


def run_choice(folder: Path, case: FamilyCase) -> dict[str, Any]:
    """A run that validates each step and ends with the best one, on batches of four dialogues of all processes."""
    dialogues = dialogues_of(some_labels)
    model, processor = make_without_chance(case, dialogues)
    args = training_args(
        folder / case.name,
        max_steps=4,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        train_sampling_strategy="sequential",
        optim="sgd",
        learning_rate=0.3,
        use_cpu=True,
    )
    args.per_device_train_batch_size = (4 if case.reads_dialogues else 16) // args.world_size
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=dialogues, eval_dataset=dialogues, processing_class=processor
    )
    with most_similar_negatives():
        trainer.train()
    return {
        "step": trainer.state.best_global_step,
        "score": trainer.state.best_metric,
        "validations": [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry],
        "weights": weights_of(trainer),
    }


def run_steps(folder: Path) -> dict[str, dict[tuple[int, int], dict[str, Any]]]:
    """The step of each case, cut in several ways."""
    return {case.name: {cut: one_step(folder, case, *cut) for cut in cuts_of(case)} for case in STEP_CASES}


def run_command_line(folder: Path, trainer_process: int) -> None:
    """`joyful train` as it is, in every process."""
    data = folder / f"train-{trainer_process}.jsonl"
    write_dialogues(TRAINED, data)
    settings = json.dumps(SMALL_SETTINGS)
    options = ["--train-file", str(data), "--test-file", str(data), "--output-dir", str(folder / "out")]
    sys.argv = ["joyful", "train", *options, "--config-json", settings, "--num-train-epochs", "2", "--use-cpu"]
    cli.main()


def main() -> None:
    folder, chosen = Path(sys.argv[1]), sys.argv[2:]
    results = run(folder)
    results["seen"] = run_samplers(folder)
    steps = run_steps(folder)
    choices = {case.name: run_choice(folder, case) for case in EVALUATED_CASES if case.name in chosen}
    trainer = make_trainer(folder)
    if trainer.is_world_process_zero():
        torch.save(steps, folder / "steps.pt")
        torch.save(choices, folder / "choices.pt")
        (folder / "results.json").write_text(json.dumps(results))
    run_command_line(folder, trainer.args.process_index)


if __name__ == "__main__":
    main()
