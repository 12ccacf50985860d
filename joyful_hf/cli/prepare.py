"""`joyful prepare`."""

from pathlib import Path
from typing import Annotated

import typer


def prepare(
    corpus: Annotated[
        str,
        typer.Argument(
            help="iemocap, meld, meld-dyadic, emorynlp, cmu-mosei, cmu-mosi, or pickle (shared feature pickles)."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The corpus as its makers distribute it: a folder, or a pickle.")],
    output: Annotated[Path, typer.Argument(help="New folder for train, validation and test as Parquet.")],
    label_scheme: Annotated[
        str | None,
        typer.Option(help="Which labels, such as 4-way-erc or 4-way-ser of IEMOCAP; an unknown name lists them all."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="standard, or session-folds for IEMOCAP, whose five sessions are tested in turn."),
    ] = None,
) -> None:
    """Make training files from a licensed corpus.

    It reports what is missing in the corpus, and where its counts differ from published ones.
    """
    from ..corpora.prepare import prepare_corpus

    print(prepare_corpus(corpus, source, output, label_scheme, split))
