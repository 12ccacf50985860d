"""`DialogueGCNConfig`: sizes and choices of DialogueGCN, with the form of the authors' code as a preset."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig


@strict
class DialogueGCNConfig(DialogueConfig):
    """Sizes and choices of a DialogueGCN model.

    Ghosal et al., EMNLP 2019 (arXiv 1908.11540). `DialogueGCNConfig()` mends what the authors' code does to the graph;
    `DialogueGCNConfig.released()` computes what their code does. A second implementation is published beside theirs:
    `DialogueGCNConfig.released(edge_attention="outgoing", nodal_attention="none")`.

    Fields that are not listed here are those of `DialogueConfig`. The modalities are joined in the order text, audio,
    visual.

    Args:
        relation_scheme: as in `DialogueConfig`; the authors' is `"speaker_pair"`.
        input_dropout_prob, modality_dropout_prob: 0, since the authors' code has neither.
        sequence_encoder: `"lstm"` (the authors' choice) or `"gru"` over the dialogue, in both directions, or `"none"`,
            a linear layer of each utterance.
        recurrent_size: D_e, width of each direction (authors: 100).
        num_hidden_layers: layers of the recurrent encoder (authors: 2).
        graph_hidden_size, graph_out_size: width of the relational convolution and of the one that follows it
            (authors: 100 both).
        num_bases: matrices that the weights of all relations are mixed of (authors: 30, for 8 relations); None is the
            number of relations, or 30 if there are more.
        edge_attention: how an edge from j to i is weighed. `"incoming"`, as in the paper: a softmax of x_j W x_i over
            the edges that arrive at i. `"outgoing"`: over those that leave j. `"position"`, the authors' code: over
            those that leave j, of x_i and a row of a table for j's position; what j says has no part in it.
        max_position: rows of that table (authors: 110). Longer dialogues are refused.
        graph_activation: ReLU behind each convolution, without which the graph is one linear map. The authors' code
            has none.
        graph_aggregation: `"mean"` or `"sum"` of the neighbours in the second convolution. The authors' sum grows with
            the window.
        nodal_attention: what is classified: each utterance as it is, `"none"`, as in Zhang's code, or a mixture of all
            utterances of its dialogue, `"matching"` or `"bounded"`. The latter is the authors': scores pass through
            tanh, and no utterance, its own included, weighs more than e^2 times another. After 3 epochs over 400
            toy dialogues, weighted F1 on validation was 0.72 with `"none"` and 0.55 with `"matching"`, one seed each.
        classifier_hidden_size: hidden layer of the classifier (authors: 100).
        hidden_dropout_prob: dropout between the recurrent layers and in the classifier (authors: 0.4).
    """

    model_type = "dialogue_gcn"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "sequence_encoder": ("lstm", "gru", "none"),
        "edge_attention": ("incoming", "outgoing", "position"),
        "graph_aggregation": ("mean", "sum"),
        "nodal_attention": ("matching", "bounded", "none"),
    }
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        "recurrent_size",
        "num_hidden_layers",
        "graph_hidden_size",
        "graph_out_size",
        "num_bases",
        "max_position",
        "classifier_hidden_size",
    )

    input_dropout_prob: float | int = 0.0
    modality_dropout_prob: float | int = 0.0
    sequence_encoder: str = "lstm"
    recurrent_size: int = 100
    num_hidden_layers: int = 2
    graph_hidden_size: int = 100
    graph_out_size: int = 100
    num_bases: int | None = None
    edge_attention: str = "incoming"
    max_position: int = 110
    graph_activation: bool = True
    graph_aggregation: str = "mean"
    nodal_attention: str = "none"
    classifier_hidden_size: int = 100
    hidden_dropout_prob: float | int = 0.4

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return 2 * self.recurrent_size + self.graph_out_size

    @classmethod
    def released(cls, **overrides: Any) -> "DialogueGCNConfig":
        """The form of the authors' code, with the command of its README; every field can be overridden.

        In it a node receives from the window that its neighbours look at: `window_past` and `window_future` of the
        processor are its `windowf` and `windowp`. What padding does to its recurrent encoder is not computed here.
        """
        config: dict[str, Any] = {
            "relation_scheme": "speaker_pair",
            "input_dropout_prob": 0.0,
            "modality_dropout_prob": 0.0,
            "absent_modality": "zeros",
            "sequence_encoder": "lstm",
            "recurrent_size": 100,
            "num_hidden_layers": 2,
            "graph_hidden_size": 100,
            "graph_out_size": 100,
            "num_bases": 30,
            "edge_attention": "position",
            "max_position": 110,
            "graph_activation": False,
            "graph_aggregation": "sum",
            "nodal_attention": "bounded",
            "classifier_hidden_size": 100,
            "hidden_dropout_prob": 0.4,
            "label_smoothing": 0.0,
        }
        return cls.with_defaults(config, overrides)


__all__ = ["DialogueGCNConfig"]
