"""Pictures of robustness: by rendering, and by the strength of a transformation of pixels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.envs.procgen.pixels import TRANSFORMATIONS
from experiments.envs.procgen.renderings import Rendering, has_effect
from experiments.procgen.measures.robustness_summary import PolicyRows, shown_name
from mdtheory.intervals import Band
from mdtheory.report import style

Policies = Mapping[str, PolicyRows]
"""By label; all of one game, whose renderings are those of the first one."""

CAPTION = (
    "Mean R: total variation between the policy's action distributions on the same latent state in"
    " two pictures, mean over the states visited under the reference, {reference}. Returns are"
    " undiscounted, acting on the rendering. Bars and bands: 95 % intervals over {n} levels, for"
    " these trained policies; they say nothing about other training seeds."
)


def rendering_figure(policies: Policies, *, command: str) -> Figure:
    """Mean R and return under each rendering, a colour per policy."""
    first = next(iter(policies.values()))
    rows = [row for row in first.rows if has_effect(row.rendering, first.game)]
    words = _words(policies, command, 7.6)
    height = len(rows) * (0.16 + 0.08 * len(policies)) + 1.3 + 0.14 * len(words)
    figure, axes = style.new_figure(7.6, height, ncols=2, sharey=True)
    colours = _colours(policies)
    for k, (label, policy) in enumerate(policies.items()):
        mine = {row.rendering: row for row in policy.rows}
        found = [mine[row.rendering] for row in rows]
        y = np.arange(len(rows)) + 0.6 * ((k + 0.5) / len(policies) - 0.5)
        _dots(axes[0], y, [row.mean_tv for row in found], colours[label])
        _dots(axes[1], y, [row.returned for row in found], colours[label])
    axes[0].set_yticks(range(len(rows)))
    axes[0].set_yticklabels([shown_name(row, first.game) for row in rows], fontsize=8)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("mean R")
    axes[1].set_xlabel("return, undiscounted")
    axes[0].set_title(f"{first.game}; unmarked: never trained on", fontsize=9)
    _legend(figure, colours)
    style.write_below(figure, words)
    return figure


def strength_figure(policies: Policies, *, command: str) -> Figure:
    """Mean R and return against the strength of each transformation.

    Raises:
        ValueError: no transformation was measured in several strengths.
    """
    strengths = _strengths(policies)
    if not strengths:
        raise ValueError("renderings must have several strengths of a transformation")
    reference = next(iter(policies.values())).rows[0].rendering
    width = 2.1 * len(strengths) + 0.6
    words = _words(policies, command, width)
    figure, axes = style.new_figure(
        width, 4.4 + 0.14 * len(words), nrows=2, ncols=len(strengths),
        sharey="row", sharex="col", squeeze=False,
    )  # fmt: skip
    colours = _colours(policies)
    for (name, renderings), pair in zip(strengths.items(), axes.T, strict=True):
        for label, policy in policies.items():
            mine = {row.rendering: row for row in policy.rows}
            points = [(0.0, policy.rows[0]), *((r.strength or 0.0, mine[r]) for r in renderings)]
            points.sort(key=lambda point: point[0])
            x = [strength for strength, _ in points]
            _line(pair[0], x, [row.mean_tv for _, row in points], colours[label])
            _line(pair[1], x, [row.returned for _, row in points], colours[label])
        pair[0].set_title(name, fontsize=9)
        pair[1].set_xlabel(f"strength (0: {reference})", fontsize=8)
        pair[0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("mean R")
    axes[1, 0].set_ylabel("return, undiscounted")
    _legend(figure, colours)
    style.write_below(figure, words)
    return figure


def _strengths(policies: Policies) -> dict[str, list[Rendering]]:
    """By name of a transformation, its renderings, if there are several strengths of one seed."""
    found: dict[str, list[Rendering]] = {}
    for row in next(iter(policies.values())).rows:
        if row.rendering.of_pixels and not row.rendering.seed:
            found.setdefault(row.rendering.name, []).append(row.rendering)
    return {name: found[name] for name in TRANSFORMATIONS if len(found.get(name, ())) > 2}


def _dots(axis: Any, y: np.ndarray, bands: Sequence[Band], colour: str) -> None:
    mean, low, high = np.array(bands).T
    error = np.maximum(np.nan_to_num([mean - low, high - mean]), 0)
    axis.errorbar(
        mean, y, xerr=error, fmt="o", color=colour, markersize=3.5, capsize=2, linewidth=1
    )


def _line(axis: Any, x: Sequence[float], bands: Sequence[Band], colour: str) -> None:
    mean, low, high = np.array(bands).T
    axis.plot(x, mean, color=colour, marker="o", markersize=3, linewidth=1.4)
    axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _colours(policies: Policies) -> dict[str, str]:
    return dict(zip(policies, itertools.cycle(style.RUN_COLOURS), strict=False))


def _legend(figure: Figure, colours: Mapping[str, str]) -> None:
    handles = [
        Line2D([], [], color=colour, marker="o", label=style.literal(label))
        for label, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8, frameon=False)


def _words(policies: Policies, command: str, width: float) -> list[str]:
    first = next(iter(policies.values()))
    text = CAPTION.format(reference=first.rows[0].rendering, n=first.n_levels)
    return style.wrapped(f"{text} Made by: {command}", width)
