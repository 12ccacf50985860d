"""The command line, `joyful`: demo, train, evaluate, predict, plot, prepare, extract, export, convert, push."""

import difflib
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from huggingface_hub.errors import StrictDataclassError
from transformers import HfArgumentParser
from transformers.hf_argparser import DataClassType
from transformers.utils.logging import disable_progress_bar

from .files import write_json, written_whole
from .processing import DialogueError

app = typer.Typer(
    name="joyful",
    help="Multimodal emotion recognition in conversation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DATA_HELP = "JSONL, Parquet, a folder of recordings, or the id of a data set on the Hub."
_EXTRACTOR_HELP = "Reads {}: {}, or the folder or Hub id of {} encoder."
TextExtractor = Annotated[str | None, typer.Option(help=_EXTRACTOR_HELP.format("text", "hashing", "a text"))]
AudioExtractor = Annotated[
    str | None, typer.Option(help=_EXTRACTOR_HELP.format("audio", "logmel, opensmile:eGeMAPSv02", "a speech"))
]
VideoExtractor = Annotated[
    str | None, typer.Option(help=_EXTRACTOR_HELP.format("video", "frame-statistics, openface (CSV)", "an image"))
]
NumProc = Annotated[int, typer.Option(help="Processes that read raw media.", min=1)]
Strict = Annotated[bool, typer.Option("--strict", help="Stop if a medium cannot be read, instead of masking it.")]


@app.command()
def demo(
    output_dir: Annotated[Path, typer.Option(help="Where data, checkpoint and results go.")] = Path("joyful-demo"),
    overwrite_output_dir: Annotated[bool, typer.Option(help="Replace an earlier demo in this folder.")] = False,
) -> None:
    """Make a toy corpus of recordings, train on it, test, load back, and find the emotions of one folder of them."""
    from .demo import run_demo

    _hide_bars_in_files()
    with _resumable():
        run_demo(output_dir, overwrite_output_dir)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    train_file: Annotated[str, typer.Option(help=_DATA_HELP)],
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
    from .training_run import extract_run_data, load_run_data, prepare_output_dir, run_training

    _hide_bars_in_files()
    settings = _parse_settings(config_json)
    settings = _with_extractors(settings, _extractors(text_extractor, audio_extractor, video_extractor), model)
    resume_from = prepare_output_dir(output_dir, overwrite_output_dir)
    own_options = [option for parameter in context.command.params for option in parameter.opts]
    defaults = _training_defaults(model, preset)
    args = _parse_training_args(["--output_dir", str(output_dir), *defaults, *context.args], own_options)
    data = load_run_data(train_file, validation_file, test_file, args.seed)
    with _resumable():
        with args.main_process_first(desc="extraction"):  # the others find its vectors in the cache
            data = extract_run_data(data, settings, num_proc, strict, verbose=args.process_index == 0)
        metrics = run_training(
            args, data, model, preset, settings, text_encoder, resume_from, overwrite_output_dir, audio_encoder
        )
    if args.process_index == 0:
        _print_metrics(metrics)
        print(f"checkpoint and results: {output_dir}")


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    data_file: Annotated[str, typer.Option(help=_DATA_HELP)],
    output_dir: Annotated[
        Path | None, typer.Option(help="Also write eval_results.json, and missing_results.json, into this folder.")
    ] = None,
    missing_rates: Annotated[
        str | None,
        typer.Option(
            help="Such as 0,0.1,0.2: score also with modalities hidden with these probabilities, and by modality."
        ),
    ] = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Score a checkpoint on labelled dialogues."""
    rates = None if missing_rates is None else _parse_rates(missing_rates)
    from .evaluation import load_labelled, score_dialogues
    from .missing_modalities import score_missing

    _hide_bars_in_files()
    if output_dir is not None:
        for name in ("eval_results.json", *(["missing_results.json"] if rates else [])):
            _refuse_existing(output_dir / name)
    loaded = load_labelled(checkpoint, data_file, num_proc, strict)
    missing = score_missing(*loaded, rates) if rates else None
    metrics = score_dialogues(*loaded)
    _print_metrics(metrics)
    if missing is not None:
        print(f"\n{missing}")
    if output_dir is not None:
        write_json(dict(sorted(metrics.items())), output_dir / "eval_results.json", indent=4)
        if missing is not None:
            write_json(missing.as_dict(), output_dir / "missing_results.json", indent=4)


@app.command()
def predict(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    data_file: Annotated[str, typer.Option(help=_DATA_HELP)],
    output_file: Annotated[Path, typer.Option(help="JSONL: one dialogue a line, label and scores an utterance.")],
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Find the emotion of every utterance. Labels in the data are not read."""
    from .checkpoints import load_checkpoint
    from .dialogue_files import load_dialogues, write_dialogues
    from .extraction import extract_for

    _refuse_existing(output_file)
    _hide_bars_in_files()
    dialogues = load_dialogues(data_file)
    model, processor = load_checkpoint(checkpoint)
    dialogues = extract_for(processor, dialogues, num_proc, strict)
    predictions = model.predict(dialogues, processor)
    with written_whole(output_file) as part:
        write_dialogues(predictions, part)
    count = sum(len(dialogue["utterances"]) for dialogue in predictions)
    print(f"{count} utterances of {len(predictions)} dialogues: {output_file}")


@app.command()
def plot(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    data_file: Annotated[str, typer.Option(help=_DATA_HELP)],
    output_dir: Annotated[Path, typer.Option(help="Folder for the pictures, as PNG and SVG.")],
    dialogue: Annotated[
        str | None, typer.Option(help="Id of the dialogue whose timeline and graph are drawn; else the first one.")
    ] = None,
    method: Annotated[str, typer.Option(help="tsne or umap: how representations become points.")] = "tsne",
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Draw the scores, a dialogue, the representations and the training. Without labels, what needs none."""
    from .figures import FORMATS, Figure, write_figure
    from .plotting import PICTURES, draw_pictures

    _hide_bars_in_files()
    for name in PICTURES:
        for suffix in FORMATS:
            _refuse_existing(output_dir / f"{name}.{suffix}")
    width = max(map(len, PICTURES))
    for name, picture in draw_pictures(checkpoint, data_file, dialogue, method, num_proc, strict).items():
        if not isinstance(picture, Figure):
            print(f"{name:<{width}}  left out: {picture}")
            continue
        for suffix in FORMATS:
            with written_whole(output_dir / f"{name}.{suffix}") as part:
                write_figure(picture, part, suffix)
        print(f"{name:<{width}}  {output_dir / name}.{', .'.join(FORMATS)}")


@app.command()
def prepare(
    corpus: Annotated[str, typer.Argument(help="iemocap, meld, cmu-mosei, cmu-mosi, or pickle for shared features.")],
    source: Annotated[Path, typer.Argument(help="The corpus as its makers give it: a folder, or a pickle.")],
    output: Annotated[Path, typer.Argument(help="Folder for train, validation and test as Parquet, and metadata.")],
    label_scheme: Annotated[
        str | None, typer.Option(help="Such as 4-way-erc and 4-way-ser of IEMOCAP; an unknown one lists them all.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="standard, or session-folds for IEMOCAP's five sessions in turn.")
    ] = None,
) -> None:
    """Make training files of a licensed corpus, and report what is missing in it."""
    from .corpora import prepare_corpus

    print(prepare_corpus(corpus, source, output, label_scheme, split))


@app.command()
def extract(
    data_file: Annotated[str, typer.Option(help=_DATA_HELP)],
    output_file: Annotated[Path, typer.Option(help="Parquet or JSONL: the dialogues, with features.")],
    checkpoint: Annotated[str | None, typer.Option(help="Folder or Hub id: extract as it was trained.")] = None,
    text_extractor: TextExtractor = None,
    audio_extractor: AudioExtractor = None,
    video_extractor: VideoExtractor = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Turn text, audio and video into a file of features, which every other command reads."""
    from .dialogue_files import load_dialogues, write_dialogues
    from .extraction import extract_features, processor_with

    _hide_bars_in_files()
    _refuse_existing(output_file)
    if output_file.suffix not in (".parquet", ".jsonl"):
        raise DialogueError(f"{output_file}: unknown kind of file {output_file.suffix!r}; give .parquet or .jsonl")
    processor = processor_with(_extractors(text_extractor, audio_extractor, video_extractor), checkpoint)
    dialogues = extract_features(load_dialogues(data_file), processor, num_proc, strict=strict)
    with written_whole(output_file) as part:
        if output_file.suffix == ".parquet":
            dialogues.to_parquet(part)
        else:
            write_dialogues(dialogues, part)
    print(f"{len(dialogues)} dialogues with features: {output_file}")


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    output: Annotated[Path, typer.Argument(help="model.onnx for ONNX, or model.pt2 for torch.export.load.")],
) -> None:
    """Write the prediction path for machines without this package: a batch's tensors in, logits out."""
    from .checkpoints import load_checkpoint
    from .export import export_model

    _refuse_existing(output)
    model, processor = load_checkpoint(checkpoint)
    export_model(model, processor, output)
    print(f"exported model: {output}")


@app.command()
def convert(
    released_checkpoint: Annotated[Path, typer.Argument(help="What the authors' code saved.")],
    output: Annotated[Path, typer.Argument(help="Folder for the converted checkpoint.")],
) -> None:
    """Convert a checkpoint of the authors' JOYFUL code. Nothing in it is executed."""
    from .conversion import convert_released_checkpoint

    convert_released_checkpoint(released_checkpoint, output)
    print(f"converted checkpoint: {output}")


@app.command()
def push(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a finished training.")],
    repo_id: Annotated[str, typer.Argument(help="user/name on the Hub, or name for your own account.")],
    private: Annotated[bool, typer.Option("--private", help="Of a new repository: for you alone.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; main by default.")] = None,
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Push the code too, to be loaded without this package.")
    ] = False,
    dataset_name: Annotated[str | None, typer.Option(help="Of the card: the data as readers know them.")] = None,
    other_runs: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a run with another seed, for mean and deviation; once for each."),
    ] = None,
) -> None:
    """Push a checkpoint and its card to the Hub, in one commit. The token is that of `hf auth login`, or HF_TOKEN."""
    from .hub import push_folder

    commit = push_folder(
        checkpoint,
        repo_id,
        private=private or None,
        revision=revision,
        with_code=with_code,
        dataset_name=dataset_name,
        other_runs=other_runs or (),
    )
    print(f"checkpoint on the Hub: {commit.repo_url}" + (f"/tree/{revision}" if revision else ""))


def main() -> None:
    """Run the command line. Bad input ends with one line on standard error and exit status 2."""
    disable_progress_bar()  # of weights read and written: they are small
    arguments = [_with_dashes(argument) for argument in sys.argv[1:]]
    try:
        status = app(arguments, prog_name="joyful", standalone_mode=False)
    except StrictDataclassError as error:
        _fail(str(error.__cause__ or error))  # it wraps the message that says what is wrong
    except (DialogueError, ValueError, OSError, ImportError) as error:
        _fail(str(error) or type(error).__name__)
    except Exception as error:
        # click's usage errors know their own message; anything else is our mistake and keeps its traceback.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        _fail(format_message())
    if status:  # of a typer.Exit
        sys.exit(status)


def _hide_bars_in_files() -> None:
    """Progress bars are for terminals: in a file, or for another program, standard error holds what went wrong."""
    from datasets import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()


def _fail(message: str) -> NoReturn:
    if message:  # without a command, click has printed the help and has nothing to add
        print(f"joyful: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _with_dashes(argument: str) -> str:
    """`--learning_rate=1e-3` -> `--learning-rate=1e-3`: both spellings are common, and both are understood."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _parse_settings(config_json: str) -> dict[str, Any]:
    try:
        settings = json.loads(config_json)
    except json.JSONDecodeError as error:
        raise DialogueError(f"--config-json is not valid JSON ({error})") from None
    if not isinstance(settings, dict):
        raise DialogueError("--config-json must be an object, as in '{\"graph_num_layers\": 2}'")
    return settings


def _extractors(text: str | None, audio: str | None, video: str | None) -> dict[str, str]:
    """Parameters of the processor, of the extractors that were given."""
    given = {"text_extractor": text, "audio_extractor": audio, "video_extractor": video}
    return {name: extractor for name, extractor in given.items() if extractor is not None}


def _with_extractors(settings: dict[str, Any], extractors: dict[str, str], model: str) -> dict[str, Any]:
    from .families import FAMILIES
    from .processing import JoyfulProcessor

    for name, extractor in extractors.items():
        option = f"--{name.replace('_', '-')}"
        if model in FAMILIES and FAMILIES[model].processor_class is not JoyfulProcessor:
            raise DialogueError(f"{option}: the processor of {model} has no extractors")
        if settings.get(name, extractor) != extractor:
            raise DialogueError(f"{option} is {extractor!r}, and --config-json says {settings[name]!r}")
    return settings | extractors


def _parse_rates(text: str) -> list[float]:
    """`0,0.1,0.2` -> the rates, each once."""
    rates = {}
    for word in text.split(","):
        try:
            rate = float(word)
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1:  # NaN is none either
            raise DialogueError(f"--missing-rates: {word.strip()!r} is no number from 0 to 1, as in 0,0.1,0.2")
        rates[rate] = None
    return list(rates)


def _training_defaults(model: str, preset: str | None) -> list[str]:
    """The family's and the preset's training arguments, which go before the user's: of two, the last one counts."""
    from .families import FAMILIES

    if model not in FAMILIES:  # the run says so
        return []
    defaults = {**FAMILIES[model].training_defaults, **FAMILIES[model].presets.get(preset or "", {})}
    return [word for name, value in defaults.items() for word in (f"--{name}", str(value))]


def _parse_training_args(arguments: list[str], own_options: list[str]) -> Any:
    """`JoyfulTrainingArguments` from what the command itself does not know.

    Args:
        own_options: the options of the command, which may be meant by one that neither knows.
    """
    from .training_args import JoyfulTrainingArguments

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
        known = [*own_options, *(_with_dashes(option) for option in parser._option_string_actions)]
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


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise DialogueError(f"{file}: exists already; choose another name or remove it first")


@contextmanager
def _resumable() -> Generator[None, None, None]:
    """Says how to go on when a run is stopped with Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print("joyful: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        raise typer.Exit(130) from None


def _print_metrics(metrics: dict[str, float]) -> None:
    from .metrics import without_timing

    shown = without_timing(metrics)
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{name:<{width}}  {value:.4f}")


if __name__ == "__main__":
    main()
