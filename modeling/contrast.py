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
MAX_SIMILARITIES = 2**24
# Similarities in one tensor: of larger ones malloc makes every page anew, which costs a third of the time.
MAX_IN_ONE_TENSOR = 2**23


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
        view1: (N, D) representations of the utterances in one graph.
        view2: (N, D) representations of the same utterances in another one, or (views, N, D) in several, whose losses
            are added.
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
        positive = group.positive / temperature
        others, is_other = torch.cat(group.members[::-1], dim=1), torch.cat([group.is_member] * 2, dim=1)
        own = group.own_members(1) if exclude_self else None
        sums = log_sum_similarities(group.anchors[0], others, is_other, temperature, own, num_parts=2)
        inter, intra = sums.unbind(-1)
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
        positive = group.positive / temperature
        # Both views ask at once, each of both.
        anchors, others = torch.cat(group.anchors, dim=1), torch.cat(group.members, dim=1)
        own = torch.cat([group.own_members(view) for view in (0, 1)]) if exclude_self else None
        sums = log_sum_similarities(anchors, others, torch.cat([group.is_member] * 2, dim=1), temperature, own)
        of_views = sums.unflatten(1, (2, -1)).squeeze(-1) - positive[:, None]
        total = total + 0.5 * (of_views * group.is_anchor[:, None]).sum()
    return total / layout.num_utterances


def log_sum_similarities(
    anchors: Tensor, others: Tensor, mask: Tensor, temperature: float, own: Tensor | None, num_parts: int = 1
) -> Tensor:
    """log sum_j exp(anchor_i . other_j / temperature) over the members j of each group, without all of them at once.

    Args:
        anchors: (groups, anchors, D).
        others: (groups, members, D).
        mask: (groups, members), which members are real, or (1, members) the same in all groups.
        own: (anchors,) the member that each anchor is itself, which is left out; None leaves none out.
        num_parts: into how many sums the members are cut, part after part.

    Returns:
        (groups, anchors, num_parts).
    """
    groups, members = others.shape[:2]
    if torch.compiler.is_compiling() or groups * anchors.size(1) * members <= MAX_SIMILARITIES:
        at_once = groups if torch.compiler.is_compiling() else MAX_IN_ONE_TENSOR // (anchors.size(1) * members)
        if at_once >= groups:
            return _log_sum_of_rows(anchors, others, mask, temperature, own, num_parts)
        given = (part.split(max(1, at_once)) for part in (anchors, others, mask.expand(groups, -1)))
        return torch.cat([_log_sum_of_rows(*part, temperature, own, num_parts) for part in zip(*given, strict=True)])
    rows = max(1, MAX_SIMILARITIES // (groups * members))
    chunks = anchors.split(rows, dim=1)
    own_chunks = [None] * len(chunks) if own is None else own.split(rows)
    parts = []
    for chunk, own_chunk in zip(chunks, own_chunks, strict=True):
        given = (chunk, others, mask, temperature, own_chunk, num_parts)
        parts.append(checkpoint(_log_sum_of_rows, *given, use_reentrant=False, preserve_rng_state=False))
    return torch.cat(parts, dim=1)


def _log_sum_of_rows(
    anchors: Tensor, others: Tensor, mask: Tensor, temperature: float, own: Tensor | None, num_parts: int
) -> Tensor:
    """`log_sum_similarities` of some of the anchors."""
    allowed = mask[:, None, :]
    if own is not None:
        allowed = allowed & (torch.arange(mask.size(1), device=mask.device) != own[:, None])
    with full_precision(anchors):
        similarities = (anchors / temperature) @ others.transpose(1, 2)
    lowest = torch.finfo(similarities.dtype).min
    if torch.compiler.is_compiling():
        similarities = similarities.masked_fill(~allowed, lowest)
    else:
        with torch.no_grad():  # in place, and without a second mask on the way back: what is left out has no gradient
            similarities.masked_fill_(~allowed, lowest)
    return similarities.unflatten(-1, (num_parts, -1)).logsumexp(-1)


@dataclass
class _Group:
    """Utterances that are compared with each other: the anchors of this process, and all members."""

    anchors: tuple[Tensor, Tensor]
    """(groups, anchors, D) unit vectors of both views."""
    members: tuple[Tensor, Tensor]
    """(groups, members, D) unit vectors of both views."""
    is_anchor: Tensor
    """(groups, anchors) bool, the real ones; (1, anchors) if the same in all groups."""
    is_member: Tensor
    """(groups, members) bool, the real ones; (1, members) if the same in all groups."""
    first: int = 0
    """The member that the first anchor is."""

    @property
    def positive(self) -> Tensor:
        """(groups, anchors) cosine similarity of each anchor's two views."""
        return (self.anchors[0] * self.anchors[1]).sum(-1)

    def own_members(self, view: int) -> Tensor:
        """(anchors,) the member that each anchor is, where those of view 1 come after all of view 0."""
        first = self.first + view * self.is_member.size(1)
        return torch.arange(first, first + self.is_anchor.size(1), device=self.is_anchor.device)


def _groups(
    view1: Tensor, view2: Tensor, layout: DialogueLayout, scope: str, taking_part: Tensor | None
) -> list[_Group]:
    """The groups of (N, D) and (N, D) or (views, N, D); those of the second view come after those of the first."""
    # Views behind the utterances, where a layout and other processes leave them alone.
    views = torch.stack([view1, *view2.reshape(-1, *view1.shape)], dim=1)
    unit = functional.normalize(views.float(), dim=-1)  # (N, 1 + views, D)
    if scope == "batch":
        own = torch.ones(1, view1.size(0), dtype=torch.bool, device=view1.device)
        if taking_part is None:
            pair = _pairs(unit[None])
            return [_Group(pair, pair, own, own)]
        processes = Processes(view1.size(0), together=True)
        gathered, is_member = processes.gather(unit)[None], processes.gather(taking_part)[None]
        return [_Group(_pairs(unit[None]), _pairs(gathered), own, is_member, processes.first)]
    groups = []
    for block, rows in zip(layout.blocks, layout.split(layout.arrange(unit)), strict=True):
        pair, mask = _pairs(block.pad(rows)), block.mask.repeat(unit.size(1) - 1, 1)
        groups.append(_Group(pair, pair, mask, mask))
    return groups


def _pairs(unit: Tensor) -> tuple[Tensor, Tensor]:
    """(groups, n, 1 + views, D) -> the first view and each of the others, (views * groups, n, D) both."""
    first, *others = unit.unbind(2)
    return first.repeat(len(others), 1, 1), torch.cat(others)
