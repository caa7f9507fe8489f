"""From bytes to distributions and numbers, so that smaller bytes give simpler ones.

The strategies draw bytes, which Hypothesis makes quickly and shrinks entry by entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

MAX_COUNT = 6
"""Rational probabilities are counts up to this over their sum, where nothing else is said."""


def rows(
    noise: np.ndarray, exact: bool, *, max_count: int = MAX_COUNT, kind: str = "dense"
) -> np.ndarray:
    """Noise [..., n] as distributions along the last axis, 0 as [1, 0, ..., 0]."""
    top = max_count if exact else 128
    counts = np.maximum(noise * (2 * top + 1) // 256 - top, int(kind == "ergodic"))
    largest_first = np.argsort(-noise, axis=-1, kind="stable")
    if kind == "deterministic":
        counts[...] = 0
        np.put_along_axis(counts, largest_first[..., :1], 1, axis=-1)
    if kind == "sparse":
        np.put_along_axis(counts, largest_first[..., 2:], 0, axis=-1)
    counts[..., 0] += counts.sum(axis=-1) == 0
    # Roots, so that floats use all their digits.
    weights = counts * Fraction(1) if exact else np.sqrt(counts)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def one_hot(size: int, index: int) -> np.ndarray:
    return np.eye(size, dtype=np.int64)[index] * Fraction(1)


def numbers_between(
    low: Fraction, high: Fraction, simple: Sequence[Fraction], exact: bool
) -> list[Any]:
    """Numbers in [low, high]: simple ones first, then the ends, then a grid."""
    ends = [*(x for x in simple if low <= x <= high), low, high]
    if not exact:
        # Roots, so that floats use all their digits.
        roots = np.sqrt(np.arange(1, 100) / 100).tolist()
        grid = [(1 - root) * float(low) + root * float(high) for root in roots]
        return [*map(float, dict.fromkeys(ends)), *np.clip(grid, float(low), float(high)).tolist()]
    if Fraction(1, 4) <= high - low <= 10:
        first, last = math.ceil(12 * low), math.floor(12 * high)
        return list(dict.fromkeys([*ends, *(Fraction(k, 12) for k in range(first, last + 1))]))
    return list(dict.fromkeys([*ends, *(low + (high - low) * k / 12 for k in range(12))]))


def picked(noise: np.ndarray, numbers: list[Any]) -> np.ndarray:
    """One of the numbers for each entry of noise, the first for 0."""
    exact = isinstance(numbers[0], Fraction)
    return np.array(numbers, dtype=object if exact else np.float64)[noise * len(numbers) // 256]
