"""Multimodal emotion recognition in conversation, the Hugging Face way.

Importing this package makes its models known to `AutoConfig`, `AutoModel`, `AutoProcessor` and `pipeline`. It loads
none of them: a public name is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registration import register as _register

if TYPE_CHECKING:
    from .data.dialogue_files import load_dialogues as load_dialogues
    from .data.extraction import extract_features as extract_features
    from .data.recordings import load_recordings as load_recordings
    from .evaluation.metrics import compute_metrics as compute_metrics
    from .families import Family as Family
    from .hub.push import push_folder as push_folder
    from .inference.explanation import explain as explain
    from .inference.export import export_model as export_model
    from .inference.pipeline import EmotionRecognitionPipeline as EmotionRecognitionPipeline
    from .inference.streaming import StreamingRecognizer as StreamingRecognizer
    from .model_card.card import write_model_card as write_model_card
    from .modeling.configuration_ar_iigcn import ARIIGCNConfig as ARIIGCNConfig
    from .modeling.configuration_dialogue_gcn import DialogueGCNConfig as DialogueGCNConfig
    from .modeling.configuration_dialogue_rnn import DialogueRNNConfig as DialogueRNNConfig
    from .modeling.configuration_foal_net import FoalNetConfig as FoalNetConfig
    from .modeling.configuration_gban import GBANConfig as GBANConfig
    from .modeling.configuration_graph_smile import GraphSmileConfig as GraphSmileConfig
    from .modeling.configuration_jmt import JMTConfig as JMTConfig
    from .modeling.configuration_joyful import JoyfulConfig as JoyfulConfig
    from .modeling.configuration_lmam import LMAMConfig as LMAMConfig
    from .modeling.configuration_m2fnet import M2FNetConfig as M2FNetConfig
    from .modeling.configuration_m3net import M3NetConfig as M3NetConfig
    from .modeling.configuration_mmgcn import MMGCNConfig as MMGCNConfig
    from .modeling.configuration_sdt import SDTConfig as SDTConfig
    from .modeling.extractor_loss import M2FNetExtractorLoss as M2FNetExtractorLoss
    from .modeling.modeling_ar_iigcn import ARIIGCNForEmotionRecognition as ARIIGCNForEmotionRecognition
    from .modeling.modeling_ar_iigcn import ARIIGCNModel as ARIIGCNModel
    from .modeling.modeling_dialogue_gcn import DialogueGCNForEmotionRecognition as DialogueGCNForEmotionRecognition
    from .modeling.modeling_dialogue_gcn import DialogueGCNModel as DialogueGCNModel
    from .modeling.modeling_dialogue_rnn import DialogueRNNForEmotionRecognition as DialogueRNNForEmotionRecognition
    from .modeling.modeling_dialogue_rnn import DialogueRNNModel as DialogueRNNModel
    from .modeling.modeling_foal_net import FoalNetForEmotionRecognition as FoalNetForEmotionRecognition
    from .modeling.modeling_foal_net import FoalNetModel as FoalNetModel
    from .modeling.modeling_gban import GBANForEmotionRecognition as GBANForEmotionRecognition
    from .modeling.modeling_gban import GBANModel as GBANModel
    from .modeling.modeling_graph_smile import GraphSmileForEmotionRecognition as GraphSmileForEmotionRecognition
    from .modeling.modeling_graph_smile import GraphSmileModel as GraphSmileModel
    from .modeling.modeling_jmt import JMTForEmotionRecognition as JMTForEmotionRecognition
    from .modeling.modeling_jmt import JMTModel as JMTModel
    from .modeling.modeling_joyful import JoyfulForEmotionRecognition as JoyfulForEmotionRecognition
    from .modeling.modeling_joyful import JoyfulModel as JoyfulModel
    from .modeling.modeling_lmam import LMAMForEmotionRecognition as LMAMForEmotionRecognition
    from .modeling.modeling_lmam import LMAMModel as LMAMModel
    from .modeling.modeling_m2fnet import M2FNetForEmotionRecognition as M2FNetForEmotionRecognition
    from .modeling.modeling_m2fnet import M2FNetModel as M2FNetModel
    from .modeling.modeling_m3net import M3NetForEmotionRecognition as M3NetForEmotionRecognition
    from .modeling.modeling_m3net import M3NetModel as M3NetModel
    from .modeling.modeling_mmgcn import MMGCNForEmotionRecognition as MMGCNForEmotionRecognition
    from .modeling.modeling_mmgcn import MMGCNModel as MMGCNModel
    from .modeling.modeling_sdt import SDTForEmotionRecognition as SDTForEmotionRecognition
    from .modeling.modeling_sdt import SDTModel as SDTModel
    from .modeling.outputs import EmotionRecognitionOutput as EmotionRecognitionOutput
    from .modeling.outputs import FoalNetOutput as FoalNetOutput
    from .processing.dialogue_error import DialogueError as DialogueError
    from .processing.processing_foal_net import FoalNetProcessor as FoalNetProcessor
    from .processing.processing_gban import GBANProcessor as GBANProcessor
    from .processing.processing_joyful import JoyfulProcessor as JoyfulProcessor
    from .processing.pyg import batch_to_pyg as batch_to_pyg
    from .processing.pyg import pyg_to_batch as pyg_to_batch
    from .processing.summary import summarize_dialogues as summarize_dialogues
    from .registration import register_family as register_family
    from .released.foal_net import convert_released_foalnet_state_dict as convert_released_foalnet_state_dict
    from .released.joyful import convert_released_state_dict as convert_released_state_dict
    from .toy.corpus import make_toy_corpus as make_toy_corpus
    from .toy.frames import make_toy_frame_corpus as make_toy_frame_corpus
    from .toy.media import make_toy_media_corpus as make_toy_media_corpus
    from .training.arguments import JoyfulTrainingArguments as JoyfulTrainingArguments
    from .training.fine_tuning import load_for_fine_tuning as load_for_fine_tuning
    from .training.trainer import JoyfulTrainer as JoyfulTrainer
    from .transcripts.loading import load_transcript as load_transcript
    from .transcripts.writing import to_frame as to_frame
    from .transcripts.writing import write_predictions as write_predictions
    from .version import __version__ as __version__

_MODULES = {
    "ARIIGCNConfig": "modeling.configuration_ar_iigcn",
    "ARIIGCNForEmotionRecognition": "modeling.modeling_ar_iigcn",
    "ARIIGCNModel": "modeling.modeling_ar_iigcn",
    "DialogueError": "processing.dialogue_error",
    "DialogueGCNConfig": "modeling.configuration_dialogue_gcn",
    "DialogueGCNForEmotionRecognition": "modeling.modeling_dialogue_gcn",
    "DialogueGCNModel": "modeling.modeling_dialogue_gcn",
    "DialogueRNNConfig": "modeling.configuration_dialogue_rnn",
    "DialogueRNNForEmotionRecognition": "modeling.modeling_dialogue_rnn",
    "DialogueRNNModel": "modeling.modeling_dialogue_rnn",
    "EmotionRecognitionOutput": "modeling.outputs",
    "EmotionRecognitionPipeline": "inference.pipeline",
    "Family": "families",
    "FoalNetConfig": "modeling.configuration_foal_net",
    "FoalNetForEmotionRecognition": "modeling.modeling_foal_net",
    "FoalNetModel": "modeling.modeling_foal_net",
    "FoalNetOutput": "modeling.outputs",
    "FoalNetProcessor": "processing.processing_foal_net",
    "GBANConfig": "modeling.configuration_gban",
    "GBANForEmotionRecognition": "modeling.modeling_gban",
    "GBANModel": "modeling.modeling_gban",
    "GBANProcessor": "processing.processing_gban",
    "GraphSmileConfig": "modeling.configuration_graph_smile",
    "GraphSmileForEmotionRecognition": "modeling.modeling_graph_smile",
    "GraphSmileModel": "modeling.modeling_graph_smile",
    "JMTConfig": "modeling.configuration_jmt",
    "JMTForEmotionRecognition": "modeling.modeling_jmt",
    "JMTModel": "modeling.modeling_jmt",
    "JoyfulConfig": "modeling.configuration_joyful",
    "JoyfulForEmotionRecognition": "modeling.modeling_joyful",
    "JoyfulModel": "modeling.modeling_joyful",
    "JoyfulProcessor": "processing.processing_joyful",
    "JoyfulTrainer": "training.trainer",
    "JoyfulTrainingArguments": "training.arguments",
    "LMAMConfig": "modeling.configuration_lmam",
    "LMAMForEmotionRecognition": "modeling.modeling_lmam",
    "LMAMModel": "modeling.modeling_lmam",
    "M2FNetConfig": "modeling.configuration_m2fnet",
    "M2FNetExtractorLoss": "modeling.extractor_loss",
    "M2FNetForEmotionRecognition": "modeling.modeling_m2fnet",
    "M2FNetModel": "modeling.modeling_m2fnet",
    "M3NetConfig": "modeling.configuration_m3net",
    "M3NetForEmotionRecognition": "modeling.modeling_m3net",
    "M3NetModel": "modeling.modeling_m3net",
    "MMGCNConfig": "modeling.configuration_mmgcn",
    "MMGCNForEmotionRecognition": "modeling.modeling_mmgcn",
    "MMGCNModel": "modeling.modeling_mmgcn",
    "SDTConfig": "modeling.configuration_sdt",
    "SDTForEmotionRecognition": "modeling.modeling_sdt",
    "SDTModel": "modeling.modeling_sdt",
    "StreamingRecognizer": "inference.streaming",
    "__version__": "version",
    "batch_to_pyg": "processing.pyg",
    "compute_metrics": "evaluation.metrics",
    "convert_released_foalnet_state_dict": "released.foal_net",
    "convert_released_state_dict": "released.joyful",
    "explain": "inference.explanation",
    "export_model": "inference.export",
    "extract_features": "data.extraction",
    "load_dialogues": "data.dialogue_files",
    "load_for_fine_tuning": "training.fine_tuning",
    "load_recordings": "data.recordings",
    "load_transcript": "transcripts.loading",
    "make_toy_corpus": "toy.corpus",
    "make_toy_frame_corpus": "toy.frames",
    "make_toy_media_corpus": "toy.media",
    "push_folder": "hub.push",
    "pyg_to_batch": "processing.pyg",
    "register_family": "registration",
    "summarize_dialogues": "processing.summary",
    "to_frame": "transcripts.writing",
    "write_model_card": "model_card.card",
    "write_predictions": "transcripts.writing",
}

__all__ = [
    "ARIIGCNConfig",
    "ARIIGCNForEmotionRecognition",
    "ARIIGCNModel",
    "DialogueError",
    "DialogueGCNConfig",
    "DialogueGCNForEmotionRecognition",
    "DialogueGCNModel",
    "DialogueRNNConfig",
    "DialogueRNNForEmotionRecognition",
    "DialogueRNNModel",
    "EmotionRecognitionOutput",
    "EmotionRecognitionPipeline",
    "Family",
    "FoalNetConfig",
    "FoalNetForEmotionRecognition",
    "FoalNetModel",
    "FoalNetOutput",
    "FoalNetProcessor",
    "GBANConfig",
    "GBANForEmotionRecognition",
    "GBANModel",
    "GBANProcessor",
    "GraphSmileConfig",
    "GraphSmileForEmotionRecognition",
    "GraphSmileModel",
    "JMTConfig",
    "JMTForEmotionRecognition",
    "JMTModel",
    "JoyfulConfig",
    "JoyfulForEmotionRecognition",
    "JoyfulModel",
    "JoyfulProcessor",
    "JoyfulTrainer",
    "JoyfulTrainingArguments",
    "LMAMConfig",
    "LMAMForEmotionRecognition",
    "LMAMModel",
    "M2FNetConfig",
    "M2FNetExtractorLoss",
    "M2FNetForEmotionRecognition",
    "M2FNetModel",
    "M3NetConfig",
    "M3NetForEmotionRecognition",
    "M3NetModel",
    "MMGCNConfig",
    "MMGCNForEmotionRecognition",
    "MMGCNModel",
    "SDTConfig",
    "SDTForEmotionRecognition",
    "SDTModel",
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
    "load_transcript",
    "make_toy_corpus",
    "make_toy_frame_corpus",
    "make_toy_media_corpus",
    "push_folder",
    "pyg_to_batch",
    "register_family",
    "summarize_dialogues",
    "to_frame",
    "write_model_card",
    "write_predictions",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_register()
