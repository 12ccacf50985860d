"""The rivals, each beside a plain padded formulation of the same network, with the same weights.

A plain network has the parameters of the authors' code under their names, and computes as that code does: in loops
over utterances, parties and edges, and with dense matrices over a whole batch, where it has them. What padding does to
results there is mended in it, so that both formulations agree: recurrences are packed, and keys masked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed.rivals.cogmen import PlainCogmen
from benchmarks.speed.rivals.dialogue_gcn import PlainDialogueGCN
from benchmarks.speed.rivals.dialogue_rnn import PlainDialogueRNN
from benchmarks.speed.rivals.gban import PlainGBAN
from benchmarks.speed.rivals.graph_smile import PlainGraphSmile
from benchmarks.speed.rivals.jmt import PlainJMT
from benchmarks.speed.rivals.lmam import PlainLMAM
from benchmarks.speed.rivals.m2fnet import PlainM2FNet
from benchmarks.speed.rivals.m3net import PlainM3Net
from benchmarks.speed.rivals.mmgcn import PlainMMGCN
from benchmarks.speed.rivals.padded import PlainNetwork
from benchmarks.speed.rivals.sdt import PlainSDT
from joyful_hf.released import (
    cogmen,
    dialogue_gcn,
    dialogue_rnn,
    gban,
    graph_smile,
    jmt,
    lmam,
    m2fnet,
    m3net,
    mmgcn,
    sdt,
)


@dataclass(frozen=True)
class Rival:
    """A system in its published form, at the sizes of the authors' code."""

    family: str
    plain: Callable[[Any], PlainNetwork]
    """Config -> the plain formulation."""
    convert: Callable[[dict[str, Any]], dict[str, Any]]
    """Its weights -> those of our model."""
    manner: str
    """How the plain formulation computes."""
    dialogues_per_batch: int
    """The published batch; of a system that reads single utterances, utterances."""
    small: Mapping[str, Any]
    """Fields of the config of a quick run."""
    preset: str = "released"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the config that the preset leaves to the corpus: the published features, where it has none."""
    window: int = 8
    """Past and future utterances in the processor's graph."""


_FEATURES = {"text_dim": 12, "audio_dim": 10, "visual_dim": 8}
_IEMOCAP_SENTIMENTS = {"LABEL_0": 2, "LABEL_1": 0, "LABEL_2": 1, "LABEL_3": 0, "LABEL_4": 2, "LABEL_5": 0}
_STATES = {"global_size": 10, "party_size": 8, "emotion_size": 6}

RIVALS = {
    "sdt": Rival(
        "sdt",
        PlainSDT,
        sdt.convert_released_sdt_state_dict,
        "padded attention",
        16,
        {**_FEATURES, "projection_size": 16, "num_attention_heads": 2},
    ),
    "graph-smile": Rival(
        "graph-smile",
        PlainGraphSmile,
        graph_smile.convert_released_graph_smile_state_dict,
        "a dense matrix for the batch",
        16,
        {**_FEATURES, "projection_size": 12, "graph_num_layers": 3},
        sizes={"label_sentiments": _IEMOCAP_SENTIMENTS},
        window=17,
    ),
    "m3net": Rival(
        "m3net",
        PlainM3Net,
        m3net.convert_released_m3net_state_dict,
        "a message for each edge",
        16,
        {**_FEATURES, "text_layers": 4, "projection_size": 12, "graph_hidden_size": 10},
    ),
    "dialogue-rnn": Rival(
        "dialogue-rnn",
        PlainDialogueRNN,
        dialogue_rnn.convert_released_dialogue_rnn_state_dict,
        "steps and speakers in loops",
        30,
        {"text_dim": 12, **_STATES, "classifier_hidden_size": 10},
        sizes={"text_dim": 100},
    ),
    "dialogue-gcn": Rival(
        "dialogue-gcn",
        PlainDialogueGCN,
        dialogue_gcn.convert_released_dialogue_gcn_state_dict,
        "a tensor for each edge",
        32,
        {"text_dim": 12, "recurrent_size": 6, "graph_hidden_size": 10, "graph_out_size": 10, "num_bases": 3},
        sizes={"text_dim": 100},
        window=10,
    ),
    "mmgcn": Rival(
        "mmgcn",
        PlainMMGCN,
        mmgcn.convert_released_mmgcn_state_dict,
        "a dense matrix for the batch",
        16,
        {**_FEATURES, "text_projection_size": 10, "recurrent_size": 6, "graph_hidden_size": 8, "graph_num_layers": 4},
    ),
    "m2fnet": Rival(
        "m2fnet",
        PlainM2FNet,
        m2fnet.convert_released_m2fnet_state_dict,
        "torch's padded layers",
        32,
        {
            **{"text_dim": 16, "audio_dim": 16, "fusion_size": 16, "intermediate_size": 24, "num_hidden_layers": 2},
            **{"num_attention_heads": 2, "num_fusion_heads": 2, "num_fusion_layers": 2},
        },
    ),
    "lmam": Rival(
        "lmam",
        PlainLMAM,
        lmam.convert_released_lmam_state_dict,
        "utterances in a loop",
        16,
        {**_FEATURES, "text_layers": 4, "projection_size": 12, "num_hidden_layers": 2, "classifier_hidden_size": 10},
    ),
    "jmt": Rival(
        "jmt",
        PlainJMT,
        jmt.convert_released_jmt_state_dict,
        "torch's padded layers",
        32,
        {
            **{"audio_dim": 16, "visual_dim": 16, "projection_size": 16, "intermediate_size": 12},
            "classifier_hidden_size": 20,
        },
        sizes={"problem_type": "regression", "id2label": {0: "valence", 1: "arousal"}},
    ),
    "gban": Rival(
        "gban",
        PlainGBAN,
        gban.convert_released_gban_state_dict,
        "750 frames each, steps in a loop",
        32,
        {
            **{"audio_dim": 6, "text_dim": 8, "frame_filters": [4, 5, 6, 7], "text_filters": 5, "lstm_size": 4},
            **{"vocab_size": 30, "gate_size": 6, "classifier_hidden_size": 8},
        },
        sizes={"num_labels": 4, "vocab_size": 3000},
    ),
    "joyful:cogmen": Rival(
        "joyful",
        PlainCogmen,
        cogmen.convert_released_cogmen_state_dict,
        "torch's padded layers, a tensor for each edge",
        32,
        {
            **{"text_dim": 12, "audio_dim": 6, "visual_dim": 6, "num_attention_heads": 2, "intermediate_size": 20},
            **{"graph_hidden_size": 10, "classifier_hidden_size": 10},
        },
        preset="cogmen",
        window=5,
    ),
}
"""Name on the command line -> rival."""
