"""Looking for a derivation: a bounded search, shortest ones first; see `certificate`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sympy
from sympy import Symbol

from mdtheory.proving.atoms import Atom
from mdtheory.proving.certificate import (
    ORDER,
    REPLACEMENTS,
    Cases,
    Derivation,
    Invalid,
    Leaf,
    Replace,
    Task,
)
from mdtheory.proving.factored import Exhausted, GiveUp

MOST_EXPRESSIONS = 300
"""Expressions that a search looks at, at most."""
MOST_STEPS = 5
"""Facts used one after the other, at most."""


def derive(task: Task) -> Derivation | None:
    """One of the shortest derivations for the task, if a bounded search finds any.

    Raises:
        GiveUp: when it runs out of time or of expressions.
    """
    searching = _Search(task)
    for steps in range(MOST_STEPS + 1):
        if found := searching.derivation(task.difference, steps):
            return found
    return None


class _Search:
    """Depth first: atoms from the outermost inwards, then the quantities in their order."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.items = (*reversed([atom.symbol for atom in task.atoms]), *map(Symbol, ORDER))
        self.leaves: dict[sympy.Expr, Leaf | None] = {}
        self.failed: set[tuple[sympy.Expr, int, int]] = set()

    def leaf(self, expression: sympy.Expr) -> Leaf | None:
        if expression not in self.leaves:
            if len(self.leaves) == MOST_EXPRESSIONS:
                raise Exhausted("too many expressions")
            self.leaves[expression] = None
            with _unless_exhausted():
                found = self.task.leaf(expression)
                self.leaves[expression] = found and found[0]
        return self.leaves[expression]

    def derivation(self, expression: sympy.Expr, steps: int, place: int = 0) -> Derivation | None:
        """In so many steps, on the items from this place on."""
        if leaf := self.leaf(expression):
            return leaf
        if steps == 0 or (expression, steps, place) in self.failed:
            return None
        for later in range(place, len(self.items)):
            symbol = self.items[later]
            if symbol in expression.free_symbols:
                found = None
                with _unless_exhausted():
                    found = self.step(expression, steps, later)
                if found:
                    return found
                if symbol.name in self.task.region(expression).free:
                    break  # no later step can remove it
        self.failed.add((expression, steps, place))
        return None

    def step(self, expression: sympy.Expr, steps: int, place: int) -> Derivation | None:
        symbol = self.items[place]
        if atom := self.task.atoms.by_symbol.get(symbol):
            return self.cases(expression, atom, steps, place)
        for fact, number in REPLACEMENTS[symbol.name]:
            try:
                smaller = self.task.replaced(expression, fact, number).expression
            except Invalid:
                continue
            if rest := self.derivation(smaller, steps - 1, place + 1):
                return Replace(fact, number, rest)
        return None

    def cases(
        self, expression: sympy.Expr, atom: Atom, steps: int, place: int
    ) -> Derivation | None:
        one_will_do = self.task.one_case_will_do(expression, atom) is not None
        found = []
        for number, alternative in enumerate(atom.alternatives):
            after = expression.xreplace({atom.symbol: alternative})
            # A case costs no step: the others would have to pay for it too.
            if rest := self.derivation(after, steps, place + 1):
                found.append((number, rest))
                if one_will_do:
                    break
            elif not one_will_do:
                return None
        return Cases(atom.symbol.name, tuple(found)) if found else None


@contextlib.contextmanager
def _unless_exhausted() -> Iterator[None]:
    """What is too large on one way may be small on another."""
    try:
        yield
    except Exhausted:
        raise
    except GiveUp:
        pass
