"""Extraction as a stream of utterances: from the columns of a data set, over processes, and back into columns."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Dataset, Features, List, Value
from datasets.utils import tqdm

from ..processing import FEATURE_KEYS, FRAME_KEYS, MODALITIES
from ..processing.dialogues import dialogue_name, get_utterances, utterance_name
from ..processing.feature_cache import FeatureCache
from ..processing.feature_extraction import Place, keys_of, read_utterances
from ..processing.media_failures import ExtractionFailure
from .arrow_files import dataset_of, stored_tables

_MEDIA = ("speaker", "text", "audio", "video", "start", "end", "channel", "face")
_HERE = True  # in place of features that are there: they need not travel to another process

_Read = Iterator[tuple[dict[str, np.ndarray], list[ExtractionFailure]]]


@dataclass(frozen=True)
class Extraction:
    """The extractors of a run, and all that they need to know."""

    extractors: Mapping[str, str]
    """Modality -> name of its extractor."""
    cache: FeatureCache
    device: str
    frames: bool
    """Whether media become sequences of frames in place of vectors."""
    keeps_media: bool
    """Whether the processor reads the media itself too."""

    @property
    def gone(self) -> tuple[str, ...]:
        """Keys that features replace. A video may have been read for its sound: both go."""
        return ("audio", "video") if self.extractors.keys() & {"audio", "visual"} and not self.keeps_media else ()

    @property
    def keys(self) -> list[str]:
        """Keys of the features."""
        return [keys_of(self.frames)[modality] for modality in self.extractors]


_Made = dict[str, list[np.ndarray | None]]
"""Key -> the new features of each utterance, None where there are none."""


def utterances_of(dataset: Dataset) -> list[pa.StructArray]:
    """Return the utterances of all dialogues, in the chunks that they are stored in."""
    return [chunk.flatten() for chunk in dataset.data.column("utterances").chunks]


def extract_all(
    dataset: Dataset, extraction: Extraction, num_proc: int, desc: str
) -> tuple[Dataset, list[ExtractionFailure]]:
    """Return the data set with its new features, without the media that they replace, and what could not be read.

    Features that were there stay. `extractors` names the makers of each dialogue's features. Features are in memory
    for some dialogues at a time, and then go where `stored_tables` puts them.

    Args:
        num_proc: number of processes, between which the utterances are divided.
        desc: how the progress bar calls the work; it counts utterances.

    Raises:
        DialogueError: bad dialogues.
    """
    total = sum(map(len, utterances_of(dataset)))
    places, num_proc = _places(dataset), min(num_proc, total)
    read = _over_processes(places, extraction, num_proc, total) if num_proc > 1 else _here(places, extraction)
    features = _features_with(dataset.features, extraction)
    failed: list[ExtractionFailure] = []

    def tables() -> Iterator[pa.Table]:
        for first in range(0, len(dataset), _MOST_DIALOGUES):
            table = dataset.data.table.slice(first, _MOST_DIALOGUES)
            count = sum(len(chunk.flatten()) for chunk in table.column("utterances").chunks)
            made: _Made = {key: [] for key in extraction.keys}
            for found, failures in islice(read, count):
                for key, values in made.items():
                    values.append(found.get(key))
                failed.extend(failures)
                bar.update()
            yield _with_extracted(table, extraction, made, features)

    bar = tqdm(total=total, desc=desc, unit="utterance")
    extracted = pa.concat_tables(stored_tables(tables()))
    bar.close()
    info = dataset.info.copy()
    info.features = Features({name: features[name] for name in extracted.column_names})
    return dataset_of(extracted, info), failed


def _places(dataset: Dataset) -> Iterator[Place]:
    """Yield each utterance with its media, without its features, after its name for messages."""
    ids = dataset["dialogue_id"] if "dialogue_id" in dataset.features else [None] * len(dataset)
    named = enumerate(ids)
    for chunk in dataset.data.column("utterances").chunks:
        structs = chunk.flatten()
        known = {structs.type[index].name for index in range(structs.type.num_fields)}
        media = {key: structs.field(key) for key in _MEDIA if key in known}
        features = {key: structs.field(key) for key in (*FEATURE_KEYS.values(), *FRAME_KEYS.values()) if key in known}
        first = 0
        for length in _lengths_of(chunk):
            rows = range(first, first + length)
            first += length
            utterances = [{key: values[row].as_py() for key, values in media.items()} for row in rows]
            for row, utterance in zip(rows, utterances, strict=True):
                utterance |= {key: _HERE for key, values in features.items() if values[row].is_valid}
            position, dialogue_id = next(named)
            name = dialogue_name({"dialogue_id": dialogue_id}, position)
            for index, utterance in enumerate(get_utterances({"utterances": utterances}, name)):
                yield utterance_name(name, index), utterance


_MOST_DIALOGUES = 256
"""Dialogues whose new features are in memory at once."""
_MOST_AT_ONCE = 256
"""Utterances whose media are in memory at once in a single process."""
_MOST_IN_A_CHUNK = 16
"""Utterances that a process gets at once, unless there are few in all."""
_CHUNKS_AHEAD = 4
"""Chunks per process that wait to be read: not more, as they hold media."""


def _here(places: Iterator[Place], extraction: Extraction) -> _Read:
    while batch := list(islice(places, _MOST_AT_ONCE)):
        yield from read_utterances(
            batch, extraction.extractors, extraction.cache, extraction.device, extraction.frames
        )


def _over_processes(places: Iterator[Place], extraction: Extraction, num_proc: int, total: int) -> _Read:
    """Yield what several processes read, in order."""
    size = max(1, min(_MOST_IN_A_CHUNK, total // (_CHUNKS_AHEAD * num_proc)))
    with ProcessPoolExecutor(num_proc, initializer=_start, initargs=(extraction,)) as pool:
        waiting: deque[Future[list[Any]]] = deque()
        while chunk := list(islice(places, size)):
            waiting.append(pool.submit(_read, chunk))
            if len(waiting) == _CHUNKS_AHEAD * num_proc:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


_of_this_process: list[Extraction] = []


def _start(extraction: Extraction) -> None:
    torch.set_num_threads(1)  # as in torch's own worker processes: threads do not survive a fork
    _of_this_process[:] = [extraction]


def _read(places: list[Place]) -> list[Any]:
    return list(_here(iter(places), _of_this_process[0]))


def _features_with(features: Features, extraction: Extraction) -> Features:
    """Return the features of a data set with those that an extraction adds, and without those that it removes."""
    changed = features.copy()
    utterance = {key: kind for key, kind in changed["utterances"].feature.items() if key not in extraction.gone}
    kind = List(List(Value("float32"))) if extraction.frames else List(Value("float32"))
    changed["utterances"] = List(utterance | dict.fromkeys(extraction.keys, kind))
    changed["extractors"] = {modality: Value("string") for modality in MODALITIES}
    return changed


def _with_extracted(table: pa.Table, extraction: Extraction, made: _Made, features: Features) -> pa.Table:
    """Return dialogues with their new features, and with `extractors`, as columns of these kinds."""
    first, chunks = 0, []
    for chunk in table.column("utterances").chunks:
        structs = chunk.flatten()
        columns = {structs.type[at].name: structs.field(at) for at in range(structs.type.num_fields)}
        kept = {key: values for key, values in columns.items() if key not in extraction.gone}
        for key in extraction.keys:
            new = made[key][first : first + len(structs)]
            kept[key] = _filled(columns.get(key), new, features["utterances"].feature[key].feature)
        first += len(structs)
        joined = pa.StructArray.from_arrays(list(kept.values()), list(kept))
        offsets = pa.array(np.cumsum([0, *_lengths_of(chunk)]), pa.int32())
        chunks.append(pa.ListArray.from_arrays(offsets, joined))
    table = table.set_column(table.column_names.index("utterances"), "utterances", pa.chunked_array(chunks))
    named = table.column("extractors").to_pylist() if "extractors" in table.column_names else [None] * len(table)
    makers = [{**dict.fromkeys(MODALITIES), **(own or {}), **extraction.extractors} for own in named]
    if "extractors" in table.column_names:
        table = table.drop_columns("extractors")
    table = table.append_column(
        "extractors", pa.array(makers, pa.struct([(name, pa.string()) for name in MODALITIES]))
    )
    return table.cast(Features({name: features[name] for name in table.column_names}).arrow_schema)


def _lengths_of(dialogues: Any) -> list[int]:
    return pc.call_function("list_value_length", [dialogues]).fill_null(0).to_pylist()


def _filled(given: Any, made: Sequence[np.ndarray | None], kind: Any) -> Any:
    """Return features as they were given, and where there were none as they were made."""
    item = pa.list_(pa.float32()) if isinstance(kind, List) else pa.float32()
    new = pa.array([None if values is None else list(values) for values in made], pa.list_(item))
    if given is None or given.null_count == len(given):
        return new
    old = given.cast(new.type)
    if new.null_count == len(new):
        return old
    has_own = given.is_valid().to_numpy(zero_copy_only=False)
    at = np.arange(len(given)) + np.where(has_own, 0, len(given))
    return pa.concat_arrays([old, new]).take(pa.array(at))
