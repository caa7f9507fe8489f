"""The picture of a survey: for every bound, how often which share of what it allows is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mdtheory.judge import NOT_APPLICABLE, UNDECIDED, VIOLATED
from mdtheory.report import style
from mdtheory.statements import STATEMENTS
from mdtheory.survey.conclude import Conclusion, ratio_text
from mdtheory.survey.tally import BINS_PER_UNIT, UNITS

_BELOW, _ABOVE, _ATTAINED, _WORST = "#0072B2", "#D55E00", "#009E73", "#1b1f24"
_WIDTH, _COLUMNS = 11.0, 3


def survey_figure(conclusion: Conclusion) -> Figure:
    """A panel per bound: ratio to the right, problems upwards on a logarithmic scale."""
    bounds = list(conclusion.tallies)
    n_columns = min(_COLUMNS, len(bounds))
    n_rows = -(-len(bounds) // n_columns)
    width = _WIDTH if n_columns > 1 else 6.5
    figure, axes = style.new_figure(
        width, 2.3 * n_rows + 0.9, nrows=n_rows, ncols=n_columns, squeeze=False
    )
    for axis, bound in zip(axes.flat, bounds, strict=False):
        _panel(axis, conclusion, bound)
    for axis in axes.flat[len(bounds) :]:
        axis.set_visible(False)
    violated = sum(tally.count(VIOLATED) > 0 for tally in conclusion.tallies.values())
    words = (
        f"{conclusion.problems:,} problems. Blue: hold, by the share of what the bound allows that"
        " is used; green: attained exactly; red: violated (2 and more in the last bar); dashed: the"
        " worst case, its exact ratio on top. In grey what has no bar."
        f" Violated bounds: {violated} of {len(bounds)}."
        + ("" if violated else " No violation is no proof.")
    )
    command = [f"$ {line}" for line in style.wrapped(conclusion.command, width)]
    style.write_below(figure, [*style.wrapped(words, width), *command])
    return figure


_BARS = 0.7
"""Share of a panel's height that its bars take; the words stand above."""


def _panel(axis: Any, conclusion: Conclusion, bound: str) -> None:
    tally, worst = conclusion.tallies[bound], conclusion.worst.get(bound)
    edges = np.arange(len(tally.bins)) / BINS_PER_UNIT
    bar = 1 / BINS_PER_UNIT
    below = edges < 1
    axis.bar(edges[below], tally.bins[below], bar, align="edge", color=_BELOW)
    axis.bar(edges[~below], tally.bins[~below], bar, align="edge", color=_ABOVE)
    violated = tally.count(VIOLATED) > 0
    align = "center" if violated else "edge"
    axis.bar([1], [tally.attained], 1.5 * bar, align=align, color=_ATTAINED)
    axis.set_xlim(-0.02, UNITS + 0.06 if violated else 1.06)
    if tally.bins.any() or tally.attained:
        axis.set_yscale("log")
        highest = max(int(tally.bins.max()), tally.attained)
        axis.set_ylim(0.5, 0.5 * (2 * highest) ** (1 / _BARS))
    else:
        axis.set_yticks([])
    if worst is not None and worst.ratio is not None:
        axis.axvline(min(worst.ratio, UNITS), color=_WORST, linestyle="--", linewidth=0.8)
    name = f" {STATEMENTS[bound].name}" if bound in STATEMENTS else ""
    short = bound if len(bound) <= 34 else f"{bound[:31]}..."
    title = f"{short}{name}: " + ("no ratio" if worst is None else f"worst {ratio_text(worst)}")
    axis.set_title(title, fontsize=9, parse_math=False)
    axis.set_xlabel("used / allowed", fontsize=8)
    axis.set_ylabel("problems", fontsize=8)
    counts = {
        "attained": tally.attained,
        "violated": tally.count(VIOLATED),
        "nothing allowed": tally.no_ratio,
        "negative ratio": tally.negative,
        "not applicable": tally.count(NOT_APPLICABLE),
        "undecided": tally.count(UNDECIDED),
    }
    lines = [f"{tally.problems:,} problems", *(f"{n:,} {word}" for word, n in counts.items() if n)]
    axis.text(
        0.5, 0.97, "\n".join(lines), transform=axis.transAxes,
        ha="center", va="top", fontsize=6.5, color="#555555",
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1},
    )  # fmt: skip
