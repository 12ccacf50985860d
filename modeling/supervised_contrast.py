"""Label-supervised contrast inside a modality (ICCL) and across modalities (IMCL).

AR-IIGCN's abstract has nodes with different emotions in the same modality and with the same emotion in different
modalities contrasted; the formulas are our reconstruction, the supervised contrastive loss of Khosla et al. (2020).
"""

from collections.abc import Iterable
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from .emotion_pairs import EmotionPairs
from .precision import full_precision


def intra_modal_pairs(modalities: Iterable[str]) -> list[tuple[str, str]]:
    """Each modality with itself."""
    return [(name, name) for name in modalities]


def inter_modal_pairs(modalities: Iterable[str]) -> list[tuple[str, str]]:
    """The ordered pairs of modalities."""
    return list(permutations(modalities, 2))


def supervised_contrastive_loss(
    anchors: Tensor, candidates: Tensor, positives: Tensor, allowed: Tensor, temperature: float
) -> Tensor:
    """() mean over the anchors with a positive of -1/|P(i)| sum over p of log softmax over A(i) of cos(i, p) / t.

    Args:
        anchors: (n, D).
        candidates: (N, D).
        positives: (n, N) bool, P(i) as far as it is allowed.
        allowed: (n, N) bool, A(i): the candidates that an anchor is compared with.
    """
    with full_precision(anchors):
        anchors, candidates = (functional.normalize(rows.float(), dim=-1) for rows in (anchors, candidates))
        similarity = anchors @ candidates.T / temperature
    positives = positives & allowed
    count = positives.sum(-1)
    log_sum = similarity.masked_fill(~allowed, torch.finfo(similarity.dtype).min).logsumexp(-1)
    loss = log_sum - (similarity * positives).sum(-1) / count.clamp(min=1)
    has_positive = count > 0
    return torch.where(has_positive, loss, 0).sum() / has_positive.sum().clamp(min=1)


def emotion_contrast(
    anchors: dict[str, Tensor],
    candidates: dict[str, Tensor],
    emotions: EmotionPairs,
    pairs: list[tuple[str, str]],
    temperature: float,
) -> Tensor:
    """(pairs,) contrast of each pair of modalities. Their sum is ICCL or IMCL.

    ICCL (`intra_modal_pairs`) pushes utterances of other emotions in the same modality apart; IMCL
    (`inter_modal_pairs`) pulls utterances of the same emotion together across modalities, where an utterance's own
    node in the other modality is one of its positives.

    Args:
        anchors: modality -> (n, D).
        candidates: modality -> (N, D).
    """
    return torch.stack(
        [
            supervised_contrastive_loss(
                anchors[asking], candidates[asked], emotions.same, emotions.compared(asking, asked), temperature
            )
            for asking, asked in pairs
        ]
    )
