"""What every family's `ForEmotionRecognition` can do: turn logits into scores, and predict dialogues."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"

# Enough rows to fill a matrix product, few enough for any device: batches are counted in utterances.
UTTERANCES_PER_BATCH = 2048


class EmotionRecognitionMixin:
    """Prediction for models with `config` and logits (N, num_labels)."""

    config: Any
    device: Any
    __call__: Callable[..., Any]
    eval: Callable[..., Any]
    train: Callable[..., Any]
    training: bool

    @property
    def problem_type(self) -> str:
        """As in transformers; single-label classification where the config leaves it open."""
        return self.config.problem_type or SINGLE_LABEL

    def scores(self, logits: Tensor) -> Tensor:
        """(N, num_labels) logits -> probabilities, or the values themselves for regression."""
        logits = logits.float()
        if self.problem_type == MULTI_LABEL:
            return logits.sigmoid()
        if self.problem_type == REGRESSION:
            return logits
        return logits.softmax(dim=-1)

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
        utterances_per_batch: int = UTTERANCES_PER_BATCH,
    ) -> list[dict[str, Any]]:
        """Dialogues in, the same dialogues out with `label` and `scores` in each utterance.

        Args:
            dialogues: one dialogue or any iterable of dialogues; labels in them are not read.
            processor: the processor that was saved with this model.
            utterances_per_batch: dialogues are batched until they hold so many utterances.

        Returns:
            A list of {"dialogue_id", "utterances": [{"speaker", "text", "label", "scores"}, ...]}; keys that
            the dialogue does not have are left out.

        Raises:
            DialogueError: bad input.
        """
        if isinstance(dialogues, Mapping):
            dialogues = [cast("Mapping[str, Any]", dialogues)]
        was_training = self.training
        self.eval()
        try:
            return [
                prediction
                for position, batch in _batches(dialogues, utterances_per_batch)
                for prediction in self._predict_batch(batch, position, processor)
            ]
        finally:
            self.train(was_training)

    def _predict_batch(
        self, dialogues: list[Mapping[str, Any]], position: int, processor: Any
    ) -> list[dict[str, Any]]:
        encoded = processor.encode(dialogues, return_labels=False, first_position=position)
        batch = processor.pack(encoded, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            logits = self(**batch, return_loss=False).logits
        named = iter(self.name_scores(self.scores(logits)))
        return [with_predictions(dialogue, named) for dialogue in dialogues]


def with_predictions(dialogue: Mapping[str, Any], named: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The dialogue's ids, speakers and texts with one prediction after the other from `named`."""
    utterances = [
        {key: utterance[key] for key in ("speaker", "text") if utterance.get(key) is not None} | next(named)
        for utterance in dialogue["utterances"]
    ]
    dialogue_id = dialogue.get("dialogue_id")
    return ({} if dialogue_id is None else {"dialogue_id": dialogue_id}) | {"utterances": utterances}


def _batches(
    dialogues: Iterable[Mapping[str, Any]], utterances_per_batch: int
) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """Batches of dialogues, each with the position of its first dialogue."""
    batch: list[Mapping[str, Any]] = []
    position = num_utterances = 0
    for dialogue in dialogues:
        utterances = dialogue.get("utterances") if isinstance(dialogue, Mapping) else None
        length = len(utterances) if hasattr(utterances, "__len__") else 0  # the processor says what is wrong
        if batch and num_utterances + length > utterances_per_batch:
            yield position, batch
            position, batch, num_utterances = position + len(batch), [], 0
        batch.append(dialogue)
        num_utterances += length
    if batch:
        yield position, batch
