"""One training run: files in, a folder with a checkpoint and its results out. What `joyful train` does."""

import difflib
import inspect
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_type_hints

import numpy as np
from datasets import Dataset
from huggingface_hub.dataclasses import type_validator
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoConfig,
    AutoProcessor,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from .checkpoints import load_audio_encoder, load_text_encoder
from .dialogue_files import load_dialogues
from .extraction import extract_features
from .families import FAMILIES, Family
from .metrics import compute_metrics
from .modeling.modeling_foal_net import audio_encoder_settings
from .modeling.pretrained_graph import text_encoder_settings
from .processing import (
    EXTRACTOR_KEYS,
    DialogueError,
    EmotionRecognitionProcessor,
    JoyfulProcessor,
    summarize_dialogues,
)
from .progress import print_epoch_lines
from .run_files import CONFUSION_MATRIX, HELD_OUT, RUN_SUMMARY, TRAINER_STATE, TRAINING_ARGUMENTS
from .trainer import EncodedDialogues, JoyfulTrainer
from .training_args import JoyfulTrainingArguments, metric_key

HELD_OUT_SHARE = 0.1

_FINISHED = "train_results.json"
_WEIGHTS = "model.safetensors"
# What a run leaves in its folder beside checkpoints. The first and the second mark it as finished: they go last.
_RUN_FILES = (
    _FINISHED,
    _WEIGHTS,
    "config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    TRAINING_ARGUMENTS,
    RUN_SUMMARY,
    f"{CONFUSION_MATRIX}.png",
    f"{CONFUSION_MATRIX}.svg",
    TRAINER_STATE,
    "all_results.json",
    "eval_results.json",
    "test_results.json",
)
# What a user may set of the fields that every configuration of transformers has.
_LABEL_SETTINGS = {"label2id", "num_labels", "problem_type"}


@dataclass
class RunData:
    """The dialogues of a run, and a line that says where validation comes from."""

    train: Dataset
    validation: Dataset
    test: Dataset | None
    validation_source: str
    sources: dict[str, str] = field(default_factory=dict)
    """Split -> what a model card calls its data."""


def load_run_data(train_file: str, validation_file: str | None, test_file: str | None, seed: int) -> RunData:
    """Read the files; without a validation file, hold out a tenth of the training dialogues.

    Raises:
        DialogueError: a file that cannot be read, or too few dialogues to hold one out.
    """
    train = load_dialogues(train_file)
    test = load_dialogues(test_file, split="test") if test_file else None
    sources = {"train": train_file} | ({"test": test_file} if test_file else {})
    if validation_file:
        validation = load_dialogues(validation_file, split="validation")
        sources["validation"] = validation_file
        return RunData(train, validation, test, f"{len(validation)} dialogues of {validation_file}", sources)
    if len(train) < 2:
        raise DialogueError(f"{train_file}: one dialogue is too few to hold out any; give --validation-file")
    train, validation = hold_out(train, seed)
    source = (
        f"{len(validation)} dialogues held out of {len(train) + len(validation)} (no --validation-file; seed {seed})"
    )
    sources["validation"] = f"{HELD_OUT}{Path(train_file).name}"
    return RunData(train, validation, test, source, sources)


def extract_run_data(
    data: RunData,
    settings: Mapping[str, Any],
    num_proc: int | None = None,
    strict: bool = False,
    verbose: bool = True,
    cache_dir: str | None = None,
) -> RunData:
    """The same dialogues with features in place of raw media, by the extractors that the settings name.

    Args:
        settings: as of `run_training`.
        num_proc, strict, verbose, cache_dir: as of `extract_features`.
    """
    extractors: dict[str, Any] = {key: settings.get(key) for key in EXTRACTOR_KEYS.values()}
    processor = JoyfulProcessor(**extractors)

    def extracted(dialogues: Dataset, name: str) -> Dataset:
        return extract_features(dialogues, processor, num_proc, cache_dir, strict, verbose, name)

    return RunData(
        train=extracted(data.train, "training"),
        validation=extracted(data.validation, "validation"),
        test=None if data.test is None else extracted(data.test, "test"),
        validation_source=data.validation_source,
        sources=data.sources,
    )


def hold_out(dialogues: Dataset, seed: int, share: float = HELD_OUT_SHARE) -> tuple[Dataset, Dataset]:
    """Training and validation dialogues: a random `share` of them, at least one, is for validation."""
    order = np.random.default_rng(seed).permutation(len(dialogues))
    size = max(1, round(share * len(dialogues)))
    return dialogues.select(sorted(order[size:])), dialogues.select(sorted(order[:size]))


def prepare_output_dir(output_dir: Path, overwrite: bool) -> str | None:
    """Refuse a folder that holds a finished run, unless it may be overwritten, and find where to resume.

    Nothing is changed here: what is overwritten goes when everything else has been checked.

    Returns:
        The checkpoint of an interrupted run, or None for a fresh start.

    Raises:
        DialogueError: a finished run, and `overwrite` is False.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise DialogueError(f"{output_dir}: is a file, not a folder")
    if overwrite:
        return None
    checkpoint = last_checkpoint(output_dir)
    if (output_dir / _FINISHED).exists() or ((output_dir / _WEIGHTS).exists() and checkpoint is None):
        raise DialogueError(
            f"{output_dir}: holds a finished run; choose another --output-dir, or --overwrite-output-dir to replace it"
        )
    return None if checkpoint is None else str(checkpoint)


def last_checkpoint(output_dir: Path) -> Path | None:
    """The checkpoint of the most steps in a folder, without such as were never written to their end."""
    return max(filter(_is_complete, _checkpoints(output_dir)), key=_steps_of, default=None)


def _is_complete(checkpoint: Path) -> bool:
    """Whether the file that is written last is whole."""
    try:
        json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _checkpoints(output_dir: Path) -> list[Path]:
    return [folder for folder in output_dir.glob("checkpoint-*") if _steps_of(folder) >= 0]


def _steps_of(checkpoint: Path) -> int:
    steps = checkpoint.name.removeprefix("checkpoint-")
    return int(steps) if steps.isdecimal() else -1


def _remove_run(output_dir: Path) -> None:
    """Remove the checkpoints and files of an earlier run, and nothing else that lies in the folder."""
    for checkpoint in _checkpoints(output_dir):
        shutil.rmtree(checkpoint)
    for name in reversed(_RUN_FILES):
        (output_dir / name).unlink(missing_ok=True)


def _setting_names(family: Family) -> tuple[set[str], set[str]]:
    """What can be set of the family's configuration and of its processor."""
    of_every_config = {one.name for one in fields(PreTrainedConfig)}
    of_config = {one.name for one in fields(family.config_class)} - of_every_config | _LABEL_SETTINGS
    return of_config, set(inspect.signature(family.processor_class).parameters) - {"tokenizer"}


def split_settings(family: Family, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort the settings of `--config-json` into those of the config and those of the processor; some are of both.

    Raises:
        DialogueError: a setting that neither knows, with the nearest that one of them does, or a value of a wrong
            type for the processor. The config checks its own.
    """
    of_config, of_processor = _setting_names(family)
    types = get_type_hints(family.processor_class.__init__)
    for name, value in settings.items():
        if name not in of_config | of_processor:
            nearest = difflib.get_close_matches(name, of_config | of_processor, n=3)
            hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
            raise DialogueError(f"--config-json: unknown setting {name!r}{hint}")
        if name in of_processor:
            try:
                type_validator(name, value, types[name])
            except TypeError as error:
                raise DialogueError(f"--config-json: {error}") from None
    return (
        {name: value for name, value in settings.items() if name in of_config},
        {name: value for name, value in settings.items() if name in of_processor},
    )


def make_model_and_processor(
    family: Family,
    preset: str | None,
    settings: dict[str, Any],
    data: RunData,
    text_encoder: str | None = None,
    audio_encoder: str | None = None,
) -> tuple[PreTrainedModel, EmotionRecognitionProcessor]:
    """A fresh model and a processor fitted to the training dialogues.

    Args:
        text_encoder, audio_encoder: folder or Hub id of a pretrained encoder, for a model that reads raw text or
            waveforms.

    Raises:
        DialogueError: an unknown preset, a setting that no model can be made of, an encoder that cannot be loaded or
            that the family has no use for, or bad dialogues.
    """
    if preset is not None and preset not in family.presets:
        raise DialogueError(f"--preset: unknown preset {preset!r}; choose from {', '.join(family.presets)}")
    config_settings, processor_settings = split_settings(family, settings)
    if preset is not None:
        parts = [part for part in (data.train, data.validation, data.test) if part is not None]
        every_dialogue = (dialogue for part in parts for dialogue in part)
        processor_settings = family.processor_class.published_parameters(every_dialogue) | processor_settings
    for option, given, field_name in (("text", text_encoder, "text_config"), ("audio", audio_encoder, "audio_config")):
        if given is not None and field_name not in _setting_names(family)[0]:
            raise DialogueError(f"--{option}-encoder: {family.config_class.model_type} has no encoder of {option}")
    pretrained_text: Any = None
    if text_encoder is not None:
        pretrained_text, processor_settings["tokenizer"] = load_text_encoder(text_encoder)
        config_settings = text_encoder_settings(pretrained_text) | config_settings
    pretrained_audio: Any = None
    if audio_encoder is not None:
        pretrained_audio, extractor = load_audio_encoder(audio_encoder)
        config_settings = audio_encoder_settings(pretrained_audio) | config_settings
        of_extractor = {"sampling_rate": extractor.sampling_rate, "normalize_audio": extractor.do_normalize}
        processor_settings = {"audio_dim": None} | of_extractor | processor_settings
    processor = family.processor_class.from_dialogues(data.train, **processor_settings)
    if not processor.reads_anything:
        raise DialogueError("--config-json: every modality has size 0; a model needs one of them")
    num_labels = len(processor.label2id or ())
    if num_labels and config_settings.get("num_labels", num_labels) != num_labels:
        raise DialogueError(
            f"--config-json: num_labels is {settings['num_labels']}, the data have {num_labels} labels"
        )
    make_config = getattr(family.config_class, preset) if preset else family.config_class
    try:
        model = family.model_class(make_config(**(processor.model_kwargs() | config_settings)))
    except (StrictDataclassError, ValueError, RuntimeError, ArithmeticError) as error:
        if not settings:
            raise
        # A check of the config wraps the message that says what is wrong.
        raise DialogueError(f"--config-json: {error.__cause__ or error}") from None
    if pretrained_text is not None:
        cast("Any", model).load_text_encoder(pretrained_text)
    if pretrained_audio is not None:
        cast("Any", model).load_audio_encoder(pretrained_audio)
    return model, processor


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
) -> dict[str, float]:
    """Train, calibrate, validate and test; leave checkpoint, results and model card in `args.output_dir`.

    Everything that is read is checked before the first step.

    Args:
        text_encoder, audio_encoder: as of `make_model_and_processor`.
        resume_from: what `prepare_output_dir` found.
        overwrite: remove an earlier run from the folder, right before the first step.

    Returns:
        The metrics of the best checkpoint on validation: `eval_...`, and `test_...` where there is a test set.

    Raises:
        DialogueError: bad input.
    """
    if model_name not in FAMILIES:
        raise DialogueError(f"--model: unknown model {model_name!r}; choose from {', '.join(FAMILIES)}")
    set_seed(args.seed)
    model, processor = make_model_and_processor(
        FAMILIES[model_name], preset, settings or {}, data, text_encoder, audio_encoder
    )
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
        _check_same_run(Path(resume_from), FAMILIES[model_name], model, processor)
    is_main = trainer.is_world_process_zero()
    if is_main:
        print(f"training:   {summarize_dialogues(data.train)}")
        print(f"validation: {data.validation_source}")
        print(f"model:      {model_name}, {model.num_parameters():,} parameters, on {args.device}")
        if resume_from:
            print(f"resuming from {resume_from}")
    if overwrite and is_main:
        _remove_run(Path(str(args.output_dir)))
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
    of_config, of_processor = _setting_names(family)
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
