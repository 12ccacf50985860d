"""`joyful predict`."""

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


def predict(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub id.")],
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_file: Annotated[Path, typer.Option(help="JSONL: one dialogue a line, label and scores an utterance.")],
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Find the emotion of every utterance. Labels in the data are not read."""
    from ..checkpoints import load_checkpoint
    from ..data.dialogue_files import load_dialogues
    from ..data.extraction import extract_for
    from ..data.jsonl import write_dialogues

    refuse_existing(output_file)
    hide_bars_in_files()
    dialogues = load_dialogues(data_file)
    model, processor = load_checkpoint(checkpoint)
    dialogues = extract_for(processor, dialogues, num_proc, strict)
    predictions = model.predict(dialogues, processor)
    with written_whole(output_file) as part:
        write_dialogues(predictions, part)
    count = sum(len(dialogue["utterances"]) for dialogue in predictions)
    print(f"{count} utterances of {len(predictions)} dialogues: {output_file}")
