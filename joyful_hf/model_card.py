"""`write_model_card`: the README.md of a checkpoint folder, from what a run left in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import PreTrainedConfig

from .citations import PAPERS
from .markdown import one_line, plain, table
from .model_card_example import remote_code_example, usage_example
from .model_card_runs import RunFolder, check_same_recipe, held_out
from .model_card_scores import (
    dataset_name_of,
    eval_results,
    mean_and_spread,
    metric_of,
    overall_keys,
    values_of,
)
from .processing import DialogueError, JoyfulProcessor

MARKER = "<!-- Made by joyful_hf from run_summary.json. Remove this line, and this text is kept as it is. -->"
"""First line of a card's text. A README.md without it is a person's, and is left alone."""

_TEMPLATE = Path(__file__).with_name("model_card_template.md")
_CARD = "README.md"
_PICTURE = "confusion_matrix.png"
_SPLITS = ("train", "validation", "test")
_SPLIT_NAMES = {"train": "training", "validation": "validation", "test": "test"}
_MODALITY_NAMES = {"text": "text", "audio": "audio", "visual": "video"}
# What a reader needs to train the like, in this order, unless it is off.
_SHOWN_ARGUMENTS = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "optim"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps"),
    *("early_stopping_patience", "class_balance", "weight_averaging_decay", "bf16", "fp16", "seed"),
)
# Of the configuration, what the card says elsewhere, or what no user sets.
_DESCRIBED = {
    *("text_dim", "audio_dim", "visual_dim", "video_dim", "text_config", "audio_config"),
    *("max_speakers", "relation_scheme", "num_relations", "class_weights", "calibration_temperature"),
}


def write_model_card(
    folder: str | Path,
    model_id: str | None = None,
    dataset_name: str | None = None,
    other_runs: Sequence[str | Path] = (),
) -> Path:
    """Write README.md into a checkpoint folder, from its configurations, `run_summary.json` and confusion matrix.

    Without `run_summary.json` the card says that nothing is known of training and scores. A README.md that lacks the
    line `MARKER` was written or taken over by a person, and stays as it is.

    Args:
        folder: of a checkpoint: `config.json` and `processor_config.json` at least.
        model_id: id on the Hub, which the example then loads; by default the folder.
        dataset_name: as readers know it; by default from the name of the test or training file.
        other_runs: folders of runs that differ in the seed alone; scores become mean ± standard deviation.

    Returns:
        The path of the card.

    Raises:
        DialogueError: a file that is missing or of something else, or another run that differs in more than the seed.
    """
    card = Path(folder) / _CARD
    runs = [RunFolder.read(one) for one in (folder, *other_runs)]
    if len(runs) > 1:
        check_same_recipe(runs)
    if card.exists() and MARKER not in card.read_text(encoding="utf-8", errors="replace").splitlines():
        return card
    made = _make_card(runs, model_id, dataset_name)
    part = card.with_name(_CARD + ".part")
    part.write_text(f"{made}\n", encoding="utf-8")
    part.replace(card)
    return card


def _make_card(runs: list[RunFolder], model_id: str | None, dataset_name: str | None) -> ModelCard:
    run = runs[0]
    name = one_line((model_id or run.folder.resolve().name).rpartition("/")[2])
    dataset = dataset_name or _dataset_name(run)
    results = [other.results["test"] for other in runs if "test" in other.results]
    # Scores on validation, which chose the checkpoint, are in the text only: leaderboards read the index.
    index = eval_results(results, run.labels, dataset, "test") if results else []
    data = ModelCardData(
        # The code's. There is no word for "that of the training corpus", which the text speaks of.
        license="apache-2.0",
        # The Hub takes a config.json without a library for transformers', and then shows lines that load it: those
        # work with remote code alone. It takes any other name too, and shows no lines for what it does not know.
        library_name="transformers" if run.has_code else "joyful-hf",
        # No pipeline_tag: the Hub has no emotion recognition of dialogues, and text-classification or the like would
        # offer a widget for single texts.
        tags=_tags(run),
        model_name=name if index else None,
        eval_results=index or None,
    )
    return ModelCard.from_template(data, str(_TEMPLATE), **_variables(runs, name, dataset, model_id))


def _tags(run: RunFolder) -> list[str]:
    graph = ["graph-neural-network"] if run.family.processor_class is JoyfulProcessor else []
    return ["emotion-recognition", "multimodal", "conversation", *graph, run.family_name]


def _dataset_name(run: RunFolder) -> str:
    for split in ("test", "train"):
        source = ((run.summary or {}).get(split) or {}).get("source")
        if source:
            return dataset_name_of(source)
    return "unknown"


def _variables(runs: list[RunFolder], name: str, dataset: str, model_id: str | None) -> dict[str, Any]:
    """What the template reads. Strings are Markdown already."""
    run = runs[0]
    checkpoint = model_id or run.folder.as_posix()
    problem_type = run.config.problem_type
    answer = {"regression": "a number", "multi_label_classification": "its emotions"}.get(problem_type, "an emotion")
    variables: dict[str, Any] = {
        "marker": MARKER,
        "title": plain(name),
        "family": run.family_name,
        "paper": PAPERS[run.family_name],
        "answer": answer,
        "causal": getattr(run.config, "causal", False),
        "num_members": getattr(run.config, "num_members", 1) if getattr(run.config, "num_members", 1) > 1 else None,
        "extras": _extras(run.parameters),
        "example": usage_example(run, checkpoint),
        "replace": _what_to_replace(run),
        "remote_code_example": remote_code_example(checkpoint) if run.has_code else None,
        "inputs": _inputs(run),
        "context": _context(run),
        "labels": [plain(label) for label in run.labels],
        "several_labels": problem_type == "multi_label_classification",
        "config_changes": _config_changes(run),
        "config_base": _config_base(run),
        "summary": run.summary is not None,
    }
    if run.summary is not None:
        variables |= _of_training(run, run.summary) | _of_scores(runs, run.summary, dataset)
    return variables


# The model and what it reads.


def _extras(parameters: Mapping[str, Any]) -> str:
    audio, video = parameters.get("audio_extractor"), parameters.get("video_extractor")
    media = (audio or video) is not None or ("sampling_rate" in parameters and parameters["audio_dim"] is None)
    extras = [*(["media"] if media else []), *(["opensmile"] if str(audio).startswith("opensmile:") else [])]
    return f"[{','.join(extras)}]" if extras else ""


def _inputs(run: RunFolder) -> str:
    """A table of the modalities that are part of the model."""
    rows = []
    for modality, size in run.config.modality_dims.items():
        rows.append([_MODALITY_NAMES[modality], *_form(run, modality, size)])
    return table(["Modality", "Read from", "Size", "Made by"], rows, numbers=False)


def _form(run: RunFolder, modality: str, size: int) -> list[str]:
    parameters = run.parameters
    if run.family.processor_class is not JoyfulProcessor:
        if modality == "audio" and parameters["audio_dim"] is None:
            encoder = run.config.audio_config
            origin = f"{plain(encoder.model_type)}, an encoder inside the model"
            seconds = f"at most {parameters['max_audio_seconds']:g} s at {parameters['sampling_rate']} Hz"
            return ["`audio`", seconds, origin]
        key = {"text": "text_frames", "audio": "audio_frames", "visual": "video_frames"}[modality]
        return [f"`{key}`", f"frames × {size}", "you"]
    if modality == "text" and parameters.get("text_max_length") is not None:
        tokens = f"at most {parameters['text_max_length']} tokens"
        trained = "trained with the rest" if run.config.unfreeze_text_encoder else "left as it was"
        return [
            "`text`",
            tokens,
            f"{plain(run.config.text_config.model_type)}, an encoder inside the model, {trained}",
        ]
    key = {"text": "text", "audio": "audio", "visual": "video"}[modality]
    extractor = parameters.get(f"{key}_extractor")
    if extractor is None:
        return [f"`{modality}_features`", str(size), "you"]
    return [f"`{key}` or `{modality}_features`", str(size), _extractor_name(extractor)]


def _extractor_name(extractor: str) -> str:
    """The name or Hub id; of a folder on somebody's machine its last part."""
    if Path(extractor).is_absolute():
        return f"{plain(Path(extractor).name)}, an encoder in a folder"
    return plain(extractor)


def _context(run: RunFolder) -> str:
    parameters = run.parameters
    if run.family.processor_class is not JoyfulProcessor:
        return f"Videos are read up to {parameters['max_video_frames']} frames." if run.config.video_dim else ""
    scheme = {
        "same_or_other": "whether two utterances have the same speaker, of any number of speakers",
        "speaker_pair": f"which of up to {parameters['max_speakers']} speakers speaks to which",
    }[parameters["relation_scheme"]]
    past, future = (_window(parameters[name]) for name in ("window_past", "window_future"))
    sentences = []
    if run.config.graph_num_layers:
        sentences.append(
            f"In the graph an utterance sees itself, {past} before it and {future} after it; "
            f"the relations tell {scheme} (`{parameters['relation_scheme']}`), and which was first."
        )
    if parameters.get("feature_statistics"):
        sentences.append("The processor standardises features by the mean and deviation of the training set.")
    weights = parameters.get("modality_weights")
    if weights:
        listed = ", ".join(f"{_MODALITY_NAMES[modality]} {weight:.2f}" for modality, weight in weights.items())
        sentences.append(f"It weighs them by what they told of the training labels: {listed}.")
    return " ".join(sentences)


def _window(size: int) -> str:
    return "all utterances" if size < 0 else f"{size} utterance{'' if size == 1 else 's'}"


def _what_to_replace(run: RunFolder) -> str:
    """The sentence under the example."""
    made_by_hand = [
        _MODALITY_NAMES[modality]
        for modality, size in run.config.modality_dims.items()
        if _form(run, modality, size)[2] == "you"
    ]
    if not made_by_hand:
        return "Put your own recordings and texts in place of the ones that are made up."
    return (
        "The numbers are made up, and so is what comes out. Put your own in their place, made in the way in which "
        f"those of the training data were: the model knows no other {' or '.join(made_by_hand)}."
    )


def _config_base(run: RunFolder) -> str:
    preset = (run.summary or {}).get("preset")
    return f"{run.family.config_class.__name__}{f'.{preset}' if preset else ''}()"


def _config_changes(run: RunFolder) -> str:
    """A table of the fields that differ from the preset, or from the recommended form; "" if none does."""
    config_class: Any = run.family.config_class
    preset = (run.summary or {}).get("preset")
    if preset is not None and preset not in run.family.presets:
        raise DialogueError(
            f"{run.folder / 'run_summary.json'}: unknown preset {preset!r}; "
            f"{run.family_name} has {', '.join(run.family.presets)}"
        )
    base = getattr(config_class, preset)() if preset else config_class()
    own = {field.name for field in fields(config_class)} - {field.name for field in fields(PreTrainedConfig)}
    rows = []
    for name in sorted(own - _DESCRIBED):
        value, usual = (json.dumps(getattr(config, name)) for config in (run.config, base))
        if value != usual:
            rows.append([f"`{name}`", plain(value), plain(usual)])
    return table(["Field", "Here", "There"], rows, numbers=False) if rows else ""


# Training.


def _of_training(run: RunFolder, summary: Mapping[str, Any]) -> dict[str, Any]:
    parts = {split: summary[split] for split in _SPLITS if summary[split]}
    num_parameters = summary.get("num_parameters")
    return {
        "preset": summary.get("preset"),
        "seed": summary["seed"],
        "num_parameters": f"{num_parameters:,}" if num_parameters else None,
        "data_note": _data_note(summary),
        "data": _data_table(parts),
        "label_counts": _label_table(run, parts),
        "choice": _choice(summary),
        "arguments": _arguments(summary["training_arguments"] | {"seed": summary["seed"]}),
        "environment": _environment(summary),
    }


def _data_note(summary: Mapping[str, Any]) -> str:
    sentences = []
    for split in _SPLITS:
        part = summary[split]
        if part and part.get("source") and not (split == "validation" and held_out(summary)):
            sentences.append(f"{_SPLIT_NAMES[split].capitalize()} data: {plain(_shown_source(part['source']))}.")
    if not summary["train"]:
        sentences.append("The training dialogues were streamed, and not counted.")
    if held_out(summary):
        sentences.append("The validation dialogues were held out of the training data.")
    return " ".join(sentences) or "Where the dialogues come from was not recorded."


def _shown_source(source: str) -> str:
    """A Hub id as it is; of a path, no more than the file and its folder: the rest is somebody's machine."""
    return "/".join(part for part in source.replace("\\", "/").split("/")[-2:] if part)


def _data_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = {
        "dialogues": "num_dialogues",
        "utterances": "num_utterances",
        "most speakers in a dialogue": "max_speakers",
    }
    shown = [[name, *(_count(part.get(key)) for part in parts.values())] for name, key in rows.items()]
    for modality, name in _MODALITY_NAMES.items():
        counts = [(part.get("modality_counts") or {}).get(modality, 0) for part in parts.values()]
        if any(counts):
            shown.append([f"utterances with {name}", *map(_count, counts)])
    return table(
        ["Count of", *(_SPLIT_NAMES[split] for split in parts)], [row for row in shown if set(row[1:]) != {"-"}]
    )


def _label_table(run: RunFolder, parts: Mapping[str, Mapping[str, Any]]) -> str:
    counts = {split: part.get("label_counts") or {} for split, part in parts.items()}
    counts = {split: one for split, one in counts.items() if one}
    if not counts:
        return ""
    named = list(dict.fromkeys([*run.labels, *(label for one in counts.values() for label in one)]))
    rows = [[plain(label), *(_with_share(label, one) for one in counts.values())] for label in named]
    return table(["Label", *(_SPLIT_NAMES[split] for split in counts)], rows)


def _with_share(label: str, counts: Mapping[str, int]) -> str:
    return f"{counts.get(label, 0):,} ({counts.get(label, 0) / sum(counts.values()):.0%})"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _choice(summary: Mapping[str, Any]) -> str:
    chosen = summary["chosen_by"]
    if chosen is None:
        return "The weights are those at the end of training: no checkpoint was chosen."
    metric = plain(metric_of(chosen["metric"].removeprefix("eval_")).name)
    best = "highest" if chosen.get("greater_is_better", True) else "lowest"
    where = "dialogues held out of the training data" if held_out(summary) else "the validation data"
    epoch = f" (epoch {chosen['epoch']:g})" if chosen.get("epoch") is not None else ""
    return (
        f"Of all checkpoints, the one{epoch} with the {best} value of *{metric}* on {where} was kept: "
        f"{mean_and_spread([chosen['value']])}. Test data had no say in it."
    )


def _arguments(arguments: Mapping[str, Any]) -> str:
    rows = [
        [f"`{name}`", plain(arguments[name])]
        for name in _SHOWN_ARGUMENTS
        if arguments.get(name) is not None and arguments[name] is not False and arguments[name] != -1
    ]
    return table(["Training argument", "Value"], rows, numbers=False)


def _environment(summary: Mapping[str, Any]) -> str:
    versions = ", ".join(
        f"{plain(name)} {plain(version)}" for name, version in (summary.get("versions") or {}).items()
    )
    seconds, device = summary.get("train_runtime"), summary.get("device")
    trained = f"Trained{f' on {plain(device)}' if device else ''}{f' in {_duration(seconds)}' if seconds else ''}"
    return " ".join(([f"{trained}."] if seconds or device else []) + ([f"Versions: {versions}."] if versions else []))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


# Scores.


def _of_scores(runs: list[RunFolder], summary: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    run = runs[0]
    splits = [split for split in ("validation", "test") if split in run.results]
    variables: dict[str, Any] = {
        "scores": _score_table(runs, splits),
        "tested": "test" in splits,
        "dataset": plain(dataset),
        "seeds": [str(one.summary["seed"]) for one in runs if one.summary] if len(runs) > 1 else None,
    }
    if not splits:
        return variables
    split = splits[-1]
    matrix = summary.get("confusion_matrix")
    variables |= _of_classes(runs, split, matrix)
    if "test" in splits:
        key = next(iter(overall_keys(run.results["test"], run.labels)), None)
        if key is not None:
            score = mean_and_spread(values_of([one.results["test"] for one in runs], key))
            variables["headline"] = f"{plain(metric_of(key).name)} on the test set of {plain(dataset)}: **{score}**."
    if matrix:
        names = [plain(label) for label in matrix["labels"]]
        rows = [[name, *map(_count, row)] for name, row in zip(names, matrix["counts"], strict=True)]
        variables |= {
            "confusion": table(["true \\ predicted", *names], rows),
            "confusion_split": f"the {matrix['split']} set",
            "picture": _PICTURE if (run.folder / _PICTURE).is_file() else None,
        }
    return variables | _of_calibration(run, splits)


def _score_table(runs: list[RunFolder], splits: Sequence[str]) -> str:
    """Scores over all classes: of this run, and of all runs where there are several."""
    if not splits:
        return ""
    run = runs[0]
    labels = run.labels
    keys = list(dict.fromkeys(key for split in splits for key in overall_keys(run.results[split], labels)))
    columns = [(split, [run]) for split in splits]
    header = ["Score", *splits]
    if len(runs) > 1:
        header = [
            "",
            *(f"{split}, {len(runs)} seeds" for split in splits),
            *(f"{split}, these weights" for split in splits),
        ]
        columns = [(split, runs) for split in splits] + columns
    rows = [
        [
            plain(metric_of(key).name),
            *(mean_and_spread(values_of([one.results[split] for one in which], key)) for split, which in columns),
        ]
        for key in keys
    ]
    return table(header, rows) if rows else ""


def _of_classes(runs: list[RunFolder], split: str, matrix: Mapping[str, Any] | None) -> dict[str, Any]:
    """The table of F1, and of recall, precision and support where there is a confusion matrix of the split."""
    results = [run.results[split] for run in runs]
    scored = {prefix: [f"{prefix}{label}" in results[0] for label in runs[0].labels] for prefix in _CLASS_SCORES}
    prefixes = [prefix for prefix, present in scored.items() if any(present)]
    if not prefixes:
        return {}
    counts = _counts_of_classes(matrix) if matrix and matrix["split"] == split else {}
    header = ["Class", *(_CLASS_SCORES[prefix] for prefix in prefixes)]
    header += ["Precision", "Recall", "Support"] if counts else []
    rows = []
    for label in runs[0].labels:
        cells = [mean_and_spread(values_of(results, f"{prefix}{label}")) for prefix in prefixes]
        rows.append([plain(label), *cells, *(counts.get(label, ["-"] * 3) if counts else [])])
    note = f"On the {split} set."
    if len(runs) > 1:
        note += f" F1 is of {len(runs)} seeds" + (", the rest of the weights here." if counts else ".")
    return {"class_scores": table(header, rows), "class_note": note}


_CLASS_SCORES = {"f1_": "F1", "weighted_f1_": "F1 of present and absent, weighted"}


def _counts_of_classes(matrix: Mapping[str, Any]) -> dict[str, list[str]]:
    """Label -> precision, recall and support; "-" for a share of nothing."""
    counts = matrix["counts"]
    found = {}
    for index, label in enumerate(matrix["labels"]):
        right, true, predicted = counts[index][index], sum(counts[index]), sum(row[index] for row in counts)
        shares = [f"{right / whole:.3f}" if whole else "-" for whole in (predicted, true)]
        found[label] = [*shares, f"{true:,}"]
    return found


def _of_calibration(run: RunFolder, splits: Sequence[str]) -> dict[str, Any]:
    temperature = getattr(run.config, "calibration_temperature", None)
    measured = [split for split in splits if run.results[split].get("ece") is not None]
    if temperature is None or not measured:
        return {}
    rows = [
        [name, *(mean_and_spread(values_of([run.results[split]], key)) for split in measured)]
        for name, key in (("before", "ece_uncalibrated"), ("after", "ece"))
    ]
    return {"temperature": f"{temperature:.3f}", "calibration": table(["Expected calibration error", *measured], rows)}
