"""Graph contrastive losses over the utterances of two views (paper: Eqs. 11-13; released: PyGCL's InfoNCE)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .packing import DialogueLayout
from .precision import full_precision
from .processes import Processes

# Similarities held at a time; beyond it they are computed in rows, and again in the backward pass.
MAX_SIMILARITIES = 2**23


def view_to_view_loss(
    view1: Tensor,
    view2: Tensor,
    layout: DialogueLayout,
    scope: str,
    temperature: float,
    exclude_self: bool,
    taking_part: Tensor | None = None,
) -> Tensor:
    """The paper's L_ct (Eq. 13): inter-view and intra-view loss with view 1 as the anchor.

    Args:
        view1, view2: (N, D) representations of the same utterances in two augmented graphs.
        scope: `"dialogue"` takes negatives from the utterance's own dialogue (the paper), `"batch"` from all.
        temperature: divides the cosine similarities; the paper has none, that is 1.
        exclude_self: leave the anchor out of Eq. 12's denominator, as the paper's text has it ("all nodes
            except the anchor node as negatives") and its formula does not.
        taking_part: (N,) bool, given if other processes compute the rest of the batch: with the scope `"batch"`, their
            utterances are negatives too. An utterance that takes no part is nobody's negative.

    Returns:
        () mean over all utterances. An anchor without any negative adds 0.
    """
    total = view1.new_zeros((), dtype=torch.float32)
    for group in _groups(view1, view2, layout, scope, taking_part):
        positive = (group.anchors[0] * group.anchors[1]).sum(-1) / temperature
        inter = group.log_sum(0, 1, temperature, exclude_self=False)
        intra = group.log_sum(0, 0, temperature, exclude_self)
        has_negatives = group.is_anchor & (group.is_member.sum(-1, keepdim=True) > 1)
        total = total + ((0.5 * (inter + intra) - positive) * has_negatives).sum()
    return total / layout.num_utterances


def info_nce_loss(
    view1: Tensor,
    view2: Tensor,
    layout: DialogueLayout,
    scope: str,
    temperature: float,
    exclude_self: bool,
    taking_part: Tensor | None = None,
) -> Tensor:
    """The released loss: InfoNCE in both directions with inter- and intra-view negatives in one denominator.

    Args and result as in `view_to_view_loss`; `exclude_self=False` counts the anchor's similarity with itself
    among the negatives, as the released code does by mistake.
    """
    total = view1.new_zeros((), dtype=torch.float32)
    for group in _groups(view1, view2, layout, scope, taking_part):
        positive = (group.anchors[0] * group.anchors[1]).sum(-1) / temperature
        for view, other in ((0, 1), (1, 0)):
            inter = group.log_sum(view, other, temperature, exclude_self=False)
            intra = group.log_sum(view, view, temperature, exclude_self)
            total = total + 0.5 * ((torch.logaddexp(inter, intra) - positive) * group.is_anchor).sum()
    return total / layout.num_utterances


def log_sum_similarities(
    anchors: Tensor, others: Tensor, mask: Tensor, temperature: float, exclude_self: bool, first: int = 0
) -> Tensor:
    """log sum_j exp(anchor_i . other_j / temperature) over the members j of each group, without all of them at once.

    Args:
        anchors: (groups, anchors, D).
        others: (groups, members, D).
        mask: (groups, members), which members are real.
        exclude_self: leave out the member that the anchor is itself.
        first: the member that the first anchor is.

    Returns:
        (groups, anchors).
    """
    groups, members = mask.shape
    if torch.compiler.is_compiling() or groups * anchors.size(1) * members <= MAX_SIMILARITIES:
        return _log_sum_of_rows(anchors, others, mask, temperature, exclude_self, first)
    parts = []
    for chunk in anchors.split(max(1, MAX_SIMILARITIES // (groups * members)), dim=1):
        given = (chunk, others, mask, temperature, exclude_self, first)
        parts.append(checkpoint(_log_sum_of_rows, *given, use_reentrant=False, preserve_rng_state=False))
        first += chunk.size(1)
    return torch.cat(parts, dim=1)


def _log_sum_of_rows(
    anchors: Tensor, others: Tensor, mask: Tensor, temperature: float, exclude_self: bool, first: int
) -> Tensor:
    """`log_sum_similarities` of some of the anchors, the first of which is member number `first`."""
    with full_precision(anchors):
        similarities = anchors @ others.transpose(1, 2) / temperature
    allowed = mask[:, None, :]
    if exclude_self:
        member = torch.arange(mask.size(1), device=mask.device)
        allowed = allowed & (member != member[first : first + anchors.size(1), None])
    return similarities.masked_fill(~allowed, torch.finfo(similarities.dtype).min).logsumexp(-1)


@dataclass
class _Group:
    """Utterances that are compared with each other: the anchors of this process, and all members."""

    anchors: tuple[Tensor, Tensor]
    """(groups, anchors, D) unit vectors of both views."""
    members: tuple[Tensor, Tensor]
    """(groups, members, D) unit vectors of both views."""
    is_anchor: Tensor
    """(groups, anchors) bool, the real ones."""
    is_member: Tensor
    """(groups, members) bool, the real ones."""
    first: int = 0
    """The member that the first anchor is."""

    def log_sum(self, view: int, other: int, temperature: float, exclude_self: bool) -> Tensor:
        """`log_sum_similarities` of the anchors in one view and the members in the same or the other one."""
        anchors, members = self.anchors[view], self.members[other]
        return log_sum_similarities(anchors, members, self.is_member, temperature, exclude_self, self.first)


def _groups(
    view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str, taking_part: Tensor | None
) -> list[_Group]:
    views = [functional.normalize(view.float(), dim=-1) for view in (view1, view2)]
    if scope == "batch":
        own = torch.ones(1, view1.size(0), dtype=torch.bool, device=view1.device)
        if taking_part is None:
            unit = (views[0][None], views[1][None])
            return [_Group(unit, unit, own, own)]
        processes = Processes(view1.size(0), together=True)
        gathered = (processes.gather(views[0])[None], processes.gather(views[1])[None])
        is_member = processes.gather(taking_part)[None]
        return [_Group((views[0][None], views[1][None]), gathered, own, is_member, processes.first)]
    groups = []
    for block, *rows in zip(layout.blocks, *(layout.split(layout.arrange(view)) for view in views), strict=True):
        unit = (block.pad(rows[0]), block.pad(rows[1]))
        groups.append(_Group(unit, unit, block.mask, block.mask))
    return groups
