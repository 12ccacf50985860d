"""What LMAM computes at each recorded place, on both of its hosts."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from joyful_hf import LMAMForEmotionRecognition
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.released.lmam import convert_released_lmam_state_dict, released_config
from tests.support.recorded import Recording, modules_outputs

INPUTS = (r"text\d", "class_weights", r"batch\.(?:umask|labels)")
_PREFIXES = {"bclstm": "bc_lstm", "dialoguernn": "dialogue_rnn"}


def stages(recording: Recording) -> Iterator[tuple[str, Tensor]]:
    """Every recorded stage of a dialogue alone, and of all dialogues in a padded batch."""
    weights = recording.tensors["class_weights"].tolist()
    dialogues = [_batch(recording, index) for index in range(recording.num_dialogues)]
    for host in _PREFIXES:
        state = recording.state(f"{host}.state.")
        known = {"class_weights": weights, "max_speakers": recording.config["parties"]}
        model = LMAMForEmotionRecognition(released_config(state, **known)).eval()
        model.load_state_dict(convert_released_lmam_state_dict(state))
        for index, batch in enumerate(dialogues):
            yield from ((f"dialogue{index}.{host}.{name}", ours) for name, ours in _stages(model, batch))
        longest = recording.tensors["batch.umask"].size(1)
        padded = _padded(model, dialogues, longest)
        real = recording.tensors["batch.umask"].bool()
        yield f"batch.{host}.log_prob", padded
        labels = recording.tensors["batch.labels"].long()
        loss = torch.nn.NLLLoss(torch.tensor(weights))
        yield f"batch.{host}.loss_released", loss(padded.flatten(0, 1), labels.flatten())
        yield f"batch.{host}.loss_masked", loss(padded[real], labels[real])


def _batch(recording: Recording, index: int) -> dict[str, Tensor]:
    part = recording.below(f"dialogue{index}.")
    speaker = part["speaker"]
    return {
        "dialogue_lengths": torch.tensor([len(part["labels"])]),
        "text_features": torch.cat([part[f"text{number}"] for number in range(1, 5)], dim=-1),
        "audio_features": part["audio"],
        "visual_features": part["visual"],
        "speaker_ids": (speaker.argmax(-1) if speaker.dim() > 1 else speaker).long(),
        "labels": part["labels"].long(),
    }


def _stages(model: LMAMForEmotionRecognition, batch: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    weights: list[Tensor] = []
    states: list[Any] = []
    matching, recurrence = model.lmam.matching, model.lmam.recurrence
    weigh = matching.weigh

    def kept(*given: Tensor) -> Tensor:
        weights.append(weigh(*given))
        return weights[-1]

    matching.weigh = kept
    hook = None
    if recurrence is not None:
        hook = recurrence.cell.register_forward_hook(lambda module, given, out: states.append(out))
    outputs = modules_outputs(model, batch)
    del matching.weigh
    output = outputs[""]
    yield "memory", output.fused
    yield "audio_projected", outputs["lmam.projections.audio"]
    yield "visual_projected", outputs["lmam.projections.visual"]
    yield "attention", torch.stack([own[0] for own in weights])
    yield "matched", output.context
    if hook is None:
        yield "hidden", outputs["classifier.1"]
    else:
        hook.remove()
        of_global, parties, emotions = (torch.cat(rows) for rows in zip(*states, strict=True))
        yield "global_states", of_global
        # Those who never speak here have no place in a batch.
        yield "party_states", functional.pad(parties, (0, 0, 0, model.config.max_speakers - parties.size(1)))
        yield "emotion_states", emotions
        yield "final", output.graph
    yield "log_prob", output.logits.log_softmax(-1)
    yield "loss", output.loss


def _padded(model: LMAMForEmotionRecognition, dialogues: list[dict[str, Tensor]], longest: int) -> Tensor:
    """(B, longest, C) as the authors' code computes a padded batch: its LSTM reads the padding too (fault 4).

    No utterance is matched with padding, but padding is matched; it reads the first speaker's state.
    """
    rows, real = {}, torch.zeros(len(dialogues), longest, dtype=torch.bool)
    for name in ("text_features", "audio_features", "visual_features", "speaker_ids"):
        parts = [dialogue[name] for dialogue in dialogues]
        padded = [functional.pad(part, (0, 0) * (part.dim() - 1) + (0, longest - len(part))) for part in parts]
        rows[name] = torch.cat(padded)
    for index, dialogue in enumerate(dialogues):
        real[index, : int(dialogue["dialogue_lengths"])] = True
    layout = DialogueLayout(torch.full((len(dialogues),), longest), real.numel())
    everywhere = dict.fromkeys(("text", "audio", "visual"), torch.ones(real.numel(), 1, dtype=torch.bool))
    base = model.lmam
    with torch.inference_mode():
        vectors = {
            "text": base.mean(rows["text_features"], everywhere["text"], layout),
            "audio": rows["audio_features"],
            "visual": rows["visual_features"],
        }
        streams = base.streams(vectors, everywhere, layout)
        found = [base.matching(streams["text"], layout, own, real.view(-1, 1)) for own in streams.values()]
        graph = functional.gelu(torch.stack(found).sum(0)) + streams["text"]
        if base.recurrence is not None:
            speaks = functional.one_hot(rows["speaker_ids"], model.config.max_speakers).bool()
            steps = iter(real.unbind(1))

            def keep(cell: Any, given: Any, out: Any) -> Any:
                """Leave the parties as they are in the padding, and let the emotion follow the first one's state."""
                speaks, before = next(steps)[:, None], given[1]
                emotion = cell.emotion_cell(None, before.parties[:, 0], before.emotion)
                return out._replace(
                    parties=torch.where(speaks[..., None], out.parties, before.parties),
                    emotion=torch.where(speaks, out.emotion, emotion),
                )

            hook = base.recurrence.cell.register_forward_hook(keep)
            emotions = base.recurrence(torch.cat(list(vectors.values()), dim=-1), speaks, layout)
            hook.remove()
            graph = graph + base.emotion_projection(emotions)
        return model.classifier(graph).log_softmax(-1).view(len(dialogues), longest, -1)
