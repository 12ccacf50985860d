"""The inputs of a model, as its processor describes them, in the Markdown of its card."""

from typing import Any

from ..processing.dialogues import MEDIA_KEYS
from ..processing.optional_imports import EXTRAS, install_line
from ..runs.recipe import RunFolder
from .markdown import plain, table

MODALITY_NAMES = MEDIA_KEYS
"""Modality -> how a card calls it."""


def describe_inputs(run: RunFolder) -> dict[str, Any]:
    """Return what the template says of the input: a table of modalities, sentences below it, and what to install."""
    inputs = run.processor.describe_inputs(run.config)
    packages = [package for extra in run.processor.extras for package in EXTRAS[extra]]
    return {
        "inputs": table(
            ["Modality", "Read from", "Size", "Made by"],
            [
                [
                    MODALITY_NAMES[given.modality],
                    " or ".join(f"`{key}`" for key in given.keys),
                    plain(given.size),
                    "you bring it" if given.made_by is None else plain(given.made_by),
                ]
                for given in inputs
            ],
            numbers=False,
        ),
        "own_features": [MODALITY_NAMES[given.modality] for given in inputs if given.made_by is None],
        "context": plain(" ".join(run.processor.describe_context(run.config))),
        "install": install_line(packages) if packages else None,
    }
