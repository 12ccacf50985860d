"""`joyful demo`: the whole way on a toy corpus, from recordings to a checkpoint and on to predictions."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from .options import Device, announce, hide_bars_in_files, resumable


def demo(
    output_dir: Annotated[Path, typer.Option(help="Folder for the data, the checkpoint and the results.")] = Path(
        "joyful-demo"
    ),
    overwrite_output_dir: Annotated[
        bool, typer.Option("--overwrite-output-dir", help="Replace an earlier demo in this folder.")
    ] = False,
    device: Device = None,
) -> None:
    """Train and test a model on a toy corpus of recordings.

    It makes the recordings, trains and tests a model, and predicts the emotions in one dialogue.
    """
    hide_bars_in_files()
    with resumable():
        run_demo(output_dir, overwrite_output_dir, device)


EXTRACTORS = {"text_extractor": "hashing", "audio_extractor": "logmel", "video_extractor": "frame-statistics"}
"""Extractors that need no download."""

_EPOCHS = 20


def run_demo(output_dir: Path, overwrite: bool = False, device: str | None = None) -> dict[str, float]:
    """Make recordings, extract features, train, test, load the checkpoint, and predict one dialogue: clip by clip, and
    as one recording with its transcript.

    Writes the toy corpus as raw media into `data/` (see `make_toy_media_corpus`), the checkpoint with its results
    into `model/`, and the one recording with what was found in it into `recording/`.

    Args:
        device: device to run on; by default the machine's accelerator.

    Returns:
        The metrics of the run.

    Raises:
        DialogueError: the folder holds a finished demo, and `overwrite` is False.
        ImportError: PyAV is not installed.
    """
    from ..checkpoints import load_checkpoint
    from ..data.recordings import load_recordings
    from ..model_card.card import write_model_card
    from ..processing.optional_imports import import_optional
    from ..runs.folder import prepare_output_dir
    from ..toy.corpus import EMOTIONS, best_possible_accuracy, make_toy_corpus
    from ..toy.media import join_toy_dialogue, make_toy_media_corpus
    from ..training.arguments import JoyfulTrainingArguments
    from ..training.run import run_training
    from ..training.run_data import extract_run_data, load_run_data
    from ..transcripts.loading import load_transcript
    from ..transcripts.rows import make_rows
    from ..transcripts.writing import write_predictions

    data_dir, model_dir = output_dir / "data", output_dir / "model"
    resume_from = prepare_output_dir(model_dir, overwrite)
    import_optional("av", "media", "the demo, which makes and reads recordings,")

    args = JoyfulTrainingArguments(str(model_dir), num_train_epochs=_EPOCHS, torch_device=device)
    announce(args.device)
    print(f"recordings: {data_dir}, made by rules: six emotions that follow what both speakers felt last", flush=True)
    test = make_toy_media_corpus(data_dir)["test"]
    folder = data_dir / "test" / test[0]["dialogue_id"]
    files = sorted(path.name for path in folder.glob("01_*"))
    print(f"            each utterance has its text, sound and pictures, as in {folder}: {', '.join(files)}")

    print(f"extractors: {', '.join(EXTRACTORS.values())}, which need no download", flush=True)
    data = load_run_data(*(str(data_dir / f"{split}.jsonl") for split in ("train", "validation", "test")), args.seed)
    with TemporaryDirectory() as cache_dir:  # the next demo makes its recordings anew
        data = extract_run_data(data, EXTRACTORS, cache_dir=cache_dir, device=args.device)
    metrics = run_training(args, data, settings=EXTRACTORS, resume_from=resume_from, overwrite=overwrite)
    write_model_card(model_dir, dataset_name="toy corpus of recordings")

    ceiling = best_possible_accuracy(make_toy_corpus(num_test=len(test))["test"])
    print()
    print(f"test accuracy   {metrics['test_accuracy']:.3f}   weighted F1 {metrics['test_weighted_f1']:.3f}")
    print(f"chance          {1 / len(EMOTIONS):.3f}   {len(EMOTIONS)} emotions, equally frequent")
    print(f"ceiling         {ceiling:.3f}   exact inference that knows the rules and all that the recordings show")
    gap, before = metrics["test_ece"], metrics["test_ece_uncalibrated"]
    print(f"calibration     {gap:.3f}   mean gap between score and accuracy ({before:.3f} uncalibrated)")

    print(f"\nThe checkpoint, loaded back from {model_dir}, on the recordings in {folder}:\n")
    model, processor = load_checkpoint(model_dir, args.device)
    (prediction,) = model.predict(load_recordings(folder), processor)
    width = max(len(utterance["text"]) for utterance in prediction["utterances"])
    for utterance, found in zip(test[0]["utterances"], prediction["utterances"], strict=True):
        mark = "" if found["label"] == utterance["label"] else f"(true: {utterance['label']})"
        score = found["scores"][found["label"]]
        print(f"  {found['speaker']:<6} {found['text']:<{width}}  {found['label']:<10} {score:4.0%}  {mark}".rstrip())

    recording, transcript = join_toy_dialogue(test[0], output_dir / "recording")
    outputs = [recording.with_name(f"emotions{suffix}") for suffix in (".csv", ".vtt")]
    predictions = model.predict(load_transcript(transcript, recording), processor)
    for output in outputs:
        write_predictions(predictions, output, overwrite=True)
    print(f"\nOne recording of two voices, {recording}, and its {transcript.suffix}, to {outputs[0]} and .vtt:\n")
    for row in make_rows(predictions)[:3]:
        start, end = row.times
        print(
            f"  {start:6.3f} {end:6.3f}  {row.speaker:<6} {row.text:<{width}}  {row.label:<10} {row.score or 0:4.0%}"
        )

    print("\nIt knows these made-up voices, faces and words alone: for real ones, train on real ones (joyful train).")
    files = f"--data-file {recording} --transcript {transcript} --output-file emotions.csv"
    print(f"\nRead one: joyful predict {model_dir} {files}")
    print(f"Use it:   joyful predict {model_dir} --data-file FOLDER --output-file emotions.jsonl")
    print(f"See it:   joyful plot {model_dir} --data-file {data_dir / 'test.jsonl'} --output-dir pictures")
    print(f"Share it: joyful push {model_dir} USER/NAME   ({model_dir / 'README.md'} is its model card)")
    return metrics
