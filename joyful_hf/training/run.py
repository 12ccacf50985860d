"""One training run: files in, a folder with a checkpoint and its results out; what `joyful train` does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoProcessor, EvalPrediction, PreTrainedTokenizerBase, set_seed

from ..data.encoded import EncodedDialogues
from ..data.media_reading import read_media
from ..evaluation.metrics import compute_metrics
from ..evaluation.task import task_of
from ..families import Family, family_named, family_of
from ..io.disk import check_writable
from ..io.messages import counted
from ..io.signals import Stopped, collected_stops
from ..processing import DialogueError, EmotionRecognitionProcessor
from ..processing.reading import read_dialogues
from ..runs.folder import remove_run
from ..runs.names import metric_key
from ..runs.summary import DataSummary
from .arguments import JoyfulTrainingArguments
from .building import make_model_and_processor, setting_names
from .callbacks import print_epoch_lines
from .fine_tuning import load_for_fine_tuning
from .run_data import RunData
from .trainer import JoyfulTrainer


def run_training(
    args: JoyfulTrainingArguments,
    data: RunData,
    model_name: str = "joyful",
    preset: str | None = None,
    settings: dict[str, Any] | None = None,
    text_encoder: str | None = None,
    resume_from: str | None = None,
    overwrite: bool = False,
    audio_encoder: str | None = None,
    num_proc: int | None = None,
    strict: bool = False,
    from_checkpoint: str | None = None,
) -> dict[str, float]:
    """Train, calibrate, validate and test; leave checkpoint, results and model card in `args.output_dir`.

    Everything that is read is checked before the first step.

    Args:
        args: training arguments.
        data: the dialogues, with features where there were raw media.
        model_name: name of the family.
        preset: one of the family's published forms; by default the recommended one.
        settings: fields of the model's configuration and parameters of its processor.
        text_encoder, audio_encoder: as in `make_model_and_processor`.
        resume_from: the checkpoint that `prepare_output_dir` found.
        overwrite: remove an earlier run from the folder, right before the first step.
        num_proc, strict: as in `read_media`, for a model that reads recordings itself.
        from_checkpoint: folder or Hub id of a trained model to start from (see `load_for_fine_tuning`), which takes
            the place of `model_name`, `preset`, `settings` and encoders.

    Returns:
        The metrics of the best checkpoint on validation: `eval_...`, and `test_...` where there is a test set.

    Raises:
        DialogueError: bad input.
    """
    set_seed(args.seed)
    num_videos = _count_videos(data.train)
    # Read once: sizes, statistics, weights and examples start from the same arrays.
    data = replace(data, train=read_dialogues(data.train))
    if from_checkpoint is None:
        family = family_named(model_name)
        model, processor = make_model_and_processor(family, preset, settings or {}, data, text_encoder, audio_encoder)
    else:
        model, processor = load_for_fine_tuning(from_checkpoint, data.train)
        family = family_of(model.config.model_type, from_checkpoint)
    trainer, test = _make_trainer(args, data, model, processor, num_proc, strict)
    trainer.preset = preset
    if resume_from:
        _check_same_run(Path(resume_from), family, model, processor)

    is_main = trainer.is_world_process_zero()
    if is_main:
        print(f"training:   {_describe(trainer.summary_of(trainer.train_dataset), model.config)}")
        print(f"validation: {data.validation_source}")
        start = "" if from_checkpoint is None else f", from {from_checkpoint}"
        print(f"model:      {family.name}, {model.num_parameters():,} parameters{start}")
        if num_videos and "visual" not in model.config.modality_dims:
            videos = f"the video of {counted(num_videos, 'utterance')} of the training data"
            print(f"note:       {videos} is not read: there are no visual features")
        if isinstance(trainer.train_dataset, EncodedDialogues) and trainer.train_dataset.has_votes:
            print("note:       labels are votes: their shares are learnt, and scores count the class with most votes")
        if recipe := {} if from_checkpoint is not None else family.training_arguments(preset):
            taken = ", ".join(f"{name} {getattr(args, name)}" for name in recipe)
            print(f"recipe:     {taken} ({family.title}, {preset or 'recommended'})")
        if departures := family.departures(preset, args.to_dict(), model.config):
            print(f"note:       {departures}")
        if resume_from:
            print(f"resuming from {resume_from}")
    print_epoch_lines(trainer)
    if is_main:
        check_writable(Path(str(args.output_dir)), trainer.needed_room())
    if overwrite and is_main:
        remove_run(Path(str(args.output_dir)))
    trainer.accelerator.wait_for_everyone()

    with collected_stops() as trainer.stop_request:
        outcome = trainer.train(resume_from_checkpoint=resume_from)
    if (number := trainer.stop_request.number) is not None:  # it came after the last step
        raise Stopped(number)
    if not args.prediction_loss_only:
        trainer.calibrate()
    trainer.save_model(_internal_call=True)  # it is pushed below, with its scores
    trainer.save_state()
    metrics = trainer.evaluate()
    trainer.save_metrics("eval", metrics)
    if test is not None:
        tested = trainer.evaluate(test, metric_key_prefix="test")
        trainer.save_metrics("test", tested)
        metrics |= tested
    if args.push_to_hub:
        trainer.push_to_hub()  # writes the card first
    else:
        trainer.create_model_card()
    # Last: this file marks the run as finished.
    trainer.save_metrics("train", outcome.metrics)
    return metrics


def _make_trainer(
    args: JoyfulTrainingArguments,
    data: RunData,
    model: Any,
    processor: EmotionRecognitionProcessor,
    num_proc: int | None,
    strict: bool,
) -> tuple[JoyfulTrainer, EncodedDialogues | None]:
    """A trainer on the encoded dialogues, and the encoded test dialogues; what training will need has been checked."""

    def encode(dialogues: Any, split: str, held_out: bool = False) -> EncodedDialogues:
        read = read_media(dialogues, processor, num_proc, strict, verbose=args.process_index == 0, name=split)
        return EncodedDialogues(read, processor, data.sources.get(split), held_out)

    train = encode(data.train, "train")
    validation = encode(data.validation, "validation", held_out=data.held_out_seed is not None)
    test = None if data.test is None else encode(data.test, "test")
    for which, dialogues in (("training", train), ("validation", validation)):
        if not dialogues.has_labels:
            raise DialogueError(f"not one utterance of the {which} dialogues has a label")
    counts = train.summarize(model.config).label_counts
    if len(counts) == 1 and not task_of(model).several_labels:
        raise DialogueError(f"the training dialogues have one label only, {next(iter(counts))!r}")
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=train, eval_dataset=validation, processing_class=processor
    )
    _check_best_metric(trainer, model, validation)
    return trainer, test


def _check_best_metric(trainer: JoyfulTrainer, model: Any, validation: EncodedDialogues) -> None:
    """Raise a DialogueError if validation will not give the metric that is to choose the checkpoint."""
    args = trainer.args
    wanted = metric_key(args).removeprefix("eval_")
    if args.metric_for_best_model is None or wanted.startswith("loss"):
        return
    known: list[str] = []
    if not args.prediction_loss_only:
        labels = np.concatenate([example.labels for example in validation.encoded if example.labels is not None])
        logits = np.zeros((len(labels), model.config.num_labels))
        known = list(compute_metrics(EvalPrediction(logits, labels), model.config.id2label, model.problem_type))
    if wanted not in known:
        choices = ", ".join(["loss", *(name for name in known if not name.startswith("support_"))])
        left_out = task_of(model).left_out(validation.summarize(model.config).label_ranges)
        if wanted in left_out:
            choices += f" ({wanted} {left_out[wanted]})"
        raise DialogueError(f"`metric_for_best_model`: {wanted!r} is none of the metrics of this run: {choices}")


def _check_same_run(checkpoint: Path, family: Family, model: Any, processor: EmotionRecognitionProcessor) -> None:
    """Raise a DialogueError unless the checkpoint was made with the same settings and data."""
    try:
        config, stored_processor = AutoConfig.from_pretrained(checkpoint), AutoProcessor.from_pretrained(checkpoint)
    except (OSError, ValueError, StrictDataclassError) as error:
        raise DialogueError(f"{checkpoint}: the checkpoint cannot be resumed ({error})") from None
    of_config, of_processor = setting_names(family)
    for stored, made, names in (
        (config, model.config, ["model_type", *sorted(of_config)]),
        (stored_processor, processor, sorted(of_processor | {"text_tokenizer"})),
    ):
        for name in names:
            there, here = (_plain(getattr(part, name, None)) for part in (stored, made))
            if there != here:
                change = f" ({there} there, {here} here)"
                raise DialogueError(
                    f"`output_dir`: {checkpoint.parent} holds an interrupted run of other settings or data, which "
                    f"differ in {name}{change if len(change) < 80 else ''}; choose another, or give "
                    "`overwrite_output_dir` to replace it"
                )


def _plain(value: Any) -> Any:
    """A value as JSON has it: tuples become lists, integer keys strings, a nested config its fields.

    A tokenizer becomes its vocabulary.
    """
    if isinstance(value, PreTrainedTokenizerBase):
        value = value.get_vocab()
    return json.loads(json.dumps(value, default=lambda config: config.to_dict()))


def _describe(data: DataSummary | None, config: Any) -> str:
    """The training dialogues, and the size of each modality that the model reads of them."""
    assert data is not None  # a run never streams
    layers = getattr(config, "feature_layers", None) or {}
    sizes = {
        modality: f"{layers[modality]} * {size}" if modality in layers else size
        for modality, size in config.modality_dims.items()
    }
    read = {modality: count for modality, count in data.modality_counts.items() if modality in sizes}
    features = ", ".join(f"{modality} {sizes[modality]} (in {count})" for modality, count in read.items())
    return (
        f"{counted(data.num_dialogues, 'dialogue')}, {counted(data.num_utterances, 'utterance')}, "
        f"up to {counted(data.max_speakers or 0, 'speaker')}, features: {features or 'none'}"
    )


def _count_videos(dialogues: Any) -> int:
    """Return how many utterances of a data set have a video, without reading any."""
    if not isinstance(dialogues, Dataset):
        return 0
    table = dialogues.select_columns("utterances").with_format("arrow")[:]
    utterances = [chunk.flatten() for chunk in table.column("utterances").chunks]
    videos = [chunk.field("video") for chunk in utterances if chunk.type.get_field_index("video") >= 0]
    return sum(len(video) - video.null_count for video in videos)
