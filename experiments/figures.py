"""Pictures of runs: axes with units, intervals as bands, one colour per run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.audit import Audit
from experiments.envs.pixelgrid import make_pixelgrid
from experiments.results import Comparison, band
from mdtheory.report import style
from mdtheory.report.ladder import LadderRow, ladder_figure
from mdtheory.statements import GAP_BOUNDS

RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def _plain(name: str) -> str:
    """A run's name as matplotlib shows it to the letter: no mathematics, no hidden labels."""
    shown = name.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _curve(axis: Any, audit: Audit, name: str, **line: Any) -> None:
    """Mean over seeds of an agents' average, with its 95 % interval as a band."""
    mean, low, high = band(audit.values[name].mean(axis=-1))
    axis.plot(audit.updates, mean, **line)
    axis.fill_between(audit.updates, low, high, color=line["color"], alpha=0.2, linewidth=0)


def curves_figure(audits: Sequence[Audit], name: str, ylabel: str) -> Figure:
    """One quantity over training, a line per run; for returns also the optimum."""
    figure, axis = style.new_figure(4.8, 3.4)
    for audit, color in zip(audits, _colours(audits), strict=True):
        _curve(axis, audit, name, color=color, label=_plain(audit.name))
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
    axis.set_title(_plain(audit.name), fontsize=8.5)
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
            zip(comparisons, itertools.cycle(RUN_COLOURS), strict=False)
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
                label=_plain(comparison.name) if row == 0 else None,
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
                label=_plain(audit.name).replace("-", "-\n", 1),
                bounds={s.id: last[s.id] / last["A0"] for s in GAP_BOUNDS},
                gap=last["gap"] / last["A0"],
            )
        )
    return ladder_figure(rows)


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
    return [RUN_COLOURS[i % len(RUN_COLOURS)] for i in range(len(audits))]
