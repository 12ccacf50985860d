"""Libraries that only some users need: imported when first used, or refused with the line that installs them."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

EXTRAS = {
    "plots": ("matplotlib>=3.10",),
    "media": ("av>=15.0", "pillow>=11.0"),
    "opensmile": ("opensmile>=2.6",),
    "vad": ("silero-vad>=6.2.3",),
    "corpora": ("h5py>=3.12.1",),
    "umap": ("umap-learn>=0.5.11",),
    "demo": ("av>=15.0", "pillow>=11.0", "matplotlib>=3.10", "gradio>=6.29"),
    "search": ("optuna>=4.0",),
    "adapters": ("peft>=0.21",),
    "export": ("onnx>=1.20", "onnxruntime>=1.24.1", "onnxscript>=0.6"),
}
"""Extra of pyproject.toml -> the packages that it installs."""

# The package itself installs these. They can be missing all the same where these files have travelled to the Hub as
# the code of a checkpoint.
_REQUIRED = {"sklearn": "scikit-learn>=1.7", "scipy": "scipy>=1.15", "pandas": "pandas"}


def import_optional(module: str, extra: str | None, purpose: str) -> Any:
    """Import a module of an optional dependency.

    Args:
        module: such as `av` or `scipy.signal`.
        extra: name of the extra that installs it. None if the package itself does.
        purpose: whatever needs the module, as messages say it: "decoding audio and video".

    Raises:
        ImportError: it is not installed; the message has the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError:
        packages = EXTRAS[extra] if extra else (_REQUIRED[module.partition(".")[0]],)
        raise ImportError(f"{purpose} needs {module}, which is not installed: {install_line(packages)}") from None


def install_line(packages: Iterable[str]) -> str:
    """Return the command that installs these packages."""
    return " ".join(("pip install", *(f'"{package}"' for package in packages)))
