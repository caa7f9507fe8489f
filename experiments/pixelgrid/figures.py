"""Pictures of runs: axes with units, intervals as bands, one colour per run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.envs.pixelgrid import make_pixelgrid
from experiments.interval import Interval
from experiments.pixelgrid.audit import Audit
from experiments.pixelgrid.chain import Chain, Step, over_seeds
from experiments.pixelgrid.comparisons import Comparison
from mdtheory.intervals import band
from mdtheory.report import style
from mdtheory.report.ladder import LadderRow, ladder_figure
from mdtheory.statements import GAP_BOUNDS


def _curve(axis: Any, audit: Audit, name: str, **line: Any) -> None:
    """Mean over seeds of an agents' average, with its 95 % interval as a band."""
    mean, low, high = band(audit.values[name].mean(axis=-1))
    axis.plot(audit.updates, mean, **line)
    axis.fill_between(audit.updates, low, high, color=line["color"], alpha=0.2, linewidth=0)


def curves_figure(audits: Sequence[Audit], name: str, ylabel: str) -> Figure:
    """One quantity over training, a line per run; for returns also the optimum."""
    figure, axis = style.new_figure(4.8, 3.4)
    for audit, color in zip(audits, _colours(audits), strict=True):
        _curve(axis, audit, name, color=color, label=style.literal(audit.name))
    if name == "train_return":
        best = float(np.mean(audits[0].optimal_return))
        axis.axhline(best, color="#555555", linewidth=0.8, linestyle=":", label="optimal")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("updates")
    axis.set_ylabel(ylabel)
    figure.legend(loc="outside upper center", ncols=2, fontsize=7.5)
    return figure


def bounds_figure(audit: Audit) -> Figure:
    """The true gap and the right side of every bound over training, one run."""
    figure, axis = style.new_figure(4.8, 3.8)
    for statement in GAP_BOUNDS:
        _curve(
            axis,
            audit,
            statement.id,
            color=style.COLOURS[statement.id],
            label=f"{statement.id} {statement.name}",
        )
    _curve(axis, audit, "gap", color=style.COLOURS["gap"], linewidth=2, label="true gap")
    axis.set_yscale("log")
    axis.set_ylim(bottom=1e-3)
    axis.set_title(style.literal(audit.name), fontsize=8.5)
    axis.set_xlabel("updates")
    axis.set_ylabel("gap and bounds, in return (log scale)")
    figure.legend(loc="outside upper center", ncols=4, fontsize=7.5, columnspacing=1)
    return figure


def differences_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Paired differences with their intervals; left of 0 is lower, right is higher."""
    names = ("train_return", "heldout_return", "gap", "mean_robustness", "robustness")
    figure, axis = style.new_figure(4.8, 0.16 * len(names) * len(comparisons) + 1.6)
    for row, name in enumerate(names):
        for rank, (comparison, color) in enumerate(
            zip(comparisons, itertools.cycle(style.RUN_COLOURS), strict=False)
        ):
            found = comparison.differences[name]
            height = row + 0.7 * ((rank + 0.5) / len(comparisons) - 0.5)
            axis.plot([found.low, found.high], [height] * 2, color=color, linewidth=1.5)
            axis.plot(
                found.mean,
                height,
                "o",
                color=color,
                markersize=4,
                label=style.literal(comparison.name) if row == 0 else None,
            )
    axis.axvline(0, color="#333333", linewidth=0.8)
    axis.locator_params(axis="x", nbins=5)
    axis.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel("difference (return; total variation for robustness)")
    figure.legend(loc="outside upper center", fontsize=6.5)
    return figure


def vacuity_figure(audits: Sequence[Audit]) -> Figure:
    """Bounds and gap after the last update as fractions of A0, means over seeds and agents."""
    rows = []
    for audit in audits:
        last = {name: float(values[-1].mean()) for name, values in audit.values.items()}
        rows.append(
            LadderRow(
                label=style.literal(audit.name).replace("-", "-\n", 1),
                bounds={s.id: last[s.id] / last["A0"] for s in GAP_BOUNDS},
                gap=last["gap"] / last["A0"],
            )
        )
    return ladder_figure(rows)


_CHAIN_MARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "chained": (
        "its bound, chained from the worst divergence",
        {"marker": "D", "mfc": "white", "markersize": 8.5},
    ),
    "bound": ("its bound, from exact inputs", {"marker": "|", "markersize": 12, "mew": 2.2}),
    "estimate": ("from the logged loss: an estimate", {"marker": "o", "mfc": "white"}),
    "exact": ("exact value", {"marker": "o"}),
}


def chain_figure(chains: Sequence[Chain]) -> Figure:
    """Every step from the loss to the gap: the value, its bound and the chain's, a line per run."""
    n_runs, steps = len(chains), [chain.steps for chain in chains]
    heights = _chain_heights(steps[0], n_runs)
    figure, axis = style.new_figure(9.4, 0.27 * (heights[-1] + n_runs) + 1.3)
    labels = [f"{style.literal(chain.name)}, α = {chain.config.distill_coef:g}" for chain in chains]
    aside = 165 + 4.6 * max(map(len, labels))  # points; where the rows' names begin
    left, right = _chain_limits(steps)
    for row, height in enumerate(heights):
        of_runs = [own[row] for own in steps]
        _chain_row(axis, of_runs, height, right, aside)
        for k, (step, colour) in enumerate(zip(of_runs, itertools.cycle(style.RUN_COLOURS))):
            _chain_marks(axis, step, height + k, colour, left)
    places = [height + k for height in heights for k in range(n_runs)]
    axis.set_yticks(places, labels * len(heights), fontsize=7.5)
    axis.set_ylim(places[-1] + 0.8, -0.8)
    axis.set_xscale("log")
    axis.set_xlim(left, right)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(
        "total variation (disagreement, R), nats (divergence), share of A0 (gap); log scale"
    )
    figure.legend(handles=_chain_legend(), loc="outside upper center", ncols=2, fontsize=8)
    return figure


def _chain_legend() -> list[Any]:
    grey: dict[str, Any] = {"color": "#333333", "markersize": 5.5}
    marks = [
        Line2D([], [], linestyle="", label=words, **(grey | mark))
        for words, mark in reversed(_CHAIN_MARKS.values())
    ]
    return [
        *marks,
        Line2D(
            [], [], color="#333333", alpha=0.3, linewidth=6, label="its 95 % interval over seeds"
        ),
        Line2D([], [], color="#333333", linestyle=":", label="what the statement loses"),
        Patch(color="#000000", alpha=0.07, label="impossible; a bound at 1 says nothing"),
    ]


def _chain_heights(steps: Sequence[Step], n_runs: int) -> list[float]:
    """Where each row begins, with room for the words before it."""
    heights, height = [], 0.0
    for step in steps:
        height += 1.3 if step.before else 0
        heights.append(height)
        height += n_runs + 0.8
    return heights


def _chain_limits(steps: Sequence[Sequence[Step]]) -> tuple[float, float]:
    """From below the smallest mean on, and with room for words right of 1."""
    means = [
        over_seeds(values).mean
        for own in steps
        for step in own
        for kind in _CHAIN_MARKS
        if (values := step.shown(kind)) is not None
    ]
    positive = [mean for mean in means if 0 < mean < np.inf]
    smallest, largest = min(positive, default=0.1), max(positive, default=1.0)
    return min(smallest / 2, 0.01), max(100.0, 3 * largest)


def _chain_row(
    axis: Any, of_runs: Sequence[Step], height: float, right: float, aside: float
) -> None:
    """What all runs share: the name, what is impossible, and words where the chain breaks."""
    step, middle = of_runs[0], height + (len(of_runs) - 1) / 2
    ends = [height - 0.6, height + len(of_runs) - 0.4]
    names = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    axis.annotate(step.statement, (0, middle), (-aside, 0), weight="bold", fontsize=9, **names)
    axis.annotate(step.words, (0, middle), (22 - aside, 0), fontsize=8, **names)
    if step.before:
        between = {"color": "#333333", "linewidth": 0.8, "linestyle": "--", "clip_on": False}
        axis.axhline(ends[0] - 0.85, xmin=-0.38, **between)
        axis.annotate(
            step.before, (0, ends[0] - 0.4), (-aside, 0), fontsize=7.5, style="italic", **names,
            bbox={"color": "white", "pad": 1},
        )  # fmt: skip
    if not step.in_nats:
        axis.fill_betweenx(ends, 1, right, color="#000000", alpha=0.07, linewidth=0)


def _chain_marks(axis: Any, step: Step, height: float, colour: str, left: float) -> None:
    """One run's marks in one row, and a line from the value to its bound: what the link loses."""
    found = {
        kind: over_seeds(values)
        for kind in _CHAIN_MARKS
        if (values := step.shown(kind)) is not None
    }
    at = {kind: max(value.mean, left) for kind, value in found.items() if value.mean < np.inf}
    if "bound" in at and "exact" in at:
        axis.plot([at["exact"], at["bound"]], [height] * 2, ":", color=colour, linewidth=1.2)
    for kind, place in at.items():
        _chain_interval(axis, found[kind], height, colour, left, thick=kind == "exact")
        mark = {"markersize": 5.5} | _CHAIN_MARKS[kind][1]
        axis.plot(place, height, color=colour, zorder=3, **mark)
    silent = step.silent("bound" if step.chained is None else "chained")
    if silent.any():
        words = f"says nothing: {silent.sum()} of {silent.size} pairs"
        axis.text(1.35, height, words, fontsize=7, va="center")


def _chain_interval(
    axis: Any, found: Interval, height: float, colour: str, left: float, *, thick: bool
) -> None:
    """The interval, a broad band for exact values; an arrow where it goes on to 0 and below."""
    if not found.low < found.high:
        return
    ends = [max(found.low, left), max(found.high, left)]
    band_style = {"linewidth": 6, "alpha": 0.3} if thick else {"linewidth": 1.3}
    axis.plot(ends, [height] * 2, color=colour, solid_capstyle="butt", **band_style)
    if found.low < left:
        axis.plot(left, height, "<", color=colour, clip_on=False, markersize=5)


def renderings_figure(audit: Audit, *, n_states: int = 3, per_split: int = 4) -> Figure:
    """The same latent states under training and held-out renderings, of the first seed's world."""
    world_config = audit.config.worlds[0]
    images = make_pixelgrid(world_config).images
    n_train = world_config.train_renderings
    chosen = [*range(n_train)[:per_split], *range(n_train, world_config.n_renderings)[:per_split]]
    states = np.linspace(0, world_config.n_states - 1, n_states).astype(int)
    figure, axes = style.new_figure(
        4.8, 0.62 * n_states + 0.5, nrows=n_states, ncols=len(chosen), squeeze=False
    )
    for row, s in enumerate(states):
        for column, f in enumerate(chosen):
            axis = axes[row, column]
            axis.imshow(images[f, s], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
            if row == 0:
                kind = "train" if f < n_train else "held out"
                axis.set_title(f"{kind}\nf = {f}", fontsize=6.5)
            if column == 0:
                axis.set_ylabel(f"state {s}", fontsize=7)
    return figure


def _colours(audits: Sequence[Audit]) -> list[str]:
    return [style.RUN_COLOURS[i % len(style.RUN_COLOURS)] for i in range(len(audits))]
