"""`joyful predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..io.messages import counted
from ..processing.dialogue_error import DialogueError
from .options import (
    CHECKPOINT_HELP,
    DATA_HELP,
    DataRoot,
    Device,
    NumProc,
    Overwrite,
    Shard,
    Strict,
    announce,
    hide_bars_in_files,
    parse_columns,
    parse_pairs,
    read_data,
    refuse_existing,
    resumable,
)

if TYPE_CHECKING:
    from ..transcripts.options import TranscriptOptions
    from ..transcripts.prediction_parts import PredictionParts


def predict(
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
    data_file: Annotated[
        str,
        typer.Option(
            help=f"{DATA_HELP} With --transcript, --segment or --transcribe, one recording of a whole conversation."
        ),
    ],
    output_file: Annotated[
        list[Path],
        typer.Option(
            help="Where the labels and scores go, of the kind that the suffix says: .jsonl, .csv, .tsv, .parquet, "
            ".srt, .vtt, .TextGrid or .eaf. Give it once for each file."
        ),
    ],
    transcript: Annotated[
        Path | None,
        typer.Option(
            help="Who said what when: JSON of whisper, whisperX, AssemblyAI, Deepgram or AWS, SRT, WebVTT, TextGrid, "
            ".eaf, RTTM, TSV, CSV, or labels of Audacity."
        ),
    ] = None,
    speakers: Annotated[
        Path | None, typer.Option(help="RTTM, or another transcript with speakers, that says who spoke when.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="The speaker on each channel of the recording, from the first: Alice,Bob.")
    ] = None,
    openface: Annotated[
        Path | None, typer.Option(help="CSV that OpenFace made of the recording, for models that read it.")
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(
            help="With --openface, whose face has which face_id: Alice=0,Bob=1.  [default: the one seen most]"
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of a transcript or of data in a table: start=begin_s,speaker=who.")
    ] = None,
    tiers: Annotated[
        str | None, typer.Option(help="Tiers of a TextGrid or .eaf to read: Anna,Bob.  [default: one per speaker]")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of a transcript, such as cp1251.  [default: it is detected]")
    ] = None,
    segment: Annotated[
        bool, typer.Option("--segment", help="Without a transcript: find the speech in the recording, by silero-vad.")
    ] = False,
    transcribe: Annotated[
        str | None,
        typer.Option(
            help="Without a transcript: find the speech and its words, by a model of speech recognition, such as "
            "openai/whisper-small."
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="With --transcribe, what is spoken, such as de.  [default: the model guesses]")
    ] = None,
    data_root: DataRoot = None,
    device: Device = None,
    num_proc: NumProc = 1,
    strict: Strict = False,
    shard: Shard = None,
    overwrite: Overwrite = False,
) -> None:
    """Predict the emotion of every utterance.

    Labels in the data are not read; they come back as `true_label`. A run that was interrupted goes on where it
    stopped when the same command is given again.
    """
    if shard is None:
        refuse_existing(output_file, overwrite)

    from ..checkpoints import load_checkpoint
    from ..processing.devices import choose_device
    from ..transcripts.options import TranscriptOptions
    from ..transcripts.prediction_parts import PredictionParts, Share
    from ..transcripts.summary import summary_table
    from ..transcripts.writing import check_number, check_output, write_predictions

    if shard is not None:
        output_file = [Share.parse(shard, 0).file(file) for file in output_file]
        refuse_existing(output_file, overwrite)
    for file in output_file:
        check_output(file)
    hide_bars_in_files()
    chosen = choose_device(device)
    options = TranscriptOptions(
        speakers=speakers,
        channels=None if channels is None else [name.strip() or None for name in channels.split(",")],
        openface=openface,
        faces=None if faces is None else _face_ids(faces),
        columns=parse_columns(columns),
        tiers=None if tiers is None else [name.strip() for name in tiers.split(",")],
        encoding=encoding,
    )
    if segment or transcribe is not None:
        dialogues = _listen(data_file, transcript, options, transcribe, language, chosen)
    else:
        dialogues = _read(data_file, transcript, options, language, data_root)
    share = Share(len(dialogues)) if shard is None else Share.parse(shard, len(dialogues))
    for file in output_file:
        check_number(file, len(share.rows))
    model, processor = load_checkpoint(checkpoint, chosen)
    if transcribe is None:  # which has said so already
        announce(chosen)
    facts = {
        "checkpoint": _facts_of_checkpoint(checkpoint, model),
        "data": _facts_of_data(data_file, dialogues),
        "settings": repr((options, segment, transcribe, strict, chosen.type)),
    }
    parts = PredictionParts(output_file[0], share, facts)
    finished = parts.prepare(overwrite)
    with resumable(last="part"), parts.kept_for_later():
        _predict_parts(parts, dialogues, model, processor, num_proc, strict, chosen, finished)
        for file in output_file:
            write_predictions(parts.predictions, file, overwrite=overwrite)
    files = ", ".join(map(str, output_file))
    count = 0
    if len(parts.predictions):
        print(f"{summary_table(parts.predictions)}\n")
        count = sum(len(dialogue["utterances"]) for dialogue in parts.predictions)
    print(f"{counted(count, 'utterance')} of {counted(len(parts.predictions), 'dialogue')}: {files}")
    parts.remove()


def _predict_parts(
    parts: "PredictionParts",
    dialogues: Any,
    model: Any,
    processor: Any,
    num_proc: int,
    strict: bool,
    device: Any,
    finished: int,
) -> None:
    """Predict the parts that are not finished, one after the other."""
    from tqdm import tqdm

    from ..data.extraction import extract_for
    from ..data.extraction_report import ExtractionReport
    from ..data.media_names import name_media
    from ..processing.dialogues import as_dialogue_list

    total = len(parts.share.rows)
    if finished:
        print(f"going on after {finished} of {counted(total, 'dialogue')}", flush=True)
    report = ExtractionReport()
    shown = {"unit": "dialogue", "leave": False, "dynamic_ncols": True, "disable": None}
    with processor.one_notice(), tqdm(desc="predicting", total=total, initial=finished, **shown) as bar:
        for rows in parts.todo():
            part = dialogues.select(rows) if hasattr(dialogues, "select") else [dialogues[row] for row in rows]
            extracted = as_dialogue_list(extract_for(processor, part, num_proc, strict, device, report))
            predictions = model.predict(_counting(extracted, bar), processor, first_position=rows.start)
            name_media(predictions, part)
            parts.finish(rows, predictions)
    if report.num_utterances:
        print(report, flush=True)


def _counting(dialogues: Any, bar: Any) -> Any:
    for dialogue in dialogues:
        yield dialogue
        bar.update()


def _facts_of_checkpoint(checkpoint: str, model: Any) -> list[Any]:
    """Return what changes when a checkpoint does."""
    from ..transcripts.prediction_parts import stamp_of
    from ..version import __version__

    return [checkpoint, getattr(model.config, "_commit_hash", None), stamp_of(checkpoint), __version__]


def _facts_of_data(data_file: str, dialogues: Any) -> list[Any]:
    """Return what changes when data do: files and, as the Hub has none here, the first and the last dialogue."""
    from ..io.shards import files_of_pattern, is_pattern
    from ..transcripts.prediction_parts import stamp_of

    files = files_of_pattern(data_file) if is_pattern(data_file) else [Path(data_file)]
    ends = [
        [dialogue.get("dialogue_id"), *(utterance.get("text") for utterance in dialogue["utterances"])]
        for dialogue in (dialogues[0], dialogues[len(dialogues) - 1])
    ]
    return [data_file, [stamp_of(file) for file in files], len(dialogues), ends]


def _read(
    data_file: str,
    transcript: Path | None,
    options: "TranscriptOptions",
    language: str | None,
    data_root: Path | None,
) -> Any:
    """Read dialogues, or one recording with its transcript."""
    from ..data.recordings import is_recording
    from ..io.data_root import refuse_media_outside
    from ..transcripts.loading import read_transcript

    if language is not None:
        raise DialogueError("--language: is what --transcribe listens for; give both, or neither")
    if transcript is None:
        if is_recording(data_file):
            raise DialogueError(_without_transcript(Path(data_file)))
        for option in ("speakers", "channels", "openface", "faces", "tiers", "encoding"):
            if getattr(options, option) is not None:
                raise DialogueError(f"--{option}: says something of a transcript; give --transcript too")
        return read_data(data_file, options.columns, data_root)
    if not is_recording(data_file):
        raise DialogueError(f"--data-file: {data_file} is no recording; --transcript is of one recording")
    dialogues, report = read_transcript(transcript, data_file, options)
    refuse_media_outside(dialogues, data_root)
    print(f"{report}\n")
    return dialogues


def _listen(
    data_file: str,
    transcript: Path | None,
    options: "TranscriptOptions",
    model: str | None,
    language: str | None,
    device: Any,
) -> Any:
    """Make the transcript of one recording."""
    from ..data.recordings import is_recording
    from ..transcripts.speech import transcribe_recording

    option = "--segment" if model is None else "--transcribe"
    of_files = {name: getattr(options, name) for name in ("columns", "tiers", "encoding")}
    for name, given in {"transcript": transcript, **of_files}.items():
        if given is not None:
            raise DialogueError(f"{option}: makes a transcript itself; leave --{name} out")
    if model is None and language is not None:
        raise DialogueError("--language: is what --transcribe listens for; --segment hears no words")
    if not is_recording(data_file):
        raise DialogueError(f"--data-file: {data_file} is no recording; {option} listens to one recording")
    if model is not None:
        announce(device)
    dialogues, report = transcribe_recording(data_file, model, options, language, device)
    print(f"{report}\n")
    return dialogues


def _face_ids(faces: str) -> dict[str, int]:
    """Parse `Alice=0,Bob=1`: the face_id in OpenFace's file of each speaker."""
    chosen = parse_pairs("faces", faces, "Alice=0")
    for name, face in chosen.items():
        if not face.isdecimal():
            raise DialogueError(
                f"--faces: {face!r} of {name} is no face_id of OpenFace, which are whole numbers from 0 on"
            )
    return {name: int(face) for name, face in chosen.items()}


def _without_transcript(recording: Path) -> str:
    """Say how to get a transcript of a recording, or which one lies beside it."""
    from ..transcripts.loading import KNOWN_SUFFIXES

    beside = [path for path in sorted(recording.parent.glob("*")) if path.stem == recording.stem]
    found = [path for path in beside if path.suffix.lower() in KNOWN_SUFFIXES]
    if found:
        return f"{recording}: is one long recording; give its transcript too: --transcript {found[0]}"
    return (
        f"{recording}: is one long recording, and a model reads utterances; make a transcript with the tool of your "
        f"choice, such as `whisperx {recording.name} --diarize --output_format json`, and give it with --transcript; "
        "or let the words be recognised here with --transcribe openai/whisper-small, or the speech be found without "
        "words with --segment"
    )
