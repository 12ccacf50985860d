"""The claims of JOYFUL's paper, judged by the available cells."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.accuracy.paired_bootstrap import Difference
from benchmarks.accuracy.results import Measured
from benchmarks.accuracy.variants import (
    DEPTH_CURVE,
    NOISE_CURVES,
    PAPER_VIEWS,
    RECOMMENDED,
    VIEW_PAIRS,
)

# Losses of weighted F1 that count as none, and as little: with 20 % of noisy edges the model of the paper loses 2.8
# points on average (Table 7).
NO_LOSS, LITTLE_LOSS = 0.01, 0.03


@dataclass(frozen=True)
class Claim:
    """One variant scores more than others, or at least not less by more than a margin."""

    text: str
    better: str
    others: tuple[str, ...]
    margin: float = 0.0

    def judge(self, difference: Difference) -> str:
        """Judge the claim by the position of the whole 95 % interval."""
        if difference.low > -self.margin:
            return "holds"
        return "does not hold" if difference.high < -self.margin else "not distinguishable"


def judge_claims(measured: Measured) -> list[str]:
    """Return a line for each claim whose variants have been run."""
    lines = []
    for claim in _claims(measured):
        if claim.better in measured.cells and all(other in measured.cells for other in claim.others):
            found = measured.bootstrap.difference(claim.better, *claim.others)
            others = claim.others[0] if len(claim.others) == 1 else f"the mean of {len(claim.others)} others"
            lines.append(f"{claim.text}: {claim.better} − {others} = {found}: **{claim.judge(found)}**")
    return lines


def _claims(measured: Measured) -> Iterator[Claim]:
    single = [variant for variant in ("text", "audio", "visual", "video") if variant in measured.cells]
    if single:
        yield Claim("Fusion beats the best single modality", RECOMMENDED, (max(single, key=measured.mean),))
    yield Claim("Contrast helps", RECOMMENDED, ("no-contrast",))
    deepest, shallowest = DEPTH_CURVE[max(DEPTH_CURVE)], DEPTH_CURVE[min(DEPTH_CURVE)]
    text = f"{max(DEPTH_CURVE)} graph layers do not over-smooth (no loss of more than {NO_LOSS})"
    yield Claim(text, deepest, (shallowest,), NO_LOSS)
    for curve in NOISE_CURVES.values():
        if curve[0] == RECOMMENDED:
            noisiest = max(curve)
            text = f"{noisiest} % of noisy edges hurt little (a loss of no more than {LITTLE_LOSS})"
            yield Claim(text, curve[noisiest], (curve[0],), LITTLE_LOSS)
    own = VIEW_PAIRS[PAPER_VIEWS]
    others = tuple(name for name in VIEW_PAIRS.values() if name != own and name in measured.cells)
    if others:
        yield Claim("The two-augmentation views are better than the others on average", own, others)
        best = max(others, key=measured.mean)
        yield Claim("The two-augmentation views are best (the best other is chosen on test)", own, (best,))
    yield Claim("The paper's form beats the released one", "paper", ("released",))
