"""The picture of algorithms at matched budgets: steps, hours, parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from experiments.procgen.comparison.across_games import Algorithm, steps_in_words
from experiments.procgen.comparison.compute import COSTS, Matched
from experiments.procgen.comparison.compute_words import measure, sentences
from mdtheory.report import style

WIDTH = 10.5
_DODGE = 0.03
"""Share of an axis by which algorithms with as many parameters stand apart."""


def caption(matched: Matched, command: str) -> str:
    """What is shown, what it says, and the command that made it."""
    interval = (
        "the interquartile mean over runs of normalised returns, with its 95 % stratified bootstrap"
        " interval"
        if matched.normalized
        else "the mean over seeds, with its 95 % Student interval"
    )
    return " ".join(
        [
            "Returns on test levels, sampled actions, mean over the agents of a run, at evaluations"
            " and on straight lines between them. Thin: one run each; thick:"
            f" {interval}, where all runs of an algorithm have a value. Vertical lines: the largest"
            " budget that all runs were evaluated after. Right: at that number of steps; dots are"
            " runs, and algorithms with equally many parameters stand side by side. Hours are of"
            " rollouts and gradient steps of a whole run.",
            *sentences(matched),
            f"Made by: {command}",
        ]
    )


def compute_figure(matched: Matched, command: str) -> Figure:
    """Test return against steps, hours and, at matched steps, parameters."""
    words = style.wrapped(caption(matched, command), WIDTH)
    height = 3.1 + 0.13 * len(words) + 0.17 * math.ceil(len(matched.algorithms) / 2)
    figure, axes = style.new_figure(WIDTH, height, ncols=3, sharey=True)
    for axis, cost in zip(axes, COSTS, strict=False):
        for one in matched.algorithms:
            _curves(axis, matched, one, cost)
        _finish(axis, matched, cost)
    _parameters(axes[2], matched)
    axes[0].set_ylabel(measure(matched).replace(" over ", "\nover "), fontsize=8.5)
    handles = [
        Line2D([], [], color=one.colour, linewidth=2, label=one.label) for one in matched.algorithms
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    style.write_below(figure, words)
    return figure


def _curves(axis: Any, matched: Matched, one: Algorithm, cost: str) -> None:
    for run in one.runs:
        scored = matched.scored(run, cost)
        axis.plot(
            scored.cost, scored.score, color=one.colour, linewidth=0.7, alpha=0.6, gid="run",
            marker="s", markersize=2.5,
        )  # fmt: skip
    costs, bands = matched.curve(one, cost)
    mean, low, high = np.array(bands, dtype=np.float64).reshape(-1, 3).T
    if matched.normalized or len(one.runs) > 1:
        axis.plot(costs, mean, color=one.colour, linewidth=2, gid="mean")
        axis.fill_between(costs, low, high, color=one.colour, alpha=0.15, linewidth=0)


def _finish(axis: Any, matched: Matched, cost: str) -> None:
    budget = matched.budget(cost)
    if budget is not None:
        axis.axvline(budget, color="#555555", linewidth=0.8, linestyle="--", gid="budget")
    if not any(len(line.get_xdata()) for line in axis.get_lines()):
        axis.text(0.5, 0.5, "not timed", ha="center", transform=axis.transAxes)
    axis.set_xlim(left=0)
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel(COSTS[cost])
    if cost == "steps":
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def _parameters(axis: Any, matched: Matched) -> None:
    """Scores at matched steps against the parameters of all agents of a run."""
    sizes = [one.runs[0].parameters for one in matched.algorithms]
    right = 1.25 * max(sizes)
    budget = matched.budget("steps")
    if budget is None:
        axis.text(0.5, 0.5, "no common steps", ha="center", transform=axis.transAxes)
    for i, (one, size) in enumerate(zip(matched.algorithms, sizes, strict=True)):
        x = size + _DODGE * right * _place(sizes, i)
        if budget is not None:
            _point(axis, matched, one, x, budget)
    axis.set_xlim(0, right)
    axis.locator_params(axis="x", nbins=5)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    where = "" if budget is None else f" (at {steps_in_words(budget)} steps)"
    axis.set_xlabel(f"trained parameters of all agents{where}")


def _place(sizes: Sequence[int], i: int) -> float:
    """Places of those with as many parameters, centred at 0."""
    same = [j for j, size in enumerate(sizes) if size == sizes[i]]
    return 2 * (same.index(i) - (len(same) - 1) / 2)


def _point(axis: Any, matched: Matched, one: Algorithm, x: float, budget: float) -> None:
    scores = matched.scores(one, "steps", budget)
    runs = np.concatenate(list(scores.values()))
    axis.plot(
        np.full(len(runs), x), runs, ".", color=one.colour, alpha=0.5, markersize=5, gid="run"
    )
    mean, low, high = (float(y) for y in matched.estimate(scores))
    ends = [[mean - low], [high - mean]] if math.isfinite(low) else None
    axis.errorbar(
        [x], [mean], ends, fmt="o", color=one.colour, capsize=3, markersize=5, elinewidth=1.4
    )
