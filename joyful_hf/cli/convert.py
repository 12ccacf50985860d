"""`joyful convert`."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    released_checkpoint: Annotated[Path, typer.Argument(help="What the authors' code saved.")],
    output: Annotated[Path, typer.Argument(help="Folder for the converted checkpoint.")],
) -> None:
    """Convert a checkpoint of the authors' JOYFUL code. Nothing in it is executed."""
    from ..released.joyful import convert_released_checkpoint

    convert_released_checkpoint(released_checkpoint, output)
    print(f"converted checkpoint: {output}")
