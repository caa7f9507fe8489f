"""Algorithms at matched budgets: environment steps, wall-clock hours, and parameters.

A score is a run's mean return on test levels (sampled actions, mean over its agents), read off
between two evaluations on a straight line and never beyond the first or last.  On several games it
is normalised by the game's range and aggregated by the interquartile mean over runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.aggregates import iqm, stratified_bootstrap
from experiments.envs.procgen.games import Normalization
from experiments.procgen.comparison.across_games import (
    Algorithm,
    evaluated_returns,
    find_algorithms,
    require_one_protocol,
)
from experiments.procgen.comparison.compare import compare, order_key
from experiments.procgen.comparison.curves import Curves, return_range
from mdtheory.intervals import Band, band, welch

COSTS = {"steps": "environment steps of all agents together", "hours": "wall-clock hours"}
"""What a budget is of: of a whole run, not of each agent."""
_MOST_POINTS = 25
"""Of a curve of several games, whose every point is a bootstrap."""


class Scored(NamedTuple):
    """A run's evaluations: what it had cost by then, and its score, both [evaluation]."""

    cost: np.ndarray
    score: np.ndarray

    def at(self, budget: float) -> float:
        """Nan before the first and after the last evaluation."""
        if not len(self.cost) or not self.cost[0] <= budget <= self.cost[-1]:
            return math.nan
        return float(np.interp(budget, self.cost, self.score))


@dataclass(frozen=True, eq=False)
class Matched:
    """Runs of several algorithms on the same games.

    Attributes:
        algorithms: with runs of these games only, each evaluated at least once.
        games: in order.
        normalization: which returns of several games are 0 and 1.
        dropped: sentences about what is left out.
        notes: sentences about how far runs are.
    """

    algorithms: tuple[Algorithm, ...]
    games: tuple[str, ...]
    normalization: Normalization
    dropped: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def normalized(self) -> bool:
        """Whether scores are normalised returns rather than returns."""
        return len(self.games) > 1

    def scored(self, run: Curves, cost: str) -> Scored:
        """A run's evaluations against "steps" or "hours"; hours only as far as they were timed."""
        updates, returns = evaluated_returns(run)
        by_update = {
            "steps": np.arange(1.0, run.done + 1) * run.config.samples * run.config.agents,
            "hours": run.hours,
        }[cost]
        costs = by_update[updates - 1] if len(updates) else np.zeros(0)
        if self.normalized:
            found = return_range(run.config, self.normalization)
            assert found is not None  # find_matched has seen to it
            returns = found.normalized(returns)
        known = np.isfinite(costs)
        return Scored(costs[known], returns[known])

    def budget(self, cost: str) -> float | None:
        """The most that every run was evaluated after; None if no budget suits all."""
        scored = [self.scored(run, cost) for one in self.algorithms for run in one.runs]
        if not scored or any(not len(s.cost) for s in scored):
            return None
        budget = min(float(s.cost[-1]) for s in scored)
        return budget if budget >= max(float(s.cost[0]) for s in scored) else None

    def scores(self, one: Algorithm, cost: str, budget: float) -> dict[str, np.ndarray]:
        """By game the scores of its runs, [run], nan outside their evaluations."""
        return {
            game: np.array([self.scored(run, cost).at(budget) for run in runs])
            for game, runs in one.games.items()
        }

    def estimate(self, scores: Mapping[str, np.ndarray]) -> Band:
        """Mean with Student's interval of one game, IQM with the bootstrap's of several."""
        if self.normalized:
            return stratified_bootstrap(scores, iqm)
        return band(scores[self.games[0]])

    def curve(self, one: Algorithm, cost: str) -> tuple[np.ndarray, list[Band]]:
        """Costs, where all runs of an algorithm have a score, and its estimates."""
        scored = [self.scored(run, cost) for run in one.runs]
        if any(not len(s.cost) for s in scored):
            return np.zeros(0), []
        first, last = max(s.cost[0] for s in scored), min(s.cost[-1] for s in scored)
        costs = np.unique(np.concatenate([s.cost for s in scored]))
        costs = costs[(first <= costs) & (costs <= last)]
        if self.normalized and len(costs) > _MOST_POINTS:
            costs = np.linspace(first, last, _MOST_POINTS)
        return costs, [self.estimate(self.scores(one, cost, float(c))) for c in costs]


@dataclass(frozen=True)
class Difference:
    """Left minus right at a matched budget.

    `paired` by seed or of independent runs; `seeds`, the fewest and most runs of a game and side.
    """

    left: Algorithm
    right: Algorithm
    cost: str
    budget: float
    band: Band
    paired: bool
    seeds: tuple[int, int]


def find_matched(runs: Sequence[Path], normalization: Normalization = "train-procgen") -> Matched:
    """Read runs of one mode and one set of training levels.

    Games that some algorithm has no evaluated run of are left out, and runs without an evaluation;
    sentences say so.

    Args:
        runs: folders of `mdpo train`.
        normalization: by which returns of several games become comparable.

    Raises:
        FileNotFoundError: a folder holds no run.
        ValueError: no runs, runs of several modes or sets of training levels, a damaged log, one
            seed twice, nothing evaluated, or several games in a mode without ranges.
    """
    comparison = compare(runs)
    everyone = [run for task in comparison.tasks for run in task.runs]
    require_one_protocol(everyone)
    evaluated = [run for run in everyone if len(evaluated_returns(run)[0])]
    if not evaluated:
        raise ValueError("runs must have been evaluated on test levels, got none that was")
    dropped = [
        f"{run.name} was not yet evaluated on test levels and is left out."
        for run in everyone
        if run not in evaluated
    ]
    levels = evaluated[0].config.levels.train
    algorithms = find_algorithms(evaluated, levels)
    games = [game for game in algorithms[0].games if all(game in one.games for one in algorithms)]
    if not games:
        raise ValueError("runs must share a game that all algorithms were evaluated on, got none")
    for game in sorted({run.config.game for run in evaluated} - set(games)):
        lacking = [one.label for one in algorithms if game not in one.games]
        dropped.append(f"{game} is left out: no evaluated run of {'; '.join(lacking)}.")
    kept = [run for run in evaluated if run.config.game in games]
    if len(games) > 1 and return_range(kept[0].config) is None:
        mode = kept[0].config.distribution_mode
        raise ValueError(f"runs on several games must be in easy or hard mode, got {mode}")
    found = find_algorithms(kept, levels)
    return Matched(
        tuple(found), tuple(games), normalization, tuple(dropped), tuple(comparison.notes)
    )


def differences(matched: Matched) -> list[Difference]:
    """Of every two algorithms at the largest common steps and hours, in this order."""
    found = []
    order = sorted(matched.algorithms, key=lambda one: order_key(one.config))
    for cost in COSTS:
        budget = matched.budget(cost)
        if budget is not None:
            pairs = itertools.combinations(order, 2)
            found += [_difference(matched, left, right, cost, budget) for left, right in pairs]
    return found


def _difference(
    matched: Matched, left: Algorithm, right: Algorithm, cost: str, budget: float
) -> Difference:
    a, b = (matched.scores(one, cost, budget) for one in (left, right))
    game = matched.games[0]
    paired = not matched.normalized and seeds_of(left, game) == seeds_of(right, game)
    if matched.normalized:
        found = stratified_bootstrap([a, b], lambda x, y: iqm(x) - iqm(y))
    else:
        found = band(a[game] - b[game]) if paired else welch(a[game], b[game])
    sizes = [len(scores) for side in (a, b) for scores in side.values()]
    return Difference(left, right, cost, budget, found, paired, (min(sizes), max(sizes)))


def seeds_of(one: Algorithm, game: str) -> list[int]:
    """In order."""
    return [run.config.seed for run in one.games[game]]
