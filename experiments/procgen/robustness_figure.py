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
from experiments.figures import RUN_COLOURS
from experiments.procgen.robustness_summary import Row
from mdtheory.intervals import Band
from mdtheory.report import style

Policies = Mapping[str, Sequence[Row]]
"""By label, the rows of one policy."""

CAPTION = (
    "Mean R: total variation between the policy's action distributions on the same latent state in"
    " two pictures, mean over the states visited under the reference, {reference}. Returns are"
    " undiscounted, acting on the rendering. Bars and bands: 95 % intervals over {n} levels, for"
    " these trained policies; they say nothing about other training seeds."
)


def rendering_figure(policies: Policies, game: str, n_levels: int, *, command: str) -> Figure:
    """Mean R and return under each rendering, a colour per policy."""
    renderings = [
        row.rendering for row in next(iter(policies.values())) if has_effect(row.rendering, game)
    ]
    words = _words(policies, n_levels, command, 7.6)
    height = 0.24 * len(renderings) * max(1, len(policies) / 2) + 1.4 + 0.14 * len(words)
    figure, axes = style.new_figure(7.6, height, ncols=2, sharey=True)
    colours = _colours(policies)
    for k, (label, rows) in enumerate(policies.items()):
        by_rendering = {row.rendering: row for row in rows}
        offset = 0.6 * ((k + 0.5) / len(policies) - 0.5)
        y = np.arange(len(renderings)) + offset
        found = [by_rendering[rendering] for rendering in renderings]
        for axis, bands in zip(
            axes, ([r.mean_tv for r in found], [r.returned for r in found]), strict=True
        ):
            mean, low, high = np.array(bands).T
            error = np.nan_to_num([mean - low, high - mean])
            axis.errorbar(
                mean, y, xerr=np.maximum(error, 0), fmt="o", color=colours[label], markersize=4,
                capsize=2, linewidth=1, label=label,
            )  # fmt: skip
    standing = {row.rendering: row.standing for row in rows}
    axes[0].set_yticks(range(len(renderings)))
    axes[0].set_yticklabels(
        [
            f"{r}" if standing[r] == "out of distribution" else f"{r} ({standing[r]})"
            for r in renderings
        ],
        fontsize=8,
    )
    axes[0].set_ylim(len(renderings) - 0.4, -0.6)
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("mean R")
    axes[1].set_xlabel("return, undiscounted")
    for axis in axes:
        axis.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes[0].set_title(f"{game}, unmarked: never trained on", fontsize=9)
    _legend(figure, colours)
    style.write_below(figure, words)
    return figure


def strength_figure(policies: Policies, game: str, n_levels: int, *, command: str) -> Figure | None:
    """Mean R and return against the strength of each transformation; None if there are too few."""
    strengths = _strengths(policies)
    if not strengths:
        return None
    width = 2.3 * len(strengths) + 0.6
    words = _words(policies, n_levels, command, width)
    figure, axes = style.new_figure(
        width, 4.4 + 0.14 * len(words), nrows=2, ncols=len(strengths),
        sharey="row", squeeze=False,
    )  # fmt: skip
    colours = _colours(policies)
    for (name, renderings), pair in zip(strengths.items(), axes.T, strict=True):
        for label, rows in policies.items():
            by_rendering = {row.rendering: row for row in rows}
            reference = rows[0]
            points = sorted(
                [(r.strength or 0.0, by_rendering[r]) for r in renderings] + [(0.0, reference)],
                key=lambda point: point[0],
            )
            x = [strength for strength, _ in points]
            _line(pair[0], x, [row.mean_tv for _, row in points], colours[label])
            _line(pair[1], x, [row.returned for _, row in points], colours[label])
        pair[0].set_title(name, fontsize=9)
        pair[1].set_xlabel(f"strength of {name}")
        pair[0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("mean R")
    axes[1, 0].set_ylabel("return, undiscounted")
    _legend(figure, colours)
    style.write_below(figure, words)
    return figure


def _strengths(policies: Policies) -> dict[str, list[Rendering]]:
    """By name of a transformation, its renderings, if there are several strengths of one seed."""
    found: dict[str, list[Rendering]] = {}
    for row in next(iter(policies.values())):
        if row.rendering.of_pixels and not row.rendering.seed:
            found.setdefault(row.rendering.name, []).append(row.rendering)
    return {name: found[name] for name in TRANSFORMATIONS if len(found.get(name, ())) > 2}


def _line(axis: Any, x: Sequence[float], bands: Sequence[Band], colour: str) -> None:
    mean, low, high = np.array(bands).T
    axis.plot(x, mean, color=colour, marker="o", markersize=3, linewidth=1.4)
    axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _colours(policies: Policies) -> dict[str, str]:
    return dict(zip(policies, itertools.cycle(RUN_COLOURS), strict=False))


def _legend(figure: Figure, colours: Mapping[str, str]) -> None:
    handles = [Line2D([], [], color=c, marker="o", label=label) for label, c in colours.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8, frameon=False)


def _words(policies: Policies, n: int, command: str, width: float) -> list[str]:
    reference = next(iter(policies.values()))[0].rendering
    text = CAPTION.format(reference=reference, n=n)
    return style.wrapped(f"{text} Made by: {command}", width)
