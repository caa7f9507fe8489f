"""Pictures of features: the same states in several renderings, and their convergence in training.

Both take numbers that are already measured (`experiments.representations`) and compute nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from experiments.procgen.interval_words import with_ends
from mdtheory.intervals import Band
from mdtheory.report import style

JOINED = 30
"""States whose pictures are joined by lines, by default; more hide each other."""

_REFERENCE = "#333333"
_MARKERS = ("s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True, kw_only=True)
class AgentFeatures:
    """One agent's panel: its features in the plane of their first two principal components."""

    name: str
    points: np.ndarray
    """[rendering, state, 2], the reference first, as `principal_components` returns them."""
    shares: np.ndarray
    """[2], of the reference's variance."""
    convergence: Band
    """Representation convergence, floats."""
    effective_rank: Band
    """Of the reference's features, floats."""

    def __post_init__(self) -> None:
        if self.points.ndim != 3 or self.points.shape[2] != 2:
            raise ValueError(
                f"points must have axes [rendering, state, 2], got shape {self.points.shape}"
            )


@dataclass(frozen=True, kw_only=True)
class RunCurves:
    """One run over training: convergence of each agent, and alignment of different agents."""

    name: str
    steps: np.ndarray
    """[checkpoint], environment steps of each agent."""
    convergence: Band
    """Averages over renderings, arrays [agent, checkpoint]."""
    each_convergence: np.ndarray
    """[agent, rendering, checkpoint]."""
    cka: Band | None = None
    """Average over renderings and pairs of agents, arrays [checkpoint]; None for one agent."""
    each_cka: np.ndarray | None = None
    """[rendering, checkpoint]."""

    def __post_init__(self) -> None:
        n = len(self.steps)
        arrays = {
            "convergence": (np.asarray(self.convergence.mean), ("agent", "checkpoint")),
            "each_convergence": (self.each_convergence, ("agent", "rendering", "checkpoint")),
        }
        if self.cka is not None:
            arrays["cka"] = (np.asarray(self.cka.mean), ("checkpoint",))
        if self.each_cka is not None:
            arrays["each_cka"] = (self.each_cka, ("rendering", "checkpoint"))
        for name, (array, axes) in arrays.items():
            if array.ndim != len(axes) or array.shape[-1] != n:
                raise ValueError(
                    f"{name} must have axes [{', '.join(axes)}] with {n} checkpoints,"
                    f" got shape {array.shape}"
                )


STATES_CAPTION = (
    "Features of the same states in several renderings, each panel in the plane of the first two"
    " principal components of that agent's features in the reference rendering; both axes have one"
    " scale, which panels do not share. Faint: all {states} states; strong, with lines between the"
    " pictures of one state: {joined} of them. The plane shows no more than the stated shares of"
    " variance; the convergence above each panel is of all dimensions and of every rendering"
    " measured: 1 if features are blind to the rendering, 0 if a state is as far from its own"
    " second picture as from another state's. Brackets: 95 % jackknife intervals over episodes."
)

CURVES_CAPTION = (
    "Left: 1 if features are blind to the rendering, 0 if a state is as far from its own second"
    " picture as from another state's. Right: debiased linear CKA between different agents'"
    " features of the same observations: 1 if equal up to rotation and scale, about 0 if unrelated."
    " Thick: averages over renderings, with 95 % jackknife intervals over episodes as bands; thin:"
    " one rendering each. Intervals are about which episodes were seen; they do not say how another"
    " training seed would do."
)


def representation_figure(
    agents: Sequence[AgentFeatures],
    renderings: Sequence[str],
    *,
    command: str,
    joined: int = JOINED,
) -> Figure:
    """States in the reference rendering and in others, a panel for each agent.

    `renderings` names the renderings of all `points`, the reference first; states are the same for
    all agents. Lines join the pictures of `joined` states, spread evenly over their order.
    """
    n_states = agents[0].points.shape[1]
    for agent in agents:
        if agent.points.shape[1] != n_states:
            raise ValueError(
                f"points of {agent.name} must be of the {n_states} states of {agents[0].name},"
                f" got {agent.points.shape[1]}"
            )
        if len(agent.points) != len(renderings):
            raise ValueError(
                f"renderings must name the {len(agent.points)} renderings of {agent.name},"
                f" got {len(renderings)} names"
            )
    columns = min(len(agents), 3)
    rows = math.ceil(len(agents) / columns)
    joined = min(joined, n_states)
    caption = STATES_CAPTION.format(joined=joined, states=n_states)
    width = max(3.3 * columns, 5.0)
    words = style.wrapped(f"{caption} Made by: {command}", width)
    height = 3.6 * rows + 0.13 * len(words) + 0.5
    figure, axes = style.new_figure(width, height, nrows=rows, ncols=columns, squeeze=False)
    for axis, agent in itertools.zip_longest(axes.flat, agents):
        if agent is None:
            axis.remove()
        else:
            _states(axis, agent, joined)
    figure.legend(
        handles=_rendering_legend(renderings),
        loc="outside upper center",
        ncols=min(len(renderings), columns + 1),
        fontsize=8,
        frameon=False,
    )
    style.write_below(figure, words)
    return figure


def convergence_curve(runs: Sequence[RunCurves], *, command: str) -> Figure:
    """Convergence of every agent and alignment of different agents over training, a run a colour.

    The agents of a run differ by their kind of line.
    """
    words = style.wrapped(f"{CURVES_CAPTION} Made by: {command}", 9.4)
    agents = max(len(run.each_convergence) for run in runs)
    names = list(dict.fromkeys(run.name for run in runs))
    colours = dict(zip(names, itertools.cycle(style.RUN_COLOURS), strict=False))
    legend = _curve_legend(colours, agents)
    rows = math.ceil(len(legend) / 3)
    figure, (left, right) = style.new_figure(
        9.4, 3.3 + 0.13 * len(words) + 0.17 * rows, nrows=1, ncols=2
    )
    for run in runs:
        colour = colours[run.name]
        for k, each in enumerate(run.each_convergence):
            found = Band(*(np.asarray(part)[k] for part in run.convergence))
            _curves(left, run.steps, found, each, color=colour, linestyle=_LINES[k % len(_LINES)])
        if run.cka is not None:
            _curves(right, run.steps, run.cka, run.each_cka, color=colour, linestyle="-")
    left.set_ylabel("representation convergence")
    right.set_ylabel("CKA between agents")
    last = max(float(run.steps.max(initial=0)) for run in runs)
    for axis in (left, right):
        _over_training(axis, last)
    if all(run.cka is None for run in runs):
        right.text(0.5, 0.5, "one agent each", ha="center", transform=right.transAxes)
    figure.legend(handles=legend, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    style.write_below(figure, words)
    return figure


def _rendering_styles(count: int) -> list[dict[str, Any]]:
    """Colour and marker of each rendering; the reference is dark and round."""
    others = zip(range(count - 1), itertools.cycle(style.RUN_COLOURS), itertools.cycle(_MARKERS))
    looks = [(_REFERENCE, "o"), *((colour, marker) for _, colour, marker in others)]
    return [{"color": colour, "marker": marker, "linestyle": ""} for colour, marker in looks]


def _states(axis: Any, agent: AgentFeatures, joined: int) -> None:
    """All states as faint dots; the joined ones strong, with lines from the reference."""
    points = agent.points
    if not np.isfinite(points).all():
        axis.text(0.5, 0.5, "constant features", ha="center", transform=axis.transAxes)
    chosen = np.linspace(0, points.shape[1] - 1, joined).round().astype(int)
    looks = _rendering_styles(len(points))
    for f, look in enumerate(looks):
        cloud = {"markersize": 1.7, "mew": 0, "alpha": 0.2, "zorder": 1, "rasterized": True}
        strong = {"markersize": 4.6, "mec": "white", "mew": 0.4, "zorder": 4}
        axis.plot(*points[f].T, gid="states", **look, **cloud)
        axis.plot(*points[f, chosen].T, gid="joined", **look, **strong)
        if f > 0:
            pairs = points[[0, f]][:, chosen].swapaxes(0, 1)
            axis.add_collection(
                LineCollection(list(pairs), colors=look["color"], linewidths=0.7, alpha=0.8)
            )
    axis.set_aspect("equal", adjustable="datalim")
    axis.locator_params(nbins=5)
    for name, share, label in zip(
        ("first", "second"), agent.shares, (axis.set_xlabel, axis.set_ylabel), strict=True
    ):
        label(f"{name} component ({100 * float(share):.0f} % of variance)")
    words = [
        agent.name,
        f"convergence {with_ends(agent.convergence)}",
        f"effective rank {with_ends(agent.effective_rank, digits=1)}",
    ]
    axis.set_title("\n".join(words), fontsize=8.5, parse_math=False)


def _rendering_legend(renderings: Sequence[str]) -> list[Line2D]:
    handles = []
    for f, (name, look) in enumerate(
        zip(renderings, _rendering_styles(len(renderings)), strict=True)
    ):
        label = f"{name} (reference)" if f == 0 else name
        handles.append(Line2D([], [], label=style.literal(label), markersize=5, mew=0, **look))
    return handles


def _curves(
    axis: Any, steps: np.ndarray, found: Band, each: np.ndarray | None, **line: Any
) -> None:
    """A thick line with its band, and a thin one per rendering."""
    for values in () if each is None else each:
        axis.plot(steps, values, **line, linewidth=0.6, alpha=0.35, gid="rendering")
    marks = {"marker": "o", "markersize": 3.5, "mew": 0}
    axis.plot(steps, found.mean, **line, **marks, linewidth=1.8, gid="average", zorder=4)
    axis.fill_between(steps, found.low, found.high, color=line["color"], alpha=0.2, linewidth=0)


def _over_training(axis: Any, last: float) -> None:
    """All that both numbers can say, 0 to 1, and beyond where something is drawn there."""
    low, high = axis.dataLim.intervaly  # infinite if nothing is drawn
    axis.set_ylim(
        min(0.0, 1.05 * low) if np.isfinite(low) else 0.0,
        max(1.02, high) if np.isfinite(high) else 1.02,
    )
    for level in (0, 1):
        axis.axhline(level, color="#555555", linewidth=0.8, zorder=0)
    axis.set_xlabel("environment steps of each agent")
    axis.locator_params(axis="x", nbins=6)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlim(0, 1.03 * last if last > 0 else 1)


def _curve_legend(colours: Mapping[str, str], agents: int) -> list[Line2D]:
    grey: dict[str, Any] = {"color": "#555555"}
    kinds = zip(range(agents if agents > 1 else 0), itertools.cycle(_LINES))
    return [
        *(
            Line2D([], [], color=colour, linewidth=2, label=style.literal(x))
            for x, colour in colours.items()
        ),
        *(Line2D([], [], linestyle=look, label=f"agent {k}", **grey) for k, look in kinds),
        Line2D([], [], linewidth=0.6, alpha=0.6, label="one rendering", **grey),
    ]
