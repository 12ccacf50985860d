"""Fine-tune a model from the Hub on your own dialogues. Copy this file and change what you like.

    python examples/fine_tune_from_hub.py --model user/joyful-meld --train_file train.jsonl --output_dir out

`--model` is the id of a repository or a folder, of any family; for Foal-Net, add `--learning_rate 1e-4`. Your
utterances need the features that the model was trained with, in the same sizes, or text, audio and video if the
checkpoint brings its extractors. If your labels differ from those of the model, it gets a new classifier and keeps the
rest of the network. Every field of `transformers.TrainingArguments` is an option.
"""

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset
from transformers import HfArgumentParser, set_seed

from joyful_hf import (
    JoyfulTrainer,
    JoyfulTrainingArguments,
    load_dialogues,
    load_for_fine_tuning,
)


@dataclass
class Arguments:
    """The model to start from, and the data."""

    model: str = field(metadata={"help": "Hub id or folder of a trained model and its processor."})
    train_file: str = field(metadata={"help": "Training dialogues: JSONL, Parquet, or a data set on the Hub."})
    validation_file: str | None = field(
        default=None, metadata={"help": "Chooses the checkpoint; by default 10 % of the training dialogues."}
    )
    test_file: str | None = field(default=None, metadata={"help": "Evaluated once, at the end."})


def load_splits(arguments: Arguments, seed: int) -> tuple[Dataset, Dataset, Dataset | None]:
    """Return training, validation and, if there are any, test dialogues."""
    train = load_dialogues(arguments.train_file)
    test = load_dialogues(arguments.test_file, split="test") if arguments.test_file else None
    if arguments.validation_file:
        return train, load_dialogues(arguments.validation_file, split="validation"), test
    splits = train.train_test_split(test_size=0.1, seed=seed)
    return splits["train"], splits["test"], test


def main() -> None:
    """Load, fine-tune, test, save."""
    groups: Any = (Arguments, JoyfulTrainingArguments)
    parsed: Any = HfArgumentParser(groups).parse_args_into_dataclasses()
    arguments, training_args = parsed
    if training_args.process_index == 0:
        print(f"running on {training_args.device}")
    set_seed(training_args.seed)

    train, validation, test = load_splits(arguments, training_args.seed)
    model, processor = load_for_fine_tuning(arguments.model, train)
    trainer = JoyfulTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=processor,
    )

    result = trainer.train()
    trainer.calibrate()
    trainer.save_model()
    trainer.save_state()
    trainer.save_metrics("train", result.metrics)
    trainer.log_metrics("eval", metrics := trainer.evaluate())
    trainer.save_metrics("eval", metrics)
    if test is not None:
        trainer.log_metrics("test", metrics := trainer.evaluate(test, metric_key_prefix="test"))
        trainer.save_metrics("test", metrics)
    trainer.create_model_card()
    print(f"labels: {', '.join(processor.label2id)}; model and processor: {training_args.output_dir}")


if __name__ == "__main__":
    main()
