"""`extract_features`: turn the raw media of a whole data set into features, with a cache and a report."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow as pa
import torch
from datasets import Dataset, List, Value
from datasets.utils import tqdm

from ..processing import FEATURE_KEYS, MODALITIES, DialogueError, EmotionRecognitionProcessor, JoyfulProcessor
from ..processing.devices import choose_device
from ..processing.dialogues import as_dialogue_list, dialogue_name, get_utterances, name_utterances
from ..processing.extractor_base import Extracted
from ..processing.extractors import load_extractor
from ..processing.feature_cache import FeatureCache
from ..processing.feature_extraction import add_features
from ..processing.feature_origin import check_origin
from ..processing.media import as_source, get_medium
from ..processing.media_failures import ExtractionFailure
from .columns import with_float_samples, with_undecoded_media
from .extraction_report import ExtractionReport, refuse_failures, refuse_nothing_read
from .media_reading import read_media

_DIALOGUES_PER_BATCH = 16
_MEDIA = {"text": ("text",), "audio": ("audio", "video"), "visual": ("video",)}
_FAILURES = "extraction_failures"  # a column that exists between extraction and report


def default_cache_dir() -> Path:
    """Return where extracted features are kept: under `HF_HOME`, beside the downloads from the Hub."""
    return Path(huggingface_hub.constants.HF_HOME) / "joyful_hf" / "features"


def extract_features(
    dialogues: Iterable[Mapping[str, Any]],
    processor: JoyfulProcessor,
    num_proc: int | None = None,
    cache_dir: str | Path | None = None,
    strict: bool = False,
    verbose: bool = True,
    name: str = "",
    device: str | torch.device | None = None,
    asked_for: bool = True,
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
        processor: its extractors are used, whatever the sizes; their Hub ids are replaced by `user/model@<commit>`.
        num_proc: number of processes; with several, encoders run on the CPU.
        cache_dir: where vectors are kept; by default `joyful_hf/features` under `HF_HOME`.
        strict: raise an error if a medium cannot be read, instead of masking the modality.
        verbose: print how many utterances have which modality and what could not be read.
        name: how the progress bar and the report call the dialogues.
        device: device of encoders, such as "cpu" or "cuda:1"; by default the machine's accelerator.
        asked_for: whether the user chose the extractors for these dialogues: one that finds nothing in any medium is
            an error then. False for the extractors of a trained model, for which silent videos are no error.

    Raises:
        DialogueError: bad dialogues, an extractor that cannot be loaded, features of another extractor, an extractor
            that could read not one medium, or, if `strict`, a medium that cannot be read.
        ImportError: a library that an extractor needs is not installed.
    """
    dataset = _as_dataset(dialogues)
    _check_origin(dataset, processor)
    modalities = _modalities_to_extract(dataset, processor.extractors)
    if not modalities:
        return dataset
    processor.pin_extractors(modalities)
    extractors = {modality: processor.extractors[modality] for modality in modalities}
    num_proc = min(num_proc or 1, len(dataset))
    device = "cpu" if num_proc > 1 else str(choose_device(device))
    for modality, extractor in extractors.items():
        load_extractor(modality, extractor, device)  # once, before any process starts, or not at all
    extracted = dataset.map(
        _extract_batch,
        batched=True,
        batch_size=_DIALOGUES_PER_BATCH,
        with_indices=True,
        num_proc=num_proc if num_proc > 1 else None,
        features=_features_after(dataset, extractors),
        fn_kwargs={
            "extractors": extractors,
            "cache": FeatureCache(default_cache_dir() if cache_dir is None else Path(cache_dir)),
            "device": device,
            "threads": 1 if num_proc > 1 else None,
            # One recording of hours is one dialogue: a bar that counts dialogues stands still.
            "are_watched": num_proc == 1 and len(dataset) <= _DIALOGUES_PER_BATCH,
        },
        # `datasets` does not see it when a media file changes, the feature cache does.
        keep_in_memory=True,
        load_from_cache_file=False,
        desc=f"extracting {name} features" if name else "extracting features",
    )
    report = _report(extracted)
    if strict:
        refuse_failures(report.failures)
    refuse_nothing_read(report, extractors, asked_for)
    if verbose:
        print(f"{name} {report}".lstrip(), flush=True)
    return extracted.remove_columns(_FAILURES)


def extract_for(
    processor: EmotionRecognitionProcessor,
    dialogues: Iterable[Mapping[str, Any]],
    num_proc: int | None = None,
    strict: bool = False,
    device: str | torch.device | None = None,
) -> Any:
    """Read the raw media of dialogues as their processor needs it: by its extractors, or else by `read_media`.

    Args:
        num_proc, strict, device: as in `extract_features`.

    Raises:
        DialogueError: as `extract_features` and `read_media`.
    """
    if isinstance(processor, JoyfulProcessor):
        return extract_features(dialogues, processor, num_proc, strict=strict, device=device, asked_for=False)
    return read_media(dialogues, processor, num_proc, strict)


def _as_dataset(dialogues: Iterable[Mapping[str, Any]]) -> Dataset:
    if isinstance(dialogues, Dataset):
        return with_float_samples(with_undecoded_media(dialogues.with_format(None)))
    try:
        return with_float_samples(Dataset.from_list(_as_table_rows(as_dialogue_list(dialogues))))
    except (pa.ArrowException, TypeError) as error:
        raise DialogueError(f"the dialogues do not fit into one table: {error}") from None


def _as_table_rows(dialogues: list[Any]) -> list[dict[str, Any]]:
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


def _check_origin(dataset: Dataset, processor: JoyfulProcessor) -> None:
    columns = [name for name in ("dialogue_id", "extractors") if name in dataset.features]
    if "extractors" in columns:
        check_origin(list(dataset.select_columns(columns)), processor.extractors)


def _modalities_to_extract(dataset: Dataset, extractors: Mapping[str, str]) -> list[str]:
    """Return the modalities with an extractor whose medium some utterances have, and whose features some lack."""
    if not extractors:
        return []
    utterances = _utterances(dataset)
    return [
        modality
        for modality in extractors
        if _count(utterances, FEATURE_KEYS[modality]) < sum(map(len, utterances))
        and any(_count(utterances, key) for key in _MEDIA[modality])
    ]


def _utterances(dataset: Dataset) -> list[pa.StructArray]:
    """Return the utterances of all dialogues, in the chunks that they are stored in."""
    table = dataset.select_columns("utterances").with_format("arrow")[:]
    return [chunk.flatten() for chunk in table.column("utterances").chunks]


def _count(utterances: list[pa.StructArray], key: str) -> int:
    """Count the utterances that have a key."""
    columns = [chunk.field(key) for chunk in utterances if chunk.type.get_field_index(key) >= 0]
    return sum(len(column) - column.null_count for column in columns)


def _features_after(dataset: Dataset, extractors: Mapping[str, str]) -> Any:
    """Return the data set's schema with features, and without the media that these replace."""
    features = dataset.features.copy()
    of_list = features["utterances"]
    utterance = dict(of_list.feature if hasattr(of_list, "feature") else of_list[0])
    for key in _replaced_media(extractors):
        utterance.pop(key, None)
    utterance |= {FEATURE_KEYS[modality]: List(Value("float32")) for modality in extractors}
    features["utterances"] = List(utterance)
    features["extractors"] = {modality: Value("string") for modality in MODALITIES}
    features[_FAILURES] = List({name: Value("string") for name in ExtractionFailure.__dataclass_fields__})
    return features


def _replaced_media(extractors: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that features replace. A video may have been read for its sound: both go."""
    return ("audio", "video") if extractors.keys() & {"audio", "visual"} else ()


def _extract_batch(
    batch: Mapping[str, list[Any]],
    positions: list[int],
    extractors: dict[str, str],
    cache: FeatureCache,
    device: str,
    threads: int | None,
    are_watched: bool,
) -> dict[str, list[Any]]:
    """Extract one batch of `datasets.map`: columns in, columns out. Threads are given in one of several processes."""
    if threads is not None:
        torch.set_num_threads(threads)  # as in torch's own worker processes: threads do not survive a fork
    dialogues = [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
    named = name_utterances(dialogues, positions[0])
    filled, failures = add_features(named, extractors, cache, device, _watch if are_watched else None)
    gone = _replaced_media(extractors)
    utterances = [
        [{key: _plain(value) for key, value in utterance.items() if key not in gone} for utterance in of_dialogue]
        for _, of_dialogue in filled
    ]
    keys = [FEATURE_KEYS[modality] for modality in extractors]
    for utterance in (utterance for of_dialogue in utterances for utterance in of_dialogue):
        utterance |= {key: utterance.get(key) for key in keys}
    return {
        "utterances": utterances,
        "extractors": [
            dict.fromkeys(MODALITIES) | (dialogue.get("extractors") or {}) | extractors for dialogue in dialogues
        ],
        # Those of the whole batch, in its first row.
        _FAILURES: [[vars(failure) for failure in failures], *[[]] * (len(dialogues) - 1)],
    }


def _watch(extracted: Iterable[Extracted], count: int, modality: str) -> Iterable[Extracted]:
    return tqdm(extracted, total=count, desc=f"extracting {modality} features", unit=" utterances", leave=False)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _report(extracted: Dataset) -> ExtractionReport:
    utterances = _utterances(extracted)
    counts = {modality: _count(utterances, key) for modality, key in FEATURE_KEYS.items()}
    failures = [ExtractionFailure(**failure) for of_batch in extracted[_FAILURES] for failure in of_batch]
    return ExtractionReport(sum(map(len, utterances)), counts, failures)
