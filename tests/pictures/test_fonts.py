"""Labels in any script: drawn where a font has the letters, and one line where none has."""

import logging
import warnings

import pytest
from matplotlib import font_manager
from matplotlib.font_manager import FontEntry

from joyful_hf.pictures import fonts, plot_confusion_matrix, plot_timeline, save_figure
from joyful_hf.pictures.style import plain, width_of
from tests.support.figures import drawn

RARE = "\u20d2"  # in a font that matplotlib brings, and not in its default one


@pytest.fixture(autouse=True)
def nothing_said_yet():
    fonts._warn_of.cache_clear()


def installed(monkeypatch, *names):
    """As if these fonts of matplotlib were the only ones."""
    monkeypatch.setattr(
        font_manager.fontManager, "ttflist", [one for one in font_manager.fontManager.ttflist if one.name in names]
    )


def families_of(figure):
    return figure.axes[0].get_xticklabels()[0].get_fontfamily()


def test_letters_of_the_default_font_change_nothing():
    figure = plot_confusion_matrix([[1, 0], [0, 1]], ["joie", "colère"])
    assert len(families_of(figure)) == 1


def test_an_installed_font_draws_what_the_default_one_lacks(monkeypatch, caplog):
    installed(monkeypatch, "DejaVu Sans", "STIXGeneral")
    figure = plot_confusion_matrix([[1, 0], [0, 1]], [f"a{RARE}", "b"])
    assert families_of(figure)[1:] == ["STIXGeneral"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(figure)
    assert not caplog.records


def test_fonts_that_are_known_to_be_good_come_first(monkeypatch):
    entries = [
        FontEntry(name=name, style="normal", weight=400) for name in ("Another", "Noto Sans CJK SC", "Last Resort")
    ]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    assert [entry.name for entry in fonts._installed()] == ["Noto Sans CJK SC", "Another"]


@pytest.mark.parametrize(
    ("label", "package"), [("恐惧", "fonts-noto-cjk"), ("ആനന്ദം", "fonts-noto-core"), ("🫠", "fonts-symbola")]
)
def test_without_a_font_one_line_says_what_to_install(monkeypatch, caplog, tmp_path, label, package):
    installed(monkeypatch, "DejaVu Sans", "Last Resort High-Efficiency")
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("one", "other"):
            save_figure(plot_confusion_matrix([[1, 0], [0, 1]], [label, label]), tmp_path / name)
    (record,) = caplog.records
    assert f"install one, such as the package {package} of Debian" in record.getMessage()


def test_wide_letters_have_the_room_of_two():
    assert width_of("joy 恐惧") == 8
    assert plain("恐惧" * 10, 9) == "恐惧恐惧…"
    said = {"speaker": "A", "label": "joy", "scores": {"joy": 1.0}}
    narrow, wide = (plot_timeline({"utterances": [said | {"text": letter * 30}]}) for letter in ("a", "恐"))
    assert wide.get_figwidth() > narrow.get_figwidth() + 1
