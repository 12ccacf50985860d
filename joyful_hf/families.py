"""The table of families: everything that the package knows of a system beyond its configuration, model and processor.

A row is all that a family needs to be trained by command, described by a card, predicted, exported, pushed and loaded
again; `joyful_hf.register_family` adds one from outside the package. One file because the rows are a table: whoever
adds one looks at the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

from .io.messages import did_you_mean
from .processing.dialogue_error import DialogueError


@dataclass(frozen=True)
class Paper:
    """Where a family comes from."""

    authors: str
    """As a card cites them, such as "Li et al., EMNLP 2023"."""
    bibtex: str
    """The entry; what is not known of a paper is left out of it."""
    arxiv: str | None = None
    """Number of the preprint."""


@dataclass(frozen=True)
class Preset:
    """A published form of a family, made by the class method of this name of its configuration."""

    words: str
    """The sentence that a card of such a model has."""
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
    """The recipe of this form: training arguments, where the caller does not give others."""
    departures: str = ""
    """The sentence that a card has of what differs from what was published in any case."""
    departing_fields: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    """Field of the configuration -> its published value, and the sentence of a card where the model has another."""


@dataclass(frozen=True)
class Family:
    """One system. Classes are given as such, or as `module:name`, to be imported when they are first needed."""

    name: str
    """Name by which users choose the family, such as `joyful`."""
    title: str
    """Name as papers and cards print it."""
    model_type: str
    """`model_type` in the configuration of its checkpoints."""
    config: type | str
    model: type | str
    """With its classifier: what `AutoModel` gives."""
    processor: type | str
    words: str
    """Sentence of the card on the method, which goes on from the title."""
    recommended_words: str
    """The sentence that a card has of a model with the configuration's defaults."""
    paper: Paper | None = None
    caveat: str = ""
    """Sentence of the card on the limits of the implementation, such as that no code was published."""
    tags: tuple[str, ...] = ()
    """Tags on the Hub, in addition to those that every family has."""
    presets: Mapping[str, Preset] = field(default_factory=dict)
    released: str | None = None
    """Module of `joyful_hf.released` that converts checkpoints of the authors' code, if they published any."""
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Training arguments of `joyful train` that are not those of `JoyfulTrainingArguments`."""

    @cached_property
    def config_class(self) -> Any:
        """The configuration."""
        return _imported(self.config)

    @cached_property
    def model_class(self) -> Any:
        """The model with its classifier."""
        return _imported(self.model)

    @cached_property
    def processor_class(self) -> Any:
        """The processor."""
        return _imported(self.processor)

    def check_preset(self, preset: str | None, argument: str = "preset") -> None:
        """Check that the family has a preset of this name, if one is given.

        Args:
            argument: in which it was given.

        Raises:
            DialogueError: it has none.
        """
        if preset is not None and preset not in self.presets:
            known = f"choose from {', '.join(self.presets)}" if self.presets else "it has none"
            raise DialogueError(f"`{argument}`: unknown preset {preset!r} of {self.name}; {known}")

    def training_arguments(self, preset: str | None) -> dict[str, Any]:
        """Return the training arguments that the family, or its preset, has in place of the package's defaults."""
        of_preset = self.presets[preset].training_defaults if preset is not None and preset in self.presets else {}
        return {**self.training_defaults, **of_preset}

    def departures(self, preset: str | None, arguments: Mapping[str, Any], config: Any) -> str:
        """Say in what a model and its training differ from a published form; "" without one.

        Args:
            arguments: the training arguments of the run.
            config: configuration of the model.
        """
        if preset is None or preset not in self.presets:
            return ""
        recipe = self.training_arguments(preset)
        others = [
            f"{name} {arguments[name]} ({value} there)"
            for name, value in recipe.items()
            if name in arguments and arguments[name] != value
        ]
        form = self.presets[preset]
        fields = [words for name, (value, words) in form.departing_fields.items() if getattr(config, name) != value]
        sentences = [form.departures, *fields, f"It was trained with {', '.join(others)}." if others else ""]
        return " ".join(sentence for sentence in sentences if sentence)


def _imported(named: type | str) -> type:
    if isinstance(named, type):
        return named
    module, name = named.split(":")
    return getattr(import_module(module, __package__), name)


# What the package adds to a published recipe by default: class weights, averaged weights, a schedule, clipping,
# early stopping, and no validation in the first half.
_NOTHING_ADDED = {
    **{"class_balance": 0, "weight_averaging_decay": 0, "lr_scheduler_type": "constant", "warmup_steps": 0},
    **{"max_grad_norm": 0, "early_stopping_patience": 0, "validation_start": 0},
}

# Adam at 3e-5 is the paper's. It is silent on batches and epochs, which are those of the published code and its
# README. AdamW without weight decay is Adam; the code's is 1e-8.
_PUBLISHED_JOYFUL = {
    **{"learning_rate": 3e-5, "weight_decay": 0, "per_device_train_batch_size": 32, "num_train_epochs": 50},
    **_NOTHING_ADDED,
}
_CHOSEN_ON_TEST = "There the epoch was chosen on the test set; here it is chosen on validation data."
_STANDARDIZED = "Unlike there, features are standardized with the statistics of the training data"

# Its early stopping looks at each epoch's accuracy.
_PUBLISHED_GBAN = {
    **_NOTHING_ADDED,
    **{"learning_rate": 1e-4, "weight_decay": 0, "adam_beta2": 0.9, "per_device_train_batch_size": 32},
    **{"num_train_epochs": 100, "max_grad_norm": 5, "early_stopping_patience": 5},
    "metric_for_best_model": "accuracy",
}

FAMILIES: dict[str, Family] = {}
"""Name -> family."""


def family_named(name: str) -> Family:
    """Return the family of this name.

    Raises:
        DialogueError: there is none of this name.
    """
    if name not in FAMILIES:
        raise DialogueError(
            f"`model_name`: unknown model {name!r}; choose from {', '.join(FAMILIES)}{did_you_mean(name, FAMILIES)}"
        )
    return FAMILIES[name]


def family_of(model_type: Any, place: str) -> Family:
    """Return the family of a checkpoint's `model_type`.

    Args:
        place: what messages call the checkpoint.

    Raises:
        DialogueError: no family has this model type.
    """
    for family in FAMILIES.values():
        if family.model_type == model_type:
            return family
    known = ", ".join(family.model_type for family in FAMILIES.values())
    raise DialogueError(f"{place}: holds a model of type {model_type!r}, expected one of {known}")


for _family in (
    Family(
        name="joyful",
        title="JOYFUL",
        model_type="joyful",
        config=".modeling.configuration_joyful:JoyfulConfig",
        model=".modeling.modeling_joyful:JoyfulForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "fuses the modalities of each utterance in two branches, one that reads them in the context of the "
            "dialogue and one that describes each modality by a basis which all of them share. A graph of who speaks "
            "to whom then joins the utterances, and training contrasts two augmented views of that graph."
        ),
        recommended_words="This model has the form that joyful_hf recommends, which is not the paper's.",
        paper=Paper(
            authors="Li et al., EMNLP 2023",
            arxiv="2311.11009",
            bibtex="""\
@inproceedings{li-etal-2023-joyful,
  title     = {Joyful: Joint Modality Fusion and Graph Contrastive Learning for Multimodal Emotion Recognition},
  author    = {Li, Dongyuan and Wang, Yusong and Funakoshi, Kotaro and Okumura, Manabu},
  booktitle = {Proceedings of EMNLP 2023},
  pages     = {16051--16069},
  year      = {2023}
}""",
        ),
        released="joyful",
        tags=("graph-neural-network",),
        presets={
            "paper": Preset(
                "This model has the paper's form; where the paper is silent, the choice is ours.",
                _PUBLISHED_JOYFUL,
                f"{_STANDARDIZED}, and the number of epochs and the size of batches are the published code's.",
                {
                    "fusion_loss_reduction": (
                        "sum",
                        "Its fusion loss is a mean over the dimensions, where the paper prints sums.",
                    ),
                    "feature_mask_rescale": (
                        False,
                        "What feature masking leaves of a view is scaled up, of which the paper says nothing.",
                    ),
                },
            ),
            "released": Preset(
                "This model has the form of the authors' published code with its mistakes mended, which is not the "
                "paper's: modalities are fused by auto-encoders, and the contrast is between the graph and its views.",
                _PUBLISHED_JOYFUL,
                f"{_STANDARDIZED}, the learning rate stays constant, where a plateau lowers it there, and the fusion "
                "loss is a mean over utterances, where it is a sum over those of a dialogue there.",
            ),
            "cogmen": Preset(
                "This model has the form of COGMEN (Joshi et al., NAACL 2022, arXiv 2205.02455), whose network is the "
                "released one's graph behind a transformer over the joined features, without fusion and contrast.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-4, "weight_decay": 0, "per_device_train_batch_size": 32},
                    **{"num_train_epochs": 55},
                },
                f"{_STANDARDIZED}, padding takes no part, and the learning rate stays constant; there a plateau "
                "lowers it.",
            ),
        },
    ),
    Family(
        name="ar-iigcn",
        title="AR-IIGCN",
        model_type="ar_iigcn",
        config=".modeling.configuration_ar_iigcn:ARIIGCNConfig",
        model=".modeling.modeling_ar_iigcn:ARIIGCNForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "maps each modality into a space of its own, lets generators play against discriminators until the "
            "modalities cannot be told apart, joins the utterances in a graph for each modality, and contrasts "
            "different emotions inside a modality and the same emotion across modalities."
        ),
        recommended_words="This model has the form that joyful_hf recommends.",
        paper=Paper(
            authors="Shou et al., 2023",
            arxiv="2312.16778",
            bibtex="""\
@misc{shou-etal-2023-adversarial,
  title         = {Adversarial Representation with Intra-Modal and Inter-Modal Graph Contrastive Learning for
                   Multimodal Emotion Recognition},
  author        = {Shou, Yuntao and Meng, Tao and Ai, Wei and Yin, Nan and Li, Keqin},
  year          = {2023},
  eprint        = {2312.16778},
  archivePrefix = {arXiv}
}""",
        ),
        caveat=(
            "**This is our reconstruction from the paper's abstract**: we do not know the rest of the paper, and no "
            "code was published. Layers, formulas, sizes and the weights of the losses are ours, and no number here "
            "is the paper's."
        ),
        tags=("graph-neural-network",),
        # The abstract has no recipe: rate, batches and epochs are the recommended form's.
        presets={
            "paper": Preset(
                "This model has what the abstract names and no more.",
                {"class_balance": 0, "weight_averaging_decay": 0},
                "How it was trained is not in the abstract, and is our choice.",
            )
        },
    ),
    Family(
        name="foal-net",
        title="Foal-Net",
        model_type="foal_net",
        config=".modeling.configuration_foal_net:FoalNetConfig",
        model=".modeling.modeling_foal_net:FoalNetForEmotionRecognition",
        processor=".processing.processing_foal_net:FoalNetProcessor",
        words=(
            "sees one utterance at a time, as sequences of frames: audio and video are aligned by emotion, look at "
            "each other in cross-attention, and learn to tell pairs of one emotion from pairs of two. It does not "
            "read the other utterances of the dialogue. joyful_hf built it from the paper's abstract and the authors' "
            "published code."
        ),
        recommended_words="This model has the form that joyful_hf recommends.",
        paper=Paper(
            authors="Li et al., Interspeech 2024",
            arxiv="2408.09438",
            bibtex="""\
@inproceedings{li-etal-2024-enhancing,
  title     = {Enhancing Modal Fusion by Alignment and Label Matching for Multimodal Emotion Recognition},
  author    = {Li, Qifei and Gao, Yingming and Wen, Yuhua and Wang, Cong and Li, Ya},
  booktitle = {Proceedings of Interspeech 2024},
  pages     = {4663--4667},
  year      = {2024},
  doi       = {10.21437/Interspeech.2024-1462}
}""",
        ),
        released="foal_net",
        # The code has AdamW at torch's weight decay, and a schedule that it never passes on.
        presets={
            "released": Preset(
                "This model has the form of the authors' published code.",
                {**_NOTHING_ADDED, "weight_decay": 0.01, "num_train_epochs": 40},
                "Unlike there, every utterance is seen once an epoch; there rare emotions are drawn more often.",
            )
        },
        # The released code's. At the sizes of WavLM and CLIP, JOYFUL's rate is too high.
        training_defaults={"learning_rate": 1e-4, "per_device_train_batch_size": 16},
    ),
    Family(
        name="dialogue-gcn",
        title="DialogueGCN",
        model_type="dialogue_gcn",
        config=".modeling.configuration_dialogue_gcn:DialogueGCNConfig",
        model=".modeling.modeling_dialogue_gcn:DialogueGCNForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "reads each dialogue with a recurrent network, joins the utterances in a graph whose edges tell who "
            "speaks to whom and in which order, and convolves over it twice. joyful_hf built it from what is known of "
            "the paper and of the authors' published code."
        ),
        recommended_words="This model has the authors' form with its mistakes mended.",
        paper=Paper(
            authors="Ghosal et al., EMNLP-IJCNLP 2019",
            arxiv="1908.11540",
            bibtex="""\
@inproceedings{ghosal-etal-2019-dialoguegcn,
  title     = {{DialogueGCN}: A Graph Convolutional Neural Network for Emotion Recognition in Conversation},
  author    = {Ghosal, Deepanway and Majumder, Navonil and Poria, Soujanya and Chhaya, Niyati and
               Gelbukh, Alexander},
  booktitle = {Proceedings of EMNLP-IJCNLP 2019},
  year      = {2019}
}""",
        ),
        tags=("graph-neural-network",),
        released="dialogue_gcn",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does for IEMOCAP.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 3e-4, "weight_decay": 0, "per_device_train_batch_size": 32},
                    **{"num_train_epochs": 60, "class_balance": 1},
                },
                f"{_STANDARDIZED}. {_CHOSEN_ON_TEST}",
            )
        },
    ),
    Family(
        name="dialogue-rnn",
        title="DialogueRNN",
        model_type="dialogue_rnn",
        config=".modeling.configuration_dialogue_rnn:DialogueRNNConfig",
        model=".modeling.modeling_dialogue_rnn:DialogueRNNForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "follows each dialogue with a state of what has been said, a state of each speaker and an emotion that "
            "arises from it, from the first utterance to the last and back, and lets each utterance look at the "
            "emotions of all others. joyful_hf built it from what is known of the paper and of the authors' published "
            "code."
        ),
        recommended_words="This model has the authors' form at their sizes for MELD, without dropout on its states.",
        paper=Paper(
            authors="Majumder et al., AAAI 2019",
            arxiv="1811.00405",
            bibtex="""\
@inproceedings{majumder-etal-2019-dialoguernn,
  title     = {{DialogueRNN}: An Attentive {RNN} for Emotion Detection in Conversations},
  author    = {Majumder, Navonil and Poria, Soujanya and Hazarika, Devamanyu and Mihalcea, Rada and
               Gelbukh, Alexander and Cambria, Erik},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year      = {2019}
}""",
        ),
        released="dialogue_rnn",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does for IEMOCAP.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-4, "weight_decay": 1e-5, "per_device_train_batch_size": 30},
                    **{"num_train_epochs": 60, "class_balance": 1},
                },
                f"{_STANDARDIZED}, and weight decay is decoupled from the gradient. {_CHOSEN_ON_TEST}",
            )
        },
    ),
    Family(
        name="graph-smile",
        title="GraphSmile",
        model_type="graph_smile",
        config=".modeling.configuration_graph_smile:GraphSmileConfig",
        model=".modeling.modeling_graph_smile:GraphSmileForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "joins each pair of modalities in a graph whose edges run between the two alone, and learns beside the "
            "emotions which sentiment an utterance has and whether two utterances differ in it. joyful_hf built it "
            "from what is known of the paper and of the authors' published code."
        ),
        recommended_words="This model has the authors' form with its mistakes mended, at a smaller width.",
        paper=Paper(
            authors="Li et al., IEEE TPAMI 2025",
            arxiv="2407.21536",
            bibtex="""\
@article{li-etal-2025-tracing,
  title   = {Tracing Intricate Cues in Dialogue: Joint Graph Structure and Sentiment Dynamics for Multimodal Emotion
             Recognition},
  author  = {Li, Jiang and Wang, Xiaoping and Zeng, Zhigang},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year    = {2025},
  doi     = {10.1109/TPAMI.2025.3581236}
}""",
        ),
        tags=("graph-neural-network",),
        released="graph_smile",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does for a dialogue alone.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-4, "weight_decay": 1e-4, "per_device_train_batch_size": 16},
                    **{"num_train_epochs": 120},
                },
                f"{_STANDARDIZED}, and the optimiser is AdamW without the maximum of past squares. {_CHOSEN_ON_TEST}",
            )
        },
    ),
    Family(
        name="jmt",
        title="JMT",
        model_type="jmt",
        config=".modeling.configuration_jmt:JMTConfig",
        model=".modeling.modeling_jmt:JMTForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "joins the modalities to one more stream, lets all streams attend to each other in pairs over the whole "
            "dialogue, and reads what the pairs gave with a transformer. It was made for valence and arousal in the "
            "steps of a video, by voice and face; here a step is an utterance. It does not read who speaks."
        ),
        recommended_words="This model has the authors' form with its mistakes mended, at a smaller width.",
        paper=Paper(
            authors="Waligora et al., CVPRW 2024",
            arxiv="2403.10488",
            bibtex="""\
@inproceedings{waligora-etal-2024-joint,
  title     = {Joint Multimodal Transformer for Emotion Recognition in the Wild},
  author    = {Waligora, Paul and others},
  booktitle = {CVPR Workshops},
  year      = {2024}
}""",
        ),
        released="jmt",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does, in the form of its README.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-3, "weight_decay": 0, "optim": "sgd", "per_device_train_batch_size": 32},
                    "num_train_epochs": 20,  # of its configuration; the README has 1 to 5, on many more steps
                },
                f"{_STANDARDIZED}, dialogues take the place of videos of 16 steps, and SGD has no momentum, but ten "
                "times the learning rate.",
            )
        },
        # At the package's 2e-3 it predicts one class for all of MELD's text; at this rate it learns.
        training_defaults={"learning_rate": 5e-4},
    ),
    Family(
        name="m2fnet",
        title="M2FNet",
        model_type="m2fnet",
        config=".modeling.configuration_m2fnet:M2FNetConfig",
        model=".modeling.modeling_m2fnet:M2FNetForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "encodes each modality over the whole dialogue, and lets audio and video decide, in one fusion module "
            "after the other, which utterances' text belongs together. It does not read who speaks."
        ),
        recommended_words="This model has the paper's form at a smaller width, with modalities of one width.",
        paper=Paper(
            authors="Chudasama et al., CVPRW 2022",
            arxiv="2206.02187",
            bibtex="""\
@inproceedings{chudasama-etal-2022-m2fnet,
  title     = {M2FNet: Multi-Modal Fusion Network for Emotion Recognition in Conversation},
  author    = {Chudasama, Vishal and Kar, Purbayan and Gudmalwar, Ashish and Shah, Nirmesh and Wasnik, Pankaj and
               Onoe, Naoyuki},
  booktitle = {CVPR Workshops},
  year      = {2022}
}""",
        ),
        caveat=(
            "The authors published no code: where their paper is silent (heads, inner sizes, the width of the "
            "classifier), the choice is ours. The paper's own features are not part of the model."
        ),
        released="m2fnet",
        # Batches, epochs and the schedule are not in the paper.
        presets={
            "paper": Preset(
                "This model has the paper's form; where the paper is silent, the choice is ours.",
                {**_NOTHING_ADDED, "learning_rate": 5e-4, "weight_decay": 5e-4},
                f"{_STANDARDIZED}.",
            ),
            "released": Preset(
                "This model has the form of a public re-implementation, which is not the authors'.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 5e-5, "weight_decay": 0.01, "per_device_train_batch_size": 32},
                    # Its early stopping looks at each epoch's loss.
                    **{"early_stopping_patience": 3, "metric_for_best_model": "loss"},
                },
                f"{_STANDARDIZED}, and weight decay is decoupled from the gradient.",
            ),
        },
    ),
    Family(
        name="m3net",
        title="M3Net",
        model_type="m3net",
        config=".modeling.configuration_m3net:M3NetConfig",
        model=".modeling.modeling_m3net:M3NetForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "joins the modalities of all utterances in two graphs: a hypergraph, whose edges hold a modality's whole "
            "context or an utterance's modalities, and one that takes the sum of a node's neighbours or the "
            "difference to them. joyful_hf built it from the paper and what is known of the authors' published code."
        ),
        recommended_words="This model has the authors' form with its mistakes mended, at a smaller width.",
        paper=Paper(
            authors="Chen et al., CVPR 2023",
            bibtex="""\
@inproceedings{chen-etal-2023-multivariate,
  title     = {Multivariate, Multi-Frequency and Multimodal: Rethinking Graph Neural Networks for Emotion Recognition
               in Conversation},
  author    = {Chen, Feiyu and Shao, Jie and Zhu, Shuyuan and Shen, Heng Tao},
  booktitle = {Proceedings of CVPR 2023},
  pages     = {10761--10770},
  year      = {2023}
}""",
        ),
        tags=("graph-neural-network",),
        released="m3net",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does for a dialogue alone.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-4, "weight_decay": 3e-5, "per_device_train_batch_size": 16},
                    **{"num_train_epochs": 80, "class_balance": 1},
                },
                f"{_STANDARDIZED}, and weight decay is decoupled from the gradient. {_CHOSEN_ON_TEST}",
            )
        },
    ),
    Family(
        name="mmgcn",
        title="MMGCN",
        model_type="mmgcn",
        config=".modeling.configuration_mmgcn:MMGCNConfig",
        model=".modeling.modeling_mmgcn:MMGCNForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "makes each modality of each utterance a node, joins all utterances within a modality and all modalities "
            "within an utterance by how alike they are, and convolves over this graph many times. joyful_hf built it "
            "from what is known of the paper and of the authors' published code."
        ),
        recommended_words="This model has the authors' form with its mistakes mended, and four layers.",
        paper=Paper(
            authors="Hu et al., ACL-IJCNLP 2021",
            arxiv="2107.06779",
            bibtex="""\
@inproceedings{hu-etal-2021-mmgcn,
  title     = {{MMGCN}: Multimodal Fusion via Deep Graph Convolution Network for Emotion Recognition in
               Conversation},
  author    = {Hu, Jingwen and Liu, Yuchen and Zhao, Jinming and Jin, Qin},
  booktitle = {Proceedings of ACL-IJCNLP 2021},
  pages     = {5666--5675},
  year      = {2021}
}""",
        ),
        tags=("graph-neural-network",),
        released="mmgcn",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does for IEMOCAP.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 3e-4, "weight_decay": 3e-5, "per_device_train_batch_size": 16},
                    **{"num_train_epochs": 20, "class_balance": 1},
                },
                f"{_STANDARDIZED}, and weight decay is decoupled from the gradient. {_CHOSEN_ON_TEST}",
            )
        },
    ),
    Family(
        name="sdt",
        title="SDT",
        model_type="sdt",
        config=".modeling.configuration_sdt:SDTConfig",
        model=".modeling.modeling_sdt:SDTForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "lets each modality attend to itself and to each other over the whole dialogue, joins what it gathers by "
            "two levels of gates, and lets classifiers of the single modalities learn from the one of all together. "
            "joyful_hf built it from what is known of the paper and of the authors' published code."
        ),
        recommended_words="This model has the authors' form with its mistakes mended, at a smaller width.",
        paper=Paper(
            authors="Ma et al., IEEE Transactions on Multimedia 2024",
            arxiv="2310.20494",
            bibtex="""\
@article{ma-etal-2024-transformer,
  title   = {A Transformer-Based Model With Self-Distillation for Multimodal Emotion Recognition in Conversations},
  author  = {Ma, Hui and Wang, Jian and Lin, Hongfei and Zhang, Bo and Zhang, Yijia and Xu, Bo},
  journal = {IEEE Transactions on Multimedia},
  volume  = {26},
  pages   = {776--788},
  year    = {2024},
  doi     = {10.1109/TMM.2023.3271019}
}""",
        ),
        released="sdt",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does for IEMOCAP.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-4, "weight_decay": 1e-5, "per_device_train_batch_size": 16},
                    **{"num_train_epochs": 150, "class_balance": 1},
                },
                f"{_STANDARDIZED}, and weight decay is decoupled from the gradient. {_CHOSEN_ON_TEST}",
            )
        },
    ),
    Family(
        name="gban",
        title="GBAN",
        model_type="gban",
        config=".modeling.configuration_gban:GBANConfig",
        model=".modeling.modeling_gban:GBANForEmotionRecognition",
        processor=".processing.processing_gban:GBANProcessor",
        words=(
            "sees one utterance at a time, as frames of speech and as words: each is aligned with the other by "
            "attention, and gates weigh what the modalities say, aligned and on their own. It does not read the other "
            "utterances of the dialogue."
        ),
        recommended_words="This model has the authors' form with its mistakes mended.",
        paper=Paper(
            authors="Liu et al., Interspeech 2020",
            arxiv="2201.06309",
            bibtex="""\
@inproceedings{liu-etal-2020-group,
  title     = {Group Gated Fusion on Attention-Based Bidirectional Alignment for Multimodal Emotion Recognition},
  author    = {Liu, Pengfei and Li, Kun and Meng, Helen},
  booktitle = {Proceedings of Interspeech 2020},
  year      = {2020}
}""",
        ),
        released="gban",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does, but padding takes no part.",
                _PUBLISHED_GBAN,
                "Word vectors begin at random; there they begin as GloVe's.",
            ),
            "paper": Preset(
                "This model has the paper's alignment in the network of the authors' code.",
                _PUBLISHED_GBAN,
                "Word vectors begin at random; there they begin as GloVe's.",
            ),
        },
        # The published batch. The published rate, 1e-4, is for 100 epochs.
        training_defaults={"learning_rate": 1e-3, "per_device_train_batch_size": 32},
    ),
    Family(
        name="lmam",
        title="LMAM",
        model_type="lmam",
        config=".modeling.configuration_lmam:LMAMConfig",
        model=".modeling.modeling_lmam:LMAMForEmotionRecognition",
        processor=".processing.processing_joyful:JoyfulProcessor",
        words=(
            "matches each modality with the text of the whole dialogue, by one matrix of low rank for all of them, in "
            "place of the fusion of a recurrent network. joyful_hf built it from the authors' published code; the "
            "paper's equations are not known to us."
        ),
        recommended_words=(
            "This model has the authors' form with its mistakes mended, at a smaller width, on a bidirectional LSTM."
        ),
        paper=Paper(
            authors="Shou et al., IEEE Transactions on Affective Computing 2025",
            arxiv="2306.17799",
            bibtex="""\
@article{shou-etal-2025-lmam,
  title   = {A Low-Rank Matching Attention Based Cross-Modal Feature Fusion Method for Conversational Emotion
             Recognition},
  author  = {Shou, Yuntao and Liu, Huan and Cao, Xiangyong and Meng, Deyu and Dong, Bo},
  journal = {IEEE Transactions on Affective Computing},
  volume  = {16},
  number  = {2},
  year    = {2025}
}""",
        ),
        released="lmam",
        presets={
            "released": Preset(
                "This model computes what the authors' published code does, on its LSTM host.",
                {
                    **_NOTHING_ADDED,
                    **{"learning_rate": 1e-4, "weight_decay": 3e-5, "per_device_train_batch_size": 16},
                    **{"num_train_epochs": 60, "class_balance": 1},
                },
                f"{_STANDARDIZED}, weight decay is decoupled from the gradient, and the loss leaves padding out. "
                f"{_CHOSEN_ON_TEST}",
            )
        },
    ),
):
    FAMILIES[_family.name] = _family
