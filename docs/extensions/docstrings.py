"""Let Sphinx read the package's docstrings, which are written for people: in Markdown's spelling, not in its own.

Words in single backticks are code, indented blocks after a paragraph are Python, and `**` is a power.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``.+?``|`(?:[^`\n]|\n(?!\s*\n))+`)", re.DOTALL)
_SPECIAL = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


def to_restructured_text(lines: list[str]) -> list[str]:
    """Rewrite a docstring; the sections of napoleon (Args, Returns, Raises) stay as they are."""
    rewritten: list[str] = []
    prose: list[str] = []
    before, in_code = "", False  # the last line of prose, and whether the lines are those of a block of code
    for line in [*lines, ""]:
        is_indented = line.startswith("    ")
        after_blank = not prose or not prose[-1].strip()
        if not in_code and is_indented and after_blank and before and not before.startswith((" ", "- ")):
            in_code = True
            rewritten += [*_escape(prose), ".. code-block:: python", ""]
            prose = []
        if in_code and line.strip() and not is_indented:
            in_code = False
        if in_code:
            rewritten.append(line)
            continue
        prose.append(line)
        before = line if line.strip() else before
    return rewritten + _escape(prose)


def _escape(lines: list[str]) -> list[str]:
    parts = _CODE.split("\n".join(lines))
    for index, part in enumerate(parts):
        is_code = index % 2
        if is_code:  # inline code ends before a letter only where an escaped space says so
            parts[index] = f"``{part.strip('`')}``" + ("\\ " if parts[index + 1][:1].isalnum() else "")
        else:
            parts[index] = _SPECIAL.sub(r"\\\1", part)
    return "".join(parts).split("\n") if lines else []


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_restructured_text(lines)


def _leave_out_long_signatures(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """A configuration or a set of training arguments has over a hundred fields: they are described, not lined up."""
    if what == "class" and signature and signature.count(":") > 30:
        return "(**fields)", returned
    return signature, returned


def setup(app: Sphinx) -> dict[str, Any]:
    """Run before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-signature", _leave_out_long_signatures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
