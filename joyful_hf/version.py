"""The version of the installed package, said once, in `pyproject.toml`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("joyful-hf")
except PackageNotFoundError:  # run from the source tree without an install
    __version__ = "0.0.0"
