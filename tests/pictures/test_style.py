"""The style of pictures: what is written, which colours and shapes there are, and what drawing needs."""

import ast
import sys
from pathlib import Path

import numpy as np

from joyful_hf.pictures import (
    plot_confusion_matrix,
    save_figure,
    style,
)
from joyful_hf.pictures.style import COLOURS, many_markers, plain
from tests.support.figures import drawn, texts_of


def test_a_picture_is_saved_as_png_and_svg_and_the_same_one_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        save_figure(plot_confusion_matrix([[3, 1], [0, 2]], ["joy", "anger"]), tmp_path / name)
    for suffix, begin in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        one, other = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "other"))
        assert one.startswith(begin)
        assert one == other
    assert len(list(tmp_path.iterdir())) == 4


def test_colours_go_from_dark_to_light_in_grey_too():
    lightness = [
        np.dot([int(one[index : index + 2], 16) for index in (1, 3, 5)], [0.3, 0.59, 0.11]) for one in COLOURS
    ]
    assert np.diff(lightness).min() > 30


def test_twenty_kinds_have_a_shape_of_their_own():
    assert len(set(many_markers(20))) == 20


def test_a_users_text_is_one_short_line_and_no_formula():
    assert plain("it costs $5,\n not  $6") == r"it costs \$5, not \$6"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
    name = r"$\frac{1}{2"
    assert (
        name in texts_of(drawn(plot_confusion_matrix([[1]], [name])))[0] + name
    )  # matplotlib raises on such a formula


def test_the_package_does_not_need_matplotlib():
    package = Path(style.__file__).parents[1]
    drawing = package / "comparison" / "picture.py"  # is itself imported only to draw
    for path in [file for file in package.rglob("*.py") if "pictures" not in file.parts and file != drawing]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            imported = [getattr(node, "module", None), *(name.name for name in getattr(node, "names", ()))]
            for name in [str(name) for name in imported if isinstance(node, ast.Import | ast.ImportFrom)]:
                assert name.split(".")[0] not in ("matplotlib", "pictures"), f"{path} imports pictures at once"


def test_no_picture_touches_the_global_state_of_pyplot():
    for path in Path(style.__file__).parent.glob("*.py"):
        assert "matplotlib.pyplot" not in path.read_text(), path.name


def test_without_matplotlib_it_says_what_to_install(monkeypatch, fails):
    for name in [name for name in sys.modules if name.startswith("joyful_hf.pic")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = fails("plot", "out", "--data-file", "none.jsonl", "--output-dir", "pictures")
    assert "drawing pictures needs matplotlib" in line
    assert "pip install" in line
