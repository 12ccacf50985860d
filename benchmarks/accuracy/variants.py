"""The variants of each model that the accuracy benchmark compares, and groups of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import combinations, combinations_with_replacement
from typing import Any

from joyful_hf import JoyfulConfig, JoyfulProcessor
from joyful_hf.comparison.entrants import BASELINES


@dataclass(frozen=True)
class Variant:
    """A model or classifier to train and test."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings as `joyful train --config-json` takes them."""
    preset: str | None = None
    modalities: tuple[str, ...] = ()
    """The only modalities that it reads; () for all."""
    equal_size: bool = False
    """Whether the width is chosen so that there are as many parameters as in the recommended model."""
    noisy_edges: float = 0.0
    """Noisy edges added to each training dialogue, as a share of its edges."""
    classifier: str | None = None
    """A plain classifier of `joyful_hf.comparison.classifiers` in place of the model."""


RECOMMENDED = "recommended"
_DEFAULTS = JoyfulConfig()

# The context encoder alone, trained by the same trainer: an alternative for users.
_BIGRU = dict(BASELINES["bigru"].settings)
_OF_GRU = ("context_encoder", "contextual_size", "hidden_dropout_prob")
_CONTEXT_ALONE = {name: value for name, value in _BIGRU.items() if name not in _OF_GRU}
_TRANSFORMER = _CONTEXT_ALONE | {"context_encoder": "transformer"}

_BASELINES = {
    "majority": Variant(classifier="majority"),
    "logistic-regression": Variant(classifier="logistic-regression"),
    "bigru": Variant(_BIGRU),
    "bigru-equal": Variant(_BIGRU, equal_size=True),
    "transformer-equal": Variant(_TRANSFORMER, equal_size=True),
    # As many members as in the recommended model, to measure the effect of averaging alone.
    "bigru-members": Variant(_BIGRU | {"num_members": _DEFAULTS.num_members}),
}
_PRESETS = {"paper": Variant(preset="paper"), "released": Variant(preset="released")}
# Table 6. Its "w/o GCL" is `no-graph`: that row leaves out the whole graph.
_ABLATIONS = {
    "contextual-only": Variant({"fusion_branches": ["contextual"]}),
    "specific-only": Variant({"fusion_branches": ["specific"]}),
    "no-fusion": Variant({"fusion_branches": []}),
    "no-graph": Variant({"graph_num_layers": 0}),
    "no-contrast": Variant({"contrastive_loss_weight": 0}),
    "no-plain-path": Variant({"plain_path_size": 0}),
    "no-modality-weights": Variant({"modality_weights": None}),
    "one-member": Variant({"num_members": 1}),
}


def _modality_subsets(modalities: Sequence[str], sizes: Sequence[int]) -> dict[str, Variant]:
    """Return a variant for each subset of one of these sizes; the features of other modalities are not read."""
    return {
        "-".join(kept): Variant({f"{other}_dim": 0 for other in modalities if other not in kept}, modalities=kept)
        for size in sizes
        for kept in combinations(modalities, size)
    }


def _curve(prefix: str, values: Sequence[int], default: int) -> dict[int, str]:
    """Map values to names of variants; the default value is the recommended model."""
    return {value: RECOMMENDED if value == default else f"{prefix}-{value}" for value in values}


# Graph layers -> variant. Table 7 has 1, 2 and 4.
DEPTH_CURVE = _curve("depth", (1, 2, 4, 8), _DEFAULTS.graph_num_layers)
# Past and future utterances -> variant; -1 is the whole dialogue. Tables 9 and 10.
WINDOW_CURVE = _curve("window", (0, 2, 4, 8, 16), JoyfulProcessor().window_past) | {-1: "window-all"}
# Graph layers -> percent of noisy edges in training -> variant. Table 7.
NOISE_CURVES = {
    depth: {0: name} | {noise: f"{name}-noise-{noise}".removeprefix(f"{RECOMMENDED}-") for noise in (5, 10, 15, 20)}
    for depth, name in DEPTH_CURVE.items()
    if depth <= 4
}

AUGMENTATIONS = {"fm": "feature_mask", "ep": "edge_perturb", "gp": "global_proximity"}
VIEWS = {"none": [], **{short: [name] for short, name in AUGMENTATIONS.items()}} | {
    f"{first}+{second}": [AUGMENTATIONS[first], AUGMENTATIONS[second]]
    for first, second in combinations(AUGMENTATIONS, 2)
}
PAPER_VIEWS = ("fm+ep", "fm+gp")
# Pair of views -> variant: every pair of no, one or two augmentations (the paper's Figures 4A and 8).
VIEW_PAIRS = {
    pair: RECOMMENDED if [VIEWS[view] for view in pair] == _DEFAULTS.views else f"views-{'-'.join(pair)}"
    for pair in combinations_with_replacement(VIEWS, 2)
}


def _curve_variants() -> Iterator[tuple[str, Variant]]:
    for depth, name in DEPTH_CURVE.items():
        yield name, Variant({"graph_num_layers": depth})
    for window, name in WINDOW_CURVE.items():
        yield name, Variant({"window_past": window, "window_future": window})
    for depth, curve in NOISE_CURVES.items():
        for noise, name in curve.items():
            yield name, Variant({"graph_num_layers": depth}, noisy_edges=noise / 100)
    for pair, name in VIEW_PAIRS.items():
        yield name, Variant({"views": [VIEWS[view] for view in pair]})


_JOYFUL_MODALITIES = _modality_subsets(("text", "audio", "visual"), (1, 2))
_SINGLE_MODALITIES = _modality_subsets(("text", "audio", "visual"), (1,))
_STREAMS = _modality_subsets(("audio", "video"), (1,))

_AR_IIGCN_ABLATIONS = {
    "no-adversary": Variant({"adversarial_loss_weight": 0}),
    "no-contrast": Variant({"intra_modal_loss_weight": 0, "inter_modal_loss_weight": 0}),
    "no-adversary-no-contrast": Variant(
        {"adversarial_loss_weight": 0, "intra_modal_loss_weight": 0, "inter_modal_loss_weight": 0}
    ),
    "no-graph": Variant({"graph_num_layers": 0}),
}
_FOAL_NET_ABLATIONS = {
    "summed-alignment": Variant({"avel_normalize": False}),
    "unclassified-embeddings": Variant({"classify_embeddings": False}),
    "no-alignment": Variant({"avel_loss_weight": 0}),
    "no-matching": Variant({"mem_loss_weight": 0}),
    "no-alignment-no-matching": Variant({"avel_loss_weight": 0, "mem_loss_weight": 0}),
}

# Model -> name -> variant.
VARIANTS: dict[str, dict[str, Variant]] = {
    "joyful": dict(_curve_variants())
    | {RECOMMENDED: Variant()}
    | _BASELINES
    | _PRESETS
    | _ABLATIONS
    | _JOYFUL_MODALITIES,
    "ar-iigcn": {RECOMMENDED: Variant()}
    | _AR_IIGCN_ABLATIONS
    | _SINGLE_MODALITIES
    | {"paper": Variant(preset="paper")},
    "foal-net": {RECOMMENDED: Variant()} | _FOAL_NET_ABLATIONS | _STREAMS | {"released": Variant(preset="released")},
}


def _group(*names: str) -> list[str]:
    """Return a group of variants. It begins with the recommended model, which they are compared with."""
    return list(dict.fromkeys([RECOMMENDED, *names]))


# Model -> name on the command line -> its variants.
GROUPS: dict[str, dict[str, list[str]]] = {
    "joyful": {
        "baselines": _group(*_BASELINES),
        "presets": _group(*_PRESETS),
        "ablations": _group(*_ABLATIONS),
        "modalities": _group(*_JOYFUL_MODALITIES),
        "depth": _group(*DEPTH_CURVE.values()),
        "window": _group(*WINDOW_CURVE.values()),
        "noise": _group(*NOISE_CURVES[_DEFAULTS.graph_num_layers].values()),
        "table-7": _group(*(name for curve in NOISE_CURVES.values() for name in curve.values())),
        "views": _group(*VIEW_PAIRS.values()),
    },
    "ar-iigcn": {
        "presets": _group("paper"),
        "ablations": _group(*_AR_IIGCN_ABLATIONS),
        "modalities": _group(*_SINGLE_MODALITIES),
    },
    "foal-net": {
        "presets": _group("released"),
        "ablations": _group(*_FOAL_NET_ABLATIONS),
        "modalities": _group(*_STREAMS),
    },
}


def expand_groups(model_name: str, names: Sequence[str]) -> list[str]:
    """Return the variants that names of variants and groups stand for, each once, in the order given.

    Raises:
        ValueError: a name is neither.
    """
    groups, variants = GROUPS[model_name], VARIANTS[model_name]
    for name in names:
        if name not in groups and name not in variants:
            nearest = get_close_matches(name, [*groups, *variants])
            hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
            raise ValueError(
                f"{model_name} has no {name!r}; {hint}There are the groups {', '.join(groups)}, "
                "and the variants in them, which --help lists"
            )
    return list(dict.fromkeys(variant for name in names for variant in groups.get(name, [name])))


def needs_other_corpus(variant: Variant, modalities: Sequence[str], single_label: bool) -> str | None:
    """Return the reason why a variant cannot be run on a corpus with these modalities, or None if it can."""
    if variant.classifier and not single_label:
        return "it needs one class per utterance"
    missing = [modality for modality in variant.modalities if modality not in modalities]
    if missing:
        return f"the training dialogues have no {' and no '.join(missing)} features"
    if set(variant.modalities) == set(modalities):
        return "the training dialogues have no other features: it would be the recommended model"
    return None
