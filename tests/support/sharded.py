"""What each process of `tests/training/test_sharded.py` runs: training with shared weights (FSDP2), on the CPU.

Accelerate shares weights on accelerators alone and lets a run on the CPU go on without a word; torch shares them on
any device. So Accelerate is told here that it may.

torchrun --standalone --nproc-per-node 2 tests/support/sharded.py FOLDER CASE ...
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint.state_dict as state_dicts
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor
from torch.utils import _pytree as pytree

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from tests.support.helpers import FAMILY_CASES, FamilyCase, make_dialogues

DIALOGUES = make_dialogues((5, 9, 1, 7, 4, 3, 6))


def share_on_the_cpu() -> None:
    """Let Accelerate share weights on the CPU too."""
    begin = AcceleratorState.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        plugin = kwargs.get("fsdp_plugin") or self.__dict__.get("fsdp_plugin")
        if plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin

    AcceleratorState.__init__ = __init__  # ty: ignore[invalid-assignment]
    # What is gathered is moved to the CPU, which waits for it; where it is there already, nobody does.
    for name in ("get_model_state_dict", "get_optimizer_state_dict"):
        setattr(state_dicts, name, _waiting(getattr(state_dicts, name)))


def _waiting(gather: Callable[..., Any]) -> Callable[..., Any]:
    def gathered(*args: Any, **kwargs: Any) -> Any:
        return pytree.tree_map(
            lambda value: value.wait() if isinstance(value, AsyncCollectiveTensor) else value, gather(*args, **kwargs)
        )

    return gathered


def make_trainer(folder: Path, case: FamilyCase) -> JoyfulTrainer:
    """A trainer of four steps that validates, logs and saves on the way."""
    model, processor = case.make(DIALOGUES)
    args = JoyfulTrainingArguments(
        str(folder),
        max_steps=4,
        save_strategy="steps",
        save_steps=2,
        save_total_limit=None,
        eval_strategy="steps",
        eval_steps=2,
        validation_start=0,
        logging_strategy="steps",
        logging_steps=1,
        per_device_train_batch_size=1 if case.reads_dialogues else 8,
        per_device_eval_batch_size=2,
        load_best_model_at_end=False,
        disable_tqdm=True,
        use_cpu=True,
        fsdp=True,
        fsdp_config={"version": 2, "reshard_after_forward": True, "auto_wrap_policy": "NO_WRAP"},
    )
    return JoyfulTrainer(
        model=model, args=args, train_dataset=DIALOGUES, eval_dataset=DIALOGUES, processing_class=processor
    )


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor that processes share."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().flatten().float()


def weights_of(trainer: JoyfulTrainer) -> torch.Tensor:
    """All weights, in one vector."""
    return torch.cat([whole(parameter) for parameter in trainer.model.parameters()])


def run(folder: Path, case: FamilyCase) -> dict[str, Any]:
    """Train, save, and train on from the middle."""
    trainer = make_trainer(folder, case)
    before = weights_of(trainer)
    trainer.train()
    trainer.save_model(str(folder / "final"))
    resumed = make_trainer(folder, case)
    resumed.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
    parameters = [parameter.to_local() for parameter in trainer.model.parameters() if isinstance(parameter, DTensor)]
    weights, again = weights_of(trainer), weights_of(resumed)
    metrics = trainer.evaluate()
    if trainer.is_world_process_zero():
        torch.save({"weights": weights}, folder / "weights.pt")
    return {
        "own": sum(parameter.numel() for parameter in parameters),
        "weights": weights.numel(),
        "moved": float((weights - before).abs().max()),
        "finite": bool(weights.isfinite().all()),
        "resumed": float((again - weights).abs().max()),
        "loss": metrics["eval_loss"],
        "validations": sum("eval_loss" in entry for entry in trainer.state.log_history),
        "first": trainer.is_world_process_zero(),
    }


def refusal(folder: Path) -> str:
    """What a user reads who shares weights on the CPU."""
    try:
        make_trainer(folder, FAMILY_CASES[0])
    except ValueError as error:
        return str(error)
    return ""


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    said = refusal(folder)
    share_on_the_cpu()
    for case in FAMILY_CASES:
        if case.name in names:
            results = run(folder / case.name, case)
            if results.pop("first"):
                (folder / case.name / "results.json").write_text(json.dumps(results))
                (folder / "refusal.txt").write_text(said)


if __name__ == "__main__":
    main()
