"""Absolute values, minima, maxima and roots taken out of an expression, each under its own name.

What is left is over symbols without assumptions: SymPy's own deductions from assumptions can take
minutes for a power of a sum, whenever an expression is rebuilt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sympy
from sympy import Lt
from sympy.core.relational import Relational

from mdtheory.proving.factored import GiveUp, require_small
from mdtheory.proving.facts import SUBJECTS
from mdtheory.statements import Bound
from mdtheory.statements.quantities import train_mass, xi

_KINDS = {sympy.Abs: "abs", sympy.Max: "max", sympy.Min: "min"}


def plain(expression: sympy.Expr) -> sympy.Expr:
    """The same over symbols without assumptions; for small expressions."""
    return expression.xreplace({s: sympy.Symbol(s.name) for s in expression.free_symbols})


@dataclass(frozen=True)
class Atom:
    """`symbol` = abs, max or min of its arguments, or the root of its only argument.

    Arguments may hold the symbols of earlier atoms.
    """

    symbol: sympy.Symbol
    kind: str
    arguments: tuple[sympy.Expr, ...]

    @property
    def alternatives(self) -> tuple[sympy.Expr, ...]:
        """It equals one of these; a root, which has none, is not one of a few expressions."""
        if self.kind == "abs":
            return (self.arguments[0], -self.arguments[0])
        return () if self.kind == "sqrt" else self.arguments


class Atoms:
    """The atoms of some expressions, in order of their making: t1, t2, ..."""

    def __init__(self) -> None:
        self.by_symbol: dict[sympy.Symbol, Atom] = {}
        self._known: dict[sympy.Expr, sympy.Expr] = {}

    def __iter__(self) -> Iterator[Atom]:
        return iter(self.by_symbol.values())

    def rational(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression with symbols in place of what is not rational.

        Raises:
            GiveUp: for exponentials, logarithms and large expressions.
        """
        require_small(expression)
        return self._rational(expression)

    def conditions(self, relations: Iterable[Relational]) -> list[tuple[sympy.Expr, str]]:
        """left - right without atoms, and the sign; conditions that are not treated are left out.

        To ignore one is sound: the bound is then to be proved without it.
        """
        found = []
        for relation in relations:
            with contextlib.suppress(GiveUp):
                difference = self.rational(relation.lhs) - self.rational(relation.rhs)
                found.append((difference, relation.rel_op))
        return found

    def _rational(self, expression: sympy.Expr) -> sympy.Expr:
        if not expression.args:
            return plain(expression) if expression.is_Symbol else expression
        if expression not in self._known:
            self._known[expression] = self._of_parts(expression)
        return self._known[expression]

    def _of_parts(self, expression: sympy.Expr) -> sympy.Expr:
        if expression.is_Pow and not expression.exp.is_Integer:
            root = self._name("sqrt", (self._rational(expression.base),))
            return root ** (2 * expression.exp)
        if not (expression.is_Add or expression.is_Mul or expression.is_Pow):
            if type(expression) not in _KINDS:
                raise GiveUp(f"{type(expression).__name__} is not treated")
            arguments = tuple(self._rational(part) for part in expression.args)
            return self._name(_KINDS[type(expression)], arguments)
        return expression.func(*(self._rational(part) for part in expression.args))

    def _name(self, kind: str, arguments: tuple[sympy.Expr, ...]) -> sympy.Symbol:
        for atom in self.by_symbol.values():
            if (atom.kind, atom.arguments) == (kind, arguments):
                return atom.symbol
        symbol = sympy.Symbol(f"t{len(self.by_symbol) + 1}")
        self.by_symbol[symbol] = Atom(symbol, kind, arguments)
        return symbol


def require_known(bound: Bound) -> None:
    """Raise `GiveUp` for equations and for quantities that no fact speaks about."""
    if bound.is_equation:
        raise GiveUp("equations are not proved")
    for quantity in bound.quantities:
        if quantity in bound.own_quantities or quantity.symbol not in SUBJECTS:
            raise GiveUp(f"nothing is known about {quantity.name}")


def known_conditions(bound: Bound) -> tuple[Relational, ...]:
    """What holds where the bound says something, but for its denominators."""
    has_heldout = any(quantity.symbol == xi for quantity in bound.quantities)
    return (*bound.requires, *([Lt(train_mass, 1)] if has_heldout else []))
