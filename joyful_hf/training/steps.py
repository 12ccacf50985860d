"""Steps and evaluations whose losses are means over all of their batches, on any number of processes.

A batch by itself cannot say what its losses weigh: two utterances in one batch and twenty in the next count alike if
each batch takes a mean of its own. So the batches of a step are counted first, and each is told its share.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, Sampler, SequentialSampler
from transformers import Trainer
from transformers.trainer_pt_utils import BatchRebalanceSampler, LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput

from ..data.encoded import EncodedDialogues
from ..data.process_batches import SimilarLengths, pop_filler, process_loader
from ..evaluation.task import task_of
from ..modeling.prediction import num_utterances
from ..processing.labels import IGNORED_LABEL

# The utterances of a batch: what a part of the loss is a mean over that does not say so.
_ALL = "utterances"


def without_adapter(model: Any) -> Any:
    """The model that PEFT has put an adapter on, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def takes_shares(model: Any) -> bool:
    """Whether a model's `forward` takes the shares of a batch in its step."""
    return "loss_shares" in inspect.signature(without_adapter(model).forward).parameters


def shares_of(counts: list[dict[str, Tensor]], accelerator: Accelerator) -> list[dict[str, Tensor]]:
    """The share of each batch of a step, on this process, in what each part of the loss is a mean over.

    Nothing is read back from the device.

    Args:
        counts: for each batch, part -> () or (means,) count.
    """
    names = list(counts[0])
    own = torch.stack([torch.cat([count[name].reshape(-1) for name in names]) for count in counts])
    total = accelerator.reduce(own.sum(0), reduction="sum")
    # Where nothing at all is counted the share is 0, not NaN.
    shares = own / total.clamp(min=torch.finfo(own.dtype).tiny)
    sizes = [counts[0][name].numel() for name in names]
    return [
        {name: share.view(counts[0][name].shape) for name, share in zip(names, row.split(sizes), strict=True)}
        for row in shares
    ]


class WeightedMeans:
    """Running means by name, each weighted by what it is a mean over."""

    def __init__(self) -> None:
        self.means: dict[str, Tensor] = {}
        """Name -> (..., counts)."""
        self.counts: dict[str, Tensor] = {}
        """Name -> () or (counts,)."""

    def add(self, name: str, means: Tensor, count: Tensor) -> None:
        """Add the means of a batch."""
        if name not in self.means:
            self.means[name], self.counts[name] = torch.zeros_like(means), torch.zeros_like(count)
        self.counts[name] = self.counts[name] + count
        share = count / self.counts[name].clamp(min=torch.finfo(count.dtype).tiny)
        self.means[name] = self.means[name] + (means - self.means[name]) * share

    def over_processes(self) -> "WeightedMeans":
        """The means over the batches of all processes, on the CPU."""
        own = [{name: (self.means[name].cpu(), self.counts[name].cpu()) for name in self.means}]
        united = WeightedMeans()
        for means in gather_object(own):
            for name, (mean, count) in means.items():
                united.add(name, mean, count)
        return united

    def sums(self) -> dict[str, Tensor]:
        """Name -> () sum of its means; without the names of which nothing was counted."""
        return {name: mean.sum() for name, mean in self.means.items() if self.counts[name].any()}

    def averages(self) -> dict[str, Tensor]:
        """Name -> () mean of those of its means of which anything was counted."""
        counted = {name: (count > 0).expand_as(self.means[name]) for name, count in self.counts.items()}
        return {name: mean[counted[name]].mean() for name, mean in self.means.items() if counted[name].any()}


class LoggedMeans:
    """The entries of the log beside the loss: means over some steps of each part of it, and of the model's metrics."""

    def __init__(self) -> None:
        self.steps = 0
        """The number of steps that were begun."""
        self.parts: dict[str, Tensor] = {}
        """Part -> () sum over the steps, as far as this process contributes to it."""
        self.metrics = WeightedMeans()

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Add what a batch contributes to its step."""
        for name, value in parts.items():
            self.parts[name] = self.parts.get(name, 0) + value

    def values(self, accelerator: Accelerator) -> dict[str, float]:
        """`loss_<part>` and the metrics, over all processes."""
        parts = {name: self.parts[name] / max(self.steps, 1) for name in sorted(self.parts)}
        logged = {f"loss_{name}": accelerator.reduce(part, reduction="sum") for name, part in parts.items()}
        return {name: value.item() for name, value in (logged | self.metrics.over_processes().averages()).items()}


class ExactStepsTrainer(Trainer):
    """A `transformers.Trainer` whose losses are means over a whole step, or a whole evaluation, however it is cut.

    A step's gradient is the same in one batch, in several that are accumulated, and on several processes, as far as
    the model's losses look at each example by itself or can see those of the other processes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._step_means = LoggedMeans()
        self._evaluated_losses, self._evaluated_metrics = WeightedMeans(), WeightedMeans()
        super().__init__(*args, **kwargs)

    def _build_accelerator_args(self, **kwargs: Any) -> dict[str, Any]:
        """As in transformers; DDP looks for unused parameters only where the model may have some, or if it is told to.

        Looking costs a walk through the graph in each step, and where nothing is found, DDP warns of it.
        """
        built = super()._build_accelerator_args(**kwargs)
        if self.args.ddp_find_unused_parameters is None:
            for handler in built["kwargs_handlers"]:
                if isinstance(handler, DistributedDataParallelKwargs):
                    # A model that is made for each training (`model_init`) is not there yet.
                    model = None if self.model is None else without_adapter(self.model)
                    handler.find_unused_parameters &= model is None or model.may_leave_out_parameters
        return built

    @property
    def _unwrapped(self) -> Any:
        return self.accelerator.unwrap_model(self.model)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        """As in transformers, whose `group_by_length` looks for the length in each item's first key."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        args = self.args
        if args.train_sampling_strategy != "group_by_length" or not isinstance(dataset, Sized):
            return super()._get_train_sampler(train_dataset)
        if isinstance(dataset, EncodedDialogues):
            lengths = [len(dialogue) for dialogue in dataset.encoded]
        else:
            lengths = cast("LengthGroupedSampler", super()._get_train_sampler(train_dataset)).lengths
        step_size = args.train_batch_size * args.gradient_accumulation_steps * max(args.world_size, 1)
        return SimilarLengths(step_size, lengths, args.seed if args.data_seed is None else args.data_seed)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler | None:
        """Keep the order of the data, whatever `train_sampling_strategy` says: predictions come out in it."""
        if isinstance(eval_dataset, EncodedDialogues):
            return SequentialSampler(eval_dataset)
        return super()._get_eval_sampler(eval_dataset)

    def _get_dataloader(
        self,
        dataset: Any,
        description: str,
        batch_size: int,
        sampler_fn: Callable[[Any], Any] | None = None,
        is_training: bool = False,
        dataloader_key: str | None = None,
    ) -> DataLoader:
        """As in transformers, where several processes would see some dialogues twice."""
        is_stream = isinstance(dataset, IterableDataset)
        if self.args.world_size > 1 and (is_training or not is_stream):
            sampler = None if is_stream or sampler_fn is None else sampler_fn(dataset) or SequentialSampler(dataset)
            if not isinstance(sampler, BatchRebalanceSampler):
                return process_loader(
                    dataset, sampler, batch_size, self.data_collator, self.args, self.accelerator, is_training
                )
        return super()._get_dataloader(dataset, description, batch_size, sampler_fn, is_training, dataloader_key)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """As in transformers; each batch is told its share in the step, and there are none once training is over.

        transformers checks for that after a step only: a run resumed from its very last checkpoint would make one
        more.
        """
        is_over = self.control.should_training_stop or self.state.global_step >= self.state.max_steps
        batches, count = super().get_batch_samples(epoch_iterator, 0 if is_over else num_batches, device)
        return (self._with_shares(batches) if batches else batches), count

    def _with_shares(self, batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add `loss_shares` to the batches of a step, unless this is the only one, on the only process."""
        fillers = [pop_filler(batch) for batch in batches]
        self._step_means.steps += 1
        several = self.accelerator.num_processes > 1
        model = self._unwrapped.train()
        can_share = self.compute_loss_func is None and takes_shares(model)
        self.loss_is_scaled_for_ga = True if can_share else None
        if not can_share or (len(batches) == 1 and not several):
            return batches
        batches = [
            self.with_labels(batch, unknown=is_filler) for batch, is_filler in zip(batches, fillers, strict=True)
        ]
        counts = [
            self._counts_of(batch, is_filler, several) for batch, is_filler in zip(batches, fillers, strict=True)
        ]
        shares = shares_of(counts, self.accelerator)
        return [batch | {"loss_shares": share} for batch, share in zip(batches, shares, strict=True)]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """As in transformers; keeps the loss parts and the model's metrics for the log."""
        is_filler, inputs = pop_filler(inputs), self.with_labels(inputs)
        if not model.training and self._unwrapped.batch_loss_parts:
            inputs = {**inputs, "batch_losses": False}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        parts = {name: part.detach() for name, part in (outputs.losses or {}).items()}
        metrics = {name: (outputs.means or {}).get(name, value) for name, value in (outputs.metrics or {}).items()}
        if not model.training:
            counts = self._counts_of(inputs, is_filler)
            for name in parts:
                means = (outputs.means or {}).get(name, parts[name])
                self._evaluated_losses.add(name, means, counts.get(name, counts[_ALL]))
            for name, means in metrics.items():
                self._evaluated_metrics.add(name, means, counts.get(name, counts[_ALL]))
            return (loss, outputs) if return_outputs else loss
        shares = inputs.get("loss_shares")
        if metrics:
            own = shares or {name: (count > 0).float() for name, count in self._counts_of(inputs).items()}
            for name, means in metrics.items():
                self._step_means.metrics.add(name, means, own.get(name, own[_ALL]))
        processes = self.accelerator.num_processes
        if shares is not None:
            loss = loss * processes  # over which the gradients are averaged
        else:
            parts = {
                name: part / (self.current_gradient_accumulation_steps * processes) for name, part in parts.items()
            }
        self._step_means.add(parts)
        return (loss, outputs) if return_outputs else loss

    def _counts_of(
        self, batch: dict[str, Any], is_filler: bool = False, across_processes: bool = False
    ) -> dict[str, Tensor]:
        """Return the counts that each part of the loss and each metric is a mean over; `_ALL` for the rest."""
        counts = {_ALL: num_utterances(batch)} | self._unwrapped.loss_counts(batch, across_processes)
        return {name: torch.zeros_like(count) for name, count in counts.items()} if is_filler else counts

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in transformers, with `loss_<part>` and the model's metrics: means over the steps since the last log."""
        if "loss" in logs:
            logs.update(self._step_means.values(self.accelerator))
            self._step_means = LoggedMeans()
        super().log(logs, start_time)

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As in transformers, with the loss parts and the model's metrics.

        Each is the mean over what it is a mean of, whatever the batches; transformers takes the mean of the batches.
        If there is not one label, the losses that need labels are left out, and so are those that depend on who shares
        a batch.
        """
        self._evaluated_losses, self._evaluated_metrics = WeightedMeans(), WeightedMeans()
        if self.accelerator.num_processes > 1:
            self.gather_function = self._gather_rows
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        losses = self._evaluated_losses.over_processes().sums()
        named = {f"loss_{name}": losses[name] for name in sorted(losses)}
        named |= self._evaluated_metrics.over_processes().averages()
        if "classification" in losses:
            named["loss"] = self._unwrapped.weighted_sum(losses)
        metrics = output.metrics if output.metrics is not None else {}
        metrics.pop(f"{metric_key_prefix}_loss", None)
        metrics.update({f"{metric_key_prefix}_{name}": value.item() for name, value in named.items()})
        return output

    def _gather_rows(self, rows: Tensor) -> Tensor:
        """The rows of all processes, of which the last ones may have fewer examples than others, in order."""
        missing = self.args.eval_batch_size - len(rows)
        padded = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing), value=IGNORED_LABEL)
        return cast("Tensor", self.accelerator.gather_for_metrics(padded))

    def with_labels(self, inputs: dict[str, Any], unknown: bool = False) -> dict[str, Any]:
        """Give a batch without any label unknown ones: it has a loss too, and each process reports the same parts.

        Args:
            unknown: replace the labels that there are.
        """
        if "labels" in inputs and not unknown:
            return inputs
        # A shape is known without asking the device.
        mask = inputs.get("modality_mask")
        count = int(num_utterances(inputs)) if mask is None else mask.size(0)
        config = self._unwrapped.config
        task = task_of(config)
        shape, device = task.label_shape(count, len(config.id2label or ())), next(iter(inputs.values())).device
        rest = {key: value for key, value in inputs.items() if key != "label_shares"}
        return {**rest, "labels": torch.full(shape, task.unknown_label, device=device)}
