"""`StreamingRecognizer`: utterances arrive one by one, and each gets its label at once, from its past."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..modeling.prediction import is_read, with_predictions
from ..modeling.reach import Reach, reach_of
from ..processing import DialogueError
from ..processing.dialogues import utterance_name


class StreamingRecognizer:
    """Recognises the emotions of a dialogue while it goes on, from the past alone.

        recognizer = StreamingRecognizer(model, processor)
        recognizer.add({"speaker": "A", "text_features": [...]})  # {"speaker", "label", "scores"}
        recognizer.reset()  # the next dialogue

    `is_exact` says beforehand how exact the answers are:

    - True: an answer is what `model.predict` gives for that utterance of the whole dialogue, and costs the same
      however long the dialogue is. This holds for models trained with `causal=True`, `window_future=0` and a
      `window_past` other than -1, with a GRU, or with a transformer that has a `context_window` and no layer behind it
      that carries a state (JOYFUL's `speaker_encoder`). A model without a context encoder (AR-IIGCN with
      `generator="mlp"`) does not need `causal`; one that sees single utterances (Foal-Net) is always exact.
    - False: an answer is what `model.predict` gives for the last utterance of the dialogue so far. Once the dialogue
      has more than `max_utterances`, only the last ones are seen. This holds for every other model.
    - None: the same, for a model that does not state how far it looks (`reach`), so that nobody knows.

    Several recognizers can share a model, one for each dialogue that goes on.

    Args:
        model: one of this package's `...ForEmotionRecognition`. It computes in evaluation mode, on its device.
        processor: the processor that was saved with it.
        max_utterances: how many of the last utterances are seen by a model that is not exact.

    Raises:
        ValueError: `max_utterances` is below 1.
    """

    def __init__(self, model: Any, processor: Any, max_utterances: int = 64) -> None:
        if max_utterances < 1:
            raise ValueError(f"max_utterances must be 1 or more, got {max_utterances}")
        self.model = model
        self.processor = processor
        reach = dialogue_reach(model, processor)
        self.is_exact = not reach.future and math.isfinite(reach.past) if reach.is_known else None
        self._window_size = 1 + int(reach.past) if self.is_exact else max_utterances
        self._is_recurrent = reach.carries_state
        self._dialogue = -1
        self.reset()

    def reset(self) -> None:
        """Begin a new dialogue, in which nobody has spoken yet."""
        self._dialogue += 1
        self._num_utterances = 0
        self._speakers: dict[str, int] = {}
        self._window: list[Any] = []  # encoded; the next utterance completes it
        self._states: dict[nn.Module, Tensor] = {}  # of the recurrent layers, before the window

    def add(self, utterance: Mapping[str, Any]) -> dict[str, Any]:
        """Return "speaker", "text", "label" and "scores" of the dialogue's next utterance, as `model.predict` does.

        Raises:
            DialogueError: the utterance is malformed. It then counts as never said.
        """
        name = f"dialogues[{self._dialogue}]"
        speakers = dict(self._speakers)
        try:
            newest = self.processor.encode_next(utterance, name, speakers)
            window = [*self._window, newest]
            logits, states = self._run(window)
        except DialogueError as error:
            # The processor sees this utterance as the first one, and the model does not know its number at all.
            mistake = str(error).removeprefix(f"{utterance_name(name, 0)}: ")
            raise DialogueError(f"{utterance_name(name, self._num_utterances)}: {mistake}") from None
        self._num_utterances += 1
        self._speakers = speakers
        if len(window) == self._window_size:  # its first utterance leaves it
            window = window[1:]
            self._states = {layer: after[:1] for layer, after in states.items()}
        self._window = window
        named = self.model.name_scores(self.model.scores(logits[-1:]))
        read = iter(is_read([newest]))
        return with_predictions({"utterances": [utterance]}, iter(named), read)["utterances"][0]

    def stream(self, utterances: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield `add` of each utterance, each when it is asked for."""
        return map(self.add, utterances)

    def _run(self, window: list[Any]) -> tuple[Tensor, dict[nn.Module, Tensor]]:
        """Return logits (window, num_labels), and the states of the recurrent layers after each utterance."""
        states = dict(self._states)
        carried = {"recurrent_states": states} if self._is_recurrent else {}
        was_training = self.model.training
        self.model.eval()
        try:
            batch = self.processor.pack(self.processor.join(window), return_tensors="pt").to(self.model.device)
            with torch.inference_mode():
                return self.model(**batch, **carried, return_loss=False).logits, states
        finally:
            self.model.train(was_training)


def dialogue_reach(model: nn.Module, processor: Any) -> Reach:
    """Return the reach that the model states, in utterances, on the graphs that the processor draws."""
    reach = reach_of(model)
    return reach.on_graph(processor.window_past, processor.window_future) if reach.graph_steps else reach


__all__ = ["StreamingRecognizer"]
