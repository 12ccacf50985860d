"""Make a fresh model and its processor from settings and training dialogues."""

import inspect
from dataclasses import fields
from typing import Any, get_type_hints

from huggingface_hub.dataclasses import type_validator
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, PreTrainedModel

from ..checkpoints import load_audio_encoder, load_text_encoder
from ..families import Family
from ..io.messages import did_you_mean
from ..modeling.audio_encoder import audio_encoder_settings
from ..modeling.modeling_graph import text_encoder_settings
from ..processing import DialogueError, EmotionRecognitionProcessor
from .run_data import RunData

# The fields that every configuration of transformers has, and that a user may set.
_LABEL_SETTINGS = {"label2id", "num_labels", "problem_type"}


def setting_names(family: Family) -> tuple[set[str], set[str]]:
    """Return the names of the settings of the family's configuration, and of those of its processor."""
    of_every_config = {known.name for known in fields(PreTrainedConfig)}
    of_config = {known.name for known in fields(family.config_class)} - of_every_config | _LABEL_SETTINGS
    return of_config, set(inspect.signature(family.processor_class).parameters) - {"tokenizer"}


def split_settings(family: Family, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort settings into those of the configuration and those of the processor; some belong to both.

    Raises:
        DialogueError: a setting that neither knows, with the nearest ones that are known, or a value of a wrong type
            for the processor. The configuration checks its own.
    """
    of_config, of_processor = setting_names(family)
    types = get_type_hints(family.processor_class.__init__)
    for name, value in settings.items():
        if name not in of_config | of_processor:
            hint = did_you_mean(name, of_config | of_processor, count=3)
            raise DialogueError(f"`settings`: unknown setting {name!r}{hint}")
        if name in of_processor:
            try:
                type_validator(name, value, types[name])
            except TypeError as error:
                raise DialogueError(f"`settings`: {error}") from None
    return (
        {name: value for name, value in settings.items() if name in of_config},
        {name: value for name, value in settings.items() if name in of_processor},
    )


def make_model_and_processor(
    family: Family,
    preset: str | None,
    settings: dict[str, Any],
    data: RunData,
    text_encoder: str | None = None,
    audio_encoder: str | None = None,
) -> tuple[PreTrainedModel, EmotionRecognitionProcessor]:
    """Make a fresh model, and a processor fitted to the training dialogues.

    Args:
        settings: fields of the configuration and parameters of the processor.
        text_encoder, audio_encoder: folder or Hub id of a pretrained encoder, for a model that reads raw text or
            waveforms.

    Raises:
        DialogueError: an unknown preset, a setting that no model can be made of, an encoder that cannot be loaded or
            that the family has no use for, or bad dialogues.
    """
    family.check_preset(preset)
    config_settings, processor_settings = split_settings(family, settings)
    if preset is not None:
        # Not of the test dialogues: nothing of a model may depend on them.
        known_dialogues = (dialogue for part in (data.train, data.validation) for dialogue in part)
        processor_settings = family.processor_class.published_parameters(known_dialogues) | processor_settings
    for modality, given in (("text", text_encoder), ("audio", audio_encoder)):
        if given is not None and f"{modality}_config" not in setting_names(family)[0]:
            raise DialogueError(f"`{modality}_encoder`: {family.name} has no encoder of {modality}")
    pretrained_text: Any = None
    if text_encoder is not None:
        pretrained_text, processor_settings["tokenizer"] = load_text_encoder(text_encoder)
        config_settings = text_encoder_settings(pretrained_text) | config_settings
    pretrained_audio: Any = None
    if audio_encoder is not None:
        pretrained_audio, extractor = load_audio_encoder(audio_encoder)
        config_settings = audio_encoder_settings(pretrained_audio) | config_settings
        of_extractor = {"sampling_rate": extractor.sampling_rate, "normalize_audio": extractor.do_normalize}
        processor_settings = {"audio_dim": None} | of_extractor | processor_settings
    processor = family.processor_class.from_dialogues(data.train, **processor_settings)
    if getattr(processor, "reads_waveforms", False) and "audio_config" not in config_settings:
        raise DialogueError(
            f"`audio_encoder`: the data have recordings and no vectors of them. {family.title} reads recordings "
            "through a speech encoder, and a large one with random weights learns nothing: give a pretrained one, "
            "such as microsoft/wavlm-large, describe a small one by audio_config in `settings`, have vectors made of "
            "the sound by `audio_extractor`, or leave sound out with audio_dim 0 in `settings`"
        )
    if not processor.reads_anything:
        raise DialogueError("`settings`: every modality has size 0; a model needs one of them")
    num_labels = len(processor.label2id or ())
    if num_labels and config_settings.get("num_labels", num_labels) != num_labels:
        raise DialogueError(f"`settings`: num_labels is {settings['num_labels']}, the data have {num_labels} labels")
    make_config = getattr(family.config_class, preset) if preset else family.config_class
    shared = processor.model_kwargs()
    try:
        model = family.model_class(make_config(**(shared | config_settings)))
    except (StrictDataclassError, ValueError, RuntimeError, ArithmeticError) as error:
        if not settings:
            raise
        # A check of the config wraps the message that says what is wrong.
        raise DialogueError(f"`settings`: {error.__cause__ or error}") from None
    if pretrained_text is not None:
        model.load_text_encoder(pretrained_text)
    if pretrained_audio is not None:
        model.load_audio_encoder(pretrained_audio)
    return model, processor
