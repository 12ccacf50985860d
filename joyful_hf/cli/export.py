"""`joyful export`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import CHECKPOINT_HELP, Overwrite, hide_bars_in_files, refuse_existing


def export(
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
    output: Annotated[
        Path, typer.Argument(help="File to write: .onnx for ONNX, or .pt2, which torch.export.load reads.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Export a model for machines without this package.

    The exported model takes the tensors of a batch and returns logits.
    """
    refuse_existing([output], overwrite)
    hide_bars_in_files()

    from ..checkpoints import load_checkpoint
    from ..inference.export import export_model

    model, processor = load_checkpoint(checkpoint, "cpu")  # where exports are traced
    export_model(model, processor, output)
    print(f"exported model: {output}")
