"""`joyful train`."""

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ..processing.dialogue_error import DialogueError
from .options import (
    DATA_HELP,
    AudioExtractor,
    NumProc,
    Strict,
    TextExtractor,
    VideoExtractor,
    given_extractors,
    hide_bars_in_files,
    print_metrics,
    resumable,
    with_dashes,
)


def train(
    context: typer.Context,
    train_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_dir: Annotated[Path, typer.Option(help="Where checkpoint and results go.")],
    validation_file: Annotated[
        str | None, typer.Option(help="Chooses the checkpoint. Without it, 10 % of the training dialogues do.")
    ] = None,
    test_file: Annotated[str | None, typer.Option(help="Scored once, with the chosen checkpoint.")] = None,
    model: Annotated[str, typer.Option(help="Family of the model: joyful, ar-iigcn or foal-net.")] = "joyful",
    preset: Annotated[str | None, typer.Option(help="paper or released, where the family has it.")] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a pretrained encoder: the model reads raw text, and no text_features."),
    ] = None,
    audio_encoder: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a pretrained encoder: Foal-Net reads waveforms, and no audio_frames."),
    ] = None,
    config_json: Annotated[
        str, typer.Option(help="Fields of the model's config or the processor's parameters, as JSON.")
    ] = "{}",
    overwrite_output_dir: Annotated[bool, typer.Option(help="Replace a finished run in this folder.")] = False,
    text_extractor: TextExtractor = None,
    audio_extractor: AudioExtractor = None,
    video_extractor: VideoExtractor = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Train a model. Takes any field of transformers' TrainingArguments too, as --learning-rate 1e-3.

    A run that was interrupted goes on where it stopped when the same command is given again.
    """
    from ..runs.folder import prepare_output_dir
    from ..training.run import run_training
    from ..training.run_data import extract_run_data, load_run_data

    hide_bars_in_files()
    settings = _parse_settings(config_json)
    settings = _with_extractors(settings, given_extractors(text_extractor, audio_extractor, video_extractor), model)
    resume_from = prepare_output_dir(output_dir, overwrite_output_dir)
    own_options = [option for parameter in context.command.params for option in parameter.opts]
    defaults = _training_defaults(model, preset)
    args = _parse_training_args(["--output_dir", str(output_dir), *defaults, *context.args], own_options)
    data = load_run_data(train_file, validation_file, test_file, args.seed)
    with resumable():
        with args.main_process_first(desc="extraction"):  # the others find its vectors in the cache
            data = extract_run_data(data, settings, num_proc, strict, verbose=args.process_index == 0)
        metrics = run_training(
            args, data, model, preset, settings, text_encoder, resume_from, overwrite_output_dir, audio_encoder
        )
    if args.process_index == 0:
        print_metrics(metrics)
        print(f"checkpoint and results: {output_dir}")


def _parse_settings(config_json: str) -> dict[str, Any]:
    try:
        settings = json.loads(config_json)
    except json.JSONDecodeError as error:
        raise DialogueError(f"--config-json is not valid JSON ({error})") from None
    if not isinstance(settings, dict):
        raise DialogueError("--config-json must be an object, as in '{\"graph_num_layers\": 2}'")
    return settings


def _with_extractors(settings: dict[str, Any], extractors: dict[str, str], model: str) -> dict[str, Any]:
    from ..families import FAMILIES
    from ..processing import JoyfulProcessor

    for name, extractor in extractors.items():
        option = f"--{name.replace('_', '-')}"
        if model in FAMILIES and FAMILIES[model].processor_class is not JoyfulProcessor:
            raise DialogueError(f"{option}: the processor of {model} has no extractors")
        if settings.get(name, extractor) != extractor:
            raise DialogueError(f"{option} is {extractor!r}, and --config-json says {settings[name]!r}")
    return settings | extractors


def _training_defaults(model: str, preset: str | None) -> list[str]:
    """The family's and the preset's training arguments, which go before the user's: of two, the last one counts."""
    from ..families import FAMILIES

    if model not in FAMILIES:  # the run says so
        return []
    defaults = FAMILIES[model].training_arguments(preset)
    return [word for name, value in defaults.items() for word in (f"--{name}", str(value))]


def _parse_training_args(arguments: list[str], own_options: list[str]) -> Any:
    """`JoyfulTrainingArguments` from what the command itself does not know.

    Args:
        own_options: the options of the command, which may be meant by one that neither knows.
    """
    from transformers import HfArgumentParser
    from transformers.hf_argparser import DataClassType

    from ..training.arguments import JoyfulTrainingArguments

    class OneLineParser(HfArgumentParser):
        """argparse prints its whole usage on an error; there are over 100 options."""

        def error(self, message: str) -> NoReturn:
            raise DialogueError(f"{message} (joyful train takes every field of transformers' TrainingArguments)")

    parser = OneLineParser([DataClassType(JoyfulTrainingArguments)], allow_abbrev=False)
    results: Any = parser.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
    parsed, unknown = results
    for argument in unknown:
        if not argument.startswith("--"):
            parser.error(f"unexpected argument {argument!r}")
        name = argument.partition("=")[0]
        known = [*own_options, *(with_dashes(option) for option in parser._option_string_actions)]
        nearest = difflib.get_close_matches(name, known, n=1)
        parser.error(f"unknown option {name}" + (f", did you mean {nearest[0]}?" if nearest else ""))
    _check_training_args(parsed)
    return parsed


def _check_training_args(args: Any) -> None:
    """Refuse values that transformers takes without a word, or stumbles over later."""
    for name, least in (
        ("per_device_train_batch_size", 1),
        ("per_device_eval_batch_size", 1),
        ("gradient_accumulation_steps", 1),
        ("seed", 0),
    ):
        if getattr(args, name) < least:
            raise DialogueError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(args, name)}")
    if args.num_train_epochs <= 0 and args.max_steps <= 0:
        raise DialogueError(f"--num-train-epochs must be above 0, got {args.num_train_epochs:g}")
    if args.resume_from_checkpoint is not None:
        raise DialogueError(
            "--resume-from-checkpoint: a run that was interrupted in --output-dir is resumed without it"
        )
    if args.neftune_noise_alpha is not None:
        raise DialogueError("--neftune-noise-alpha: the models have no token embeddings to add noise to")
