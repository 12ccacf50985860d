"""What DialogueRNN computes at each recorded place."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from joyful_hf import DialogueRNNForEmotionRecognition
from joyful_hf.released.dialogue_rnn import convert_released_dialogue_rnn_state_dict, released_config
from tests.support.recorded import Recording, packed
from tests.support.recorded._batches import Batch, dialogue_names, joined, known_of, log_prob, released_gradients

INPUTS = (r"loss\.(?:class_weights|mask)",)


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, the losses and gradients of all, and the other attentions."""
    batches = {name: packed(recording, name) for name in dialogue_names(recording)}
    model = _load(recording, recording.state())
    for name, batch in batches.items():
        yield from ((f"{name}.{stage}", ours) for stage, ours in _stages(model, batch))
    model.dialogue_rnn.emotion_attention = None
    for name, batch in batches.items():
        yield f"{name}.log_prob_no_emotion_attention", log_prob(model, batch)
    for variant in recording.config.get("variants", {}):
        other = _load(recording, recording.state(f"{variant}.state."))
        yield from ((f"{variant}.{name}.log_prob", log_prob(other, batch)) for name, batch in batches.items())
    yield from _losses(recording, batches)


def _load(recording: Recording, state: dict[str, Tensor]) -> DialogueRNNForEmotionRecognition:
    model = DialogueRNNForEmotionRecognition(
        released_config(state, **known_of(recording), max_speakers=recording.config["num_speakers"])
    ).eval()
    model.load_state_dict(convert_released_dialogue_rnn_state_dict(state))
    return model


def _stages(model: DialogueRNNForEmotionRecognition, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    base, length = model.dialogue_rnn, len(batch["labels"])
    states: dict[str, list[Any]] = {"forward": [], "backward": []}
    weights: dict[str, list[Tensor]] = {"forward": [], "backward": []}
    seen: dict[str, Tensor] = {}
    assert base.backwards is not None
    assert base.emotion_attention is not None
    hooks = [model.classifier[1].register_forward_hook(lambda module, given, out: seen.update(hidden=out))]
    for name, direction in (("forward", base.forwards), ("backward", base.backwards)):
        cell = direction.cell
        hooks.append(cell.register_forward_hook(lambda module, given, out, name=name: states[name].append(out)))
        attention = cell.context_attention
        hooks.append(
            attention.register_forward_hook(lambda module, given, out, name=name: weights[name].append(out[1]))
        )
    weigh = base.emotion_attention.weigh
    base.emotion_attention.weigh = lambda *given: seen.setdefault("emotion_attention", weigh(*given))
    with torch.no_grad():
        output = model(**batch)
    del base.emotion_attention.weigh
    for hook in hooks:
        hook.remove()
    for name, steps in states.items():
        for stage, parts in zip(("global", "party", "emotion"), zip(*steps, strict=True), strict=True):
            rows = torch.cat(parts)
            if stage == "party":  # those who never speak here have no place in a batch
                missing = model.config.max_speakers - rows.size(1)
                rows = functional.pad(rows, (0, 0, 0, missing))
            yield f"{name}_{stage}", rows.flip(0) if name == "backward" else rows
        attention = torch.zeros(length, length)
        for step in range(1, length):
            attention[step, :step] = weights[name][step][0]
        yield f"{name}_context_attention", attention.flip(0, 1) if name == "backward" else attention
    yield "emotion_attention", seen["emotion_attention"][0]
    yield "attended", output.graph
    yield "hidden", seen["hidden"]
    yield "logits", output.logits
    yield "log_prob", output.logits.log_softmax(-1)


def _losses(recording: Recording, batches: dict[str, Batch]) -> Iterator[tuple[str, Tensor]]:
    state, batch = recording.state(), joined(list(batches.values()))
    model = _load(recording, state)
    own = log_prob(model, batch).split(batch["dialogue_lengths"].tolist())
    padded = pad_sequence(list(own), batch_first=True)
    mask = recording.tensors["loss.mask"].bool()
    recorded = recording.tensors["loss.log_prob"]
    # What stands in the padding there is no stage of the network.
    yield "loss.log_prob", torch.where(mask[..., None], padded, recorded)
    with torch.no_grad():
        yield "loss.unweighted", model(**batch).loss
    model.config.class_weights = recording.tensors["loss.class_weights"].tolist()
    gradients = released_gradients(model, state, convert_released_dialogue_rnn_state_dict, batch)
    with torch.no_grad():
        yield "loss.weighted", model(**batch).loss
    yield from (
        (name, gradients[name.removeprefix("grad.")]) for name in recording.tensors if name.startswith("grad.")
    )
