"""`JoyfulTrainingArguments`: transformers' TrainingArguments with this field's defaults.

One file because the fields, what is derived from them and what is refused of them change together.
"""

import copy
import logging
import os
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.debug_utils import DebugOption
from transformers.trainer_utils import HubStrategy

from ..evaluation.task import TASKS, Task, greater_is_better
from ..processing.devices import choose_device
from ..processing.labels import SINGLE_LABEL
from ..runs.names import metric_key

logger = logging.getLogger(__name__)

MOST_DIALOGUES_PER_STEP = 8
# With 8 dialogues of 48 utterances a step, 15 epochs of 108 dialogues are too few steps: see benchmarks/README.md.
_UTTERANCES_PER_STEP = 192

FULL, LORA = "full", "lora"
FINE_TUNING = (
    "fine_tune_encoder",
    "fine_tune_epochs",
    "fine_tune_learning_rate",
    "fine_tune_warmup_steps",
    "lora_rank",
    "lora_alpha",
    "lora_learning_rate",
)
"""The arguments of the stage in which `fine_tune_encoder` lets encoders learn."""
FOR_ENCODERS = ("encoder_layer_decay", "freeze_embeddings", "unfreeze_layers_per_epoch")
"""The arguments for encoders that learn, in a stage of their own or not."""

# Of Accelerate, which its launcher sets too.
_DEVICE_VARIABLES = ("ACCELERATE_TORCH_DEVICE", "ACCELERATE_USE_CPU")


@dataclass
class JoyfulTrainingArguments(TrainingArguments):
    """As `transformers.TrainingArguments`, with defaults that work for emotion recognition in conversation.

    The defaults were chosen together with `JoyfulConfig()`, on validation data only. A run is validated and saved
    each epoch, and keeps the checkpoint with the highest weighted F1 on validation, or with the lowest mean absolute
    error for regression.

    `greater_is_better` need not be given: for the package's own metrics and losses it follows from
    `metric_for_best_model`.

    Raises:
        ValueError: `greater_is_better` contradicts the metric, or `torch_device` contradicts `use_cpu` or does not
            exist.
    """

    per_device_train_batch_size: int = field(
        default=-1,
        metadata={
            "help": "Dialogues per training step (utterances for Foal-Net); -1 means 8, or fewer where dialogues are "
            "so long that fewer hold 192 utterances on average."
        },
    )
    per_device_eval_batch_size: int = field(
        default=64, metadata={"help": "Dialogues per evaluation step (utterances for Foal-Net)."}
    )
    learning_rate: float = field(default=2e-3, metadata={"help": "Highest learning rate of AdamW."})
    weight_decay: float = field(default=0.1, metadata={"help": "Weight decay of AdamW."})
    num_train_epochs: float = field(default=15, metadata={"help": "Number of epochs, unless training stops early."})
    warmup_steps: float = field(
        default=0.05, metadata={"help": "Number of warm-up steps, or their share of all steps if below 1."}
    )
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Schedule of the learning rate."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save."})
    save_total_limit: int | None = field(
        default=1, metadata={"help": "Number of checkpoints kept beside the best one."}
    )
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log."})
    load_best_model_at_end: bool = field(
        default=True, metadata={"help": "End with the checkpoint that is best on validation."}
    )
    metric_for_best_model: str | None = field(
        default="weighted_f1",
        metadata={"help": "Validation metric that chooses the checkpoint; mae takes its place for regression."},
    )
    eval_delay: float | None = field(  # ty: ignore[incompatible-attribute-override]
        default=None,
        metadata={"help": "Epochs, or steps, before the first validation; by default what validation_start says."},
    )
    validation_start: float = field(
        default=0.5,
        metadata={
            "help": "Share of the epochs before the first validation, where each epoch is validated and eval_delay is "
            "not given: on a few dialogues an early high score is more often luck than merit."
        },
    )
    early_stopping_patience: int = field(
        # Of the 8 validations of 15 epochs; 8 could never be reached. On CMU-MOSI's held-out dialogues (2 seeds) 4
        # keeps the best epoch of the whole run, and saves two epochs of one of them.
        default=4,
        metadata={"help": "Number of validations without a better score before training stops; 0 never stops."},
    )
    class_balance: float | None = field(
        default=None,
        metadata={
            "help": "Weight each class by the inverse of its training frequency to this power: 0 for equal weights, "
            "1 for full balance. 0.4 by default, in single-label training that does not stream."
        },
    )
    weight_averaging_decay: float = field(
        default=0.99,
        metadata={
            "help": "Validate, save and end with an exponential moving average of the weights, with this decay per "
            "step; 0 leaves it out."
        },
    )
    dataloader_num_workers: int = field(
        default=-1,
        metadata={
            "help": "Number of processes that prepare batches; -1 means 2 with a GPU, and none on a CPU, whose cores "
            "are busy."
        },
    )
    fine_tune_encoder: str | None = field(
        default=None,
        metadata={
            "help": "Fine-tune the encoders inside the model, all their weights (full) or low-rank updates (lora), in "
            "a second stage that starts from the best checkpoint on the frozen ones; the better of the two on "
            "validation is kept. Without it, they stay as they are."
        },
    )
    fine_tune_epochs: float = field(default=5, metadata={"help": "Number of epochs of that stage."})
    fine_tune_learning_rate: float = field(
        default=2e-4,
        metadata={
            "help": "Highest learning rate of the rest of the model in that stage; the encoders' own is a field of "
            "the configuration (text_encoder_learning_rate, audio_encoder_learning_rate)."
        },
    )
    fine_tune_warmup_steps: float = field(
        default=0.2,
        metadata={"help": "Number of warm-up steps of that stage, or their share of its steps if below 1."},
    )
    lora_rank: int = field(default=16, metadata={"help": "Rank of the updates that lora learns."})
    lora_alpha: float = field(default=32, metadata={"help": "Scale of these updates, times their rank."})
    lora_learning_rate: float = field(default=1e-3, metadata={"help": "Highest learning rate of these updates."})
    encoder_layer_decay: float | None = field(
        default=None,
        metadata={
            "help": "Factor of the learning rate from each layer of an encoder to the one below it. By default 0.9 "
            "with fine_tune_encoder, and otherwise 1."
        },
    )
    freeze_embeddings: bool | None = field(
        default=None,
        metadata={
            "help": "Leave what lies below the first layer of an encoder as it is, such as token embeddings. By "
            "default only with fine_tune_encoder."
        },
    )
    unfreeze_layers_per_epoch: int = field(
        default=0,
        metadata={
            "help": "Let this many more layers of an encoder learn in each epoch, the last ones first; 0 lets all "
            "learn at once."
        },
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "The processor reads raw columns."})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "A resumed run continues with the patience it had left."}
    )
    torch_device: str | None = field(
        default=None,
        metadata={
            "aliases": ["--device"],
            "help": "Device to run on, such as cuda:1 or cpu; the machine's accelerator if it is not given.",
        },
    )

    def __post_init__(self) -> None:
        if self.torch_device is not None:
            is_cpu = choose_device(self.torch_device).type == "cpu"
            if self.use_cpu and not is_cpu:
                raise ValueError(f"`use_cpu` and `torch_device` {self.torch_device!r} contradict each other")
            self.use_cpu = is_cpu
        if self.dataloader_num_workers < 0:
            self.dataloader_num_workers = 2 if torch.cuda.is_available() and not self.use_cpu else 0
        self._derived_eval_delay: float | None = None
        self.set_eval_delay()
        if self.metric_for_best_model is not None:
            best = greater_is_better(self.metric_for_best_model.removeprefix("eval_"))
            if best is not None and self.greater_is_better not in (None, best):
                raise _contradiction(self)
            self.greater_is_better = self.greater_is_better if best is None else best
        self._check_fine_tuning()
        super().__post_init__()

    def _check_fine_tuning(self) -> None:
        """Raise a ValueError for values that make no sense for encoders that learn."""
        if self.fine_tune_encoder not in (None, FULL, LORA):
            raise ValueError(f"`fine_tune_encoder` is {self.fine_tune_encoder!r}; choose {FULL!r} or {LORA!r}")
        defaults = {known.name: known.default for known in fields(JoyfulTrainingArguments)}
        for name in FINE_TUNING[1:]:
            needed = f"`fine_tune_encoder` {LORA!r}" if name.startswith(f"{LORA}_") else "`fine_tune_encoder`"
            is_used = self.fine_tune_encoder == LORA or (self.fine_tune_encoder and not name.startswith(f"{LORA}_"))
            if getattr(self, name) != defaults[name] and not is_used:
                raise ValueError(f"`{name}` is for {needed}; leave it out, or set that too")
            if getattr(self, name) < 0 or (name in ("fine_tune_epochs", "lora_rank") and not getattr(self, name)):
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)}")
        if self.encoder_layer_decay is not None and not 0 < self.encoder_layer_decay <= 1:
            raise ValueError(f"`encoder_layer_decay` must be above 0 and at most 1, got {self.encoder_layer_decay}")
        if self.fine_tune_encoder == LORA and self.freeze_embeddings is False:
            raise ValueError("`freeze_embeddings`: low-rank updates are of layers alone; leave it out")
        if self.unfreeze_layers_per_epoch < 0:
            raise ValueError(f"`unfreeze_layers_per_epoch` must be at least 0, got {self.unfreeze_layers_per_epoch}")

    @property
    def layer_decay(self) -> float:
        """`encoder_layer_decay`, or its default."""
        if self.encoder_layer_decay is not None:
            return self.encoder_layer_decay
        return 0.9 if self.fine_tune_encoder else 1.0

    @property
    def freezes_embeddings(self) -> bool:
        """`freeze_embeddings`, or its default."""
        return self.fine_tune_encoder is not None if self.freeze_embeddings is None else self.freeze_embeddings

    def set_eval_delay(self) -> None:
        """Set `eval_delay` by `validation_start` and the epochs there are now, unless it was given."""
        if self.eval_delay != self._derived_eval_delay:
            return
        if self.eval_strategy == "epoch" and self.max_steps <= 0:
            # At least the last epoch is validated, and a run of one epoch too.
            self.eval_delay = min(self.validation_start * self.num_train_epochs, self.num_train_epochs - 1)
        else:
            self.eval_delay = 0
        self._derived_eval_delay = self.eval_delay

    @cached_property
    def _setup_devices(self) -> torch.device:
        """The device of this process: the Trainer's, unless there is a reason for another one.

        Raises:
            ValueError: `torch_device` cannot be had.
        """
        device = super()._setup_devices
        if self.torch_device is not None:
            chosen = choose_device(self.torch_device)
        elif device.type == "cpu" and not self.use_cpu and not any(map(os.environ.get, _DEVICE_VARIABLES)):
            chosen = choose_device()  # transformers asks for a fixed list of accelerators
        else:
            return device
        is_same = chosen.type == device.type and (chosen.index or 0) == (device.index or 0)
        if self.world_size > 1 and not is_same and self.torch_device is not None:
            raise ValueError(
                f"`torch_device`: {self.torch_device!r} is one device, and {self.world_size} processes have one each; "
                "leave it out"
            )
        if is_same or self.world_size > 1:
            return device
        torch.accelerator.set_device_index(chosen.index)
        assert self.distributed_state is not None  # what Accelerate reads
        self.distributed_state.device = chosen
        self._n_gpu = 1
        return chosen


def set_batch_size(args: TrainingArguments, dialogues: Sequence[Sized]) -> None:
    """Choose how many dialogues a training step has where the arguments leave it open.

    Args:
        dialogues: those of training, each as long as it has utterances, looked at only then; none where they stream.
    """
    if args.per_device_train_batch_size < 0:
        mean = sum(map(len, dialogues)) / len(dialogues) if len(dialogues) else 1
        fitting = round(_UTTERANCES_PER_STEP / mean)
        args.per_device_train_batch_size = min(max(fitting, 1), MOST_DIALOGUES_PER_STEP)


def _contradiction(args: TrainingArguments) -> ValueError:
    best = "lowest" if args.greater_is_better else "highest"
    return ValueError(
        f"`greater_is_better` is {args.greater_is_better}, but the {best} `metric_for_best_model` "
        f"{args.metric_for_best_model!r} is the best one; leave `greater_is_better` out"
    )


def set_direction(args: TrainingArguments, evaluation_names: Iterable[str] = ()) -> None:
    """Set `greater_is_better` for a metric whose direction is known.

    transformers takes the highest value of everything for the best one whose name does not end in "loss". What plain
    `TrainingArguments` have derived so cannot be told from what the caller gave; it is corrected with a warning.

    Args:
        evaluation_names: names of several evaluation data sets, with which their metrics begin.

    Raises:
        ValueError: the caller's `greater_is_better` contradicts the metric.
    """
    if args.metric_for_best_model is None:
        return
    metric = metric_key(args).removeprefix("eval_")
    for name in evaluation_names:
        metric = metric.removeprefix(f"{name}_")
    best = greater_is_better(metric)
    if best is None or best == args.greater_is_better:
        return
    if args.greater_is_better != (not args.metric_for_best_model.endswith("loss")):
        raise _contradiction(args)
    logger.warning("`greater_is_better` is set to %s, as is right for %r", best, args.metric_for_best_model)
    args.greater_is_better = best


def set_main_metric(args: TrainingArguments, task: Task) -> None:
    """Choose the checkpoint by the task's own main metric where the arguments name that of single labels.

    Where they ask for nothing but the loss, it is chosen by that.

    Raises:
        ValueError: they ask for nothing but the loss, and for a checkpoint chosen by another metric.
    """
    metric = None if args.metric_for_best_model is None else metric_key(args).removeprefix("eval_")
    if args.prediction_loss_only and metric is not None and not metric.startswith("loss"):
        if metric != TASKS[SINGLE_LABEL].main_metric:
            raise ValueError(
                f"`prediction_loss_only` leaves nothing but losses, and `metric_for_best_model` is {metric!r}; choose "
                "'loss'"
            )
        args.metric_for_best_model, args.greater_is_better = "loss", False
        return
    if metric_key(args) == f"eval_{TASKS[SINGLE_LABEL].main_metric}":
        args.metric_for_best_model = task.main_metric
        args.greater_is_better = task.greater_is_better(task.main_metric)


def _check_arguments(args: TrainingArguments) -> None:
    """Raise a ValueError for arguments that would do nothing, or something else than they say."""
    optimizer = str(getattr(args.optim, "value", args.optim))
    accelerator_config: Any = args.accelerator_config
    faults = {
        "optim_target_modules": (
            args.optim_target_modules is not None and not any(name in optimizer for name in ("galore", "apollo")),
            f"only GaLore and APOLLO read it, and `optim` is {optimizer!r}",
        ),
        "fp16": (
            args.fp16 and args.device.type == "cpu",
            "a CPU computes nothing in float16; choose `bf16` with `use_cpu`",
        ),
        "use_cache": (bool(args.use_cache), "the models do not generate, and have no cache of keys and values"),
        "use_liger_kernel": (args.use_liger_kernel, "Liger has no kernels for these models"),
        "label_names": (args.label_names not in (None, ["labels"]), "the labels of every family are 'labels'"),
        "length_column_name": (
            args.length_column_name != "length",
            "the lengths of dialogues are counted, not read from a column",
        ),
        "remove_unused_columns": (
            args.remove_unused_columns and isinstance(args, JoyfulTrainingArguments),
            "the processor reads columns that the model's `forward` does not name",
        ),
        "accelerator_config": (
            bool(accelerator_config.dispatch_batches),
            "`dispatch_batches` needs batches of one shape, and those of dialogues differ",
        ),
        "debug": (
            DebugOption.UNDERFLOW_OVERFLOW in args.debug,
            "'underflow_overflow' cannot look at boolean tensors, and the models have some; "
            "`torch.autograd.set_detect_anomaly(True)` finds where a NaN comes from",
        ),
    }
    for name, (is_wrong, reason) in faults.items():
        if is_wrong:
            raise ValueError(f"`{name}`: {reason}")


def with_needed_settings(args: TrainingArguments) -> TrainingArguments:
    """Return a copy of the arguments with the settings that dialogues need, whatever the caller's defaults were.

    Raises:
        ValueError: an argument that would give wrong results, or push a pickle.
    """
    if args.push_to_hub and args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
        strategy = HubStrategy(args.hub_strategy).value
        raise ValueError(
            f"`hub_strategy`: {strategy!r} would push the state of the optimizer, a pickle; choose 'every_save' or "
            "'end'"
        )
    _check_arguments(args)
    args = copy.copy(args)
    args.remove_unused_columns = False  # the processor reads columns that forward does not name
    args.label_names = ["labels"]
    args.logging_nan_inf_filter = False  # a run stops there; the filter waits for the device in each step
    accelerator_config: Any = copy.copy(args.accelerator_config)
    accelerator_config.dispatch_batches = False  # streamed batches differ in shape
    if args.device.type in ("cpu", "mps"):
        args.dataloader_pin_memory = False  # there is no device to copy to, or none that could
    # The CPU goes on while a pinned batch is on its way.
    accelerator_config.non_blocking = accelerator_config.non_blocking or args.dataloader_pin_memory
    args.accelerator_config = accelerator_config
    if args.n_gpu > 1:
        args._n_gpu = 1  # DataParallel would cut the packed tensors into pieces; `torchrun` uses every GPU
    return args
