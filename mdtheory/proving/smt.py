"""Proofs by Z3: the facts, the bound's conditions and the bound's negation have no common solution.

`question` writes this as polynomials over the reals, in SMT-LIB text that any solver can read.  Of
a user's denominator nothing is known but that it is not 0, since a bound says nothing where it
divides by zero; 1 - γ and 1 - γ(1-R) are known positive from domains, which then must be stated.
Only "unsat" proves anything: a solution need not be a problem, as the facts do not say everything.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Iterable
from typing import NamedTuple

import sympy
from sympy.core.relational import Relational
from sympy.polys.rings import PolyElement

from mdtheory.proving.atoms import Atom, Atoms, known_conditions, plain, require_known
from mdtheory.proving.factored import Algebra, GiveUp
from mdtheory.proving.facts import FACTS
from mdtheory.statements import Bound
from mdtheory.statements.quantities import R, R_before, gamma

MEMORY_MB = 1024
"""What Z3 may use."""
LARGEST_DEGREE = 40
"""Of a polynomial, in all variables together."""
MOST_MONOMIALS = 1_000
"""Of all polynomials of a question."""

_KNOWN_POSITIVE = (
    (plain(1 - gamma), {"0 <= gamma < 1"}),
    (plain(1 - gamma * (1 - R)), {"0 <= gamma < 1", "0 <= R <= 1"}),
    (plain(1 - gamma * (1 - R_before)), {"0 <= gamma < 1", "0 <= R0 <= 1"}),
)
"""Denominators of the statements, with the domains that make them positive."""
_NEGATED = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}


class _Relation(NamedTuple):
    difference: sympy.Expr
    sign: str


class Question(NamedTuple):
    """SMT-LIB text, and the facts that must be among the stated ones for it to make sense."""

    text: str
    rests_on: frozenset[str]


def z3_available() -> bool:
    """Whether the optional package `z3-solver` is installed."""
    return importlib.util.find_spec("z3") is not None


def answer(text: str, seconds: float) -> str:
    """Z3's answer to SMT-LIB text: "unsat", "sat" or "unknown"."""
    z3 = importlib.import_module("z3")
    try:
        solver = z3.SolverFor("QF_NRA", ctx=z3.Context())
        solver.set("timeout", max(1, int(1000 * seconds)))
        solver.set("max_memory", MEMORY_MB)
        solver.from_string(text)
        return str(solver.check())
    except z3.Z3Exception:  # out of memory
        return "unknown"


def question(bound: Bound, facts: Iterable[str], deadline: float = math.inf) -> Question:
    """Whether some real numbers satisfy the facts and the bound's conditions, but not the bound.

    Raises:
        GiveUp: for exponentials, logarithms, quantities without facts, and large polynomials.
    """
    require_known(bound)
    atoms = Atoms()

    def relations(some: Iterable[Relational]) -> list[_Relation]:
        return [_Relation(*pair) for pair in atoms.conditions(some)]

    sections = {fact: relations(FACTS[fact].relations) for fact in facts}
    sections["the bound's conditions"] = relations(known_conditions(bound))
    difference = atoms.rational(bound.lhs) - atoms.rational(bound.rhs)
    sections["the bound fails"] = [_Relation(difference, _NEGATED[bound.relation.rel_op])]
    return _Writer(atoms, sections, deadline).question()


class _Writer:
    """Writes sections of relations as assertions about polynomials."""

    def __init__(self, atoms: Atoms, sections: dict[str, list[_Relation]], deadline: float) -> None:
        self.atoms = atoms
        self.sections = sections
        expressions = [r.difference for relations in sections.values() for r in relations]
        expressions += [part for atom in atoms for part in atom.arguments]
        symbols = frozenset(atoms.by_symbol).union(*(e.free_symbols for e in expressions))
        self.names = sorted(symbol.name for symbol in symbols)
        self.algebra = Algebra(self.names, deadline)
        self.values = {name: self.algebra.generator(name) for name in self.names}
        self.denominators: dict[PolyElement, None] = {}
        self.rests_on: set[str] = set()
        self.monomials = 0
        self.known = {}
        for expression, domains in _KNOWN_POSITIVE:
            if expression.free_symbols <= symbols:
                value = self.algebra.value(expression, self.values)
                (factor,) = value.powers
                self.known[factor] = (-1 if value.coefficient < 0 else 1, domains)

    def question(self) -> Question:
        lines = ["(set-logic QF_NRA)", *(f"(declare-const {name} Real)" for name in self.names)]
        for title, relations in self.sections.items():
            lines += [f"; {title}", *(f"(assert {self.compared(*r)})" for r in relations)]
        for atom in self.atoms:
            lines += [f"; {atom.symbol} = {atom.kind}(...)", f"(assert {self.definition(atom)})"]
        lines.append("; no denominator vanishes")
        for factor in self.denominators:
            lines.append(f"(assert (not (= {self.polynomial(factor)} 0)))")
        return Question("\n".join((*lines, "(check-sat)", "")), frozenset(self.rests_on))

    def definition(self, atom: Atom) -> str:
        symbol, arguments = atom.symbol, atom.arguments
        if atom.kind == "sqrt":
            return self._all("and", ((symbol, ">="), (symbol**2 - arguments[0], "==")))
        equal = self._all("or", ((symbol - one, "==") for one in atom.alternatives))
        if atom.kind == "abs":
            return f"(and {equal} {self.compared(symbol, '>=')})"
        sign = ">=" if atom.kind == "max" else "<="
        bounds = self._all("and", ((symbol - one, sign) for one in arguments))
        return f"(and {equal} {bounds})"

    def _all(self, word: str, parts: Iterable[tuple[sympy.Expr, str]]) -> str:
        return f"({word} {' '.join(self.compared(*part) for part in parts)})"

    def compared(self, expression: sympy.Expr, sign: str) -> str:
        """`expression sign 0`, multiplied by its denominators' squares or positive factors."""
        value = self.algebra.value(expression, self.values)
        factors = []
        direction = value.coefficient
        for factor, power in value.powers.items():
            if power < 0 and factor in self.known:
                of_known, domains = self.known[factor]
                direction *= of_known**power
                self.rests_on |= domains
            elif power < 0:
                self.denominators[factor] = None
                if power % 2 and sign != "==":
                    factors.append(self.polynomial(factor))
            else:
                factors += [self.polynomial(factor)] * (1 if power % 2 else 2)
        number = "0" if not direction else "1" if direction > 0 else "(- 1)"
        return f"({'=' if sign == '==' else sign} {_product([number, *factors])} 0)"

    def polynomial(self, polynomial: PolyElement) -> str:
        self.monomials += len(polynomial)
        degree = max(sum(powers) for powers in polynomial.monoms())
        if self.monomials > MOST_MONOMIALS or degree > LARGEST_DEGREE:
            raise GiveUp("too large for Z3")
        terms = []
        for powers, number in polynomial.terms():
            size = f"{abs(int(number))}"
            names = [n for n, k in zip(self.names, powers, strict=False) for _ in range(k)]
            terms.append(_product([size if number > 0 else f"(- {size})", *names]))
        return terms[0] if len(terms) == 1 else f"(+ {' '.join(terms)})"


def _product(factors: list[str]) -> str:
    some = [factor for factor in factors if factor != "1"] or ["1"]
    return some[0] if len(some) == 1 else f"(* {' '.join(some)})"
