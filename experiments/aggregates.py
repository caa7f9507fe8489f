"""Aggregates of normalised scores over games, with stratified bootstrap intervals.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv
2108.13264), and its library rliable, whose numbers tests/test_aggregates.py compares with ours.

Scores are a mapping from games to normalised scores of runs, arrays [..., run]; leading axes, the
same for all games, are batch axes such as resamples.  `by_game` makes it from rliable's matrix
(runs, games).  Games may have different numbers of runs: then each game still weighs the same, and
with equal numbers everything is rliable's.  Nothing is clipped: scores may be negative or above 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mdtheory.intervals import LEVEL, Band

Scores = Mapping[str, np.ndarray]

RESAMPLES = 2000
_MOST_RESAMPLES = 1_000_000
_MOST_DRAWS = 2**18
"""How many scores of resamples are held at once."""


def by_game(scores: npt.ArrayLike, games: Sequence[str]) -> dict[str, np.ndarray]:
    """Scores of each game, [run], from a matrix (runs, games), rliable's convention.

    Raises:
        ValueError: not one column for each game, a game named twice, or a score that is no finite
            number.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(games):
        raise ValueError(
            f"scores must have a row for each run and a column for each of {len(games)} games, got"
            f" shape {list(matrix.shape)}"
        )
    if len(set(games)) < len(games):
        twice = next(game for i, game in enumerate(games) if game in games[:i])
        raise ValueError(f"games must differ, got {twice} twice")
    return _checked(dict(zip(games, matrix.T, strict=True)))


def common_games(*algorithms: Scores) -> tuple[str, ...]:
    """The games that all algorithms have runs of, in the order of the first."""
    first, *others = algorithms
    return tuple(game for game in first if all(game in other for other in others))


def mean(scores: Scores) -> np.ndarray:
    """Mean over games of the mean over runs, [...]."""
    return _means(scores).mean(axis=-1)


def median(scores: Scores) -> np.ndarray:
    """Median over games of the mean over runs, [...]; not the median of all runs."""
    return np.asarray(np.median(_means(scores), axis=-1))


def iqm(scores: Scores) -> np.ndarray:
    """Interquartile mean, [...]: the mean of the middle half of all runs of all games.

    Of n runs in total floor(n / 4) are cut off at each end, as by `scipy.stats.trim_mean(., 0.25)`.
    Where games have different numbers of runs, a run weighs 1 / (games * runs of its game), and
    that share of the whole weight is cut off.
    """
    columns = list(_checked(scores).values())
    sizes = [column.shape[-1] for column in columns]
    runs = np.concatenate(columns, axis=-1)
    n = runs.shape[-1]
    if len(set(sizes)) == 1:
        return np.sort(runs, axis=-1)[..., n // 4 : n - n // 4].mean(axis=-1)
    order = runs.argsort(axis=-1)
    weights = np.repeat([1 / (len(sizes) * size) for size in sizes], sizes)[order]
    ends = weights.cumsum(axis=-1)
    cut = (n // 4) / n
    kept = np.clip(ends, cut, 1 - cut) - np.clip(ends - weights, cut, 1 - cut)
    total = (kept * np.take_along_axis(runs, order, axis=-1)).sum(axis=-1)
    return np.asarray(total / kept.sum(axis=-1))


def optimality_gap(scores: Scores, gamma: float = 1.0) -> np.ndarray:
    """By how much runs fall short of the score gamma in the mean, [...]; less is better.

    Runs above gamma count as gamma; scores are cut nowhere else.
    """
    if not math.isfinite(gamma):
        raise ValueError(f"gamma must be a finite number, got {gamma}")
    short = {game: np.minimum(runs, gamma) for game, runs in _checked(scores).items()}
    return np.asarray(gamma - mean(short))


AGGREGATES: dict[str, Callable[[Scores], np.ndarray]] = {
    "IQM": iqm,
    "median": median,
    "mean": mean,
    "optimality gap": optimality_gap,
}
"""By the names on tables and pictures."""


def all_aggregates(scores: Scores) -> np.ndarray:
    """`AGGREGATES` in their order, [..., aggregate]."""
    return np.stack([aggregate(scores) for aggregate in AGGREGATES.values()], axis=-1)


def performance_profile(scores: Scores, taus: npt.ArrayLike) -> np.ndarray:
    """Share of runs with a score above each tau, [..., tau]: the run-score distribution."""
    tau = _checked_taus(taus)
    columns = _checked(scores).values()
    shares = [(runs[..., None, :] > tau[:, None]).mean(axis=-1) for runs in columns]
    return np.asarray(np.mean(shares, axis=0))


def average_profile(scores: Scores, taus: npt.ArrayLike) -> np.ndarray:
    """Share of games whose mean over runs is above each tau, [..., tau]: the average-score
    distribution."""
    return (_means(scores)[..., None, :] > _checked_taus(taus)[:, None]).mean(axis=-1)


def probability_of_improvement(left: Scores, right: Scores) -> np.ndarray:
    """P(a run of left scores more than one of right), averaged over games, [...].

    In each game the Mann-Whitney statistic over its number of pairs; a tie counts half.

    Raises:
        ValueError: the two have different games (`common_games`).
    """
    left, right = _checked(left), _checked(right)
    if left.keys() != right.keys():
        one = ", ".join(sorted(left.keys() ^ right.keys()))
        raise ValueError(f"left and right must have the same games, got only one with {one}")
    return np.asarray(np.mean([_wins(left[game], right[game]) for game in left], axis=0))


def stratified_bootstrap(
    samples: Scores | Sequence[Scores],
    statistic: Callable[..., np.ndarray],
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Band:
    """A statistic with its percentile interval: runs drawn again, with replacement, in each game.

    rliable's default.  The games are fixed: the interval speaks of other seeds on these games, not
    of other games.  With few runs it is too narrow, see `COVERAGE`; with one run there is nothing
    to draw, so its ends are nan as soon as any game has a single run.

    Args:
        samples: scores [run] by game; or several of them, drawn independently and passed as the
            statistic's arguments, as for `probability_of_improvement`.
        statistic: from scores [..., run] to [...], or to [..., k] for k numbers with an interval
            each.
        seed: of the drawing.
        level: of the interval.
        resamples: how often (`require_bootstrap`).

    Returns:
        `mean` is the statistic of the samples themselves.

    Raises:
        ValueError: naming the argument and its value.
    """
    require_bootstrap(seed=seed, level=level, resamples=resamples)
    given = [samples] if isinstance(samples, Mapping) else samples
    sides = [_checked(scores) for scores in given]
    if not sides:
        raise ValueError("samples must be scores by game, at least once, got none")
    estimate = statistic(*sides)
    runs = [len(column) for side in sides for column in side.values()]
    if min(runs) < 2:
        nothing = np.full_like(estimate, np.nan)
        return Band(estimate, nothing, nothing)
    rng = np.random.default_rng(seed)
    block = max(1, _MOST_DRAWS // sum(runs))
    sizes = [min(block, resamples - k) for k in range(0, resamples, block)]
    drawn = [statistic(*(_drawn(side, size, rng) for side in sides)) for size in sizes]
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(np.concatenate(drawn), tails, axis=0)
    return Band(estimate, low, high)


def require_bootstrap(*, seed: int, level: float, resamples: int) -> None:
    """Raise ValueError for a seed below 0, or too few or too many resamples for the level.

    At least 2 / (1 - level) - 1, so that the ends are not those of the most extreme resamples, and
    at most a million.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    least = math.ceil(2 / (1 - level) - 1 - 1e-6)
    if least > _MOST_RESAMPLES:
        raise ValueError(
            f"level must need at most {_MOST_RESAMPLES:,} resamples, got {level}, which needs"
            f" {least:,}"
        )
    if resamples < least:
        raise ValueError(f"resamples must be at least {least} at level {level}, got {resamples}")
    if resamples > _MOST_RESAMPLES:
        raise ValueError(f"resamples must be at most {_MOST_RESAMPLES:,}, got {resamples:,}")


def _drawn(scores: Scores, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Resamples [size, run] of each game's runs [run]."""
    return {
        game: runs[rng.integers(len(runs), size=(size, len(runs)))] for game, runs in scores.items()
    }


def _means(scores: Scores) -> np.ndarray:
    """Mean over runs, [..., game]."""
    return np.stack([runs.mean(axis=-1) for runs in _checked(scores).values()], axis=-1)


def _wins(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Share of pairs of runs in which left has more, with half of the ties, [...]."""
    ours, theirs = left[..., :, None], right[..., None, :]
    share = (ours > theirs).mean(axis=(-2, -1)) + (ours >= theirs).mean(axis=(-2, -1))
    return np.asarray(share / 2)


def _checked(scores: Scores) -> dict[str, np.ndarray]:
    """Arrays of float64, at least one game, in each at least one run, every score finite."""
    if not scores:
        raise ValueError("scores must have at least one game, got none")
    found = {game: np.asarray(runs, dtype=np.float64) for game, runs in scores.items()}
    for game, runs in found.items():
        if runs.ndim == 0 or runs.shape[-1] == 0:
            raise ValueError(f"scores[{game}] must be an array with at least one run, got none")
        if not np.isfinite(runs).all():
            bad = ", ".join(map(str, np.argwhere(~np.isfinite(runs))[0]))
            value = runs[~np.isfinite(runs)][0]
            raise ValueError(f"scores[{game}][{bad}] must be a finite number, got {value}")
    return found


def _checked_taus(taus: npt.ArrayLike) -> np.ndarray:
    found = np.asarray(taus, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise ValueError(f"taus must be a list of finite numbers, got {found.tolist()}")
    return found


def simulated_coverage(
    statistic: Callable[[Scores], np.ndarray],
    *,
    runs: int,
    games: int,
    seed: int = 0,
    simulations: int = 10_000,
    resamples: int = RESAMPLES,
) -> float:
    """How often the 95 % interval of a statistic holds the truth, 0, for runs of equal number.

    Scores are normal around 0, with deviations from 0.05 to 0.3 over the games, 0.15 for one game.
    """
    rng = np.random.default_rng(seed)
    spread = np.linspace(0.05, 0.3, games) if games > 1 else np.array([0.15])
    names = [str(k) for k in range(games)]
    hits = 0
    for _ in range(simulations):
        scores = by_game(rng.normal(0, spread, (runs, games)), names)
        found = stratified_bootstrap(scores, statistic, resamples=resamples)
        hits += bool(found.low <= 0 <= found.high)
    return hits / simulations


COVERAGE = {2: (0.50, 0.80), 3: (0.75, 0.87), 5: (0.84, 0.91), 10: (0.90, 0.93)}
"""By runs of each game, how often the 95 % interval of the mean over one game and over sixteen held
the truth in 10,000 simulations (`simulated_coverage` of the mean); exactly a half for two runs of
one game, whose interval is from one to the other."""


def few_runs(n: int) -> str | None:
    """What an interval from n runs of each game is worth, where that is less than it says."""
    if n < 2:
        return "there is no interval, and nothing is known of how another seed would score"
    if n >= max(COVERAGE):
        return None
    known = max(k for k in COVERAGE if k <= n)
    one, sixteen = COVERAGE[known]
    return (
        f"the intervals are too narrow; with {known} runs, simulated 95 % intervals of the mean"
        f" held the truth {one:.0%} of the time for one game and {sixteen:.0%} for sixteen"
    )
