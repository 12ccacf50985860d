"""Label-supervised contrast inside a modality (ICCL) and across modalities (IMCL).

AR-IIGCN's abstract has nodes with different emotions in the same modality and with the same emotion in different
modalities contrasted; the formulas are our reconstruction, the supervised contrastive loss of Khosla et al. (2020).
"""

from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from .emotion_pairs import known_emotions, same_emotion
from .precision import full_precision


def supervised_contrastive_loss(
    anchors: Tensor, candidates: Tensor, positives: Tensor, allowed: Tensor, temperature: float
) -> Tensor:
    """() mean over the anchors with a positive of -1/|P(i)| sum over p of log softmax over A(i) of cos(i, p) / t.

    Args:
        anchors, candidates: (N, D).
        positives: (N, N) bool, P(i) as far as it is allowed.
        allowed: (N, N) bool, A(i): the candidates that an anchor is compared with.
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


def intra_modal_loss(
    rows: dict[str, Tensor], present: dict[str, Tensor], labels: Tensor, temperature: float
) -> Tensor:
    """ICCL: () sum over the modalities; utterances of other emotions in the same modality are pushed apart.

    Args:
        rows: modality -> (N, D).
        present: modality -> (N, 1) bool.
        labels: as in `emotion_pairs.same_emotion`.
    """
    positives, known = same_emotion(labels), known_emotions(labels)
    others = ~torch.eye(known.size(0), dtype=torch.bool, device=known.device)
    losses = []
    for name, nodes in rows.items():
        takes_part = known & present[name].squeeze(-1)
        allowed = takes_part[:, None] & takes_part[None, :] & others
        losses.append(supervised_contrastive_loss(nodes, nodes, positives, allowed, temperature))
    return torch.stack(losses).sum()


def inter_modal_loss(
    rows: dict[str, Tensor], present: dict[str, Tensor], labels: Tensor, temperature: float
) -> Tensor:
    """IMCL: () sum over the ordered pairs of modalities; utterances of the same emotion are pulled together.

    An utterance's own node in the other modality is one of its positives. Args as in `intra_modal_loss`.
    """
    positives, known = same_emotion(labels), known_emotions(labels)
    losses = []
    for asking, asked in permutations(rows, 2):
        anchors, candidates = (known & present[name].squeeze(-1) for name in (asking, asked))
        allowed = anchors[:, None] & candidates[None, :]
        losses.append(supervised_contrastive_loss(rows[asking], rows[asked], positives, allowed, temperature))
    return torch.stack(losses).sum()
