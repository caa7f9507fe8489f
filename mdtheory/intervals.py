"""Means over independent repetitions, with the interval that says how sure they are.

Asymptotic are Student's intervals, and the bootstrap for a ratio of sums over clusters.
Hoeffding's and the empirical Bernstein half-widths are true for every number of values, if these
lie in a known range.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from mdtheory.validation import whole_number

LEVEL = 0.95

ROUNDING = 1e-9
"""Share of a known width by which rounding may make values exceed it."""
_NO_WIDTH = 1e-9
"""Intervals narrower than this share of the mean are points."""
_NO_SPREAD = 1e-12
"""Residuals below this share of the largest total are rounding."""
_MOST_COUNTS = 2**22
"""How many counts of a bootstrap are held at once."""


class Band(NamedTuple):
    """Means, or differences or ratios of them, with their intervals; ends are nan where there is
    none."""

    mean: Any
    low: Any
    high: Any


def band(per_seed: np.ndarray) -> Band:
    """With Student's interval, over the last axis (seeds) of values [..., seed]."""
    mean, half = per_seed.mean(axis=-1), student_half_width(per_seed, delta=1 - LEVEL)
    return Band(mean, mean - half, mean + half)


def decides(interval: Band) -> Any:
    """Whether an interval tells the sign of what it is about, for each mean.

    It does not if 0 lies in it or is an end, nor if an end is nan or infinite.  One without width
    tells nothing either: that few repetitions happen to agree is no certainty.
    """
    low, high = interval.low, interval.high
    clear = np.isfinite(high - low) & ~np.asarray(without_width(interval))
    return ((low > 0) | (high < 0)) & clear


def without_width(interval: Band) -> Any:
    """Whether an interval is a point, up to rounding, for each mean."""
    return interval.high - interval.low <= _NO_WIDTH * abs(interval.mean)


def welch(left: np.ndarray, right: np.ndarray) -> Band:
    """Difference of the means of two independent samples with Welch's 95 % interval.

    Variances may differ; nan ends if a sample has a single value.
    """
    difference = float(left.mean() - right.mean())
    sizes = np.array([len(left), len(right)])
    if sizes.min() < 2:
        return Band(difference, float("nan"), float("nan"))
    errors = np.array([left.var(ddof=1), right.var(ddof=1)]) / sizes  # of the means, squared
    if not errors.any():
        return Band(difference, difference, difference)
    freedom = errors.sum() ** 2 / (errors**2 / (sizes - 1)).sum()
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(errors.sum()))
    return Band(difference, difference - half, difference + half)


def ratio_band(
    totals: np.ndarray,
    sizes: np.ndarray,
    *,
    seed: int,
    level: float = LEVEL,
    resamples: int = 1999,
) -> Band:
    """A ratio of means over independent clusters, such as TV per visited state, by the bootstrap.

    The estimate is sum(totals) / sum(sizes).  Its interval is the bootstrap-t of the clusters
    (Efron & Tibshirani 1993, ch. 12.5) with the linearised standard error: what one cluster adds to
    the ratio's error is (total - ratio * size) / sum(sizes).  On skewed clusters its coverage is
    nearer to the level than that of Student's interval (tests/test_intervals.py).

    Args:
        totals: [..., cluster], for example sums over an episode's steps.
        sizes: the same shape, above 0, for example the episodes' lengths.
        seed: of the resampling, which all members of a batch share.
        level: of the interval.
        resamples: how often the clusters are drawn again.

    Returns:
        Ends are nan for one cluster, equal to the ratio where all clusters have the same ratio, and
        infinite where too many resamples have no spread, as with a few clusters or rare totals.

    Raises:
        ValueError: naming the argument and its value.
    """
    totals, sizes = np.asarray(totals, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if totals.ndim == 0 or totals.shape != sizes.shape:
        raise ValueError(
            "totals and sizes must have one shape [..., cluster], got"
            f" {list(totals.shape)} and {list(sizes.shape)}"
        )
    if totals.size == 0 or not np.isfinite(totals).all():
        raise ValueError(f"totals must be finite numbers, at least one, got {_odd(totals)}")
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(f"sizes must be finite and above 0, got {_odd(sizes, sizes <= 0)}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    # A small share of the tail forgives that 2 / (1 - level) is rounded.
    tail = math.floor((resamples + 1) * (1 - level) / 2 + 1e-6)
    if tail < 1:
        raise ValueError(f"resamples must be at least 2 / (1 - level) - 1, got {resamples}")
    n = totals.shape[-1]
    whole = sizes.sum(axis=-1)
    ratio = totals.sum(axis=-1) / whole
    if n < 2:
        nothing = np.full_like(ratio, np.nan)
        return Band(ratio, nothing, nothing)
    residual = totals - ratio[..., None] * sizes
    rng = np.random.default_rng(seed)
    block = max(1, _MOST_COUNTS // n)
    sizes_of_blocks = [min(block, resamples - k) for k in range(0, resamples, block)]
    t = np.concatenate(
        [
            _t_statistics(residual, sizes, rng.multinomial(n, np.full(n, 1 / n), size=size))
            for size in sizes_of_blocks
        ],
        axis=-1,
    )
    t = np.partition(t, (tail - 1, -tail), axis=-1)
    error = np.sqrt((residual**2).sum(axis=-1)) / whole
    with np.errstate(invalid="ignore"):  # infinity times no error, where all are the same
        low, high = ratio - t[..., -tail] * error, ratio - t[..., tail - 1] * error
    same = abs(residual).max(axis=-1) <= _NO_SPREAD * abs(totals).max(axis=-1)
    return Band(ratio, np.where(same, ratio, low), np.where(same, ratio, high))


def _t_statistics(residual: np.ndarray, sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(ratio* - ratio) / error* of resamples, [..., resample]; infinite for those without spread.

    Args:
        residual: totals - ratio * sizes, [..., cluster].
        sizes: [..., cluster].
        counts: how often each cluster was drawn, [resample, cluster].
    """
    draws = counts.T.astype(np.float64)
    drawn = sizes @ draws
    shift = residual @ draws / drawn
    squares = (
        residual**2 @ draws - 2 * shift * (residual * sizes @ draws) + shift**2 * (sizes**2 @ draws)
    )
    rounding = _NO_SPREAD * (residual**2).sum(axis=-1)[..., None]
    error = np.sqrt(np.where(squares > rounding, squares, 0.0)) / drawn
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, shift / error, np.copysign(np.inf, shift))


def student_half_width(values: np.ndarray, *, delta: float) -> np.ndarray:
    """Of Student's two-sided interval at confidence 1 - delta over the last axis; asymptotic.

    nan for a single value.
    """
    _require_delta(delta)
    n = values.shape[-1]
    if n < 2:
        return np.full(values.shape[:-1], np.nan)
    quantile = scipy.stats.t.ppf(1 - delta / 2, n - 1)
    return np.asarray(quantile * values.std(axis=-1, ddof=1) / np.sqrt(n))


def hoeffding_half_width(n: int, *, width: Any, delta: float) -> Any:
    """Two-sided, for the mean of n independent values in an interval of this width.

        P(abs(mean - expectation) >= width sqrt(log(2/delta) / (2n))) <= delta

    for every n and every distribution (Hoeffding 1963, theorem 2).

    Raises:
        ValueError: naming the argument and its value.
    """
    _require_delta(delta)
    _require_width(width)
    return width * math.sqrt(math.log(2 / delta) / (2 * whole_number("n", n, 1)))


def bernstein_half_width(values: np.ndarray, *, width: Any, delta: float) -> np.ndarray:
    """Two-sided, for the mean over the last axis of n independent values of one distribution.

        sqrt(2 V log(4/delta) / n) + 7 width log(4/delta) / (3 (n - 1)),   V with n - 1

    for every n >= 2 and every distribution on an interval of this width (Maurer & Pontil 2009,
    theorem 4, once for each side).  Better than Hoeffding's where the variance is small.

    Args:
        values: [..., n].
        width: of the known interval, [...]; a width of 0 gives 0.
        delta: the probability of being wrong.

    Returns:
        [...]; nan for a single value of positive width.

    Raises:
        ValueError: naming the argument and its value, also when the values spread wider than
            `width`.
    """
    _require_delta(delta)
    _require_width(width)
    spread = np.asarray(values.max(axis=-1) - values.min(axis=-1))
    excess = np.asarray(
        spread > np.asarray(width) * (1 + ROUNDING) + _NO_SPREAD * abs(values).max()
    )
    if excess.any():
        raise ValueError(
            f"width must be at least the spread of the values, {spread[excess].max():g}, got"
            f" {np.broadcast_to(width, excess.shape)[excess].min():g}"
        )
    n = values.shape[-1]
    if n < 2:
        return np.where(np.asarray(width) > 0, np.nan, np.zeros(values.shape[:-1]))
    log = math.log(4 / delta)
    half = np.sqrt(2 * values.var(axis=-1, ddof=1) * log / n) + 7 * width * log / (3 * (n - 1))
    return np.where(np.asarray(width) > 0, half, 0.0)


def _odd(array: np.ndarray, also: np.ndarray | bool = False) -> str:
    """The first entry that is not finite, or in `also`; or that there is none at all."""
    bad = array[~np.isfinite(array) | also]
    return "none" if array.size == 0 else f"{bad.flat[0]}"


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie in (0, 1), got {delta}")


def _require_width(width: Any) -> None:
    if not (np.isfinite(width) & (np.asarray(width) >= 0)).all():
        raise ValueError(f"width must be finite and at least 0, got {width}")
