"""What the measurements of `robustness` say, with intervals over levels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from experiments.envs.procgen import N_ACTIONS
from experiments.envs.procgen.renderings import (
    Rendering,
    Standing,
    has_effect,
    only_image,
)
from experiments.procgen.evaluate import float_band
from experiments.procgen.interval_words import with_half_width
from experiments.procgen.measures.robustness import Distances, Play, Robustness
from mdtheory.intervals import Band, ratio_band, without_width


@dataclass(frozen=True)
class Row:
    """One policy under one rendering, compared with the first rendering that it was trained on.

    Distances are means over the states visited under that reference, per state; intervals are 95 %
    by the bootstrap over episodes, cut to what the number can be, and Student's for returns.

    Attributes:
        policy: its name.
        rendering: the other rendering.
        standing: what it is to the policy.
        mean_tv: mean R; of the reference itself 0.
        mean_tv_there: the same over the states visited under this rendering.
        largest_tv: over all those states, a lower bound on R.
        kl: of the action distribution under the reference from that under this one, nats.
        agreement: share of states with the same likeliest action.
        value_difference: absolute, in units of the value head.
        entropy: of the action distribution over the states visited under this rendering, nats. A
            policy that draws its actions uniformly is blind to renderings, so a small mean R means
            less beside a high entropy.
        returned: undiscounted return under this rendering.
        change: return under this rendering minus that under the reference, paired by level.
    """

    policy: str
    rendering: Rendering
    standing: Standing
    mean_tv: Band
    mean_tv_there: Band
    largest_tv: float
    kl: Band
    agreement: Band
    value_difference: Band
    entropy: Band
    returned: Band
    change: Band


def summarise(measured: Robustness) -> list[Row]:
    """A row for each policy and rendering; the reference comes first."""
    plan = measured.plan
    reference = plan.train[0]
    only = only_image(measured.config.game, measured.config.distribution_mode)
    order = [reference, *(r for r in plan.renderings if r != reference)]
    return [
        _row(name, plays[reference], plays[rendering], rendering.standing(plan.train, only))
        for name, plays in measured.plays.items()
        for rendering in order
    ]


@dataclass(frozen=True)
class PolicyRows:
    """One policy's rows, and what they were measured on."""

    game: str
    n_levels: int
    rows: list[Row]


def by_policy(found: Mapping[str, Robustness]) -> dict[str, PolicyRows]:
    """By a run's name and a policy's, its rows."""
    return {
        f"{name}, {policy}": rows
        for name, measured in found.items()
        for policy, rows in policy_rows(measured).items()
    }


def policy_rows(measured: Robustness) -> dict[str, PolicyRows]:
    """By a policy's name, its rows, the reference first."""
    rows, n_levels = summarise(measured), len(measured.plan.levels)
    return {
        policy: PolicyRows(measured.config.game, n_levels, [r for r in rows if r.policy == policy])
        for policy in measured.plays
    }


def per_state(sums: np.ndarray, play: Play, most: float = 1.0) -> Band:
    """The mean over the states that episodes visited, of sums over each episode [n], with its 95 %
    interval by the bootstrap over episodes, cut to [0, most]."""
    band = ratio_band(sums, play.lengths, seed=0)  # infinite ends with too few episodes
    return Band(float(band.mean), *(float(np.clip(end, 0.0, most)) for end in band[1:]))


def _row(name: str, at_home: Play, there: Play, standing: Standing) -> Row:
    same = at_home.lead == there.lead
    zeros = np.zeros(len(at_home.lengths))
    nothing = Distances(zeros, zeros, zeros, zeros, at_home.lengths.astype(float), zeros)
    here = nothing if same else at_home.distances[there.lead]
    other = nothing if same else there.distances[at_home.lead]

    return Row(
        policy=name,
        rendering=there.lead,
        standing=standing,
        mean_tv=per_state(here.tv, at_home),
        mean_tv_there=per_state(other.tv, there),
        largest_tv=float(max(here.largest_tv.max(), other.largest_tv.max())),
        kl=per_state(here.kl, at_home, most=np.inf),
        agreement=per_state(here.agreement, at_home),
        value_difference=per_state(here.value_difference, at_home, most=np.inf),
        entropy=per_state(there.entropy, there, most=math.log(N_ACTIONS)),
        returned=float_band(there.returns),
        change=float_band(there.returns - at_home.returns),
    )


def tables(measured: Robustness, name: str) -> list[Table]:
    """For the terminal, one for each policy."""
    config, n = measured.config, len(measured.plan.levels)
    rows = summarise(measured)
    found = []
    for policy in measured.plays:
        shown = Table(
            title=f"{escape(name)}, {policy}: {config.game}, {config.distribution_mode}, {n}"
            f" levels, after {measured.update} updates",
            title_justify="left",
            caption_justify="left",
        )
        shown.add_column("rendering", no_wrap=True)
        for header in HEADER:
            shown.add_column(header, justify="right", no_wrap=True)
        for row in rows:
            if row.policy == policy:
                shown.add_row(shown_name(row, config.game), *cells(row))
        found.append(shown)
    found[-1].caption = CAPTION
    return found


HEADER = (
    "mean R",
    "mean R there",
    "largest TV",
    "KL",
    "agreement",
    "values",
    "entropy",
    "return",
    "change",
)
CAPTION = (
    "mean R: total variation to the reference, the first line, per state visited under it (there:"
    " under the rendering), with 95 % intervals by the bootstrap over episodes. Largest TV: a lower"
    " bound on R. KL in nats, agreement of likeliest actions and difference of values: under the"
    " reference. Entropy: of the actions under the rendering, nats, at most ln 15 = 2.71; who acts"
    " at random is blind to renderings. Returns are undiscounted, their change is paired by level;"
    " Student's 95 % intervals. All intervals are over levels, for these trained policies."
)


def shown_name(row: Row, game: str) -> str:
    """The rendering, and what is special about it."""
    if not has_effect(row.rendering, game):
        return f"{row.rendering} (no effect in {game})"
    marked = row.standing != "out of distribution"
    return f"{row.rendering} ({row.standing})" if marked else str(row.rendering)


def cells(row: Row) -> list[str]:
    """What stands under `HEADER`."""
    return [
        between(row.mean_tv),
        between(row.mean_tv_there),
        f"{row.largest_tv:.3f}",
        f"{row.kl.mean:.3f}",
        f"{row.agreement.mean:.0%}",
        f"{row.value_difference.mean:.2f}",
        f"{row.entropy.mean:.2f}",
        _student(row.returned),
        "–" if row.mean_tv.high == 0 == row.change.high else _student(row.change, "+"),
    ]


def _student(found: Band, sign: str = "") -> str:
    """A mean with half of its interval; levels that are all the same do not show their spread."""
    if without_width(found):
        return f"{found.mean:{sign}.2f} (all the same)"
    return with_half_width(found, sign)


def between(found: Band, digits: int = 3) -> str:
    """A mean and, below it, its interval, which need not be symmetric."""
    if np.isnan(found.low):
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f}\n[{found.low:.{digits}f}, {found.high:.{digits}f}]"
