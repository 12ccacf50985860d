"""The networks: one configuration and one modeling file per family, and the layers that families share."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Imported first: the families' configurations are registered right after it, and they import it themselves.
import transformers.models.auto.configuration_auto  # noqa: F401

if TYPE_CHECKING:
    from .configuration_ar_iigcn import ARIIGCNConfig as ARIIGCNConfig
    from .configuration_dialogue_gcn import DialogueGCNConfig as DialogueGCNConfig
    from .configuration_dialogue_rnn import DialogueRNNConfig as DialogueRNNConfig
    from .configuration_foal_net import FoalNetConfig as FoalNetConfig
    from .configuration_gban import GBANConfig as GBANConfig
    from .configuration_graph_smile import GraphSmileConfig as GraphSmileConfig
    from .configuration_jmt import JMTConfig as JMTConfig
    from .configuration_joyful import JoyfulConfig as JoyfulConfig
    from .configuration_lmam import LMAMConfig as LMAMConfig
    from .configuration_m2fnet import M2FNetConfig as M2FNetConfig
    from .configuration_m3net import M3NetConfig as M3NetConfig
    from .configuration_mmgcn import MMGCNConfig as MMGCNConfig
    from .configuration_sdt import SDTConfig as SDTConfig
    from .modeling_ar_iigcn import ARIIGCNForEmotionRecognition as ARIIGCNForEmotionRecognition
    from .modeling_ar_iigcn import ARIIGCNModel as ARIIGCNModel
    from .modeling_ar_iigcn import ARIIGCNPreTrainedModel as ARIIGCNPreTrainedModel
    from .modeling_dialogue_gcn import DialogueGCNForEmotionRecognition as DialogueGCNForEmotionRecognition
    from .modeling_dialogue_gcn import DialogueGCNModel as DialogueGCNModel
    from .modeling_dialogue_gcn import DialogueGCNPreTrainedModel as DialogueGCNPreTrainedModel
    from .modeling_dialogue_rnn import DialogueRNNForEmotionRecognition as DialogueRNNForEmotionRecognition
    from .modeling_dialogue_rnn import DialogueRNNModel as DialogueRNNModel
    from .modeling_dialogue_rnn import DialogueRNNPreTrainedModel as DialogueRNNPreTrainedModel
    from .modeling_foal_net import FoalNetForEmotionRecognition as FoalNetForEmotionRecognition
    from .modeling_foal_net import FoalNetModel as FoalNetModel
    from .modeling_foal_net import FoalNetPreTrainedModel as FoalNetPreTrainedModel
    from .modeling_gban import GBANForEmotionRecognition as GBANForEmotionRecognition
    from .modeling_gban import GBANModel as GBANModel
    from .modeling_gban import GBANPreTrainedModel as GBANPreTrainedModel
    from .modeling_graph_smile import GraphSmileForEmotionRecognition as GraphSmileForEmotionRecognition
    from .modeling_graph_smile import GraphSmileModel as GraphSmileModel
    from .modeling_graph_smile import GraphSmilePreTrainedModel as GraphSmilePreTrainedModel
    from .modeling_jmt import JMTForEmotionRecognition as JMTForEmotionRecognition
    from .modeling_jmt import JMTModel as JMTModel
    from .modeling_jmt import JMTPreTrainedModel as JMTPreTrainedModel
    from .modeling_joyful import JoyfulForEmotionRecognition as JoyfulForEmotionRecognition
    from .modeling_joyful import JoyfulModel as JoyfulModel
    from .modeling_joyful import JoyfulPreTrainedModel as JoyfulPreTrainedModel
    from .modeling_lmam import LMAMForEmotionRecognition as LMAMForEmotionRecognition
    from .modeling_lmam import LMAMModel as LMAMModel
    from .modeling_lmam import LMAMPreTrainedModel as LMAMPreTrainedModel
    from .modeling_m2fnet import M2FNetForEmotionRecognition as M2FNetForEmotionRecognition
    from .modeling_m2fnet import M2FNetModel as M2FNetModel
    from .modeling_m2fnet import M2FNetPreTrainedModel as M2FNetPreTrainedModel
    from .modeling_m3net import M3NetForEmotionRecognition as M3NetForEmotionRecognition
    from .modeling_m3net import M3NetModel as M3NetModel
    from .modeling_m3net import M3NetPreTrainedModel as M3NetPreTrainedModel
    from .modeling_mmgcn import MMGCNForEmotionRecognition as MMGCNForEmotionRecognition
    from .modeling_mmgcn import MMGCNModel as MMGCNModel
    from .modeling_mmgcn import MMGCNPreTrainedModel as MMGCNPreTrainedModel
    from .modeling_sdt import SDTForEmotionRecognition as SDTForEmotionRecognition
    from .modeling_sdt import SDTModel as SDTModel
    from .modeling_sdt import SDTPreTrainedModel as SDTPreTrainedModel
    from .outputs import EmotionRecognitionOutput as EmotionRecognitionOutput
    from .outputs import FoalNetOutput as FoalNetOutput

if not __name__.startswith("joyful_hf."):
    raise ImportError("import this folder as `joyful_hf.modeling`, not under its own name")

_MODULES = {
    "ARIIGCNConfig": "configuration_ar_iigcn",
    "ARIIGCNForEmotionRecognition": "modeling_ar_iigcn",
    "ARIIGCNModel": "modeling_ar_iigcn",
    "ARIIGCNPreTrainedModel": "modeling_ar_iigcn",
    "DialogueGCNConfig": "configuration_dialogue_gcn",
    "DialogueGCNForEmotionRecognition": "modeling_dialogue_gcn",
    "DialogueGCNModel": "modeling_dialogue_gcn",
    "DialogueGCNPreTrainedModel": "modeling_dialogue_gcn",
    "DialogueRNNConfig": "configuration_dialogue_rnn",
    "DialogueRNNForEmotionRecognition": "modeling_dialogue_rnn",
    "DialogueRNNModel": "modeling_dialogue_rnn",
    "DialogueRNNPreTrainedModel": "modeling_dialogue_rnn",
    "EmotionRecognitionOutput": "outputs",
    "FoalNetConfig": "configuration_foal_net",
    "FoalNetForEmotionRecognition": "modeling_foal_net",
    "FoalNetModel": "modeling_foal_net",
    "FoalNetOutput": "outputs",
    "FoalNetPreTrainedModel": "modeling_foal_net",
    "GBANConfig": "configuration_gban",
    "GBANForEmotionRecognition": "modeling_gban",
    "GBANModel": "modeling_gban",
    "GBANPreTrainedModel": "modeling_gban",
    "GraphSmileConfig": "configuration_graph_smile",
    "GraphSmileForEmotionRecognition": "modeling_graph_smile",
    "GraphSmileModel": "modeling_graph_smile",
    "GraphSmilePreTrainedModel": "modeling_graph_smile",
    "JMTConfig": "configuration_jmt",
    "JMTForEmotionRecognition": "modeling_jmt",
    "JMTModel": "modeling_jmt",
    "JMTPreTrainedModel": "modeling_jmt",
    "JoyfulConfig": "configuration_joyful",
    "JoyfulForEmotionRecognition": "modeling_joyful",
    "JoyfulModel": "modeling_joyful",
    "JoyfulPreTrainedModel": "modeling_joyful",
    "LMAMConfig": "configuration_lmam",
    "LMAMForEmotionRecognition": "modeling_lmam",
    "LMAMModel": "modeling_lmam",
    "LMAMPreTrainedModel": "modeling_lmam",
    "M2FNetConfig": "configuration_m2fnet",
    "M2FNetForEmotionRecognition": "modeling_m2fnet",
    "M2FNetModel": "modeling_m2fnet",
    "M2FNetPreTrainedModel": "modeling_m2fnet",
    "M3NetConfig": "configuration_m3net",
    "M3NetForEmotionRecognition": "modeling_m3net",
    "M3NetModel": "modeling_m3net",
    "M3NetPreTrainedModel": "modeling_m3net",
    "MMGCNConfig": "configuration_mmgcn",
    "MMGCNForEmotionRecognition": "modeling_mmgcn",
    "MMGCNModel": "modeling_mmgcn",
    "MMGCNPreTrainedModel": "modeling_mmgcn",
    "SDTConfig": "configuration_sdt",
    "SDTForEmotionRecognition": "modeling_sdt",
    "SDTModel": "modeling_sdt",
    "SDTPreTrainedModel": "modeling_sdt",
}

__all__ = [
    "ARIIGCNConfig",
    "ARIIGCNForEmotionRecognition",
    "ARIIGCNModel",
    "ARIIGCNPreTrainedModel",
    "DialogueGCNConfig",
    "DialogueGCNForEmotionRecognition",
    "DialogueGCNModel",
    "DialogueGCNPreTrainedModel",
    "DialogueRNNConfig",
    "DialogueRNNForEmotionRecognition",
    "DialogueRNNModel",
    "DialogueRNNPreTrainedModel",
    "EmotionRecognitionOutput",
    "FoalNetConfig",
    "FoalNetForEmotionRecognition",
    "FoalNetModel",
    "FoalNetOutput",
    "FoalNetPreTrainedModel",
    "GBANConfig",
    "GBANForEmotionRecognition",
    "GBANModel",
    "GBANPreTrainedModel",
    "GraphSmileConfig",
    "GraphSmileForEmotionRecognition",
    "GraphSmileModel",
    "GraphSmilePreTrainedModel",
    "JMTConfig",
    "JMTForEmotionRecognition",
    "JMTModel",
    "JMTPreTrainedModel",
    "JoyfulConfig",
    "JoyfulForEmotionRecognition",
    "JoyfulModel",
    "JoyfulPreTrainedModel",
    "LMAMConfig",
    "LMAMForEmotionRecognition",
    "LMAMModel",
    "LMAMPreTrainedModel",
    "M2FNetConfig",
    "M2FNetForEmotionRecognition",
    "M2FNetModel",
    "M2FNetPreTrainedModel",
    "M3NetConfig",
    "M3NetForEmotionRecognition",
    "M3NetModel",
    "M3NetPreTrainedModel",
    "MMGCNConfig",
    "MMGCNForEmotionRecognition",
    "MMGCNModel",
    "MMGCNPreTrainedModel",
    "SDTConfig",
    "SDTForEmotionRecognition",
    "SDTModel",
    "SDTPreTrainedModel",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
