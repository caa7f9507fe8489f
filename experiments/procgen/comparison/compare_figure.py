"""The picture of a comparison: returns against environment steps and against hours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from experiments.procgen.comparison.compare import Comparison, Group, Task
from experiments.procgen.comparison.curves import Curves
from mdtheory.intervals import band
from mdtheory.report import style

BINS = 100
"""Curves are averaged over stretches of updates, at most so many."""


def binned(run: Curves) -> np.ndarray:
    """Smoothed curves: updates, hours and training return, each the mean of a bin, [3, bin].

    A bin is a hundredth of the updates that the run shall have, or one update.
    """
    width = math.ceil(run.config.updates / BINS)
    bins = [slice(i, min(i + width, run.done)) for i in range(0, run.done, width)]
    rows = [
        ((b.start + 1 + b.stop) / 2, float(run.hours[b].mean()), run.mean_return(b)) for b in bins
    ]
    return np.array(rows).reshape(-1, 3).T


CAPTION = (
    "Undiscounted returns. Lines: episodes on training levels as they were played in training,"
    f" averaged over the agents and over bins of updates, at most {BINS} a run; thin: one seed"
    " each; thick: their mean, with its 95 % Student interval as a band, as far as all seeds are."
    " Squares: test levels, sampled actions, mean over agents and over the seeds evaluated then,"
    " with its 95 % interval over seeds. One seed has no interval. Hours are of rollouts and"
    " gradient steps, averaged over seeds for means; they compare algorithms on one kind of machine"
    " only."
)


def caption(comparison: Comparison) -> str:
    """What the picture shows, with the command that made it."""
    return " ".join([CAPTION, *comparison.notes, f"Made by: {comparison.command}"])


def compare_figure(comparison: Comparison) -> Figure:
    """Returns against environment steps and against hours, a row for each task."""
    n = len(comparison.tasks)
    words = style.wrapped(caption(comparison), 9.4)
    labels = list(dict.fromkeys(g.label for task in comparison.tasks for g in task.groups))
    colours = dict(zip(labels, itertools.cycle(style.RUN_COLOURS), strict=False))
    height = 2.9 * n + 0.13 * len(words) + 0.17 * math.ceil((len(labels) + 3) / 2) + 0.3
    figure, axes = style.new_figure(9.4, height, nrows=n, ncols=2, squeeze=False)
    for pair, task in zip(axes, comparison.tasks, strict=True):
        for axis, against_hours in zip(pair, (False, True), strict=True):
            _panel(axis, task, colours, against_hours)
    figure.legend(
        handles=_legend(colours), loc="outside upper center", ncols=2, fontsize=8, frameon=False
    )
    style.write_below(figure, words)
    return figure


def _legend(colours: Mapping[str, str]) -> list[Line2D]:
    grey: dict[str, Any] = {"color": "#555555"}
    return [
        *(Line2D([], [], color=colour, linewidth=2, label=x) for x, colour in colours.items()),
        Line2D([], [], linewidth=2, label="training levels, mean and 95 % interval", **grey),
        Line2D([], [], linewidth=0.7, alpha=0.6, label="training levels, one seed", **grey),
        Line2D([], [], linestyle=":", marker="s", mfc="white", label="test levels", **grey),
    ]


def _panel(axis: Any, task: Task, colours: Mapping[str, str], against_hours: bool) -> None:
    for group in task.groups:
        _training_curves(axis, group, colours[group.label], against_hours)
        _test_points(axis, group, colours[group.label], against_hours)
    ends = [run.total_hours if against_hours else run.steps for run in task.runs]
    axis.set_xlim(0, 1.03 * max([x for x in ends if x > 0], default=1))
    if all(len(line.get_xdata()) == 0 for line in axis.get_lines()):
        axis.text(0.5, 0.5, "nothing to show yet", ha="center", transform=axis.transAxes)
    axis.locator_params(axis="x", nbins=6)
    axis.set_title(task.title, fontsize=9)
    axis.set_ylabel("return, undiscounted")
    if against_hours:
        axis.set_xlabel("wall-clock time (hours)")
    else:
        axis.set_xlabel("environment steps of all agents together")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def _training_curves(axis: Any, group: Group, colour: str, against_hours: bool) -> None:
    """A thin line per run, and their mean where all runs have a value."""
    curves = [binned(run) for run in group.runs]
    samples = group.config.samples * group.config.agents
    lines = [(hours if against_hours else updates * samples, y) for updates, hours, y in curves]
    for x, y in lines:
        seen = np.isfinite(x) & np.isfinite(y)
        axis.plot(x[seen], y[seen], color=colour, linewidth=0.7, alpha=0.6, gid="seed")
    shortest = min(len(y) for _, y in lines)
    xs, ys = (np.array([line[i][:shortest] for line in lines]).T for i in (0, 1))
    seen = np.isfinite(xs + ys).all(axis=-1)
    mean, low, high = band(ys[seen])
    at = xs[seen].mean(axis=-1)
    axis.plot(at, mean, color=colour, linewidth=2, gid="mean")
    axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _test_points(axis: Any, group: Group, colour: str, against_hours: bool) -> None:
    """After each update the mean over the runs that were evaluated then."""
    found: dict[int, list[tuple[float, float]]] = {}
    samples = group.config.samples * group.config.agents
    for run in group.runs:
        for update, means in run.evaluations:
            if "test sampled" in means:
                x = float(run.hours[update - 1]) if against_hours else float(update * samples)
                found.setdefault(update, []).append((x, means["test sampled"]))
    points = [np.array(found[update]).T for update in sorted(found)]
    bands = [band(returns) for _, returns in points]
    axis.errorbar(
        [float(xs.mean()) for xs, _ in points],
        [float(b.mean) for b in bands],
        np.nan_to_num([float(b.mean - b.low) for b in bands]),
        fmt=":s", color=colour, mfc="white", markersize=4.5, linewidth=0.8, capsize=2, zorder=4,
        elinewidth=1,
    )  # fmt: skip
