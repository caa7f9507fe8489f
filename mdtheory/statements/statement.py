"""A statement: an inequality between named quantities, with everything said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy

from mdtheory.statements.quantities import QUANTITIES, UPDATE_QUANTITIES, Quantity, gap

_LATEX_NAMES = {gap: r"\left|\zeta - \eta\right|"}
_BY_SYMBOL = {q.symbol: q for q in (*QUANTITIES.values(), *UPDATE_QUANTITIES.values())}


@dataclass(frozen=True, kw_only=True)
class Statement:
    """An inequality over the quantities of `mdtheory.statements.quantities`.

    Attributes:
        id: short id, as in the proofs.
        name: one or two words.
        claim: the statement in words.
        relation: the SymPy inequality, `<=`, `>=` or `<`.
        assumptions: what must be true of the problem; validation guarantees it.
        requires: SymPy conditions without which the statement says nothing.
        source: who claims it, and where the technique comes from.
    """

    id: str
    name: str
    claim: str
    relation: sympy.core.relational.Relational
    assumptions: tuple[str, ...]
    source: str
    requires: tuple[sympy.core.relational.Relational, ...] = ()

    def __post_init__(self) -> None:
        """The quotient of two Python integers is a float, so exactness forbids fractions here."""
        for number in self.relation.atoms(sympy.Number):
            if not number.is_Integer:
                raise ValueError(
                    f"statement {self.id} must hold integers only, got {number}:"
                    " put halves into a quantity's definition"
                )

    @property
    def lhs(self) -> sympy.Expr:
        return self.relation.lhs

    @property
    def rhs(self) -> sympy.Expr:
        return self.relation.rhs

    @property
    def is_upper_bound(self) -> bool:
        """Whether the right side is the larger one (`<=`, `<`) or the smaller one (`>=`)."""
        return self.relation.rel_op in ("<=", "<")

    @property
    def is_strict(self) -> bool:
        return self.relation.rel_op == "<"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities that it speaks about, in order of their names."""
        free = self.relation.free_symbols.union(*(r.free_symbols for r in self.requires))
        return tuple(sorted((_BY_SYMBOL[symbol] for symbol in free), key=lambda q: q.name))

    @property
    def latex(self) -> str:
        """The inequality in LaTeX, as a page shows it."""
        return sympy.latex(self.relation, symbol_names=_LATEX_NAMES, order="none")

    @cached_property
    def _sides(self) -> Any:
        symbols = [q.symbol for q in self.quantities]
        conditions = [sympy.lambdify(symbols, r, modules="math") for r in self.requires]
        return sympy.lambdify(symbols, [self.lhs, self.rhs], modules="math"), conditions

    def sides(self, values: Mapping[str, Any]) -> tuple[Any, Any]:
        """(left, right) for numbers of any arithmetic: floats, arrays, exact rationals."""
        left, right = self._sides[0](*(values[q.name] for q in self.quantities))
        return left, right

    def applies(self, values: Mapping[str, Any]) -> Any:
        """Whether `requires` holds: a boolean, or an array of them."""
        answer: Any = True
        for condition in self._sides[1]:
            answer = answer & condition(*(values[q.name] for q in self.quantities))
        return answer
