"""Train, validate and test JOYFUL on your own dialogues. Copy this file and change what you like.

    python examples/train_emotion_recognition.py --train_file train.jsonl --output_dir out
    accelerate launch examples/train_emotion_recognition.py --train_file train.jsonl --output_dir out --bf16

Files are JSONL or Parquet with one dialogue per line or row, or ids of data sets on the Hub; the documentation
describes the record. Every field of `transformers.TrainingArguments` is an option. One CPU, one GPU and several of
them work alike; `--device cpu` or `--device cuda:1` names one.
"""

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset
from transformers import HfArgumentParser, set_seed
from transformers.trainer_utils import get_last_checkpoint

from joyful_hf import (
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    JoyfulTrainer,
    JoyfulTrainingArguments,
    load_dialogues,
)


@dataclass
class DataArguments:
    """The data."""

    train_file: str = field(metadata={"help": "Training dialogues."})
    validation_file: str | None = field(
        default=None, metadata={"help": "Chooses the checkpoint; by default 10 % of the training dialogues."}
    )
    test_file: str | None = field(default=None, metadata={"help": "Evaluated once, at the end."})


@dataclass
class ModelArguments:
    """The model. Every other choice is a field of `JoyfulConfig`."""

    window_past: int = field(default=8, metadata={"help": "Past utterances from which each one receives; -1 for all."})
    window_future: int = field(
        default=8, metadata={"help": "Future utterances from which each one receives; -1 for all."}
    )
    graph_num_layers: int = field(default=1, metadata={"help": "Layers of the speaker graph; 0 leaves it out."})
    contrastive_loss_weight: float = field(
        default=JoyfulConfig.contrastive_loss_weight,
        metadata={"help": "Weight of the graph contrast; 0 turns it off."},
    )


def load_splits(arguments: DataArguments, seed: int) -> tuple[Dataset, Dataset, Dataset | None]:
    """Return training, validation and, if there are any, test dialogues."""
    train = load_dialogues(arguments.train_file)
    test = load_dialogues(arguments.test_file, split="test") if arguments.test_file else None
    if arguments.validation_file:
        return train, load_dialogues(arguments.validation_file, split="validation"), test
    splits = train.train_test_split(test_size=0.1, seed=seed)
    return splits["train"], splits["test"], test


def main() -> None:
    """Read, build, train, test, save."""
    groups: Any = (DataArguments, ModelArguments, JoyfulTrainingArguments)
    parsed: Any = HfArgumentParser(groups).parse_args_into_dataclasses()
    data_args, model_args, training_args = parsed
    if training_args.process_index == 0:
        print(f"running on {training_args.device}")
    set_seed(training_args.seed)

    train, validation, test = load_splits(data_args, training_args.seed)
    processor = JoyfulProcessor.from_dialogues(
        train, window_past=model_args.window_past, window_future=model_args.window_future
    )
    config = JoyfulConfig(
        **processor.model_kwargs(),
        graph_num_layers=model_args.graph_num_layers,
        contrastive_loss_weight=model_args.contrastive_loss_weight,
    )
    trainer = JoyfulTrainer(
        model=JoyfulForEmotionRecognition(config),
        args=training_args,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=processor,
    )

    # From the newest whole checkpoint, if the run was interrupted.
    result = trainer.train(resume_from_checkpoint=get_last_checkpoint(training_args.output_dir) is not None)
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


if __name__ == "__main__":
    main()
