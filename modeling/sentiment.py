"""The sentiment of an utterance, as its emotion tells it, and where it shifts between two utterances of a dialogue."""

import torch
from torch import Tensor

from .constants import constant
from .packing import DialogueLayout
from .tasks import IGNORED_LABEL

NEGATIVE, NEUTRAL, POSITIVE, UNKNOWN = 0, 1, 2, IGNORED_LABEL
# Emotions and their abbreviations in the corpora. Surprise may be either.
_NAMES = {
    NEGATIVE: (
        "negative sad sadness anger angry ang fear fearful fea disgust disgusted dis frustration frustrated fru "
        "contempt anxious worried depressed"
    ),
    NEUTRAL: "neutral neu calm",
    POSITIVE: "positive happy happiness hap joy joyful excitement excited exc love affection amusement relaxed",
}
_SENTIMENTS = {name: sentiment for sentiment, names in _NAMES.items() for name in names.split()}


def sentiment_of_name(label: str) -> int:
    """0 negative, 1 neutral, 2 positive, or -100 where the name of a label does not tell."""
    return _SENTIMENTS.get(str(label).lower(), UNKNOWN)


def sentiments_of(labels: Tensor, of_label: list[int], has_classes: bool = True) -> Tensor:
    """The sentiment of each utterance (N,) int64, -100 where it is unknown.

    Several emotions have one only if they agree in it, and none at all is neutral. A value has that of its sign, and
    several values have none.

    Args:
        labels: as the task has them.
        of_label: sentiment of each label.
        has_classes: whether labels are emotions, not values.
    """
    if labels.is_floating_point() and labels.dim() == 1:
        return torch.where(labels.isnan(), UNKNOWN, labels.nan_to_num().sign().long() + NEUTRAL)
    table = constant(of_label, torch.int64, labels.device)
    if labels.dim() == 1:
        return torch.where(labels == IGNORED_LABEL, UNKNOWN, table.index_select(0, labels.clamp(min=0)))
    if not has_classes:
        return torch.full_like(labels[:, 0], UNKNOWN).long()
    there = labels.nan_to_num() > 0
    lowest = torch.where(there, table, len(table) + POSITIVE).amin(-1)
    highest = torch.where(there, table, UNKNOWN).amax(-1)
    agreed = torch.where(lowest == highest, highest, UNKNOWN)
    agreed = torch.where(there.any(-1), agreed, NEUTRAL)
    return torch.where(labels.isnan().any(-1), UNKNOWN, agreed)


def shift_pairs(layout: DialogueLayout, window: int, in_blocks: bool) -> tuple[Tensor, Tensor]:
    """The utterances with which each is compared: rows (N, k), and which of these pairs there are (N, k) bool.

    Args:
        window: utterances within which pairs lie; -1 is the whole dialogue.
        in_blocks: compare all ordered pairs of consecutive blocks of this size, in place of each pair once.
    """
    width = layout.longest if window < 0 else window
    column = torch.arange(width, device=layout.position.device)
    if in_blocks:
        partner = (layout.position - layout.position % width)[:, None] + column
    else:
        partner = layout.position[:, None] + column[1:]
    first = layout.starts.index_select(0, layout.dialogue)[:, None]
    exists = partner < layout.lengths.index_select(0, layout.dialogue)[:, None]
    return torch.where(exists, first + partner, first), exists


def shifts(sentiment: Tensor, partner: Tensor) -> Tensor:
    """Whether the sentiment (N,) of each pair differs: (N, k) int64 0 or 1, -100 where one of the two is unknown."""
    other = sentiment.index_select(0, partner.flatten()).view(partner.shape)
    known = (sentiment[:, None] != UNKNOWN) & (other != UNKNOWN)
    return torch.where(known, (sentiment[:, None] != other).long(), UNKNOWN)
