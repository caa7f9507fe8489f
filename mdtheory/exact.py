"""Exact rational linear algebra with python-flint: no float is involved anywhere.

The formulas of `evaluation`, `robustness` and `measure` run unchanged on object arrays of
`flint.fmpq`; only the linear solve needs its own code, and this is it.  What is not rational, such
as a KL divergence, is an `Enclosed` number: one that can be computed to any precision.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np


class Enclosed:
    """A real number, possibly infinite, known through balls around it of any precision.

    Attributes:
        ball: computes a `flint.arb` that contains it, at flint's current precision.
    """

    def __init__(self, ball: Callable[[], flint.arb]) -> None:
        self.ball = ball

    def __float__(self) -> float:
        return float(self.ball())

    def __repr__(self) -> str:
        return f"Enclosed({float(self)!r})"


def to_ball(value: Fraction | float | Enclosed) -> flint.arb:
    """The number as a ball at flint's current precision."""
    if isinstance(value, Enclosed):
        return value.ball()
    if isinstance(value, float) and math.isinf(value):
        return flint.arb(value)
    exactly = Fraction(value)
    return flint.arb(flint.fmpq(int(exactly.numerator), int(exactly.denominator)))


def as_rationals(array: np.ndarray) -> np.ndarray:
    """Every number of an array read as the `Fraction` that it is, shape unchanged."""
    return np.asarray(np.vectorize(Fraction, otypes=[object])(array))


def rational_rows(array: np.ndarray) -> np.ndarray:
    """The same for probabilities [..., A]: rows divided by their exact sums, which doubles rarely
    give as 1."""
    numbers = as_rationals(array)
    return np.asarray(numbers / np.asarray(numbers.sum(axis=-1))[..., None])


def to_flint(array: np.ndarray) -> np.ndarray:
    """`Fraction` objects to `flint.fmpq` objects, shape unchanged."""
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        entry: Any = array[index]
        out[index] = flint.fmpq(entry.numerator, entry.denominator)
    return out


def to_fraction(value: flint.fmpq) -> Fraction:
    """`flint.fmpq` to `fractions.Fraction`."""
    return Fraction(int(value.p), int(value.q))


def from_flint(array: np.ndarray) -> np.ndarray:
    """`flint.fmpq` objects to `Fraction` objects, shape unchanged."""
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        out[index] = to_fraction(array[index])
    return out


def text(value: Fraction) -> str:
    """ "p/q", however long: Python itself refuses to print integers of over 4,300 digits."""
    return f"{flint.fmpz(value.numerator)}/{flint.fmpz(value.denominator)}"


def jsonable(value: Any) -> Any:
    """A number for JSON: fractions as "p/q", nan as None, infinity as "inf", arrays as lists."""
    if isinstance(value, np.ndarray):
        return [jsonable(entry) for entry in value]
    if isinstance(value, Fraction):
        return text(value)
    if value is None or math.isnan(float(value)):
        return None
    return str(float(value)) if math.isinf(float(value)) else float(value)


def solve(matrix: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """The exact x with matrix · x = rhs; matrix [..., S, S], rhs [..., S], both of `fmpq`."""
    return _batched(flint.fmpq_mat.solve, matrix, rhs[..., None])[..., 0]


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right for `fmpq` matrices [..., I, J] and [..., J, K]; faster than NumPy's on objects,
    since denominators are cleared once."""
    return _batched(operator.mul, left, right)


def _batched(
    operation: Callable[[flint.fmpq_mat, flint.fmpq_mat], flint.fmpq_mat],
    left: np.ndarray,
    right: np.ndarray,
) -> np.ndarray:
    """A flint matrix operation over broadcast leading axes."""
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*batch, *left.shape[-2:]))
    right = np.broadcast_to(right, (*batch, *right.shape[-2:]))
    out = np.empty((*batch, left.shape[-2], right.shape[-1]), dtype=object)
    for index in np.ndindex(batch):
        factors = (flint.fmpq_mat(*m.shape, list(m.flat)) for m in (left[index], right[index]))
        out[index] = np.array(operation(*factors).entries(), dtype=object).reshape(out.shape[-2:])
    return out
