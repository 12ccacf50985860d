"""What JMT computes at each recorded place, two faults of the authors' code included."""

from collections.abc import Iterator

import torch
from torch import Tensor

from joyful_hf import JMTForEmotionRecognition
from joyful_hf.modeling.attention import WholeDialogueAttention
from joyful_hf.modeling.concordance import concordance
from joyful_hf.modeling.modeling_jmt import TokenTransformer
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.released.jmt import convert_released_jmt_state_dict, convert_released_tokens, released_config
from tests.support.recorded import Recording, modules_outputs

INPUTS = (r"(?:valence|arousal)_target", "audio_second")


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a sample alone, and of two samples together."""
    heads = {"num_attention_heads": recording.config["num_heads"]}
    dialogues = [recording.below(f"dialogue{index}.") for index in range(recording.num_dialogues)]
    for form in ("self_atten", "fc", "concat", "vanilla"):
        model = _model(recording.state(f"{form}.state."), heads)
        for index, dialogue in enumerate(dialogues):
            for name, ours in _stages(model, dialogue):
                yield f"dialogue{index}.{form}.{name}", ours
        for name, ours in _together(model, recording.below("batch.")):
            yield f"batch.{form}.{name}", ours
    tokens = _tokens(recording.state("intra.state."), recording, heads)
    for index, dialogue in enumerate(dialogues):
        both = torch.stack([dialogue["audio"], dialogue["audio_second"]], dim=1)
        yield f"dialogue{index}.intra.output", tokens(both, torch.ones(both.shape[:2], dtype=torch.bool))[:, -1]


def _model(state: dict[str, Tensor], heads: dict[str, int]) -> JMTForEmotionRecognition:
    model = JMTForEmotionRecognition(released_config(state, **heads)).eval()
    model.load_state_dict(convert_released_jmt_state_dict(state))
    return model


def _tokens(state: dict[str, Tensor], recording: Recording, heads: dict[str, int]) -> TokenTransformer:
    """The part that joins two backbones of one modality, which has the form of the one that joins the pairs."""
    tokens = TokenTransformer(released_config(recording.state("self_atten.state."), **heads)).eval()
    tokens.load_state_dict(convert_released_tokens(state))
    return tokens


def _batch(part: dict[str, Tensor], lengths: list[int]) -> dict[str, Tensor]:
    return {
        "dialogue_lengths": torch.tensor(lengths),
        "audio_features": part["audio"],
        "visual_features": part["visual"],
        "labels": torch.stack([part["valence_target"], part["arousal_target"]], dim=-1),
    }


def _stages(model: JMTForEmotionRecognition, dialogue: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    length, form = len(dialogue["audio"]), model.config.fusion
    if form == "vanilla":
        with torch.inference_mode():
            fused = _vanilla(model, {name: dialogue[name][None] for name in ("audio", "visual")})[0]
            values = model.classifier(fused)
        yield "fused", fused
        yield "valence", values[:, 0]
        yield "arousal", values[:, 1]
        if length > 1:
            targets = torch.stack([dialogue["valence_target"], dialogue["arousal_target"]], dim=-1)
            yield "loss", (1 - concordance(values, targets)).sum()
        return
    outputs = modules_outputs(model, _batch(dialogue, [length]))
    if form in ("self_attention", "linear"):
        last = model.config.num_hidden_layers - 1
        encoded = {name: outputs[f"jmt.encoders.{name}.{last}"] for name in ("visual", "audio", "joint")}
        yield "joint", outputs["jmt.joint"]
        yield from ((f"{name}_encoded", rows) for name, rows in encoded.items())
        attention = WholeDialogueAttention(DialogueLayout(torch.tensor([length]), length))
        yield "crossed", model.jmt.cross(encoded, dict.fromkeys(encoded, attention))
        if form == "self_attention":
            yield "tokens", outputs[f"jmt.token_transformer.layers.{last}"]
    yield "valence", outputs[""].logits[:, 0]
    yield "arousal", outputs[""].logits[:, 1]
    yield "fused", outputs[""].graph
    if length > 1:
        targets = torch.stack([dialogue["valence_target"], dialogue["arousal_target"]], dim=-1)
        yield "loss", (1 - concordance(outputs[""].logits, targets)).sum()


def _vanilla(model: JMTForEmotionRecognition, part: dict[str, Tensor]) -> Tensor:
    """(samples, steps, d) as the authors' code fuses them: its encoders attend over the samples, not the steps.

    Each step sees the same step of the other samples, and itself alone in a batch of one (fault 2); the cross
    attentions that follow go along the steps.
    """
    samples, steps = part["audio"].shape[:2]
    over_samples, over_steps = (
        WholeDialogueAttention(DialogueLayout(torch.full((count,), length), samples * steps))
        for count, length in ((steps, samples), (samples, steps))
    )
    encoded = {}
    for name in ("visual", "audio"):
        rows = part[name].transpose(0, 1).flatten(0, 1)
        everywhere = torch.ones(len(rows), 1, dtype=torch.bool)
        rows = model.jmt.encode(name, model.jmt.stream(name, rows, everywhere, everywhere), over_samples)
        encoded[name] = rows.unflatten(0, (steps, samples)).transpose(0, 1).flatten(0, 1)
    tokens = model.jmt.cross(encoded, dict.fromkeys(encoded, over_steps))
    return model.jmt.fuse(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool)).unflatten(0, (samples, steps))


def _together(model: JMTForEmotionRecognition, part: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Two samples of one length: what each gives alone, and what the authors' code makes of both."""
    samples, steps = part["audio"].shape[:2]
    targets = torch.stack([part["valence_target"], part["arousal_target"]], dim=-1)
    with torch.inference_mode():
        if model.config.fusion == "vanilla":
            pairs = [
                _vanilla(model, {name: part[name][index, None] for name in ("audio", "visual")})
                for index in range(samples)
            ]
            alone = model.classifier(torch.cat(pairs))
            released = model.classifier(_vanilla(model, part))
        else:
            rows = {name: part[name].flatten(0, 1) for name in ("audio", "visual", "valence_target", "arousal_target")}
            alone = released = model(**_batch(rows, [steps] * samples)).logits.view(samples, steps, -1)
    if model.config.fusion == "linear":
        # The values come out with the steps first; the targets have the samples first (fault 1).
        released = released.transpose(0, 1)
    yield "valence_alone", alone[..., 0]
    yield "arousal_alone", alone[..., 1]
    yield "valence_released", released[..., 0]
    for name, values in (("loss_alone", alone), ("loss_released", released)):
        yield name, (1 - concordance(values.flatten(0, 1), targets.flatten(0, 1))).sum()
