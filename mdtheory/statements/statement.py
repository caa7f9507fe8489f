"""Bounds and statements: inequalities between named quantities, with everything said about them.

A `Bound` is anybody's inequality, true or not; a `Statement` is one of the theory's, with an id, a
claim, its assumptions and its source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
from sympy.core.relational import (
    Equality,
    GreaterThan,
    LessThan,
    Relational,
    StrictGreaterThan,
    StrictLessThan,
)

from mdtheory import validation
from mdtheory.statements.arithmetic import (
    Arithmetic,
    arithmetic_of,
    evaluate,
    needs_balls,
    unsupported,
)
from mdtheory.statements.quantities import (
    EVERY_QUANTITY,
    PAIR_QUANTITIES,
    RETURNS,
    Quantity,
)

_RELATIONS = (LessThan, StrictLessThan, GreaterThan, StrictGreaterThan, Equality)
CLAIM = "claim: arXiv 2501.02481"
"""Part of a statement's source: the paper claims it, in its own form."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """An inequality, or an equation, over named quantities.

    Attributes:
        relation: the SymPy relation: `<=`, `>=`, `<`, `>` or `==`.  Its symbols are known by name,
            the quantity's or its symbol's: `robustness` and `R` are the same.
        requires: SymPy conditions, of the same kinds, without which it says nothing.
        own_quantities: further quantities that it speaks about, each with its own `measure`.
        id: short name; by default the inequality as text.

    Raises:
        ValueError: for unknown symbols, or anything but sums, products, powers with integer or half
            exponents, abs, min, max, sqrt, exp, log and tanh.
    """

    relation: Relational
    requires: tuple[Relational, ...] = ()
    own_quantities: tuple[Quantity, ...] = ()
    id: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.relation, _RELATIONS):
            raise ValueError(
                "relation must be a SymPy inequality (<=, >=, < or >) or equation, got"
                f" {self.relation}; evaluate=False keeps one that SymPy decides by itself"
            )
        for condition in self.requires:
            if not isinstance(condition, _RELATIONS):
                raise ValueError(f"requires must hold inequalities or equations, got {condition}")
        relation, *requires = (self._resolved(r) for r in (self.relation, *self.requires))
        object.__setattr__(self, "relation", relation)
        object.__setattr__(self, "requires", tuple(requires))
        object.__setattr__(self, "id", self.id or bound_text(relation, requires))

    def _resolved(self, relation: Relational) -> Relational:
        """The relation over the package's own symbols, whose domains SymPy knows."""
        known = {}
        for quantity in (*EVERY_QUANTITY.values(), *self.own_quantities):
            known[quantity.name] = known[quantity.symbol.name] = quantity.symbol
        replaced = {}
        for symbol in relation.free_symbols:
            if symbol.name not in known:
                raise ValueError(validation.unknown("quantity", symbol.name, list(known)))
            if symbol != known[symbol.name]:
                replaced[symbol] = known[symbol.name]
        for side in relation.args:
            if (bad := unsupported(side)) is not None:
                raise ValueError(
                    "a bound is made of numbers, quantities, + - * /, powers with integer or half"
                    " exponents up to 64, abs, min, max, sqrt, exp, log and tanh, got"
                    f" {str(bad)[:80]}"
                )
        if not replaced:
            return relation
        sides = (side.xreplace(replaced) for side in relation.args)
        return relation.func(*sides, evaluate=False)

    @property
    def lhs(self) -> sympy.Expr:
        return self.relation.lhs

    @property
    def rhs(self) -> sympy.Expr:
        return self.relation.rhs

    @property
    def is_upper_bound(self) -> bool:
        """Whether the right side is the larger one, as in `<=`, `<`, `==`, or the smaller one."""
        return self.relation.rel_op in ("<=", "<", "==")

    @property
    def is_strict(self) -> bool:
        return self.relation.rel_op in ("<", ">")

    @property
    def is_equation(self) -> bool:
        return isinstance(self.relation, Equality)

    @property
    def smaller_and_larger(self) -> tuple[sympy.Expr, sympy.Expr]:
        """The side that should be smaller, and the other."""
        return (self.lhs, self.rhs) if self.is_upper_bound else (self.rhs, self.lhs)

    @cached_property
    def used_and_allowed(self) -> tuple[sympy.Expr, sympy.Expr]:
        """Two expressions whose quotient says how tight the bound is: 1 is attained, more violated.

        Where a side holds returns (η, ζ, ξ, L), whose zero is arbitrary, all of them are moved to
        one side: for A6 this is (L − η) against the penalty, whatever is added to all rewards.
        """
        small, large = self.smaller_and_larger
        if not RETURNS & (small - large).free_symbols:
            return small, large
        terms = sympy.Add.make_args(sympy.Add(small, -large))
        of_returns = [term for term in terms if RETURNS & term.free_symbols]
        others = [-term for term in terms if not RETURNS & term.free_symbols]
        return sympy.Add(*of_returns), sympy.Add(*others)

    @property
    def needs_balls(self) -> bool:
        """Whether rationals cannot decide it, since a root, an exp or a log occurs."""
        return any(needs_balls(r) for r in (self.relation, *self.requires))

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities that it speaks about, in order of their names."""
        free = self.relation.free_symbols.union(*(r.free_symbols for r in self.requires))
        found = [q for q in (*EVERY_QUANTITY.values(), *self.own_quantities) if q.symbol in free]
        return tuple(sorted(found, key=lambda q: q.name))

    @property
    def needs_baseline(self) -> bool:
        """Whether it speaks about two policies, the policy and the baseline."""
        return any(q.name in PAIR_QUANTITIES or q.needs_baseline for q in self.quantities)

    @property
    def latex(self) -> str:
        """The inequality in LaTeX, as a page shows it."""
        names = {quantity.symbol: quantity.latex for quantity in self.quantities}
        return sympy.latex(self.relation, symbol_names=names, order="none")

    def substitute(
        self,
        expressions: tuple[sympy.Expr, ...],
        values: Mapping[str, Any],
        arithmetic: Arithmetic,
    ) -> tuple[Any, ...]:
        """Numbers, by the quantities' names, put into expressions over their symbols."""
        by_symbol = {q.symbol: values[q.name] for q in self.quantities}
        return tuple(evaluate(expression, by_symbol, arithmetic) for expression in expressions)

    def sides(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """(left, right) for numbers by name: floats, arrays of them, or `Fraction`s."""
        return self.substitute((self.lhs, self.rhs), values, arithmetic_of(values.values()))


@dataclass(frozen=True, kw_only=True)
class Statement(Bound):
    """A bound of the theory.

    Attributes:
        name: one or two words.
        claim: the statement in words.
        assumptions: what must be true of the problem; validation guarantees it.
        source: who claims it, and where the technique comes from; the `proof` is the package's own.
    """

    name: str
    claim: str
    assumptions: tuple[str, ...]
    source: str

    @property
    def proof(self) -> str:
        """Where in the repository its proof stands."""
        return f"proofs/{self.id}.md"


def bound_text(relation: Relational, requires: Any = ()) -> str:
    """A bound as `parse_bound` reads it."""
    conditions = " and ".join(_relation_text(condition) for condition in requires)
    return _relation_text(relation) + (f" if {conditions}" if conditions else "")


def _relation_text(relation: Relational) -> str:
    operator = "==" if isinstance(relation, Equality) else relation.rel_op
    text = f"{sympy.sstr(relation.lhs)} {operator} {sympy.sstr(relation.rhs)}"
    return re.sub(r"\b(Abs|Max|Min)\(", lambda match: match.group().lower(), text)
