"""`GBANConfig`: a gated bidirectional alignment network, with the authors' code and their paper as presets."""

from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict

from .configuration_padded import PaddedConfig


@strict
class GBANConfig(PaddedConfig):
    """Sizes and choices of a GBAN (Liu, Li, Meng; Interspeech 2020). `GBANConfig()` is what we recommend.

    It has the published sizes, which are small, with the mistakes of the authors' code mended: padding takes no part
    anywhere, and an utterance of a single frame can be read. `released()` computes what that code does for utterances
    that fill its fixed length, `paper()` has the paper's alignment in its place.

    Fields that are not listed here are those of `EmotionRecognitionConfig`.

    Args:
        audio_dim: size of the audio frames (52: 26 log-mel, 13 MFCC and their differences); 0 leaves audio out.
        video_dim: size of the video frames; 0, as in the paper, leaves video out.
        text_dim: size of the text frames, or of the word vectors (GloVe: 300); 0 leaves text out.
        vocab_size: number of words that have a vector in the model; None reads text as frames, such as vectors of
            words made elsewhere.
        frame_filters: filters of each of the convolutions that audio and video go through.
        frame_kernel: frames that each of them reads.
        frame_padding: `"same"`, each frame has a step and the last of an odd number stays; or `"valid"`, as in the
            authors' code: whole windows alone, so that an utterance of less than 61 frames has no step.
        text_filters: filters of each of the parallel convolutions that text goes through.
        text_kernels: words that each of them reads.
        lstm_size: units of each direction of the LSTMs.
        lstm_gate: `"sigmoid"`, or `"hard_sigmoid"`, which is the default of TensorFlow 1 and so of the authors' code.
        alignment: `"additive"`, as in the authors' code, or `"dot"`, as in the paper.
        gate_size: width of the gated fusion.
        classifier_hidden_size: hidden layer of the classifier.
        hidden_dropout_prob: dropout in the classifier.
    """

    model_type = "gban"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = PaddedConfig.choices | {
        "frame_padding": ("same", "valid"),
        "lstm_gate": ("sigmoid", "hard_sigmoid"),
        "alignment": ("additive", "dot"),
    }
    probabilities: ClassVar[tuple[str, ...]] = (*PaddedConfig.probabilities, "hidden_dropout_prob")
    sizes: ClassVar[tuple[str, ...]] = (
        "vocab_size",
        "frame_kernel",
        "text_filters",
        "lstm_size",
        "gate_size",
        "classifier_hidden_size",
    )

    audio_dim: int = 52
    text_dim: int = 300
    vocab_size: int | None = None
    frame_filters: list[int] | tuple[int, ...] = (12, 20, 28, 36)
    frame_kernel: int = 4
    frame_padding: str = "same"
    text_filters: int = 128
    text_kernels: list[int] | tuple[int, ...] = (2, 3, 4)
    lstm_size: int = 128
    lstm_gate: str = "sigmoid"
    alignment: str = "additive"
    gate_size: int = 128
    classifier_hidden_size: int = 128
    hidden_dropout_prob: float | int = 0.5

    def __post_init__(self, **kwargs: Any) -> None:
        self.frame_filters, self.text_kernels = list(self.frame_filters), list(self.text_kernels)
        super().__post_init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return self.gate_size

    def validate_layers(self) -> None:
        """Check that words have vectors, and streams layers to be read by."""
        if self.vocab_size is not None and not self.text_dim:
            raise ValueError("vocab_size is given and text_dim is 0; give text_dim, the size of the words' vectors")
        for name in ("frame_filters", "text_kernels"):
            numbers = getattr(self, name)
            if not numbers or min(numbers) < 1:
                raise ValueError(f"{name} must hold numbers of 1 or more, got {list(numbers)}")

    @classmethod
    def released(cls, **overrides: Any) -> Self:
        """The network of the authors' code; every field can be overridden."""
        return cls.with_defaults({"frame_padding": "valid", "lstm_gate": "hard_sigmoid"}, overrides)

    @classmethod
    def paper(cls, **overrides: Any) -> Self:
        """The paper's alignment in the network of the authors' code; every field can be overridden."""
        return cls.released(**({"alignment": "dot"} | overrides))


__all__ = ["GBANConfig"]
