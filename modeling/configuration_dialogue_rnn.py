"""`DialogueRNNConfig`: sizes and choices of DialogueRNN, with the form of the authors' code as a preset."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_dialogue import DialogueConfig


@strict
class DialogueRNNConfig(DialogueConfig):
    """Sizes and choices of a DialogueRNN model.

    Majumder et al., AAAI 2019 (arXiv 1811.00405). `DialogueRNNConfig()` has the authors' sizes for MELD and keeps
    dropout out of the recurrence; `DialogueRNNConfig.released()` has their sizes for IEMOCAP and computes what their
    code does. That code has no place for speakers beyond a fixed number or for absent modalities: here both are open.

    Fields that are not listed here are those of `DialogueConfig`. The modalities are joined in the order text, audio,
    visual. The processor's graph is not read, and the model has no parameter for a speaker: with
    `relation_scheme="same_or_other"` there may be any number of them.

    Args:
        input_dropout_prob, modality_dropout_prob: 0, since the authors' code has neither.
        global_size, party_size, emotion_size: D_g, D_p and D_e, the sizes of the three states (authors: 500, 500, 300
            for IEMOCAP, 150, 150, 100 for MELD).
        classifier_hidden_size: hidden layer of the classifier, which is 2 D_h (authors: 600 and 200).
        context_attention: how an utterance looks back at the global states: `"general"` (the authors' choice),
            `"simple"`, `"dot"` (needs `global_size` to be the features' size) or `"concat"`.
        context_attention_size: D_a, the width of the `"concat"` attention (authors: 100).
        listener_state: change the states of those who listen, too. The authors' default is not to.
        bidirectional: read each dialogue from both ends. In the authors' code only this form runs.
        emotion_attention: let each utterance look at the emotions of all utterances of its dialogue.
        state_dropout_prob: dropout of the states inside the recurrence, fresh at each step (authors: 0.1). A state
            that lives long is scaled up again and again, so it is 0 unless asked for.
        emotion_dropout_prob: dropout of the emotions behind the recurrence. The authors' code adds 0.15 to the rate
            that it is given: 0.25.
        hidden_dropout_prob: dropout of the classifier's hidden layer (authors: 0.1).
    """

    model_type = "dialogue_rnn"

    choices: ClassVar[dict[str, tuple[str | None, ...]]] = DialogueConfig.choices | {
        "context_attention": ("general", "simple", "dot", "concat")
    }
    probabilities: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.probabilities,
        "state_dropout_prob",
        "emotion_dropout_prob",
    )
    sizes: ClassVar[tuple[str, ...]] = (
        *DialogueConfig.sizes,
        "global_size",
        "party_size",
        "emotion_size",
        "classifier_hidden_size",
        "context_attention_size",
    )

    input_dropout_prob: float | int = 0.0
    modality_dropout_prob: float | int = 0.0
    global_size: int = 150
    party_size: int = 150
    emotion_size: int = 100
    classifier_hidden_size: int = 200
    context_attention: str = "general"
    context_attention_size: int = 100
    listener_state: bool = False
    bidirectional: bool = True
    emotion_attention: bool = True
    state_dropout_prob: float | int = 0.0
    emotion_dropout_prob: float | int = 0.25
    hidden_dropout_prob: float | int = 0.1

    @property
    def hidden_size(self) -> int:
        """Width of the representations that are classified."""
        return self.emotion_size * (2 if self.bidirectional else 1)

    def validate_context_attention(self) -> None:
        """Check that utterances and global states have the same size, where each is multiplied with the other."""
        width = sum(self.modality_dims.values())
        if self.context_attention == "dot" and self.global_size != width:
            raise ValueError(
                f"context_attention='dot' needs states of the features' size: set global_size={width} instead of "
                f"{self.global_size}, or take context_attention='general'"
            )

    @classmethod
    def released(cls, **overrides: Any) -> "DialogueRNNConfig":
        """The form of the authors' code at its sizes for IEMOCAP, with dropout on the states inside the recurrence.

        Every field can be overridden: for MELD the sizes are 150, 150, 100 and `classifier_hidden_size=200`. What the
        code computes in evaluation is computed here; a softmax over padding is not.
        """
        config: dict[str, Any] = {
            "input_dropout_prob": 0.0,
            "modality_dropout_prob": 0.0,
            "absent_modality": "zeros",
            "global_size": 500,
            "party_size": 500,
            "emotion_size": 300,
            "classifier_hidden_size": 600,
            "context_attention": "general",
            "listener_state": False,
            "bidirectional": True,
            "emotion_attention": True,
            "state_dropout_prob": 0.1,
            "emotion_dropout_prob": 0.25,
            "hidden_dropout_prob": 0.1,
            "label_smoothing": 0.0,
        }
        return cls.with_defaults(config, overrides)


__all__ = ["DialogueRNNConfig"]
