"""How tight each bound can be at given γ and R: proved suprema of the used share of what it allows.

One world attains A2 (theory.md): action 0 pays r_max and stays, action 1 pays r_min and leads to a
sink; the training rendering takes action 0, the held-out one action 1 with probability R.  Its gap
is A2, so the supremum of gap / X is A2 / X for every bound X that γ and R alone decide, and 1 for
every bound between the gap and A2.
"""

from __future__ import annotations

from typing import NamedTuple

import sympy

from mdtheory.statements.part_a import CLASSIC, COVERAGE, SHARP


class Supremum(NamedTuple):
    """A proved supremum over all MDPs: an expression in γ and R, and why."""

    ratio: sympy.Expr
    why: str


_one = sympy.Integer(1)
_between = "the world that attains A2 attains it too, since gap <= A5 <= A4 <= A2"

SUPREMA: dict[str, Supremum] = {
    "A0": Supremum(sympy.cancel(SHARP.rhs / COVERAGE.rhs), "A2 is attained, and A2 / A0 is this"),
    "A1": Supremum(sympy.cancel(SHARP.rhs / CLASSIC.rhs), "A2 is attained, and A2 / A1 is this"),
    "A2": Supremum(_one, "attained by two states and two actions"),
    "A3": Supremum(_one, "attained when the start state, left at once, is the only fork"),
    "A4": Supremum(_one, _between),
    "A5": Supremum(_one, _between),
    "A6": Supremum(_one, "approached, for gamma > 0, by ever smaller steps in a two-state world"),
    "A7": Supremum(_one, "attained by the world that attains A2, with no update at all"),
}
"""By the id of the statement; A8 is about a derivative and has no such share."""
