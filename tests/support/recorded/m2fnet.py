"""What M2FNet computes at each recorded place: the public re-implementation, and our reading of the paper."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from joyful_hf import M2FNetExtractorLoss, M2FNetForEmotionRecognition
from joyful_hf.released.m2fnet import convert_released_m2fnet_state_dict, released_config
from tests.support.recorded import Recording, modules_outputs, packed

INPUTS = (r"extractor\.(?:anchor|positive|negative)",)
TOLERANCES = {"extractor.triplet_each": 1e-4, "extractor.loss": 1e-3}
"""Of numbers up to 50 and 350, in single precision."""


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, and the extractors' loss."""
    sizes = recording.config
    heads = dict(zip(("text", "audio", "visual"), sizes["heads_text_audio_visual"], strict=True))
    known = {"num_attention_heads": heads}
    smoothing = sizes["label_smoothing_reimplementation"]
    inside = {"num_fusion_heads": sizes["reimplementation"]["fam_heads"], "label_smoothing": smoothing}
    for form, settings in (("reimplementation", known | inside), ("reading", known)):
        model = _model(recording.state(f"{form}.state."), **settings)
        modalities = tuple(model.config.modality_dims)
        for index in range(recording.num_dialogues):
            outputs = modules_outputs(model, packed(recording, f"dialogue{index}", modalities))
            for name, ours in _stages(model, outputs):
                yield f"dialogue{index}.{form}.{name}", ours
    triplets = [recording.tensors[f"extractor.{name}"] for name in ("anchor", "positive", "negative")]
    loss = M2FNetExtractorLoss()
    yield "extractor.triplet_each", loss.triplet(*triplets)
    yield "extractor.covariance", loss.covariance(*triplets)
    yield "extractor.variance", loss.variance(*triplets)
    yield "extractor.loss", loss(*triplets)


def _model(state: dict[str, Tensor], **known: Any) -> M2FNetForEmotionRecognition:
    model = M2FNetForEmotionRecognition(released_config(state, **known)).eval()
    model.load_state_dict(convert_released_m2fnet_state_dict(state))
    return model


def _stages(model: M2FNetForEmotionRecognition, outputs: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    projects = model.config.fusion_size is not None
    for name in model.config.modality_dims:
        last = model.config.of_modality("num_encoders", name) - 1
        yield (f"{name}_encoded" if projects else name), outputs[f"m2fnet.encoders.{name}.{last}"]
        if projects:
            yield f"{name}_projected", outputs[f"m2fnet.projections.{name}"]
    for number in range(model.config.num_fusion_layers):
        yield f"fused{number}", outputs[f"m2fnet.fusion.{number}"]
    yield "logits", outputs[""].logits
    yield "loss", outputs[""].loss
