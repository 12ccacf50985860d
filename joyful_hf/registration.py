"""Makes the families known to transformers' Auto classes and pipelines, and joins the two rooms of the package."""

from transformers import AutoConfig, AutoModel, AutoProcessor

from .families import FAMILIES
from .hub import push_model, push_processor
from .inference import register_pipeline
from .modeling.pretrained import EmotionRecognitionPreTrainedModel
from .processing import DialogueError, EmotionRecognitionProcessor


def register() -> None:
    """Register every family. `AutoModel` gives the model with its classifier, which is what a checkpoint holds."""
    for family in FAMILIES.values():
        AutoConfig.register(family.config_class.model_type, family.config_class, exist_ok=True)
        AutoModel.register(family.config_class, family.model_class, exist_ok=True)
        AutoProcessor.register(family.config_class, family.processor_class, exist_ok=True)
    register_pipeline()
    # The two rooms may import neither each other nor this package: here they learn which error to raise, how to push.
    EmotionRecognitionPreTrainedModel.batch_error = DialogueError
    EmotionRecognitionPreTrainedModel.pusher = push_model
    EmotionRecognitionProcessor.pusher = push_processor
