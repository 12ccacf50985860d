"""Extraction as a stream of utterances: from the columns of a data set, over processes, and back into columns."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
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


@dataclass
class Extracted:
    """The features that were made of a data set."""

    features: dict[str, list[np.ndarray | None]]
    """Key -> the new features of each utterance, None where there are none."""
    failures: list[ExtractionFailure] = field(default_factory=list)


def utterances_of(dataset: Dataset) -> list[pa.StructArray]:
    """Return the utterances of all dialogues, in the chunks that they are stored in."""
    return [chunk.flatten() for chunk in dataset.data.column("utterances").chunks]


def extract_all(dataset: Dataset, extraction: Extraction, num_proc: int, desc: str) -> Extracted:
    """Extract the features of every utterance.

    Args:
        num_proc: number of processes, between which the utterances are divided.
        desc: how the progress bar calls the work; it counts utterances.

    Raises:
        DialogueError: bad dialogues.
    """
    made = Extracted({key: [] for key in extraction.keys})
    total = sum(map(len, utterances_of(dataset)))
    places, num_proc = _places(dataset), min(num_proc, total)
    read = _over_processes(places, extraction, num_proc, total) if num_proc > 1 else _here(places, extraction)
    bar = tqdm(total=total, desc=desc, unit="utterance")
    for features, failures in read:
        for key, values in made.features.items():
            values.append(features.get(key))
        made.failures += failures
        bar.update()
    bar.close()
    return made


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


def with_extracted(dataset: Dataset, extraction: Extraction, extracted: Extracted) -> Dataset:
    """Return the data set with its new features, without the media that they replace; `extractors` names their makers.

    Features that were there stay.
    """
    features = dataset.features.copy()
    utterance = {key: kind for key, kind in features["utterances"].feature.items() if key not in extraction.gone}
    kind = List(List(Value("float32"))) if extraction.frames else List(Value("float32"))
    features["utterances"] = List(utterance | dict.fromkeys(extraction.keys, kind))
    features["extractors"] = {modality: Value("string") for modality in MODALITIES}
    table, first, chunks = dataset.data.table, 0, []
    for chunk in dataset.data.column("utterances").chunks:
        structs = chunk.flatten()
        columns = {structs.type[at].name: structs.field(at) for at in range(structs.type.num_fields)}
        kept = {key: values for key, values in columns.items() if key not in extraction.gone}
        for key in extraction.keys:
            made = extracted.features[key][first : first + len(structs)]
            kept[key] = _filled(columns.get(key), made, kind.feature)
        first += len(structs)
        joined = pa.StructArray.from_arrays(list(kept.values()), list(kept))
        offsets = pa.array(np.cumsum([0, *_lengths_of(chunk)]), pa.int32())
        chunks.append(pa.ListArray.from_arrays(offsets, joined))
    table = table.set_column(table.column_names.index("utterances"), "utterances", pa.chunked_array(chunks))
    makers = _makers(dataset, extraction.extractors)
    if "extractors" in table.column_names:
        table = table.drop_columns("extractors")
    table = table.append_column(
        "extractors", pa.array(makers, pa.struct([(name, pa.string()) for name in MODALITIES]))
    )
    changed = Features({name: features[name] for name in table.column_names})
    info = dataset.info.copy()
    info.features = changed
    return Dataset(table.cast(changed.arrow_schema), info=info)


def _lengths_of(dialogues: Any) -> list[int]:
    return pc.call_function("list_value_length", [dialogues]).fill_null(0).to_pylist()


def _makers(dataset: Dataset, extractors: Mapping[str, str]) -> list[dict[str, str | None]]:
    named = dataset["extractors"] if "extractors" in dataset.features else [None] * len(dataset)
    return [{**dict.fromkeys(MODALITIES), **(own or {}), **extractors} for own in named]


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
