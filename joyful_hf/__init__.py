"""Multimodal emotion recognition in conversation, the Hugging Face way.

Importing this package makes its models known to `AutoConfig`, `AutoModel`, `AutoProcessor` and `pipeline`.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from . import registration as _registration
from .inference import EmotionRecognitionPipeline
from .modeling import (
    ARIIGCNConfig,
    ARIIGCNForEmotionRecognition,
    ARIIGCNModel,
    EmotionRecognitionOutput,
    FoalNetConfig,
    FoalNetForEmotionRecognition,
    FoalNetModel,
    FoalNetOutput,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulModel,
)
from .processing import (
    DialogueError,
    FoalNetProcessor,
    JoyfulProcessor,
    batch_to_pyg,
    pyg_to_batch,
    summarize_dialogues,
)

if TYPE_CHECKING:
    from .conversion import convert_released_state_dict
    from .conversion_foal_net import convert_released_foalnet_state_dict
    from .dialogue_files import load_dialogues
    from .explanation import explain
    from .export import export_model
    from .extraction import extract_features
    from .fine_tuning import load_for_fine_tuning
    from .hub import push_folder
    from .metrics import compute_metrics
    from .model_card import write_model_card
    from .recordings import load_recordings
    from .streaming import StreamingRecognizer
    from .toy_corpus import make_toy_corpus
    from .toy_frames import make_toy_frame_corpus
    from .toy_media import make_toy_media_corpus
    from .trainer import JoyfulTrainer
    from .training_args import JoyfulTrainingArguments

try:
    __version__ = version("joyful-hf")
except PackageNotFoundError:  # run from the source tree without an install
    __version__ = "0.0.0"

_registration.register()

# Loaded when first asked for: they bring in datasets, the Trainer or scikit-learn.
_LAZY = {
    "StreamingRecognizer": "streaming",
    "JoyfulTrainer": "trainer",
    "JoyfulTrainingArguments": "training_args",
    "compute_metrics": "metrics",
    "convert_released_foalnet_state_dict": "conversion_foal_net",
    "convert_released_state_dict": "conversion",
    "explain": "explanation",
    "export_model": "export",
    "extract_features": "extraction",
    "load_dialogues": "dialogue_files",
    "load_for_fine_tuning": "fine_tuning",
    "load_recordings": "recordings",
    "make_toy_corpus": "toy_corpus",
    "make_toy_frame_corpus": "toy_frames",
    "make_toy_media_corpus": "toy_media",
    "push_folder": "hub",
    "write_model_card": "model_card",
}

__all__ = [
    "ARIIGCNConfig",
    "ARIIGCNForEmotionRecognition",
    "ARIIGCNModel",
    "DialogueError",
    "EmotionRecognitionOutput",
    "EmotionRecognitionPipeline",
    "FoalNetConfig",
    "FoalNetForEmotionRecognition",
    "FoalNetModel",
    "FoalNetOutput",
    "FoalNetProcessor",
    "JoyfulConfig",
    "JoyfulForEmotionRecognition",
    "JoyfulModel",
    "JoyfulProcessor",
    "JoyfulTrainer",
    "JoyfulTrainingArguments",
    "StreamingRecognizer",
    "batch_to_pyg",
    "compute_metrics",
    "convert_released_foalnet_state_dict",
    "convert_released_state_dict",
    "explain",
    "export_model",
    "extract_features",
    "load_dialogues",
    "load_for_fine_tuning",
    "load_recordings",
    "make_toy_corpus",
    "make_toy_frame_corpus",
    "make_toy_media_corpus",
    "push_folder",
    "pyg_to_batch",
    "summarize_dialogues",
    "write_model_card",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
