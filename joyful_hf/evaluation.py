"""Score a checkpoint on a file of labelled dialogues. What `joyful evaluate` does."""

import tempfile
from typing import Any

from .checkpoints import load_checkpoint
from .dialogue_files import load_dialogues
from .extraction import extract_for
from .processing import DialogueError
from .progress import print_nothing
from .trainer import EncodedDialogues, JoyfulTrainer
from .training_args import JoyfulTrainingArguments


def load_labelled(
    checkpoint: str, data_file: str, num_proc: int | None = None, strict: bool = False
) -> tuple[Any, Any, EncodedDialogues]:
    """The model and the processor of a checkpoint, and the dialogues of a file.

    Args:
        num_proc, strict: of `extract_features`, where the data have raw media.

    Raises:
        DialogueError: bad input, an unknown label, or no label at all.
    """
    dialogues = load_dialogues(data_file, split="test")
    model, processor = load_checkpoint(checkpoint)
    dialogues = extract_for(processor, dialogues, num_proc, strict)
    encoded = EncodedDialogues(dialogues, processor)
    if not encoded.has_labels:
        raise DialogueError(f"{data_file}: not one utterance has a label; `joyful predict` needs none")
    return model, processor, encoded


def score_dialogues(model: Any, processor: Any, dialogues: EncodedDialogues) -> dict[str, float]:
    """The `eval_...` metrics of a model on labelled dialogues."""
    with tempfile.TemporaryDirectory() as folder:
        args = JoyfulTrainingArguments(folder, eval_strategy="no", load_best_model_at_end=False)
        trainer = JoyfulTrainer(model=model, args=args, processing_class=processor)
        print_nothing(trainer)
        metrics = trainer.evaluate(dialogues)
    return metrics | {"eval_samples": len(dialogues)}
