"""The picture of the sixteen games: our learning curves over the published ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter

from experiments.envs.procgen.games import GAMES
from experiments.procgen.comparison.across_games import Algorithm
from experiments.procgen.comparison.compare_figure import BINS
from experiments.procgen.comparison.figure_panels import Panels, line_of, mean_line, progress
from experiments.procgen.comparison.published_ppo import SOURCE, PublishedCurve
from mdtheory.report import style

WIDTH = 10.5
_PUBLISHED: dict[str, dict[str, Any]] = {
    "train": {"color": "#999999", "linestyle": (0, (6, 2)), "linewidth": 1.2},
    "test": {"color": "#444444", "linestyle": (0, (2, 1.5)), "linewidth": 1.2},
}
_OURS: dict[str, dict[str, Any]] = {
    "train": {"linestyle": "-"},
    "test": {"linestyle": ":", "marker": "s", "markersize": 3.5, "mfc": "white"},
}
_SPLIT = {"train": "training levels", "test": "test levels"}


def caption(panels: Panels, splits: Sequence[str], total_steps: bool, command: str) -> str:
    """What the picture shows, where the grey curves come from, and the command that made it."""
    words = {
        "train": "Training levels: episodes as they were played in training, in at most"
        f" {BINS} bins of updates.",
        "test": "Test levels: evaluations of the frozen policy with sampled actions.",
    }
    return " ".join(
        [
            f"Undiscounted returns on Procgen, {panels.mode} mode, mean over the agents of a run.",
            *(words[split] for split in splits),
            "Thin: one run each; thick: the mean of several seeds, with its 95 % Student interval"
            " as a band, at steps that all of them have. One seed has no interval.",
            *_agents(panels, total_steps),
            SOURCE,
            *panels.notes,
            f"Made by: {command}",
        ]
    )


def _agents(panels: Panels, total_steps: bool) -> list[str]:
    """How steps of several agents are counted, where some algorithm has several."""
    most = max((one.agents for one in panels.algorithms), default=1)
    if most == 1:
        return []
    if total_steps:
        return ["Steps of all agents of a run are added up."]
    return [f"Steps are of each agent: a run of {most} agents takes {most} times as many."]


def grid_figure(
    panels: Panels,
    *,
    splits: Sequence[str],
    total_steps: bool,
    until: float | None,
    command: str,
) -> Figure:
    """A panel for each game.

    Args:
        splits: "train", "test" or both.
        total_steps: draw against the steps of all agents of a run together, not of each.
        until: where the axes end, in such steps; by default at the protocol's end, or later where
            a run goes on.
        command: that made it.
    """
    words = style.wrapped(caption(panels, splits, total_steps, command), WIDTH)
    handles = [*_legend(panels.algorithms), *_published_legend(splits)]
    height = 7.6 + 0.13 * len(words) + 0.17 * math.ceil(len(handles) / 3)
    figure, axes = style.new_figure(WIDTH, height, nrows=4, ncols=4, sharex=True)
    end = until or max([panels.mark, *_ends(panels, total_steps)])
    for axis, game in zip(axes.flat, GAMES, strict=True):
        for split in splits:
            _draw_published(axis, panels.published[game, split], split, end)
            for one in panels.on(game):
                _draw(axis, one, game, split, end, one.agents if total_steps else 1)
        _write(axis, panels, game, splits)
        axis.set_title(game, fontsize=9)
        axis.set_xlim(0, end)
        axis.locator_params(nbins=5)
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    for axis in axes[:, 0]:
        axis.set_ylabel("return, undiscounted", fontsize=8)
    for axis in axes[-1]:
        whose = "all agents of a run" if total_steps else "each agent"
        axis.set_xlabel(f"environment steps of {whose}", fontsize=7.5)
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    style.write_below(figure, words)
    return figure


def _ends(panels: Panels, total_steps: bool) -> list[int]:
    return [
        run.steps if total_steps else run.steps_per_agent
        for one in panels.algorithms
        for run in one.runs
    ]


def _draw_published(axis: Any, curve: PublishedCurve, split: str, end: float) -> None:
    shown = curve.steps <= end
    steps, returns = curve.steps[shown], curve.returns[shown]
    axis.plot(steps, returns.mean(axis=-1), gid=f"published {split}", zorder=2, **_PUBLISHED[split])
    axis.fill_between(
        steps,
        returns.min(axis=-1, initial=np.inf),
        returns.max(axis=-1, initial=-np.inf),
        color=_PUBLISHED[split]["color"],
        alpha=0.18,
        linewidth=0,
    )


def _draw(axis: Any, one: Algorithm, game: str, split: str, end: float, factor: int) -> None:
    """A thin line per run; over several runs their mean with its band."""
    look = {**_OURS[split], "color": one.colour}
    for run in one.games[game]:
        steps, returns = line_of(run, split)
        shown = factor * steps <= end
        axis.plot(
            factor * steps[shown], returns[shown], gid="run", alpha=0.7, zorder=3,
            **{**look, "linewidth": 0.7, "markersize": 2},
        )  # fmt: skip
    steps, (mean, low, high) = mean_line(one.games[game], split)
    if not np.isfinite(low).any():
        return  # one seed
    shown = factor * steps <= end
    axis.plot(factor * steps[shown], mean[shown], gid="mean", linewidth=1.8, zorder=4, **look)
    axis.fill_between(
        factor * steps[shown], low[shown], high[shown], color=one.colour, alpha=0.15, linewidth=0
    )


def _write(axis: Any, panels: Panels, game: str, splits: Sequence[str]) -> None:
    """What a panel lacks, in it."""
    found = panels.on(game)
    lines = [progress(found, game)] if found else ["no run"]
    runs = [run for one in found for run in one.games[game]]
    lines += [
        f"nothing on {_SPLIT[split]} yet"
        for split in splits
        if runs and not any(len(line_of(run, split).steps) for run in runs)
    ]
    axis.text(
        0.5, 0.97, "\n".join(filter(None, lines)), ha="center", va="top", fontsize=7.5, zorder=5,
        transform=axis.transAxes, color="#222222",
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
    )  # fmt: skip


def _legend(algorithms: Iterable[Algorithm]) -> list[Line2D]:
    return [Line2D([], [], color=one.colour, linewidth=2, label=one.label) for one in algorithms]


def _published_legend(splits: Sequence[str]) -> list[Any]:
    grey = {"color": "#777777"}
    ours = [Line2D([], [], label=f"ours, {_SPLIT[x]}", **{**_OURS[x], **grey}) for x in splits]
    theirs = [
        Line2D([], [], label=f"published PPO, {_SPLIT[split]}", **_PUBLISHED[split])
        for split in splits
    ]
    spread = Patch(facecolor="#777777", alpha=0.25, label="range of the 3 published runs")
    return [*ours, *theirs, spread]
