"""`prove`: does a bound follow from the theory, for every problem?

Two methods try, on premises from `facts`: nonnegative coefficients (`certificate`, which needs
nothing but SymPy) and Z3 (`smt`, with the extra `prove`).  Both are sound, neither is complete:
None means that no proof was found, not that the bound is false.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mdtheory.proving.certificate import (
    Cases,
    Derivation,
    Invalid,
    Leaf,
    Replace,
    Task,
    replay,
)
from mdtheory.proving.derive import derive
from mdtheory.proving.factored import Exhausted, GiveUp
from mdtheory.proving.facts import FACTS
from mdtheory.proving.smt import answer, question, z3_available
from mdtheory.statements import Bound
from mdtheory.statements.quantities import R, gamma, reward_range, train_mass

__all__ = ["Proof", "prove", "prove_by_coefficients", "prove_by_z3", "z3_available"]

_EVERYWHERE = frozenset((gamma, train_mass, reward_range, R))
"""Occur in most facts, so that sharing them does not make a fact relevant."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Why a bound holds for every problem.

    Attributes:
        bound: what is proved.
        by: "SymPy" or "Z3".
        uses: ids of the facts that it rests on, see `mdtheory.proving.facts.FACTS`.
        argument: the proof in a few sentences.
        certificate: what `recheck` repeats: the steps and the remaining polynomials, or SMT-LIB
            text to which the answer is "unsat".
    """

    bound: Bound
    by: str
    uses: tuple[str, ...]
    argument: str
    certificate: Derivation | str

    def recheck(self, *, timeout: float = 60.0) -> bool:
        """Whether the certificate proves the bound from exactly these facts, checked anew.

        Raises:
            ModuleNotFoundError: for a proof by Z3 where that is not installed.
        """
        deadline = time.monotonic() + timeout
        try:
            if not isinstance(self.certificate, str):
                return replay(Task(self.bound, deadline), self.certificate) == self.uses
            asked = question(self.bound, self.uses, deadline)
        except (GiveUp, Invalid, KeyError, IndexError):
            return False
        is_complete = asked.rests_on <= set(self.uses) and asked.text == self.certificate
        return is_complete and answer(self.certificate, deadline - time.monotonic()) == "unsat"


def prove(bound: Bound, *, timeout: float = 5.0) -> Proof | None:
    """A proof that the bound holds for every problem, if one is found in time (seconds).

    Without the extra `prove`, which `z3_available` tells, only the first method is tried.
    """
    deadline = time.monotonic() + timeout
    found = prove_by_coefficients(bound, timeout=timeout / 2)
    if found is None and z3_available():
        return prove_by_z3(bound, timeout=deadline - time.monotonic())
    return found


def prove_by_coefficients(bound: Bound, *, timeout: float = 5.0) -> Proof | None:
    """A proof that replaces quantities until no coefficient is negative, if one is found."""
    try:
        task = Task(bound, time.monotonic() + timeout)
        derivation = derive(task)
        if derivation is None:
            return None
        uses = replay(task, derivation)
    except GiveUp:
        return None
    return Proof(
        bound=bound,
        by="SymPy",
        uses=uses,
        argument=_told(derivation, bound),
        certificate=derivation,
    )


def _told(derivation: Derivation, bound: Bound) -> str:
    """The derivation in words."""
    steps = list(_steps(derivation))
    facts = dict.fromkeys(step.fact for step in steps if isinstance(step, Replace))
    leaves = [step for step in steps if isinstance(step, Leaf) and step.factors != ("0",)]
    text = "The larger side minus the smaller one"
    if any(isinstance(step, Cases) for step in steps):
        text += ", in each case of abs, min and max,"
    if facts:
        text += f" becomes no larger when {', then '.join(facts)} is put into it. What is left"
    if not leaves:
        return f"{text} is 0."
    sign = "positive" if bound.is_strict else "nonnegative"
    parameters = dict.fromkeys(text for leaf in leaves for text in leaf.parameters)
    after = f"after {', '.join(parameters)} " if parameters else ""
    return f"{text} is {sign}: {after}no coefficient of it is negative."


def _steps(derivation: Derivation) -> Iterator[Derivation]:
    yield derivation
    if isinstance(derivation, Replace):
        yield from _steps(derivation.rest)
    elif isinstance(derivation, Cases):
        for _, rest in derivation.cases:
            yield from _steps(rest)


def prove_by_z3(bound: Bound, *, timeout: float = 5.0) -> Proof | None:
    """A proof by Z3 from few facts, if there is one.

    Raises:
        ModuleNotFoundError: without the extra `prove`.
    """
    try:
        return _Attempt(bound, timeout).proof()
    except GiveUp:
        return None


class _Attempt:
    """Questions to Z3 about one bound, until a deadline."""

    def __init__(self, bound: Bound, timeout: float) -> None:
        self.bound = bound
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self.symbols = frozenset(quantity.symbol for quantity in bound.quantities)
        self.theorems = [fact for fact in FACTS.values() if not fact.is_domain]
        self.near = [f for f in self.theorems if f.symbols & (self.symbols - _EVERYWHERE)]

    def proof(self) -> Proof | None:
        """From domains only, else from a single fact or a few, else from as few as possible."""
        if self.follows((), 0.2):
            return self.smallest(())
        everything = [fact.id for fact in self.theorems]
        overall = self.answer(self.with_domains(everything), 0.2)
        if overall == "sat":
            return None
        for fact in self.near:
            if self.follows((fact.id,), 0.1):
                return self.smallest((fact.id,))
        if overall == "unsat":
            return self.smallest(everything)
        for pair in self.pairs():
            if self.follows(pair, 0.05):
                return self.smallest(pair)
        return None

    def follows(self, theorems: Iterable[str], share: float) -> bool:
        return self.answer(self.with_domains(theorems), share) == "unsat"

    def answer(self, facts: tuple[str, ...], share: float) -> str:
        """To the question with these facts, in a share of the time."""
        seconds = min(self.deadline - time.monotonic(), share * self.timeout)
        if seconds <= 0:
            raise Exhausted("out of time")
        asked = question(self.bound, facts, self.deadline)
        return answer(asked.text, seconds) if asked.rests_on <= set(facts) else "unknown"

    def with_domains(self, theorems: Iterable[str]) -> tuple[str, ...]:
        """These facts, and the domains of all quantities that then occur."""
        found = list(theorems)
        symbols = self.symbols.union(*(FACTS[fact].symbols for fact in found))
        while new := [f for f in _DOMAINS if f.id not in found and f.subjects & symbols]:
            found += [fact.id for fact in new]
            symbols = symbols.union(*(fact.symbols for fact in new))
        return tuple(found)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """A fact about the bound's quantities, and one about theirs or its own."""
        for one in self.near:
            linked = (one.symbols | self.symbols) - _EVERYWHERE
            for other in self.theorems:
                if other.symbols & linked and other != one:
                    yield one.id, other.id

    def smallest(self, theorems: Iterable[str]) -> Proof:
        """The proof from these facts, without those that turn out not to be needed.

        Later facts are dropped first, so that A0 to A7 stay rather than what leads to them.
        """
        needed = list(theorems)
        with contextlib.suppress(GiveUp):  # out of time: some may be superfluous
            for theorem in reversed(tuple(needed)):
                some = [other for other in needed if other != theorem]
                needed = some if self.follows(some, 0.1) else needed
        facts = self.with_domains(needed)
        with contextlib.suppress(GiveUp):
            for fact in reversed(facts):
                fewer = tuple(other for other in facts if other != fact)
                facts = fewer if self.answer(fewer, 0.1) == "unsat" else facts
        return Proof(
            bound=self.bound,
            by="Z3",
            uses=facts,
            argument=f"No real numbers satisfy {_listed(facts, self.bound)} but not the bound:"
            " Z3 refutes these polynomial inequalities.",
            certificate=question(self.bound, facts).text,
        )


def _listed(facts: tuple[str, ...], bound: Bound) -> str:
    conditions = ("the bound's conditions",) if bound.requires else ()
    return ", ".join((*facts, *conditions)) or "nothing at all"


_DOMAINS = [fact for fact in FACTS.values() if fact.is_domain]
