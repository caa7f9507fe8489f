"""Numbers with their intervals, and what these decide, in words.

An interval decides the sign of a number if it excludes 0.  One without ends (a single level or
seed) decides nothing, and neither does one without width: numbers that are all the same say nothing
about their spread.
"""

from __future__ import annotations

import math
from typing import Literal

from mdtheory.intervals import Band, decides, without_width

Decision = Literal["higher", "lower", "undecided"]


def decision(found: Band) -> Decision:
    """Whether a number is above 0, below, or the interval does not say."""
    if not decides(found):
        return "undecided"
    return "higher" if found.low > 0 else "lower"


def with_interval(found: Band, digits: int = 2, sign: str = "") -> str:
    """`−1.20 [−2.00, −0.40]`, or why there is no interval."""
    mean = f"{float(found.mean):{sign}.{digits}f}".replace("-", "−")
    if not math.isfinite(found.high - found.low):
        return f"{mean} (too few, no interval)"
    if without_width(found):
        return f"{mean} (all the same, no interval)"
    return with_ends(found, sign, digits).replace("-", "−")


def with_ends(found: Band, sign: str = "", digits: int = 2) -> str:
    """`-1.20 [-2.00, -0.40]`; the mean alone where there is no interval."""
    mean, low, high = (f"{float(part):{sign}.{digits}f}" for part in found)
    return f"{mean} [{low}, {high}]" if math.isfinite(found.low) else mean


def with_half_width(found: Band, sign: str = "", digits: int = 2) -> str:
    """For a table: the mean and, if there is an interval, half its width."""
    half = "" if math.isnan(found.low) else f" ±{(found.high - found.low) / 2:.{digits}f}"
    return f"{found.mean:{sign}.{digits}f}{half}"


def percent(share: float) -> str:
    return f"{100 * share:g} %"
