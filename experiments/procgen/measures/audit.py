"""Part C of the theory on Procgen: measured returns and TV become interval statements.

Levels are the independent clusters.  The range of rewards is proven from the game's source, and so
is that of returns-to-go, which may stand in A0 and A3 for Delta/(1-gamma).  R over all states is
unknown, so of A2 only its value at R = 1 can be looked at, which is A0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from experiments.envs.procgen.renderings import Rendering
from experiments.envs.procgen.rewards import episode_returns, step_rewards
from experiments.interval_statements import (
    ClusterSample,
    IntervalReport,
    interval_statements,
)
from experiments.procgen.interval_words import percent
from experiments.procgen.measures.robustness import Plan, Play, Robustness
from mdtheory.intervals import LEVEL, Band

ALL = "all held out"
"""The name of an audit with every held-out rendering."""


@dataclass(frozen=True, eq=False)
class Audit:
    """One policy's statements about some held-out renderings.

    Attributes:
        policy: its name.
        about: a held-out rendering's name, or `ALL`.
        sample: the numbers per level.
        reports: for the renderings played and, if these were drawn, for their family.
    """

    policy: str
    about: str
    sample: ClusterSample
    reports: tuple[IntervalReport, ...]


def audit(
    measured: Robustness,
    *,
    method: str = "student",
    confidence: float = LEVEL,
    drawn: bool = False,
) -> list[Audit]:
    """Statements for each policy: about all held-out renderings, then about each alone.

    All renderings of an audit weigh the same, so M is the share of those trained on.

    Args:
        measured: what was measured.
        method: "student" (asymptotic) or "bernstein" (any number of levels).
        confidence: of each interval and each verdict alone.
        drawn: the held-out renderings are independent draws from a larger family, such as random
            convolutions with seeds 0, 1, ...; adds statements about that family.

    Raises:
        ValueError: no rendering was held out; or as `ClusterSample` and `interval_statements`.
    """
    heldout = require_heldout(measured.plan)
    groups = {ALL: heldout} if len(heldout) > 1 else {}
    groups |= {str(rendering): (rendering,) for rendering in heldout}
    found = []
    for policy, plays in measured.plays.items():
        for about, renderings in groups.items():
            every = drawn and renderings == heldout
            sample = _sample(measured, plays, renderings, confidence, drawn=every)
            reports = interval_statements(sample, method=method)
            found.append(Audit(policy, about, sample, reports))
    return found


def require_heldout(plan: Plan) -> tuple[Rendering, ...]:
    """The renderings held out, at least one, or ValueError."""
    if not plan.heldout:
        raise ValueError("renderings must be held out at least one, all were trained on")
    return plan.heldout


def _sample(
    measured: Robustness,
    plays: Mapping[Rendering, Play],
    heldout: Sequence[Rendering],
    confidence: float,
    *,
    drawn: bool,
) -> ClusterSample:
    config, train = measured.config, measured.plan.train
    rewards = step_rewards(config.game, config.distribution_mode)
    returns = episode_returns(config.game, config.distribution_mode)
    tv = [plays[f].distances[h].discounted_tv for f in train for h in heldout]
    return ClusterSample(
        train_return=np.mean([plays[f].discounted_returns for f in train], axis=0),
        heldout_return=np.mean([plays[h].discounted_returns for h in heldout], axis=0),
        tv_sum=np.mean(tv, axis=0),
        discount=measured.plan.discount,
        reward_range=float(rewards.high - rewards.low),
        return_range=float(returns.high - returns.low),
        train_mass=len(train) / (len(train) + len(heldout)),
        confidence=confidence,
        heldout_renderings=len(heldout) if drawn else None,
    )


def tables(measured: Robustness, audits: Sequence[Audit], name: str) -> list[Table]:
    """For the terminal, one for each policy."""
    config = measured.config
    found = []
    for policy in measured.plays:
        mine = [a for a in audits if a.policy == policy]
        shown = Table(
            title=f"{escape(name)}, {policy}: {config.game}, {config.distribution_mode},"
            f" {mine[0].sample.n_clusters} levels, discount {measured.plan.discount:g}",
            title_justify="left",
            caption_justify="left",
        )
        shown.add_column("held out", no_wrap=True)
        for header in HEADER:
            shown.add_column(header, justify="right", no_wrap=True)
        for one in mine:
            for report in one.reports:
                shown.add_row(about(one, report), *cells(report), end_section=one.about == ALL)
        found.append(shown)
    found[-1].caption = caption(audits[0])
    return found


STATEMENTS = ("A0", "A3", "A0 with return range", "A3 with return range")
HEADER = ("xi - eta", "mean R, discounted", "gap", *STATEMENTS)


def about(one: Audit, report: IntervalReport) -> str:
    """What a row is about."""
    return one.about if report is one.reports[0] else f"{one.about}, their family"


def cells(report: IntervalReport) -> list[str]:
    """What stands under `HEADER`: estimates, then right sides with their verdicts."""
    estimates = report.estimates
    found = [
        _interval(estimates["heldout_minus_train"], "+.2f"),
        _interval(estimates["mean_robustness"], ".4f"),
        _interval(estimates["gap"], ".2f"),
    ]
    known = {statement.id: statement for statement in report.statements}
    for statement_id in STATEMENTS:
        statement = known.get(statement_id)
        found.append(
            "no smaller range"
            if statement is None
            else f"{_interval(statement.rhs, '.4g')}\n{statement.verdict}"
        )
    return found


def _interval(found: Band, form: str) -> str:
    mean, low, high = (float(part) for part in found)
    if low == high or np.isnan(low):
        return f"{mean:{form}}"
    return f"{mean:{form}}\n[{low:{form}}, {high:{form}}]"


def caption(one: Audit) -> str:
    """What the table shows."""
    sample, report = one.sample, one.reports[0]
    confidence = " and ".join(
        f"{percent(found.confidence)} each {found.about}" if sample.drawn
        else f"{percent(found.confidence)} each"
        for found in one.reports
    )  # fmt: skip
    return (
        "eta, xi: discounted returns under the renderings trained on, and held out; gap: (1-M)"
        f" |xi - eta|, M = {sample.train_mass:.3g} for the first line. Right sides of gap <= ...:"
        f" rewards of a step have width Delta = {sample.reward_range:g} and returns-to-go W ="
        f" {sample.return_range:g}, both proven from the game's source; with return range, W stands"
        " for Delta/(1-gamma). A0 is A2 at R = 1; R itself is unknown. Intervals and verdicts at"
        f" {confidence}, method {report.method}, over levels; estimates illustrate a bound, they do"
        " not prove it."
    )
