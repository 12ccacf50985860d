"""Makes the families known to transformers' Auto classes and pipelines, and joins the two rooms of the package."""

from transformers import AutoConfig, AutoModel, AutoProcessor

from .families import FAMILIES
from .inference import register_pipeline
from .modeling.pretrained import EmotionRecognitionPreTrainedModel
from .processing import DialogueError


def register() -> None:
    """Register every family. `AutoModel` gives the model with its classifier, which is what a checkpoint holds."""
    for family in FAMILIES.values():
        AutoConfig.register(family.config_class.model_type, family.config_class, exist_ok=True)
        AutoModel.register(family.config_class, family.model_class, exist_ok=True)
        AutoProcessor.register(family.config_class, family.processor_class, exist_ok=True)
    register_pipeline()
    # `modeling` may not import `processing`: here its models learn which error to raise.
    EmotionRecognitionPreTrainedModel.batch_error = DialogueError
