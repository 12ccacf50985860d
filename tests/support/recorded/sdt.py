"""What SDT computes at each recorded place."""

from collections.abc import Iterator

import torch
from torch import Tensor

from joyful_hf import SDTForEmotionRecognition
from joyful_hf.released.sdt import convert_released_sdt_state_dict, released_config
from tests.support.recorded import Recording, below, modules_outputs, packed

INPUTS = (r"loss\.class_weights",)
_SHORT = {"text": "t", "audio": "a", "visual": "v"}


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, and the losses of all dialogues in a batch."""
    state, sizes = recording.state(), recording.config
    known = {"num_attention_heads": sizes["num_heads"], "distillation_temperature": sizes["temp"]}
    model = SDTForEmotionRecognition(released_config(state, **known)).eval()
    model.load_state_dict(convert_released_sdt_state_dict(state))
    weights = recording.tensors["loss.class_weights"].tolist()
    batches = [packed(recording, f"dialogue{index}") for index in range(recording.num_dialogues)]
    for index, batch in enumerate(batches):
        yield from below(f"dialogue{index}", dict(_stages(model, batch)) | dict(_losses(model, batch, weights)))
    together = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    yield from below("batch", dict(_losses(model, together, weights)))


def _short(pair: str) -> str:
    """`text_to_audio` -> `t_a`."""
    return "_".join(_SHORT[name] for name in pair.split("_to_"))


def _stages(model: SDTForEmotionRecognition, batch: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    outputs = modules_outputs(model, batch)
    for name, short in _SHORT.items():
        yield f"projected.{short}", outputs[f"sdt.projections.{name}"]
        yield f"reduced.{short}", outputs[f"sdt.reductions.{name}"]
        yield f"logits.{short}", outputs[f"students.{name}"]
        yield f"log_prob.{short}", outputs[f"students.{name}"].log_softmax(-1)
    for pair in model.sdt.encoders:
        yield f"attention.{_short(pair)}", outputs[f"sdt.encoders.{pair}.attention_output"]
        yield f"encoder.{_short(pair)}", outputs[f"sdt.encoders.{pair}"]
        yield f"gated.{_short(pair)}", outputs[f"sdt.unimodal_gates.{pair}"]
    yield "fused", outputs[""].graph
    yield "logits.all", outputs[""].logits
    yield "log_prob", outputs[""].logits.log_softmax(-1)


def _losses(
    model: SDTForEmotionRecognition, batch: dict[str, Tensor], weights: list[float]
) -> Iterator[tuple[str, Tensor]]:
    for prefix, total, class_weights in (("", "total", None), ("weighted_", "total_weighted", weights)):
        model.config.class_weights = class_weights
        with torch.inference_mode():
            output = model(**batch)
        yield f"loss.{prefix}nll.all", output.losses["classification"].view(1)
        for number, short in enumerate(_SHORT.values()):
            yield f"loss.{prefix}nll.{short}", output.means["student"][number].view(1)
            if not prefix:
                yield f"loss.kl.{short}", output.means["distillation"][number].view(1)
        yield f"loss.{total}", output.loss.view(1)
