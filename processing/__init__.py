"""Utterances -> features -> graph batch: the processors and what they are made of."""

if not __name__.startswith("joyful_hf."):
    raise ImportError("import this folder as `joyful_hf.processing`, not under its own name")

from .dialogues import FEATURE_KEYS, FRAME_KEYS, MODALITIES, DialogueError
from .extractors import EXTRACTOR_KEYS
from .graph import num_relations
from .processing_foal_net import EncodedUtterance, FoalNetProcessor
from .processing_joyful import EncodedDialogue, JoyfulProcessor
from .processor_base import EmotionRecognitionProcessor, EncodedExample
from .pyg import batch_to_pyg, pyg_to_batch
from .summary import DialogueSummary, summarize_dialogues

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
    "JoyfulProcessor",
    "batch_to_pyg",
    "num_relations",
    "pyg_to_batch",
    "summarize_dialogues",
]
