"""Optional packages: the table of what is installed, and the line that says how."""

import re
import tomllib
from pathlib import Path

import pytest

from joyful_hf.processing.optional_imports import _REQUIRED, EXTRAS, import_optional, install_line

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def packages_of(extra: str) -> set[str]:
    """The packages of an extra of pyproject.toml, and of the extras that it names in turn."""
    packages: set[str] = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        if own := re.fullmatch(r"joyful-hf\[(.+)\]", requirement):
            packages.update(package for name in own[1].split(",") for package in packages_of(name))
        else:
            packages.add(requirement)
    return packages


def test_the_extras_are_those_of_the_project():
    users = set(PROJECT["optional-dependencies"]) - {"dev", "docs"}
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == {
        extra: packages_of(extra) for extra in users
    }


def test_what_the_package_requires_is_named_as_there():
    assert {package for package in _REQUIRED.values() if ">" in package} <= set(PROJECT["dependencies"])


def test_a_module_that_is_installed_is_imported():
    assert import_optional("json", "media", "reading").loads("1") == 1


@pytest.mark.parametrize(
    ("module", "extra", "line"),
    [
        ("av.nothing", "media", 'pip install "av>=15.0" "pillow>=11.0"'),
        ("sklearn.nothing", None, 'pip install "scikit-learn>=1.7"'),
    ],
)
def test_the_error_of_a_missing_one_installs_it(module, extra, line):
    with pytest.raises(ImportError, match=r"^hearing needs ") as caught:
        import_optional(module, extra, "hearing")
    assert str(caught.value) == f"hearing needs {module}, which is not installed: {line}"


def test_versions_are_quoted_for_the_shell():
    assert install_line(["a>=1", "b"]) == 'pip install "a>=1" "b"'
