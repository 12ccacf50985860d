"""`JoyfulTrainingArguments`: transformers' TrainingArguments with this field's defaults."""

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class JoyfulTrainingArguments(TrainingArguments):
    """As `transformers.TrainingArguments`, with defaults that work for emotion recognition in conversation.

    Validated and saved each epoch; the checkpoint of the highest weighted F1 on validation is kept, or of the lowest
    mean absolute error for regression.
    """

    per_device_train_batch_size: int = field(default=16, metadata={"help": "Dialogues of a training step."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Dialogues of an evaluation step."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Highest learning rate of AdamW."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of AdamW."})
    num_train_epochs: float = field(default=30, metadata={"help": "Epochs, unless stopped early."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps of warm-up, or their share if below 1."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "How the learning rate falls."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints kept beside the best."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best on validation."})
    metric_for_best_model: str | None = field(
        default="weighted_f1", metadata={"help": "What is best on validation; mae takes its place for regression."}
    )
    early_stopping_patience: int = field(
        default=8, metadata={"help": "Validations without a better score before training stops; 0 never stops."}
    )
    balance_classes: bool = field(
        default=False, metadata={"help": "Weight each class by the inverse of its frequency in training."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "The processor reads raw columns."})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "A resumed run goes on with the patience it had left."}
    )
