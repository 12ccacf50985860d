"""One training run: files in, a folder with a checkpoint and its results out. What `joyful train` does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoProcessor, EvalPrediction, PreTrainedTokenizerBase, set_seed

from ..data.encoded import EncodedDialogues
from ..evaluation.metrics import compute_metrics
from ..families import Family, family_named, family_of
from ..io.messages import counted
from ..processing import DialogueError, EmotionRecognitionProcessor, summarize_dialogues
from ..runs.folder import remove_run
from ..runs.names import metric_key
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
    from_checkpoint: str | None = None,
) -> dict[str, float]:
    """Train, calibrate, validate and test; leave checkpoint, results and model card in `args.output_dir`.

    Everything that is read is checked before the first step.

    Args:
        text_encoder, audio_encoder: as of `make_model_and_processor`.
        resume_from: what `prepare_output_dir` found.
        overwrite: remove an earlier run from the folder, right before the first step.
        from_checkpoint: folder or Hub id of a trained model to start from (see `load_for_fine_tuning`), which takes
            the place of `model_name`, `preset`, `settings` and encoders.

    Returns:
        The metrics of the best checkpoint on validation: `eval_...`, and `test_...` where there is a test set.

    Raises:
        DialogueError: bad input.
    """
    set_seed(args.seed)
    if from_checkpoint is None:
        family = family_named(model_name)
        model, processor = make_model_and_processor(family, preset, settings or {}, data, text_encoder, audio_encoder)
    else:
        model, processor = load_for_fine_tuning(from_checkpoint, data.train)
        family = family_of(model.config.model_type, from_checkpoint)
    sources = data.sources
    train = EncodedDialogues(data.train, processor, sources.get("train"))
    validation = EncodedDialogues(data.validation, processor, sources.get("validation"))
    test = None if data.test is None else EncodedDialogues(data.test, processor, sources.get("test"))
    for which, dialogues in (("training", train), ("validation", validation)):
        if not dialogues.has_labels:
            raise DialogueError(f"not one utterance of the {which} dialogues has a label")
    try:
        trainer = JoyfulTrainer(
            model=model, args=args, train_dataset=train, eval_dataset=validation, processing_class=processor
        )
    except RuntimeError as error:  # of a tracker in --report-to that is not installed
        raise DialogueError(str(error)) from None
    trainer.preset = preset
    _check_best_metric(trainer, model, validation)
    print_epoch_lines(trainer)
    if resume_from:
        _check_same_run(Path(resume_from), family, model, processor)
    is_main = trainer.is_world_process_zero()
    if is_main:
        print(f"training:   {summarize_dialogues(data.train)}")
        print(f"validation: {data.validation_source}")
        start = "" if from_checkpoint is None else f", from {from_checkpoint}"
        print(f"model:      {family.name}, {model.num_parameters():,} parameters, on {args.device}{start}")
        if note := _unread_video(data.train, model.config):
            print(note)
        if resume_from:
            print(f"resuming from {resume_from}")
    if overwrite and is_main:
        remove_run(Path(str(args.output_dir)))
    trainer.accelerator.wait_for_everyone()

    outcome = trainer.train(resume_from_checkpoint=resume_from)
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


def _check_best_metric(trainer: JoyfulTrainer, model: Any, validation: EncodedDialogues) -> None:
    """Raises a DialogueError if validation will not give what is to choose the checkpoint."""
    args = trainer.args
    wanted = metric_key(args).removeprefix("eval_")
    if args.metric_for_best_model is None or wanted.startswith("loss"):
        return
    known: list[str] = []
    if not args.prediction_loss_only:
        labels = np.concatenate([dialogue.labels for dialogue in validation.encoded if dialogue.labels is not None])
        logits = np.zeros((len(labels), model.config.num_labels))
        known = list(compute_metrics(EvalPrediction(logits, labels), model.config.id2label, model.problem_type))
    if wanted not in known:
        choices = ", ".join(["loss", *known])
        raise DialogueError(f"--metric-for-best-model: {wanted!r} is none of the metrics of this run: {choices}")


def _check_same_run(checkpoint: Path, family: Family, model: Any, processor: EmotionRecognitionProcessor) -> None:
    """Raises a DialogueError unless model and processor of the checkpoint come of the same settings and data."""
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
            was, now = (_plain(getattr(one, name, None)) for one in (stored, made))
            if was != now:
                change = f" ({was} there, {now} here)"
                raise DialogueError(
                    f"{checkpoint.parent}: holds an interrupted run of other settings or data, which differ in "
                    f"{name}{change if len(change) < 80 else ''}; choose another --output-dir, or "
                    "--overwrite-output-dir to replace it"
                )


def _plain(value: Any) -> Any:
    """What JSON makes of a value: tuples become lists, integer keys strings, a nested config its fields.

    Of a tokenizer its vocabulary.
    """
    if isinstance(value, PreTrainedTokenizerBase):
        value = value.get_vocab()
    return json.loads(json.dumps(value, default=lambda config: config.to_dict()))


def _unread_video(dialogues: Dataset, config: Any) -> str | None:
    """Say that the data have video files which this model does not read, if so."""
    if getattr(config, "visual_dim", 0) or getattr(config, "video_dim", 0):
        return None
    table = dialogues.select_columns("utterances").with_format("arrow")[:]
    utterances = [chunk.flatten() for chunk in table.column("utterances").chunks]
    videos = [chunk.field("video") for chunk in utterances if chunk.type.get_field_index("video") >= 0]
    count = sum(len(video) - video.null_count for video in videos)
    with_video = f"{counted(count, 'utterance')} of the training data"
    return f"note:       the video of {with_video} is not read: there are no visual features" if count else None
