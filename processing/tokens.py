"""The `text` of utterances as tokens, and many of them padded to one rectangle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from transformers import PreTrainedTokenizerBase

from .dialogues import DialogueError, Utterance, utterance_name

# Tokens of an utterance that are read by default: more than nearly anybody says in one go, and a quarter of what BERT
# can read.
DEFAULT_MAX_LENGTH = 128


@dataclass
class Tokens:
    """The tokens of some utterances, one utterance after the other."""

    ids: np.ndarray
    """(tokens,) int64."""
    lengths: np.ndarray
    """(utterances,) int64, 0 where there is no text."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Join the tokens of several dialogues."""
        return cls(np.concatenate([part.ids for part in parts]), np.concatenate([part.lengths for part in parts]))

    def pad(self, padding_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and their mask, 1 = real: both (utterances, longest) int64, with at least one column."""
        mask = np.arange(max(1, self.lengths.max())) < self.lengths[:, None]
        ids = np.full(mask.shape, padding_id, np.int64)
        ids[mask] = self.ids
        return ids, mask.astype(np.int64)


def get_text(utterance: Utterance, place: str) -> str | None:
    """Return the text of an utterance, or None where nothing is written.

    Raises:
        DialogueError: `text` is not a string.
    """
    text = utterance.get("text")
    if text is None:
        return None
    if not isinstance(text, str):
        raise DialogueError(f"{place}: 'text' must be a string, got {type(text).__name__} {text!r:.60}")
    return text if text.strip() else None


def run_tokenizer(tokenizer: PreTrainedTokenizerBase, texts: list[str], **options: Any) -> Any:
    """Call a tokenizer.

    Raises:
        DialogueError: its files are damaged in a way that shows at some texts only.
    """
    try:
        return tokenizer(texts, **options)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, and no Exception
            raise
        raise DialogueError(f"the tokenizer is damaged ({error}); copy its files again") from None


def tokenize(
    utterances: Sequence[Utterance], tokenizer: PreTrainedTokenizerBase, max_length: int, name: str
) -> Tokens:
    """Tokenize a dialogue's utterances, each cut to `max_length` tokens, special tokens included."""
    texts = [get_text(utterance, utterance_name(name, index)) for index, utterance in enumerate(utterances)]
    given = [text for text in texts if text is not None]
    ids = run_tokenizer(tokenizer, given, truncation=True, max_length=max_length)["input_ids"] if given else []
    lengths = np.zeros(len(texts), np.int64)
    lengths[[text is not None for text in texts]] = [len(of_text) for of_text in ids]
    return Tokens(
        np.concatenate([np.empty(0, np.int64), *(np.asarray(of_text, np.int64) for of_text in ids)]), lengths
    )
