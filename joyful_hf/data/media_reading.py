"""`read_media`: recordings that a processor reads itself, without extractors, opened ahead of encoding."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import torch
from datasets.utils import tqdm

from ..processing import DialogueError, EmotionRecognitionProcessor
from ..processing.dialogues import as_dialogue_list, name_utterances, utterance_name, with_values
from ..processing.media_failures import ExtractionFailure
from .extraction_report import describe_failures, refuse_failures

_KEYS = ("audio", "video", "start", "end", "channel")
_UTTERANCES_PER_CHUNK = 16

_Job = tuple[dict[str, Any], str]
"""The keys of an utterance that say what is to be read, and how messages call the utterance."""


def read_media(
    dialogues: Iterable[Mapping[str, Any]],
    processor: EmotionRecognitionProcessor,
    num_proc: int | None = None,
    strict: bool = False,
    verbose: bool = True,
    name: str = "",
) -> Iterable[Mapping[str, Any]]:
    """Open the recordings of a data set in several processes, or refuse the data set if one cannot be read.

    The waveforms of all utterances are in memory at once. With neither several processes nor `strict`, or where the
    processor opens no recordings, the dialogues are returned as they are, and `processor.encode` opens them.

    Args:
        dialogues: records, or what `read_dialogues` made of them.
        processor: its `read_media` opens the recordings.
        num_proc: number of processes.
        strict: raise an error if a recording cannot be read, instead of masking it.
        verbose: print what could not be read.
        name: how the progress bar calls the dialogues.

    Raises:
        DialogueError: bad dialogues; if `strict`, a recording that cannot be read; or a processor that does not say
            whether it reads recordings.
        ImportError: a library that reads recordings is not installed.
    """
    several = num_proc is not None and num_proc > 1
    if not several and not strict:
        return dialogues
    if processor.reads_media is None:
        refused = " and ".join(["num_proc"] * several + ["strict"] * strict)
        raise DialogueError(
            f"{refused}: {type(processor).__name__} reads its inputs in its own way and has no `read_media`; "
            f"leave {refused} out"
        )
    if not processor.reads_media:
        return dialogues
    dialogue_list = as_dialogue_list(dialogues)
    named = name_utterances(dialogue_list)
    jobs = [
        ({key: utterance.get(key) for key in _KEYS}, utterance_name(dialogue, index))
        for dialogue, utterances in named
        for index, utterance in enumerate(utterances)
    ]
    read = list(tqdm(_read_all(processor, jobs, num_proc or 1), total=len(jobs), desc=f"reading {name} recordings"))
    failures = [failure for _, failure in read if failure is not None]
    if strict:
        refuse_failures(failures)
    if verbose and failures:
        print("\n".join(describe_failures(failures)), flush=True)
    values = iter(read)
    return [
        {**dialogue, "utterances": [with_values(utterance, next(values)[0]) for utterance in utterances]}
        for dialogue, (_, utterances) in zip(dialogue_list, named, strict=True)
    ]


def _read_all(
    processor: EmotionRecognitionProcessor, jobs: list[_Job], num_proc: int
) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
    if num_proc == 1:
        yield from _read(processor, jobs)
        return
    chunks = [jobs[first : first + _UTTERANCES_PER_CHUNK] for first in range(0, len(jobs), _UTTERANCES_PER_CHUNK)]
    with ProcessPoolExecutor(min(num_proc, len(jobs)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for read in pool.map(partial(_read_chunk, processor), chunks):
            yield from read


def _read(
    processor: EmotionRecognitionProcessor, jobs: list[_Job]
) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
    return processor.read_media([utterance for utterance, _ in jobs], [place for _, place in jobs])


def _read_chunk(
    processor: EmotionRecognitionProcessor, jobs: list[_Job]
) -> list[tuple[dict[str, Any], ExtractionFailure | None]]:
    return list(_read(processor, jobs))
