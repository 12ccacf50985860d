"""`joyful evaluate`: score a checkpoint on a file of labelled dialogues."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from ..io.files import write_json
from ..processing.dialogue_error import DialogueError
from .options import (
    CHECKPOINT_HELP,
    DATA_HELP,
    Columns,
    DataRoot,
    Device,
    NumProc,
    Overwrite,
    Strict,
    announce,
    hide_bars_in_files,
    parse_columns,
    print_metrics,
    refuse_existing,
)


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for eval_results.json (and missing_results.json); without it, scores are printed."),
    ] = None,
    missing_rates: Annotated[
        str | None,
        typer.Option(
            help="Such as 0,0.1,0.2: also score with modalities hidden at random with these probabilities, and with "
            "each modality alone and left out."
        ),
    ] = None,
    columns: Columns = None,
    data_root: DataRoot = None,
    device: Device = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Score a model on labelled dialogues."""
    rates = None if missing_rates is None else _parse_rates(missing_rates)
    if output_dir is not None:
        names = ["eval_results.json", *(["missing_results.json"] if rates else [])]
        refuse_existing([output_dir / name for name in names], overwrite)
    elif overwrite:
        raise DialogueError("`overwrite`: nothing is written without `output_dir`")

    from ..evaluation.missing_modalities import score_missing
    from ..training.arguments import JoyfulTrainingArguments

    hide_bars_in_files()
    with tempfile.TemporaryDirectory() as folder:
        args = JoyfulTrainingArguments(folder, eval_strategy="no", load_best_model_at_end=False, torch_device=device)
        loaded = load_labelled(checkpoint, data_file, num_proc, strict, args.device, parse_columns(columns), data_root)
        missing = score_missing(*loaded, rates) if rates else None
        metrics, confusions = score_dialogues(*loaded, args)
    print_metrics(metrics)
    for reason, names in left_out_metrics(*loaded).items():
        print(f"left out: {', '.join(names)}, each of which {reason}")
    if missing is not None:
        print(f"\n{missing}")
    if output_dir is not None:
        written = dict(sorted(metrics.items())) | ({"eval_confusion_matrix": confusions} if confusions else {})
        write_json(written, output_dir / "eval_results.json", indent=4)
        if missing is not None:
            write_json(missing.as_dict(), output_dir / "missing_results.json", indent=4)


def _parse_rates(text: str) -> list[float]:
    """Return the rates of `0,0.1,0.2`, each once."""
    rates = {}
    for word in text.split(","):
        try:
            rate = float(word)
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1:  # NaN is none either
            raise DialogueError(f"`missing_rates`: {word.strip()!r} is not a number from 0 to 1, as in 0,0.1,0.2")
        rates[rate] = None
    return list(rates)


def load_labelled(
    checkpoint: str,
    data_file: str,
    num_proc: int | None = None,
    strict: bool = False,
    device: Any = None,
    columns: dict[str, str] | None = None,
    data_root: Path | None = None,
) -> tuple[Any, Any, Any]:
    """Return the model and the processor of a checkpoint, and the encoded dialogues of a file.

    Args:
        num_proc, strict: as in `extract_features`, where the data have recordings.
        device: as in `load_checkpoint`.
        columns, data_root: as in `load_dialogues`.

    Raises:
        DialogueError: bad input, an unknown label, or no label at all.
    """
    from ..checkpoints import load_checkpoint
    from ..data.dialogue_files import load_dialogues
    from ..data.encoded import EncodedDialogues
    from ..data.extraction import extract_for

    dialogues = load_dialogues(data_file, "test", columns, data_root)
    model, processor = load_checkpoint(checkpoint, device)
    announce(model.device)
    dialogues = extract_for(processor, dialogues, num_proc, strict, device)
    encoded = EncodedDialogues(dialogues, processor)
    if not encoded.has_labels:
        raise DialogueError(f"{data_file}: not one utterance has a label; `joyful predict` needs none")
    return model, processor, encoded


def left_out_metrics(model: Any, processor: Any, dialogues: Any) -> dict[str, list[str]]:
    """Return why labels of this scale do not have some metrics -> which ones."""
    from ..evaluation.task import task_of

    found: dict[str, list[str]] = {}
    for name, reason in task_of(model).left_out(dialogues.summarize(model.config).label_ranges).items():
        found.setdefault(reason, []).append(f"eval_{name}")
    return found


def score_dialogues(
    model: Any, processor: Any, dialogues: Any, args: Any
) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Return the `eval_...` metrics of a model on labelled dialogues, and the confusion matrix of single labels.

    Its rows are the true classes, its columns the predicted ones, both in the order of `labels`.

    Args:
        args: `JoyfulTrainingArguments`.
    """
    from ..training.callbacks import print_epoch_lines
    from ..training.trainer import JoyfulTrainer

    trainer = JoyfulTrainer(model=model, args=args, processing_class=processor)
    print_epoch_lines(trainer)  # outside of training, nothing but a bar
    metrics = trainer.evaluate(dialogues)
    counts = trainer.evaluated["eval"].confusions
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    matrix = None if counts is None else {"labels": names, "counts": counts.tolist()}
    return metrics | {"eval_samples": len(dialogues)}, matrix
