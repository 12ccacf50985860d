"""`JoyfulConfig`, with the paper's and the released code's forms of JOYFUL, and COGMEN, as presets."""

import logging
from operator import attrgetter
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig

from .configuration_base import frame_size, most_heads
from .configuration_dialogue import IEMOCAP_DIMS
from .configuration_graph import SpeakerGraphConfig

logger = logging.getLogger(__name__)

AUGMENTATIONS = ("feature_mask", "edge_perturb", "global_proximity")

CHOICES = SpeakerGraphConfig.choices | {
    "fusion": ("contextual_basis", "autoencoder", "join"),
    "context_encoder": ("transformer", "gru"),
    "speaker_encoder": (None, "gru"),
    "graph_encoder": ("aggregate_combine", "relational"),
    "feature_mask_unit": ("dimension", "element"),
    "fusion_loss_reduction": ("mean", "sum"),
    "edge_perturb_mode": ("drop_and_add", "rewire"),
    "contrast": ("view_to_view", "anchor_to_views"),
    "contrast_scope": ("dialogue", "batch"),
}
# Common to the paper's and the released form, which both leave out our additions.
_PUBLISHED: dict[str, Any] = {
    "projection_size": 460,
    "input_dropout_prob": 0.0,
    "context_encoder": "transformer",
    "num_hidden_layers": 4,
    "intermediate_size": 2048,
    "hidden_dropout_prob": 0.3,
    "causal": False,
    "norm_first": False,
    "max_relative_distance": 0,
    "context_window": 0,
    "speaker_encoder": None,
    "graph_num_layers": 1,
    "graph_residual": False,
    "graph_max_distance": 0,
    "contrast_exclude_self": True,
    "fusion_loss_reduction": "mean",
    "classifier_hidden_size": None,
    "classifier_residual": False,
    "classifier_residual_norm": True,
    "classifier_highway": False,
    "plain_path_size": 0,
    "modality_dropout_prob": 0.0,
    "num_members": 1,
    "consistency_loss_weight": 0.0,
    "absent_modality": "zeros",
    "label_smoothing": 0.0,
}


@strict
class JoyfulConfig(SpeakerGraphConfig):
    """Sizes and choices of a JOYFUL model. `JoyfulConfig()` is what we recommend.

    `JoyfulConfig.paper()` is the method of the paper (EMNLP 2023), `JoyfulConfig.released()` the network of the
    authors' code with its mistakes mended. Where the paper is silent the field says so.
    The recommended values were chosen on MELD's validation dialogues and by cross-validation inside the CMU-MOSI
    training videos (`benchmarks/accuracy`), never on a test set.

    Fields that are not listed here are those of `SpeakerGraphConfig` and `DialogueConfig`.

    Args:
        fusion: `"contextual_basis"` (the paper's two branches), `"autoencoder"` (the released code's) or `"join"`
            (COGMEN's: the features side by side).
        fusion_branches: which of `"contextual"` (B1) and `"specific"` (B2) the paper's fusion has; an empty list
            joins the plain features (Table 6, "w/o MF").
        contextual_size: width of each modality in the contextual branch; None keeps the modality's own size, as
            the paper does (Table 8).
        projection_size: width of each modality in the specific branch (paper: 460).
        basis_size, smoothing_rate: q shared basis vectors, not in the paper; eta of the topic vector (paper: 0.2).
        autoencoder_size, bottleneck_size, input_dropout_prob: hidden and code size of the released auto-encoders,
            1024 and 512; dropout of the feature vectors, not in the paper.
        context_encoder: `"transformer"` (paper and released) or `"gru"`, bidirectional unless `causal`.
        num_hidden_layers, num_attention_heads, intermediate_size, hidden_dropout_prob: of the context encoder.
            Not in the paper; the released code has 4, 8, 2048 and 0.3.
        norm_first: normalise before each transformer sub-layer instead of after it (paper and released: after).
        max_relative_distance: utterances that a learnt relative position bias tells apart; 0 leaves out all
            knowledge of order (paper and released).
        context_window: utterances before and after that each one sees in the context transformer; 0 is all of the
            dialogue (paper and released), which takes memory quadratic in its length: set it for dialogues of
            thousands. With `causal` only those before it.
        speaker_encoder: `"gru"` adds a GRU over each speaker's own utterances, in context; None none (the papers).
        graph_encoder: `"aggregate_combine"` (paper, Eqs. 9 and 10) or `"relational"` (released: relational
            convolution, then attention).
        graph_hidden_size: width of the graph layers; None is the width of their input (paper, Table 8).
        graph_num_layers, graph_num_heads: L (paper: 1), 0 switches the graph off (Table 6, "w/o GCL"); heads of the
            relational encoder's attention.
        views: the pair of views, each a list of `"feature_mask"` (FM), `"edge_perturb"` (EP) and
            `"global_proximity"` (GP). The paper's best: FM&EP and FM&GP.
        feature_mask_rate, edge_perturb_rate, global_proximity_rate: p of each augmentation (paper: 0.2).
        global_proximity_threshold: least Katz score of an edge to be added (paper, Appendix A: 0.5).
        katz_attenuation, katz_order: of the Katz index, the first over the graph's highest degree. Not in the
            paper.
        feature_mask_unit: mask whole `"dimension"`s (paper) or single `"element"`s (released).
        feature_mask_rescale: multiply what feature masking leaves so that it keeps its size on average, as in dropout.
            Neither the paper nor the released code says so. Without it the paper's H = H1 + H2 is 24 % larger in
            evaluation than in training, where both views are masked. On MELD's validation dialogues (text, 200 for
            training, 5 epochs, 2 seeds of a small paper form) it lowered the calibration error from 0.080 to 0.033 and
            changed weighted F1 from 0.442 to 0.448, so `paper()` has it.
        edge_perturb_mode: `"drop_and_add"` (paper) or `"rewire"` (released).
        contrast: `"view_to_view"` (paper: Eqs. 11-13, and H = H1 + H2) or `"anchor_to_views"` (released: the
            clean graph against each view by InfoNCE, and H is the clean graph's).
        contrast_scope: negatives from the `"dialogue"` (paper) or the `"batch"` (released).
        contrastive_temperature: 1 in the paper, 0.2 in the released code.
        contrast_exclude_self: leave the anchor out of the intra-view negatives. The paper's text does, its
            Eq. 12 and the released code do not.
        fusion_loss_weight: alpha (paper: 0.06; released: 0.05), of L_mf as `fusion_loss_reduction` takes it: the mean
            over the utterances of a training step.
        fusion_loss_reduction: `"mean"` over the dimensions of each squared distance in L_mf, so that alpha weighs the
            same at every size, or `"sum"`, Eqs. 1, 2 and 7 as they are printed: at IEMOCAP's sizes a sum is 1380 times
            the mean. In the same measurement with one seed, the sum gave a weighted F1 of 0.252 where the mean gave
            0.438. The released code has the mean, and sums over the utterances of a dialogue, which no form does: a
            weight that many times as large as a dialogue has utterances comes to the same. The targets of the
            reconstruction keep their gradient, as in the released code: without it weighted F1 was 0.437.
        contrastive_loss_weight: beta (paper: 0.3 for IEMOCAP and MELD, 0.1 for MOSEI). 0, the default, switches the
            contrast off: it could not be told from no effect on any corpus (benchmarks/README.md), and costs a third
            of a training step.
        classifier_hidden_size: hidden layer of the classifier; None is graph_hidden_size (released), or 100.
        classifier_residual, classifier_residual_norm: give the classifier the graph's input beside its output, and
            normalise it first. COGMEN's `concat_gin_gout` does not.
        classifier_highway: a highway layer in front of the classifier, COGMEN's `use_highway`.
        plain_path_size: hidden layer of a second classifier that sees only the plain features, so that nothing in
            them is lost in context and graph; the logits are the mean of both. 0 leaves it out (paper and released).
        plain_path_dropout_prob, path_loss_weight: dropout of that layer; weight of each classifier's own loss.
        num_members: networks that are trained side by side, each from weights of its own, and whose logits are
            averaged. Not in the paper. Four cost four times the work. See benchmarks/README.md for the outcome.
        consistency_loss_weight: of the divergence between two passes of a training step that dropout makes different
            (R-Drop, Liang et al. 2021). Not in the paper. It doubles the work of training and none of prediction: a
            single network with a weight of 0.3 comes close to four (benchmarks/README.md).
        modality_dropout_prob, absent_modality, label_smoothing: as in `DialogueConfig`. Not in the paper.
    """

    model_type = "joyful"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = CHOICES
    probabilities: ClassVar[tuple[str, ...]] = (
        *SpeakerGraphConfig.probabilities,
        "feature_mask_rate",
        "edge_perturb_rate",
        "global_proximity_rate",
        "global_proximity_threshold",
        "plain_path_dropout_prob",
    )
    sizes: ClassVar[tuple[str, ...]] = (
        *SpeakerGraphConfig.sizes,
        "contextual_size",
        "projection_size",
        "basis_size",
        "autoencoder_size",
        "bottleneck_size",
        "num_attention_heads",
        "intermediate_size",
        "graph_hidden_size",
        "graph_num_heads",
        "katz_order",
        "classifier_hidden_size",
        "num_members",
    )
    not_negative: ClassVar[tuple[str, ...]] = (
        *SpeakerGraphConfig.not_negative,
        "smoothing_rate",
        "num_hidden_layers",
        "max_relative_distance",
        "context_window",
        "katz_attenuation",
        "fusion_loss_weight",
        "contrastive_loss_weight",
        "consistency_loss_weight",
        "plain_path_size",
        "path_loss_weight",
    )
    above_zero: ClassVar[tuple[str, ...]] = (*SpeakerGraphConfig.above_zero, "contrastive_temperature")

    fusion: str = "contextual_basis"
    fusion_branches: list[str] | tuple[str, ...] = ("contextual", "specific")
    contextual_size: int | None = 64
    projection_size: int = 64
    basis_size: int = 32
    smoothing_rate: float | int = 0.2
    autoencoder_size: int = 1024
    bottleneck_size: int = 512

    context_encoder: str = "gru"
    num_hidden_layers: int = 1
    num_attention_heads: int = 4
    intermediate_size: int = 256
    norm_first: bool = True
    max_relative_distance: int = 16
    context_window: int = 0

    speaker_encoder: str | None = "gru"

    graph_encoder: str = "relational"
    graph_hidden_size: int | None = 64

    views: list[list[str] | tuple[str, ...]] | tuple[list[str] | tuple[str, ...], ...] = (
        ["feature_mask", "edge_perturb"],
        ["feature_mask", "global_proximity"],
    )
    feature_mask_rate: float | int = 0.2
    edge_perturb_rate: float | int = 0.2
    global_proximity_rate: float | int = 0.2
    global_proximity_threshold: float | int = 0.5
    katz_attenuation: float | int = 0.5
    katz_order: int = 4
    feature_mask_unit: str = "dimension"
    feature_mask_rescale: bool = False
    edge_perturb_mode: str = "drop_and_add"

    contrast: str = "anchor_to_views"
    contrast_scope: str = "dialogue"
    contrastive_temperature: float | int = 1.0
    contrast_exclude_self: bool = True
    fusion_loss_weight: float | int = 0.06
    fusion_loss_reduction: str = "mean"
    contrastive_loss_weight: float | int = 0.0
    classifier_hidden_size: int | None = None
    classifier_residual: bool = True
    classifier_residual_norm: bool = True
    classifier_highway: bool = False
    plain_path_size: int = 256
    plain_path_dropout_prob: float | int = 0.5
    path_loss_weight: float | int = 0.5
    num_members: int = 4
    consistency_loss_weight: float | int = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        self.fusion_branches = list(self.fusion_branches)
        self.views = [list(view) for view in self.views]
        super().__post_init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        dims = self.modality_dims
        if self.fusion == "autoencoder":
            width = 2 * self.bottleneck_size
        elif self.fusion == "join":
            width = sum(dims.values())
        else:
            widths = {
                "contextual": sum(self.contextual_size or dim for dim in dims.values()),
                "specific": len(dims) * self.projection_size,
            }
            width = sum(widths[name] for name in set(self.fusion_branches)) or sum(dims.values())
        if self.graph_encoder == "relational":
            return self._graph_width(self.graph_hidden_size or width)
        return self.graph_hidden_size or width if self.graph_num_layers else width

    def validate_branches(self) -> None:
        """Check that the branches are known."""
        unknown = set(self.fusion_branches) - {"contextual", "specific"}
        if unknown:
            raise ValueError(f"unknown fusion_branches {sorted(unknown)}; choose from contextual, specific")

    def validate_views(self) -> None:
        """Check that there are two views, of known augmentations."""
        if len(self.views) != 2:
            raise ValueError(f"views must be a pair of augmentation lists, got {len(self.views)} lists")
        unknown = {name for view in self.views for name in view} - set(AUGMENTATIONS)
        if unknown:
            raise ValueError(f"unknown augmentations {sorted(unknown)}; choose from {', '.join(AUGMENTATIONS)}")

    @classmethod
    def paper(cls, **overrides: Any) -> "JoyfulConfig":
        """The method of the paper at IEMOCAP's sizes; every field can be overridden.

        10 heads follow COGMEN's rule for the width of 1380, the paper gives none; other widths take the largest
        divisor up to 10, with a warning if that is 1.

        L_mf is a mean over dimensions, which makes alpha weaker than Eqs. 1, 2 and 7 as they are printed;
        `fusion_loss_reduction="sum"` is the literal form. The targets of the reconstructions keep their gradient, and
        `feature_mask_rescale` is on: `JoyfulConfig` says at both what that was measured to do.
        """
        config: dict[str, Any] = {
            "fusion": "contextual_basis",
            "fusion_branches": ["contextual", "specific"],
            "contextual_size": None,
            "basis_size": 32,
            "smoothing_rate": 0.2,
            "num_attention_heads": _num_heads(_contextual_width(overrides), overrides),
            "graph_encoder": "aggregate_combine",
            "graph_hidden_size": None,
            "views": [["feature_mask", "edge_perturb"], ["feature_mask", "global_proximity"]],
            "feature_mask_rate": 0.2,
            "edge_perturb_rate": 0.2,
            "global_proximity_rate": 0.2,
            "global_proximity_threshold": 0.5,
            "katz_attenuation": 0.5,
            "katz_order": 4,
            "feature_mask_unit": "dimension",
            "feature_mask_rescale": True,
            "edge_perturb_mode": "drop_and_add",
            "contrast": "view_to_view",
            "contrast_scope": "dialogue",
            "contrastive_temperature": 1.0,
            "fusion_loss_weight": 0.06,
            "contrastive_loss_weight": 0.3,
        }
        return cls.with_defaults(_PUBLISHED | config, overrides)

    @classmethod
    def released(cls, **overrides: Any) -> "JoyfulConfig":
        """The network of the authors' code, its mistakes mended; every field can be overridden.

        Mended: each view perturbs its own copy of the graph, edges are moved inside their dialogue and get the
        relation that fits, padding takes no part, the fusion loss counts every utterance, and the anchor is not
        its own negative. The fusion loss is a mean over utterances and dimensions, where the code sums over both with
        the same weight of 0.05; `fusion_loss_reduction="sum"` sums over the dimensions.
        """
        config: dict[str, Any] = {
            "fusion": "autoencoder",
            "autoencoder_size": 1024,
            "bottleneck_size": 512,
            "num_attention_heads": 8,
            "graph_encoder": "relational",
            "graph_hidden_size": 100,
            "graph_num_heads": 4,
            "views": [["feature_mask", "edge_perturb"], ["feature_mask", "edge_perturb"]],
            "feature_mask_rate": 0.25,
            "edge_perturb_rate": 0.1,
            "feature_mask_unit": "element",
            "feature_mask_rescale": False,
            "edge_perturb_mode": "rewire",
            "contrast": "anchor_to_views",
            "contrast_scope": "batch",
            "contrastive_temperature": 0.2,
            "fusion_loss_weight": 0.05,
            "contrastive_loss_weight": 0.2,
        }
        return cls.with_defaults(_PUBLISHED | config, overrides)

    @classmethod
    def cogmen(cls, **overrides: Any) -> "JoyfulConfig":
        """COGMEN (Joshi et al., NAACL 2022), whose network is JOYFUL's released graph behind features side by side.

        Every field can be overridden: `classifier_residual=True, classifier_residual_norm=False` is its option
        `concat_gin_gout`, `classifier_highway=True` its `use_highway`. The number of heads is the first from 7 to 14
        that divides the features' width, or 1. Padding takes no part, unlike in the authors' code, and in its graphs
        `wp` and `wf` are the processor's `window_future` and `window_past`, 5 each.
        """
        width = _contextual_width(overrides | {"contextual_size": None})
        config: dict[str, Any] = {
            "fusion": "join",
            "num_hidden_layers": 2,
            "num_attention_heads": next((heads for heads in range(7, 15) if width % heads == 0), 1),
            "hidden_dropout_prob": 0.5,
            "graph_encoder": "relational",
            "graph_hidden_size": 100,
            "graph_num_heads": 1,
            "contrast": "anchor_to_views",
            "fusion_loss_weight": 0.0,
            "contrastive_loss_weight": 0.0,
        }
        return cls.with_defaults(_PUBLISHED | config, overrides)


def _contextual_width(overrides: dict[str, Any]) -> int:
    """Width of the contextual branch of the paper's form with these changes."""
    dims = {name: overrides.get(name, 0) for name in IEMOCAP_DIMS}
    for modality, size_of in (("text", attrgetter("hidden_size")), ("audio", frame_size)):
        encoder = overrides.get(f"{modality}_config")
        if encoder is not None and not dims[f"{modality}_dim"]:
            if isinstance(encoder, dict):
                usual = JoyfulConfig.sub_configs_defaults[f"{modality}_config"].model_type
                encoder = AutoConfig.for_model(**({"model_type": usual} | encoder))
            dims[f"{modality}_dim"] = size_of(encoder)
    if not any(dims.values()):
        dims = IEMOCAP_DIMS
    return sum(overrides.get("contextual_size") or dim for dim in dims.values() if dim)


def _num_heads(width: int, overrides: dict[str, Any]) -> int:
    """The largest divisor of the width up to 10."""
    heads = most_heads([width], 10)
    if heads == 1 and "num_attention_heads" not in overrides:
        logger.warning(
            "the context encoder is %d wide, and no number from 2 to 10 divides that: its attention has one head. "
            "Give `contextual_size` a width that can be divided, or `num_attention_heads`.",
            width,
        )
    return heads


__all__ = ["JoyfulConfig"]
