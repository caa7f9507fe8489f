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
