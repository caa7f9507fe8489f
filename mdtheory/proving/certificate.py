"""Proofs by nonnegative coefficients: a few steps that leave a polynomial with no minus sign.

A bound says that some difference E is >= 0.  A derivation makes E smaller or equal, step by step:

- `Replace`: a quantity in which E is monotone becomes what a fact says of it;
- `Cases`: abs, min or max becomes its arguments: all of them, or any one where E is monotone in it.

At a `Leaf`, each quantity becomes a quotient of nonnegative parameters (see `Region`), and no
coefficient of numerator or denominator may be negative.  `derive` looks for derivations; `replay`
trusts none: it repeats every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import sympy
from sympy import Eq, Symbol
from sympy.core.relational import Relational

from mdtheory.proving.atoms import Atom, Atoms, known_conditions, plain, require_known
from mdtheory.proving.factored import Factored
from mdtheory.proving.facts import FACTS
from mdtheory.proving.region import Region
from mdtheory.statements import Bound

ORDER = (
    "zeta",
    "xi",
    "gap",
    "zeta0",
    "eta",
    "L",
    "W",
    "C",
    "D",
    "epsilon",
    "eta0",
    "r_max",
)
"""Facts replace a quantity by later ones, or by those that only have domains: so steps end."""


class _Relation(NamedTuple):
    """A quantity is equal to, at most or at least an expression."""

    symbol: Symbol
    sign: str
    value: sympy.Expr


_RELATIONS = {
    fact.id: [_Relation(plain(r.lhs), r.rel_op, plain(r.rhs)) for r in fact.relations]
    for fact in FACTS.values()
}
REPLACEMENTS = {
    name: [
        (fact, number)
        for fact, relations in _RELATIONS.items()
        for number, relation in enumerate(relations)
        if str(relation.symbol) == name and relation.value and not relation.value.has(sympy.Abs)
    ]
    for name in ORDER
}
"""Facts and numbers of relations by quantity; that it is >= 0 its parameters say already."""
_ALL_REPLACEMENTS = {pair for pairs in REPLACEMENTS.values() for pair in pairs}


@dataclass(frozen=True)
class Leaf:
    """What is left: a number and factors, over these parameters of the quantities in them."""

    factors: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Replace:
    """A quantity becomes the right side of one of a fact's relations."""

    fact: str
    relation: int
    rest: Derivation


@dataclass(frozen=True)
class Cases:
    """abs, min or max becomes its alternative with this number, in each case."""

    symbol: str
    cases: tuple[tuple[int, Derivation], ...]


Derivation = Leaf | Replace | Cases


class Invalid(Exception):  # noqa: N818 - an answer
    """A derivation does not prove what it should."""


class _Sign(NamedTuple):
    """Of an expression: 1, -1, 0, or None if coefficients do not tell."""

    sign: int | None
    value: Factored
    domains: tuple[str, ...]


class Task:
    """A bound's difference, to be shown nonnegative (positive, for a strict bound).

    Raises:
        GiveUp: for bounds that are not made of abs, min, max, roots and rational functions of the
            quantities that facts speak about.
    """

    def __init__(self, bound: Bound, deadline: float = math.inf) -> None:
        require_known(bound)
        self.deadline = deadline
        self.is_strict = bound.is_strict
        self.atoms = Atoms()
        small, large = (self.atoms.rational(side) for side in bound.smaller_and_larger)
        self.difference = large - small
        self.fixed = dict(_equations(bound.requires))
        conditions = self.atoms.conditions(known_conditions(bound))
        self.positive = [x if sign == ">" else -x for x, sign in conditions if sign in ("<", ">")]
        self._slopes: dict[tuple[sympy.Expr, Symbol], _Sign] = {}

    def region(self, *expressions: sympy.Expr) -> Region:
        return Region.of(
            {symbol.name for expression in expressions for symbol in expression.free_symbols},
            fixed=self.fixed,
            nonnegative=[atom.symbol.name for atom in self.atoms if atom.kind in ("abs", "sqrt")],
            deadline=self.deadline,
        )

    def sign(self, expression: sympy.Expr) -> _Sign:
        region = self.region(expression)
        value = region.value(expression)
        return _Sign(value.sign(region.free), value, region.domains_of(value))

    def leaf(self, expression: sympy.Expr) -> tuple[Leaf, tuple[str, ...]] | None:
        """The certificate and the domains that it rests on, if coefficients suffice."""
        region = self.region(expression, *(self.positive if self.is_strict else ()))
        value = region.value(expression)
        if self.is_strict:
            positive = frozenset[str]().union(*(_positive(region, x) for x in self.positive))
            fits = value.is_positive([some | positive for some in region.alternatives], region.free)
        else:
            fits = value.sign(region.free) in (0, 1)
        if not fits:
            return None
        return Leaf(value.text(), region.parameters_of(value)), region.domains_of(value)

    def slope(self, expression: sympy.Expr, symbol: Symbol) -> _Sign:
        """The sign of the derivative; unknown if a denominator holds the symbol: no poles."""
        key = (expression, symbol)
        if key not in self._slopes:
            powers = expression.atoms(sympy.Pow)
            has_pole = any(p.exp.is_negative and symbol in p.base.free_symbols for p in powers)
            derivative = self.sign(sympy.diff(expression, symbol))
            unknown = has_pole or symbol.name in self.fixed
            self._slopes[key] = derivative._replace(sign=None) if unknown else derivative
        return self._slopes[key]

    def replaced(self, expression: sympy.Expr, fact: str, number: int) -> _Smaller:
        """The expression once a quantity became a relation's right side.

        Raises:
            Invalid: if it may have grown.
        """
        if (fact, number) not in _ALL_REPLACEMENTS:
            raise Invalid(f"{fact} replaces nothing")
        relation = _RELATIONS[fact][number]
        after = expression.xreplace({relation.symbol: relation.value})
        if relation.sign == "==":
            return _Smaller(after, ())
        slope = self.slope(expression, relation.symbol)
        if slope.sign is None or slope.sign == (-1 if relation.sign == ">=" else 1):
            raise Invalid(f"the difference may grow with {fact}")
        return _Smaller(after, slope.domains)

    def one_case_will_do(self, expression: sympy.Expr, atom: Atom) -> tuple[str, ...] | None:
        """The domains by which any alternative makes it smaller, or None.

        It is linear in the atom, which is the largest (or smallest) alternative.
        """
        slope = self.slope(expression, atom.symbol)
        if slope.sign is None or slope.sign == (1 if atom.kind == "min" else -1):
            return None
        return None if atom.symbol.name in slope.value.variables else slope.domains


class _Smaller(NamedTuple):
    expression: sympy.Expr
    domains: tuple[str, ...]


def _equations(conditions: tuple[Relational, ...]) -> Iterator[tuple[str, Fraction]]:
    """Conditions of the form symbol == number."""
    for condition in conditions:
        for one, other in (condition.args, condition.args[::-1]):
            if isinstance(condition, Eq) and one.is_Symbol and other.is_Rational:
                yield one.name, Fraction(int(other.p), int(other.q))


def _positive(region: Region, expression: sympy.Expr) -> frozenset[str]:
    """The parameters without which a product, known to be positive, would vanish."""
    value = region.value(expression)
    if value.sign(region.free) != 1:
        return frozenset()
    factors = (factor for factor, power in value.powers.items() if power > 0)
    return frozenset(str(factor) for factor in factors if factor.is_generator) - region.free


def replay(task: Task, derivation: Derivation) -> tuple[str, ...]:
    """Check every step anew; the ids of the facts that were used, domains last.

    Raises:
        Invalid: with the step that fails.
    """
    uses = dict.fromkeys(_uses(task, task.difference, derivation))
    domains = [fact for fact in FACTS if fact in uses and FACTS[fact].is_domain]
    return (*(fact for fact in uses if fact not in domains), *domains)


def _uses(task: Task, expression: sympy.Expr, step: Derivation) -> Iterator[str]:
    if isinstance(step, Leaf):
        found = task.leaf(expression)
        if found is None or found[0] != step:
            raise Invalid(f"{step.factors} is not what is left")
        yield from found[1]
    elif isinstance(step, Replace):
        smaller = task.replaced(expression, step.fact, step.relation)
        yield step.fact
        yield from smaller.domains
        yield from _uses(task, smaller.expression, step.rest)
    else:
        atom = next((atom for atom in task.atoms if atom.symbol.name == step.symbol), None)
        if atom is None:
            raise Invalid(f"there is no {step.symbol}")
        domains = task.one_case_will_do(expression, atom)
        numbers = [number for number, _ in step.cases]
        if not numbers or (domains is None and numbers != list(range(len(atom.alternatives)))):
            raise Invalid(f"cases of {step.symbol} are missing")
        yield from domains or ()
        for number, rest in step.cases:
            yield from _uses(
                task, expression.xreplace({atom.symbol: atom.alternatives[number]}), rest
            )
