"""All pictures of a checkpoint and of what it finds in a file of dialogues. What `joyful plot` does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EvalPrediction
from transformers.utils import cached_file

from ..checkpoints import load_checkpoint
from ..data.dialogue_files import load_dialogues
from ..data.encoded import EncodedDialogues
from ..data.extraction import extract_for
from ..evaluation.metrics import compute_metrics, count_confusions
from ..evaluation.task import task_of
from ..inference.representations import Represented, represent
from ..modeling.prediction import with_predictions
from ..processing import DialogueError
from ..processing.labels import (
    get_label,
    join_labels,
    known_labels,
)
from ..runs.folder import last_checkpoint
from ..runs.names import TRAINER_STATE
from . import (
    plot_confusion_matrix,
    plot_dialogue_graph,
    plot_f1_per_class,
    plot_reliability,
    plot_representations,
    plot_timeline,
    plot_training_curves,
)
from .representations import check_method
from .style import Figure


def draw_pictures(
    checkpoint: str,
    data_file: str,
    dialogue_id: str | None = None,
    method: str = "tsne",
    num_proc: int | None = None,
    strict: bool = False,
) -> dict[str, Figure | str]:
    """Every picture that the checkpoint and the data are enough for, from one pass over the data.

    Args:
        dialogue_id: of the dialogue whose timeline and graph are drawn; by default the first one's.
        method: of `plot_representations`.
        num_proc, strict: of `extract_features`, where the data have raw media.

    Returns:
        Name of the picture -> the picture, or the reason why there is none.

    Raises:
        DialogueError: bad input.
        ImportError: the library of the method is not installed.
    """
    check_method(method)
    dialogues = load_dialogues(data_file, split="test")
    model, processor = load_checkpoint(checkpoint)
    dialogues = list(extract_for(processor, dialogues, num_proc, strict))
    shown = _position_of(dialogue_id, dialogues, data_file)
    subject = _Subject.of(model, processor, dialogues)
    draw: dict[str, Callable[[], Figure]] = {
        "confusion_matrix": subject.draw_confusion_matrix,
        "f1_per_class": subject.draw_f1_per_class,
        "reliability": subject.draw_reliability,
        "timeline": lambda: subject.draw_timeline(shown),
        "dialogue_graph": lambda: plot_dialogue_graph(model, processor, dialogues[shown]),
        "representations": lambda: subject.draw_representations(method),
        "training_curves": lambda: draw_training_curves(checkpoint),
    }
    return {name: _drawn_or_why_not(one) for name, one in draw.items()}


PICTURES = (
    "confusion_matrix",
    "f1_per_class",
    "reliability",
    "timeline",
    "dialogue_graph",
    "representations",
    "training_curves",
)
"""The names that `draw_pictures` gives."""


@dataclass(frozen=True)
class _Subject:
    """A model and what it found in dialogues of N utterances altogether."""

    model: Any
    dialogues: Sequence[Mapping[str, Any]]
    labels: np.ndarray | None
    """(N,) or (N, num_labels), as `labels` of a batch; None if not one is known."""
    represented: Represented

    @classmethod
    def of(cls, model: Any, processor: Any, dialogues: Sequence[Mapping[str, Any]]) -> "_Subject":
        encoded = EncodedDialogues(dialogues, processor).encoded
        labels = join_labels([example.labels for example in encoded])
        return cls(model, dialogues, labels, represent(model, processor, encoded))

    @property
    def names(self) -> list[str]:
        return [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]

    def draw_confusion_matrix(self) -> Figure:
        logits, labels = self._labelled()
        if task_of(self.model).several_labels:
            raise DialogueError("several emotions at once have no single confusion matrix")
        return plot_confusion_matrix(count_confusions(logits, labels), self.names)

    def draw_f1_per_class(self) -> Figure:
        logits, labels = self._labelled()
        metrics = compute_metrics(EvalPrediction(logits, labels), self.model.config.id2label, self.model.problem_type)
        several = task_of(self.model).several_labels
        support = labels.sum(0) if several else np.bincount(labels, minlength=len(self.names))
        return plot_f1_per_class(
            {name: metrics[f"f1_{name}"] for name in self.names},
            {name: int(count) for name, count in zip(self.names, support, strict=True)},
        )

    def draw_reliability(self) -> Figure:
        logits, labels = self._labelled()
        scores = self.model.scores(self.represented.logits).cpu().numpy()[self._known]
        uncalibrated = task_of(self.model).scores(logits)
        is_calibrated = not np.allclose(scores, uncalibrated, atol=1e-4)
        return plot_reliability(scores, labels, uncalibrated if is_calibrated else None)

    def draw_timeline(self, position: int) -> Figure:
        dialogue = self.dialogues[position]
        begin = sum(len(one["utterances"]) for one in self.dialogues[:position])
        logits = self.represented.logits[begin : begin + len(dialogue["utterances"])]
        named = self.model.name_scores(self.model.scores(logits))
        return plot_timeline(with_predictions(dialogue, iter(named)), self._true_labels([dialogue]))

    def draw_representations(self, method: str) -> Figure:
        if self.labels is not None:
            return plot_representations(self.represented.stages, self._true_labels(self.dialogues), method)
        named = self.model.name_scores(self.model.scores(self.represented.logits))
        labels = [one["label"] for one in named]
        return plot_representations(self.represented.stages, labels, method, labels_are="predicted")

    @property
    def _known(self) -> np.ndarray:
        """(N,) bool."""
        if self.labels is None:
            raise DialogueError("not one utterance has a label")
        return known_labels(self.labels)

    def _labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """Logits and labels of the utterances with a label, for what needs classes."""
        if not task_of(self.model).has_classes:
            raise DialogueError("a regression has no classes")
        known = self._known
        assert self.labels is not None  # _known has seen to that
        return self.represented.logits.float().cpu().numpy()[known], self.labels[known]

    def _true_labels(self, dialogues: Sequence[Mapping[str, Any]]) -> list[Any]:
        """As the model names labels: a string, a list of strings, or a float; None where unknown."""
        return [self._named(get_label(utterance)) for one in dialogues for utterance in one["utterances"]]

    def _named(self, label: Any) -> Any:
        if label is None or isinstance(label, str):
            return label
        if not task_of(self.model).has_classes:
            return float(label)
        if task_of(self.model).several_labels:
            return [one if isinstance(one, str) else self.names[one] for one in label]
        return self.names[label]


def _position_of(dialogue_id: str | None, dialogues: Sequence[Mapping[str, Any]], data_file: str) -> int:
    if dialogue_id is None:
        return 0
    ids = [str(dialogue.get("dialogue_id")) for dialogue in dialogues]
    if dialogue_id not in ids:
        raise DialogueError(
            f"--dialogue: {data_file} has no dialogue {dialogue_id!r}; it begins with {', '.join(ids[:3])}"
        )
    return ids.index(dialogue_id)


def _drawn_or_why_not(draw: Callable[[], Figure]) -> Figure | str:
    try:
        return draw()
    except DialogueError as error:
        return str(error)


def draw_training_curves(checkpoint: str) -> Figure:
    """The training curves of a run's folder, of the newest checkpoint in it, or of a model on the Hub.

    Raises:
        DialogueError: it holds no trainer state, or one without a loss.
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
        # The state holds the best value, but not what of.
        chosen = [
            name for entry in at_best for name, value in entry.items() if name.startswith("eval_") and value == best
        ]
        metric = chosen[0].removeprefix("eval_") if chosen else "weighted_f1"
        return plot_training_curves(log, metric, best_step)
    except OSError:
        raise DialogueError(f"there is no {TRAINER_STATE} in {checkpoint}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise DialogueError(f"{file} is no trainer state") from None
