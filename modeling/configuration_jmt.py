"""`JMTConfig`: a joint multimodal transformer, with the authors' code as a preset."""

from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig, unless_given


@strict
class JMTConfig(DialogueConfig):
    """Sizes and choices of a JMT (Waligora et al., CVPRW 2024). `JMTConfig()` is what we recommend.

    The authors' network reads steps of a video, by voice and face, and predicts valence and arousal at each of them;
    here a step is an utterance of a dialogue. Numbers of faults below are those that we found in the authors' code.

    Fields that are not listed here are those of `DialogueConfig`. The authors' code hides and drops nothing of its
    inputs, and the network does not read who speaks.

    Args:
        projection_size: width d of all streams (released: 512). A modality of this size is not projected.
        num_hidden_layers: transformer layers of each encoder (released: 1).
        num_attention_heads: of every attention (released: 1).
        intermediate_size: of the encoders' feed-forward layers (released: 512).
        fusion: the way from the streams to what is classified. `"self_attention"`: the streams and a joint one attend
            to each other in pairs, and a transformer reads what each pair gave as one token; `"linear"`: one layer
            reads the pairs; `"vanilla"`: there is no joint stream; `"concatenation"`: one layer reads the features,
            and there is no attention at all.
        token_pooling: `"mean"` of the tokens, or `"last"` of them alone, as in the authors' code (fault 6).
        regression_loss: `"both"`, one minus the concordance of each value and its absolute error, or `"concordance"`
            alone, as in the authors' code. A concordance compares the utterances of a batch.
        classifier_hidden_size: hidden layer of the classifier (released: 128 for each of two values).
        hidden_dropout_prob: dropout of all hidden layers (released: 0).
    """

    model_type = "jmt"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "fusion": ("self_attention", "linear", "vanilla", "concatenation"),
        "token_pooling": ("mean", "last"),
        "regression_loss": ("both", "concordance"),
    }
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        "projection_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "classifier_hidden_size",
    )

    input_dropout_prob: float | int = 0.1
    projection_size: int = 128
    num_hidden_layers: int = 1
    num_attention_heads: int = 4
    intermediate_size: int = 256
    fusion: str = "self_attention"
    token_pooling: str = "mean"
    regression_loss: str = "both"
    classifier_hidden_size: int = 128

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return self.projection_size * (2 if self.fusion == "linear" else 1)

    def validate_heads(self) -> None:
        """Check that the heads divide the streams' width."""
        if self.projection_size % self.num_attention_heads:
            heads, size = self.num_attention_heads, self.projection_size
            raise ValueError(f"num_attention_heads={heads} does not divide projection_size={size}")

    @classmethod
    def released(cls, **overrides: Any) -> Self:
        """The network of the authors' code, in the form of its README; every field can be overridden."""
        published = {
            "projection_size": 512,
            "num_attention_heads": 1,
            "intermediate_size": 512,
            "token_pooling": "last",
            "regression_loss": "concordance",
            "classifier_hidden_size": 256,
            "hidden_dropout_prob": 0.0,
            "input_dropout_prob": 0.0,
            "modality_dropout_prob": 0.0,
        }
        return cls.with_defaults(unless_given({"audio_dim": 512, "visual_dim": 512}, overrides) | published, overrides)


__all__ = ["JMTConfig"]
