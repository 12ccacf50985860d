"""Labels in any script: the installed fonts that have the letters, or one line that says which to install."""

import logging
import unicodedata
from collections.abc import Iterator
from functools import cache

from .style import Figure, Text, font_manager

logger = logging.getLogger(__name__)

PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "Hiragino Sans", "Malgun Gothic"),
    *("Noto Sans Arabic", "Noto Naskh Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai"),
    *("Noto Emoji", "Symbola"),
)
"""Fonts that are tried first; after them, every other one that is installed."""
# The first has a box for every letter there is; matplotlib cannot draw the others.
_UNUSABLE = ("Last Resort", "Color Emoji", "Apple Color", "LastResort")
_CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH")


def with_glyphs(figure: Figure) -> Figure:
    """Give the texts of a finished figure the fonts that its letters need; return the figure.

    A figure whose letters are all in the default font stays as it is. Letters that no installed font has remain
    boxes, and one warning per script says what to install.
    """
    texts = figure.findobj(Text)
    written = frozenset(letter for text in texts for letter in text.get_text() if letter.isprintable())
    missing = written - _letters_of(_default_font())
    if not missing:
        return figure
    families, without_font = _fonts_with(missing)
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *families])
    for letter in sorted(without_font):
        _warn_of(_package_with(letter))
    return figure


def _default_font() -> str:
    return font_manager.findfont(font_manager.FontProperties())


@cache
def _letters_of(file: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(file).get_charmap()))
    except (OSError, RuntimeError):  # not a font that can be drawn
        return frozenset()


def _installed() -> Iterator[font_manager.FontEntry]:
    """Upright fonts of normal weight, one file per family, the preferred ones first."""
    entries = {
        entry.name: entry
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
    }
    for name in [*PREFERRED, *sorted(entries.keys() - set(PREFERRED))]:
        if name in entries and not any(part in name for part in _UNUSABLE):
            yield entries[name]


def _fonts_with(letters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Return the families that have these letters, and the letters that no family has."""
    families = []
    for entry in _installed():
        if not letters:
            break
        if found := letters & _letters_of(entry.fname):
            families.append(entry.name)
            letters -= found
    return families, letters


def _package_with(letter: str) -> str:
    """Return the Debian package of a font that has the letter."""
    if unicodedata.name(letter, "").startswith(_CJK):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(letter) == "So" else "fonts-noto-core"


@cache  # once per package, however many pictures are drawn
def _warn_of(package: str) -> None:
    logger.warning(
        "some letters of the labels are drawn as boxes, because no installed font has them; install one, such as "
        "the package %s of Debian and Ubuntu",
        package,
    )
