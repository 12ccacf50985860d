"""The training arguments as options of `joyful train`.

Importing them takes seconds, as transformers' own come with torch. What the help shows, and whether an option exists
at all, is therefore read from the source of the two classes.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from typer.core import TyperCommand

from ..io.messages import nearest
from ..processing.dialogue_error import DialogueError
from .options import with_dashes

_EVERY_FIELD = "every field of transformers' TrainingArguments"


@dataclass(frozen=True)
class _Field:
    """One field of a class of arguments."""

    name: str
    default: Any = None
    help: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Return the name that a user types."""
        return self.aliases[0] if self.aliases else f"--{self.name.replace('_', '-')}"


def _fields(source: Path) -> Iterator[_Field]:
    """The fields of the dataclass whose name ends in `TrainingArguments`, in a file of Python."""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("TrainingArguments"):
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    yield _field(statement.target.id, statement.value)


def _field(name: str, value: ast.expr | None) -> _Field:
    """Read `name: type = field(default=..., metadata={"help": ...})`, as far as it is written out there."""
    written = {}
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        try:
            written[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:  # a default that is computed
            continue
    metadata = written.get("metadata", {})
    return _Field(name, written.get("default"), metadata.get("help", ""), tuple(metadata.get("aliases", ())))


@cache
def _own_fields() -> list[_Field]:
    return list(_fields(Path(__file__).parents[1] / "training" / "arguments.py"))


@cache
def training_option_names() -> frozenset[str]:
    """Names of all training arguments, and their other names, as Python spells them."""
    spec = find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    of_transformers = _fields(Path(spec.origin).with_name("training_args.py"))
    fields = (*of_transformers, *_own_fields())
    aliases = (alias.removeprefix("--").replace("-", "_") for field in fields for alias in field.aliases)
    return frozenset(field.name for field in fields).union(aliases)


class TrainCommand(TyperCommand):
    """A command whose help lists the training arguments for which the package has defaults of its own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        rows = [(field.option, f"{field.help}{_shown_default(field.default)}") for field in _own_fields()]
        with formatter.section("Training arguments, with this package's defaults"):
            formatter.write_dl(rows)
        with formatter.section("All other training arguments"):
            formatter.write_text(
                "Every field of transformers' TrainingArguments is an option too, such as "
                "--gradient-accumulation-steps 4. They are listed at "
                "https://huggingface.co/docs/transformers/main_classes/trainer"
            )


def _shown_default(default: Any) -> str:
    return "" if default is None else f"  [default: {default}]"


def refuse_unknown_options(arguments: Iterable[str], own_options: Iterable[str]) -> None:
    """Raise a `DialogueError` for an option that does not exist, with the nearest one that does.

    Args:
        arguments: what the command line holds beside the command's own options.
        own_options: the command's own options, which may be meant by one that does not exist.
    """
    names = training_option_names()
    for argument in arguments:
        name = argument.partition("=")[0]
        field = name.removeprefix("--").replace("-", "_")
        if name.startswith("--") and field not in names and field.removeprefix("no_") not in names:
            options = [*own_options, *(f"--{known.replace('_', '-')}" for known in sorted(names))]
            near = nearest(name, options)
            hint = f", did you mean {near[0]}?" if near else ""
            raise DialogueError(f"unknown option {name}{hint} (joyful train takes {_EVERY_FIELD})")


def parse_training_arguments(arguments: list[str]) -> Any:
    """Return `JoyfulTrainingArguments` from what the command itself does not know.

    Raises:
        DialogueError: a value that is not of the argument's type, or out of its range.
    """
    from transformers import HfArgumentParser
    from transformers.hf_argparser import DataClassType

    from ..training.arguments import JoyfulTrainingArguments

    class OneLineParser(HfArgumentParser):
        """argparse prints its whole usage on an error; there are over 100 options."""

        def error(self, message: str) -> NoReturn:
            raise DialogueError(f"{message} (joyful train takes {_EVERY_FIELD})")

    parser = OneLineParser([DataClassType(JoyfulTrainingArguments)], allow_abbrev=False)
    results: Any = parser.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
    parsed, unknown = results
    for argument in unknown:
        kind = "unknown option" if argument.startswith("--") else "unexpected argument"
        parser.error(f"{kind} {with_dashes(argument)!r}")
    _check(parsed)
    return parsed


def _check(args: Any) -> None:
    """Refuse values that transformers takes without a word, or stumbles over later."""
    for name, least in (
        ("per_device_eval_batch_size", 1),
        ("gradient_accumulation_steps", 1),
        ("seed", 0),
    ):
        if getattr(args, name) < least:
            raise DialogueError(f"`{name}` must be at least {least}, got {getattr(args, name)}")
    if args.per_device_train_batch_size < 1 and args.per_device_train_batch_size != -1:
        raise DialogueError(
            f"`per_device_train_batch_size` must be at least 1, got {args.per_device_train_batch_size}"
        )
    if args.num_train_epochs <= 0 and args.max_steps <= 0:
        raise DialogueError(f"`num_train_epochs` must be above 0, got {args.num_train_epochs:g}")
    if args.resume_from_checkpoint is not None:
        raise DialogueError(
            "`resume_from_checkpoint`: a run that was interrupted in `output_dir` is resumed without it; "
            "`from_checkpoint` starts a new run from a trained model"
        )
