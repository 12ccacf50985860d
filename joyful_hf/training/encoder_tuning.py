"""Encoders inside a model while it is trained: frozen ones are computed once, others learn from where those end.

`fine_tune_encoder` trains in two stages. First the encoders are frozen, and the rest is trained on what they make of
each utterance, computed once. From the best checkpoint of that, the second stage lets them learn too, the lower layers
more slowly, and keeps its best checkpoint only if that is better than the frozen one on validation.
"""

import copy
import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerState, TrainingArguments, set_seed

from ..data.encoded import DialogueCollator, EncodedDialogues
from ..modeling.encoder_depth import freeze_embeddings, learning_encoders, rates_by_depth
from ..modeling.inner_encoder import PretrainedEncoder
from ..modeling.lora import add_low_rank_updates, has_low_rank_updates, merge_low_rank_updates
from ..modeling.utterance_encoder import UtteranceEncoder
from ..processing import MODALITIES
from ..runs.names import FROZEN_STAGE, TRAINER_STATE, metric_key
from ..runs.summary import EncoderTuning
from .arguments import FULL, LORA, JoyfulTrainingArguments
from .callbacks import EpochLines, StartFrom
from .resuming import check_same_arguments

logger = logging.getLogger(__name__)

_STAGE_NAMES = {FULL: "all its weights", LORA: "low-rank updates (LoRA)"}


class EncoderTuningTrainer(Trainer):
    """A `transformers.Trainer` for models with pretrained encoders inside: see the module."""

    args: Any
    model: Any
    evaluated: dict[str, Any]
    encoder_tuning: EncoderTuning | None = None
    """The outcome for the encoders of the last training, where `fine_tune_encoder` asked for one."""

    def _train_once(self, resume_from_checkpoint: str | None, *args: Any, **kwargs: Any) -> Any:
        """Train the model as it is, with the arguments as they are."""
        raise NotImplementedError

    @property
    def _inner_encoders(self) -> Mapping[str, UtteranceEncoder]:
        """Modality -> the encoder that the model holds and that can be computed apart from it."""
        if self.model is None:  # between two trials of a search
            return {}
        return getattr(self.accelerator.unwrap_model(self.model), "inner_encoders", {})

    @property
    def _fine_tunes(self) -> bool:
        return getattr(self.args, "fine_tune_encoder", None) is not None

    def _check_fine_tuning(self) -> None:
        """Raise a ValueError if the arguments ask for encoders to be trained that are not there, or not so."""
        model, args = self.model, self.args
        if model is None or not isinstance(args, JoyfulTrainingArguments):
            return
        if args.fine_tune_encoder is None:
            if not learning_encoders(model):
                for name in ("encoder_layer_decay", "freeze_embeddings", "unfreeze_layers_per_epoch"):
                    if getattr(args, name):
                        raise ValueError(f"`{name}`: the model has no encoder that learns; set `fine_tune_encoder`")
            return
        if hasattr(model, "peft_config"):
            raise ValueError("`fine_tune_encoder`: the model has an adapter (PEFT) already; leave one of the two out")
        if not self._inner_encoders:
            raise ValueError(
                f"`fine_tune_encoder`: this {type(model).__name__} has no encoder of text or speech that could be "
                "frozen first; make it with `from_encoders`"
            )
        if any(encoder.learns for encoder in self._inner_encoders.values()):
            raise ValueError(
                "`fine_tune_encoder` begins with frozen encoders, and the model's configuration unfreezes one at once "
                "(`unfreeze_text_encoder`, `unfreeze_audio_encoder`); leave one of the two out"
            )
        if not args.load_best_model_at_end:
            raise ValueError(
                "`fine_tune_encoder` keeps what is better on validation, the frozen or the tuned encoder; it needs "
                "`load_best_model_at_end` and validation dialogues"
            )
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError(
                "`fine_tune_encoder` keeps the frozen model beside the tuned one, and with `fsdp` or `deepspeed` no "
                "process has a whole one; set the configuration's `unfreeze_text_encoder` in its place"
            )

    # Learning rates.

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As in transformers; parts of the model that name their own learning rate get it, encoders by their depth."""
        if self.optimizer is not None:
            return self.optimizer
        unwrapped = self.accelerator.unwrap_model(self.model)
        if getattr(self.args, "freezes_embeddings", False):
            freeze_embeddings(unwrapped)
        optimizer = super().create_optimizer(model)
        for parameters, rate in self._own_rates(unwrapped):
            of_part = {id(parameter) for parameter in parameters}
            for group in list(optimizer.param_groups):
                own = [parameter for parameter in group["params"] if id(parameter) in of_part]
                if own:
                    group["params"] = [parameter for parameter in group["params"] if id(parameter) not in of_part]
                    optimizer.add_param_group({**group, "params": own, "lr": rate})
        return optimizer

    def _own_rates(self, model: Any) -> Iterator[tuple[list[nn.Parameter], float]]:
        """Parameters with another learning rate than that of the arguments."""
        rates = dict(model.learning_rates())
        decay, is_lora = getattr(self.args, "layer_decay", 1.0), getattr(self.args, "fine_tune_encoder", None) == LORA
        encoders = [encoder.encoder for encoder in learning_encoders(model)]
        for part in dict.fromkeys([*rates, *encoders]):
            rate = rates.get(part, self.args.learning_rate)
            if part in encoders and is_lora:
                rate = self.args.lora_learning_rate
            if part in encoders and decay != 1:
                yield from rates_by_depth(part, rate, decay)
            else:
                yield list(part.parameters()), rate

    # Two stages.

    def arguments_of(self, checkpoint: str | Path | None) -> TrainingArguments:
        """Return the arguments of the stage that a checkpoint belongs to; without one, of the first."""
        if not self._fine_tunes:
            return self.args
        return self._frozen_arguments() if _is_of_frozen_stage(checkpoint) else self._tuning_arguments()

    def _frozen_arguments(self) -> TrainingArguments:
        args = copy.copy(self.args)
        args.output_dir = str(Path(str(args.output_dir)) / FROZEN_STAGE)
        return args

    def _tuning_arguments(self) -> TrainingArguments:
        args = copy.copy(self.args)
        args.learning_rate, args.warmup_steps = args.fine_tune_learning_rate, args.fine_tune_warmup_steps
        args.num_train_epochs, args.max_steps, args.eval_delay = args.fine_tune_epochs, -1, 0
        return args

    def _train_in_stages(self, resume_from: str | None, **kwargs: Any) -> Any:
        """Train on frozen encoders, then the encoders too, and keep what is better on validation."""
        args, model_init = self.args, self.model_init
        frozen_args, tuning_args = self._frozen_arguments(), self._tuning_arguments()
        if kwargs.get("trial") is not None:
            raise ValueError("`fine_tune_encoder` trains in two stages, which a search cannot try; leave it out there")
        frozen_folder = Path(str(args.output_dir)) / FROZEN_STAGE
        resumes_tuning = resume_from is not None and not _is_of_frozen_stage(resume_from)
        try:
            self.args = frozen_args
            if resume_from is not None and (frozen_folder / TRAINER_STATE).is_file():
                seconds = self._load_frozen_stage(frozen_folder)
            else:
                self._announce("first stage: the encoder is frozen, and the rest is trained on what it makes")
                outcome = self._train_once(None if resumes_tuning else resume_from, **kwargs)
                seconds = outcome.metrics["train_runtime"]
                if self.is_world_process_zero() and self.state.best_model_checkpoint:
                    self.state.save_to_json(str(frozen_folder / TRAINER_STATE))
            frozen_state = self.state
            frozen_weights = {
                name: tensor.cpu().clone() for name, tensor in self._unwrapped_model.state_dict().items()
            }
            # transformers makes a new model for each training; the second stage goes on with that of the first.
            self.args, self.model_init = tuning_args, None
            return self._tune(resume_from if resumes_tuning else None, frozen_weights, frozen_state, seconds, kwargs)
        finally:
            self.args, self.model_init = args, model_init

    def _load_frozen_stage(self, folder: Path) -> float:
        """Load what the first stage ended with, in a run that was interrupted in the second; return its seconds."""
        self.state = TrainerState.load_from_json(str(folder / TRAINER_STATE))
        best = folder / Path(str(self.state.best_model_checkpoint)).name
        check_same_arguments(best, self.args)
        self._load_from_checkpoint(str(best))
        self.evaluated = {}
        return sum(entry.get("train_runtime", 0) for entry in self.state.log_history)

    @property
    def _unwrapped_model(self) -> Any:
        return self.accelerator.unwrap_model(self.model)

    def _tune(
        self,
        resume_from: str | None,
        frozen_weights: dict[str, Tensor],
        frozen_state: TrainerState,
        seconds: float,
        kwargs: dict[str, Any],
    ) -> Any:
        """The second stage, from the weights there are."""
        args, method = self.args, self.args.fine_tune_encoder
        encoders = self._inner_encoders
        set_seed(args.seed)  # whether the first stage was trained just now, or in a run before this one
        start = self._validate() if resume_from is None else None
        for encoder in encoders.values():
            unfreeze(encoder, args)
        if args.freezes_embeddings:
            freeze_embeddings(self._unwrapped_model)
        learning = sum(p.numel() for e in encoders.values() for p in e.encoder.parameters() if p.requires_grad)
        self._announce(f"second stage: the encoder learns too, {_STAGE_NAMES[method]}: {learning:,} parameters")
        self.optimizer = self.lr_scheduler = None
        self.model_wrapped = self.model
        callback = StartFrom(start)
        self.add_callback(callback)
        try:
            outcome = self._train_once(resume_from, **kwargs)
        finally:
            self.remove_callback(callback)
            for encoder in encoders.values():
                merge_low_rank_updates(encoder.encoder)
                encoder.trainable = False
                encoder.freeze()
            self.optimizer = self.lr_scheduler = None
            self.model_wrapped = self.model
        key = metric_key(args)
        tuned = [entry[key] for entry in self.state.log_history if key in entry]
        is_better = self.state.best_model_checkpoint is not None
        best = (max if args.greater_is_better else min)(tuned, default=None)
        self.encoder_tuning = EncoderTuning(
            method=method,
            metric=key.removeprefix("eval_"),
            frozen=float(frozen_state.best_metric or 0),
            tuned=best,
            kept_tuned=is_better,
            epochs=float(self.state.epoch or 0),
        )
        self._announce(str(self.encoder_tuning))
        outcome.metrics["train_runtime"] = outcome.metrics["train_runtime"] + seconds
        if not is_better:
            self._unwrapped_model.load_state_dict(frozen_weights)
            self.state, self.evaluated = frozen_state, {}
        for entry in self.state.log_history:
            if "train_runtime" in entry:
                entry["train_runtime"] = outcome.metrics["train_runtime"]
        return outcome

    def _validate(self) -> float:
        """Return the score of the weights there are, by which the best checkpoint is chosen."""
        return self.evaluate()[metric_key(self.args)]

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """As in transformers, but for checkpoints with updates that are not merged yet: nobody could load them."""
        if not has_low_rank_updates(self.model):
            super()._push_from_checkpoint(checkpoint_folder)

    def _announce(self, line: str) -> None:
        logger.info(line)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, EpochLines) and self.is_world_process_zero():
                callback.say(line)

    # Frozen encoders, computed once.

    @contextmanager
    def _computed_once(self) -> Generator[None, None, None]:
        """Inside the block, give the data sets what the encoders that do not learn make of their utterances.

        A stream is encoded batch by batch, and so is everything with a `model_init`, whose model is not there yet.
        """
        frozen = [modality for modality, encoder in self._inner_encoders.items() if not encoder.learns]
        collates = isinstance(self.data_collator, DialogueCollator)
        if not frozen or not collates or self.model_init is not None or self.is_deepspeed_enabled:
            yield
            return
        given = self.train_dataset, self.eval_dataset
        try:
            self.train_dataset = self._with_encoded(self.train_dataset, fits=not hasattr(self.model, "peft_config"))
            self.eval_dataset = self._with_encoded(self.eval_dataset)
            yield
        finally:
            self.train_dataset, self.eval_dataset = given

    def _with_encoded(self, data: Any, fits: bool = False) -> Any:
        """Return a copy of a data set, or of each of several, whose examples hold vectors in place of raw inputs.

        Args:
            fits: let layer norms that have learnt nothing yet begin with standardised vectors of this data set.
        """
        if isinstance(data, dict):
            return {name: self._with_encoded(part) for name, part in data.items()}
        if not isinstance(data, EncodedDialogues):
            return data
        model, collate = self._unwrapped_model, self.data_collator
        was_training, device = model.training, next(model.parameters()).device
        size = self.args.per_device_eval_batch_size
        model.eval()
        parts: list[dict[str, Tensor]] = []
        for first in range(0, len(data), size):
            batch = {name: tensor.to(device) for name, tensor in collate(data.encoded[first : first + size]).items()}
            with torch.no_grad():
                parts.append({name: rows.float().cpu() for name, rows in model.encode_utterances(batch).items()})
        model.train(was_training)
        vectors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        lengths = [len(example) for example in data.encoded]
        if fits:
            present = torch.from_numpy(np.concatenate([example.present for example in data.encoded]))
            for modality, rows in vectors.items():
                self._inner_encoders[modality].standardize(rows[present[:, MODALITIES.index(modality)]].to(device))
        encoded = copy.copy(data)
        encoded.fingerprint = data.fingerprint
        split = {name: rows.split(lengths) for name, rows in vectors.items()}
        encoded.encoded = [
            example.with_encoded({name: rows[index].numpy() for name, rows in split.items()})
            for index, example in enumerate(data.encoded)
        ]
        return encoded


def _is_of_frozen_stage(checkpoint: str | Path | None) -> bool:
    return checkpoint is None or Path(checkpoint).absolute().parent.name == FROZEN_STAGE


def unfreeze(encoder: PretrainedEncoder, args: JoyfulTrainingArguments) -> None:
    """Let an encoder learn in the way that the arguments name."""
    encoder.trainable = True
    if args.fine_tune_encoder == LORA:
        add_low_rank_updates(encoder.encoder, args.lora_rank, args.lora_alpha)
        return
    encoder.encoder.requires_grad_(True)
    encoder.freeze()  # a convolutional front that is not to learn
