"""Tables and sentences about algorithms at matched budgets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import scipy.stats
from rich.markup import escape
from rich.table import Table

from experiments.aggregates import few_runs
from experiments.procgen.comparison.across_games import Algorithm
from experiments.procgen.comparison.compute import COSTS, Difference, Matched, differences
from experiments.procgen.comparison.curves import Curves
from experiments.procgen.interval_words import decision, with_ends
from mdtheory.intervals import LEVEL, Band, without_width

_FEW = 10
"""With fewer seeds, sentences say that Student's intervals are wide."""
_UNLIKE = 1.5
"""Runs of one algorithm whose speeds differ by more than this factor are told."""


def budget_in_words(cost: str, budget: float) -> str:
    """Such as `1,966,080 environment steps of all agents together`."""
    return f"{budget:,.0f} {COSTS[cost]}" if cost == "steps" else f"{budget:.3g} {COSTS[cost]}"


def interval_in_words(found: Band, sign: str = "", digits: int = 2) -> str:
    """A mean with its interval, or that there is none."""
    mean = f"{float(found.mean):{sign}.{digits}f}"
    if not math.isfinite(found.low):
        return f"{mean} (one seed, no interval)"
    if without_width(found):
        return f"{mean} (all the same, no interval)"
    return with_ends(found, sign, digits)


def measure(matched: Matched) -> str:
    """What a score is, in words."""
    if matched.normalized:
        return (
            f"IQM of test returns normalised by {matched.normalization} over {len(matched.games)}"
            " games"
        )
    return f"test return on {matched.games[0]}"


def sentences(matched: Matched) -> list[str]:
    """A sentence for each difference and each budget that does not exist, then the warnings."""
    found = [
        f"No number of {words} suits all runs: some has no evaluation there."
        for cost, words in COSTS.items()
        if matched.budget(cost) is None
    ]
    found += [_sentence(matched, d) for d in differences(matched)]
    return [*found, *_parameters(matched), *_few(matched), *time_notes(matched), *matched.dropped]


def _sentence(matched: Matched, d: Difference) -> str:
    alone = not math.isfinite(d.band.low)
    verdict = "one seed: no interval, so nothing can be said" if alone else decision(d.band)
    least, most = d.seeds
    n = f"{least} seed{'s' if least > 1 else ''}" if least == most else f"{least} to {most} seeds"
    kind = "paired by seed" if d.paired else "of independent runs"
    digits = 3 if matched.normalized else 2
    return (
        f"At {budget_in_words(d.cost, d.budget)}, {measure(matched)}: {d.left.label} minus"
        f" {d.right.label} {interval_in_words(d.band, '+', digits)}, {kind}, {n}; {verdict}."
    )


def _parameters(matched: Matched) -> list[str]:
    sizes = {one.label: one.runs[0].parameters for one in matched.algorithms}
    if len(sizes) < 2:
        return []
    if len(set(sizes.values())) == 1:
        return [f"All train {next(iter(sizes.values())):,} parameters: matched."]
    shown = "; ".join(f"{label} {size:,}" for label, size in sizes.items())
    return [f"Parameters are not matched: {shown}."]


def _few(matched: Matched) -> list[str]:
    """What few seeds do to the intervals."""
    n = min(len(runs) for one in matched.algorithms for runs in one.games.values())
    if n < 2:
        return ["Some algorithm has one seed on a game, which has no interval."]
    if matched.normalized:
        words = few_runs(n)
        return [] if words is None else [f"With {n} seeds a game {words}."]
    if n >= _FEW:
        return []
    factor = scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1)
    return [
        f"Few seeds give wide intervals: with {n} they reach {factor:.1f} standard errors to each"
        " side, and even that relies on returns being normally distributed."
    ]


def time_notes(matched: Matched) -> list[str]:
    """Whether hours can be compared, as far as the logs know."""
    runs = [run for one in matched.algorithms for run in one.runs]
    notes = list(_machines(runs))
    for name in ("device", "precision", "env_threads"):
        values = {str(getattr(run.config, name)) for run in runs}
        if len(values) > 1:
            notes.append(f"Hours are of different settings: {name} {' and '.join(sorted(values))}.")
    notes += [
        f"{run.name} was not timed throughout and is missing from the hours."
        for run in runs
        if not math.isfinite(run.total_hours)
    ]
    return notes + [note for one in matched.algorithms for note in _unlike(one)]


def _machines(runs: Sequence[Curves]) -> Iterable[str]:
    """Hours of different machines say nothing about algorithms."""
    users: dict[str, list[str]] = {}
    for run in runs:
        for machine in run.machines:
            users.setdefault(machine, []).append(run.name)
    unnamed = users.pop("", [])
    if unnamed:
        timed = sum(bool(run.machines) for run in runs)
        who = "Logs do" if len(unnamed) == timed else f"The logs of {', '.join(unnamed)} do"
        yield f"{who} not name the machine: hours compare algorithms on one machine only."
    if len(users) > 1:
        shown = "; ".join(f"{machine} ({', '.join(names)})" for machine, names in users.items())
        yield f"Hours are of different machines and compare no algorithms: {shown}."


def _unlike(one: Algorithm) -> Iterable[str]:
    """Runs of one algorithm and game that differ in speed were hardly made on equal machines."""
    for game, runs in one.games.items():
        timed: list[Curves] = sorted(
            (run for run in runs if math.isfinite(run.speed)), key=lambda run: run.speed
        )
        if timed and timed[-1].speed > _UNLIKE * timed[0].speed:
            ratio = timed[-1].speed / timed[0].speed
            yield (
                f"{timed[-1].name} was {ratio:.1f} times as fast as {timed[0].name} ({one.label},"
                f" {game}): another machine, or a shared one."
            )


def table(matched: Matched) -> Table:
    """Scores at matched budgets, for the terminal."""
    kind = "95 % bootstrap intervals" if matched.normalized else "95 % Student intervals over seeds"
    found = Table(title=f"{measure(matched)}, {kind}", title_justify="left")
    for column in ("algorithm", "seeds a game", "parameters"):
        found.add_column(column, overflow="fold")
    budgets = {cost: matched.budget(cost) for cost in COSTS}
    for cost, budget in budgets.items():
        found.add_column(
            f"no common {COSTS[cost]}" if budget is None else f"at {budget_in_words(cost, budget)}"
        )
    digits = 3 if matched.normalized else 2
    for one in matched.algorithms:
        seeds = sorted({len(runs) for runs in one.games.values()})
        cells = [
            "–"
            if budget is None
            else interval_in_words(
                matched.estimate(matched.scores(one, cost, budget)), digits=digits
            )
            for cost, budget in budgets.items()
        ]
        found.add_row(
            escape(one.label),
            " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))),
            f"{one.runs[0].parameters:,}",
            *cells,
        )
    return found
