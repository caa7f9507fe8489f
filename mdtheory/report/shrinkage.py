"""B6 measured: trained agents beside the theory, as a picture, as tables and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.markup import escape
from rich.table import Table

from mdtheory.intervals import Band, band, decides
from mdtheory.report import style
from mdtheory.report.page import PageTable, Picture, Section
from mdtheory.shrinkage.bandit import Bandit
from mdtheory.shrinkage.linear import flow, rates, shrinkage_factor
from mdtheory.shrinkage.training import ROUNDING, Curve, Departure, Study

COMMAND = "mdtheory demo shrinkage --picture shrinkage.svg"
FLOW_COMMAND = (
    'python -c "from mdtheory.report.shrinkage import flow_figure;'
    " flow_figure().savefig('flow.svg')\""
)

_ROWS = {
    "weight": "spurious weight |u|²/K",
    "robustness": "R (total variation)",
    "gap": "gap (units of reward)",
}
_COLOURS = ("#E69F00", "#A0522D", "#3B3B58")  # none of them stands for a bound
_SHOWN_RATIO = 0.03  # where the horizontal axis turns from linear to logarithmic


def shrinkage_figure(study: Study) -> Figure:
    """|u|²/K, R and the gap downwards; by number of agents, then with saturated policies."""
    columns = list(_columns(study))
    main = _main(study)
    figure, axes = style.new_figure(
        2.7 * len(columns) + 0.6, 6.6, nrows=len(_ROWS), ncols=len(columns), squeeze=False
    )
    for column, (title, curves) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=9)
        for row, name in enumerate(_ROWS):
            _panel(axes[row, column], curves, name)
            if column == 0:
                axes[row, column].set_ylabel(_ROWS[name])
        axes[-1, column].set_xlabel("distillation α / temperature τ")
    same = [k for k, (_, curves) in enumerate(columns) if curves[0].setting.bandit == main]
    for axis_row in axes:
        highest = max(axis_row[k].get_ylim()[1] for k in same)
        for k in same:
            axis_row[k].set_ylim(0, highest)
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside upper center", ncols=3, fontsize=8, columnspacing=2
    )
    return figure


def _columns(study: Study) -> Iterator[tuple[str, list[Curve]]]:
    """Titles and curves: every N of the main bandit, the largest N of hotter or colder ones."""
    main = _main(study)
    for n in sorted({c.setting.n_agents for c in study.curves if c.setting.bandit == main}):
        same = [c for c in study.curves if c.setting.bandit == main and c.setting.n_agents == n]
        yield f"{n} agents, τ = {main.temperature}", same
    for bandit in _saturated(study):
        curve = max(
            (c for c in study.curves if c.setting.bandit == bandit),
            key=lambda c: c.setting.n_agents,
        )
        title = f"{curve.setting.n_agents} agents, τ = {bandit.temperature}: saturated"
        yield title, [curve]


def _main(study: Study) -> Bandit:
    return study.curves[0].setting.bandit


def _saturated(study: Study) -> list[Bandit]:
    """Bandits of a lower temperature than the first, whose policies are closer to certain."""
    main = _main(study)
    bandits = dict.fromkeys(c.setting.bandit for c in study.curves)
    return [b for b in bandits if b.temperature < main.temperature]


def _panel(axis: Any, curves: Sequence[Curve], name: str) -> None:
    for k, curve in enumerate(curves):
        shares = (0, 0.5, 1)
        colour = _COLOURS[int(np.argmin([abs(float(curve.setting.sharing) - x) for x in shares]))]
        words = _sharing_words(curve)
        axis.plot(
            curve.ratios, curve.predicted[name].mean(axis=-1), color=colour, linewidth=1.2,
            label=f"B6, {words}",
        )  # fmt: skip
        if curve.setting.n_shared == 0:
            axis.plot(
                curve.ratios, curve.unequal[name].mean(axis=-1), "--", color=colour, linewidth=1.2,
                label="linear, agents' own curvatures",
            )  # fmt: skip
        if name == "weight":
            axis.axhline(
                curve.floor, color=colour, linestyle=":", linewidth=1,
                label="floor σ²(1/N + (1−1/N)c)" if k == 0 else None,
            )  # fmt: skip
        mean, low, high = band(curve.measured[name])
        aside = curve.ratios * (1 + 0.06 * (k - (len(curves) - 1) / 2))
        axis.errorbar(
            aside, mean, [mean - low, high - mean], fmt="o", markersize=3, color=colour,
            elinewidth=0.9, capsize=2, label=f"trained, {words}",
        )  # fmt: skip
        apart = np.isin(curve.ratios, [departure.ratio for departure in curve.departures(name)])
        axis.plot(
            aside[apart], mean[apart], "o", markersize=3.2, color=colour, markerfacecolor="white",
            zorder=5, label="trained, apart from B6" if k == 0 and apart.any() else None,
        )  # fmt: skip
    ratios = curves[0].ratios
    axis.set_xscale("symlog", linthresh=_SHOWN_RATIO, linscale=0.4)
    axis.set_xlim(-0.4 * _SHOWN_RATIO, 1.6 * ratios[-1])
    axis.set_xticks(ratios, [f"{r:g}" for r in ratios], minor=False)
    axis.minorticks_off()
    axis.tick_params(labelsize=7)
    axis.locator_params(axis="y", nbins=5)
    axis.set_ylim(0, None)


def _sharing_words(curve: Curve) -> str:
    share = curve.setting.sharing
    if share == 0:
        return "independent renderings"
    return "the same renderings" if share == 1 else f"{share} of the renderings shared"


def flow_figure() -> Figure:
    """B6 in time: three agents with one spurious weight each, alone and distilled, h = g = 1."""
    pulls = np.array([[1.5], [0.3], [-0.9]])
    times = np.linspace(0, 15, 151)
    figure, axes = style.new_figure(7.2, 2.7, ncols=2)
    for alpha, dash in ((0.0, "--"), (1.0, "-")):
        path = flow(pulls, [[1.0]], [[1.0]], alpha, np.zeros_like(pulls), times)[..., 0]
        label = f"α = {alpha:g}"
        for k, colour in enumerate(_COLOURS):
            axes[0].plot(times, path[:, k], dash, color=colour, label=label if k == 2 else None)
        distance = abs(path - path.mean(axis=-1, keepdims=True) - _spread(pulls, alpha)).max(
            axis=-1
        )
        rate = rates(3, [[1.0]], [[1.0]], alpha).deviation[0]
        axes[1].semilogy(
            times, distance, dash, color=_COLOURS[0], label=f"deviations, {label}: rate {rate:.3g}"
        )
    start = np.full_like(pulls, 1.0)
    mean = flow(pulls, [[1.0]], [[1.0]], 1.0, start, times)[..., 0].mean(axis=-1)
    slow = rates(3, [[1.0]], [[1.0]], 1.0).mean[0]
    axes[1].semilogy(
        times, abs(mean - pulls.mean()), color=_COLOURS[2], label=f"mean, any α: rate {slow:.3g}"
    )
    axes[0].set_ylabel("spurious weight of each agent")
    axes[1].set_ylabel("distance from the limit")
    axes[1].set_ylim(1e-5, 3)
    for axis in axes:
        axis.set_xlabel("time (gradient flow)")
        axis.legend(fontsize=7)
    return figure


def _spread(pulls: np.ndarray, alpha: float) -> np.ndarray:
    """Deviations at the minimum for h = g = 1, shape [N]."""
    kappa = float(shrinkage_factor(len(pulls), alpha, 1, 1))
    return kappa * (pulls - pulls.mean())[:, 0]


def tables(study: Study) -> list[Table]:
    """Measured, with 95 % intervals, and predicted: a table per bandit, everything times 1000."""
    found = []
    for bandit in dict.fromkeys(c.setting.bandit for c in study.curves):
        table = Table(
            title=f"τ = {bandit.temperature}, {bandit.n_train} training renderings",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for header in ("N", "shared", "α/τ", "|u|²/K", "B6", "R", "B6", "gap", "B6"):
            table.add_column(header, justify="right", no_wrap=True)
        for curve in study.curves:
            if curve.setting.bandit != bandit:
                continue
            shown = range(1) if _stays(curve) else range(len(curve.ratios))
            for i in shown:
                ratio = "any" if _stays(curve) else f"{curve.ratios[i]:g}"
                table.add_row(*_table_row(curve, i, ratio), end_section=i == shown[-1])
        found.append(table)
    return found


def _stays(curve: Curve) -> bool:
    """Whether distillation changes nothing."""
    return bool((abs(curve.change("weight").mean) < ROUNDING * curve.pull_variance.mean()).all())


def _table_row(curve: Curve, i: int, ratio: str) -> list[str]:
    cells = [str(curve.setting.n_agents), str(curve.setting.sharing), ratio]
    for name in _ROWS:
        mean, low, high = (1000 * float(x[i]) for x in band(curve.measured[name]))
        predicted = 1000 * float(curve.predicted[name][i].mean())
        digits = 0 if name == "robustness" else 2
        cells.append(f"{mean:.{digits}f} ±{(high - low) / 2:.{digits}f}")
        cells.append(f"{predicted:.{digits}f}")
    return cells


def demo_report(study: Study) -> list[Any]:
    """What `mdtheory demo shrinkage` prints: renderables for rich."""
    what = (
        f"1000 × means over {study.n_seeds} seeds with 95 % intervals; shared is the share of"
        " training renderings in common, B6 the prediction from the agents' weights at α = 0"
    )
    paragraphs = [part for sentence in sentences(study) for part in ("", escape(sentence))]
    return [what, *tables(study), *paragraphs[1:]]


def sentences(study: Study) -> list[str]:
    """What the numbers say, and nothing that they do not say."""
    main = _main(study)
    found = [_setup(study)]
    own = [c for c in study.curves if c.setting.bandit == main]
    independent = [c for c in own if c.setting.n_shared == 0]
    found.extend(_shrinks(c) for c in independent)
    found.extend(_where_it_stops(c) for c in independent[:1])
    more = [c for c in study.curves if c.setting.bandit.n_train > main.n_train]
    found.extend(f"With more data per agent: {_where_it_stops(c)}" for c in more)
    saturated = [c for c in study.curves if c.setting.bandit in _saturated(study)]
    found.extend(f"With saturated policies: {_where_it_stops(c)}" for c in saturated)
    found.extend(_shared(c) for c in own if c.setting.n_shared and not _stays(c))
    found.extend(_unmoved([c for c in own if _stays(c)]))
    largest = [max(cs, key=lambda c: c.setting.n_agents) for cs in (independent, saturated) if cs]
    found.extend(_consequences(c) for c in largest)
    return found


def _setup(study: Study) -> str:
    bandit = _main(study)
    return (
        f"Agents with linear-softmax policies learn a bandit of {bandit.n_states} states, each from"
        f" its own {bandit.n_train} renderings with {bandit.n_features} random spurious features;"
        f" {bandit.n_heldout} renderings are held out. Training is full-batch gradient descent to"
        " convergence on expected reward, entropy bonus τ and α times the mutual divergence of the"
        f" official code. Numbers are means over {study.n_seeds} seeds with 95 % Student intervals;"
        " differences from B6 are paired by seed and not corrected for their number."
    )


def _name(curve: Curve) -> str:
    return f"N = {curve.setting.n_agents}, τ = {curve.setting.bandit.temperature}"


def _shrinks(curve: Curve) -> str:
    measured = band(curve.measured["weight"])
    predicted = curve.predicted["weight"].mean(axis=-1)
    return (
        f"{_name(curve)}, {_sharing_words(curve)}: |u|²/K is {_at(measured, 0)} when the agents"
        f" learn alone and {_at(measured, -1)} at α = {curve.ratios[-1]:g} τ; B6 predicts"
        f" {predicted[-1]:.3g}, its floor is {curve.floor:.3g}.{_against_floor(curve)}"
    )


def _against_floor(curve: Curve) -> str:
    mean, low, high = (float(x) for x in band(curve.measured["weight"][-1] - curve.floors))
    if high >= 0:
        return ""
    return (
        f" So it ends {abs(mean):.2g} [{-high:.2g}, {-low:.2g}] below the floor. That floor is"
        " B6's for agents of equal curvatures; others meet at a mean weighted by their curvatures."
    )


def _where_it_stops(curve: Curve) -> str:
    departures = curve.departures("weight")
    if not departures:
        return (
            f"{_name(curve)}, {_sharing_words(curve)}: no measured |u|²/K is told apart from B6, at"
            f" any α up to {curve.ratios[-1]:g} τ."
        )
    first, widest = departures[0], max(departures, key=lambda d: abs(d.size.mean))
    text = (
        f"{_name(curve)}, {_sharing_words(curve)}: the trained |u|²/K leaves B6 at α ="
        f" {first.ratio:g} τ, where it is {_off(first)}"
    )
    if widest.ratio != first.ratio:
        text += f"; it is farthest at α = {widest.ratio:g} τ, {_off(widest)}"
    explained = curve.difference("weight", unequal=True)
    at = int(np.flatnonzero(curve.ratios == widest.ratio)[0])
    rest = Departure(widest.ratio, Band(*(float(x[at]) for x in explained)))
    accounts = abs(rest.size.mean) <= abs(widest.size.mean) / 4
    return text + (
        f". There it is {_off(rest)} the linear theory with every agent's own curvatures, where B6"
        " has one for all: unequal curvatures"
        f" {'account for most of it' if accounts else 'alone do not account for it'}."
    )


def _off(departure: Departure) -> str:
    mean, low, high = (100 * x for x in departure.size)
    return f"{abs(mean):.1f} % {'below' if mean < 0 else 'above'} [{low:+.1f}, {high:+.1f}]"


def _shared(curve: Curve) -> str:
    measured = band(curve.measured["weight"])
    kept = measured.mean[-1] / measured.mean[0]
    return (
        f"{_name(curve)}, {_sharing_words(curve)}: the pulls' correlation is"
        f" {curve.correlation:.2f}, and {100 * kept:.0f} % of |u|²/K is left at α ="
        f" {curve.ratios[-1]:g} τ ({_at(measured, -1)}; floor {curve.floor:.3g})."
    )


def _unmoved(curves: Sequence[Curve]) -> list[str]:
    if not curves:
        return []
    agents = ", ".join(str(c.setting.n_agents) for c in curves)
    values = _at(band(curves[0].measured["weight"]), 0)
    return [
        f"N = {agents}, {_sharing_words(curves[0])}: |u|²/K stays at {values} whatever α is, since"
        " the agents learn the same and have nothing to tell each other."
    ]


def _consequences(curve: Curve) -> str:
    robustness, gap = band(curve.measured["robustness"]), band(curve.measured["gap"])
    bound = band(curve.measured["A2"])
    verdict = "holds for every policy" if curve.holds else "IS VIOLATED"
    return (
        f"{_name(curve)}, from α = 0 to {curve.ratios[-1]:g} τ: R goes from {_at(robustness, 0)} to"
        f" {_at(robustness, -1)} and the gap from {_at(gap, 0)} to {_at(gap, -1)}. A2 {verdict}; it"
        f" allows a gap of {_at(bound, 0)} and then {_at(bound, -1)}."
        f" Of the returns, {_direction(curve, 'train_return', 'training return')},"
        f" {_direction(curve, 'heldout_return', 'held-out return')} and"
        f" {_direction(curve, 'general_return', 'general return')}."
    )


def _direction(curve: Curve, name: str, words: str) -> str:
    change = Band(*(float(x[-1]) for x in curve.change(name)))
    numbers = f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
    if not decides(change):
        return f"for the {words} the direction is undecided ({numbers})"
    return f"the {words} {'rises' if change.mean > 0 else 'falls'} ({numbers})"


def _at(values: Band, i: int) -> str:
    mean, low, high = (float(x[i]) for x in values)
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def shrinkage_section(study: Study) -> Section:
    """The pictures, a table of the ends of every curve, and what they show in sentences."""
    setup, *findings = sentences(study)
    return Section(
        title="When distillation makes policies more robust",
        paragraphs=[
            "B6: near agreement, mutual distillation multiplies each agent's deviation from the"
            " mean of the agents by κ = h/(h + 2αgN/(N−1)) and leaves the mean alone. What only"
            " one agent learned by chance shrinks; what all learned, signal or not, stays."
            " With an entropy bonus h/g is τ, but for what an unexplained residual adds to h, so"
            " the theory has nothing to fit.",
            setup,
        ],
        findings=findings,
        tables=[
            PageTable(
                header=["setting", "N", "c", "κ", "|u|²/K alone", "distilled", "B6", "floor"],
                rows=[_page_row(curve) for curve in study.curves],
                caption=f"At α = 0 and α = {study.curves[0].ratios[-1]:g} τ. c is the correlation"
                " of the pulls as they turned out; the floor is B6's, σ²(1/N + (1−1/N)c).",
                text_columns=(0,),
            )
        ],
        pictures=[
            Picture.of(
                shrinkage_figure(study),
                caption="Trained agents (points, 95 % intervals over seeds) and B6 (lines) from the"
                " same seeds' pulls. Hollow: the paired difference from B6 excludes 0, so there the"
                " linear theory is left. Dashed: the same linear theory with every agent's own"
                " curvatures. Dotted: the floor below which B6 lets no distillation go. In the last"
                " column the policies saturate.",
                command=COMMAND,
                alt="Spurious weight, R and gap against the distillation coefficient",
                wide=True,
            ),
            Picture.of(
                flow_figure(),
                caption="The gradient flow of B6 for three agents, computed exactly: distillation"
                " speeds up the deviations, by their rate (h + 2αgN/(N−1))/N, and not the mean.",
                command=FLOW_COMMAND,
                alt="Gradient flow of B6: weights and distances from the limit against time",
            ),
        ],
    )


def _page_row(curve: Curve) -> list[str]:
    bandit, n = curve.setting.bandit, curve.setting.n_agents
    measured = band(curve.measured["weight"])
    kappa = float(shrinkage_factor(n, float(curve.distillations[-1]), bandit.temperature, 1))
    return [
        f"τ = {bandit.temperature}, {bandit.n_train} renderings",
        str(n),
        f"{curve.correlation:.2f}",
        f"{kappa:.3f}",
        _at(measured, 0),
        _at(measured, -1),
        f"{curve.predicted['weight'][-1].mean():.3g}",
        f"{curve.floor:.3g}",
    ]
