"""`joyful train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..families import FAMILIES, Family, family_named, family_of
from ..processing.dialogue_error import DialogueError
from .options import (
    DATA_HELP,
    AudioExtractor,
    Columns,
    DataRoot,
    Layers,
    NumProc,
    Strict,
    TextExtractor,
    VideoExtractor,
    announce,
    given_extractors,
    hide_bars_in_files,
    parse_columns,
    parse_settings,
    print_metrics,
    resumable,
)
from .training_options import parse_training_arguments, refuse_unknown_options

_DEFAULT_FAMILY = "joyful"
_PRESETS = "; ".join(f"{family.name}: {', '.join(family.presets)}" for family in FAMILIES.values() if family.presets)


def train(
    context: typer.Context,
    train_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_dir: Annotated[Path, typer.Option(help="Folder for the checkpoint and the results.")],
    validation_file: Annotated[
        str | None,
        typer.Option(help="Chooses the best epoch. Without it, 10 % of the training dialogues are held out for that."),
    ] = None,
    test_file: Annotated[str | None, typer.Option(help="Scored once, with the best epoch.")] = None,
    model: Annotated[
        str | None, typer.Option(help=f"Family of the model: {', '.join(FAMILIES)}.  [default: {_DEFAULT_FAMILY}]")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"A published form in place of the recommended one ({_PRESETS}).")
    ] = None,
    from_checkpoint: Annotated[
        str | None,
        typer.Option(help="Start from this trained model (folder or Hub id) instead of random weights: fine-tuning."),
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a pretrained text encoder that becomes part of the model."),
    ] = None,
    audio_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a pretrained speech encoder that becomes part of the model."),
    ] = None,
    config_json: Annotated[
        str,
        typer.Option(help="Fields of the model's configuration, or parameters of the processor, as a JSON object."),
    ] = "{}",
    overwrite_output_dir: Annotated[
        bool, typer.Option("--overwrite-output-dir", help="Replace a finished run in this folder.")
    ] = False,
    text_extractor: TextExtractor = None,
    audio_extractor: AudioExtractor = None,
    video_extractor: VideoExtractor = None,
    layers: Layers = None,
    columns: Columns = None,
    data_root: DataRoot = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Train a model on labelled dialogues, and score it.

    A run that was interrupted resumes where it stopped when the same command is given again.
    """
    own_options = [option for parameter in context.command.params for option in parameter.opts]
    refuse_unknown_options(context.args, own_options)
    settings = parse_settings(config_json)
    extractors = given_extractors(text_extractor, audio_extractor, video_extractor, layers)
    if from_checkpoint is None:
        family = family_named(model or _DEFAULT_FAMILY)
        family.check_preset(preset)
    else:
        given = {"model": model, "preset": preset, "text_encoder": text_encoder, "audio_encoder": audio_encoder}
        _refuse_beside_checkpoint(given | {"config_json": settings or None})

    from ..runs.folder import prepare_output_dir
    from ..training.run import run_training
    from ..training.run_data import extract_run_data, load_run_data

    hide_bars_in_files()
    resume_from = prepare_output_dir(output_dir, overwrite_output_dir)
    if from_checkpoint is None:
        _refuse_what_it_cannot_use(family, extractors, text_encoder, audio_encoder)
        settings = _with_extractors(settings, extractors)
        processor_settings = settings
    else:
        family, processor_settings = _of_checkpoint(from_checkpoint, extractors)
    defaults = [
        word for name, value in family.training_arguments(preset).items() for word in (f"--{name}", str(value))
    ]  # before the user's: of two, the last one counts
    args = parse_training_arguments(["--output_dir", str(output_dir), *defaults, *context.args])
    data = load_run_data(
        *(train_file, validation_file, test_file, args.seed),
        problem_type=settings.get("problem_type"),
        columns=parse_columns(columns),
        data_root=data_root,
    )
    if args.process_index == 0:
        announce(args.device, args.world_size)
    with resumable("--overwrite-output-dir" if overwrite_output_dir else None):
        with args.main_process_first(desc="extraction"):  # the others find its vectors in the cache
            is_main = args.process_index == 0
            data = extract_run_data(
                *(data, processor_settings, num_proc, strict, is_main),
                device=args.device,
                processor_class=family.processor_class,
            )
        metrics = run_training(
            args,
            data,
            family.name,
            preset,
            settings,
            text_encoder=text_encoder,
            resume_from=resume_from,
            overwrite=overwrite_output_dir,
            audio_encoder=audio_encoder,
            from_checkpoint=from_checkpoint,
            num_proc=num_proc,
            strict=strict,
        )
    if args.process_index == 0:
        print_metrics(metrics)
        print(f"checkpoint and results: {output_dir}")


def _refuse_beside_checkpoint(given: dict[str, Any]) -> None:
    """Refuse options that make another model than the checkpoint is."""
    for name, value in given.items():
        if value is not None:
            raise DialogueError(f"`{name}` and `from_checkpoint` exclude each other: the checkpoint settles it")


def _refuse_what_it_cannot_use(
    family: Family, extractors: dict[str, str], text_encoder: str | None, audio_encoder: str | None
) -> None:
    """Refuse extractors and encoders for which the family has no place, before anything is read."""
    from ..training.building import setting_names

    of_config, of_processor = setting_names(family)
    for name in extractors:
        if name not in of_processor:
            medium = name.removesuffix("_extractor")
            raise DialogueError(f"`{name}`: the processor of {family.name} reads no {medium} by an extractor")
    encoders = {"text": text_encoder, "audio": audio_encoder}
    for modality, encoder in encoders.items():
        if encoder is not None and f"{modality}_config" not in of_config:
            raise DialogueError(f"`{modality}_encoder`: {family.model_type} has no encoder of {modality}")


def _with_extractors(settings: dict[str, Any], extractors: dict[str, str]) -> dict[str, Any]:
    for name, extractor in extractors.items():
        if settings.get(name, extractor) != extractor:
            raise DialogueError(f"`{name}` is {extractor!r}, and `config_json` says {settings[name]!r}")
    return settings | extractors


def _of_checkpoint(checkpoint: str, extractors: dict[str, str]) -> tuple[Family, dict[str, Any]]:
    """The family of a checkpoint, and its processor's extractors, from which those that are given must not differ."""
    from ..checkpoints import load_checkpoint
    from .extract import extractor_parameters, settle_extractors

    model, processor = load_checkpoint(checkpoint, "cpu")
    settle_extractors(processor, checkpoint, extractors)
    return family_of(model.config.model_type, checkpoint), extractor_parameters(processor)
