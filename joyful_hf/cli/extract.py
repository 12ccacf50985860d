"""`joyful extract`."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ..io.files import written_whole
from ..processing.dialogues import EXTRACTOR_KEYS, DialogueError
from .options import (
    DATA_HELP,
    AudioExtractor,
    NumProc,
    Strict,
    TextExtractor,
    VideoExtractor,
    given_extractors,
    hide_bars_in_files,
    refuse_existing,
)


def extract(
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_file: Annotated[Path, typer.Option(help="Parquet or JSONL: the dialogues, with features.")],
    checkpoint: Annotated[str | None, typer.Option(help="Folder or Hub id: extract as it was trained.")] = None,
    text_extractor: TextExtractor = None,
    audio_extractor: AudioExtractor = None,
    video_extractor: VideoExtractor = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
) -> None:
    """Turn text, audio and video into a file of features, which every other command reads."""
    from ..data.dialogue_files import load_dialogues
    from ..data.extraction import extract_features
    from ..data.jsonl import write_dialogues

    hide_bars_in_files()
    refuse_existing(output_file)
    if output_file.suffix not in (".parquet", ".jsonl"):
        raise DialogueError(f"{output_file}: unknown kind of file {output_file.suffix!r}; give .parquet or .jsonl")
    processor = processor_with(given_extractors(text_extractor, audio_extractor, video_extractor), checkpoint)
    dialogues = extract_features(load_dialogues(data_file), processor, num_proc, strict=strict)
    with written_whole(output_file) as part:
        if output_file.suffix == ".parquet":
            dialogues.to_parquet(part)
        else:
            write_dialogues(dialogues, part)
    print(f"{len(dialogues)} dialogues with features: {output_file}")


def processor_with(extractors: dict[str, str], checkpoint: str | None = None) -> Any:
    """A processor with these extractors, or a checkpoint's own, which they must not differ from.

    Args:
        extractors: parameters of the processor, `text_extractor` and so on.

    Raises:
        DialogueError: no extractor at all, or another than the checkpoint's.
    """
    from ..checkpoints import load_checkpoint
    from ..processing.feature_origin import same_extractor
    from ..processing.processing_joyful import JoyfulProcessor

    if checkpoint is None:
        if not extractors:
            options = ", ".join(f"--{key.replace('_', '-')}" for key in EXTRACTOR_KEYS.values())
            raise DialogueError(f"there is no extractor; give {options} or --checkpoint")
        return JoyfulProcessor(**cast("dict[str, Any]", extractors))
    processor = load_checkpoint(checkpoint)[1]
    own = {EXTRACTOR_KEYS[modality]: name for modality, name in getattr(processor, "extractors", {}).items()}
    if not own:
        raise DialogueError(f"{checkpoint}: was trained on features, without an extractor")
    for key, extractor in extractors.items():
        if key not in own or not same_extractor(own[key], extractor):
            raise DialogueError(
                f"--{key.replace('_', '-')} is {extractor!r}, and {checkpoint} was trained with {own.get(key)!r}"
            )
    return processor
