"""How a model was trained, in the words of its card: data, choice of the checkpoint, arguments, configuration."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from ..runs.recipe import RunFolder, is_held_out
from .inputs import MODALITY_NAMES
from .markdown import plain, table
from .scores import mean_and_spread, metric_name

# Of the configuration, what the card says elsewhere, or what the data decide.
_DESCRIBED = {
    *("text_dim", "audio_dim", "visual_dim", "video_dim", "text_config", "audio_config"),
    *("max_speakers", "relation_scheme", "num_relations", "class_weights", "calibration_temperature"),
}
_SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def configuration_changes(run: RunFolder) -> str:
    """A table of the fields that differ from the preset, or from the recommended form; "" if none does."""
    config_class: Any = run.family.config_class
    usual = getattr(config_class, run.preset)() if run.preset else config_class()
    names = {one.name for one in fields(config_class)} - {one.name for one in fields(PreTrainedConfig)} - _DESCRIBED
    values = {name: [json.dumps(getattr(config, name)) for config in (run.config, usual)] for name in sorted(names)}
    rows = [[f"`{name}`", *map(plain, pair)] for name, pair in values.items() if pair[0] != pair[1]]
    return table(["Field", "Here", "There"], rows, numbers=False) if rows else ""


def describe_training(run: RunFolder, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the template says of the training."""
    parts = {split: summary[split] for split in _SPLITS if summary[split]}
    num_parameters = summary.get("num_parameters")
    return {
        "num_parameters": f"{num_parameters:,}" if num_parameters else None,
        "sources": {_SPLITS[split]: plain(part["source"]) for split, part in parts.items() if part.get("source")},
        "streamed": not summary["train"],
        "data": _data_table(parts) if parts else None,
        "label_counts": _label_table(run, parts),
        "chosen": _chosen(summary["chosen_by"]),
        "held_out": is_held_out(summary),
        "class_weights": _class_weights(run),
        "arguments": _arguments(summary["training_arguments"] | {"seed": summary["seed"]}),
        "device": plain(summary.get("device") or ""),
        "duration": _duration(summary["train_runtime"]) if summary.get("train_runtime") else "",
        "versions": [f"{plain(name)} {plain(one)}" for name, one in (summary.get("versions") or {}).items()],
    }


def _data_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = {
        "dialogues": "num_dialogues",
        "utterances": "num_utterances",
        "most speakers in a dialogue": "max_speakers",
    }
    shown = [[name, *(_count(part.get(key)) for part in parts.values())] for name, key in rows.items()]
    for modality, name in MODALITY_NAMES.items():
        counts = [(part.get("modality_counts") or {}).get(modality, 0) for part in parts.values()]
        if any(counts):
            shown.append([f"utterances with {name}", *map(_count, counts)])
    return table(["Count of", *(_SPLITS[split] for split in parts)], [row for row in shown if set(row[1:]) != {"-"}])


def _label_table(run: RunFolder, parts: Mapping[str, Mapping[str, Any]]) -> str:
    parts = {split: part for split, part in parts.items() if part.get("label_counts")}
    if not parts:
        return ""
    rows = [[plain(label), *(_with_share(label, part, run) for part in parts.values())] for label in run.labels]
    return table(["Label", *(_SPLITS[split] for split in parts)], rows)


def _with_share(label: str, part: Mapping[str, Any], run: RunFolder) -> str:
    """How many utterances have the label, and which share of those that are labelled."""
    counts = part["label_counts"]
    several = run.config.problem_type == "multi_label_classification"
    whole = part["num_utterances"] if several else sum(counts.values())
    return f"{counts.get(label, 0):,} ({counts.get(label, 0) / whole:.0%})"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _chosen(chosen_by: Mapping[str, Any] | None) -> dict[str, str] | None:
    if chosen_by is None:
        return None
    return {
        "metric": plain(metric_name(chosen_by["metric"])),
        "value": mean_and_spread([chosen_by["value"]]),
        "epoch": f"{chosen_by['epoch']:g}",
        "best": "highest" if chosen_by["greater_is_better"] else "lowest",
    }


def _class_weights(run: RunFolder) -> str:
    weights = run.config.class_weights
    if not weights or len(set(weights)) == 1:
        return ""
    return ", ".join(f"{plain(label)} {weight:.2f}" for label, weight in zip(run.labels, weights, strict=True))


def _arguments(arguments: Mapping[str, Any]) -> str:
    """A table, without what is off; `max_steps` is at -1."""
    shown = {name: one for name, one in arguments.items() if one is not None and one is not False and one != -1}
    return table(["Training argument", "Value"], [[f"`{name}`", plain(shown[name])] for name in shown], numbers=False)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
