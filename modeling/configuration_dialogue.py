"""The base configuration of the families on the packed batch of dialogues: modalities, encoders, speakers."""

from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_base import EmotionRecognitionConfig, frame_size

# IEMOCAP's features in JOYFUL's paper (section 3.2): SBERT text, OpenSmile audio, OpenFace video.
IEMOCAP_DIMS = {"text_dim": 768, "audio_dim": 100, "visual_dim": 512}


@strict
class DialogueConfig(EmotionRecognitionConfig):
    """The base of the configurations of models that read `JoyfulProcessor`'s batch.

    Fields that are not listed here are those of `EmotionRecognitionConfig`.

    Args:
        text_dim, audio_dim, visual_dim: sizes of the feature vectors; 0 leaves the modality out. If all are 0,
            IEMOCAP's in JOYFUL's paper are taken: 768, 100, 512.
        feature_layers: modality -> how many layers of an encoder lie side by side in its features, for the model to
            mix with weights that it learns: `{"text": 7}` with text_dim=7 * 384, of which the rest of the model sees
            vectors of 384 numbers. None has features as they are.
        text_config: an encoder of text that is a part of the model and reads raw text: a config of transformers
            (BERT, RoBERTa, ...) or its fields, of BERT unless `model_type` says otherwise. None reads text_features.
            With it, text_dim follows from its size. `from_encoders` gives it pretrained weights.
        text_encoder_layers: how many of the encoder's last layers are read, side by side: text_dim is as many times
            its hidden size. By default as many as text_dim says, otherwise 4, which tell more than the last alone
            (docs/guides/encoder_layers.md); 1 in the published forms.
        text_pooling: `"mean"` over the tokens, Sentence-BERT's recommendation, or `"cls"`, the vector of the first.
        unfreeze_text_encoder: train the encoder with the rest; otherwise it stays as it is.
        text_encoder_learning_rate: of the encoder in `JoyfulTrainer`. 1e-4 was the better of two values for MiniLM on
            MELD's validation dialogues, in two epochs; the other, 2e-5, is that of Sentence-BERT's authors, and suits
            large encoders better.
        audio_config: an encoder of waveforms that is a part of the model and reads recordings, as text_config is one
            of text; of WavLM unless `model_type` says otherwise. None reads audio_features. With it, audio_dim is the
            size of its frames, which are averaged over the utterance.
        freeze_feature_encoder: leave its convolutional front as it is in training.
        unfreeze_audio_encoder: train it with the rest; otherwise it stays as it is.
        audio_encoder_learning_rate: of it in `JoyfulTrainer`; 3e-5 is usual for speech encoders.
        max_speakers: most speakers in a dialogue that `relation_scheme="speaker_pair"` tells apart.
        relation_scheme: `"speaker_pair"` (2 * max_speakers**2 relations) or `"same_or_other"` (4 relations).
        num_relations: follows from the two above, and need not be given.
        input_dropout_prob: dropout of the feature vectors.
        modality_dropout_prob: how often training hides a modality of an utterance that has another one left.
        absent_modality: what stands in for a modality that an utterance lacks: `"zeros"`, also behind the layers that
            read it, or `"learnt"`, a feature vector of its own for each modality.
        hidden_dropout_prob: dropout of the hidden layers.
    """

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = EmotionRecognitionConfig.choices | {
        "relation_scheme": ("speaker_pair", "same_or_other"),
        "text_pooling": ("mean", "cls"),
        "absent_modality": ("zeros", "learnt"),
    }
    probabilities: ClassVar[tuple[str, ...]] = (
        *EmotionRecognitionConfig.probabilities,
        "input_dropout_prob",
        "modality_dropout_prob",
        "hidden_dropout_prob",
    )
    sizes: ClassVar[tuple[str, ...]] = ("max_speakers",)
    not_negative: ClassVar[tuple[str, ...]] = (
        "text_dim",
        "audio_dim",
        "visual_dim",
        "text_encoder_learning_rate",
        "audio_encoder_learning_rate",
    )
    sub_configs_defaults = {
        "text_config": SubConfigSpec(AutoConfig, model_type="bert", optional=True),
        "audio_config": SubConfigSpec(AutoConfig, model_type="wavlm", optional=True),
    }

    text_dim: int = 0
    audio_dim: int = 0
    visual_dim: int = 0
    feature_layers: dict[str, int] | None = None
    text_config: dict | PreTrainedConfig | None = None
    text_encoder_layers: int | None = None
    text_pooling: str = "mean"
    unfreeze_text_encoder: bool = False
    text_encoder_learning_rate: float | int = 1e-4
    audio_config: dict | PreTrainedConfig | None = None
    freeze_feature_encoder: bool = True
    unfreeze_audio_encoder: bool = False
    audio_encoder_learning_rate: float | int = 3e-5
    max_speakers: int = 2
    relation_scheme: str = "speaker_pair"
    num_relations: int = 0

    input_dropout_prob: float | int = 0.3
    modality_dropout_prob: float | int = 0.1
    absent_modality: str = "zeros"
    hidden_dropout_prob: float | int = 0.3

    def __post_init__(self, **kwargs: Any) -> None:
        if not any((self.text_dim, self.audio_dim, self.visual_dim, self.text_config, self.audio_config)):
            for name, dim in IEMOCAP_DIMS.items():
                setattr(self, name, dim)
        if not self.num_relations:
            self.num_relations = self._relations_of_scheme()
        super().__post_init__(**kwargs)
        if self.text_config is not None:
            self._choose_text_layers()
        if self.audio_config is not None and not self.audio_dim:
            self.audio_dim = frame_size(self.audio_config)

    def _choose_text_layers(self) -> None:
        size, states = self._text_encoder_size(), self._text_encoder_states()
        if self.text_encoder_layers is None:
            self.text_encoder_layers = max(1, self.text_dim // size) if size and self.text_dim else min(4, states)
        if not self.text_dim:
            self.text_dim = self.text_encoder_layers * size

    def _text_encoder_size(self) -> int:
        return getattr(self.text_config, "hidden_size", 0)

    def _text_encoder_states(self) -> int:
        """Return how many hidden states there are, the embeddings among them."""
        return getattr(self.text_config, "num_hidden_layers", 0) + 1

    def _relations_of_scheme(self) -> int:
        return 2 * self.max_speakers**2 if self.relation_scheme == "speaker_pair" else 4

    @classmethod
    def with_defaults(cls, defaults: dict[str, Any], overrides: dict[str, Any]) -> Self:
        """As in the base class; a published form reads the last layer of an encoder of text."""
        if overrides.get("text_config") is not None:
            defaults = defaults | {"text_encoder_layers": 1}
        return super().with_defaults(defaults, overrides)

    @property
    def modality_dims(self) -> dict[str, int]:
        """Modality -> size of the vectors that are read of it, layers mixed, only those that are part of the model."""
        layers = self.feature_layers or {}
        return {name: dim // (layers.get(name) or 1) for name, dim in self._feature_dims.items()}

    @property
    def _feature_dims(self) -> dict[str, int]:
        dims = {"text": self.text_dim, "audio": self.audio_dim, "visual": self.visual_dim}
        return {name: dim for name, dim in dims.items() if dim}

    @property
    def most_speakers(self) -> int | None:
        """Most speakers in a dialogue; None with a relation scheme that takes any number."""
        return self.max_speakers if self.relation_scheme == "speaker_pair" else None

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified, as other libraries ask for it.

        Raises:
            AttributeError: the family does not say.
        """
        raise AttributeError(f"{type(self).__name__} has no hidden_size")

    def validate_feature_layers(self) -> None:
        """Check that the features of a modality can be split into its layers."""
        for name, count in (self.feature_layers or {}).items():
            dim = self._feature_dims.get(name, 0)
            if not dim or (name == "text" and self.text_config is not None):
                raise ValueError(f"feature_layers name {name!r}, of which this model reads no features; leave it out")
            if isinstance(count, bool) or count < 1 or dim % count:
                raise ValueError(f"feature_layers of {name}: {count} layers do not divide {name}_dim={dim}")

    def validate_text_encoder(self) -> None:
        """Check that the encoder of text gives vectors of the size that the model reads."""
        layers, states = self.text_encoder_layers, self._text_encoder_states()
        if self.text_config is None:
            if layers is not None:
                raise ValueError(f"text_encoder_layers is {layers}, and there is no text_config whose layers they are")
            return
        if layers is None or not 1 <= layers <= states:
            raise ValueError(
                f"text_encoder_layers is {layers}; the encoder of text_config has {states}, its embeddings among them"
            )
        size = layers * self._text_encoder_size()
        if self.text_dim != size:
            raise ValueError(
                f"text_dim is {self.text_dim}, the encoder of text_config gives vectors of size {size}; leave "
                "text_dim out"
            )

    def validate_audio_encoder(self) -> None:
        """Check that the encoder of waveforms gives vectors of the size that the model reads."""
        if self.audio_config is not None and self.audio_dim != frame_size(self.audio_config):
            raise ValueError(
                f"audio_dim is {self.audio_dim}, the encoder of audio_config gives vectors of size "
                f"{frame_size(self.audio_config)}; leave audio_dim out"
            )

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PreTrainedConfig:
        """Return this config itself: transformers must neither search nor change the encoder's."""
        return self

    def validate_relations(self) -> None:
        """Check that the number of relations is that of the scheme."""
        expected = self._relations_of_scheme()
        if self.num_relations != expected:
            raise ValueError(
                f"num_relations is {self.num_relations}, but {self.relation_scheme} with "
                f"max_speakers={self.max_speakers} has {expected}; leave num_relations out"
            )


def unless_given(dims: dict[str, int], overrides: dict[str, Any]) -> dict[str, int]:
    """The published sizes of the features, for a preset whose caller says nothing of any modality; otherwise none."""
    return {} if overrides.keys() & {*IEMOCAP_DIMS, "text_config", "audio_config"} else dims


__all__ = ["IEMOCAP_DIMS", "DialogueConfig", "unless_given"]
