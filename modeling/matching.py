"""Cross-modal emotion label matching (MEM): do these two streams belong together, or is one of another emotion?"""

import torch
from torch import Tensor
from torch.nn import functional

MATCH = 1
NO_MATCH = 0


def hard_negatives(similarity: Tensor, candidates: Tensor, draw: bool) -> Tensor:
    """(B,) for each row one of its candidates: the more similar, the more likely. Arbitrary where there is none.

    Args:
        similarity: (B, B) logits.
        candidates: (B, B) bool.
        draw: by chance, with the softmax of the logits; False takes the most similar one.
    """
    scores = similarity.detach().float()
    if draw:
        # Gumbel noise: the largest score is then a draw from the softmax, also where only one candidate is left.
        scores = scores - torch.empty_like(scores).exponential_().log()
    return scores.masked_fill(~candidates, -torch.inf).argmax(-1)


def matching_loss(own: Tensor, other: Tensor, has_negative: Tensor) -> Tensor:
    """() cross-entropy of the pairs that belong together and those that do not; 0 if no utterance has a negative.

    Args:
        own, other: (B, 2) logits of each utterance's own pair and of the pair with its negative.
        has_negative: (B,) bool; the rest takes no part, so that both kinds of pair count alike.
    """
    of_each = torch.zeros_like(own[:, 0], dtype=torch.float32)
    for logits, target in ((own, MATCH), (other, NO_MATCH)):
        of_each = of_each - functional.log_softmax(logits.float(), dim=-1)[:, target]
    return (of_each * has_negative).sum() / (2 * has_negative.sum()).clamp(min=1)
