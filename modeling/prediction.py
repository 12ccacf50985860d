"""What every family's `ForEmotionRecognition` can do: turn logits into scores, and predict dialogues."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"

Item = TypeVar("Item")


class EmotionRecognitionMixin:
    """Prediction for models with `config` and logits (N, num_labels)."""

    config: Any
    device: Any
    __call__: Callable[..., Any]
    eval: Callable[..., Any]
    train: Callable[..., Any]
    training: bool

    utterances_per_batch = 2048
    """Of `predict`: enough rows to fill a matrix product, few enough for any device."""

    @property
    def problem_type(self) -> str:
        """As in transformers; single-label classification where the config leaves it open."""
        return self.config.problem_type or SINGLE_LABEL

    def scores(self, logits: Tensor) -> Tensor:
        """(N, num_labels) logits -> calibrated probabilities, or the values themselves for regression."""
        logits = logits.float()
        if self.problem_type == REGRESSION:
            return logits
        logits = logits / self.config.calibration_temperature
        return logits.sigmoid() if self.problem_type == MULTI_LABEL else logits.softmax(dim=-1)

    def name_scores(self, scores: Tensor) -> list[dict[str, Any]]:
        """(N, num_labels) scores -> for each utterance its `label` and its `scores` {label: probability}.

        The label is a string; a list of all emotions of at least 0.5 for several at once; a float for regression.
        """
        names = [self.config.id2label[index] for index in range(self.config.num_labels)]
        named = []
        for row in scores.tolist():
            label: Any
            if self.problem_type == REGRESSION:
                label = row[0]
            elif self.problem_type == MULTI_LABEL:
                label = [name for name, score in zip(names, row, strict=True) if score >= 0.5]
            else:
                label = names[max(range(len(row)), key=row.__getitem__)]
            named.append({"label": label, "scores": dict(zip(names, row, strict=True))})
        return named

    def predict(
        self,
        dialogues: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        processor: Any,
        utterances_per_batch: int | None = None,
    ) -> list[dict[str, Any]]:
        """Dialogues in, the same dialogues out with `label` and `scores` in each utterance.

        Args:
            dialogues: one dialogue or any iterable of dialogues; labels in them are not read.
            processor: the processor that was saved with this model.
            utterances_per_batch: dialogues are batched until they hold so many utterances; by default what suits
                the family.

        Returns:
            A list of {"dialogue_id", "utterances": [{"speaker", "text", "label", "scores"}, ...]}; keys that
            the dialogue does not have are left out.

        Raises:
            DialogueError: bad input.
        """
        if isinstance(dialogues, Mapping):
            dialogues = [cast("Mapping[str, Any]", dialogues)]
        limit = utterances_per_batch or self.utterances_per_batch
        was_training = self.training
        self.eval()
        try:
            return [
                prediction
                for position, batch in _batches(dialogues, limit, _num_utterances)
                for prediction in self._predict_batch(batch, position, processor, limit)
            ]
        finally:
            self.train(was_training)

    def _predict_batch(
        self, dialogues: list[Mapping[str, Any]], position: int, processor: Any, limit: int
    ) -> list[dict[str, Any]]:
        # Dialogues for a family that reads them whole, utterances for one that does not.
        encoded: list[Sized] = processor.encode(dialogues, return_labels=False, first_position=position)
        named = iter(self.name_scores(self.scores(self.encoded_logits(encoded, processor, limit))))
        return [with_predictions(dialogue, named) for dialogue in dialogues]

    def encoded_logits(self, encoded: Iterable[Sized], processor: Any, utterances_per_batch: int) -> Tensor:
        """What `processor.encode` gives -> logits (N, num_labels) of its N utterances, in the mode the model is in."""
        return torch.cat([output.logits for output in self.encoded_outputs(encoded, processor, utterances_per_batch)])

    def encoded_outputs(self, encoded: Iterable[Sized], processor: Any, utterances_per_batch: int) -> Iterator[Any]:
        """What `processor.encode` gives -> the output of each batch, without losses, in the mode the model is in."""
        for _, examples in _batches(encoded, utterances_per_batch, len):
            batch = processor.pack(examples, return_tensors="pt").to(self.device)
            batch.pop("labels", None)
            with torch.inference_mode():
                output = self(**batch, return_loss=False)
            yield output


def with_predictions(dialogue: Mapping[str, Any], named: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The dialogue's ids, speakers and texts with one prediction after the other from `named`."""
    utterances = [
        {key: utterance[key] for key in ("speaker", "text") if utterance.get(key) is not None} | next(named)
        for utterance in dialogue["utterances"]
    ]
    dialogue_id = dialogue.get("dialogue_id")
    return ({} if dialogue_id is None else {"dialogue_id": dialogue_id}) | {"utterances": utterances}


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
