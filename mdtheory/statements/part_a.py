"""Part A: from robustness to generalization.  Each statement is written here and nowhere else.

Numbers (float64, exact, batched), LaTeX and documentation derive from these objects.
"""

from __future__ import annotations

import sympy

from mdtheory.statements.quantities import (
    R,
    advantage_bound,
    decoupling,
    eta,
    gamma,
    gap,
    mean_robustness,
    occupancy_distance,
    reward_range,
    surrogate,
    train_mass,
    train_shift,
    zeta,
)
from mdtheory.statements.statement import CLAIM, Statement

_unseen = 1 - train_mass
_horizon = 1 / (1 - gamma)
_always = ("0 <= gamma < 1", "0 < M <= 1", "r_min <= r <= r_max")

COVERAGE = Statement(
    id="A0",
    name="coverage",
    claim="The gap is at most the unseen mass times the range of returns.",
    relation=sympy.Le(gap, _unseen * reward_range * _horizon),
    assumptions=_always,
    source=CLAIM,
)

CLASSIC = Statement(
    id="A1",
    name="classic",
    claim="The gap is at most linear in R, with the squared horizon of the simulation lemma.",
    relation=sympy.Le(gap, _unseen * R * reward_range * _horizon**2),
    assumptions=_always,
    source=f"{CLAIM}; technique: Kakade & Langford 2002",
)

SHARP = Statement(
    id="A2",
    name="sharp",
    claim="The best bound that R, gamma and Delta allow: attained by a two-state world.",
    relation=sympy.Le(gap, _unseen * R * reward_range / ((1 - gamma) * (1 - gamma * (1 - R)))),
    assumptions=_always,
    source=f"{CLAIM}; technique: maximal coupling of the two action distributions",
)

ON_POLICY = Statement(
    id="A3",
    name="on-policy",
    claim="The gap is at most linear in the on-policy mean of the total variation.",
    relation=sympy.Le(gap, _unseen * mean_robustness * reward_range * _horizon**2),
    assumptions=_always,
    source=f"{CLAIM}; technique: performance difference lemma, Kakade & Langford 2002",
)

COUPLING = Statement(
    id="A4",
    name="coupling",
    claim="The gap is paid only after two coupled trajectories separate.",
    relation=sympy.Le(gap, _unseen * decoupling * reward_range * _horizon),
    assumptions=_always,
    source=f"{CLAIM}; technique: maximal coupling of the two action distributions",
)

OCCUPANCY = Statement(
    id="A5",
    name="occupancy",
    claim="The gap is at most the mean distance of the occupancies; for each pair of renderings no"
    " better bound holds for all rewards.",
    relation=sympy.Le(gap, _unseen * reward_range * occupancy_distance),
    assumptions=_always,
    source=f"{CLAIM}; technique: linear programming duality for MDPs, Puterman 1994, ch. 6.9",
)

_penalty = 2 * gamma * advantage_bound * _horizon**2 * train_shift

TRAINING = Statement(
    id="A6",
    name="training",
    claim="The training return is at least the surrogate minus a penalty for the size of the step.",
    relation=sympy.Ge(eta, surrogate - _penalty),
    assumptions=_always,
    source="Achiam et al. 2017, Corollary 1, after Kakade & Langford 2002 and Schulman et al. 2015",
)

GENERALIZATION = Statement(
    id="A7",
    name="generalization",
    claim="The general return is at least A6's right side minus A2's.",
    relation=sympy.Ge(zeta, TRAINING.rhs - SHARP.rhs),
    assumptions=_always,
    source=CLAIM,
)

ROBUSTNESS_PAYS = Statement(
    id="A8",
    name="robustness pays",
    claim="The right side of A7 strictly decreases in R. It is about the bound, not the return:"
    " lower R at equal training return need not mean a higher general return.",
    relation=sympy.StrictLessThan(
        sympy.factor(sympy.diff(GENERALIZATION.rhs, R)), 0, evaluate=False
    ),
    assumptions=_always,
    requires=(sympy.Lt(train_mass, 1), sympy.Gt(reward_range, 0)),
    source=CLAIM,
)

GAP_BOUNDS: tuple[Statement, ...] = (COVERAGE, CLASSIC, SHARP, ON_POLICY, COUPLING, OCCUPANCY)
"""Upper bounds on the gap, A0 to A5."""

UPDATE_BOUNDS: tuple[Statement, ...] = (TRAINING, GENERALIZATION, ROBUSTNESS_PAYS)
"""Statements about a policy updated from a baseline, A6 to A8."""

PART_A: dict[str, Statement] = {
    statement.id: statement for statement in (*GAP_BOUNDS, *UPDATE_BOUNDS)
}
"""Every statement of part A by its id."""
