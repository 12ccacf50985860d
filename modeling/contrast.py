"""Graph contrastive losses over the utterances of two views (paper: Eqs. 11-13; released: PyGCL's InfoNCE)."""

import torch
from torch import Tensor
from torch.nn import functional

from .packing import DialogueLayout
from .precision import full_precision


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
    anchors, others, mask = _blocks(view1, view2, layout, scope)
    inter = _similarity(anchors, others, temperature)
    intra = _similarity(anchors, anchors, temperature)
    positive = inter.diagonal(dim1=1, dim2=2)
    inter_loss = _log_sum(inter, mask, exclude_self=False) - positive
    intra_loss = _log_sum(intra, mask, exclude_self) - positive
    has_negatives = mask & (mask.sum(-1, keepdim=True) > 1)
    return (0.5 * (inter_loss + intra_loss) * has_negatives).sum() / mask.sum()


def info_nce_loss(
    view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str, temperature: float, exclude_self: bool
) -> Tensor:
    """The released loss: InfoNCE in both directions with inter- and intra-view negatives in one denominator.

    Args and result as in `view_to_view_loss`; `exclude_self=False` counts the anchor's similarity with itself
    among the negatives, as the released code does by mistake.
    """
    block1, block2, mask = _blocks(view1, view2, layout, scope)
    inter = _similarity(block1, block2, temperature)
    positive = inter.diagonal(dim1=1, dim2=2)
    losses = []
    for anchors, cross in ((block1, inter), (block2, inter.transpose(1, 2))):
        intra = _similarity(anchors, anchors, temperature)
        both = torch.logaddexp(_log_sum(cross, mask, False), _log_sum(intra, mask, exclude_self))
        losses.append(both - positive)
    return (0.5 * (losses[0] + losses[1]) * mask).sum() / mask.sum()


def _blocks(view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors (groups, members, D) of both views and the mask of real members (groups, members)."""
    views = [functional.normalize(view.float(), dim=-1) for view in (view1, view2)]
    if scope == "batch":
        mask = torch.ones(1, view1.size(0), dtype=torch.bool, device=view1.device)
        return views[0][None], views[1][None], mask
    return layout.pad(views[0]), layout.pad(views[1]), layout.mask


def _similarity(anchors: Tensor, others: Tensor, temperature: float) -> Tensor:
    with full_precision(anchors):
        return anchors @ others.transpose(1, 2) / temperature


def _log_sum(similarity: Tensor, mask: Tensor, exclude_self: bool) -> Tensor:
    """log sum over the members of a group of exp(similarity): (groups, members)."""
    allowed = mask[:, None, :]
    if exclude_self:
        allowed = allowed & ~torch.eye(mask.size(1), dtype=torch.bool, device=mask.device)
    lowest = torch.finfo(similarity.dtype).min
    return similarity.masked_fill(~allowed, lowest).logsumexp(-1)
