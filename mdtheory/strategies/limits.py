"""The door of the strategies: limits of what they may draw, each refused by one clear error."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from mdtheory import validation
from mdtheory.validation import whole_number

Limit = int | float | str | Fraction
"""A limit of a number: a float is taken as exactly what it is, a text such as "9/10" is read."""


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """The value, which must be one of a few."""
    if not any(value is one for one in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")
    return value


def size_limits(name: str, low: Any, high: Any) -> tuple[int, int]:
    """Both limits of a size; `min_` and `max_` before its name make the arguments' names."""
    low, high = whole_number(f"min_{name}", low, 1), whole_number(f"max_{name}", high, 1)
    if low > high:
        raise ValueError(f"max_{name} must be at least min_{name} = {low}, got {high}")
    return low, high


def number_limits(
    name: str,
    low: Any,
    high: Any,
    *,
    exact: bool,
    least: float = -math.inf,
    most: float = math.inf,
) -> tuple[Fraction, Fraction]:
    """Both limits of a number, within [least, most], as rationals; doubles unless `exact`."""
    found = []
    for argument, value in ((f"min_{name}", low), (f"max_{name}", high)):
        limit = rational_number(argument, value, exact)
        if limit < least:
            raise ValueError(f"{argument} must be at least {least}, got {value}")
        if limit > most:
            raise ValueError(f"{argument} must be at most {most}, got {value}")
        found.append(limit)
    if found[0] > found[1]:
        raise ValueError(f"max_{name} must be at least min_{name} = {low}, got {high}")
    return found[0], found[1]


def rational_number(name: str, value: Any, exact: bool) -> Fraction:
    """The value as a rational, that of the nearest double unless `exact`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = validation.rational(value) if isinstance(value, str) else Fraction(value)
        return number if exact else Fraction(float(number))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a finite number, got {value!r}") from None
