"""A mean over seeds with its interval, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats

from mdtheory.intervals import Band, band, decides


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided 95 % Student interval over `n` seeds; nan bounds if n = 1.

    `p` is the two-sided p-value of the mean being 0.
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
    n = len(per_seed)
    mean, low, high = (float(x) for x in band(per_seed))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / (per_seed.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return Interval(
        mean=mean, low=low, high=high, p=float(2 * scipy.stats.t.sf(abs(t), n - 1)), n=n
    )
