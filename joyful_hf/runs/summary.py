"""`run_summary.json`: the facts about the run behind a checkpoint that a model card tells."""

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..io.files import read_json, write_json
from ..processing import EncodedExample
from ..processing.dialogues import MODALITIES, DialogueError
from ..processing.labels import REGRESSION, known_labels
from .names import RUN_SUMMARY

# Endings of the values that transformers adds to the scores of an evaluation; the result files have them too.
_TIMING = ("_runtime", "_per_second", "_samples", "_model_preparation_time")
# How `source` began before the summary had `held_out`, where validation was drawn from the training dialogues.
_HELD_OUT_OF = "held out of "


@dataclass(kw_only=True)
class DataSummary:
    """A split, as the run saw it."""

    source: str | None = None
    """The file or Hub id, without the folders of the machine it lay on."""
    held_out: bool = False
    """Whether the dialogues were drawn from the training dialogues of `source`."""
    num_dialogues: int
    num_utterances: int
    max_speakers: int | None = None
    """Most speakers in one dialogue."""
    label_counts: dict[str, int] = field(default_factory=dict)
    """Utterances of each class; empty for regression."""
    label_ranges: dict[str, list[float]] = field(default_factory=dict)
    """The lowest and the highest label of each value of a regression; empty for classes."""
    modality_counts: dict[str, int] = field(default_factory=dict)
    """Utterances that have each modality, where any has it."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read what `asdict` made, also before there was `held_out`."""
        summary = cls(**_known_fields(cls, record))
        if summary.source is not None and summary.source.startswith(_HELD_OUT_OF):
            summary.source, summary.held_out = summary.source.removeprefix(_HELD_OUT_OF), True
        return summary


@dataclass
class ChosenBy:
    """The validation score that chose the checkpoint among those of the run."""

    metric: str
    value: float
    epoch: float
    greater_is_better: bool


@dataclass
class EncoderTuning:
    """The fine-tuning of a model's encoders, which began with the best checkpoint on the frozen ones."""

    method: str
    """`full` or `lora`."""
    metric: str
    frozen: float
    """The validation score with the encoders as they were."""
    tuned: float | None
    """The best one while they learnt; None if none was validated."""
    kept_tuned: bool
    """Whether that was better, and the checkpoint is of it."""
    epochs: float
    """Number of epochs in which they learnt."""

    def __str__(self) -> str:
        tuned = "not validated" if self.tuned is None else f"{self.tuned:.4f}"
        kept, other = ("fine-tuned", "frozen") if self.kept_tuned else ("frozen", "fine-tuned")
        scores = {"frozen": f"{self.frozen:.4f}", "fine-tuned": tuned}
        metric = self.metric.replace("_", " ")
        return f"kept: the {kept} encoder, validation {metric} {scores[kept]} ({other}: {scores[other]})"


@dataclass
class ConfusionMatrix:
    """Counts of single labels: rows are true, columns predicted."""

    split: str
    labels: list[str]
    counts: list[list[int]]


@dataclass(kw_only=True)
class RunSummary:
    """One run with one seed."""

    family: str = ""
    preset: str | None = None
    seed: int
    train: DataSummary | None
    """None where it was streamed."""
    validation: DataSummary | None
    test: DataSummary | None
    chosen_by: ChosenBy | None
    """None where nothing chose: the last weights."""
    results: dict[str, dict[str, float]]
    """Split -> metric -> value, of the weights that were saved."""
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    """Split -> metric -> why it is not among the results, where the labels are on another scale than it needs."""
    confusion_matrix: ConfusionMatrix | None = None
    """On test, or without it on validation."""
    encoder_tuning: EncoderTuning | None = None
    """None where no encoder was fine-tuned in a stage of its own."""
    training_arguments: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    train_runtime: float | None = None
    """Seconds."""
    num_parameters: int | None = None

    def save(self, folder: str | Path) -> Path:
        """Write `run_summary.json` into a checkpoint folder."""
        file = Path(folder) / RUN_SUMMARY
        write_json(asdict(self), file)
        return file

    @classmethod
    def read(cls, folder: str | Path) -> Self | None:
        """Read the `run_summary.json` of a checkpoint folder, also that of an earlier version; None if there is none.

        Raises:
            DialogueError: it cannot be read, lacks something, or is something else.
        """
        file = Path(folder) / RUN_SUMMARY
        if not file.exists():
            return None
        record = read_json(file)
        needed = {name for name, has_default in _fields_of(cls).items() if not has_default}
        if missing := needed - record.keys():
            raise DialogueError(
                f"{file}: lacks {', '.join(sorted(missing))}; is it of another version of joyful_hf? "
                "Without this file, the card goes without training and scores"
            )
        try:
            return cls(**_known_fields(cls, record) | _parts_of(record))
        except (TypeError, AttributeError) as error:
            raise DialogueError(f"{file}: is no summary of a run ({error})") from None

    @property
    def splits(self) -> dict[str, DataSummary]:
        """`train`, `validation` and `test` -> what is known of the dialogues, where it is."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def validation_is_held_out(self) -> bool:
        """Whether the validation dialogues were drawn from the training dialogues."""
        return self.validation is not None and self.validation.held_out


def _fields_of(kind: Any) -> dict[str, bool]:
    """Field -> whether it has a default."""
    return {known.name: not (known.default is MISSING and known.default_factory is MISSING) for known in fields(kind)}


def _known_fields(kind: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows; a later one may have added others. A null stands for the default."""
    known = _fields_of(kind)
    return {name: value for name, value in record.items() if name in known and not (value is None and known[name])}


def _parts_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are data classes themselves, None where they are null."""

    def read(name: str, kind: Callable[[Mapping[str, Any]], Any]) -> Any:
        return None if record.get(name) is None else kind(record[name])

    return {
        **{name: read(name, DataSummary.from_json) for name in ("train", "validation", "test")},
        "chosen_by": read("chosen_by", lambda part: ChosenBy(**_known_fields(ChosenBy, part))),
        "encoder_tuning": read("encoder_tuning", lambda part: EncoderTuning(**_known_fields(EncoderTuning, part))),
        "confusion_matrix": read(
            "confusion_matrix", lambda part: ConfusionMatrix(**_known_fields(ConfusionMatrix, part))
        ),
    }


def summarize_data(
    examples: Iterable[EncodedExample],
    num_dialogues: int,
    max_speakers: int,
    config: Any,
    source: str | None = None,
    held_out: bool = False,
) -> DataSummary:
    """Count labels and modalities of encoded dialogues.

    Args:
        config: of the model: its task and the names of its labels.
        source: file or Hub id.
        held_out: whether the dialogues were drawn from the training dialogues of `source`.
    """
    id2label: Mapping[int, str] = config.id2label
    counts: Counter[str] = Counter()
    values: list[np.ndarray] = []
    present = np.zeros(len(MODALITIES), int)
    num_utterances = 0
    for example in examples:
        num_utterances += len(example)
        present += example.present.sum(axis=0)
        if config.problem_type != REGRESSION:
            counts.update(_class_names(example.labels, id2label))
        elif example.labels is not None and example.labels.dtype != np.int64:
            values.append(example.labels[known_labels(example.labels)].reshape(-1, len(id2label)))
    return DataSummary(
        source=None if source is None else _public_name(source),
        held_out=held_out,
        num_dialogues=num_dialogues,
        num_utterances=num_utterances,
        max_speakers=max_speakers,
        label_counts={name: counts[name] for name in id2label.values() if name in counts},
        label_ranges=_ranges(values, id2label),
        modality_counts={name: int(count) for name, count in zip(MODALITIES, present, strict=True) if count},
    )


def _public_name(source: str) -> str:
    """A file, or a pattern of files, with its folder, and not where on this machine that lies; a Hub id as it is."""
    is_file = Path(source).exists() or glob.has_magic(source)
    return "/".join(Path(source).absolute().parts[-2:]) if is_file else source


def _ranges(values: list[np.ndarray], id2label: Mapping[int, str]) -> dict[str, list[float]]:
    """The range of each value that is known anywhere."""
    columns = np.concatenate(values).T if values else []
    known = {id2label[index]: column[~np.isnan(column)] for index, column in enumerate(columns)}
    return {name: [float(column.min()), float(column.max())] for name, column in known.items() if len(column)}


def _class_names(labels: np.ndarray | None, id2label: Mapping[int, str]) -> list[str]:
    """The classes of an example's utterances; several of an utterance each count."""
    if labels is None:
        return []
    known = labels[known_labels(labels)]
    if known.dtype == np.int64:
        return [id2label[index] for index in known.tolist()]
    if known.ndim == 2:
        return [id2label[int(column)] for column in known.nonzero()[1]]
    return []


def without_timing(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of an evaluation, without the time that it took and the epoch that transformers adds."""
    return {name: value for name, value in metrics.items() if name != "epoch" and not name.endswith(_TIMING)}
