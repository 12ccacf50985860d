"""Tables that are made from the code when the site is built, so that they cannot fall behind it.

A page asks for one by a comment on a line of its own: `<!-- generated: commands -->`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_MARKER = re.compile(r"^<!-- generated: ([\w-]+)(?: ([\w.-]+))? -->$", re.MULTILINE)


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the class keeps the names in its first column on one line each."""
    lines = [head, ["---"] * len(head), *rows]
    cells = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    return f":::{{table}}\n:class: names\n\n{cells}\n:::"


def commands() -> str:
    """Every command of `joyful`: what it does, its arguments and its options."""
    from typer.main import get_command

    from joyful_hf.cli.app import app

    group: Any = get_command(app)
    return "\n\n".join(_command(name, command) for name, command in group.commands.items() if not command.hidden)


def _command(name: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    options = [parameter for parameter in shown if parameter.param_type_name == "option"]
    usage = " ".join(["joyful", name, *(_usage(argument) for argument in arguments)])
    required = [f"{option.opts[0]} {_metavar(option)}" for option in options if option.required]
    usage = " ".join([usage, *required, *(["[OPTIONS]"] if len(required) < len(options) else [])])
    parts = [f"## joyful {name}", inspect.cleandoc(command.help or ""), f"```text\n{usage}\n```"]
    if arguments:
        parts.append(
            _table(["Argument", ""], [(f"`{_usage(argument)}`", argument.help or "") for argument in arguments])
        )
    if options:
        parts.append(_table(["Option", ""], [(f"`{_option(option)}`", _help(option)) for option in options]))
    return "\n\n".join(parts)


def _usage(argument: Any) -> str:
    name = argument.name.upper()
    name = f"{name}…" if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def _metavar(option: Any) -> str:
    if option.is_flag:
        return ""
    names = {int: "N", float: "X", Path: "PATH"}
    return option.metavar or names.get(option.type_descriptor.annotation, "TEXT")


def _option(option: Any) -> str:
    names = option.secondary_opts if option.is_flag and option.default is True else option.opts
    return f"{', '.join(names)} {_metavar(option)}".strip()


def _help(option: Any) -> str:
    words = option.help or ""
    if option.required:
        return f"{words} **Required.**"
    if option.default not in (None, False, [], (), "") and not callable(option.default):
        return f"{words} Default: `{option.default}`."
    return words


def training_arguments() -> str:
    """The fields of `JoyfulTrainingArguments` that it adds to transformers', or whose default it changes."""
    from transformers import TrainingArguments

    from joyful_hf import JoyfulTrainingArguments

    inherited = {field.name: _default(field) for field in fields(TrainingArguments)}
    rows = [
        (f"`{field.name}`", f"`{_default(field)!r}`", field.metadata.get("help", ""))
        for field in fields(JoyfulTrainingArguments)
        if field.name not in inherited or inherited[field.name] != _default(field)
    ]
    return _table(["Argument", "Default", ""], rows)


def _default(field: Any) -> Any:
    return (
        field.default_factory() if field.default is MISSING and field.default_factory is not MISSING else field.default
    )


def presets(name: str) -> str:
    """The fields in which the published forms of a family differ from the recommended one."""
    from transformers import PreTrainedConfig

    from joyful_hf.families import FAMILIES

    family = FAMILIES[name]
    config = family.config_class
    forms = {"recommended": config(), **{preset: getattr(config, preset)() for preset in family.presets}}
    shared = set(vars(PreTrainedConfig()))
    names = [key for key in vars(forms["recommended"]) if key not in shared and not key.startswith("_")]
    rows = []
    for key in names:
        values = [getattr(form, key) for form in forms.values()]
        if any(value != values[0] for value in values) and not any(hasattr(value, "to_dict") for value in values):
            rows.append([f"`{key}`", *(f"`{value!r}`" for value in values)])
    return _table(["Field", *forms], rows)


_TABLES: dict[str, Callable[..., str]] = {
    "commands": commands,
    "training-arguments": training_arguments,
    "presets": presets,
}


def _fill_in(app: Sphinx, document: str, source: list[str]) -> None:
    source[0] = _MARKER.sub(lambda found: _TABLES[found[1]](*([found[2]] if found[2] else [])), source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill the tables in when a page is read."""
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
