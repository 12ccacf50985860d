"""Turn a licensed corpus into Parquet files of dialogues, and metadata that says what they hold."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from ..io.messages import did_you_mean
from ..processing import FEATURE_KEYS, DialogueError
from ..processing.labels import MULTI_LABEL, REGRESSION
from ..version import __version__
from .base import BuiltCorpus, Corpus
from .cmu import CMU_MOSEI, CMU_MOSI
from .emorynlp import EMORYNLP
from .feature_pickles import PICKLE
from .iemocap import IEMOCAP
from .meld import MELD, MELD_DYADIC
from .report import FileCounts, PreparationReport, compare_counts

CORPORA: Mapping[str, Corpus] = {
    "iemocap": IEMOCAP,
    "meld": MELD,
    "meld-dyadic": MELD_DYADIC,
    "emorynlp": EMORYNLP,
    "cmu-mosei": CMU_MOSEI,
    "cmu-mosi": CMU_MOSI,
    "pickle": PICKLE,
}

METADATA_FILE = "metadata.json"
METADATA_KEY = b"joyful_hf"
"""The key under which the schema of each Parquet file holds the same metadata."""

_DIALOGUES_PER_CHUNK = 32
# Keys that every utterance has, and that need no count.
_ALWAYS = ("speaker", "label", "utterance_id", "start", "end")
_NUMBER = pa.float64()
_TYPES = {"start": _NUMBER, "end": _NUMBER, **dict.fromkeys(FEATURE_KEYS.values(), pa.list_(pa.float32()))}
_LABEL_TYPES = {MULTI_LABEL: pa.list_(pa.string()), REGRESSION: pa.float32()}


def prepare_corpus(
    corpus: str, source: str | Path, output: str | Path, label_scheme: str | None = None, split: str | None = None
) -> PreparationReport:
    """Write a corpus as `train.parquet`, `validation.parquet`, `test.parquet` (one folder per fold) and metadata.

    Dialogues are read and written one after the other, so that a corpus need not fit into memory.

    Args:
        corpus: a key of `CORPORA`.
        source: the folder, or file, of the corpus.
        output: a folder that does not exist yet, or an empty one. It appears whole or not at all.
        label_scheme: one of the corpus's schemes; by default the first, or for pickles the one that fits them.
        split: one of the corpus's splits; the first by default.

    Returns:
        What was written, what is missing, and how the counts differ from published ones.

    Raises:
        DialogueError: an unknown corpus, scheme or split, a missing part of the corpus, a file that cannot be read,
            or an output that is not empty.
    """
    source, output = Path(source), Path(output)
    chosen = CORPORA[_known(corpus, CORPORA, "corpus")]
    if label_scheme is not None:
        _known(label_scheme, chosen.label_schemes, f"label scheme of {corpus}")
    split = chosen.splits[0] if split is None else _known(split, chosen.splits, f"split of {corpus}")
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise DialogueError(f"{output}: is not empty, and nothing in it is overwritten; choose another folder")
    if not source.exists():
        raise DialogueError(f"{source}: there is no such file or folder")
    return _write_corpus(corpus, chosen.build(source, label_scheme, split), output)


def _known(name: str, known: Iterable[str], what: str) -> str:
    """Return the name itself, or raise a DialogueError with the nearest known ones."""
    known = list(known)
    if name in known:
        return name
    raise DialogueError(f"unknown {what} {name!r}{did_you_mean(name.lower(), known, 3)} (known: {', '.join(known)})")


def _write_corpus(name: str, built: BuiltCorpus, output: Path) -> PreparationReport:
    schema = _schema(name, built)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as folder:
        whole = Path(folder, "corpus")
        counts: dict[str, FileCounts] = {}
        feature_sizes: dict[str, int] = {}  # the same in all files
        for file, make_dialogues in built.files.items():
            counts[file] = FileCounts(feature_sizes=feature_sizes)
            _write_file(make_dialogues(), whole / f"{file}.parquet", schema, counts[file])
        if not any(of_file.dialogues for of_file in counts.values()):
            raise DialogueError(f"{name}: not one utterance has a label of the scheme {built.label_scheme_name}")
        differences = compare_counts(counts, built.published)
        report = PreparationReport(
            name, output, built.label_scheme_name, counts, built.notes, built.published, differences
        )
        metadata = _description(name, built) | _outcome(report)
        (whole / METADATA_FILE).write_text(_as_json(metadata, indent=2) + "\n", encoding="utf-8")
        if output.is_dir():
            output.rmdir()
        whole.rename(output)
    return report


def _schema(name: str, built: BuiltCorpus) -> pa.Schema:
    """Return the columns of the dialogue record that this corpus has, with their meaning as metadata."""
    keys = {
        "speaker": pa.string(),
        "label": _LABEL_TYPES.get(built.label_scheme.problem_type, pa.string()),
        **{key: _TYPES.get(key, pa.string()) for key in built.contents},
    }
    columns = {"dialogue_id": pa.string(), "utterances": pa.list_(pa.struct(list(keys.items())))}
    description = _as_json(_description(name, built))
    return pa.schema(list(columns.items()), metadata={METADATA_KEY: description.encode()})


def _write_file(dialogues: Iterator[dict[str, Any]], path: Path, schema: pa.Schema, counts: FileCounts) -> None:
    """Write dialogues to a Parquet file, and count them; where there are none, no file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = [field.name for field in schema.field("utterances").type.value_type if field.name not in _ALWAYS]
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(dialogues, _DIALOGUES_PER_CHUNK)):
            counts.add(chunk, keys)
            writer.write_table(pa.Table.from_pylist(chunk, schema))
    if not counts.dialogues:
        path.unlink()


def _description(name: str, built: BuiltCorpus) -> dict[str, Any]:
    """Return what is known of the corpus before it is written."""
    return {
        "corpus": name,
        "label_scheme": {"name": built.label_scheme_name, **vars(built.label_scheme)},
        "speaker_scheme": built.speaker_scheme,
        "split": built.split,
        "contents": dict(built.contents),
        "versions": {"joyful-hf": __version__, "pyarrow": pa.__version__, "numpy": np.__version__},
    }


def _outcome(report: PreparationReport) -> dict[str, Any]:
    """Return what was found while the corpus was written."""
    published = None
    if report.published is not None:
        compared = report.differences is not None
        published = {"compared": compared, "differences": report.differences or [], **vars(report.published)}
    return {"counts": report.counts, "published_counts": published, **vars(report.notes)}


def _as_json(metadata: dict[str, Any], indent: int | None = None) -> str:
    """Return metadata as JSON; data classes in it become objects of their fields."""
    return json.dumps(metadata, indent=indent, ensure_ascii=False, default=vars)
