"""Rational functions as products of powers of polynomials: exact arithmetic of bounded size.

Products and powers only count exponents; a sum expands what its terms do not share, after an
estimate of the size.  So (1 - γ)^64 costs nothing, and hostile powers of sums are refused.
"""

from __future__ import annotations

import functools
import math
import operator
import time
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import sympy
from sympy.polys.rings import PolyElement, ring

from mdtheory.statements.arithmetic import Arithmetic, evaluate

LARGEST_POLYNOMIAL = 20_000
"""Monomials of a polynomial, at most."""
MOST_PRODUCTS = 300_000
"""Products of monomials in one multiplication, at most: a fraction of a second."""
LARGEST_EXPRESSION = 3_000
"""Nodes of an expression, at most."""


class GiveUp(Exception):  # noqa: N818 - no error: nothing is proved
    """The work would exceed the bounds, or the expression is of a kind that is not treated."""


class Exhausted(GiveUp):
    """Out of time, or of what a search may look at: nothing further should be tried."""


class Algebra:
    """Rational functions of some generators, until a deadline of `time.monotonic`."""

    def __init__(self, generators: Iterable[str], deadline: float = math.inf) -> None:
        self.names = tuple(generators)
        # A ring needs a generator, also for constants.
        self.ring, *_ = ring(self.names or ("unused",), sympy.ZZ)
        self.deadline = deadline

    def number(self, value: Fraction | int) -> Factored:
        return Factored(self, Fraction(value), {})

    def generator(self, name: str) -> Factored:
        return Factored(self, Fraction(1), {self.ring.gens[self.names.index(name)]: 1})

    def sum(self, names: Iterable[str]) -> Factored:
        return functools.reduce(operator.add, map(self.generator, names))

    def value(self, expression: sympy.Expr, values: Mapping[str, Factored]) -> Factored:
        """A rational expression, values put in for its symbols by their names.

        Raises:
            GiveUp: when it grows too large, divides by zero or is not rational.
        """
        require_small(expression)
        if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.E):
            raise GiveUp("the expression has no value")
        arithmetic = Arithmetic(self.number, *[_refuse] * 5)
        by_symbol = {symbol: values[symbol.name] for symbol in expression.free_symbols}
        try:
            return evaluate(expression, by_symbol, arithmetic)
        except ZeroDivisionError:
            raise GiveUp("division by zero") from None

    def multiply(self, left: PolyElement, right: PolyElement) -> PolyElement:
        if time.monotonic() > self.deadline:
            raise Exhausted("out of time")
        if len(left) * len(right) > MOST_PRODUCTS:
            raise GiveUp("too many products")
        return left * right

    def expanded(self, powers: Mapping[PolyElement, int]) -> PolyElement:
        """The product of polynomials to powers that are not negative."""
        by_combinations = math.prod(math.comb(len(f) + k - 1, k) for f, k in powers.items())
        if by_combinations > LARGEST_POLYNOMIAL:
            degrees = [[k * degree for degree in f.degrees()] for f, k in powers.items()]
            by_degrees = math.prod(1 + sum(column) for column in zip(*degrees, strict=True))
            if by_degrees > LARGEST_POLYNOMIAL:
                raise GiveUp("too many monomials")
        product = self.ring.one
        for factor, power in powers.items():
            for _ in range(power):
                product = self.multiply(product, factor)
        return product

    def factored(self, polynomial: PolyElement, coefficient: Fraction) -> Factored:
        """coefficient * polynomial, its content and its monomials taken out."""
        if not polynomial or not coefficient:
            return self.number(0)
        content, rest = polynomial.primitive()
        if rest.LC < 0:
            content, rest = -content, -rest
        shared = [min(powers) for powers in zip(*rest.monoms(), strict=True)]
        powers = {x: k for x, k in zip(self.ring.gens, shared, strict=True) if k}
        if powers:
            divided = {
                tuple(k - j for k, j in zip(monomial, shared, strict=True)): number
                for monomial, number in rest.terms()
            }
            rest = self.ring.from_dict(divided)
        if rest != self.ring.one:
            powers[rest] = powers.get(rest, 0) + 1
        return Factored(self, coefficient * int(content), powers)


class Factored:
    """coefficient · Π polynomial^power, the polynomials primitive with positive leading terms."""

    def __init__(
        self, algebra: Algebra, coefficient: Fraction, powers: Mapping[PolyElement, int]
    ) -> None:
        self.algebra = algebra
        self.coefficient = coefficient
        self.powers = {f: k for f, k in powers.items() if k} if coefficient else {}

    def __mul__(self, other: Factored) -> Factored:
        powers = dict(self.powers)
        for factor, power in other.powers.items():
            powers[factor] = powers.get(factor, 0) + power
        return Factored(self.algebra, self.coefficient * other.coefficient, powers)

    def __pow__(self, power: int) -> Factored:
        powers = {factor: k * power for factor, k in self.powers.items()}
        return Factored(self.algebra, self.coefficient**power, powers)

    def __add__(self, other: Factored) -> Factored:
        if not self.coefficient or not other.coefficient:
            return other if not self.coefficient else self
        every = (*self.powers, *other.powers)  # in this order, whatever the hashes are
        shared = {f: min(self.powers.get(f, 0), other.powers.get(f, 0)) for f in every}
        scale = math.lcm(self.coefficient.denominator, other.coefficient.denominator)
        total = self.algebra.ring.zero
        for part in (self, other):
            rest = {f: part.powers.get(f, 0) - k for f, k in shared.items()}
            total += self.algebra.expanded(rest) * int(part.coefficient * scale)
        common = Factored(self.algebra, Fraction(1), shared)
        return self.algebra.factored(total, Fraction(1, scale)) * common

    @property
    def variables(self) -> frozenset[str]:
        """Names of the generators that occur."""
        found: set[str] = set()
        for factor in self.powers:
            for name, degree in zip(self.algebra.names, factor.degrees(), strict=False):
                if degree > 0:
                    found.add(name)
        return frozenset(found)

    @property
    def denominator(self) -> Factored:
        """Its denominator's factors, each once."""
        below = {factor: 1 for factor, power in self.powers.items() if power < 0}
        return Factored(self.algebra, Fraction(1), below)

    def sign(self, free: frozenset[str] = frozenset()) -> int | None:
        """1, -1 or 0 where coefficients tell that it is >= 0, <= 0 or 0; else None.

        Args:
            free: generators that may be negative; all others are nonnegative.  Where a denominator
                vanishes, there is nothing to tell.
        """
        is_free = [name in free for name in self.algebra.names]
        odd = [factor for factor, power in self.powers.items() if power % 2]
        if not all(_has_no_negative_term(factor, is_free) for factor in odd):
            return None
        return (self.coefficient > 0) - (self.coefficient < 0)

    def is_positive(self, alternatives: Iterable[frozenset[str]], free: frozenset[str]) -> bool:
        """Whether coefficients tell that it is positive wherever it is defined.

        Args:
            alternatives: sets of generators; all members of at least one of them are positive.
            free: as for `sign`.
        """
        is_free = [name in free for name in self.algebra.names]
        sets = list(alternatives)
        return self.sign(free) == 1 and all(
            _has_no_negative_term(factor, is_free)
            and all(_has_term_within(factor, names, self.algebra.names) for names in sets)
            for factor, power in self.powers.items()
            if power > 0
        )

    def text(self) -> tuple[str, ...]:
        """The coefficient and the factors, in a fixed order."""
        factors = sorted((str(factor), power) for factor, power in self.powers.items())
        return (str(self.coefficient), *(f"({f})**{k}" for f, k in factors))


def _has_no_negative_term(polynomial: PolyElement, is_free: list[bool]) -> bool:
    return all(
        number > 0 and not any(odd and k % 2 for odd, k in zip(is_free, powers, strict=False))
        for powers, number in polynomial.terms()
    )


def _has_term_within(
    polynomial: PolyElement, names: frozenset[str], all_names: tuple[str, ...]
) -> bool:
    return any(
        all(name in names for name, k in zip(all_names, powers, strict=False) if k)
        for powers in polynomial.monoms()
    )


def _refuse(*_: Any) -> Any:
    raise GiveUp("not a rational expression")


def require_small(*expressions: sympy.Basic) -> None:
    """Refuse expressions of many nodes, each counted as often as it is reached.

    Raises:
        GiveUp: for more than `LARGEST_EXPRESSION` nodes.
    """
    count = 0
    for expression in expressions:
        for _ in sympy.preorder_traversal(expression):
            count += 1
            if count > LARGEST_EXPRESSION:
                raise GiveUp("the expression is too large")
