"""Text of any origin in Markdown, shown as it is whatever characters it holds."""

import re
from collections.abc import Iterable, Sequence

# An underscore inside a word means nothing in Markdown.
_SPECIAL = re.compile(r"[\\`*\[\]|~$<>&]|(?<!\w)_|_(?!\w)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: object) -> str:
    """Return the text without line breaks, control characters and what no file can hold."""
    spaced = _CONTROL.sub(" ", str(text)).encode("utf-8", "replace").decode()
    return " ".join(spaced.split())


def plain(text: object) -> str:
    """Return one line of Markdown that shows the text, also in a table.

    Special characters become character references: unlike a backslash, these mean the same inside tables and formulas.
    """
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", one_line(text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> str:
    """Make a table of cells that are Markdown.

    Args:
        numbers: align all columns but the first to the right.
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])
