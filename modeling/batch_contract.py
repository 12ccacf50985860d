"""Does a batch fit the model? Refuses with both numbers, before a matrix product does it with none."""

import torch
from torch import Tensor
from transformers import PreTrainedConfig

MODALITIES = ("text", "audio", "visual")


def check_batch(
    config: PreTrainedConfig,
    dialogue_lengths: Tensor,
    features: dict[str, Tensor | None],
    edge_type: Tensor | None,
    error: type[ValueError] = ValueError,
) -> int:
    """Hold a packed batch against the config; values are looked at on the CPU only, shapes everywhere.

    Args:
        features: modality -> (N, dim), or None where the batch has none.
        error: what to raise.

    Returns:
        N, the number of utterances.

    Raises:
        ValueError: (or `error`) a feature size, the number of rows, or a relation id that does not fit.
    """
    num_utterances = None
    for modality in MODALITIES:
        expected, given = getattr(config, f"{modality}_dim"), features[modality]
        if not expected:
            continue
        if given is None:
            raise error(
                f"the batch has no {modality}_features, and the model was made with {modality}_dim={expected}; "
                "load the processor that was saved with this model"
            )
        if given.dim() != 2 or given.size(-1) != expected:
            raise error(
                f"{modality}_features have shape {tuple(given.shape)}, the model expects (N, {expected}); "
                "load the processor that was saved with this model"
            )
        if num_utterances is not None and given.size(0) != num_utterances:
            raise error(f"{modality}_features have {given.size(0)} rows, other features have {num_utterances}")
        num_utterances = given.size(0)
    assert num_utterances is not None  # a config without any modality is refused
    if dialogue_lengths.device.type == "cpu" and not torch.compiler.is_compiling():
        _check_values(config, dialogue_lengths, edge_type, num_utterances, error)
    return num_utterances


def _check_values(
    config: PreTrainedConfig,
    dialogue_lengths: Tensor,
    edge_type: Tensor | None,
    num_utterances: int,
    error: type[ValueError],
) -> None:
    total = int(dialogue_lengths.sum())
    if total != num_utterances:
        raise error(f"dialogue_lengths sum to {total}, the features have {num_utterances} rows")
    if edge_type is not None and edge_type.numel():
        highest = int(edge_type.max())
        if highest >= config.num_relations:
            raise error(
                f"the batch has relation id {highest}, the model holds {config.num_relations} relations "
                f"({config.relation_scheme}, max_speakers={config.max_speakers}); "
                "load the processor that was saved with this model"
            )
