"""The packed graph batch as a model sees it, and the refusal of one that does not fit, with both numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from .packing import DialogueLayout
from .tasks import SINGLE_LABEL, TASKS, task_of

MODALITIES = ("text", "audio", "visual")

WAY_OUT = "load the processor that was saved with this model"


@dataclass
class PackedBatch:
    """A packed graph batch that fits the model, and what is asked of it; N utterances, E edges."""

    layout: DialogueLayout
    features: dict[str, Tensor | None]
    """Modality -> (N, dim), None where the batch has none."""
    modality_mask: Tensor | None
    """(N, 3) bool; everything is present if None."""
    speaker_ids: Tensor | None
    """(N,)."""
    edge_index: Tensor | None
    """(2, E)."""
    edge_type: Tensor | None
    """(E,)."""
    labels: Tensor | None
    """As the task has them; None if there are none, or no loss is asked for."""
    return_loss: bool
    """Whether losses are asked for, those that need no labels included."""
    output_edge_attention: bool
    output_hidden_states: bool
    """Whether hidden states are asked for, through which gradients of the logits are to flow."""
    loss_shares: dict[str, Tensor] | None = None
    """As in the model's `forward`."""
    label_shares: Tensor | None = None
    """As in the model's `forward`."""

    @property
    def targets(self) -> Tensor | None:
        """The labels that the classifier learns: the shares of the votes, where there are any."""
        return self.labels if self.labels is None or self.label_shares is None else self.label_shares


def check_batch(
    config: PreTrainedConfig,
    dialogue_lengths: Tensor,
    features: dict[str, Tensor | None],
    modality_mask: Tensor | None = None,
    speaker_ids: Tensor | None = None,
    edge_index: Tensor | None = None,
    edge_type: Tensor | None = None,
    error: type[ValueError] = ValueError,
) -> int:
    """Compare a packed batch with the config: shapes everywhere, values on the CPU only.

    Args:
        features: modality -> (N, dim), or None where the batch has none.
        error: what to raise.

    Returns:
        N, the number of utterances.

    Raises:
        ValueError: (or `error`) a feature size, a number of rows, a speaker or a relation that does not fit.
    """
    num_utterances = None
    for modality in MODALITIES:
        expected, given = getattr(config, f"{modality}_dim"), features[modality]
        if not expected:
            continue
        if given is None:
            raise error(
                f"the batch has no {modality}_features, and the model was made with {modality}_dim={expected}; "
                f"{WAY_OUT}"
            )
        if given.dim() != 2 or given.size(-1) != expected:
            raise error(
                f"{modality}_features have shape {tuple(given.shape)}, the model expects (N, {expected}); {WAY_OUT}"
            )
        if num_utterances is not None and given.size(0) != num_utterances:
            raise error(f"{modality}_features have {given.size(0)} rows, other features have {num_utterances}")
        num_utterances = given.size(0)
    assert num_utterances is not None  # a config without any modality is refused
    num_edges = next((tensor.size(-1) for tensor in (edge_index, edge_type) if tensor is not None), 0)
    for name, tensor, shape in (
        ("modality_mask", modality_mask, (num_utterances, len(MODALITIES))),
        ("speaker_ids", speaker_ids, (num_utterances,)),
        ("edge_index", edge_index, (2, num_edges)),
        ("edge_type", edge_type, (num_edges,)),
    ):
        if tensor is not None and tensor.shape != shape:
            raise error(f"{name} has shape {tuple(tensor.shape)}, the rest of the batch needs {shape}")
    if dialogue_lengths.device.type == "cpu" and not torch.compiler.is_compiling():
        _check_values(config, dialogue_lengths, num_utterances, speaker_ids, edge_index, edge_type, error)
    return num_utterances


def check_labels(
    config: PreTrainedConfig,
    labels: Tensor,
    num_utterances: int,
    error: type[ValueError] = ValueError,
    label_shares: Tensor | None = None,
) -> None:
    """Compare the labels of a batch with the config, as `check_batch` does with the rest.

    Raises:
        ValueError: (or `error`) labels of another shape than the task has, or of more classes than the model.
    """
    task = task_of(config)
    num_labels = len(config.id2label or ())
    shape = task.label_shape(num_utterances, num_labels)
    if labels.shape != shape:
        raise error(f"labels have shape {tuple(labels.shape)}, {task.problem_type} of this batch needs {shape}")
    if label_shares is not None and (task is not TASKS[SINGLE_LABEL] or label_shares.shape != (*shape, num_labels)):
        wanted = f"{(num_utterances, num_labels)} with single labels"
        raise error(f"label_shares have shape {tuple(label_shares.shape)}, {task.problem_type}; they are {wanted}")
    if labels.device.type == "cpu" and not torch.compiler.is_compiling() and not labels.is_floating_point():
        highest = int(labels.max())
        if highest >= num_labels:
            raise error(f"the batch has label {highest}, the model has num_labels={num_labels}, counted from 0")


def check_tokens(
    config: PreTrainedConfig, input_ids: Tensor, attention_mask: Tensor, error: type[ValueError] = ValueError
) -> None:
    """Compare the tokens of a batch with the config of the encoder that reads them.

    Raises:
        ValueError: (or `error`) ids and mask are not both (N, T), texts are too long for the encoder, or, looked at on
            the CPU only, it does not know an id.
    """
    shape = tuple(input_ids.shape)
    if input_ids.dim() != 2 or attention_mask.shape != input_ids.shape:
        raise error(
            f"text_input_ids have shape {shape} and text_attention_mask has {tuple(attention_mask.shape)}; both are "
            "(N, T)"
        )
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and input_ids.size(1) > longest:
        raise error(
            f"the batch has texts of {input_ids.size(1)} tokens, the encoder reads {longest} "
            "(max_position_embeddings); lower the processor's text_max_length"
        )
    if input_ids.device.type == "cpu" and not torch.compiler.is_compiling():
        highest = int(input_ids.max())
        if highest >= config.vocab_size:
            raise error(f"the batch has token id {highest}, the encoder knows {config.vocab_size} tokens; {WAY_OUT}")


def check_waveforms(samples: Tensor, attention_mask: Tensor, error: type[ValueError] = ValueError) -> None:
    """Raise a ValueError (or `error`) unless waveforms and their mask are both (N, S)."""
    if samples.dim() != 2 or attention_mask.shape != samples.shape:
        raise error(
            f"audio_input_values have shape {tuple(samples.shape)} and audio_attention_mask has "
            f"{tuple(attention_mask.shape)}; both are (N, S)"
        )


def _check_values(
    config: PreTrainedConfig,
    dialogue_lengths: Tensor,
    num_utterances: int,
    speaker_ids: Tensor | None,
    edge_index: Tensor | None,
    edge_type: Tensor | None,
    error: type[ValueError],
) -> None:
    total = int(dialogue_lengths.sum())
    if total != num_utterances:
        raise error(f"dialogue_lengths sum to {total}, the features have {num_utterances} rows")
    if int(dialogue_lengths.min()) < 1:
        raise error(f"dialogue_lengths hold {int(dialogue_lengths.min())}; a dialogue has at least 1 utterance")
    if edge_index is not None and edge_index.numel() and int(edge_index.max()) >= num_utterances:
        raise error(f"edge_index names utterance {int(edge_index.max())}, the batch has {num_utterances}")
    if getattr(config, "causal", False) and edge_index is not None and bool((edge_index[0] > edge_index[1]).any()):
        raise error("the batch has edges from the future, and the model is causal; give the processor window_future=0")
    scheme = f"({config.relation_scheme}, max_speakers={config.max_speakers}); {WAY_OUT}"
    if edge_type is not None and edge_type.numel():
        highest = int(edge_type.max())
        if highest >= config.num_relations:
            raise error(
                f"the batch has relation id {highest}, the model holds {config.num_relations} relations {scheme}"
            )
    if speaker_ids is not None and config.relation_scheme == "speaker_pair":
        highest = int(speaker_ids.max())
        if highest >= config.max_speakers:
            raise error(f"the batch has speaker id {highest}, the model holds {config.max_speakers} speakers {scheme}")
