"""Checkpoints that are whole or not there at all, on any disk, and a run that can be stopped without losing a step."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from ..io.disk import clear_write_errors, size_of
from ..io.files import read_json, write_json
from ..io.signals import Stopped, StopRequest
from ..runs.folder import rotate
from ..runs.manifest import write_manifest
from ..runs.names import TRAINER_STATE, UNFINISHED
from .resuming import ResumingTrainer

_STEPS_BETWEEN_QUESTIONS = 50
"""Steps after which processes with accelerators ask each other for a request to stop: they wait for the answer."""


class SavingTrainer(ResumingTrainer):
    """A `transformers.Trainer` whose checkpoints appear under their names when they are whole.

    A checkpoint is written into a folder of its own, gets a manifest of all its files, and then its name, in one step;
    only then is an earlier one removed. Whenever the run is killed, the last checkpoint is whole.
    """

    stop_request: StopRequest | None = None
    """Looked at after each step; the run then saves a checkpoint and raises `Stopped`. All processes have one or none
    has."""
    _is_saving = False
    _has_saved = False
    _looked_at_step: int | None = None

    def _get_output_dir(self, trial: Any) -> str:
        """As in transformers; while a checkpoint is written, the folder where that is done."""
        folder = super()._get_output_dir(trial)
        return os.path.join(folder, UNFINISHED) if self._is_saving else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As in transformers, which writes a checkpoint file by file under its name, and removes an earlier one."""
        folder, name = Path(self._get_output_dir(trial)), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        written, checkpoint = folder / UNFINISHED / name, folder / name
        try:
            with clear_write_errors(written):
                if self.args.should_save:
                    shutil.rmtree(written.parent, ignore_errors=True)  # a run that was killed may have left one
                self.accelerator.wait_for_everyone()
                self._is_saving = True
                super()._save_checkpoint(model, trial)
                self._is_saving = False
                if Path(self.state.best_model_checkpoint or "") == written:
                    self.state.best_model_checkpoint = str(checkpoint)
                self.accelerator.wait_for_everyone()  # each has written its random numbers
                if self.args.should_save:
                    self.state.save_to_json(str(written / TRAINER_STATE))  # it names the best checkpoint
                    write_manifest(written, self.data_fingerprints())
        except BaseException:
            if self.args.should_save:
                shutil.rmtree(written.parent, ignore_errors=True)
            raise
        finally:
            self._is_saving = False
        if self.args.should_save:
            if checkpoint.exists():
                checkpoint.rename(written.parent / "replaced")
            written.rename(checkpoint)
            shutil.rmtree(written.parent)
        self.accelerator.wait_for_everyone()
        self._has_saved = True
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(checkpoint))
        if self.args.should_save:
            rotate(checkpoint, self.args.save_total_limit, self.state.best_model_checkpoint)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """As in transformers, once the checkpoint has its name."""
        if not self._is_saving:
            super()._push_from_checkpoint(checkpoint_folder)

    def save_metrics(self, split: str, metrics: Mapping[str, float], combined: bool = True) -> None:
        """As in transformers; each file is written whole, the split's own last: that of training marks the end."""
        if not self.is_world_process_zero():
            return
        folder = Path(str(self.args.output_dir))
        every = folder / "all_results.json"
        if combined:
            known = read_json(every) if every.exists() else {}
            write_json(dict(sorted((known | dict(metrics)).items())), every, indent=4)
        write_json(dict(sorted(metrics.items())), folder / f"{split}_results.json", indent=4)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in transformers; a disk that is full is one line that names the file."""
        with clear_write_errors(Path(output_dir or str(self.args.output_dir))):
            super().save_model(output_dir, _internal_call)

    def save_state(self) -> None:
        """As in transformers; a disk that is full is one line that names the file."""
        with clear_write_errors(Path(str(self.args.output_dir))):
            super().save_state()

    def needed_room(self) -> int:
        """Return the bytes that the run's checkpoints and its model take at most, all at once, beside what is there.

        What else a checkpoint holds is small. Without `save_total_limit`, two checkpoints are counted.
        """
        args, model = self.args, self.accelerator.unwrap_model(self.model)
        tensors = [*model.parameters(), *model.buffers()]
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        learning = sum(4 * parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        is_adam = "adam" in str(getattr(args.optim, "value", args.optim))
        copies = 2 * is_adam + bool(getattr(args, "weight_averaging_decay", 0))
        checkpoint = weights if args.save_only_model else weights + copies * learning
        kept = max(args.save_total_limit or 2, 1 + args.load_best_model_at_end)
        count = 0 if args.save_strategy == SaveStrategy.NO else kept + 1  # the next one is written before one goes
        return max(0, weights + count * checkpoint - size_of(Path(str(args.output_dir))))

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, model: Any, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        """As in transformers; then stops, if that has been asked for.

        The last step of an epoch is followed by a call for the epoch, which may validate: a checkpoint made in between
        would leave that validation out when the run goes on.
        """
        self._has_saved = False
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, trial, *args, **kwargs)
        is_for_epoch = self._looked_at_step == self.state.global_step
        self._looked_at_step = self.state.global_step
        is_over = self.control.should_training_stop or self.control.should_epoch_stop
        is_last_step = is_over or float(self.state.epoch or 0).is_integer()
        if (is_last_step and not is_for_epoch) or not self._is_asked_to_stop(is_for_epoch):
            return
        can_go_on = self.args.save_strategy != SaveStrategy.NO and not self.args.save_only_model
        if can_go_on and not self._has_saved:
            self._save_checkpoint(model, trial)
        assert self.stop_request is not None
        assert self.stop_request.number is not None
        checkpoint = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        raise Stopped(self.stop_request.number, checkpoint if can_go_on else None)

    def _is_asked_to_stop(self, is_for_epoch: bool) -> bool:
        """Whether any process has been asked to: all stop at the same step."""
        request = self.stop_request
        if request is None:
            return False
        if self.accelerator.num_processes > 1:
            waits_anyway = self.args.device.type == "cpu" or is_for_epoch
            if not waits_anyway and self.state.global_step % _STEPS_BETWEEN_QUESTIONS:
                return False
            number = torch.tensor([request.number or 0], device=self.args.device)
            request.number = int(self.accelerator.gather(number).max()) or None
        return request.number is not None
