"""The reference is complete: every public name and every command, and the messages that are quoted exist."""

import ast
import re
from pathlib import Path

import pytest

import joyful_hf
from joyful_hf import pictures

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_HOLE = "\0"
"""Stands for what an f-string fills in."""


@pytest.fixture(scope="module")
def entries():
    """The names that the API pages describe."""
    text = "\n".join(page.read_text() for page in (DOCS / "reference" / "api").glob("*.md"))
    return re.findall(r"^\.\. auto(?:class|function|exception):: joyful_hf\.([\w.]+)$", text, re.MULTILINE)


def test_every_public_name_has_one_entry(entries):
    assert sorted(entries) == sorted([*joyful_hf.__all__, *(f"pictures.{name}" for name in pictures.__all__)])


def test_every_entry_is_in_a_table_of_the_overview(entries):
    overview = (DOCS / "reference" / "api" / "index.md").read_text()

    assert sorted(re.findall(r"^   joyful_hf\.([\w.]+)$", overview, re.MULTILINE)) == sorted(entries)


@pytest.fixture(scope="module")
def messages():
    """All texts in the code, each f-string as one of them."""
    texts = []
    for room in ("joyful_hf", "modeling", "processing"):
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else _HOLE for part in node.values]
                    texts.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return texts


def test_every_message_that_is_quoted_occurs_in_the_code(messages):
    page = (DOCS / "reference" / "troubleshooting.md").read_text()
    rows = [row.split(" | ")[0] for row in page.splitlines() if row.startswith("| `")]
    elsewhere = {"Unknown task emotion-recognition", "Python 3.11 or newer is needed"}  # of transformers, of make

    missing = []
    for quoted in (found for row in rows for found in re.findall(r"`([^`]+)`", row)):
        parts = [part.strip(" :") for part in quoted.split("…") if part.strip(" :")]
        if quoted not in elsewhere and not any(all(part in text for part in parts) for text in messages):
            missing.append(quoted)

    assert not missing
