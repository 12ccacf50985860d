"""A run that is resumed is the run that was interrupted: from a whole checkpoint, with the same arguments and data."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments

from ..data.encoded import EncodedDialogues
from ..processing import DialogueError
from ..runs.folder import best_checkpoint, check_resumable, checkpoint_of_stages
from ..runs.manifest import data_fingerprints
from ..runs.names import TRAINING_ARGUMENTS

# Whatever an argument of these names is, the weights of every step and the choice among them stay the same. All
# others, and those of future versions of transformers, count as shaping the run.
_SHAPES_NOTHING = frozenset(
    {
        *(
            "output_dir",
            "run_name",
            "project",
            "report_to",
            "push_to_hub",
            "resume_from_checkpoint",
            "ignore_data_skip",
        ),
        *("log_level", "log_level_replica", "log_on_each_node", "disable_tqdm", "skip_memory_metrics", "debug"),
        *("save_total_limit", "save_on_each_node", "save_only_model", "enable_jit_checkpoint", "full_determinism"),
        *("per_device_eval_batch_size", "eval_accumulation_steps", "eval_use_gather_object", "batch_eval_metrics"),
        *("eval_do_concat_batches", "bf16_full_eval", "fp16_full_eval", "prediction_loss_only", "include_for_metrics"),
        *("include_num_input_tokens_seen", "restore_callback_states_from_checkpoint", "torch_empty_cache_steps"),
        *(
            "do_train",
            "do_eval",
            "do_predict",
            "use_cpu",
            "torch_device",
            "local_rank",
            "deepspeed",
            "remove_unused_columns",
        ),
        *("torch_compile", "torch_compile_backend", "torch_compile_mode", "label_names", "length_column_name"),
        *("tf32", "use_cache", "gradient_checkpointing_kwargs", "activation_checkpointing_kwargs"),
    }
)
_SHAPE_NOTHING_BEGIN = ("logging_", "hub_", "trackio_", "ddp_", "dataloader_")
_SHAPES_AFTER_ALL = frozenset({"dataloader_drop_last"})

NUM_PROCESSES = "num_processes"


def saved_arguments(args: TrainingArguments) -> dict[str, Any]:
    """Return the training arguments as a checkpoint keeps them, without the folders of this machine."""
    return args.to_dict() | {"output_dir": Path(str(args.output_dir)).name, NUM_PROCESSES: args.world_size}


def check_same_arguments(checkpoint: Path, args: TrainingArguments) -> None:
    """Refuse to resume a run with training arguments that would make it another one.

    Half of them would be ignored, such as a learning rate whose schedule comes from the checkpoint, others would be
    taken through half-way; and the record of the run would name values that were not used.

    Raises:
        DialogueError: the arguments shape the run, and differ from those of the checkpoint; the message names them.
    """
    try:
        stored = json.loads((checkpoint / TRAINING_ARGUMENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # of another trainer: nothing is known of its arguments
        return
    given = json.loads(json.dumps(saved_arguments(args), default=str))
    differing = [name for name in given if name in stored and stored[name] != given[name] and _shapes(name)]
    if differing:
        listed = ", ".join(f"{name} ({stored[name]} there, {given[name]} here)" for name in _told_first(differing))
        raise DialogueError(
            f"`output_dir`: {checkpoint.parent} holds an interrupted run of other settings, which differ in {listed}; "
            "give the same ones to go on with it, choose another folder, or give `overwrite_output_dir` to replace it"
        )


class ResumingTrainer(Trainer):
    """A `transformers.Trainer` that goes on from whole checkpoints of the same run alone."""

    def find_checkpoint(self, resume_from: str | Path | bool | None) -> str | None:
        """Return the checkpoint that `resume_from_checkpoint` names; None for a fresh run.

        Raises:
            DialogueError: there is none, or it is damaged.
        """
        if not resume_from:
            return None
        folder = Path(str(self.args.output_dir))
        if resume_from is True:
            checkpoint = checkpoint_of_stages(folder)
            if checkpoint is None:
                raise DialogueError(f"`resume_from_checkpoint`: {folder} holds no checkpoint")
        else:
            checkpoint = Path(str(resume_from))
            if not checkpoint.is_dir():
                raise DialogueError(f"`resume_from_checkpoint`: there is no folder {checkpoint}")
            check_resumable(checkpoint)
        return str(checkpoint)

    def check_same_run(self, checkpoint: Path, args: TrainingArguments) -> None:
        """Refuse a checkpoint of other arguments or data.

        Args:
            args: those of the stage of training that the checkpoint belongs to.

        Raises:
            DialogueError: they differ from those of this run.
        """
        check_same_arguments(checkpoint, args)
        check_same_data(checkpoint, self.data_fingerprints())

    def data_fingerprints(self) -> dict[str, str]:
        """Split -> fingerprint of its dialogues, where they are not streamed."""
        data = {"train": self.train_dataset, "validation": self.eval_dataset}
        return {split: of.fingerprint for split, of in data.items() if isinstance(of, EncodedDialogues)}

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,
    ) -> tuple[int, int]:
        """As in transformers, which forgets the best checkpoint when the folder of the run has been moved."""
        of_transformers = logging.getLogger("transformers.trainer")
        of_transformers.addFilter(_tells_no_loss)
        try:
            begun = super()._init_training_state(
                max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
            )
        finally:
            of_transformers.removeFilter(_tells_no_loss)
        best = None if resume_from_checkpoint is None else best_checkpoint(Path(resume_from_checkpoint))
        if best is not None and best.is_dir():
            self.state.best_model_checkpoint = str(best)
        return begun


def check_same_data(checkpoint: Path, fingerprints: Mapping[str, str]) -> None:
    """Refuse to resume a run on other training or validation dialogues.

    Args:
        fingerprints: of the data there are now, by split.

    Raises:
        DialogueError: they differ from those of the checkpoint.
    """
    stored = data_fingerprints(checkpoint)
    words = {"train": "training", "validation": "validation"}
    differing = [words[split] for split, made in fingerprints.items() if stored.get(split, made) != made]
    if differing:
        raise DialogueError(
            f"`output_dir`: {checkpoint.parent} holds an interrupted run on other {' and '.join(differing)} "
            "dialogues; give the same ones to go on with it, choose another folder, or give `overwrite_output_dir` to "
            "replace it"
        )


def _tells_no_loss(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("The best checkpoint")


def _shapes(name: str) -> bool:
    if name in _SHAPES_AFTER_ALL:
        return True
    return name not in _SHAPES_NOTHING and not name.startswith(_SHAPE_NOTHING_BEGIN)


def _told_first(names: list[str]) -> list[str]:
    """Leave out the arguments that follow from others that differ too."""
    followers = {"eval_delay": {"num_train_epochs", "validation_start"}}
    return [name for name in names if not followers.get(name, set()) & set(names)]
