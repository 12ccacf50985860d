"""The training of a model in the words of its card: data, choice of the checkpoint, arguments, configuration."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from ..evaluation.task import task_of
from ..runs.recipe import RunFolder
from ..runs.summary import ChosenBy, DataSummary, RunSummary
from .inputs import MODALITY_NAMES
from .markdown import plain, table
from .scores import labels_of, mean_and_spread, metric_name

# The fields of the configuration that the card tells of elsewhere, or that the data decide.
_DESCRIBED = {
    *("text_dim", "audio_dim", "visual_dim", "video_dim", "feature_layers", "text_config", "audio_config"),
    *("max_speakers", "relation_scheme", "num_relations", "class_weights", "calibration_temperature"),
}
_SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def configuration_changes(run: RunFolder) -> str:
    """Make a table of the fields that differ from the preset, or from the recommended form; "" if none does."""
    config_class: Any = run.family.config_class
    usual = getattr(config_class, run.preset)() if run.preset else config_class()
    of_every_config = {known.name for known in fields(PreTrainedConfig)}
    names = {known.name for known in fields(config_class)} - of_every_config - _DESCRIBED
    values = {name: [json.dumps(getattr(config, name)) for config in (run.config, usual)] for name in sorted(names)}
    rows = [[f"`{name}`", *map(plain, pair)] for name, pair in values.items() if pair[0] != pair[1]]
    return table(["Field", "Here", "There"], rows, numbers=False) if rows else ""


def describe_training(run: RunFolder, summary: RunSummary) -> dict[str, Any]:
    """Return what the template says of the training."""
    parts = summary.splits
    return {
        "num_parameters": f"{summary.num_parameters:,}" if summary.num_parameters else None,
        "sources": {_SPLITS[split]: _source(part) for split, part in parts.items() if part.source},
        "streamed": summary.train is None,
        "data": _data_table(parts) if parts else None,
        "label_counts": _label_table(run, parts),
        "label_ranges": _range_table(run, parts),
        "chosen": _chosen(summary.chosen_by),
        "encoders": _encoders(run, summary),
        "held_out": summary.validation_is_held_out,
        "class_weights": _class_weights(run),
        "arguments": _arguments(summary.training_arguments | {"seed": summary.seed}),
        "device": plain(summary.device),
        "duration": _duration(summary.train_runtime) if summary.train_runtime else "",
        "versions": [f"{plain(name)} {plain(number)}" for name, number in summary.versions.items()],
    }


def _source(part: DataSummary) -> str:
    return f"held out of {plain(part.source)}" if part.held_out else plain(part.source)


def _data_table(parts: Mapping[str, DataSummary]) -> str:
    rows = {
        "dialogues": [part.num_dialogues for part in parts.values()],
        "utterances": [part.num_utterances for part in parts.values()],
        "most speakers in a dialogue": [part.max_speakers for part in parts.values()],
    }
    for modality, name in MODALITY_NAMES.items():
        counts: list[int | None] = [part.modality_counts.get(modality, 0) for part in parts.values()]
        if any(counts):
            rows[f"utterances with {name}"] = counts
    shown = [[name, *map(_count, counts)] for name, counts in rows.items() if set(counts) != {None}]
    return table(["Count of", *(_SPLITS[split] for split in parts)], shown)


def _label_table(run: RunFolder, parts: Mapping[str, DataSummary]) -> str:
    parts = {split: part for split, part in parts.items() if part.label_counts}
    if not parts:
        return ""
    rows = [[plain(label), *(_with_share(label, part, run) for part in parts.values())] for label in labels_of(run)]
    return table(["Label", *(_SPLITS[split] for split in parts)], rows)


def _range_table(run: RunFolder, parts: Mapping[str, DataSummary]) -> str:
    """The lowest and the highest label of each value of a regression."""
    names = list(dict.fromkeys(name for part in parts.values() for name in part.label_ranges))
    rows = []
    for name in names:
        ranges = [part.label_ranges.get(name) for part in parts.values()]
        shown = [f"{found[0]:g} to {found[1]:g}" if found else "-" for found in ranges]
        rows.append([plain(name) if run.config.num_labels > 1 else "range of the labels", *shown])
    return table(["Label", *(_SPLITS[split] for split in parts)], rows) if rows else ""


def _with_share(label: str, part: DataSummary, run: RunFolder) -> str:
    """Format the number of utterances with the label, and their share of those that are labelled."""
    count = part.label_counts.get(label, 0)
    whole = part.num_utterances if task_of(run.config).several_labels else sum(part.label_counts.values())
    return f"{count:,} ({count / whole:.0%})"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _chosen(chosen_by: ChosenBy | None) -> dict[str, str] | None:
    if chosen_by is None:
        return None
    return {
        "metric": plain(metric_name(chosen_by.metric)),
        "value": mean_and_spread([chosen_by.value]),
        "epoch": f"{chosen_by.epoch:g}",
        "best": "highest" if chosen_by.greater_is_better else "lowest",
    }


def _encoders(run: RunFolder, summary: RunSummary) -> str:
    """Say what training made of the pretrained encoders inside the model."""
    config, names = run.config, {"text": "text", "audio": "speech"}
    inside = [name for name in names if getattr(config, f"{name}_config", None) is not None]
    if not inside:
        return ""
    tuning = summary.encoder_tuning
    if tuning is None:
        states = {name: getattr(config, f"unfreeze_{name}_encoder", True) for name in inside}
        return " ".join(
            f"The encoder of {names[name]} was {'trained with the rest' if learns else 'left as it was'}."
            for name, learns in states.items()
        )
    which = f"The encoder{'s' if len(inside) > 1 else ''} of {' and '.join(names[name] for name in inside)}"
    how = "all weights" if tuning.method == "full" else "by low-rank updates (LoRA), which are merged into the weights"
    metric = plain(metric_name(tuning.metric))
    scores = {
        name: "unknown" if score is None else mean_and_spread([score])
        for name, score in vars(tuning).items()
        if name in ("frozen", "tuned")
    }
    outcome = (
        f"That gained on validation: {scores['tuned']}."
        if tuning.kept_tuned
        else f"That was no better on validation ({scores['tuned']}), so what was frozen was kept."
    )
    return (
        f"{which} stayed frozen at first, which gave a *{metric}* of {scores['frozen']} on validation. From there, "
        f"pretrained weights were fine-tuned with the rest for {tuning.epochs:g} epochs, {how}. {outcome}"
    )


def _class_weights(run: RunFolder) -> str:
    weights = run.config.class_weights
    if not weights or len(set(weights)) == 1:
        return ""
    return ", ".join(f"{plain(label)} {weight:.2f}" for label, weight in zip(labels_of(run), weights, strict=True))


def _arguments(arguments: Mapping[str, Any]) -> str:
    """A table, without what is off; `max_steps` is at -1."""
    shown = {
        name: value for name, value in arguments.items() if value is not None and value is not False and value != -1
    }
    return table(["Training argument", "Value"], [[f"`{name}`", plain(shown[name])] for name in shown], numbers=False)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
