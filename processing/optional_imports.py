"""Libraries that only some users need: imported when first used, or refused with the line that installs them."""

from importlib import import_module
from typing import Any


def import_optional(module: str, extra: str | None, purpose: str) -> Any:
    """The module of an optional dependency.

    Args:
        extra: of this package, which installs it. None if the package itself does: it can be missing all the same,
            where these files have travelled to the Hub as the code of a checkpoint.
        purpose: what needs it, as messages say it: "decoding audio and video".

    Raises:
        ImportError: it is not installed; the message has the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError:
        package = f'"joyful-hf[{extra}]"' if extra else "joyful-hf"
        raise ImportError(f"{purpose} needs {module}, which is not installed: pip install {package}") from None
