"""`JoyfulTrainingArguments`: transformers' TrainingArguments with this field's defaults."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy


@dataclass
class JoyfulTrainingArguments(TrainingArguments):
    """As `transformers.TrainingArguments`, with defaults that work for emotion recognition in conversation.

    They were chosen together with `JoyfulConfig()`, on validation data only.

    Validated and saved each epoch; the checkpoint of the highest weighted F1 on validation is kept, or of the lowest
    mean absolute error for regression.
    """

    per_device_train_batch_size: int = field(
        default=8, metadata={"help": "Dialogues (Foal-Net: utterances) of a training step."}
    )
    per_device_eval_batch_size: int = field(
        default=64, metadata={"help": "Dialogues (Foal-Net: utterances) of an evaluation step."}
    )
    learning_rate: float = field(default=2e-3, metadata={"help": "Highest learning rate of AdamW."})
    weight_decay: float = field(default=0.1, metadata={"help": "Weight decay of AdamW."})
    num_train_epochs: float = field(default=15, metadata={"help": "Epochs, unless stopped early."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps of warm-up, or their share if below 1."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "How the learning rate falls."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints kept beside the best."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best on validation."})
    metric_for_best_model: str | None = field(
        default="weighted_f1", metadata={"help": "What is best on validation; mae takes its place for regression."}
    )
    validation_start: float = field(
        default=0.5,
        metadata={
            "help": "Share of the epochs before the first validation, where eval_delay is not given: on a few "
            "dialogues an early score is a lucky one more often than a good one."
        },
    )
    early_stopping_patience: int = field(
        default=8, metadata={"help": "Validations without a better score before training stops; 0 never stops."}
    )
    class_balance: float | None = field(
        default=None,
        metadata={
            "help": "Weight each class by the inverse of its training frequency to this power: 0 for all alike, 1 for "
            "full balance. 0.4 unless given, in single-label training that does not stream."
        },
    )
    weight_averaging_decay: float = field(
        default=0.99,
        metadata={
            "help": "Validate, save and end with an exponential moving average of the weights, of this decay a step; "
            "0 leaves it out."
        },
    )
    dataloader_num_workers: int = field(
        default=-1,
        metadata={
            "help": "Processes that pack batches ahead of the model; -1 is 2 beside a GPU, and none on a CPU, whose "
            "cores are busy."
        },
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "The processor reads raw columns."})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "A resumed run goes on with the patience it had left."}
    )

    def __post_init__(self) -> None:
        if self.dataloader_num_workers < 0:
            self.dataloader_num_workers = 2 if torch.cuda.is_available() and not self.use_cpu else 0
        if self.eval_strategy == "epoch" and not self.eval_delay and self.max_steps <= 0:
            # At least the last epoch is validated, and a run of one epoch too.
            self.eval_delay = min(self.validation_start * self.num_train_epochs, self.num_train_epochs - 1)
        super().__post_init__()


def with_needed_settings(args: TrainingArguments) -> TrainingArguments:
    """A copy of the arguments with what dialogues need, whatever the caller's defaults were."""
    if args.torch_compile and args.torch_compile_backend == "inductor" and args.device.type == "cpu":
        # Measured with torch 2.13: in training its fused kernels give other logits than the model, without an error.
        raise ValueError(
            "torch_compile: on a CPU, torch's inductor miscompiles this package's graph layers in training; leave it "
            "out, or set torch_compile_backend to 'aot_eager'"
        )
    if args.push_to_hub and args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
        strategy = HubStrategy(args.hub_strategy).value
        raise ValueError(
            f"hub_strategy={strategy!r} would push the state of the optimizer, a pickle; choose 'every_save' or 'end'"
        )
    args = copy.copy(args)
    args.remove_unused_columns = False  # the processor reads columns that forward does not name
    args.label_names = ["labels"]
    accelerator_config: Any = copy.copy(args.accelerator_config)
    accelerator_config.dispatch_batches = False  # streamed batches differ in shape
    args.accelerator_config = accelerator_config
    if args.device.type == "cpu":
        args.dataloader_pin_memory = False  # there is no device to copy to
    if args.n_gpu > 1:
        args._n_gpu = 1  # DataParallel would cut the packed tensors in pieces; `torchrun` uses every GPU
    return args
