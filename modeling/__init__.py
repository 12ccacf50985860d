"""The networks: one configuration and one modeling file a family, and the layers that families share."""

if not __name__.startswith("joyful_hf."):
    raise ImportError("import this folder as `joyful_hf.modeling`, not under its own name")

from .configuration_ar_iigcn import ARIIGCNConfig
from .configuration_foal_net import FoalNetConfig
from .configuration_joyful import JoyfulConfig
from .modeling_ar_iigcn import ARIIGCNForEmotionRecognition, ARIIGCNModel, ARIIGCNPreTrainedModel
from .modeling_foal_net import FoalNetForEmotionRecognition, FoalNetModel, FoalNetPreTrainedModel
from .modeling_joyful import JoyfulForEmotionRecognition, JoyfulModel, JoyfulPreTrainedModel
from .outputs import EmotionRecognitionOutput, FoalNetOutput

__all__ = [
    "ARIIGCNConfig",
    "ARIIGCNForEmotionRecognition",
    "ARIIGCNModel",
    "ARIIGCNPreTrainedModel",
    "EmotionRecognitionOutput",
    "FoalNetConfig",
    "FoalNetForEmotionRecognition",
    "FoalNetModel",
    "FoalNetOutput",
    "FoalNetPreTrainedModel",
    "JoyfulConfig",
    "JoyfulForEmotionRecognition",
    "JoyfulModel",
    "JoyfulPreTrainedModel",
]
