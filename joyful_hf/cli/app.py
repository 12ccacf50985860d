"""The command line, `joyful`: it hands over to one module per command, and turns errors into one line."""

import gc
import re
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ..io.signals import describe_stop, raised_stops
from ..processing.dialogue_error import DialogueError
from .compare import compare
from .convert import convert
from .demo import demo
from .evaluate import evaluate
from .export import export
from .extract import extract
from .options import example, with_dashes
from .plot import plot
from .predict import predict
from .prepare import prepare
from .push import push
from .threads import settle_threads
from .train import train
from .training_options import TrainCommand, training_option_names

# Importing torch and transformers makes half a million objects that stay. With Python's own thresholds, after which it
# looks through them for garbage, `joyful predict` takes 7.9 s on a slow machine, and 7.1 s with these (means of 4).
_COLLECTION_THRESHOLDS = (50_000, 20, 50)


@contextmanager
def _told_stops() -> Generator[None, None, None]:
    """End with one line at a signal to stop; typer would end without."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise typer.Exit(_say_stopped(stop)) from None


class _Commands(TyperGroup):
    """The commands, each of which a signal to stop ends with one line, also while its options are read."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _told_stops():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _told_stops():
            return super().invoke(ctx)


app = typer.Typer(
    name="joyful",
    cls=_Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich cuts the names of long options, and takes as long to import as all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Type `joyful COMMAND --help` for the options of a command.",
)

_EXAMPLES = {
    demo: "joyful demo",
    train: (
        "joyful train --train-file train.jsonl --validation-file dev.jsonl \\\n"
        "      --test-file test.jsonl --output-dir out"
    ),
    evaluate: "joyful evaluate out --data-file test.jsonl --output-dir scores",
    predict: "joyful predict out --data-file new.jsonl --output-file emotions.jsonl",
    compare: (
        "joyful compare joyful ar-iigcn bigru --train-file train.jsonl --validation-file dev.jsonl \\\n"
        "      --test-file test.jsonl --output-dir comparison"
    ),
    plot: "joyful plot out --data-file test.jsonl --output-dir pictures",
    prepare: "joyful prepare meld MELD.Raw data/meld",
    extract: (
        "joyful extract --data-file recordings --output-file features.parquet \\\n"
        "      --text-extractor hashing --audio-extractor logmel"
    ),
    export: "joyful export out model.onnx",
    convert: "joyful convert released-checkpoint converted",
    push: "joyful push out ada/joyful-meld --private",
}
for _command, _line in _EXAMPLES.items():
    if _command is train:
        _settings = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(cls=TrainCommand, context_settings=_settings, epilog=example(_line))(_command)
    else:
        app.command(epilog=example(_line))(_command)


def _print_version(is_asked_for: bool) -> None:
    if is_asked_for:
        from ..version import __version__

        print(f"joyful {__version__}")
        raise typer.Exit


@app.callback()
def joyful(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Multimodal emotion recognition in conversation."""


def main() -> None:
    """Run the command line. Bad input ends with one line on standard error and exit status 2.

    A signal to stop ends with one line too, and 128 and its number.
    """
    settle_threads()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    arguments = [with_dashes(argument) for argument in sys.argv[1:]]
    if not arguments:
        app(["--help"], prog_name="joyful", standalone_mode=False)
        sys.exit(2)
    try:
        with raised_stops():
            status = app(arguments, prog_name="joyful", standalone_mode=False)
    except KeyboardInterrupt as stop:  # before a command has begun
        sys.exit(_say_stopped(stop))
    except (DialogueError, ValueError, OSError, ImportError) as error:
        _fail(_in_flags(str(error), arguments) or type(error).__name__)
    except Exception as error:
        if type(error).__name__.startswith("StrictDataclass"):  # it wraps the message that says what is wrong
            _fail(_in_flags(str(error.__cause__ or error), arguments))
        # click's usage errors know their own message; anything else is our mistake and keeps its traceback.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        _fail(format_message())
    if status:  # of a typer.Exit
        sys.exit(status)


# Parameters of the library whose option has another name.
_OTHER_NAMES = {
    "config_settings": "config_json",
    "settings": "config_json",
    "model_name": "model",
    "overwrite": "overwrite_output_dir",
    "overwrite_output_dir": "overwrite",
    "dialogue_id": "dialogue",
    "torch_device": "device",
}


def _in_flags(message: str, arguments: list[str]) -> str:
    """Return the library's message in the words of the command line: `output_dir` becomes --output-dir."""
    if "`" not in message:
        return message
    options = _options_of_command(arguments)

    def flag(found: re.Match[str]) -> str:
        name = found[1]
        return options.get(name) or options.get(_OTHER_NAMES.get(name, "")) or found[0]

    return re.sub(r"`(\w+)`", flag, message)


def _options_of_command(arguments: list[str]) -> Mapping[str, str]:
    """Name of each parameter of the command that is running -> what a user types for it."""
    group: Any = get_command(app)
    command = group.commands.get(next((word for word in arguments if not word.startswith("-")), ""))
    if command is None:
        return {}
    names = training_option_names() if isinstance(command, TrainCommand) else ()
    options = {name: f"--{name.replace('_', '-')}" for name in names}
    for parameter in command.params:
        is_option = parameter.opts[0].startswith("-")
        options[parameter.name] = parameter.opts[0] if is_option else parameter.name.upper()
    return options


def _say_stopped(stop: KeyboardInterrupt) -> int:
    """Print the line that a signal to stop ends with, and return the exit status."""
    number, words = describe_stop(stop)
    print(f"joyful: {words}", file=sys.stderr)
    return 128 + number


def _fail(message: str) -> NoReturn:
    print(f"joyful: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
