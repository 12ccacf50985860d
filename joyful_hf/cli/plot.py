"""`joyful plot`."""

from pathlib import Path
from typing import Annotated

import typer

from ..io.files import written_whole
from .options import (
    CHECKPOINT_HELP,
    DATA_HELP,
    Columns,
    DataRoot,
    Device,
    NumProc,
    Overwrite,
    Strict,
    announce,
    hide_bars_in_files,
    parse_columns,
    refuse_existing,
)


def plot(
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_dir: Annotated[Path, typer.Option(help="Folder for the pictures, as PNG and SVG.")],
    dialogue: Annotated[
        str | None,
        typer.Option(help="Id of the dialogue whose timeline and graph are drawn.  [default: the first one]"),
    ] = None,
    method: Annotated[str, typer.Option(help="How representations become points: tsne or umap.")] = "tsne",
    columns: Columns = None,
    data_root: DataRoot = None,
    device: Device = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Draw a model's scores, a dialogue, and the training curves.

    Where the data have no labels, only the pictures that need none are drawn.
    """
    from ..pictures.gallery import PICTURES, draw_pictures
    from ..pictures.style import FORMATS, Figure, write_figure
    from ..processing.devices import choose_device

    hide_bars_in_files()
    refuse_existing([output_dir / f"{name}.{suffix}" for name in PICTURES for suffix in FORMATS], overwrite)
    chosen = choose_device(device)
    announce(chosen)
    width = max(map(len, PICTURES))
    pictures = draw_pictures(
        checkpoint, data_file, dialogue, method, num_proc, strict, chosen, parse_columns(columns), data_root
    )
    for name, picture in pictures.items():
        if not isinstance(picture, Figure):
            print(f"{name:<{width}}  left out: {picture}")
            continue
        for suffix in FORMATS:
            with written_whole(output_dir / f"{name}.{suffix}") as part:
                write_figure(picture, part, suffix)
        print(f"{name:<{width}}  {output_dir / name}.{', .'.join(FORMATS)}")
