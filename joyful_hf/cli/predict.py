"""`joyful predict`."""

from pathlib import Path
from typing import Annotated

import typer

from ..io.files import written_whole
from ..io.messages import counted
from .options import (
    CHECKPOINT_HELP,
    DATA_HELP,
    Device,
    NumProc,
    Overwrite,
    Strict,
    announce,
    hide_bars_in_files,
    refuse_existing,
)


def predict(
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_file: Annotated[
        Path, typer.Option(help="JSONL: one dialogue per line, with a label and scores for each utterance.")
    ],
    device: Device = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict the emotion of every utterance.

    Labels in the data are not read.
    """
    refuse_existing([output_file], overwrite)

    from tqdm import tqdm

    from ..checkpoints import load_checkpoint
    from ..data.dialogue_files import load_dialogues
    from ..data.extraction import extract_for
    from ..data.jsonl import write_dialogues
    from ..processing.devices import choose_device

    hide_bars_in_files()
    chosen = choose_device(device)
    dialogues = load_dialogues(data_file)
    model, processor = load_checkpoint(checkpoint, chosen)
    announce(chosen)
    dialogues = extract_for(processor, dialogues, num_proc, strict, chosen)
    shown = tqdm(dialogues, desc="predicting", unit="dialogue", leave=False, dynamic_ncols=True, disable=None)
    predictions = model.predict(shown, processor)
    with written_whole(output_file) as part:
        write_dialogues(predictions, part)
    count = sum(len(dialogue["utterances"]) for dialogue in predictions)
    print(f"{counted(count, 'utterance')} of {counted(len(predictions), 'dialogue')}: {output_file}")
