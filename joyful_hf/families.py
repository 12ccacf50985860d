"""The table of families: everything that the package knows of a system beyond its configuration, model and processor.

A row is all that a family needs to be trained by command, described by a card, predicted, exported, pushed and loaded
again; `joyful_hf.register_family` adds one from outside the package.
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

    def check_preset(self, preset: str | None) -> None:
        """Check that the family has a preset of this name, if one is given.

        Raises:
            DialogueError: it has none.
        """
        if preset is not None and preset not in self.presets:
            known = f"choose from {', '.join(self.presets)}" if self.presets else f"{self.title} has none"
            raise DialogueError(f"`preset`: unknown preset {preset!r}; {known}")

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
_STANDARDIZED = "Unlike there, features are standardized with the statistics of the training data"

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
):
    FAMILIES[_family.name] = _family
