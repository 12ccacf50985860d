"""What is installed, under which names, and which room may import which."""

import ast
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import joyful_hf

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ["modeling", "processing"]
ROOM_FILES = {room: sorted((ROOT / room).glob("*.py")) for room in ROOMS}

each_room = pytest.mark.parametrize("room", ROOMS)


def each_file_of(*rooms):
    files = [path for room in rooms for path in ROOM_FILES[room]]
    return pytest.mark.parametrize("path", files, ids=lambda path: f"{path.parent.name}/{path.name}")


def run_python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a source distribution, as a release is, in a copy of the source: it leaves nothing here."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("joyful_hf", *ROOMS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    output = tmp_path_factory.mktemp("wheel")
    build = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (path,) = output.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_files(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_installs_one_import_name(wheel_files):
    top_level = {name.split("/")[0] for name in wheel_files}
    assert top_level == {"joyful_hf", f"joyful_hf-{joyful_hf.__version__}.dist-info"}


@each_room
def test_the_wheel_holds_every_file_of_a_room(room, wheel_files):
    here = {f"joyful_hf/{room}/{path.name}" for path in ROOM_FILES[room]}
    there = {name for name in wheel_files if name.startswith(f"joyful_hf/{room}/")}
    assert there == here


def test_the_wheel_holds_the_text_of_the_model_card(wheel_files):
    assert "joyful_hf/model_card/template.md" in wheel_files


def test_the_wheel_says_that_it_is_typed_and_carries_its_license(wheel_files):
    assert "joyful_hf/py.typed" in wheel_files
    assert f"joyful_hf-{joyful_hf.__version__}.dist-info/licenses/LICENSE" in wheel_files


def test_an_installed_wheel_imports_from_anywhere(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import joyful_hf, joyful_hf.modeling, joyful_hf.processing\n"
        "for module in joyful_hf, joyful_hf.modeling, joyful_hf.processing: print(module.__file__)"
    )
    result = run_python(code, cwd=tmp_path, PYTHONPATH=str(site))
    assert result.returncode == 0, result.stderr
    packages = ["joyful_hf", "joyful_hf/modeling", "joyful_hf/processing"]
    assert result.stdout.split() == [str(site / package / "__init__.py") for package in packages]


def test_every_package_is_listed():
    folders = {"joyful_hf": "joyful_hf", **{room: f"joyful_hf.{room}" for room in ROOMS}}
    packages = {
        ".".join([name, *init.parent.relative_to(ROOT / folder).parts])
        for folder, name in folders.items()
        for init in (ROOT / folder).rglob("__init__.py")
        if folder in ROOMS or init.relative_to(ROOT / folder).parts[0] not in ROOMS
    }
    assert packages == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_the_version_is_said_once():
    assert joyful_hf.__version__ == PYPROJECT["project"]["version"] == importlib.metadata.version("joyful-hf")


@each_room
def test_a_relative_link_shows_the_room_inside_the_package(room):
    link = ROOT / "joyful_hf" / room
    assert link.is_symlink()
    assert link.readlink() == Path("..", room)
    assert link.resolve() == ROOT / room


@each_room
def test_a_room_has_one_import_name(room):
    result = run_python(f"import {room}", cwd=ROOT)
    assert result.returncode == 1
    assert "ImportError" in result.stderr
    assert f"joyful_hf.{room}" in result.stderr


@each_room
def test_a_room_is_flat(room):
    folders = [path.name for path in (ROOT / room).iterdir() if path.is_dir()]
    assert set(folders) <= {"__pycache__"}


@each_file_of(*ROOMS)
def test_a_room_imports_only_its_own_files_and_other_packages(path):
    """`from .name import …` alone: what the Hub copies when a model or a processor is saved with its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            assert node.level == 1, f"line {node.lineno} imports from above the folder"
            assert node.module, f"line {node.lineno}: write `from .name import …`, not `from . import name`"
            assert "." not in node.module, f"line {node.lineno} imports from a sub-folder"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            forbidden = {name.split(".")[0] for name in names} & {"joyful_hf", *ROOMS}
            assert not forbidden, f"line {node.lineno} imports {forbidden}"


@each_file_of("modeling")
def test_annotations_stay_objects(path):
    """transformers and its strict dataclasses read them: as strings, checks are skipped and loading fails."""
    assert "from __future__ import annotations" not in path.read_text()
