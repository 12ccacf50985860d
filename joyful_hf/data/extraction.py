"""`extract_features`: turn the raw media of a whole data set into features, with a cache and a report."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset

from ..processing import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    MODALITIES,
    DialogueError,
    EmotionRecognitionProcessor,
    JoyfulProcessor,
)
from ..processing.devices import choose_device
from ..processing.dialogues import as_dialogue_list, dialogue_name, get_utterances
from ..processing.extractors import load_extractor
from ..processing.feature_cache import FeatureCache
from ..processing.feature_extraction import keys_of
from ..processing.feature_origin import check_origin
from ..processing.media import as_source, get_medium
from ..processing.media_failures import ExtractionFailure
from ..processing.reading import read_dialogues
from .arrow_files import dataset_of, stored_tables
from .columns import with_float_samples, with_undecoded_media
from .extraction_jobs import Extraction, extract_all, utterances_of
from .extraction_report import ExtractionReport, refuse_failures, refuse_nothing_read
from .media_reading import read_media

_ROWS_AT_ONCE = 256
_MEDIA = {"text": ("text",), "audio": ("audio", "video"), "visual": ("video",)}

logger = logging.getLogger(__name__)


def default_cache_dir() -> Path:
    """Return where extracted features are kept: under `HF_HOME`, beside the downloads from the Hub."""
    return Path(huggingface_hub.constants.HF_HOME) / "joyful_hf" / "features"


def extract_features(
    dialogues: Iterable[Mapping[str, Any]],
    processor: EmotionRecognitionProcessor,
    num_proc: int | None = None,
    cache_dir: str | Path | None = None,
    strict: bool = False,
    verbose: bool = True,
    name: str = "",
    device: str | torch.device | None = None,
    asked_for: bool = True,
    report: ExtractionReport | None = None,
) -> Dataset:
    """Return the dialogues with features in place of `audio` and `video`, and beside `text`.

        processor = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
        dialogues = extract_features(load_dialogues("train.jsonl"), processor)
        processor = JoyfulProcessor.from_dialogues(dialogues)

    Features that are there stay. Each dialogue also gets `extractors`, modality -> the name of the extractor, which
    `from_dialogues` takes over and every other processor is checked against. Vectors are cached one by one: after an
    interruption, only the missing ones are extracted.

    Args:
        dialogues: a `datasets.Dataset` or records.
        processor: its extractors are used, whatever the sizes; their names get commits and layers,
            `user/model@<commit>#-4:`.
            A `FoalNetProcessor` gets sequences of frames, every other one a vector per utterance.
        num_proc: number of processes, between which the utterances are divided; with several, encoders run on the CPU.
        cache_dir: where vectors are kept; by default `joyful_hf/features` under `HF_HOME`.
        strict: raise an error if a medium cannot be read, instead of masking the modality.
        verbose: print how many utterances have which modality and what could not be read.
        name: how the progress bar and the report call the dialogues.
        device: device of encoders, such as "cpu" or "cuda:1"; by default the machine's accelerator.
        asked_for: whether the user chose the extractors for these dialogues: one that finds nothing in any medium is
            an error then, and one for which there is no medium a warning (an error if `strict`). False for the
            extractors of a trained model, for which silent videos are no error.
        report: the outcome is added to it.

    Raises:
        DialogueError: bad dialogues, an extractor that cannot be loaded, features of another extractor, an extractor
            that could read not one medium, or, if `strict`, a medium that cannot be read.
        ImportError: a library that an extractor needs is not installed.
    """
    dataset = _as_dataset(dialogues)
    _check_origin(dataset, processor)
    modalities = _modalities_to_extract(dataset, processor)
    if asked_for:
        for modality in processor.extractors.keys() - set(modalities):
            _say_unused(dataset, processor, modality, strict, name)
    if not modalities:
        return dataset
    num_proc = num_proc or 1
    device = "cpu" if num_proc > 1 else str(choose_device(device))
    processor.pin_extractors(modalities, device)
    extractors = {modality: processor.extractors[modality] for modality in modalities}
    for modality, extractor in extractors.items():
        load_extractor(modality, extractor, device)  # once, before any process starts, or not at all
    cache = FeatureCache(default_cache_dir() if cache_dir is None else Path(cache_dir))
    keeps_media = bool(processor.reads_media) and "audio" not in processor.extractors
    extraction = Extraction(extractors, cache, device, processor.extracts_frames, keeps_media)
    extracted, failures = extract_all(
        dataset, extraction, num_proc, f"extracting {name} features" if name else "extracting features"
    )
    outcome = _report(extracted, failures, extraction.frames)
    if strict:
        refuse_failures(outcome.failures)
    if verbose:
        print(f"{name} {outcome}".lstrip(), flush=True)
    if report is not None:
        report.add(outcome)
    refuse_nothing_read(report or outcome, extractors, asked_for)
    return extracted


def extract_for(
    processor: EmotionRecognitionProcessor,
    dialogues: Iterable[Mapping[str, Any]],
    num_proc: int | None = None,
    strict: bool = False,
    device: str | torch.device | None = None,
    report: ExtractionReport | None = None,
) -> Any:
    """Read the raw media of dialogues as their processor needs it: by its extractors, and by `read_media`.

    Args:
        num_proc, strict, device: as in `extract_features`.
        report: the outcome is added to it, where these are some dialogues of many; by default it is printed.

    Raises:
        DialogueError: as `extract_features` and `read_media`.
    """
    if processor.extractors or isinstance(processor, JoyfulProcessor):
        dialogues = extract_features(
            *(dialogues, processor, num_proc),
            strict=strict,
            verbose=report is None,
            device=device,
            asked_for=False,
            report=report,
        )
    if isinstance(processor, JoyfulProcessor):
        return dialogues
    return read_media(dialogues, processor, num_proc, strict)


def _as_dataset(dialogues: Iterable[Mapping[str, Any]]) -> Dataset:
    if isinstance(dialogues, Dataset):
        return with_float_samples(with_undecoded_media(_without_indices(dialogues).with_format(None)))
    given = as_dialogue_list(dialogues)
    try:
        try:
            return with_float_samples(Dataset.from_list(_as_table_rows(given)))
        except OverflowError:  # whole numbers beyond 64 bits, which vectors may hold
            return with_float_samples(Dataset.from_list(_as_table_rows(read_dialogues(given))))
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise DialogueError(f"the dialogues do not fit into one table: {error}") from None


def _without_indices(dataset: Dataset) -> Dataset:
    """Return a selection of rows as a data set whose table has no others."""
    if dataset._indices is None:
        return dataset
    rows = dataset.with_format("arrow")
    tables = (rows[first : first + _ROWS_AT_ONCE] for first in range(0, len(rows), _ROWS_AT_ONCE))
    return dataset_of(pa.concat_tables(stored_tables(tables)), dataset.info)


def _as_table_rows(dialogues: Sequence[Any]) -> list[dict[str, Any]]:
    """Bring the media of dialogues into one form: a column holds either paths, or bytes, or tables of either."""
    names = [dialogue_name(dialogue, position) for position, dialogue in enumerate(dialogues)]
    rows = [
        dict(dialogue) | {"utterances": [dict(utterance) for utterance in get_utterances(dialogue, name)]}
        for name, dialogue in zip(names, dialogues, strict=True)
    ]
    everyone = [utterance for row in rows for utterance in row["utterances"]]
    for key in ("audio", "video"):
        for utterance in everyone:
            if key in utterance:
                utterance[key] = get_medium(utterance, key)
        having = [utterance for utterance in everyone if utterance.get(key) is not None]
        for utterance in having:
            if isinstance(source := as_source(utterance[key]), Path):
                utterance[key] = str(source)
        if len({type(utterance[key]) for utterance in having}) > 1:
            for utterance in having:
                kind = {str: "path", bytes: "bytes"}.get(type(utterance[key]))
                utterance[key] = utterance[key] if kind is None else {kind: utterance[key]}
    return rows


def _check_origin(dataset: Dataset, processor: EmotionRecognitionProcessor) -> None:
    columns = [name for name in ("dialogue_id", "extractors") if name in dataset.features]
    if "extractors" in columns:
        check_origin(dataset.select_columns(columns), processor.extractors)


def _modalities_to_extract(dataset: Dataset, processor: EmotionRecognitionProcessor) -> list[str]:
    """Return the modalities with an extractor whose medium some utterances have, and whose features some lack."""
    utterances = utterances_of(dataset)
    total = sum(map(len, utterances))
    return [
        modality
        for modality in processor.extractors
        if _count_features(utterances, modality, processor.extracts_frames) < total
        and any(_count(utterances, key) for key in _MEDIA[modality])
    ]


def _say_unused(
    dataset: Dataset, processor: EmotionRecognitionProcessor, modality: str, strict: bool, name: str
) -> None:
    """Say that an extractor that was asked for reads nothing.

    Raises:
        DialogueError: if `strict`; or there are features already, which cannot be those of this extractor.
    """
    key, extractor, frames = EXTRACTOR_KEYS[modality], processor.extractors[modality], processor.extracts_frames
    of_data = f"the {name} dialogues" if name else "the dialogues"
    there = keys_of(frames)[modality]
    if not _count_features(utterances_of(dataset), modality, frames):
        media = " or ".join(repr(medium) for medium in _MEDIA[modality])
        message = f"`{key}`: {extractor!r} has nothing to read, as no utterance of {of_data} has {media}"
        if strict:
            raise DialogueError(message)
        logger.warning("%s", message)
        return
    made_by = dataset["extractors"] if "extractors" in dataset.features else []
    if any((own or {}).get(modality) for own in made_by):
        return
    size = _size_of_features(dataset, there)
    (example,) = load_extractor(modality, extractor)([load_extractor(modality, extractor).example], frames)
    if size is not None and isinstance(example, np.ndarray) and size != example.shape[-1]:
        raise DialogueError(
            f"`{key}`: every utterance of {of_data} has {there} of size {size} already, and {extractor!r} makes "
            f"{example.shape[-1]} numbers; leave it out to use those that are there, or leave these out of the data"
        )
    logger.warning("`%s`: %r reads nothing, as every utterance of %s has %s already", key, extractor, of_data, there)


def _size_of_features(dataset: Dataset, key: str) -> int | None:
    """Return the size of the first features of this key."""
    for chunk in utterances_of(dataset):
        values = chunk.field(key).drop_null() if chunk.type.get_field_index(key) >= 0 else []
        if len(values):
            return int(np.asarray(values[0].as_py()).shape[-1])
    return None


def _count_features(utterances: list[pa.StructArray], modality: str, frames: bool) -> int:
    """Count the utterances that have vectors or, where frames are read, frames; no utterance has both."""
    keys = {FEATURE_KEYS[modality], keys_of(frames)[modality]}
    return sum(_count(utterances, key) for key in keys)


def _count(utterances: list[pa.StructArray], key: str) -> int:
    """Count the utterances that have a key."""
    columns = [chunk.field(key) for chunk in utterances if chunk.type.get_field_index(key) >= 0]
    return sum(len(column) - column.null_count for column in columns)


def _report(dataset: Dataset, failures: list[ExtractionFailure], frames: bool) -> ExtractionReport:
    utterances = utterances_of(dataset)
    counts = {modality: _count_features(utterances, modality, frames) for modality in MODALITIES}
    return ExtractionReport(sum(map(len, utterances)), counts, failures)
