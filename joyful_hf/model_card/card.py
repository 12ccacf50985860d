"""`write_model_card`: the README.md of a checkpoint folder, from what a run left in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from ..evaluation.task import task_of
from ..io.files import written_whole
from ..io.messages import shortened
from ..processing import DialogueError
from ..runs.names import MODEL_CARD
from ..runs.recipe import RunFolder, check_same_recipe
from .dataset_names import dataset_name_of
from .example import remote_code_example, usage_example
from .inputs import describe_inputs
from .markdown import one_line, plain
from .scores import describe_scores, eval_results, labels_of, names_of
from .training import configuration_changes, describe_training

MARKER = "<!-- Made by joyful_hf from run_summary.json. Remove this line, and this text is kept as it is. -->"
"""First line of a card's text. A README.md without it is a person's, and is left alone."""

_TEMPLATE = Path(__file__).with_name("template.md")


def write_model_card(
    folder: str | Path,
    model_id: str | None = None,
    dataset_name: str | None = None,
    other_runs: Sequence[str | Path] = (),
) -> Path:
    """Write README.md into a checkpoint folder, from its configurations, `run_summary.json` and confusion matrix.

    Without `run_summary.json` the card says that nothing is known of training and scores. A README.md that lacks the
    line `MARKER` was written or edited by a person, and stays as it is.

    Args:
        folder: a checkpoint folder, with `config.json` and `processor_config.json` at least.
        model_id: id on the Hub, which the example then loads; by default the folder, of an absolute path its name.
        dataset_name: the name that readers know; by default taken from the name of the test or training file.
        other_runs: folders of runs that differ only in the seed; scores become mean ± standard deviation.

    Returns:
        The path of the card.

    Raises:
        DialogueError: a file that is missing or is something else, or another run that differs in more than the seed.
    """
    card = Path(folder) / MODEL_CARD
    if card.exists() and MARKER not in card.read_text(encoding="utf-8", errors="replace").splitlines():
        return card
    try:
        runs = [RunFolder.read(run_folder) for run_folder in (folder, *other_runs)]
        if len(runs) > 1:
            check_same_recipe(runs)
        made = _make_card(runs, model_id, dataset_name)
    except DialogueError:
        raise
    except Exception as error:  # whatever stands in files that were damaged, or written by hand
        reason = shortened(f"{type(error).__name__}: {error}")
        raise DialogueError(f"{folder}: its files say something that no card can tell ({reason})") from error
    with written_whole(card) as part:
        part.write_text(f"{made}\n", encoding="utf-8")
    return card


def write_card_without_processor(folder: str | Path, model_id: str) -> Path:
    """Write README.md into the folder of a model that has no processor yet, and so cannot be used.

    Raises:
        DialogueError: no configuration, or that of something else.
    """
    run = RunFolder.read(folder, needs_processor=False)
    family = run.family
    text = f"""\
{MARKER}

# {plain(_last_part(model_id))}

{family.title} for multimodal emotion recognition in conversation, made with joyful_hf.

This repository holds only the model. To use it, push its processor too, with
`processor.push_to_hub("{model_id}")`; this text then says how to use the model.
"""
    if family.paper is not None:
        text += f"\n## Citation\n\n```bibtex\n{family.paper.bibtex}\n```\n"
    card = Path(folder) / MODEL_CARD
    card.write_text(f"---\n{_metadata(run).to_yaml()}\n---\n{text}", encoding="utf-8")
    return card


def _make_card(runs: list[RunFolder], model_id: str | None, dataset_name: str | None) -> ModelCard:
    run = runs[0]
    name = one_line(_last_part(model_id or run.folder.resolve().name))
    dataset = dataset_name or _dataset_name(run)
    results = [other.results["test"] for other in runs if "test" in other.results]
    # Validation scores, which chose the checkpoint, are in the text only: leaderboards read the index.
    index = eval_results(results, names_of(run), dataset, "test") if results else []
    data = _metadata(run, model_name=name if index else None, eval_results=index or None)
    return ModelCard.from_template(data, str(_TEMPLATE), **_variables(runs, name, dataset, model_id))


def _last_part(model_id: str) -> str:
    return model_id.rpartition("/")[2]


def _metadata(run: RunFolder, **of_results: Any) -> ModelCardData:
    return ModelCardData(
        # The licence of the code. There is no value for "that of the training corpus", which the text explains.
        license="apache-2.0",
        # The Hub takes a config.json without a library for one of transformers, and shows lines that load it: these
        # work with remote code only. It accepts any other name, and shows no lines for a library it does not know.
        library_name="transformers" if run.has_code else "joyful-hf",
        # No pipeline_tag: the Hub has no emotion recognition of dialogues, and text-classification or the like would
        # offer a widget for single texts.
        tags=_tags(run),
        **of_results,
    )


def _tags(run: RunFolder) -> list[str]:
    return ["emotion-recognition", "multimodal", "conversation", *run.family.tags, run.family.name]


def _dataset_name(run: RunFolder) -> str:
    splits = {} if run.summary is None else run.summary.splits
    for split in ("test", "train"):
        if split in splits and (source := splits[split].source):
            return dataset_name_of(source)
    return "unknown"


def _form(run: RunFolder) -> str:
    """The form of the model, and in what its training differs from the published one."""
    if not run.preset:
        return run.family.recommended_words
    arguments = {} if run.summary is None else run.summary.training_arguments
    departures = run.family.departures(run.preset, arguments, run.config)
    return " ".join((run.family.presets[run.preset].words, *([plain(departures)] if departures else [])))


def _variables(runs: list[RunFolder], name: str, dataset: str, model_id: str | None) -> dict[str, Any]:
    """The variables of the template. Strings are Markdown already."""
    run = runs[0]
    # An absolute path would tell where the folder lies on this machine: the card can be copied anywhere with it.
    checkpoint = model_id or (run.folder.name if run.folder.is_absolute() else run.folder.as_posix())
    num_members = getattr(run.config, "num_members", 1)
    variables: dict[str, Any] = {
        "marker": MARKER,
        "title": plain(name),
        "family": run.family,
        "form": _form(run),
        "task": task_of(run.config),
        "labels": [plain(label) for label in labels_of(run)],
        "values": [] if labels_of(run) else [plain(name) for name in names_of(run)],
        "causal": getattr(run.config, "causal", False),
        "num_members": num_members if num_members > 1 else None,
        "example": usage_example(run, checkpoint),
        "remote_code_example": remote_code_example(checkpoint) if run.has_code else None,
        "configuration": f"{run.family.config_class.__name__}{f'.{run.preset}' if run.preset else ''}()",
        "configuration_changes": configuration_changes(run),
        "summary": run.summary is not None,
        **describe_inputs(run),
    }
    if run.summary is not None:
        variables |= describe_training(run, run.summary) | describe_scores(runs, run.summary)
        variables |= {"dataset": plain(dataset), "seed": run.summary.seed}
    return variables
