"""Exact rational arithmetic: solves, conversions and texts."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import pytest

from mdtheory import exact


def test_hand_worked_solution():
    matrix = exact.to_flint(np.array([[Fraction(2), Fraction(1)], [Fraction(1), Fraction(3)]]))
    x = exact.solve(matrix, exact.to_flint(np.array([Fraction(1), Fraction(1)])))
    assert [exact.to_fraction(v) for v in x] == [Fraction(2, 5), Fraction(1, 5)]


def test_solution_satisfies_the_system_exactly_and_broadcasts():
    rng = np.random.default_rng(0)
    numbers = np.vectorize(lambda k: Fraction(int(k), 7), otypes=[object])
    matrix = exact.to_flint(numbers(rng.integers(-5, 6, (2, 1, 4, 4)) + 30 * np.eye(4, dtype=int)))
    rhs = exact.to_flint(numbers(rng.integers(-5, 6, (3, 4))))
    x = exact.solve(matrix, rhs)
    assert x.shape == (2, 3, 4)
    for i, j in np.ndindex(2, 3):
        assert (matrix[i, 0] @ x[i, j] == rhs[j]).all()


def test_conversion_to_flint_and_back_is_the_identity():
    values = [Fraction(0), Fraction(-7, 3), Fraction(10**40, 3**50)]
    array = exact.to_flint(np.array(values, dtype=object))
    assert all(isinstance(x, flint.fmpq) for x in array)
    assert [exact.to_fraction(x) for x in array] == values


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(1, 3), "1/3"), (Fraction(-4), "-4/1"), (Fraction(0), "0/1")],
)
def test_text_is_p_over_q(value, text):
    assert exact.text(value) == text


def test_text_has_no_limit_of_length():
    text = exact.text(Fraction(10**6000 + 1, 3))
    assert text == "1" + "0" * 5999 + "1/3"
