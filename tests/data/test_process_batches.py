"""Several processes see each example exactly once, and make the same number of steps."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import SequentialSampler

from joyful_hf.data.process_batches import (
    Filler,
    ProcessBatches,
    ProcessExamples,
    ProcessStream,
    batched,
    collate_marked,
    pop_filler,
)

cuts = st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4), st.booleans())


def expected_of(examples, size, drop_last):
    return [example for batch in batched(range(examples), size, drop_last) for example in batch]


@given(cuts)
def test_each_example_comes_once(cut):
    examples, size, processes, drop_last = cut
    data = ProcessExamples(list(range(examples)))
    shards = [
        [[data[index] for index in batch] for batch in sampler]
        for sampler in (
            ProcessBatches(SequentialSampler(data), size, processes, process, drop_last)
            for process in range(processes)
        )
    ]
    assert len({len(batches) for batches in shards}) == 1
    length = len(ProcessBatches(SequentialSampler(data), size, processes, 0, drop_last))
    assert all(len(batches) == length for batches in shards)
    assert all(0 < len(batch) <= size for batches in shards for batch in batches)
    # Step after step, process after process, they are the order of the sampler.
    seen = [example for step in zip(*shards, strict=True) for batch in step for example in batch]
    assert [one for one in seen if not isinstance(one, Filler)] == expected_of(examples, size * processes, drop_last)


@given(cuts)
def test_each_example_of_a_stream_comes_once(cut):
    examples, size, processes, drop_last = cut
    shards = [
        list(batched(ProcessStream(range(examples), size, processes, process, drop_last), size, drop_last=False))
        for process in range(processes)
    ]
    assert len({len(batches) for batches in shards}) == 1
    seen = [example for step in zip(*shards, strict=True) for batch in step for example in batch]
    assert [one for one in seen if not isinstance(one, Filler)] == expected_of(examples, size * processes, drop_last)


def test_a_filler_is_packed_like_an_example_and_marked():
    def collate(examples):
        return {"value": torch.tensor(examples)}

    batch = collate_marked(collate, [Filler(7)])
    assert pop_filler(batch)
    assert batch == {"value": torch.tensor([7])}
    assert not pop_filler(collate_marked(collate, [7]))


@pytest.mark.usefixtures("streams_end_at_once")
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_stream_that_is_shuffled_by_a_buffer_gives_each_dialogue_once_an_epoch(processes, tmp_path):
    for number in range(3):
        pq.write_table(pa.table({"number": list(range(7 * number, 7 * number + 7))}), tmp_path / f"{number}.parquet")
    files = sorted(map(str, tmp_path.glob("*.parquet")))
    orders = []
    for epoch in range(2):
        seen = []
        for process in range(processes):
            stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
            shard = ProcessStream(stream.shuffle(seed=3, buffer_size=5), 2, processes, process, drop_last=False)
            shard.set_epoch(epoch)
            seen += [row["number"] for row in shard if not isinstance(row, Filler)]
        assert sorted(seen) == list(range(21))
        orders.append(seen)
    assert orders[0] != orders[1]
    assert sorted(orders[0]) != orders[0]
