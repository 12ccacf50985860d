"""A sentence or two on what a comparison shows, and what it does not."""

from .results import CorpusResult
from .significance import LEVEL
from .tables import metric_title

FEW_SEEDS = 3
FEW_DIALOGUES = 20


def conclude(result: CorpusResult) -> list[str]:
    """Return what can and what cannot be concluded from the results on one corpus."""
    best, *others = result.ranked
    metric = metric_title(result.metric)
    sentences = [f"On {result.name}, {best.title} has the best mean {metric}, {result.mean(best):.3f}."]
    if not others:
        return [*sentences, "There is nothing to compare it with."]
    worse = [row.title for row in others if result.corrected_p[row.title] < LEVEL]
    equal = [row.title for row in others if result.corrected_p[row.title] >= LEVEL]
    if worse:
        verb = "is" if len(worse) == 1 else "are"
        sentences.append(f"{_all(worse)} {verb} worse (p < {LEVEL} after correction).")
    if equal:
        whose = "its score" if len(equal) == 1 else "their scores"
        sentences.append(
            f"{_all(equal)} cannot be told apart from it on these dialogues: {whose} may differ by chance."
        )
    if result.num_seeds < FEW_SEEDS:
        sentences.append(f"With fewer than {FEW_SEEDS} seeds, chance in training is hardly accounted for.")
    if result.num_dialogues < FEW_DIALOGUES:
        sentences.append(f"With only {result.num_dialogues} test dialogues, small differences cannot be seen.")
    return sentences


def _all(titles: list[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *first, last = titles
    return f"{', '.join(first)} and {last}" if first else last
