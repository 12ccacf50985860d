"""`joyful convert`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Overwrite


def convert(
    released_checkpoint: Annotated[Path, typer.Argument(help="File or folder that the authors' code saved.")],
    output: Annotated[Path, typer.Argument(help="Folder for the converted checkpoint.")],
    overwrite: Overwrite = False,
) -> None:
    """Convert a checkpoint of the authors' JOYFUL code.

    Nothing in it is executed.
    """
    from ..released.joyful import convert_released_checkpoint

    convert_released_checkpoint(released_checkpoint, output, overwrite=overwrite)
    print(f"converted checkpoint: {output}")
