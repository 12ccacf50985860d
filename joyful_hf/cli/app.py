"""The command line, `joyful`: it hands over to one module per command, and turns errors into one line."""

import sys
from typing import NoReturn

import typer

from ..processing.dialogue_error import DialogueError
from .convert import convert
from .demo import demo
from .evaluate import evaluate
from .export import export
from .extract import extract
from .options import with_dashes
from .plot import plot
from .predict import predict
from .prepare import prepare
from .push import push
from .train import train

app = typer.Typer(
    name="joyful",
    help="Multimodal emotion recognition in conversation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (demo, evaluate, predict, plot, prepare, extract, export, convert, push):
    app.command()(_command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train)


def main() -> None:
    """Run the command line. Bad input ends with one line on standard error and exit status 2."""
    arguments = [with_dashes(argument) for argument in sys.argv[1:]]
    try:
        status = app(arguments, prog_name="joyful", standalone_mode=False)
    except (DialogueError, ValueError, OSError, ImportError) as error:
        _fail(str(error) or type(error).__name__)
    except Exception as error:
        if type(error).__name__.startswith("StrictDataclass"):  # it wraps the message that says what is wrong
            _fail(str(error.__cause__ or error))
        # click's usage errors know their own message; anything else is our mistake and keeps its traceback.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        _fail(format_message())
    if status:  # of a typer.Exit
        sys.exit(status)


def _fail(message: str) -> NoReturn:
    if message:  # without a command, click has printed the help and has nothing to add
        print(f"joyful: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
