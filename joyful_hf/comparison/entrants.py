"""The models of a comparison: families in one of their forms, and baselines that any of them should beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..families import FAMILIES, Family, family_named
from ..io.messages import did_you_mean
from ..processing import DialogueError


@dataclass(frozen=True)
class Entrant:
    """One model of a comparison."""

    name: str
    """Its name in tables."""
    family_name: str | None = None
    """None for a plain classifier."""
    preset: str | None = None
    """One of the family's published forms; None for the recommended one."""
    classifier: str | None = None
    """A name of `classifiers.CLASSIFIERS`, in place of a family."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the configuration, and parameters of the processor."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Training arguments, in place of the recipe that the family or its preset brings."""

    @property
    def family(self) -> Family | None:
        """The family, unless this is a plain classifier."""
        return None if self.family_name is None else family_named(self.family_name)

    def training_arguments(self) -> dict[str, Any]:
        """The training arguments that differ from the package's defaults."""
        family = self.family
        return {} if family is None else family.training_arguments(self.preset) | dict(self.training)


# A context encoder alone, trained by the same trainer: two bidirectional GRUs of width 128 over the joined features.
_BIGRU: dict[str, Any] = {
    "fusion_branches": ["contextual"],
    "context_encoder": "gru",
    "contextual_size": 128,
    "num_hidden_layers": 2,
    "hidden_dropout_prob": 0.5,
    "graph_num_layers": 0,
    "fusion_loss_weight": 0,
    "plain_path_size": 0,
    "classifier_residual": False,
    "modality_dropout_prob": 0,
    "modality_weights": None,
    "num_members": 1,
}

BASELINES: dict[str, Entrant] = {
    "bigru": Entrant("bigru", "joyful", settings=_BIGRU),
    "logistic-regression": Entrant("logistic-regression", classifier="logistic-regression"),
    "majority": Entrant("majority", classifier="majority"),
}
"""Name -> baseline: a recurrent network over the dialogue, the utterance alone, and the commonest class."""


def parse_entrants(
    words: Sequence[str], settings: Mapping[str, Any] | None = None, training: Mapping[str, Any] | None = None
) -> list[Entrant]:
    """Read the models of a comparison as users write them.

    Args:
        words: `MODEL`, `MODEL:PRESET` or `NAME=MODEL:PRESET`, where `MODEL` is a family or a baseline and `NAME` is
            what tables call it.
        settings: settings for all models, and under the name of one model an object of settings for it alone.
        training: training arguments, in the same way.

    Raises:
        DialogueError: an unknown model or preset, the same name twice, or settings of a model that does not take part.
    """
    entrants: dict[str, Entrant] = {}
    for word in words:
        entrant = _parse_entrant(word)
        if entrant.name in entrants:
            raise DialogueError(
                f"`models`: {entrant.name} is there twice; give one of them a name of its own, as in "
                f"other={entrant.name}"
            )
        entrants[entrant.name] = entrant
    if not entrants:
        raise DialogueError("`models`: give at least one model")
    own_settings, own_training = (_by_entrant(given or {}, entrants) for given in (settings, training))
    return [
        replace(
            entrant,
            settings=dict(entrant.settings) | own_settings[name] if entrant.classifier is None else {},
            training=own_training[name] if entrant.classifier is None else {},
        )
        for name, entrant in entrants.items()
    ]


def _parse_entrant(word: str) -> Entrant:
    name, equals, model = word.rpartition("=")
    family_name, colon, preset = model.partition(":")
    if equals and not name:
        raise DialogueError(f"`models`: {word!r} begins with =; write NAME=MODEL")
    if family_name in BASELINES:
        if colon:
            raise DialogueError(f"`models`: the baseline {family_name} has no preset, as {word!r} has")
        return replace(BASELINES[family_name], name=name or model)
    if family_name not in FAMILIES:
        known = [*FAMILIES, *BASELINES]
        raise DialogueError(
            f"`models`: unknown model {family_name!r}; choose from {', '.join(known)}"
            f"{did_you_mean(family_name, known)}"
        )
    FAMILIES[family_name].check_preset(preset if colon else None, argument="models")
    return Entrant(name or model, family_name, preset if colon else None)


def _by_entrant(given: Mapping[str, Any], names: Mapping[str, Entrant]) -> dict[str, dict[str, Any]]:
    """Sort what is given into what each entrant gets; its own comes before what all of them get."""
    for name, value in given.items():
        if isinstance(value, dict) and name not in names and (name in FAMILIES or ":" in name):
            raise DialogueError(f"`settings`: {name!r} does not take part{did_you_mean(name, names)}")
    shared = {name: value for name, value in given.items() if not _is_own(name, value, names)}
    return {name: shared | (given[name] if _is_own(name, given.get(name), names) else {}) for name in names}


def _is_own(name: str, value: Any, names: Mapping[str, Entrant]) -> bool:
    return name in names and isinstance(value, dict)
