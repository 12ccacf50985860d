"""Names of the files of a run: the trainer writes them; cards, pictures and pushes read them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # takes long to import
    from transformers import TrainingArguments

RUN_SUMMARY = "run_summary.json"
TRAINER_STATE = "trainer_state.json"
"""transformers' own name for it, whose module takes long to import."""
TRAINING_ARGUMENTS = "training_args.json"
MANIFEST = "manifest.json"
"""In each checkpoint of a run."""
UNFINISHED = ".unfinished"
"""The folder in which a checkpoint is written, before it gets its name."""
MODEL_CARD = "README.md"
CONFUSION_MATRIX = "confusion_matrix"
"""Without the ending: there is a PNG and an SVG."""

FROZEN_STAGE = "frozen-encoder"
"""The folder, in that of a run, of its first stage, in which the model's encoder does not learn."""

PROCESSOR_CONFIG = "processor_config.json"
CONFIG_FILES = ("config.json", PROCESSOR_CONFIG)
WEIGHT_FILES = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
RESULT_FILES = (RUN_SUMMARY, "*_results.json", TRAINER_STATE, TRAINING_ARGUMENTS, f"{CONFUSION_MATRIX}.*")
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
PUBLISHED = (*CONFIG_FILES, *WEIGHT_FILES, *RESULT_FILES, *TOKENIZER_FILES, MODEL_CARD, "*.png", "*.svg")
"""The files of a checkpoint folder that are pushed. No optimizer state, no data, no log, and nothing pickled."""


def metric_key(args: "TrainingArguments") -> str:
    """Return the name of `metric_for_best_model` in the results of an evaluation; `eval_None` if there is none."""
    name = str(args.metric_for_best_model)
    return name if name.startswith("eval_") else f"eval_{name}"
