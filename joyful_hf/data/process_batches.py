"""Batches for one of several processes: every example comes exactly once an epoch, whatever the number of processes.

Accelerate repeats examples from the beginning until every process has a full last batch. Here the last batch is as
small as it is. A process that is left without any example works on one that counts for nothing, as the processes have
to make their steps together.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, Sampler
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import seed_worker

Item = TypeVar("Item")

# The mark of a batch that counts for nothing.
_IS_FILLER = "is_filler"


class SimilarLengths(LengthGroupedSampler):
    """transformers' sampler of batches of similar length, in an order that seed and epoch alone decide.

    transformers draws it from torch's global generator. Its state differs between processes, so that of 24 dialogues
    two processes saw 18, and it is not that of the epoch's beginning when a run is resumed in the middle.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has an order of its own."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return super().__iter__()


class ProcessBatches(BatchSampler):
    """The part of one process in each batch of all processes; ~index marks an example that counts for nothing."""

    def __init__(
        self, sampler: Sampler[int], batch_size: int, num_processes: int, process_index: int, drop_last: bool
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.num_processes = num_processes  # Accelerate reads it to count the examples of the last batch
        self.process_index = process_index

    def __iter__(self) -> Iterator[list[int]]:
        for batch in batched(self.sampler, self.batch_size * self.num_processes, self.drop_last):
            yield own_part(batch, self.batch_size, self.process_index) or [~batch[-1]]

    def __len__(self) -> int:
        examples, size = len(self.sampler), self.batch_size * self.num_processes  # ty: ignore[invalid-argument-type]
        return examples // size if self.drop_last else -(-examples // size)


@dataclass
class Filler:
    """An example that counts for nothing."""

    example: Any


class ProcessExamples(Dataset):
    """A data set that understands the indices of `ProcessBatches`."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index] if index >= 0 else Filler(self.dataset[~index])


class ProcessStream(IterableDataset):
    """The part of one process in each batch of all processes, of a stream that each of them reads."""

    def __init__(self, dataset: Any, batch_size: int, num_processes: int, process_index: int, drop_last: bool) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.num_processes = num_processes
        self.process_index = process_index
        self.drop_last = drop_last

    def set_epoch(self, epoch: int) -> None:
        """Hand it on to a stream that is shuffled each epoch."""
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        for batch in batched(self.dataset, self.batch_size * self.num_processes, self.drop_last):
            yield from own_part(batch, self.batch_size, self.process_index) or [Filler(batch[-1])]


def batched(items: Iterable[Item], size: int, drop_last: bool) -> Iterator[list[Item]]:
    """Lists of `size` items; the last one may be shorter, unless it is dropped."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        if drop_last and len(batch) < size:
            return
        yield batch


def own_part(batch: list[Item], size: int, process_index: int) -> list[Item]:
    """The items of a batch of all processes that one of them works on."""
    return batch[process_index * size : (process_index + 1) * size]


def collate_marked(collate: Callable[[list[Any]], Any], examples: list[Any]) -> Any:
    """Collate the examples, and mark a batch that counts for nothing."""
    if not isinstance(examples[0], Filler):
        return collate(examples)
    return {**collate([filler.example for filler in examples]), _IS_FILLER: torch.tensor(True)}


def pop_filler(batch: dict[str, Any]) -> bool:
    """Whether the batch counts for nothing; the mark is taken off."""
    return batch.pop(_IS_FILLER, None) is not None


def process_loader(
    dataset: Any,
    sampler: Sampler[int] | None,
    batch_size: int,
    collate: Callable[[list[Any]], Any],
    args: TrainingArguments,
    accelerator: Accelerator,
    is_training: bool,
) -> DataLoader:
    """The data loader of this process, which takes its part in each batch of all processes.

    Args:
        sampler: the same order in every process; None for a stream.
        batch_size: examples of one process.
    """
    drop_last = is_training and args.dataloader_drop_last
    place = {"num_processes": accelerator.num_processes, "process_index": accelerator.process_index}
    settings: dict[str, Any] = {
        "collate_fn": partial(collate_marked, collate),
        "num_workers": args.dataloader_num_workers,
        "pin_memory": args.dataloader_pin_memory,
        "persistent_workers": args.dataloader_persistent_workers,
        "multiprocessing_context": args.dataloader_multiprocessing_context,
        "prefetch_factor": args.dataloader_prefetch_factor,
        "in_order": args.dataloader_in_order,
    }
    if is_training:
        workers = {"num_workers": args.dataloader_num_workers, "rank": args.process_index}
        settings["worker_init_fn"] = partial(seed_worker, **workers)
    if sampler is None:
        stream = ProcessStream(dataset, batch_size, drop_last=drop_last, **place)
        loader = DataLoader(stream, batch_size=batch_size, **settings)
    else:
        batches = ProcessBatches(sampler, batch_size, drop_last=drop_last, **place)
        loader = DataLoader(ProcessExamples(dataset), batch_sampler=batches, **settings)
    config = accelerator.dataloader_config
    # One process as far as Accelerate knows: it would cut the batches once more.
    return prepare_data_loader(
        loader,
        accelerator.device,
        num_processes=1,
        process_index=0,
        put_on_device=accelerator.device_placement,
        dispatch_batches=False,
        use_seedable_sampler=config.use_seedable_sampler,
        data_seed=config.data_seed,
        non_blocking=config.non_blocking,
    )
