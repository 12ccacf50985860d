"""Extractors of text: hashed words, or the tokens of a pretrained encoder, averaged in each of its layers."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from transformers.utils.hub import cached_file

from .dialogues import DialogueError, Utterance
from .encoder_layers import POOLED
from .encoders import PretrainedExtractor, encoder_of, hidden_states_of
from .extractor_base import Extracted, FeatureExtractor
from .optional_imports import import_optional
from .tokens import run_tokenizer

_TEXTS_PER_BATCH = 32
_MOST_TOKENS = 8192
# The switches of sentence-transformers' poolings, in the order in which several are joined.
_POOLING_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
}


class TextExtractor(FeatureExtractor):
    """Base of extractors that read many texts at once."""

    example = {"text": "a"}

    def __call__(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[Extracted]:
        if frames:
            yield from super().__call__(utterances, frames)
            return
        texts = [utterance["text"] for utterance in utterances]
        vectors = iter(self.encode([text for text in texts if isinstance(text, str)]))
        for text in texts:
            yield (
                next(vectors)
                if isinstance(text, str)
                else DialogueError(f"'text' must be a string, got {type(text).__name__}")
            )

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return a vector per text, (texts, size) float32."""
        raise NotImplementedError


class HashedWords(TextExtractor):
    """Counts of hashed words and pieces of words, 512 numbers, without a vocabulary or a download.

    Lower-cased words, marks such as ! and ?, and pairs of them are hashed to 256 numbers, pieces of words of 2 to 4
    characters to the other 256; each half has length 1.
    """

    def __init__(self) -> None:
        # It takes long to import.
        text = import_optional("sklearn.feature_extraction.text", None, "text_extractor 'hashing'")
        self._vectorizers = (
            text.HashingVectorizer(n_features=256, ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]"),
            text.HashingVectorizer(n_features=256, ngram_range=(2, 4), analyzer="char_wb"),
        )

    def encode(self, texts: list[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, 512), np.float32)
        return np.hstack([vectorizer.transform(texts).toarray() for vectorizer in self._vectorizers]).astype(
            np.float32
        )


class TextEncoder(PretrainedExtractor, TextExtractor):
    """A text encoder of transformers: layers of it, each averaged over the tokens, or what `pooled` makes of the last.

    That is what a sentence-transformers folder says, and the mean in any other. The tokens that an encoder puts in
    front and at the end count: without them, a linear classifier on four layers of MiniLM had a weighted F1 of 0.533
    instead of 0.538 on MELD's validation dialogues.

    Args:
        name: folder or Hub id.
        revision: revision of a Hub id.
        device: as in torch.
    """

    modality = "text"

    def __init__(self, name: str, revision: str | None, device: str) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(name, revision=revision)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model = encoder_of(AutoModel.from_pretrained(name, revision=revision, dtype=torch.float32), device)
        self._pooling, self._normalize = _sentence_settings(name, revision)
        longest = (_read_json(name, revision, "sentence_bert_config.json") or {}).get("max_seq_length")
        # Some encoders keep two of their positions for themselves.
        positions = getattr(self._model.config, "max_position_embeddings", 0) - 2
        limits = (longest, positions, self._tokenizer.model_max_length, _MOST_TOKENS)
        self._max_length = min(limit for limit in limits if limit is not None and limit > 0)

    def encode(self, texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors: list[Any] = [None] * len(texts)
        for first in range(0, len(order), _TEXTS_PER_BATCH):
            part = order[first : first + _TEXTS_PER_BATCH]
            for index, vector in zip(part, self._encode_batch([texts[index] for index in part]), strict=True):
                vectors[index] = vector
        return np.array(vectors, np.float32)

    def _encode_batch(self, texts: list[str]) -> np.ndarray:
        if self.layers().mix == POOLED:
            tokens, mask = self._run(texts)
            pooled = torch.cat([_pool(tokens, mask, mode) for mode in self._pooling], dim=-1)
            return (torch.nn.functional.normalize(pooled) if self._normalize else pooled).cpu().numpy()
        states, mask = self._run(texts, output_hidden_states=True)
        return self._join(states, pool=lambda tokens: _pool(tokens, mask, "mean")).cpu().numpy()

    def _example_states(self) -> Sequence[Tensor]:
        return self._run([self.example["text"]], output_hidden_states=True)[0]

    @torch.inference_mode()
    def _run(self, texts: list[str], output_hidden_states: bool = False) -> tuple[Any, Tensor]:
        """Return the last hidden state (B, T, size) or all of them, and the mask (B, T), 1 = real."""
        options = {"padding": True, "truncation": True, "max_length": self._max_length, "return_tensors": "pt"}
        inputs = run_tokenizer(self._tokenizer, texts, **options).to(self._model.device)
        output = self._model(**inputs, output_hidden_states=output_hidden_states)
        found = hidden_states_of(output) if output_hidden_states else output.last_hidden_state
        return found, inputs["attention_mask"]


def _pool(tokens: Tensor, mask: Tensor, mode: str) -> Tensor:
    """Pool tokens (B, T, size) with a mask (B, T), 1 = real, padded at either side, to (B, size)."""
    rows = torch.arange(len(tokens), device=tokens.device)
    if mode == "cls":
        return tokens[rows, mask.argmax(-1)]
    if mode == "lasttoken":
        return tokens[rows, mask.size(-1) - 1 - mask.flip(-1).argmax(-1)]
    real = mask[..., None].bool()
    if mode == "max":
        return tokens.masked_fill(~real, -torch.inf).amax(1)
    count = mask.sum(-1, keepdim=True).clamp(min=1)
    return tokens.masked_fill(~real, 0).sum(1) / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def _sentence_settings(name: str, revision: str | None) -> tuple[list[str], bool]:
    """Return how a sentence-transformers folder pools its tokens, and whether its vectors have length 1.

    Other folders pool by the mean, and have vectors of any length.

    Raises:
        DialogueError: a pooling of an unknown kind.
    """
    modules = _read_json(name, revision, "modules.json") or []
    kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules}
    if "Pooling" not in kinds:
        return ["mean"], "Normalize" in kinds
    settings = _read_json(name, revision, str(PurePosixPath(kinds["Pooling"]) / "config.json")) or {}
    named = settings.get("pooling_mode")  # of newer folders
    poolings = [pooling for switch, pooling in _POOLING_SWITCHES.items() if settings.get(switch) or named == pooling]
    if not poolings:
        raise DialogueError(f"{name}: pools its tokens in another way than {', '.join(_POOLING_SWITCHES.values())}")
    return poolings, "Normalize" in kinds


def _read_json(name: str, revision: str | None, file: str) -> Any:
    path = cached_file(
        *(name, file),
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if path is None:
        return None
    with open(path, encoding="utf-8") as opened:
        return json.load(opened)
