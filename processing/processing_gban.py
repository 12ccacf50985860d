"""`GBANProcessor`: utterances -> one padded batch of frames of speech, and of words or frames of text."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from .dialogues import Dialogue, DialogueError, Utterance, as_dialogue_list, name_utterances, utterance_name
from .processing_padded import Cuts, PaddedProcessor
from .summary import summarize_dialogues
from .tokens import get_text
from .words import NUM_SPECIAL, learn_vocabulary, number_words, word_ids


class GBANProcessor(PaddedProcessor):
    """Turns the utterances of dialogues into one padded batch: each utterance is a row.

    It reads these keys of an utterance:

    - `audio_frames` (T, audio_dim) and `video_frames` (T, video_dim);
    - `text`, split into words, if there is a vocabulary; otherwise `text_frames` (T, text_dim), such as word vectors
      made elsewhere;
    - `audio_features`, `visual_features`, `text_features`, one vector per utterance, as one frame where there are no
      frames.

    All parameters are plain JSON and survive `save_pretrained` and `from_pretrained`.

    Args:
        audio_dim, video_dim: size of the frames; 0 leaves the stream out.
        text_dim: size of the text frames, or of the vectors of words; 0 leaves text out.
        vocabulary: the words that the model has vectors for; with it, text is read as words.
        max_audio_frames: longer sequences are cut (released: 750).
        max_video_frames: longer sequences are cut.
        max_words: longer texts are cut.
        label2id: class name -> index; needed for labels that are strings. With `problem_type="regression"` it names
            several values, such as valence and arousal.
        problem_type: as in transformers. By default a list is multi-label, a float is regression, as are floats by
            name, and the rest is single-label. Whole numbers are classes unless it says `"regression"`.

    Raises:
        ValueError: a parameter that is out of its range.
    """

    raw_type = np.int64  # the numbers of words

    def __init__(
        self,
        audio_dim: int = 52,
        video_dim: int = 0,
        text_dim: int = 300,
        vocabulary: list[str] | None = None,
        max_audio_frames: int = 750,
        max_video_frames: int = 180,
        max_words: int = 128,
        label2id: dict[str, int] | None = None,
        problem_type: str | None = None,
    ) -> None:
        super().__init__(audio_dim, video_dim, text_dim, max_video_frames, label2id, problem_type)
        self.vocabulary = vocabulary
        self.max_audio_frames = max_audio_frames
        self.max_words = max_words
        self._numbers = number_words(vocabulary or ())
        self._check_least({"audio_dim": 0, "max_audio_frames": 1, "max_words": 1})

    @property
    def reads_words(self) -> bool:
        """Whether text comes as words, not as frames."""
        return self.vocabulary is not None and self.text_dim > 0

    @property
    def dims(self) -> dict[str, int | None]:
        """As in the base class; None for words."""
        dims = super().dims
        return dims | {"text": None} if self.reads_words else dims

    def _keys(self, modality: str) -> tuple[str, str]:
        if modality == "text" and self.reads_words:
            return "text_input_ids", "text_attention_mask"
        return super()._keys(modality)

    @property
    def _limits(self) -> dict[str, str]:
        words = {"text": "max_words"} if self.reads_words else {}
        return super()._limits | {"audio": "max_audio_frames"} | words

    @classmethod
    def from_dialogues(cls, dialogues: Iterable[Dialogue], **parameters: Any) -> Self:
        """Make a processor to measure for a training set: sizes, words, labels and task.

        Text comes as frames if any utterance has `text_frames` or `text_features`, otherwise as the words of `text`.

        Args:
            dialogues: the training dialogues. Where they are encoded too, `read_dialogues` saves reading them twice.
            **parameters: any parameter of the processor; what is given is not inferred.

        Raises:
            DialogueError: nothing to read, or anything that `summarize_dialogues` refuses.
        """
        dialogues = as_dialogue_list(dialogues)
        summary = summarize_dialogues(dialogues, parameters.get("problem_type"))
        inferred = cls._parameters_for(summary)
        if text_dim := summary.size_of_frames("text"):
            inferred["text_dim"] = text_dim
        elif not summary.num_texts:
            inferred["text_dim"] = 0
        elif parameters.get("text_dim") != 0:
            inferred["vocabulary"] = learn_vocabulary(_texts(dialogues))
        processor = cls(**(inferred | parameters))
        if not processor.reads_anything:
            raise DialogueError(
                "no utterance has text, text_frames, audio_frames or video_frames (or text_features, audio_features "
                "or visual_features); this processor reads words and sequences of frames"
            )
        return processor

    def model_kwargs(self) -> dict[str, Any]:
        """Return what a model's config must share with this processor: `GBANConfig(**processor.model_kwargs())`."""
        words = {"vocab_size": NUM_SPECIAL + len(self.vocabulary or ())} if self.reads_words else {}
        return super().model_kwargs() | words

    def _encode_raw(
        self, utterances: Sequence[Utterance], places: Sequence[str], cuts: Cuts
    ) -> Iterator[np.ndarray | None]:
        """As in the base class: the words of the text."""
        for utterance, place in zip(utterances, places, strict=True):
            text = get_text(utterance, place)
            yield None if text is None else word_ids(text, self._numbers)

    # Words for people.

    def _describe_encoder(self, modality: str, config: Any) -> tuple[str, str]:
        return f"at most {self.max_words} words", f"vectors of {len(self.vocabulary or ())} words in the model"

    def describe_context(self, config: Any) -> list[str]:
        """As in the base class."""
        audio = [f"Speech is read up to {self.max_audio_frames} frames."] if self.audio_dim else []
        return audio + super().describe_context(config)


def _texts(dialogues: Iterable[Dialogue]) -> Iterable[str]:
    for name, utterances in name_utterances(dialogues):
        for index, utterance in enumerate(utterances):
            text = get_text(utterance, utterance_name(name, index))
            if text is not None:
                yield text
