"""`joyful plot`."""

from pathlib import Path
from typing import Annotated

import typer

from ..io.files import written_whole
from .options import (
    DATA_HELP,
    NumProc,
    Strict,
    hide_bars_in_files,
    refuse_existing,
)


def plot(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_dir: Annotated[Path, typer.Option(help="Folder for the pictures, as PNG and SVG.")],
    dialogue: Annotated[
        str | None, typer.Option(help="Id of the dialogue whose timeline and graph are drawn; else the first one.")
    ] = None,
    method: Annotated[str, typer.Option(help="tsne or umap: how representations become points.")] = "tsne",
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Draw the scores, a dialogue, the representations and the training. Without labels, what needs none."""
    from ..pictures.gallery import PICTURES, draw_pictures
    from ..pictures.style import FORMATS, Figure, write_figure

    hide_bars_in_files()
    for name in PICTURES:
        for suffix in FORMATS:
            refuse_existing(output_dir / f"{name}.{suffix}")
    width = max(map(len, PICTURES))
    for name, picture in draw_pictures(checkpoint, data_file, dialogue, method, num_proc, strict).items():
        if not isinstance(picture, Figure):
            print(f"{name:<{width}}  left out: {picture}")
            continue
        for suffix in FORMATS:
            with written_whole(output_dir / f"{name}.{suffix}") as part:
                write_figure(picture, part, suffix)
        print(f"{name:<{width}}  {output_dir / name}.{', .'.join(FORMATS)}")
