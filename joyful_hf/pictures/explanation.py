"""A picture of why an utterance got its label: what its score owes to other utterances and to its own modalities."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..inference.explanation import Explanation
from .fonts import with_glyphs
from .style import (
    COLOURS,
    HATCHES,
    SMALL,
    Axes,
    Figure,
    label_text,
    plain,
    without_frame,
)

_MOST_UTTERANCES = 10
_WIDTH, _ROW, _MARGINS = 8.0, 0.26, 1.3  # inches


def plot_explanation(explanation: Explanation, prediction: Mapping[str, Any], utterance_index: int) -> Figure:
    """Draw by how much the score of an utterance falls without each utterance, and without each of its modalities.

    The utterances are in spoken order: the utterance itself and up to ten others that weigh most on it. Those that
    weigh next to nothing are left out.

    Args:
        explanation: the dialogue's, with the modalities of this utterance.
        prediction: the same dialogue as `model.predict` returns it.
        utterance_index: index of the utterance, counted from 0; the picture counts from 1.
    """
    utterances = prediction["utterances"]
    utterance, label = utterances[utterance_index], plain(explanation.labels[utterance_index])
    score, is_value = explanation.scores[utterance_index], isinstance(utterance["label"], float | Mapping)
    scale, decimals = (1, 2) if is_value else (100, 1)
    others = explanation.top_influences(utterance_index, _MOST_UTTERANCES)
    shown = sorted([utterance_index, *(other for other, fall in others.items() if round(scale * fall, decimals))])
    modalities = explanation.modalities(utterance_index)
    names = [_name(utterances[index], index) + (" (itself)" * (index == utterance_index)) for index in shown]
    falls = explanation.utterance_falls[utterance_index, shown].tolist()

    rows = [len(shown), max(1, len(modalities))]
    figure = Figure(figsize=(_WIDTH, _ROW * (sum(rows) + 2) + _MARGINS), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=[count + 1 for count in rows])
    for axes, texts, lengths in ((above, names, falls), (below, list(modalities), list(modalities.values()))):
        _draw_bars(axes, texts, [scale * length for length in lengths], decimals)
    above.set_title("without the utterance", size=SMALL, loc="left")
    below.set_title(f"without this modality of utterance {utterance_index + 1}", size=SMALL, loc="left")
    found = label_text(utterance["label"]) if is_value else f"{label}, {score:.0%}"
    figure.suptitle(f"{_name(utterance, utterance_index)}\n{found}", size="medium", x=0.01, ha="left")
    fall = f"fall of the probability of {label}, in percentage points; hatched: it rises"
    below.set_xlabel(
        "change of the values"
        if isinstance(utterance["label"], Mapping)
        else "change of the value"
        if is_value
        else fall,
        size=SMALL,
    )
    return with_glyphs(figure)


def _name(utterance: Mapping[str, Any], index: int) -> str:
    text = utterance.get("text")
    return f"{index + 1}  {plain(utterance['speaker'], 16)}" + (f": {plain(text)}" if text else "")


def _draw_bars(axes: Axes, names: Sequence[str], falls: Sequence[float], decimals: int) -> None:
    for row, fall in enumerate(falls):
        rises = fall < 0
        axes.barh(
            row,
            fall,
            height=0.7,
            color="white" if rises else COLOURS[1],
            edgecolor=COLOURS[2] if rises else COLOURS[1],
            hatch=HATCHES[1] if rises else None,
        )
        axes.annotate(
            f"{round(fall, decimals) + 0.0:+.{decimals}f}",
            (fall, row),
            xytext=(-3 if rises else 3, 0),
            textcoords="offset points",
            ha="right" if rises else "left",
            va="center",
            size=SMALL,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(labelsize=SMALL, length=0)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.15)
    without_frame(axes)
    axes.spines["left"].set_visible(False)
