"""Evaluating SymPy expressions in any arithmetic: float64 arrays, tensors, rationals, balls.

One walk over the expression serves all of them; an `Arithmetic` supplies what Python's operators do
not.  No code is generated, so an expression from outside can do nothing but arithmetic.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np
import sympy

_TRANSCENDENTAL = (sympy.exp, sympy.log, sympy.tanh)

LARGEST_EXPONENT = 64
"""Bound on integer exponents: larger ones only make numbers that nobody can use."""


class Arithmetic(NamedTuple):
    """Constants and functions of one kind of number."""

    rational: Callable[[Fraction], Any]
    maximum: Callable[[Any, Any], Any]
    minimum: Callable[[Any, Any], Any]
    sqrt: Callable[[Any], Any] | None = None
    exp: Callable[[Any], Any] | None = None
    log: Callable[[Any], Any] | None = None
    tanh: Callable[[Any], Any] | None = None


FLOATS = Arithmetic(float, np.maximum, np.minimum, np.sqrt, np.exp, np.log, np.tanh)
RATIONALS = Arithmetic(lambda number: number, max, min)
"""`fractions.Fraction`; it has no roots, exponentials or logarithms."""
BALLS = Arithmetic(
    lambda number: flint.arb(flint.fmpq(number.numerator, number.denominator)),
    np.frompyfunc(lambda x, y: x.max(y), 2, 1),
    np.frompyfunc(lambda x, y: x.min(y), 2, 1),
    np.frompyfunc(lambda x: x.sqrt(), 1, 1),
    np.frompyfunc(lambda x: x.exp(), 1, 1),
    np.frompyfunc(lambda x: x.log(), 1, 1),
    np.frompyfunc(lambda x: x.tanh(), 1, 1),
)
"""`flint.arb`, numbers with a proven radius, or object arrays of them."""


def arithmetic_of(values: Iterable[Any]) -> Arithmetic:
    """`RATIONALS` as soon as a `Fraction` is among them, else `FLOATS`."""
    is_rational = any(isinstance(v, Fraction) or np.asarray(v).dtype == object for v in values)
    return RATIONALS if is_rational else FLOATS


def evaluate(
    expression: sympy.Expr, values: Mapping[sympy.Symbol, Any], arithmetic: Arithmetic
) -> Any:
    """The expression's value for numbers of one kind.

    Raises:
        ZeroDivisionError: for a division by zero in rationals.
    """
    if expression.is_Symbol:
        return values[expression]
    if expression.is_Rational:
        return arithmetic.rational(Fraction(int(expression.p), int(expression.q)))
    if expression is sympy.E:
        return arithmetic.exp(arithmetic.rational(Fraction(1)))  # type: ignore[misc]
    if expression.is_Pow and expression.exp.is_Integer:
        return evaluate(expression.base, values, arithmetic) ** int(expression.exp)
    if expression.is_Pow:
        power = int(2 * expression.exp)
        root = arithmetic.sqrt(evaluate(expression.base, values, arithmetic))  # type: ignore[misc]
        return root**power
    parts = [evaluate(part, values, arithmetic) for part in expression.args]
    if expression.is_Add:
        return functools.reduce(lambda x, y: x + y, parts)
    if expression.is_Mul:
        return functools.reduce(lambda x, y: x * y, parts)
    if isinstance(expression, sympy.Abs):
        return abs(parts[0])
    if isinstance(expression, sympy.Max):
        return functools.reduce(arithmetic.maximum, parts)
    if isinstance(expression, sympy.Min):
        return functools.reduce(arithmetic.minimum, parts)
    return getattr(arithmetic, type(expression).__name__)(parts[0])


def unsupported(expression: sympy.Basic) -> sympy.Basic | None:
    """The first part that `evaluate` does not understand, if any."""
    if expression.is_Symbol or expression.is_Rational or expression is sympy.E:
        return None
    if expression.is_Pow:
        exponent = expression.exp
        if not ((2 * exponent).is_Integer and abs(exponent) <= LARGEST_EXPONENT):
            return expression
        return unsupported(expression.base)
    known = (sympy.Add, sympy.Mul, sympy.Abs, sympy.Max, sympy.Min, *_TRANSCENDENTAL)
    if not isinstance(expression, known):
        return expression
    return next((bad for part in expression.args if (bad := unsupported(part)) is not None), None)


def needs_balls(expression: sympy.Basic) -> bool:
    """Whether rationals do not suffice: a root, an exponential or a logarithm occurs."""
    roots = any(not power.exp.is_Integer for power in expression.atoms(sympy.Pow))
    return roots or expression.has(*_TRANSCENDENTAL, sympy.E)
