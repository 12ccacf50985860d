"""What GBAN computes at each recorded place: with the alignment of the authors' code, and with the paper's."""

from collections.abc import Iterator

import torch
from torch import Tensor

from joyful_hf import GBANForEmotionRecognition
from joyful_hf.modeling.modeling_gban import last_step
from joyful_hf.released.gban import convert_released_gban_state_dict, released_config
from tests.support.recorded import Recording, modules_outputs

INPUTS = ("tokens", "label")


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of an utterance alone."""
    state = recording.state()
    for alignment in ("additive", "dot"):
        model = GBANForEmotionRecognition(released_config(state, alignment=alignment)).eval()
        model.load_state_dict(convert_released_gban_state_dict(state, alignment))
        for index in range(recording.num_dialogues):
            for name, ours in _stages(model, recording.below(f"dialogue{index}.")):
                if f"dialogue{index}.{name}" in recording.tensors:  # the paper's form has others than the code's
                    yield f"dialogue{index}.{name}", ours


def _stages(model: GBANForEmotionRecognition, part: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    words = part["tokens"].long()[None]
    batch = {
        "audio_frames": part["audio"][None],
        "text_input_ids": words,
        "text_attention_mask": torch.ones_like(words),
        "labels": part["label"].view(1).long(),
    }
    outputs = modules_outputs(model, batch)
    encoded = {name: outputs[f"gban.encoders.{name}"] for name in model.config.modality_dims}
    yield from ((f"{name}_sequence", stream.frames[stream.mask]) for name, stream in encoded.items())
    with torch.inference_mode():
        aligned, is_aligned = model.gban.align(encoded)
        last = {name: last_step(stream) for name, stream in encoded.items()}
        shares = {
            "gate_aligned": model.gban.aligned_gate.shares(aligned, is_aligned),
            "gate_last": model.gban.last_gate.shares(last, is_aligned),
        }
    yield "h_s", last["audio"][0]
    yield "h_t", last["text"][0]
    form = model.config.alignment
    yield f"{form}.attended_text", outputs["gban.alignments.audio_to_text"][encoded["audio"].mask]
    yield f"{form}.attended_audio", outputs["gban.alignments.text_to_audio"][encoded["text"].mask]
    yield f"{form}.a_t", aligned["text"][0]
    yield f"{form}.a_s", aligned["audio"][0]
    yield from (
        (f"{form}.{name}", share[list(model.config.modality_dims).index("text"), 0]) for name, share in shares.items()
    )
    yield f"{form}.fused", outputs[""].graph[0]
    yield f"{form}.probabilities", outputs[""].logits.softmax(-1)[0]
    yield f"{form}.loss", outputs[""].loss.view(1)
