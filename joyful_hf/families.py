"""The table of families: what `--model NAME` and a checkpoint's `model_type` stand for."""

from dataclasses import dataclass

from transformers import PreTrainedConfig, PreTrainedModel

from .modeling import FoalNetConfig, FoalNetForEmotionRecognition, JoyfulConfig, JoyfulForEmotionRecognition
from .processing import EmotionRecognitionProcessor, FoalNetProcessor, JoyfulProcessor


@dataclass(frozen=True)
class Family:
    """One system: its configuration, its model and its processor."""

    config_class: type[PreTrainedConfig]
    model_class: type[PreTrainedModel]
    processor_class: type[EmotionRecognitionProcessor]
    presets: tuple[str, ...]
    """Class methods of the configuration that give a published form."""


FAMILIES = {
    "joyful": Family(JoyfulConfig, JoyfulForEmotionRecognition, JoyfulProcessor, ("paper", "released")),
    "foal-net": Family(FoalNetConfig, FoalNetForEmotionRecognition, FoalNetProcessor, ("released",)),
}
