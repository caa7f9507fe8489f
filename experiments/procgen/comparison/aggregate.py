"""Aggregates over games of runs on Procgen, or of scores from a file: normalised, with intervals.

Algorithms are put side by side on the games that all of them have runs of, pairs on those that both
have; what is left out is said.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from experiments import aggregates
from experiments.envs.procgen.games import GAMES, NORMALIZATIONS, ReturnRange
from experiments.procgen.comparison.score_file import Run
from mdtheory.intervals import LEVEL, Band

RAW = "none"
"""The normalization of scores that are taken as they are."""
Scores = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How runs become numbers: the mode and the table by which returns are normalised, the levels
    played, and the intervals."""

    mode: str = ""
    normalization: str = "train-procgen"
    split: str = "test"
    level: float = LEVEL
    resamples: int = aggregates.RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        aggregates.require_bootstrap(seed=self.seed, level=self.level, resamples=self.resamples)

    @property
    def ranges(self) -> Mapping[str, ReturnRange] | None:
        """By game, the returns that become 0 and 1; None where scores are taken as they are."""
        if self.normalization == RAW:
            return None
        return NORMALIZATIONS[self.normalization][self.mode]

    @property
    def words(self) -> str:
        """What a normalised score is."""
        if self.normalization == RAW:
            return "scores as given, not normalised"
        return f"scores normalised by {self.normalization}, {self.mode} mode"

    def bootstrap(
        self, samples: Scores | Sequence[Scores], statistic: Callable[..., np.ndarray]
    ) -> Band:
        return aggregates.stratified_bootstrap(
            samples, statistic, seed=self.seed, level=self.level, resamples=self.resamples
        )


class Improvement(NamedTuple):
    """P(a run of left scores more than one of right) with its interval, on their common games."""

    left: str
    right: str
    games: tuple[str, ...]
    probability: Band


@dataclass(frozen=True, eq=False)
class Aggregation:
    """Runs and everything that follows from them."""

    runs: tuple[Run, ...]
    settings: Settings
    notes: tuple[str, ...] = ()
    command: str = ""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("there is no run with a score to aggregate")
        if not self.games:
            has = "; ".join(f"{name}: {', '.join(own)}" for name, own in self.raw.items())
            raise ValueError(f"algorithms must have a game in common, got {has}")

    @functools.cached_property
    def raw(self) -> dict[str, Scores]:
        """Scores as they were found, [run], by algorithm and game."""
        found: dict[str, dict[str, list[float]]] = {}
        for run in sorted(self.runs, key=lambda run: run.game):
            found.setdefault(run.algorithm, {}).setdefault(run.game, []).append(run.score)
        names = dict.fromkeys(run.algorithm for run in self.runs)
        return {name: {g: np.array(x) for g, x in found[name].items()} for name in names}

    @functools.cached_property
    def scores(self) -> dict[str, Scores]:
        """Normalised, [run], by algorithm and game, whether or not others have the game."""
        return {
            name: {game: self.normalized(game, x) for game, x in own.items()}
            for name, own in self.raw.items()
        }

    def normalized(self, game: str, score: np.ndarray) -> np.ndarray:
        """0 at the low and 1 at the high end of the game's range; never clipped."""
        if self.settings.ranges is None:
            return score
        return self.settings.ranges[game].normalized(score)

    @property
    def algorithms(self) -> tuple[str, ...]:
        return tuple(self.raw)

    @functools.cached_property
    def all_games(self) -> tuple[str, ...]:
        """Games that any algorithm has a run of."""
        return tuple(sorted({run.game for run in self.runs}))

    @functools.cached_property
    def games(self) -> tuple[str, ...]:
        """Games that all algorithms have runs of: those averaged over."""
        return aggregates.common_games(*self.raw.values())

    def common(self, name: str) -> Scores:
        """An algorithm's normalised scores of the games that all have."""
        return {game: self.scores[name][game] for game in self.games}

    @functools.cached_property
    def aggregates(self) -> dict[str, dict[str, Band]]:
        """By algorithm and name of the aggregate, over the common games."""
        found = {}
        for name in self.algorithms:
            bands = self.settings.bootstrap(self.common(name), aggregates.all_aggregates)
            found[name] = {
                kind: Band(*(float(end[k]) for end in bands))
                for k, kind in enumerate(aggregates.AGGREGATES)
            }
        return found

    @functools.cached_property
    def improvements(self) -> tuple[Improvement, ...]:
        """For each pair of algorithms with a game in common, over those games."""
        found = []
        for left, right in itertools.combinations(self.algorithms, 2):
            games = aggregates.common_games(self.scores[left], self.scores[right])
            sides = [{g: self.scores[name][g] for g in games} for name in (left, right)]
            band = self.settings.bootstrap(sides, aggregates.probability_of_improvement)
            found.append(Improvement(left, right, games, Band(*map(float, band))))
        return tuple(found)

    @functools.cached_property
    def taus(self) -> np.ndarray:
        """Where profiles are taken: from 0 to 1, and as far as scores reach beyond."""
        every = np.concatenate([x for name in self.algorithms for x in self.common(name).values()])
        return np.linspace(min(0.0, float(every.min())), max(1.0, float(every.max())), 201)

    def profiles(self, average: bool = False) -> dict[str, Band]:
        """By algorithm, [tau]: the share of runs above each tau, or of games by their means."""
        of = aggregates.average_profile if average else aggregates.performance_profile
        return {
            name: self.settings.bootstrap(self.common(name), lambda x: of(x, self.taus))
            for name in self.algorithms
        }

    @property
    def sentences(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        return [*_left_out(self), *_how_few(self), *_without_width(self), *self.notes]


def _left_out(found: Aggregation) -> list[str]:
    """Games that are not averaged over, and who lacks them."""
    lacking: dict[str, list[str]] = {}
    for game in found.all_games:
        names = [name for name in found.algorithms if game not in found.raw[name]]
        if names:
            lacking.setdefault(", ".join(names), []).append(game)
    sentences = [
        f"No run of {', '.join(games)} by {names}: left out of all aggregates and profiles."
        for names, games in lacking.items()
    ]
    ranges = found.settings.ranges
    n = len(found.games)
    if ranges is not None and n < len(GAMES):
        sentences.append(
            f"The aggregates are over {n} of Procgen's {len(GAMES)} games:"
            f" {', '.join(found.games)}."
        )
    return sentences


def _how_few(found: Aggregation) -> list[str]:
    """For each number of runs that is few, who has so few and what that means."""
    by_number: dict[int, list[str]] = {}
    for name, own in found.raw.items():
        sizes = {game: len(own[game]) for game in found.games}
        least = min(sizes.values())
        games = [game for game in found.games if sizes[game] == least]
        where = "" if len(games) == len(sizes) else f" in {', '.join(games)}"
        by_number.setdefault(least, []).append(f"{name}{where}")
    sentences = []
    if any(len({len(own[game]) for game in found.games}) > 1 for own in found.raw.values()):
        sentences.append("Games have different numbers of runs; every game weighs the same.")
    for n, names in sorted(by_number.items()):
        words = aggregates.few_runs(n)
        if words is not None:
            runs = "one run" if n == 1 else f"{n} runs"
            sentences.append(f"With {runs} of a game ({'; '.join(names)}) {words}.")
    return sentences


def _without_width(found: Aggregation) -> list[str]:
    """Pairs whose interval is a single point, which is no certainty."""
    sentences = []
    for left, right, games, probability in found.improvements:
        if probability.low != probability.high:  # nan ends differ too
            continue
        why = "drawing the same runs again never changes it"
        for ahead, behind in ((left, right), (right, left)):
            sides = [(found.scores[ahead][game], found.scores[behind][game]) for game in games]
            if all(a.min() > b.max() for a, b in sides):
                why = (
                    f"all runs of {ahead} are ahead of all runs of {behind} in every game, as all"
                    " of one of two equal algorithms are, whichever of the two, with probability"
                    f" {_chance_ahead([(len(a), len(b)) for a, b in sides]):.2g}"
                )
        sentences.append(
            f"The probability that {left} is better than {right} has an interval without width, but"
            f" is not certain: {why}."
        )
    return sentences


def _chance_ahead(sizes: Sequence[tuple[int, int]]) -> float:
    """P(all runs of one are ahead of all of the other in every game, either one) if both are equal.

    From the runs of each in each game: in a game the better runs are any of them, equally likely.
    """
    return 2 * math.prod(1 / math.comb(n + m, n) for n, m in sizes)
