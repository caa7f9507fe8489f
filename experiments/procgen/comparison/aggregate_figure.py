"""The picture of an aggregation: aggregates, every run, profiles, probabilities of improvement."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.aggregates import AGGREGATES
from experiments.procgen.comparison.aggregate import Aggregation
from experiments.procgen.comparison.aggregate_tables import runs_of_each_game
from experiments.procgen.comparison.compare import letters
from experiments.procgen.interval_words import percent
from mdtheory.intervals import Band
from mdtheory.report import style

WIDTH = 9.4


def caption(found: Aggregation) -> str:
    """What the picture shows and how sure it is, with the command that made it."""
    n = len(found.games)
    of = "; ".join(
        f"{letter}: {runs_of_each_game(found, name)}"
        for name, letter in letters(found.algorithms).items()
    )
    words = (
        f"{found.settings.words[0].upper()}{found.settings.words[1:]}, {found.settings.split}"
        f" levels; 0 and 1 are the ends of each game's range, and nothing is clipped. Upper row:"
        f" over {n} {'game' if n == 1 else 'games'}, runs of each game {of}. Bars and bands:"
        f" {percent(found.settings.level)} stratified bootstrap intervals (percentile,"
        f" {found.settings.resamples:,} resamples of the runs of each game); none where a game has"
        " one run. Dots: one run each; ticks: their mean. Probability of improvement: that a run"
        " of the first scores more than one of the second, mean over the games of both."
    )
    return " ".join([words, *found.sentences, f"Made by: {found.command}"])


def aggregate_figure(found: Aggregation) -> Figure:
    """Four aggregates above; every run, two profiles and pairs below."""
    words = style.wrapped(caption(found), WIDTH)
    colours = dict(zip(found.algorithms, itertools.cycle(style.RUN_COLOURS), strict=False))
    n = len(colours)
    above = 0.7 + 0.24 * n
    below = max(2.7, 0.7 + (0.1 + 0.1 * n) * len(found.all_games))
    height = above + below + 0.13 * len(words) + 0.17 * math.ceil(n / 2) + 0.3
    figure, axes = style.new_figure(
        WIDTH, height, nrows=2, ncols=4, height_ratios=[above, below], squeeze=False
    )
    for axis, kind in zip(axes[0], AGGREGATES, strict=True):
        _aggregate(axis, found, kind, colours)
    _every_run(axes[1, 0], found, colours)
    _profile(axes[1, 1], found, colours, average=False)
    _profile(axes[1, 2], found, colours, average=True)
    _improvements(axes[1, 3], found)
    letter = letters(found.algorithms)
    handles = [
        Line2D(
            [], [], color=colour, marker="o", markersize=4, label=f"{letter[x]}: {style.literal(x)}"
        )
        for x, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    style.write_below(figure, words)
    return figure


def _bar(axis: Any, band: Band, y: float, colour: str) -> None:
    """An estimate with its interval, if it has one."""
    error = np.maximum(np.nan_to_num([[band.mean - band.low], [band.high - band.mean]]), 0)
    axis.errorbar(
        [band.mean], [y], xerr=error, fmt="s", color=colour, markersize=5, linewidth=2.2, capsize=3
    )


def _aggregate(axis: Any, found: Aggregation, kind: str, colours: Mapping[str, str]) -> None:
    for y, (name, colour) in enumerate(colours.items()):
        _bar(axis, found.aggregates[name][kind], y, colour)
    axis.set_yticks(range(len(colours)), list(letters(found.algorithms).values()))
    axis.set_ylim(len(colours) - 0.4, -0.6)
    axis.margins(x=0.15)
    axis.locator_params(axis="x", nbins=4)
    axis.set_title(
        f"{kind}, {'less' if kind == 'optimality gap' else 'more'} is better", fontsize=8
    )
    axis.set_xlabel(_unit(found), fontsize=7)


def _unit(found: Aggregation) -> str:
    if found.settings.ranges is None:
        return "score"
    return f"normalised score ({found.settings.normalization})"


def _every_run(axis: Any, found: Aggregation, colours: Mapping[str, str]) -> None:
    """A dot for each run and a tick for their mean, game by game; words where there is none."""
    n, letter = len(colours), letters(found.algorithms)
    for row, game in enumerate(found.all_games):
        for k, (name, colour) in enumerate(colours.items()):
            y = row + 0.7 * ((k + 0.5) / n - 0.5)
            scores = found.scores[name].get(game)
            if scores is None:
                axis.text(
                    0.62, y, f"{letter[name]}: missing", fontsize=6, color=colour, va="center",
                    transform=axis.get_yaxis_transform(),
                )  # fmt: skip
                continue
            axis.plot(
                scores, np.full(len(scores), y), "o", color=colour, markersize=4, alpha=0.65, mew=0
            )
            axis.plot(scores.mean(), y, "|", color=colour, markersize=8, mew=1.4)
    axis.set_yticks(range(len(found.all_games)), map(style.literal, found.all_games), fontsize=7)
    axis.set_ylim(len(found.all_games) - 0.4, -0.6)
    axis.set_title("every run", fontsize=8)
    axis.set_xlabel(_unit(found), fontsize=7)


def _profile(axis: Any, found: Aggregation, colours: Mapping[str, str], average: bool) -> None:
    for name, band in found.profiles(average).items():
        axis.step(found.taus, band.mean, color=colours[name], linewidth=1.4, where="post")
        axis.fill_between(
            found.taus, band.low, band.high, color=colours[name], alpha=0.18, linewidth=0,
            step="post",
        )  # fmt: skip
    axis.set_ylim(-0.03, 1.03)
    axis.set_title(f"performance profile of {'games' if average else 'runs'}", fontsize=8)
    axis.set_ylabel(
        f"share of {'games with mean' if average else 'runs with score'} > τ", fontsize=7
    )
    axis.set_xlabel(f"τ, {_unit(found)}", fontsize=7)


def _improvements(axis: Any, found: Aggregation) -> None:
    letter = letters(found.algorithms)
    axis.set_title("probability of improvement", fontsize=8)
    if not found.improvements:
        axis.text(0.5, 0.5, "no pair to compare", ha="center", transform=axis.transAxes, fontsize=8)
        axis.set_axis_off()
        return
    for y, pair in enumerate(found.improvements):
        _bar(axis, pair.probability, y, "#333333")
    axis.axvline(0.5, color="#333333", linewidth=0.8, linestyle=":")
    names = [f"{letter[pair.left]} > {letter[pair.right]}" for pair in found.improvements]
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability", fontsize=8)
