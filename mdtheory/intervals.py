"""Means over independent repetitions, with the interval that says how sure they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.stats

LEVEL = 0.95


class Band(NamedTuple):
    """Means with two-sided 95 % Student intervals; nan ends for a single repetition."""

    mean: Any
    low: Any
    high: Any


def band(per_seed: np.ndarray) -> Band:
    """Over the last axis (seeds) of values [..., seed]."""
    n = per_seed.shape[-1]
    mean = per_seed.mean(axis=-1)
    if n < 2:
        nothing = np.full_like(mean, np.nan)
        return Band(mean, nothing, nothing)
    half = scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1) * per_seed.std(axis=-1, ddof=1) / np.sqrt(n)
    return Band(mean, mean - half, mean + half)


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
