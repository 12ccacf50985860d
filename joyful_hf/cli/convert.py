"""`joyful convert`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Overwrite, hide_bars_in_files, parse_settings


def convert(
    released_checkpoint: Annotated[Path, typer.Argument(help="File or folder that the authors' code saved.")],
    output: Annotated[Path, typer.Argument(help="Folder for the converted checkpoint.")],
    model_name: Annotated[str, typer.Option("--model", help="Family of the checkpoint.")] = "joyful",
    config_json: Annotated[
        str,
        typer.Option(
            help="What the weights do not tell: settings of the configuration and the processor as JSON, such as "
            """'{"num_attention_heads": 8}' or '{"label2id": {"joy": 0, "anger": 1}}'."""
        ),
    ] = "{}",
    overwrite: Overwrite = False,
) -> None:
    """Convert a checkpoint of the authors' code of a family.

    Nothing in it is executed.
    """
    from ..released.convert import convert_checkpoint

    hide_bars_in_files()
    settings = parse_settings(config_json)
    convert_checkpoint(model_name, released_checkpoint, output, settings=settings, overwrite=overwrite)
    print(f"converted checkpoint: {output}")
