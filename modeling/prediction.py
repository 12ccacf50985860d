"""Methods of every family's `ForEmotionRecognition`: the loss, named scores, and the prediction of dialogues."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from .packing import layout_of
from .tasks import Task, task_of

Item = TypeVar("Item")


class EmotionRecognitionMixin:
    """Loss and prediction for models with `config` and logits (N, num_labels)."""

    config: Any
    device: Any
    __call__: Callable[..., Any]
    eval: Callable[..., Any]
    train: Callable[..., Any]
    training: bool

    utterances_per_batch = 2048
    """Batch size of `predict`: enough rows to fill a matrix product, few enough for any device."""

    @property
    def task(self) -> Task:
        """The task that the config's `problem_type` names."""
        return task_of(self.config)

    @property
    def problem_type(self) -> str:
        """As in transformers; single-label classification where the config leaves it open."""
        return self.task.problem_type

    def loss_weights(self) -> dict[str, float]:
        """Weight in the loss of each named part that the model can have; a family adds its own."""
        return {"classification": 1.0}

    batch_loss_parts: tuple[str, ...] = ()
    """Parts of the loss that compare the utterances of a batch with each other, also in evaluation mode: their value
    depends on who shares the batch. `JoyfulTrainer` leaves them out of its evaluations, by `batch_losses=False` in
    `forward`."""

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss, and each metric of the model, is a mean over in this batch.

        The mean over several batches is the mean of theirs, weighted by these counts.

        Args:
            batch: as `forward` takes it.
            across_processes: whether other processes hold the rest of the batch and call this too, so that utterances
                are compared with theirs.

        Returns:
            Part -> () count, or (means,) counts of a part that is made of several means. By default a part is a mean
            over all utterances, and "classification" over the labelled ones (the sum of their class weights).
        """
        del across_processes
        counts = dict.fromkeys(self.loss_weights(), num_utterances(batch))
        labels = batch.get("label_shares", batch.get("labels"))
        if labels is None:
            return counts | {"classification": torch.zeros_like(counts["classification"])}
        return counts | {"classification": self.task.count(labels, self.config.class_weights)}

    def task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """() loss of the logits (N, num_labels), with the class weights and the label smoothing of the config.

        Args:
            labels: the labels, or shares of votes in their place, as `Task.loss` takes them.
        """
        config = self.config
        return self.task.loss(logits, labels, config.class_weights, config.label_smoothing)

    def weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        """() sum of the named parts, each times its weight."""
        weights = self.loss_weights()
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def scores(self, logits: Tensor) -> Tensor:
        """(N, num_labels) logits -> calibrated probabilities, or the values themselves for regression."""
        return self.task.scores(logits, self.config.calibration_temperature)

    def name_scores(self, scores: Tensor, encoded: Iterable[Any] = ()) -> list[dict[str, Any]]:
        """(N, num_labels) scores -> the `label` and the `scores` {label: probability} of each utterance.

        The label is a string; a list of all emotions of at least 0.5 for several at once; a float for regression, or
        {name: value} for several values.

        Args:
            encoded: what `processor.encode` gave for these utterances, to name one of them in a message.

        Raises:
            ValueError: scores that are not finite numbers.
        """
        names = [self.config.id2label[index] for index in range(self.config.num_labels)]
        rows = scores.tolist()
        for position, row in enumerate(rows):
            if not all(map(math.isfinite, row)):
                raise ValueError(
                    f"{_name_at(encoded, position)}: the model's output is not a finite number; are its features far "
                    "beyond those that the model was trained on?"
                )
        return [{"label": self.task.label(row, names), "scores": dict(zip(names, row, strict=True))} for row in rows]

    def predict(
        self,
        dialogues: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        processor: Any,
        utterances_per_batch: int | None = None,
        first_position: int = 0,
    ) -> list[dict[str, Any]]:
        """Return the dialogues with `label` and `scores` in each utterance.

        Args:
            dialogues: one dialogue or any iterable of dialogues; labels in them are not read.
            processor: the processor that was saved with this model.
            utterances_per_batch: how many utterances the dialogues of a batch hold at most, unless one dialogue alone
                holds more; by default a number that suits the family.
            first_position: position of the first dialogue, where these are part of a longer list; messages name it
                where a dialogue has no id.

        Returns:
            A list of {"dialogue_id", "utterances": [{"speaker", "text", "label", "scores"}, ...]}, with every other
            key that has a single value, such as `start` and `end`; a label that the data have becomes `true_label`.
            An utterance from which nothing could be read has the label None and no scores.

        Raises:
            DialogueError: bad input.
            ValueError: the model's output for an utterance is not a finite number.
        """
        if isinstance(dialogues, Mapping):
            dialogues = [cast("Mapping[str, Any]", dialogues)]
        limit = utterances_per_batch or self.utterances_per_batch
        was_training = self.training
        self.eval()
        try:
            with processor.one_notice():
                return [
                    prediction
                    for position, batch in _batches(dialogues, limit, _num_utterances)
                    for prediction in self._predict_batch(batch, first_position + position, processor, limit)
                ]
        finally:
            self.train(was_training)

    def _predict_batch(
        self, dialogues: list[Mapping[str, Any]], position: int, processor: Any, limit: int
    ) -> list[dict[str, Any]]:
        # Whole dialogues for a family that reads them so, single utterances for one that does not.
        encoded: list[Any] = processor.encode(dialogues, return_labels=False, first_position=position)
        named = iter(self.name_scores(self.scores(self.encoded_logits(encoded, processor, limit)), encoded))
        read = iter(is_read(encoded))
        return [with_predictions(dialogue, named, read) for dialogue in dialogues]

    def encoded_logits(self, encoded: Iterable[Sized], processor: Any, utterances_per_batch: int) -> Tensor:
        """Logits (N, num_labels) of the N utterances that `processor.encode` gave, in the mode the model is in."""
        return torch.cat([output.logits for output in self.encoded_outputs(encoded, processor, utterances_per_batch)])

    def encoded_outputs(self, encoded: Iterable[Sized], processor: Any, utterances_per_batch: int) -> Iterator[Any]:
        """Outputs without losses, one per batch of what `processor.encode` gave, in the mode the model is in."""
        for _, examples in _batches(encoded, utterances_per_batch, len):
            batch = with_layout(processor.pack(examples, return_tensors="pt"))
            batch = {name: value.to(self.device) for name, value in batch.items()}
            for key in ("labels", "label_shares"):
                batch.pop(key, None)
            with torch.inference_mode():
                output = self(**batch, return_loss=False, return_dict=True)
            yield output


def _name_at(encoded: Iterable[Any], position: int) -> str:
    """The name of the example that holds the utterance at a position."""
    first = 0
    for example in encoded:
        if position < first + len(example):
            return f"{example.name}, utterance {position - first}" if len(example) > 1 else example.name
        first += len(example)
    return f"utterance {position}"


def with_layout(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch on the CPU with its `layout`, where it is one of dialogues: an accelerator need not be asked for it."""
    if "dialogue_lengths" not in batch:
        return dict(batch)
    return {**batch, "layout": layout_of(batch, len(batch["speaker_ids"]))}


def num_utterances(batch: Mapping[str, Tensor]) -> Tensor:
    """() float32 number of the utterances of a batch, on its device; a batch without dialogues has one per row."""
    lengths = batch.get("dialogue_lengths")
    if lengths is not None:
        return lengths.sum().float()
    first = next(iter(batch.values()))
    return torch.full((), float(first.size(0)), device=first.device)


def is_read(encoded: Iterable[Any]) -> list[bool]:
    """Return whether at least one modality was read of each utterance that `processor.encode` gave."""
    return [bool(present) for example in encoded for present in example.present.any(axis=-1)]


UNREAD: dict[str, Any] = {"label": None, "scores": {}}
"""The prediction for an utterance from which no modality could be read."""
# What a reader of a table looks for first.
_FIRST_KEYS = ("start", "end", "channel", "face", "audio", "video", "speaker", "text")


def with_predictions(
    dialogue: Mapping[str, Any], named: Iterator[dict[str, Any]], read: Iterator[bool] | None = None
) -> dict[str, Any]:
    """Return the dialogue with the next prediction from `named` in each utterance, and what else it said in a word.

    Every key with a single value stays, times and the name of the recording first; a known label becomes `true_label`.
    Vectors and media are left out.

    Args:
        dialogue: the dialogue that was predicted.
        named: `label` and `scores` of each utterance.
        read: whether at least one modality of each utterance could be read; where not, its label is None.
    """
    utterances = []
    for utterance in dialogue["utterances"]:
        prediction = next(named)
        kept = _kept(utterance)
        utterances.append(kept | (prediction if read is None or next(read) else UNREAD))
    return {key: value for key, value in dialogue.items() if _is_scalar(value)} | {"utterances": utterances}


def _kept(utterance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a prediction keeps of an utterance."""
    values = {key: utterance[key] for key in sorted(utterance, key=_position)}
    for key in ("audio", "video"):
        if key in values:
            medium = values[key]
            path = medium.get("path") if isinstance(medium, Mapping) else medium
            values[key] = Path(path).name if isinstance(path, str | Path) else None  # nobody else has this folder
    true_label = values.pop("label", None)
    if isinstance(true_label, Mapping):  # a table has every name in every row
        true_label = {name: value for name, value in true_label.items() if value is not None} or None
    is_known = true_label is not None and not (isinstance(true_label, float) and true_label != true_label)
    kept = {key: value for key, value in values.items() if _is_scalar(value) and key != "scores"}
    return kept | ({"true_label": true_label} if is_known else {})


def _position(key: str) -> int:
    return _FIRST_KEYS.index(key) if key in _FIRST_KEYS else len(_FIRST_KEYS)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def _num_utterances(dialogue: Mapping[str, Any]) -> int:
    utterances = dialogue.get("utterances") if isinstance(dialogue, Mapping) else None
    return len(utterances) if isinstance(utterances, Sized) else 0  # the processor says what is wrong


def _batches(items: Iterable[Item], limit: int, length: Callable[[Item], int]) -> Iterator[tuple[int, list[Item]]]:
    """Batches of items whose lengths sum to `limit` at most, each with the position of its first item."""
    batch: list[Item] = []
    position = total = 0
    for item in items:
        if batch and total + length(item) > limit:
            yield position, batch
            position, batch, total = position + len(batch), [], 0
        batch.append(item)
        total += length(item)
    if batch:
        yield position, batch
