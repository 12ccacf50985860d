"""`joyful extract`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ..io.files import written_whole
from ..io.messages import counted
from ..processing.dialogue_error import DialogueError
from .options import (
    DATA_HELP,
    AudioExtractor,
    Columns,
    DataRoot,
    Device,
    Layers,
    Overwrite,
    Shard,
    Strict,
    TextExtractor,
    VideoExtractor,
    announce,
    given_extractors,
    hide_bars_in_files,
    parse_columns,
    read_data,
    refuse_existing,
)
from .threads import usable_cores


def extract(
    data_file: Annotated[str, typer.Option(help=DATA_HELP)],
    output_file: Annotated[Path, typer.Option(help="The dialogues with features, as .parquet or .jsonl.")],
    checkpoint: Annotated[
        str | None, typer.Option(help="Folder or Hub id of a model: use the extractors that it was trained with.")
    ] = None,
    text_extractor: TextExtractor = None,
    audio_extractor: AudioExtractor = None,
    video_extractor: VideoExtractor = None,
    layers: Layers = None,
    frames: Annotated[
        bool,
        typer.Option("--frames", help="Write sequences of frames, which Foal-Net reads, not a vector per utterance."),
    ] = False,
    columns: Columns = None,
    data_root: DataRoot = None,
    device: Device = None,
    num_proc: Annotated[
        int | None,
        typer.Option(
            help="Processes that read recordings.  [default: one per core, or one alone with an encoder]", min=1
        ),
    ] = None,
    strict: Strict = False,
    shard: Shard = None,
    overwrite: Overwrite = False,
) -> None:
    """Compute features once, and write them to a file.

    Every other command reads that file, and the extractors need not run again.
    """
    if shard is not None:
        from ..transcripts.prediction_parts import Share

        output_file = Share.parse(shard, 0).file(output_file)
    if output_file.suffix not in (".parquet", ".jsonl"):
        raise DialogueError(f"{output_file}: unknown kind of file {output_file.suffix!r}; give .parquet or .jsonl")
    refuse_existing([output_file], overwrite)
    extractors = given_extractors(text_extractor, audio_extractor, video_extractor, layers)
    if not extractors and checkpoint is None:
        raise DialogueError(
            "there is no extractor; give `text_extractor`, `audio_extractor`, `video_extractor` or `checkpoint`"
        )

    from ..data.extraction import extract_features
    from ..data.jsonl import write_dialogues
    from ..processing.devices import choose_device

    hide_bars_in_files()
    chosen = choose_device(device)
    processor = processor_with(extractors, checkpoint, frames)
    dialogues = read_data(data_file, parse_columns(columns), data_root)
    announce(chosen)
    if shard is not None:
        dialogues = dialogues.select(Share.parse(shard, len(dialogues)).rows)
    if len(dialogues):
        processes = num_proc or processes_for(processor.extractors)
        dialogues = extract_features(dialogues, processor, processes, strict=strict, device=chosen)
    with written_whole(output_file) as part:
        if output_file.suffix == ".parquet":
            dialogues.to_parquet(part)
        else:
            write_dialogues(dialogues, part)
    print(f"{counted(len(dialogues), 'dialogue')} with features: {output_file}")


def processes_for(extractors: Mapping[str, str]) -> int:
    """Return how many processes extract fastest: one for each core that may be used.

    One alone for an encoder, which takes all cores or the accelerator itself, and for text, which is no work to read.

    Args:
        extractors: modality -> name.
    """
    from ..processing.extractors import is_built_in

    reads_recordings = not extractors.keys() <= {"text"}
    has_encoder = not all(is_built_in(modality, name) for modality, name in extractors.items())
    return usable_cores() if reads_recordings and not has_encoder else 1


def processor_with(extractors: dict[str, str], checkpoint: str | None = None, frames: bool = False) -> Any:
    """Return a processor with these extractors, or a checkpoint's own, from which they must not differ.

    Args:
        extractors: parameters of the processor, `text_extractor` and so on.
        frames: whether it is to make sequences of frames, as a checkpoint's own says itself.

    Raises:
        DialogueError: a checkpoint without extractors, or with others; frames of text.
    """
    from ..checkpoints import load_checkpoint
    from ..processing.processing_foal_net import FoalNetProcessor
    from ..processing.processing_joyful import JoyfulProcessor

    if frames and checkpoint is not None:
        raise DialogueError("`frames` and `checkpoint` exclude each other: the checkpoint settles it")
    if frames and "text_extractor" in extractors:
        raise DialogueError("`frames`: `text_extractor` makes no sequences of frames; leave it out")
    if frames:
        return FoalNetProcessor(**cast("dict[str, Any]", extractors))
    if checkpoint is None:
        return JoyfulProcessor(**cast("dict[str, Any]", extractors))
    processor = load_checkpoint(checkpoint, "cpu")[1]
    if not extractor_parameters(processor):
        raise DialogueError(f"{checkpoint}: was trained on features, without an extractor")
    settle_extractors(processor, checkpoint, extractors)
    return processor


def extractor_parameters(processor: Any) -> dict[str, str]:
    """Return the extractors of a processor, each under the name of its parameter."""
    from ..processing import EXTRACTOR_KEYS

    return {EXTRACTOR_KEYS[modality]: name for modality, name in getattr(processor, "extractors", {}).items()}


def settle_extractors(processor: Any, checkpoint: str, extractors: dict[str, str]) -> None:
    """Check that the extractors that are given are those of the checkpoint's processor.

    It takes over those that it could not bring along itself: encoders in folders of another machine.

    Raises:
        DialogueError: one is not.
    """
    from ..processing.encoder_folders import is_left_behind
    from ..processing.feature_origin import same_extractor

    own = extractor_parameters(processor)
    for name, extractor in extractors.items():
        if name not in own or not same_extractor(own[name], extractor):
            with_own = f"with {own[name]!r}" if name in own else "without it"
            raise DialogueError(f"`{name}` is {extractor!r}, and {checkpoint} was trained {with_own}")
        if is_left_behind(own[name]):
            setattr(processor, name, extractor)
