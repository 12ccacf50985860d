"""Dependencies point one way: every room stands on a floor, and imports from lower floors alone."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = [
    ["modeling", "processing"],
    ["io", "version"],
    ["families"],
    ["checkpoints", "runs"],
    ["data"],
    ["toy"],
    ["evaluation"],
    ["model_card"],
    ["hub"],
    ["inference"],
    ["pictures"],
    ["training"],
    ["comparison", "corpora", "released", "transcripts"],
    ["cli"],
    ["registration"],
]
"""Rooms and files of `joyful_hf/`, from the lowest floor to the highest."""
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
FLAT_ROOMS = ["modeling", "processing"]  # what a family needs can travel to the Hub in one folder
MOST_FILES = 17  # 16 modules and __init__.py
ROOM_OF_COMMANDS = "cli"  # one module per command, however many there are
MOST_FILES_AT_THE_TOP = 8
MOST_LINES = 400
CLAUSES = re.compile(r"(?:Of|That|Those|What|Whose|How)\b")
"""Words that begin a clause, where a docstring begins with a noun or a verb."""
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
FOREIGN_OPTIONS = {
    "joyful_hf.training.arguments": {"--device"},  # an alias for transformers' HfArgumentParser
    "joyful_hf.released.joyful": {"--use_highway", "--rnn", "--wp", "--wf", "--emotion"},  # the authors' script
    "joyful_hf.transcripts.formats.subtitles": {"--highlight_words"},  # whisper
    "joyful_hf.transcripts.formats.tables": {"--output_format"},  # whisper
}
"""Options of other programs that a module names: those of `joyful` are known to the command line alone."""


def python_files() -> Iterator[Path]:
    for folder in ("joyful_hf", *FLAT_ROOMS):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if folder in FLAT_ROOMS or relative.parts[1] not in FLAT_ROOMS:
                yield path


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "joyful_hf" else ("joyful_hf", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in python_files()}


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module, parsed once for all tests."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports_of(module: str) -> Iterator[tuple[str, int]]:
    """The modules of this package that a module imports anywhere, type checking included, each with its line."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - node.level + 1]
        imported = ".".join([*base, *([node.module] if node.module else [])])
        for name in node.names:
            submodule = f"{imported}.{name.name}"
            yield (submodule if submodule in MODULES else imported), node.lineno


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


IMPORTS = {module: list(imports_of(module)) for module in MODULES if module != "joyful_hf"}


def test_every_room_has_a_floor():
    assert {room_of(module) for module in IMPORTS} <= FLOOR_OF.keys()


@pytest.mark.parametrize("module", IMPORTS)
def test_a_module_imports_from_its_own_room_and_from_lower_floors(module):
    room = room_of(module)
    for imported, line in IMPORTS[module]:
        other = room_of(imported)
        assert other == room or FLOOR_OF[other] < FLOOR_OF[room], f"line {line} of {module} imports {imported}"


def test_no_two_modules_import_each_other_in_a_circle():
    graph = defaultdict(set)
    for module, imported in IMPORTS.items():
        graph[module] = {other for other, _ in imported if other != module}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"an import circle: {' -> '.join(error.args[1])}")


def test_no_module_is_imported_by_its_absolute_name():
    for module in MODULES:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] != "joyful_hf", f"line {node.lineno} of {module}"


def test_no_room_is_crowded():
    top = [path for path in (ROOT / "joyful_hf").iterdir() if path.is_file()]
    assert len(top) <= MOST_FILES_AT_THE_TOP, sorted(path.name for path in top)
    for room in (ROOT / "joyful_hf").iterdir():
        if room.is_dir() and room.name not in (*FLAT_ROOMS, ROOM_OF_COMMANDS, "__pycache__"):
            files = [path.name for path in room.iterdir() if path.suffix == ".py"]
            assert len(files) <= MOST_FILES, f"{room.name} holds {len(files)} files"


@pytest.mark.parametrize("module", MODULES)
def test_a_long_file_says_why_it_is_long(module):
    source = MODULES[module].read_text(encoding="utf-8")
    if source.count("\n") > MOST_LINES:
        docstring = ast.get_docstring(tree_of(module)) or ""
        assert "one file because" in docstring.lower(), (
            f"{source.count(chr(10))} lines, and no word of why in its docstring"
        )


def strings_of(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


@pytest.mark.parametrize("module", MODULES)
def test_a_docstring_begins_with_a_noun_or_a_verb(module):
    nodes = list(ast.walk(tree_of(module)))
    for text, line in strings_of(node.value for node in nodes if isinstance(node, ast.Expr)):
        assert not CLAUSES.match(text), f"line {line}: {text.splitlines()[0]}"


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) != "cli"])
def test_only_the_command_line_names_its_options(module):
    for text, line in strings_of(ast.walk(tree_of(module))):
        unknown = set(OPTION.findall(text)) - FOREIGN_OPTIONS.get(module, set())
        assert not unknown, f"line {line} names {', '.join(sorted(unknown))}; name the parameter instead"
