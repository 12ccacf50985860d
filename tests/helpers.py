"""Small dialogues and small models that many tests share, and the table of families that they run over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from transformers import PreTrainedModel

from joyful_hf import (
    ARIIGCNConfig,
    ARIIGCNForEmotionRecognition,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
)
from joyful_hf.modeling.augmentation import SpeakerGraph
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.processing.graph import relation_ids, window_edges

DIMS = {"text": 12, "audio": 6, "visual": 8}
LABELS = ("anger", "joy", "neutral", "sadness")


def make_dialogue(
    length: int,
    seed: int = 0,
    speakers: int = 2,
    modalities: Sequence[str] = ("text", "audio", "visual"),
    dialogue_id: str | None = None,
    label: Callable[[np.random.Generator], Any] = lambda rng: LABELS[rng.integers(len(LABELS))],
) -> dict[str, Any]:
    """One random dialogue in the record that users write."""
    rng = np.random.default_rng((seed, length))
    utterances = []
    for index in range(length):
        utterance: dict[str, Any] = {
            "speaker": f"speaker {index % speakers if index < speakers else rng.integers(speakers)}",
            "text": f"utterance {index}",
            "label": label(rng),
        }
        for modality in modalities:
            utterance[f"{modality}_features"] = rng.normal(size=DIMS[modality]).astype(np.float32).tolist()
        utterances.append(utterance)
    return {"dialogue_id": dialogue_id or f"d{seed}", "utterances": utterances}


def make_dialogues(lengths: Sequence[int] = (5, 9, 1, 23), **kwargs: Any) -> list[dict[str, Any]]:
    """Several random dialogues, of the given lengths."""
    return [make_dialogue(length, seed=index, **kwargs) for index, length in enumerate(lengths)]


# Hypothesis: the lengths of a few dialogues, of one utterance too.
batches_of_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def make_layout(lengths: Sequence[int]) -> DialogueLayout:
    """The layout of dialogues of these lengths."""
    return DialogueLayout(torch.tensor(lengths), sum(lengths))


def make_graph(
    lengths: Sequence[int],
    size: int = 8,
    window: int = 2,
    speakers: int = 3,
    relation_scheme: str = "speaker_pair",
    seed: int = 0,
) -> SpeakerGraph:
    """A packed batch of windowed graphs with random nodes and random speakers."""
    rng = np.random.default_rng(seed)
    edge_index = window_edges(np.asarray(lengths), window, window)
    speaker_ids = rng.integers(speakers, size=sum(lengths))
    return SpeakerGraph(
        nodes=torch.from_numpy(rng.normal(size=(sum(lengths), size)).astype(np.float32)),
        edge_index=torch.from_numpy(edge_index),
        edge_type=torch.from_numpy(relation_ids(edge_index, speaker_ids, relation_scheme, speakers)),
        speaker_ids=torch.from_numpy(speaker_ids),
        layout=make_layout(lengths),
        relation_scheme=relation_scheme,
        max_speakers=speakers,
    )


@dataclass(frozen=True)
class FamilyCase:
    """A row of the table: a small model of one family in one of its forms."""

    name: str
    make_config: Callable[..., Any]
    model_class: type[PreTrainedModel]
    processor_class: type[JoyfulProcessor]
    loss_parts: tuple[str, ...]

    def make(self, dialogues: list[dict[str, Any]], seed: int = 0, **overrides: Any) -> tuple[Any, JoyfulProcessor]:
        """A fresh model in evaluation mode and a fitted processor for these dialogues."""
        processor_parameters = {key: overrides.pop(key) for key in list(overrides) if key.startswith("window_")}
        processor = self.processor_class.from_dialogues(dialogues, **processor_parameters)
        torch.manual_seed(seed)
        model = self.model_class(self.make_config(**(processor.model_kwargs() | overrides)))
        return model.eval(), processor


_SMALL = {"hidden_dropout_prob": 0.1, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


def _recommended(**kwargs: Any) -> JoyfulConfig:
    sizes = {
        "contextual_size": 8,
        "projection_size": 8,
        "basis_size": 4,
        "graph_hidden_size": 16,
        "graph_num_heads": 2,
        "contrastive_loss_weight": 0.1,
    }
    return JoyfulConfig(**(_SMALL | sizes | kwargs))


def _paper(**kwargs: Any) -> JoyfulConfig:
    sizes = {"projection_size": 8, "basis_size": 4, "classifier_hidden_size": 16}
    return JoyfulConfig.paper(**(_SMALL | sizes | kwargs))


def _released(**kwargs: Any) -> JoyfulConfig:
    sizes = {
        "projection_size": 10,
        "autoencoder_size": 20,
        "bottleneck_size": 8,
        "graph_hidden_size": 12,
        "graph_num_heads": 2,
    }
    return JoyfulConfig.released(**(_SMALL | sizes | kwargs))


_AR_IIGCN_SIZES = {
    "projection_size": 12,
    "discriminator_hidden_size": 8,
    "classifier_hidden_size": 16,
    "hidden_dropout_prob": 0.1,
}


def _ar_iigcn_recommended(**kwargs: Any) -> ARIIGCNConfig:
    return ARIIGCNConfig(**(_AR_IIGCN_SIZES | {"graph_num_heads": 2} | kwargs))


def _ar_iigcn_paper(**kwargs: Any) -> ARIIGCNConfig:
    return ARIIGCNConfig.paper(**(_AR_IIGCN_SIZES | kwargs))


_JOYFUL = (JoyfulForEmotionRecognition, JoyfulProcessor, ("fusion", "contrastive", "classification"))
_AR_IIGCN = (
    ARIIGCNForEmotionRecognition,
    JoyfulProcessor,
    ("classification", "generator", "discriminator", "intra_modal", "inter_modal"),
)

FAMILY_CASES = [
    FamilyCase("joyful-recommended", _recommended, *_JOYFUL),
    FamilyCase("joyful-paper", _paper, *_JOYFUL),
    FamilyCase("joyful-released", _released, *_JOYFUL),
    FamilyCase("ar-iigcn-recommended", _ar_iigcn_recommended, *_AR_IIGCN),
    FamilyCase("ar-iigcn-paper", _ar_iigcn_paper, *_AR_IIGCN),
]
