"""Utterances -> features -> graph batch: the processors and what they are made of."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dialogue_error import DialogueError as DialogueError
    from .dialogues import EXTRACTOR_KEYS as EXTRACTOR_KEYS
    from .dialogues import FEATURE_KEYS as FEATURE_KEYS
    from .dialogues import FRAME_KEYS as FRAME_KEYS
    from .dialogues import MODALITIES as MODALITIES
    from .graph import num_relations as num_relations
    from .packing_dialogues import EncodedDialogue as EncodedDialogue
    from .processing_foal_net import FoalNetProcessor as FoalNetProcessor
    from .processing_gban import GBANProcessor as GBANProcessor
    from .processing_joyful import JoyfulProcessor as JoyfulProcessor
    from .processing_padded import EncodedUtterance as EncodedUtterance
    from .processor_base import EmotionRecognitionProcessor as EmotionRecognitionProcessor
    from .processor_base import EncodedExample as EncodedExample
    from .pyg import batch_to_pyg as batch_to_pyg
    from .pyg import pyg_to_batch as pyg_to_batch
    from .summary import DialogueSummary as DialogueSummary
    from .summary import summarize_dialogues as summarize_dialogues

if not __name__.startswith("joyful_hf."):
    raise ImportError("import this folder as `joyful_hf.processing`, not under its own name")

_MODULES = {
    "EXTRACTOR_KEYS": "dialogues",
    "FEATURE_KEYS": "dialogues",
    "FRAME_KEYS": "dialogues",
    "MODALITIES": "dialogues",
    "DialogueError": "dialogue_error",
    "DialogueSummary": "summary",
    "EmotionRecognitionProcessor": "processor_base",
    "EncodedDialogue": "packing_dialogues",
    "EncodedExample": "processor_base",
    "EncodedUtterance": "processing_padded",
    "FoalNetProcessor": "processing_foal_net",
    "GBANProcessor": "processing_gban",
    "JoyfulProcessor": "processing_joyful",
    "batch_to_pyg": "pyg",
    "num_relations": "graph",
    "pyg_to_batch": "pyg",
    "summarize_dialogues": "summary",
}

__all__ = [
    "EXTRACTOR_KEYS",
    "FEATURE_KEYS",
    "FRAME_KEYS",
    "MODALITIES",
    "DialogueError",
    "DialogueSummary",
    "EmotionRecognitionProcessor",
    "EncodedDialogue",
    "EncodedExample",
    "EncodedUtterance",
    "FoalNetProcessor",
    "GBANProcessor",
    "JoyfulProcessor",
    "batch_to_pyg",
    "num_relations",
    "pyg_to_batch",
    "summarize_dialogues",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
