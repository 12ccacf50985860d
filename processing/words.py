"""The `text` of utterances as words, and the vocabulary of a training set."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

# Ids of the padding and of words that the vocabulary does not have; its own follow.
PADDING, UNKNOWN = 0, 1
NUM_SPECIAL = 2
_MOST_WORDS = 20000
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[.!?]")


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, and its full stops, exclamation and question marks."""
    return _WORD.findall(text.lower())


def learn_vocabulary(texts: Iterable[str]) -> list[str]:
    """Return the words of these texts, the most frequent first."""
    counts = Counter(word for text in texts for word in split_words(text))
    # Words of one frequency in the order of the alphabet, so that the order of the texts does not matter.
    return sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_WORDS]


def number_words(vocabulary: Sequence[str]) -> dict[str, int]:
    """Map each word of a vocabulary to its id."""
    return {word: index for index, word in enumerate(vocabulary, NUM_SPECIAL)}


def word_ids(text: str, numbers: Mapping[str, int]) -> np.ndarray:
    """Return the ids (words,) int64 of a text, one at least."""
    return np.array([numbers.get(word, UNKNOWN) for word in split_words(text)] or [UNKNOWN], np.int64)
