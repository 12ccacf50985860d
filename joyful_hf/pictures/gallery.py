"""All pictures of a checkpoint and of its predictions for a file of dialogues: what `joyful plot` draws."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction
from transformers.utils import cached_file

from ..checkpoints import load_checkpoint
from ..data.dialogue_files import load_dialogues
from ..data.encoded import EncodedDialogues
from ..data.extraction import extract_for
from ..evaluation.metrics import compute_metrics, count_confusions
from ..evaluation.task import task_of
from ..inference.dialogue_graph import read_graph
from ..inference.representations import Represented, represent
from ..modeling.prediction import with_predictions
from ..processing import DialogueError
from ..processing.labels import IGNORED_LABEL, get_label, join_labels, known_labels, label_values, majority_index
from ..runs.folder import last_checkpoint
from ..runs.names import TRAINER_STATE
from .classes import plot_confusion_matrix, plot_f1_per_class
from .graph import plot_dialogue_graph
from .reliability import plot_reliability
from .representations import check_method, plot_representations
from .selective import plot_selective
from .style import Figure
from .timeline import plot_timeline
from .training_curves import plot_training_curves


def draw_pictures(
    checkpoint: str,
    data_file: str,
    dialogue_id: str | None = None,
    method: str = "tsne",
    num_proc: int | None = None,
    strict: bool = False,
    device: str | torch.device | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Figure | str]:
    """Draw every picture for which the checkpoint and the data are enough, from one pass over the data.

    Args:
        checkpoint: folder or Hub id of a model and its processor.
        data_file: dialogues, as `load_dialogues` reads them.
        dialogue_id: id of the dialogue whose timeline and graph are drawn; the first dialogue by default.
        method: as in `plot_representations`.
        num_proc, strict: as in `extract_features`, for data with raw media.
        device: as in `load_checkpoint`.
        columns: as in `load_dialogues`.

    Returns:
        Each name of `PICTURES` -> the picture, or the reason why there is none.

    Raises:
        DialogueError: the input is malformed.
        ImportError: the library of the method is not installed.
    """
    check_method(method)
    dialogues = load_dialogues(data_file, split="test", columns=columns)
    model, processor = load_checkpoint(checkpoint, device)
    dialogues = list(extract_for(processor, dialogues, num_proc, strict, device))
    shown = _position_of(dialogue_id, dialogues, data_file)
    subject = _Subject.run(checkpoint, model, processor, dialogues, shown, method)
    return {name: _drawn_or_why_not(draw, subject) for name, draw in PICTURES.items()}


@dataclass(frozen=True)
class _Subject:
    """A checkpoint and what its model found in dialogues of N utterances altogether."""

    checkpoint: str
    model: Any
    processor: Any
    dialogues: Sequence[Mapping[str, Any]]
    shown: int
    """Position of the dialogue whose timeline and graph are drawn."""
    method: str
    """As in `plot_representations`."""
    labels: np.ndarray | None
    """(N,) or (N, num_labels), as `labels` of a batch; None if no label is known."""
    represented: Represented

    @classmethod
    def run(
        cls,
        checkpoint: str,
        model: Any,
        processor: Any,
        dialogues: Sequence[Mapping[str, Any]],
        shown: int,
        method: str,
    ) -> "_Subject":
        """Run the model on the dialogues."""
        encoded = EncodedDialogues(dialogues, processor).encoded
        labels = join_labels([example.labels for example in encoded])
        represented = represent(model, processor, encoded)
        return cls(checkpoint, model, processor, dialogues, shown, method, labels, represented)

    @property
    def names(self) -> list[str]:
        """Names of the labels."""
        return [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]

    @cached_property
    def known(self) -> np.ndarray:
        """(N,) bool, whether the label of an utterance is known.

        Raises:
            DialogueError: no label is known.
        """
        if self.labels is None:
            raise DialogueError("no utterance has a label")
        return known_labels(self.labels)

    @cached_property
    def labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """Logits and labels of the utterances with a known label, for pictures of classes.

        Raises:
            DialogueError: no label is known, or the labels are values.
        """
        if not task_of(self.model).has_classes:
            raise DialogueError("a regression has no classes")
        known = self.known
        assert self.labels is not None  # `known` has seen to that
        return self.represented.logits.float().cpu().numpy()[known], self.labels[known]

    @property
    def shown_dialogue(self) -> Mapping[str, Any]:
        """The dialogue whose timeline and graph are drawn."""
        return self.dialogues[self.shown]

    @cached_property
    def shown_prediction(self) -> dict[str, Any]:
        """The shown dialogue as `model.predict` returns it."""
        begin = sum(len(dialogue["utterances"]) for dialogue in self.dialogues[: self.shown])
        logits = self.represented.logits[begin : begin + len(self.shown_dialogue["utterances"])]
        named = self.model.name_scores(self.model.scores(logits))
        return with_predictions(self.shown_dialogue, iter(named))

    def true_labels(self, dialogues: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return labels as the model names them: a string, a list of strings or a float each; None where unknown."""
        return [self._named(get_label(utterance)) for dialogue in dialogues for utterance in dialogue["utterances"]]

    def _named(self, label: Any) -> Any:
        if label is None or isinstance(label, str):
            return label
        if not task_of(self.model).has_classes:
            values = label_values(label, self.processor.label2id, "a label")
            if len(self.names) == 1:
                return values[0]
            return {name: value for name, value in zip(self.names, values, strict=True) if not np.isnan(value)}
        if task_of(self.model).several_labels:
            return [part if isinstance(part, str) else self.names[part] for part in label]
        if isinstance(label, Mapping):
            label = majority_index(label, self.processor.label2id, "a label")
            return None if label == IGNORED_LABEL else self.names[label]
        return self.names[label]


def _position_of(dialogue_id: str | None, dialogues: Sequence[Mapping[str, Any]], data_file: str) -> int:
    if dialogue_id is None:
        return 0
    ids = [str(dialogue.get("dialogue_id")) for dialogue in dialogues]
    if dialogue_id not in ids:
        raise DialogueError(f"{data_file}: there is no dialogue {dialogue_id!r}; it begins with {', '.join(ids[:3])}")
    return ids.index(dialogue_id)


def _drawn_or_why_not(draw: Callable[[_Subject], Figure], subject: _Subject) -> Figure | str:
    try:
        return draw(subject)
    except DialogueError as error:
        return str(error)


def _confusion_matrix(subject: _Subject) -> Figure:
    logits, labels = subject.labelled
    if task_of(subject.model).several_labels:
        raise DialogueError("several emotions at once have no single confusion matrix")
    return plot_confusion_matrix(count_confusions(logits, labels), subject.names)


def _f1_per_class(subject: _Subject) -> Figure:
    logits, labels = subject.labelled
    model, names = subject.model, subject.names
    metrics = compute_metrics(EvalPrediction(logits, labels), model.config.id2label, model.problem_type)
    support = labels.sum(0) if task_of(model).several_labels else np.bincount(labels, minlength=len(names))
    return plot_f1_per_class(
        {name: metrics[f"f1_{name}"] for name in names},
        {name: int(count) for name, count in zip(names, support, strict=True)},
    )


def _reliability(subject: _Subject) -> Figure:
    logits, labels = subject.labelled
    scores = subject.model.scores(subject.represented.logits).cpu().numpy()[subject.known]
    uncalibrated = task_of(subject.model).scores(logits)
    is_calibrated = not np.allclose(scores, uncalibrated, atol=1e-4)
    return plot_reliability(scores, labels, uncalibrated if is_calibrated else None)


def _selective(subject: _Subject) -> Figure:
    _, labels = subject.labelled
    return plot_selective(subject.model.scores(subject.represented.logits).cpu().numpy()[subject.known], labels)


def _timeline(subject: _Subject) -> Figure:
    return plot_timeline(subject.shown_prediction, subject.true_labels([subject.shown_dialogue]))


def _dialogue_graph(subject: _Subject) -> Figure:
    graph = read_graph(subject.model, subject.processor, subject.shown_dialogue)
    return plot_dialogue_graph(graph, subject.shown_prediction)


def _representations(subject: _Subject) -> Figure:
    stages = subject.represented.stages
    if subject.labels is not None:
        return plot_representations(stages, subject.true_labels(subject.dialogues), subject.method)
    named = subject.model.name_scores(subject.model.scores(subject.represented.logits))
    labels = [prediction["label"] for prediction in named]
    return plot_representations(stages, labels, subject.method, labels_are="predicted")


def draw_training_curves(checkpoint: str) -> Figure:
    """Draw the training curves of the folder of a run, of the newest checkpoint in it, or of a model on the Hub.

    Raises:
        DialogueError: there is no trainer state, or it holds no loss.
    """
    folder = Path(checkpoint)
    if not (folder / TRAINER_STATE).is_file():
        folder = last_checkpoint(folder) or folder
    file = folder / TRAINER_STATE
    try:
        if not folder.is_dir():
            file = Path(str(cached_file(checkpoint, TRAINER_STATE)))
        state = json.loads(file.read_text(encoding="utf-8"))
        log, best_step, best = state["log_history"], state.get("best_global_step"), state.get("best_metric")
        at_best = [entry for entry in log if best_step and entry.get("step") == best_step]
        # The state holds the best value, but not of which metric.
        chosen = [
            name for entry in at_best for name, value in entry.items() if name.startswith("eval_") and value == best
        ]
        metric = chosen[0].removeprefix("eval_") if chosen else "weighted_f1"
        return plot_training_curves(log, metric, best_step)
    except OSError:
        raise DialogueError(f"there is no {TRAINER_STATE} in {checkpoint}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise DialogueError(f"{file} is not a trainer state") from None


PICTURES: dict[str, Callable[[_Subject], Figure]] = {
    "confusion_matrix": _confusion_matrix,
    "f1_per_class": _f1_per_class,
    "reliability": _reliability,
    "selective": _selective,
    "timeline": _timeline,
    "dialogue_graph": _dialogue_graph,
    "representations": _representations,
    "training_curves": lambda subject: draw_training_curves(subject.checkpoint),
}
"""Name of each picture of `draw_pictures` -> what draws it."""
