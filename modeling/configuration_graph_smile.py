"""`GraphSmileConfig`: graphs between pairs of modalities, and the shifts of sentiment in a dialogue."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig, unless_given
from .sentiment import UNKNOWN, sentiment_of_name
from .tasks import REGRESSION


@strict
class GraphSmileConfig(DialogueConfig):
    """Sizes and choices of a GraphSmile model (Li et al., IEEE TPAMI 2025). `GraphSmileConfig()` is what we recommend.

    `GraphSmileConfig.released()` is what the authors' code computes; the defaults mend its mistakes, and are sized for
    a workstation: the published form for IEMOCAP has 13.6 million parameters and 1.5 million weights of edges.

    The processor's window is the graph's: the authors take 17 utterances on each side for IEMOCAP, 3 for MELD.

    Fields that are not listed here are those of `DialogueConfig`. The network does not read who speaks.

    Args:
        text_dim, audio_dim, visual_dim: as in `DialogueConfig`. A single modality makes a pair with itself.
        input_dropout_prob, modality_dropout_prob: 0, since the authors' code has neither.
        absent_modality: as in `DialogueConfig`. No edge touches the node of `"zeros"`, which has no share in the
            fusion.
        text_norm: of the text features: `"none"`, since the processor standardises them with the statistics of the
            training data; `"batch"`, batch normalisation over the utterances that have text; `"padded_batch"`, over
            the padding too, as in the authors' code. With both, a training step depends on its batch.
        projection_size: width of all layers.
        hidden_dropout_prob: dropout of the projections and of what each graph layer adds.
        graph_num_layers: layers of each pair's graph, one number for all or {"text_visual": 2, ...}.
        edge_weights: what the weight of an edge belongs to: `"offset"`, the direction and the distance in utterances,
            always positive; `"dialogue"`, the edge's number in its dialogue; `"batch"`, its number in the batch, as
            in the authors' code, where an utterance's emotion depends on who shares the batch.
        num_edge_weights: edges that have a weight where `edge_weights` numbers them; further ones weigh 1.
        max_distance: utterances that `edge_weights="offset"` tells apart.
        degrees: by what the weights are normalised: `"rows_and_columns"`, the sum of what arrives and the sum of what
            leaves, or `"rows"`, what arrives at both ends, as in the authors' code.
        num_sentiments: classes of the auxiliary tasks; 0 leaves them out. By default 3 where the sentiment of any
            label is known, else 0. In regression it is the sign of the value.
        label_sentiments: label -> sentiment, 0 negative, 1 neutral, 2 positive, -100 unknown, for labels whose names
            do not tell, such as `{"surprise": 2}`.
        sentiment_loss_weight: of the classification of each utterance's sentiment.
        shift_loss_weight: of telling whether two utterances differ in sentiment.
        shift_window: utterances within which they are compared; -1 is the whole dialogue.
        shift_pairs: `"window"`, each pair within the window once, or `"blocks"`, all ordered pairs, each with itself
            too, of consecutive blocks, as in the authors' code.
        loss_balance: `"fixed"` weights of the losses, or `"learnt"` ones, which the authors' code means by `auto` and
            makes anew in each step.
    """

    model_type = "graph_smile"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "text_norm": ("none", "batch", "padded_batch"),
        "edge_weights": ("offset", "dialogue", "batch"),
        "degrees": ("rows_and_columns", "rows"),
        "shift_pairs": ("window", "blocks"),
        "loss_balance": ("fixed", "learnt"),
    }
    sizes: ClassVar[tuple[str, ...]] = (*DialogueConfig.sizes, "projection_size", "num_edge_weights", "max_distance")
    not_negative: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.not_negative,
        "num_sentiments",
        "sentiment_loss_weight",
        "shift_loss_weight",
    )

    relation_scheme: str = "same_or_other"
    input_dropout_prob: float | int = 0.0
    modality_dropout_prob: float | int = 0.0
    text_norm: str = "none"
    projection_size: int = 128
    graph_num_layers: int | dict[str, int] = 4
    edge_weights: str = "offset"
    num_edge_weights: int = 500_000
    max_distance: int = 16
    degrees: str = "rows_and_columns"
    num_sentiments: int | None = None
    label_sentiments: dict[str, int] | None = None
    sentiment_loss_weight: float | int = 0.5
    shift_loss_weight: float | int = 0.2
    shift_window: int = 5
    shift_pairs: str = "window"
    loss_balance: str = "fixed"

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.num_sentiments is None:
            self.num_sentiments = 3 if self._knows_sentiments() else 0

    def _knows_sentiments(self) -> bool:
        if self.problem_type == REGRESSION:
            return self.num_labels == 1
        return any(sentiment != UNKNOWN for sentiment in self.sentiment_of_labels())

    def sentiment_of_labels(self) -> list[int]:
        """The sentiment of each label, -100 where it is unknown."""
        names: Any = self.id2label  # index -> name, whatever transformers' annotation says
        told = self.label_sentiments or {}
        return [told.get(name, sentiment_of_name(name)) for _, name in sorted(names.items())]

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return self.projection_size

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of modalities that have a graph: text with each other one, and the other two."""
        order = [name for name in ("text", "visual", "audio") if name in self.modality_dims]
        pairs = [(first, second) for place, first in enumerate(order) for second in order[place + 1 :]]
        return pairs or [(order[0], order[0])]

    def layers_of(self, pair: tuple[str, str]) -> int:
        """Layers of the graph of a pair."""
        layers = self.graph_num_layers
        return layers if isinstance(layers, int) else layers["_".join(pair)]

    def validate_layers(self) -> None:
        """Check that every pair has a number of layers."""
        layers = self.graph_num_layers
        names = {"_".join(pair) for pair in self.pairs()}
        if isinstance(layers, dict) and not names <= layers.keys():
            raise ValueError(f"graph_num_layers names {', '.join(layers)}; the pairs are {', '.join(sorted(names))}")
        if min([layers] if isinstance(layers, int) else layers.values()) < 1:
            raise ValueError(f"graph_num_layers must be 1 or more, got {layers}")

    def validate_sentiments(self) -> None:
        """Check that every label has a sentiment that there is, and that the shift's window is one."""
        highest = max(self.sentiment_of_labels())
        if self.num_sentiments and highest >= self.num_sentiments:
            raise ValueError(f"label_sentiments goes up to {highest}, num_sentiments is {self.num_sentiments}")
        if self.shift_window < 2 and self.shift_window != -1:
            raise ValueError(f"shift_window must be 2 or more, or -1 for the whole dialogue, got {self.shift_window}")

    @classmethod
    def released(cls, **overrides: Any) -> "GraphSmileConfig":
        """The form that the authors' code computes for IEMOCAP, at its sizes. Every field can be overridden.

        The weight of an edge belongs to its number in the dialogue, which is the authors' for a dialogue alone and
        makes prediction independent of the batch; `edge_weights="batch"` is theirs in a batch too.
        """
        config: dict[str, Any] = {
            **unless_given({"text_dim": 1024, "audio_dim": 1582, "visual_dim": 342}, overrides),
            "text_norm": "padded_batch",
            "projection_size": 512,
            "hidden_dropout_prob": 0.2,
            "graph_num_layers": 7,
            "edge_weights": "dialogue",
            "degrees": "rows",
            "sentiment_loss_weight": 1.0,
            "shift_loss_weight": 0.7,
            "shift_window": 19,
            "shift_pairs": "blocks",
        }
        return cls.with_defaults(config, overrides)


__all__ = ["GraphSmileConfig"]
