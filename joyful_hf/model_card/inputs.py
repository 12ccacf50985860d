"""The inputs of a model, as its processor describes them, in the Markdown of its card."""

from typing import Any

from ..processing.dialogues import EXTRACTOR_KEYS, MEDIA_KEYS
from ..processing.encoder_folders import folder_name, is_left_behind
from ..processing.optional_imports import EXTRAS, install_line
from ..runs.recipe import RunFolder
from .markdown import plain, table

MODALITY_NAMES = MEDIA_KEYS
"""Modality -> how a card calls it."""


def describe_inputs(run: RunFolder) -> dict[str, Any]:
    """Return what the template says of the input: a table of modalities, sentences below it, and what to install."""
    inputs = run.processor.describe_inputs(run.config)
    left_behind = {name: made_by for name, made_by in run.processor.extractors.items() if is_left_behind(made_by)}
    context = [*run.processor.describe_context(run.config), *map(_say_left_behind, left_behind, left_behind.values())]
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
        "own_features": [
            MODALITY_NAMES[given.modality]
            for given in inputs
            if given.made_by is None or given.modality in left_behind
        ],
        "context": plain(" ".join(context)),
        "install": install_line(packages) if packages else None,
    }


def _say_left_behind(modality: str, extractor: str) -> str:
    name = folder_name(extractor)
    return (
        f"The encoder of {MODALITY_NAMES[modality]}, {name}, is not in this repository: bring the features that it "
        f"makes, or load the processor with its folder or Hub id as {EXTRACTOR_KEYS[modality]}."
    )
