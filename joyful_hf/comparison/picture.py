"""A picture of a comparison on one corpus: a dot for each seed, and the interval of the mean."""

from ..pictures.fonts import with_glyphs
from ..pictures.style import COLOURS, Figure, new_figure
from .results import CorpusResult
from .significance import score_interval
from .tables import metric_title


def plot_comparison(result: CorpusResult) -> Figure:
    """Draw each model's test score, best first: dots for seeds, a diamond for their mean, a line for its interval."""
    rows = result.ranked
    figure, axes = new_figure(7.0, 1.2 + 0.42 * len(rows))
    for place, row in enumerate(rows):
        low, high = score_interval(result.problem_type, row.counts)
        axes.plot([low, high], [place, place], color="0.6", linewidth=3, solid_capstyle="butt", zorder=1)
        axes.scatter(row.test[result.metric], [place] * result.num_seeds, s=22, color=COLOURS[1], zorder=3)
        axes.scatter([result.mean(row)], [place], marker="D", s=46, facecolor="white", edgecolor="black", zorder=2)
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"test {metric_title(result.metric)}: seeds, their mean, and its 95 % interval over dialogues")
    axes.set_title(f"{result.name}, {result.num_dialogues} test dialogues", size="medium", loc="left")
    return with_glyphs(figure)
