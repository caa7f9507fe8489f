"""A mean over seeds with its interval, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.stats

from mdtheory.intervals import Band, band, decides, without_width


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided 95 % Student interval over `n` seeds; nan bounds if n = 1.

    `p` is the two-sided p-value of the mean being 0; nan where there is no spread to tell.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int

    @property
    def decides(self) -> bool:
        """See `mdtheory.intervals.decides`."""
        return bool(decides(Band(self.mean, self.low, self.high)))

    def __str__(self) -> str:
        if self.n < 2:
            return f"{self.mean:.3f} (one seed, no interval)"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def compact(self, digits: int, sign: str = "") -> str:
        """`0.320 ±0.019`, for narrow tables."""
        half = "" if self.n < 2 else f" ±{(self.high - self.low) / 2:.{digits}f}"
        return f"{self.mean:{sign}.{digits}f}{half}"

    def signed(self) -> str:
        """As a difference, with its sign."""
        if self.n < 2:
            return f"{self.mean:+.4f} (one seed, no interval)"
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def interval(per_seed: np.ndarray) -> Interval:
    """Mean and Student interval of values [seed]."""
    n, found = len(per_seed), band(per_seed)
    mean, low, high = (float(x) for x in found)
    p = math.nan
    if n > 1 and not without_width(found):
        t = mean / (per_seed.std(ddof=1) / math.sqrt(n))
        p = float(2 * scipy.stats.t.sf(abs(t), n - 1))
    return Interval(mean=mean, low=low, high=high, p=p, n=n)
