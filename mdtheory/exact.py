"""Exact rational linear algebra with python-flint: no float is involved anywhere.

The formulas of `evaluation`, `robustness` and `measure` run unchanged on object arrays of
`flint.fmpq`; only the linear solve needs its own code, and this is it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint
import numpy as np


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


def text(value: Fraction) -> str:
    """ "p/q", however long: Python itself refuses to print integers of over 4,300 digits."""
    return f"{flint.fmpz(value.numerator)}/{flint.fmpz(value.denominator)}"


def solve(matrix: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """The exact x with matrix · x = rhs; matrix [..., S, S], rhs [..., S], both of `fmpq`."""
    n = matrix.shape[-1]
    batch = np.broadcast_shapes(matrix.shape[:-2], rhs.shape[:-1])
    matrix = np.broadcast_to(matrix, (*batch, n, n))
    rhs = np.broadcast_to(rhs, (*batch, n))
    out = np.empty((*batch, n), dtype=object)
    for index in np.ndindex(batch):
        left = flint.fmpq_mat(n, n, list(matrix[index].flat))
        out[index] = left.solve(flint.fmpq_mat(n, 1, list(rhs[index]))).entries()
    return out
