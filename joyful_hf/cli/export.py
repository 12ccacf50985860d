"""`joyful export`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    refuse_existing,
)


def export(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    output: Annotated[Path, typer.Argument(help="model.onnx for ONNX, or model.pt2 for torch.export.load.")],
) -> None:
    """Write the prediction path for machines without this package: a batch's tensors in, logits out."""
    from ..checkpoints import load_checkpoint
    from ..inference.export import export_model

    refuse_existing(output)
    model, processor = load_checkpoint(checkpoint)
    export_model(model, processor, output)
    print(f"exported model: {output}")
