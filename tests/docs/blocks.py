"""The examples of a Markdown page: what is run, and what the page says is printed."""

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

NOT_RUN = "<!-- not run: "
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")


@dataclass
class Example:
    """A block of code, and the lines that it prints if the page shows them."""

    language: str
    code: str
    line: int
    printed: list[str] | None = None


def examples_of(page: Path) -> list[Example]:
    """Return the `python` and `console` blocks of a page in order, without those that a comment leaves out.

    A `text` block right after one of them is its output.
    """
    examples: list[Example] = []
    last: Example | None = None  # the example that a block of output would belong to
    is_left_out = False
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block" and token.content.startswith(NOT_RUN):
            is_left_out = True
        elif token.type == "fence" and token.info in ("python", "console"):
            last = None if is_left_out else Example(token.info, token.content, token.map[0] + 1)
            examples += [last] if last else []
            is_left_out = False
        elif token.type == "fence" and token.info == "text" and last:
            last.printed, last = token.content.splitlines(), None
        elif token.level == 0 and token.type.endswith("_open"):
            last = None
    return examples


def commands_of(example: Example) -> list[str]:
    """Return the `joyful` commands of a console block; lines that end in a backslash go on."""
    lines = example.code.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ joyful ")]


def has_shape(printed: list[str], shown: list[str]) -> bool:
    """Whether lines look like those that a page shows: as many, with as many numbers each; `…` is any lines at all."""
    if not shown:
        return not printed
    if shown[0].strip() == "…":
        return any(has_shape(printed[start:], shown[1:]) for start in range(len(printed) + 1))
    return bool(printed) and _shape(printed[0]) == _shape(shown[0]) and has_shape(printed[1:], shown[1:])


def _shape(line: str) -> tuple[bool, int]:
    return not line.strip(), len(_NUMBER.findall(line))
