"""`LMAMConfig`: low-rank matching attention on a recurrent host, with the authors' code as a preset."""

from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig, unless_given


@strict
class LMAMConfig(DialogueConfig):
    """Sizes and choices of LMAM (Shou et al., IEEE TAFFC 2025). `LMAMConfig()` is what we recommend.

    The matching attention replaces the fusion of other networks, its hosts. `released()` computes what the authors'
    code does. The equations of their paper are not known to us: numbers of faults are those that we found in the code.

    Fields that are not listed here are those of `DialogueConfig`. The authors' code hides and drops nothing of its
    inputs.

    Args:
        text_dim, audio_dim, visual_dim: as in `DialogueConfig`. The first one is the memory that all others are
            matched with: text in the authors' code, audio or visual in a model without text.
        host: `"bc_lstm"`, an LSTM in both directions over the text, or `"dialogue_rnn"`, the recurrence of states of
            the dialogue, its speakers and their emotions, beside the matched vectors.
        text_layers: vectors of the text, such as those of several layers of an encoder, that lie side by side in
            text_features and of which the mean is taken (released: 4 of RoBERTa-large).
        text_norm: of each of the text's vectors: `"none"`, since the processor standardises them with the statistics
            of the training data; `"batch"`, by those of the batch; `"padded_batch"`, by those of a batch that is
            padded with zeros, as in the authors' code (fault 5).
        projection_size: d, the width of the memory and of what is matched with it (released: 512).
        rank: of the matching's matrix (fault 1: nothing is low-rank in the authors' code); None has it whole.
        scale_scores: divide the scores by the root of d, without which a fresh matching is saturated.
        num_hidden_layers: of the LSTM host (released: 4).
        global_size, party_size, emotion_size: of the DialogueRNN host's states (released: 512, 150, 256).
        classifier_hidden_size: hidden layer of the LSTM host's classifier (released: 100).
        state_dropout_prob: dropout of the states inside the DialogueRNN host's recurrence (released: 0.5).
        hidden_dropout_prob: dropout between the layers of the LSTM host (released: 0.5).
    """

    model_type = "lmam"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "host": ("bc_lstm", "dialogue_rnn"),
        "text_norm": ("none", "batch", "padded_batch"),
    }
    probabilities: ClassVar[tuple[str, ...]] = (*DialogueConfig.probabilities, "state_dropout_prob")
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        *("text_layers", "projection_size", "rank", "num_hidden_layers", "classifier_hidden_size"),
        *("global_size", "party_size", "emotion_size"),
    )

    input_dropout_prob: float | int = 0.1
    host: str = "bc_lstm"
    text_layers: int = 1
    text_norm: str = "none"
    projection_size: int = 128
    rank: int | None = 32
    scale_scores: bool = True
    num_hidden_layers: int = 2
    global_size: int = 150
    party_size: int = 150
    emotion_size: int = 100
    classifier_hidden_size: int = 100
    state_dropout_prob: float | int = 0.0

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return self.projection_size

    @property
    def vector_sizes(self) -> dict[str, int]:
        """Modality -> size of its vector: of the text, the mean of its layers'."""
        return {name: dim // (self.text_layers if name == "text" else 1) for name, dim in self.modality_dims.items()}

    def validate_layers(self) -> None:
        """Check that the text can be split into its layers, and that the LSTM has an even width."""
        size = self.modality_dims.get("text", 0)
        if size % self.text_layers:
            raise ValueError(f"text_layers={self.text_layers} does not divide the text's vectors of size {size}")
        if self.host == "bc_lstm" and self.projection_size % 2:
            raise ValueError(f"an LSTM of two directions needs an even projection_size, got {self.projection_size}")

    @classmethod
    def released(cls, **overrides: Any) -> Self:
        """The network of the authors' code; every field can be overridden."""
        published = {
            "text_norm": "padded_batch",
            "projection_size": 512,
            "rank": None,
            "scale_scores": False,
            "num_hidden_layers": 4,
            "global_size": 512,
            "party_size": 150,
            "emotion_size": 256,
            "classifier_hidden_size": 100,
            "state_dropout_prob": 0.5,
            "hidden_dropout_prob": 0.5,
            "input_dropout_prob": 0.0,
            "modality_dropout_prob": 0.0,
        }
        features = {"text_dim": 4 * 1024, "audio_dim": 1582, "visual_dim": 342, "text_layers": 4}
        return cls.with_defaults(unless_given(features, overrides) | published, overrides)


__all__ = ["LMAMConfig"]
