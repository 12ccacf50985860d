"""`joyful prepare`."""

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    corpus: Annotated[str, typer.Argument(help="iemocap, meld, cmu-mosei, cmu-mosi, or pickle for shared features.")],
    source: Annotated[Path, typer.Argument(help="The corpus as its makers give it: a folder, or a pickle.")],
    output: Annotated[Path, typer.Argument(help="Folder for train, validation and test as Parquet, and metadata.")],
    label_scheme: Annotated[
        str | None, typer.Option(help="Such as 4-way-erc and 4-way-ser of IEMOCAP; an unknown one lists them all.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="standard, or session-folds for IEMOCAP's five sessions in turn.")
    ] = None,
) -> None:
    """Make training files of a licensed corpus, and report what is missing in it."""
    from ..corpora.prepare import prepare_corpus

    print(prepare_corpus(corpus, source, output, label_scheme, split))
