"""Graph contrastive losses over the utterances of two views (paper: Eqs. 11-13; released: PyGCL's InfoNCE)."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .packing import DialogueLayout
from .precision import full_precision

# Similarities held at a time; beyond it they are computed in rows, and again in the backward pass.
MAX_SIMILARITIES = 2**23


def view_to_view_loss(
    view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str, temperature: float, exclude_self: bool
) -> Tensor:
    """The paper's L_ct (Eq. 13): inter-view and intra-view loss with view 1 as the anchor.

    Args:
        view1, view2: (N, D) representations of the same utterances in two augmented graphs.
        scope: `"dialogue"` takes negatives from the utterance's own dialogue (the paper), `"batch"` from all.
        temperature: divides the cosine similarities; the paper has none, that is 1.
        exclude_self: leave the anchor out of Eq. 12's denominator, as the paper's text has it ("all nodes
            except the anchor node as negatives") and its formula does not.

    Returns:
        () mean over all utterances. An anchor without any negative adds 0.
    """
    total = view1.new_zeros((), dtype=torch.float32)
    for anchors, others, mask in _groups(view1, view2, layout, scope):
        positive = (anchors * others).sum(-1) / temperature
        inter = log_sum_similarities(anchors, others, mask, temperature, exclude_self=False)
        intra = log_sum_similarities(anchors, anchors, mask, temperature, exclude_self)
        has_negatives = mask & (mask.sum(-1, keepdim=True) > 1)
        total = total + ((0.5 * (inter + intra) - positive) * has_negatives).sum()
    return total / layout.num_utterances


def info_nce_loss(
    view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str, temperature: float, exclude_self: bool
) -> Tensor:
    """The released loss: InfoNCE in both directions with inter- and intra-view negatives in one denominator.

    Args and result as in `view_to_view_loss`; `exclude_self=False` counts the anchor's similarity with itself
    among the negatives, as the released code does by mistake.
    """
    total = view1.new_zeros((), dtype=torch.float32)
    for first, second, mask in _groups(view1, view2, layout, scope):
        positive = (first * second).sum(-1) / temperature
        for anchors, others in ((first, second), (second, first)):
            inter = log_sum_similarities(anchors, others, mask, temperature, exclude_self=False)
            intra = log_sum_similarities(anchors, anchors, mask, temperature, exclude_self)
            total = total + 0.5 * ((torch.logaddexp(inter, intra) - positive) * mask).sum()
    return total / layout.num_utterances


def log_sum_similarities(
    anchors: Tensor, others: Tensor, mask: Tensor, temperature: float, exclude_self: bool
) -> Tensor:
    """log sum_j exp(anchor_i . other_j / temperature) over the members j of each group, without all of them at once.

    Args:
        anchors, others: (groups, members, D).
        mask: (groups, members), which members are real.
        exclude_self: leave out j = i.

    Returns:
        (groups, members).
    """
    groups, members = mask.shape
    if torch.compiler.is_compiling() or groups * members * members <= MAX_SIMILARITIES:
        return _log_sum_of_rows(anchors, others, mask, temperature, exclude_self, 0)
    parts, first = [], 0
    for chunk in anchors.split(max(1, MAX_SIMILARITIES // (groups * members)), dim=1):
        given = (chunk, others, mask, temperature, exclude_self, first)
        parts.append(checkpoint(_log_sum_of_rows, *given, use_reentrant=False, preserve_rng_state=False))
        first += chunk.size(1)
    return torch.cat(parts, dim=1)


def _log_sum_of_rows(
    anchors: Tensor, others: Tensor, mask: Tensor, temperature: float, exclude_self: bool, first: int
) -> Tensor:
    """`log_sum_similarities` of the anchors from number `first` on: (groups, rows, D) -> (groups, rows)."""
    with full_precision(anchors):
        similarities = anchors @ others.transpose(1, 2) / temperature
    allowed = mask[:, None, :]
    if exclude_self:
        member = torch.arange(mask.size(1), device=mask.device)
        allowed = allowed & (member != member[first : first + anchors.size(1), None])
    return similarities.masked_fill(~allowed, torch.finfo(similarities.dtype).min).logsumexp(-1)


def _groups(view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Unit vectors (groups, members, D) of both views and the mask of real members (groups, members)."""
    first, second = (functional.normalize(view.float(), dim=-1) for view in (view1, view2))
    if scope == "batch":
        mask = torch.ones(1, view1.size(0), dtype=torch.bool, device=view1.device)
        return [(first[None], second[None], mask)]
    parts = (layout.split(layout.arrange(view)) for view in (first, second))
    return [
        (block.pad(rows1), block.pad(rows2), block.mask)
        for block, rows1, rows2 in zip(layout.blocks, *parts, strict=True)
    ]
