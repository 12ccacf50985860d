"""A rival's two networks of the same weights, the random data that both read, and whether they agree on it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.process import NUM_LABELS, Runner, make_corpus, make_processor
from benchmarks.speed.rivals import RIVALS
from benchmarks.speed.rivals.gban import FRAMES, PaddedUtterances
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork
from joyful_hf.families import FAMILIES
from joyful_hf.processing import EncodedUtterance

AGREEMENT = 1e-5
# Frames and words of an utterance of IEMOCAP: 4.5 s of 100 frames each, and 12 words.
MEAN_FRAMES, SHORTEST_FRAMES = 450, 100
MEAN_WORDS = 12


class RivalWorkload:
    """Our model and its plain formulation, each with what makes batches for it.

    Args:
        name: of `RIVALS`.
        quick: tiny sizes.
        **overrides: fields of the config.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu", quick: bool = False, **overrides: Any) -> None:
        rival, family = RIVALS[name], FAMILIES[RIVALS[name].family]
        self.device = torch.device(device)
        fields = {**rival.sizes, **(rival.small if quick else {}), **overrides}
        if "id2label" not in fields:
            fields.setdefault("num_labels", NUM_LABELS)
        self.config = getattr(family.config_class, rival.preset)(**fields)
        self.reads_utterances = rival.family == "gban"
        self.dialogues_per_batch = rival.dialogues_per_batch
        torch.manual_seed(0)
        self.plain: PlainNetwork = rival.plain(self.config).to(self.device)
        self.ours: nn.Module = family.model_class(self.config).to(self.device)
        self.ours.load_state_dict(rival.convert(dict(self.plain.released_state())))
        self.processor = self._make_processor(family.processor_class, rival.window)

    def _make_processor(self, processor_class: Callable[..., Any], window: int) -> Any:
        config = self.config
        if self.reads_utterances:
            vocabulary = [f"word {index}" for index in range(config.vocab_size)]
            return processor_class(audio_dim=config.audio_dim, text_dim=config.text_dim, vocabulary=vocabulary)
        return make_processor(config, "released", window)

    def runner(self, formulation: str) -> Runner:
        """Return what trains and predicts with one network, `"ours"` or `"plain"`; it prepares its batches itself."""
        if formulation == "ours":
            return Runner(self.ours, self.pack, self.device)
        return Runner(self.plain, self.pad, self.device)

    def pack(self, corpus: Sequence[Any]) -> Any:
        """Encoded dialogues or utterances -> the arguments of our model."""
        return self.processor.pack(corpus, return_tensors="pt").to(self.device)

    def pad(self, corpus: Sequence[Any]) -> dict[str, Any]:
        """Encoded dialogues or utterances -> the arguments of the plain network."""
        padded = PaddedUtterances if self.reads_utterances else PaddedBatch
        return {"batch": padded.of(corpus, self.device)}

    def corpus(self, lengths: Sequence[int], seed: int = 0) -> list[Any]:
        """Make random encoded dialogues of these lengths; of a system that reads utterances, as many utterances."""
        rng = np.random.default_rng(seed)
        if self.reads_utterances:
            return [self._utterance(rng) for _ in range(sum(lengths))]
        corpus = make_corpus(self.config, lengths, seed=seed)
        if self.config.problem_type == "regression":
            for dialogue in corpus:
                dialogue.labels = rng.uniform(-1, 1, (len(dialogue), 2)).astype(np.float32)
        return corpus

    def _utterance(self, rng: np.random.Generator) -> EncodedUtterance:
        config = self.config
        frames = int(np.clip(rng.normal(MEAN_FRAMES, MEAN_FRAMES / 2), SHORTEST_FRAMES, FRAMES))
        words = 2 + rng.poisson(MEAN_WORDS)
        streams = {
            "text": rng.integers(1, config.vocab_size, words),
            "audio": rng.standard_normal((frames, config.audio_dim), dtype=np.float32),
        }
        return EncodedUtterance(streams, rng.integers(config.num_labels, size=1))

    def batches(self, corpus: Sequence[Any]) -> list[Sequence[Any]]:
        """Cut a corpus into batches of the published size."""
        size = self.dialogues_per_batch
        return [corpus[start : start + size] for start in range(0, len(corpus), size)]

    def difference(self, corpus: Sequence[Any]) -> float:
        """The largest difference between the logits of both networks, in evaluation; relative where they exceed 1."""
        ours, plain = (self.runner(formulation).predict(corpus) for formulation in ("ours", "plain"))
        return float((ours - plain).abs().max() / plain.abs().max().clamp(min=1))
