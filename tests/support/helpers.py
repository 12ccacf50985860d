"""Small dialogues and small models that many tests share, and the table of families that they run over."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from joyful_hf import (
    ARIIGCNConfig,
    ARIIGCNForEmotionRecognition,
    DialogueGCNConfig,
    DialogueGCNForEmotionRecognition,
    DialogueRNNConfig,
    DialogueRNNForEmotionRecognition,
    FoalNetConfig,
    FoalNetForEmotionRecognition,
    FoalNetProcessor,
    GBANConfig,
    GBANForEmotionRecognition,
    GBANProcessor,
    GraphSmileConfig,
    GraphSmileForEmotionRecognition,
    JMTConfig,
    JMTForEmotionRecognition,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    LMAMConfig,
    LMAMForEmotionRecognition,
    M2FNetConfig,
    M2FNetForEmotionRecognition,
    M3NetConfig,
    M3NetForEmotionRecognition,
    MMGCNConfig,
    MMGCNForEmotionRecognition,
    SDTConfig,
    SDTForEmotionRecognition,
)
from joyful_hf.modeling.attention import RelativePositionBias
from joyful_hf.modeling.modality_inputs import ModalityInputs
from joyful_hf.modeling.packing import DialogueLayout
from joyful_hf.modeling.speaker_graph import SpeakerGraph
from joyful_hf.processing import FRAME_KEYS, MODALITIES, EmotionRecognitionProcessor
from joyful_hf.processing.dialogues import MEDIA_KEYS
from joyful_hf.processing.graph import relation_ids, window_edges

DIMS = {"text": 12, "audio": 6, "visual": 8}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *string.ascii_lowercase, *string.digits]
VOCABULARY += [f"##{one}" for one in string.ascii_lowercase + string.digits]
LABELS = ("anger", "joy", "neutral", "sadness")


def make_dialogue(
    length: int,
    seed: int = 0,
    speakers: int = 2,
    modalities: Sequence[str] = ("text", "audio", "visual"),
    dialogue_id: str | None = None,
    label: Callable[[np.random.Generator], Any] = lambda rng: LABELS[rng.integers(len(LABELS))],
) -> dict[str, Any]:
    """One random dialogue in the record that users write, its modalities as vectors and as sequences of frames."""
    rng, frames_rng = np.random.default_rng((seed, length)), np.random.default_rng((seed, length, 1))
    utterances = []
    for index in range(length):
        utterance: dict[str, Any] = {
            "speaker": f"speaker {index % speakers if index < speakers else rng.integers(speakers)}",
            "text": f"utterance {index}",
            "label": label(rng),
        }
        for modality in modalities:
            utterance[f"{modality}_features"] = rng.normal(size=DIMS[modality]).astype(np.float32).tolist()
            shape = (frames_rng.integers(1, 6), DIMS[modality])
            utterance[FRAME_KEYS[modality]] = frames_rng.normal(size=shape).astype(np.float32).tolist()
        utterances.append(utterance)
    return {"dialogue_id": dialogue_id or f"d{seed}", "utterances": utterances}


def make_dialogues(lengths: Sequence[int] = (5, 9, 1, 23), **kwargs: Any) -> list[dict[str, Any]]:
    """Several random dialogues, of the given lengths."""
    return [make_dialogue(length, seed=index, **kwargs) for index, length in enumerate(lengths)]


def without_modality(utterance: dict[str, Any], modality: str) -> dict[str, Any]:
    """The utterance without this modality, in whichever form."""
    return {
        key: value
        for key, value in utterance.items()
        if key not in (f"{modality}_features", FRAME_KEYS[modality], MEDIA_KEYS[modality])
    }


def hide_modalities(batch: Any, present: torch.Tensor, fill: float | None = None) -> dict[str, torch.Tensor]:
    """A copy of a batch in which an utterance has a modality only where `present` (N, 3) says so.

    Args:
        fill: what is to stand in the rows that are hidden.
    """
    hidden = dict(batch)
    if "modality_mask" in hidden:
        hidden["modality_mask"] = hidden["modality_mask"] & present
    for column, modality in enumerate(MODALITIES):
        for key in (f"{modality}_features", FRAME_KEYS[modality]):
            if key not in hidden:
                continue
            shown = present[:, column].view(-1, *[1] * (hidden[key].dim() - 1))
            if key.endswith("_frames"):
                mask = key.replace("_frames", "_frame_mask")
                hidden[mask] = hidden[mask] & present[:, column, None]
            if fill is not None:
                hidden[key] = torch.where(shown, hidden[key], fill)
    return hidden


# Hypothesis: the lengths of a few dialogues, of one utterance too.
batches_of_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def make_layout(lengths: Sequence[int]) -> DialogueLayout:
    """The layout of dialogues of these lengths."""
    return DialogueLayout(torch.tensor(lengths), sum(lengths))


def make_graph(
    lengths: Sequence[int],
    size: int = 8,
    window: int = 2,
    speakers: int = 3,
    relation_scheme: str = "speaker_pair",
    seed: int = 0,
    causal: bool = False,
) -> SpeakerGraph:
    """A packed batch of windowed graphs with random nodes and random speakers."""
    rng = np.random.default_rng(seed)
    edge_index = window_edges(np.asarray(lengths), window, 0 if causal else window)
    speaker_ids = rng.integers(speakers, size=sum(lengths))
    return SpeakerGraph(
        nodes=torch.from_numpy(rng.normal(size=(sum(lengths), size)).astype(np.float32)),
        edge_index=torch.from_numpy(edge_index),
        edge_type=torch.from_numpy(relation_ids(edge_index, speaker_ids, relation_scheme, speakers)),
        speaker_ids=torch.from_numpy(speaker_ids),
        layout=make_layout(lengths),
        relation_scheme=relation_scheme,
        max_speakers=speakers,
        causal=causal,
    )


@dataclass(frozen=True)
class FamilyCase:
    """A row of the table: a small model of one family in one of its forms."""

    name: str
    make_config: Callable[..., Any]
    model_class: type[PreTrainedModel]
    processor_class: type[EmotionRecognitionProcessor]
    loss_parts: tuple[str, ...]
    modalities: tuple[str, ...] = MODALITIES
    """What the model reads of an utterance."""
    reads_dialogues: bool = True
    """Whether an example is a dialogue, whose graph joins its utterances; else it is an utterance on its own."""
    loss_parts_of_batch: tuple[str, ...] = ()
    """Parts of the loss that compare the utterances of a batch: no mean over its dialogues."""
    processor_parameters: Callable[[list[dict[str, Any]]], dict[str, Any]] = lambda dialogues: {}
    """What its processor has to be told of these dialogues."""
    processor_files: tuple[str, ...] = ("processor_config.json",)
    """What its processor is saved as."""

    @property
    def train_batch_size(self) -> int:
        """Examples of a training step in tests: of the dialogues of `tests.training`, five steps are an epoch."""
        return 2 if self.reads_dialogues else 10

    def examples(self, dialogues: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """The utterances of each example that the dialogues make."""
        if self.reads_dialogues:
            return [dialogue["utterances"] for dialogue in dialogues]
        return [[utterance] for dialogue in dialogues for utterance in dialogue["utterances"]]

    def make(self, dialogues: list[dict[str, Any]], seed: int = 0, **overrides: Any) -> tuple[Any, Any]:
        """A fresh model in evaluation mode and a fitted processor for these dialogues."""
        processor_parameters = self.processor_parameters(dialogues)
        processor_parameters |= {key: overrides.pop(key) for key in list(overrides) if key.startswith("window_")}
        processor = self.processor_class.from_dialogues(dialogues, **processor_parameters)
        torch.manual_seed(seed)
        model = self.model_class(self.make_config(**(processor.model_kwargs() | overrides)))
        return model.eval(), processor


_SMALL = {"hidden_dropout_prob": 0.1, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


def _recommended(**kwargs: Any) -> JoyfulConfig:
    sizes = {
        "contextual_size": 8,
        "projection_size": 8,
        "basis_size": 4,
        "graph_hidden_size": 16,
        "graph_num_heads": 2,
        "num_members": 2,
    }
    return JoyfulConfig(**(_SMALL | sizes | kwargs))


def _paper(**kwargs: Any) -> JoyfulConfig:
    sizes = {"projection_size": 8, "basis_size": 4, "classifier_hidden_size": 16}
    return JoyfulConfig.paper(**(_SMALL | sizes | kwargs))


def _released(**kwargs: Any) -> JoyfulConfig:
    sizes = {
        "projection_size": 10,
        "autoencoder_size": 20,
        "bottleneck_size": 8,
        "graph_hidden_size": 12,
        "graph_num_heads": 2,
    }
    return JoyfulConfig.released(**(_SMALL | sizes | kwargs))


_AR_IIGCN_SIZES = {
    "projection_size": 12,
    "discriminator_hidden_size": 8,
    "classifier_hidden_size": 16,
    "hidden_dropout_prob": 0.1,
}


def _ar_iigcn_recommended(**kwargs: Any) -> ARIIGCNConfig:
    return ARIIGCNConfig(**(_AR_IIGCN_SIZES | {"graph_num_heads": 2} | kwargs))


def _ar_iigcn_paper(**kwargs: Any) -> ARIIGCNConfig:
    return ARIIGCNConfig.paper(**(_AR_IIGCN_SIZES | kwargs))


def _foal_net(**kwargs: Any) -> FoalNetConfig:
    return FoalNetConfig(**({"projection_size": 8, "num_attention_heads": 2} | kwargs))


def _foal_net_released(**kwargs: Any) -> FoalNetConfig:
    return FoalNetConfig.released(**({"projection_size": 8, "num_attention_heads": 2} | kwargs))


def _text_dim(dialogues: list[dict[str, Any]]) -> dict[str, Any]:
    return {"text_dim": DIMS["text"]} if "text_features" in dialogues[0]["utterances"][0] else {}


TEXT_CONFIG = {
    "model_type": "bert",
    "vocab_size": len(VOCABULARY),
    "hidden_size": DIMS["text"],
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
    "dtype": "float32",  # every saved encoder says so
}
SPEECH_CONFIG = {
    "model_type": "wavlm",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "conv_dim": [6, 6],
    "conv_kernel": [10, 8],
    "conv_stride": [5, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "dtype": "float32",
}


def make_tokenizer() -> PreTrainedTokenizerBase:
    """A tokenizer of English letters, digits and some words, for an encoder of `TEXT_CONFIG`."""
    tokenizer = Tokenizer(WordPiece({token: index for index, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=40, **special)


def _with_tokenizer(dialogues: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tokenizer": make_tokenizer()} if "text_features" in dialogues[0]["utterances"][0] else {}


def _reads_text(**kwargs: Any) -> JoyfulConfig:
    """With views and an encoder that learns along; a processor that has no tokenizer says that there is no text."""
    kwargs = {"contrast": "view_to_view", "contrastive_loss_weight": 0.1} | kwargs
    if "text_dim" in kwargs:
        return _recommended(**kwargs)
    return _recommended(**({"text_config": TEXT_CONFIG, "unfreeze_text_encoder": True} | kwargs))


_JOYFUL = (JoyfulForEmotionRecognition, JoyfulProcessor, ("fusion", "classification"))
_WITH_CONTRAST = (*_JOYFUL[:2], ("fusion", "contrastive", "classification"))
_AR_IIGCN = (
    ARIIGCNForEmotionRecognition,
    JoyfulProcessor,
    ("classification", "generator", "discriminator", "intra_modal", "inter_modal"),
)

_FOAL_NET = (FoalNetForEmotionRecognition, FoalNetProcessor, ("classification", "avel", "mem"))
_OF_UTTERANCES: dict[str, Any] = {"reads_dialogues": False, "loss_parts_of_batch": ("avel", "mem")}

FAMILY_CASES = [
    FamilyCase("joyful-recommended", _recommended, *_JOYFUL),
    FamilyCase("joyful-paper", _paper, *_WITH_CONTRAST),
    FamilyCase("joyful-released", _released, *_WITH_CONTRAST),
    FamilyCase("ar-iigcn-recommended", _ar_iigcn_recommended, *_AR_IIGCN),
    FamilyCase("ar-iigcn-paper", _ar_iigcn_paper, *_AR_IIGCN),
    FamilyCase(
        "joyful-with-text-encoder",
        _reads_text,
        *_WITH_CONTRAST,
        processor_parameters=_with_tokenizer,
        processor_files=("processor_config.json", "tokenizer.json", "tokenizer_config.json"),
    ),
    FamilyCase("foal-net", _foal_net, *_FOAL_NET, modalities=("audio", "visual"), **_OF_UTTERANCES),
    FamilyCase("foal-net-with-text", _foal_net_released, *_FOAL_NET, **_OF_UTTERANCES, processor_parameters=_text_dim),
]

_M2FNET = (M2FNetForEmotionRecognition, JoyfulProcessor, ("classification",))
_M2FNET_SIZES = {"num_attention_heads": 2, "intermediate_size": 16, "num_fusion_layers": 2, "hidden_dropout_prob": 0.1}


def _m2fnet(**kwargs: Any) -> M2FNetConfig:
    return M2FNetConfig(**(_M2FNET_SIZES | {"projection_size": 12} | kwargs))


def _m2fnet_released(**kwargs: Any) -> M2FNetConfig:
    sizes = {"num_hidden_layers": 2, "fusion_size": 12, "num_fusion_heads": 2}
    return M2FNetConfig.released(**(_M2FNET_SIZES | sizes | kwargs))


def _published_relations(dialogues: list[dict[str, Any]]) -> dict[str, Any]:
    """The published relations, for three speakers or more."""
    published = JoyfulProcessor.published_parameters(dialogues)
    return published | {"max_speakers": max(3, published["max_speakers"])}


_DIALOGUE_GCN_SIZES = {
    "recurrent_size": 12,
    "graph_hidden_size": 10,
    "graph_out_size": 8,
    "num_bases": 3,
    "classifier_hidden_size": 12,
    "hidden_dropout_prob": 0.1,
}
_DIALOGUE_GCN = (DialogueGCNForEmotionRecognition, JoyfulProcessor, ("classification",))


def _dialogue_gcn(**kwargs: Any) -> DialogueGCNConfig:
    return DialogueGCNConfig(
        **(_DIALOGUE_GCN_SIZES | {"num_hidden_layers": 1, "nodal_attention": "matching"} | kwargs)
    )


def _dialogue_gcn_released(**kwargs: Any) -> DialogueGCNConfig:
    sizes = {"sequence_encoder": "gru", "max_position": 130, "nodal_attention": "none"}
    return DialogueGCNConfig.released(**(_DIALOGUE_GCN_SIZES | sizes | kwargs))


_DIALOGUE_RNN_SIZES = {"global_size": 16, "party_size": 12, "emotion_size": 16, "classifier_hidden_size": 12}
_DIALOGUE_RNN = (DialogueRNNForEmotionRecognition, JoyfulProcessor, ("classification",))


def _dialogue_rnn(**kwargs: Any) -> DialogueRNNConfig:
    return DialogueRNNConfig(**(_DIALOGUE_RNN_SIZES | kwargs))


def _dialogue_rnn_released(**kwargs: Any) -> DialogueRNNConfig:
    return DialogueRNNConfig.released(**(_DIALOGUE_RNN_SIZES | {"listener_state": True} | kwargs))


_SDT = (SDTForEmotionRecognition, JoyfulProcessor, ("classification", "student", "distillation"))


def _sdt(**kwargs: Any) -> SDTConfig:
    return SDTConfig(**({"projection_size": 8, "num_attention_heads": 2, "hidden_dropout_prob": 0.1} | kwargs))


_GBAN_SIZES = {
    "frame_filters": [6, 8],
    "text_filters": 4,
    "lstm_size": 6,
    "gate_size": 8,
    "classifier_hidden_size": 8,
    "hidden_dropout_prob": 0.1,
}


def _no_words(dialogues: list[dict[str, Any]]) -> dict[str, Any]:
    """Text takes part where it comes as frames."""
    return {} if "text_features" in dialogues[0]["utterances"][0] else {"text_dim": 0}


def _gban(**kwargs: Any) -> GBANConfig:
    return GBANConfig(**(_GBAN_SIZES | kwargs))


_GRAPH_SMILE_SIZES = {"projection_size": 12, "graph_num_layers": 2, "hidden_dropout_prob": 0.1, "shift_window": 3}
_GRAPH_SMILE = (GraphSmileForEmotionRecognition, JoyfulProcessor, ("classification", "sentiment", "shift"))


def _graph_smile(**kwargs: Any) -> GraphSmileConfig:
    return GraphSmileConfig(**(_GRAPH_SMILE_SIZES | {"max_distance": 4} | kwargs))


def _graph_smile_released(**kwargs: Any) -> GraphSmileConfig:
    return GraphSmileConfig.released(**(_GRAPH_SMILE_SIZES | {"num_edge_weights": 256} | kwargs))


_M3NET_SIZES = {"projection_size": 8, "graph_hidden_size": 12, "hyper_num_layers": 2, "frequency_num_layers": 2}
_M3NET = (M3NetForEmotionRecognition, JoyfulProcessor, ("classification",))


def _m3net(**kwargs: Any) -> M3NetConfig:
    return M3NetConfig(**(_M3NET_SIZES | {"hidden_dropout_prob": 0.1} | kwargs))


def _m3net_released(**kwargs: Any) -> M3NetConfig:
    numbered = {"num_hyperedge_weights": 99, "num_node_weights": 99, "hidden_dropout_prob": 0.1}
    return M3NetConfig.released(**(_M3NET_SIZES | numbered | {"use_residue": True} | kwargs))


_LMAM = (LMAMForEmotionRecognition, JoyfulProcessor, ("classification",))
_LMAM_SIZES = {"projection_size": 12, "global_size": 6, "party_size": 5, "emotion_size": 4, "hidden_dropout_prob": 0.1}


def _lmam(**kwargs: Any) -> LMAMConfig:
    return LMAMConfig(**(_LMAM_SIZES | {"rank": 4, "num_hidden_layers": 1} | kwargs))


def _lmam_dialogue_rnn(**kwargs: Any) -> LMAMConfig:
    return LMAMConfig(**(_LMAM_SIZES | {"host": "dialogue_rnn"} | kwargs))


_JMT = (JMTForEmotionRecognition, JoyfulProcessor, ("classification",))
_JMT_SIZES = {"projection_size": 12, "intermediate_size": 16, "classifier_hidden_size": 12}


def _jmt(**kwargs: Any) -> JMTConfig:
    return JMTConfig(**(_JMT_SIZES | {"num_attention_heads": 2, "hidden_dropout_prob": 0.1} | kwargs))


def _jmt_released(**kwargs: Any) -> JMTConfig:
    return JMTConfig.released(**(_JMT_SIZES | {"hidden_dropout_prob": 0.1} | kwargs))


_MMGCN_SIZES = {"text_projection_size": 10, "recurrent_size": 6, "graph_hidden_size": 8, "hidden_dropout_prob": 0.1}
_MMGCN = (MMGCNForEmotionRecognition, JoyfulProcessor, ("classification",))


def _mmgcn(**kwargs: Any) -> MMGCNConfig:
    return MMGCNConfig(**(_MMGCN_SIZES | {"num_hidden_layers": 1, "graph_num_layers": 2} | kwargs))


def _mmgcn_released(**kwargs: Any) -> MMGCNConfig:
    return MMGCNConfig.released(**(_MMGCN_SIZES | {"graph_num_layers": 3, "modality_vectors": True} | kwargs))


def _cogmen(**kwargs: Any) -> JoyfulConfig:
    sizes = {"graph_hidden_size": 12, "graph_num_heads": 2, "classifier_highway": True}
    options = {"classifier_residual": True, "classifier_residual_norm": False}
    return JoyfulConfig.cogmen(**(_SMALL | sizes | options | {"num_attention_heads": 1} | kwargs))


RIVAL_CASES: list[FamilyCase] = [
    FamilyCase("cogmen", _cogmen, JoyfulForEmotionRecognition, JoyfulProcessor, ("classification",)),
    FamilyCase(
        "gban-recommended",
        _gban,
        *(GBANForEmotionRecognition, GBANProcessor, ("classification",)),
        reads_dialogues=False,
        processor_parameters=_no_words,
    ),
    FamilyCase("dialogue-gcn-recommended", _dialogue_gcn, *_DIALOGUE_GCN),
    FamilyCase(
        "dialogue-gcn-released",
        _dialogue_gcn_released,
        *_DIALOGUE_GCN,
        processor_parameters=_published_relations,
    ),
    FamilyCase("dialogue-rnn-recommended", _dialogue_rnn, *_DIALOGUE_RNN),
    FamilyCase(
        "dialogue-rnn-released",
        _dialogue_rnn_released,
        *_DIALOGUE_RNN,
        processor_parameters=_published_relations,
    ),
    FamilyCase("graph-smile-recommended", _graph_smile, *_GRAPH_SMILE, loss_parts_of_batch=("shift",)),
    FamilyCase("graph-smile-released", _graph_smile_released, *_GRAPH_SMILE, loss_parts_of_batch=("shift",)),
    FamilyCase("m3net-recommended", _m3net, *_M3NET),
    FamilyCase("m3net-released", _m3net_released, *_M3NET),
    FamilyCase("jmt-recommended", _jmt, *_JMT),
    FamilyCase("jmt-released", _jmt_released, *_JMT),
    FamilyCase("lmam-recommended", _lmam, *_LMAM),
    FamilyCase("lmam-dialogue-rnn", _lmam_dialogue_rnn, *_LMAM),
    FamilyCase("m2fnet-recommended", _m2fnet, *_M2FNET),
    FamilyCase("m2fnet-released", _m2fnet_released, *_M2FNET),
    FamilyCase("mmgcn-recommended", _mmgcn, *_MMGCN),
    FamilyCase("mmgcn-released", _mmgcn_released, *_MMGCN),
    FamilyCase("sdt-recommended", _sdt, *_SDT),
]
"""Published systems that the package trains beside its own families, with the released form where it differs much."""

_TRANSFORMER = {"context_encoder": "transformer", "max_relative_distance": 2}
_CAUSAL_FORMS: dict[str, tuple[int, dict[str, Any]]] = {
    "gru": (0, {}),
    "two-grus": (0, {"num_hidden_layers": 2, "graph_num_layers": 2}),
    "transformer": (0, _TRANSFORMER),
    "window": (0, _TRANSFORMER | {"context_window": 2, "num_hidden_layers": 2, "speaker_encoder": None}),
    "no-graph": (0, {"graph_num_layers": 0}),
    "no-context": (0, {"fusion_branches": ["specific"]}),
    "plain-features": (0, {"fusion_branches": [], "graph_num_layers": 2, "graph_residual": False}),
    "aggregate-combine": (0, {"graph_encoder": "aggregate_combine", "graph_num_layers": 2, "plain_path_size": 0}),
    "paper": (1, {}),
    "paper-window": (1, {"context_window": 3}),
    "released": (2, {}),
    "released-gru": (2, {"context_encoder": "gru", "relation_scheme": "same_or_other"}),
    "released-window": (2, _TRANSFORMER | {"context_window": 1, "norm_first": True}),
    "learnt-vectors": (0, {"absent_modality": "learnt"}),
    "ar-iigcn": (3, {}),
    "ar-iigcn-mlp": (4, {}),
}
CAUSAL_CASES = [(FAMILY_CASES[index], name, fields) for name, (index, fields) in _CAUSAL_FORMS.items()]
"""Every fusion, context encoder and graph encoder in a form that sees the past alone: family, name, fields."""


def tell_absence(inputs: ModalityInputs) -> None:
    """Gives learnt vectors other values than those they begin with."""
    for vector in (inputs.absent or {}).values():
        torch.nn.init.normal_(vector)


def make_causal(case: tuple[FamilyCase, str, dict[str, Any]], **overrides: Any) -> tuple[Any, Any]:
    """A model and a processor that see the past alone; whatever is learnt of distances and of absence counts."""
    family, _, fields = case
    scheme = fields.get("relation_scheme", "speaker_pair")
    sizes = {"relation_scheme": scheme, "max_speakers": 3}
    relations = replace(family, processor_parameters=lambda dialogues: sizes)
    settings = {"causal": True, "window_past": 3, "window_future": 0} | fields | overrides
    model, processor = relations.make(make_dialogues(), **settings)
    for module in model.modules():
        if isinstance(module, RelativePositionBias):
            torch.nn.init.normal_(module.table)
        elif isinstance(module, ModalityInputs):
            tell_absence(module)
    return model, processor
