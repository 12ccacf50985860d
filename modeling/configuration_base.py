"""The base of every family's configuration: labels, and the refusal of values that make no sense."""

import difflib
import math
import os
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, PreTrainedConfig

from .tasks import REGRESSION, SINGLE_LABEL, TASKS


@strict
class EmotionRecognitionConfig(PreTrainedConfig):
    """The base of every family's configuration.

    `JoyfulTrainer` gives the model a copy of its configuration, and writes class weights, label smoothing and the
    temperature of a run into that. A checkpoint keeps them, so that it is scored as it was trained, together with
    `set_by_training`, which tells them from what the user has set: {field: {"before": ..., "now": ...}}. The next
    training starts from the values before.

    With `problem_type="regression"`, several labels are several values of an utterance, named by `id2label`.

    Args:
        class_weights: weight of each class in the classification loss.
        label_smoothing: share of the target spread over all classes.
        calibration_temperature: divisor of the logits before they become probabilities, fitted on validation data
            (`JoyfulTrainer.calibrate`); 1 leaves them as they are. It changes no label, and no regression.
    """

    # The trainer does not gather these in evaluation: every field of `EmotionRecognitionOutput` but the logits.
    keys_to_ignore_at_inference = [
        *("loss", "losses", "metrics", "means", "features", "fused", "context", "graph", "edge_attention"),
        *("hidden_states", "attentions"),
    ]

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = {"problem_type": (None, *TASKS)}
    """Field -> the values that it may have."""
    probabilities: ClassVar[tuple[str, ...]] = ("label_smoothing",)
    """Fields between 0 and 1."""
    sizes: ClassVar[tuple[str, ...]] = ()
    """Fields of 1 or more, or None."""
    not_negative: ClassVar[tuple[str, ...]] = ()
    """Fields of 0 or more, or None."""
    above_zero: ClassVar[tuple[str, ...]] = ("calibration_temperature",)

    class_weights: list[float | int] | tuple[float | int, ...] | None = None
    label_smoothing: float | int = 0.0
    calibration_temperature: float | int = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        if self.class_weights is not None:
            self.class_weights = list(self.class_weights)
        _check_num_labels(kwargs)
        if self.label2id and not self.id2label:  # transformers reads id2label only
            self.id2label = {int(index): label for label, index in self.label2id.items()}
        super().__post_init__(**kwargs)

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in transformers, which reads the configuration of another system with a warning.

        Raises:
            ValueError: it belongs to another system; the message names the class that loads it.
        """
        config_dict, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        cls._check_model_type(config_dict, str(pretrained_model_name_or_path))
        return config_dict, unused

    @classmethod
    def _check_model_type(cls, config_dict: dict[str, Any], place: str) -> None:
        found = config_dict.get("model_type", cls.model_type)
        if found == cls.model_type:
            return
        way_out = "load it by the class that saved it"
        if found in CONFIG_MAPPING:
            config_class = CONFIG_MAPPING[found]
            if issubclass(cls, config_class):
                return
            from transformers import MODEL_MAPPING  # takes seconds, which only a mistake is to cost

            if config_class in MODEL_MAPPING:
                model: Any = MODEL_MAPPING[config_class]
                way_out = f"load it by {model.__name__} (its configuration by {config_class.__name__})"
        raise ValueError(
            f"{place}: holds a model of type {found!r}, and {cls.__name__} reads {cls.model_type!r} only; {way_out}"
        )

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers. With other labels, what training has learnt of the stored ones is forgotten.

        `from_pretrained(checkpoint, num_labels=3, ignore_mismatched_sizes=True)`, or with `id2label`, is how users of
        transformers fine-tune on other labels: class weights and temperature belong to the labels there were.
        """
        cls._check_model_type(config_dict, "the configuration")
        _check_num_labels(config_dict)
        kept = dict(config_dict)
        if _has_other_labels(kept, kwargs):
            for name in ("class_weights", "calibration_temperature", "set_by_training"):
                kept.pop(name, None)
            if "id2label" not in kwargs and kwargs.get("label2id"):
                kwargs["id2label"] = {int(index): label for label, index in kwargs["label2id"].items()}
            if kwargs.get("num_labels") is not None or kwargs.get("id2label") is not None:
                kept.pop("id2label", None)
                kept.pop("label2id", None)
            # transformers sets fields one by one after the config is made, which its checks refuse half-way.
            for name in ("problem_type", "num_labels", "id2label", "label2id", "class_weights"):
                if kwargs.get(name) is not None:
                    kept[name] = kwargs.pop(name)
            kept.setdefault("label2id", _turned(kept.get("id2label")))
        return super().from_dict(kept, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any) -> None:
        """As in transformers. `auto_map` is left out unless the code that it names is saved too."""
        if hasattr(self, "auto_map") and not self.is_remote_code():
            del self.auto_map
        super().save_pretrained(save_directory, push_to_hub, **kwargs)

    def validate_choices(self) -> None:
        """Check that every choice is a known one, and that every rate lies between 0 and 1."""
        for name, choices in self.choices.items():
            if getattr(self, name) not in choices:
                known = ", ".join(map(str, choices))
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        for name in self.probabilities:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")

    def validate_sizes(self) -> None:
        """Check that no size is too small."""
        for least, names in ((1, self.sizes), (0, self.not_negative)):
            for name in names:
                value = getattr(self, name)
                if value is not None and not value >= least:  # NaN is refused too
                    raise ValueError(f"{name} must be {least} or more, got {value}")
        for name in self.above_zero:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def validate_labels(self) -> None:
        """Check that there are as many labels as the task and the class weights need."""
        if not self.num_labels:
            raise ValueError("num_labels must be 1 or more; give num_labels or id2label")
        if set(self.id2label or ()) != set(range(self.num_labels)):
            told = ", ".join(map(str, list(self.id2label or ())[:5]))
            raise ValueError(f"id2label numbers its {self.num_labels} labels {told}; they begin at 0, without a gap")
        has_names = self.id2label != {index: f"LABEL_{index}" for index in range(self.num_labels)}
        if self.problem_type == REGRESSION and self.num_labels != 1 and not has_names:
            raise ValueError(
                f"regression has one value per utterance, got num_labels={self.num_labels}; set it to 1, or name "
                "several values by id2label, as in {0: 'valence', 1: 'arousal'}"
            )
        if self.class_weights is not None and len(self.class_weights) != self.num_labels:
            raise ValueError(f"class_weights has {len(self.class_weights)} weights for num_labels={self.num_labels}")

    @classmethod
    def with_defaults(cls, defaults: dict[str, Any], overrides: dict[str, Any]) -> Self:
        """Make a preset with its caller's changes; a misspelt field is refused, since it would change nothing."""
        names = {field.name for field in fields(cls)} | {"num_labels"}
        for name in overrides.keys() - names:
            nearest = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise ValueError(f"{cls.__name__} has no field {name!r}{hint}")
        return cls(**(defaults | overrides))


_MOST_LABELS = 100_000


def _check_num_labels(values: Any) -> None:
    """Refuse a number of labels, also of an encoder inside, that would fill the memory: each gets a name."""
    if isinstance(values, dict):
        number = values.get("num_labels")
        if isinstance(number, int) and number > _MOST_LABELS:
            raise ValueError(f"num_labels must be {_MOST_LABELS:,} or less, got {number}")
        for value in values.values():
            _check_num_labels(value)


def _turned(id2label: dict[Any, str] | None) -> dict[str, int] | None:
    return None if id2label is None else {label: int(index) for index, label in id2label.items()}


def most_heads(widths: Iterable[int], most: int) -> int:
    """Return the largest number of attention heads, up to `most`, that divides all widths."""
    common = math.gcd(*widths)
    return max(heads for heads in range(1, most + 1) if common % heads == 0)


def _has_other_labels(stored: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether the labels or the task that are given differ from those of a stored configuration."""
    names = _turned(stored.get("id2label")) or {}
    count = len(names) or stored.get("num_labels") or 2  # transformers leaves out what is its default
    task = stored.get("problem_type") or SINGLE_LABEL
    wanted = _turned(given.get("id2label")) or given.get("label2id")
    return (
        given.get("num_labels", count) not in (count, None)
        or (wanted is not None and dict(wanted) != names)
        or (given.get("problem_type") or task) != task
    )


def frame_size(audio_config: Any) -> int:
    """The size of the frames that an encoder of waveforms of this config gives; 0 where it does not say."""
    name = "output_hidden_size" if getattr(audio_config, "add_adapter", False) else "hidden_size"
    return getattr(audio_config, name, 0)


__all__ = ["EmotionRecognitionConfig", "frame_size"]
