"""The base of every family's configuration: labels, and the refusal of values that make no sense."""

import difflib
import os
from dataclasses import fields
from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .tasks import REGRESSION, TASKS


@strict
class EmotionRecognitionConfig(PreTrainedConfig):
    """The base of every family's configuration.

    Args:
        class_weights: weight of each class in the classification loss.
        label_smoothing: share of the target spread over all classes.
        calibration_temperature: divisor of the logits before they become probabilities, fitted on validation data
            (`JoyfulTrainer.calibrate`); 1 leaves them as they are. It changes no label, and no regression.
    """

    # The trainer does not gather these in evaluation: every field of `EmotionRecognitionOutput` but the logits.
    keys_to_ignore_at_inference = [
        *("loss", "losses", "metrics", "features", "fused", "context", "graph", "edge_attention"),
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
        if self.label2id and not self.id2label:  # transformers reads id2label only
            self.id2label = {int(index): label for label, index in self.label2id.items()}
        super().__post_init__(**kwargs)

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
        if self.problem_type == REGRESSION and self.num_labels != 1:
            raise ValueError(f"regression has one value per utterance, got num_labels={self.num_labels}; set it to 1")
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


__all__ = ["EmotionRecognitionConfig"]
