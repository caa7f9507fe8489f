"""False neighbours of every statement, made from its own SymPy relation.

A variant must be false, not merely different: dropping (1-M) from an upper bound leaves a true,
weaker bound, so that factor is squared or exchanged instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy

from mdtheory import STATEMENTS, Statement
from mdtheory.statements import (
    PAIR_BOUNDS,
    PAIR_QUANTITIES,
    PART_A,
    QUANTITIES,
    UPDATE_BOUNDS,
)
from mdtheory.statements.quantities import R, gamma, reward_range, train_mass

CHECKED: dict[str, Statement] = PART_A | {bound.id: bound for bound in PAIR_BOUNDS}
"""The statements about one or two policies of a problem: all but B4 to B6."""

Change = Callable[[sympy.Expr], sympy.Expr]

SYMBOLS = {name: q.symbol for name, q in (QUANTITIES | PAIR_QUANTITIES).items()}
MEAN, DECOUPLING = SYMBOLS["mean_robustness"], SYMBOLS["decoupling"]
DISTANCE = SYMBOLS["occupancy_distance"]
DISAGREE, DIVERGE = SYMBOLS["disagreement"], SYMBOLS["divergence"]
MEAN_DISAGREE, MEAN_DIVERGE = SYMBOLS["mean_disagreement"], SYMBOLS["mean_divergence"]
ADVANTAGE, SHIFT = SYMBOLS["advantage_bound"], SYMBOLS["train_shift"]
COVERAGE, SHARP = STATEMENTS["A0"].rhs, STATEMENTS["A2"].rhs
PENALTY = SYMBOLS["surrogate"] - STATEMENTS["A6"].rhs


def put(symbol: sympy.Symbol, other: sympy.Expr | int) -> Change:
    return lambda x: x.subs(symbol, other, simultaneous=True)


UPPER: dict[str, Change] = {
    "0.99 of the constant": lambda x: 99 * x / 100,
    "half the constant": lambda x: x / 2,
    "flipped sign": lambda x: -x,
    "a factor 1/(1-gamma) dropped": lambda x: x * (1 - gamma),
    "two factors 1/(1-gamma) dropped": lambda x: x * (1 - gamma) ** 2,
    "1-gamma**2 for 1-gamma": lambda x: x / (1 + gamma),
    "gamma for 1-gamma": put(gamma, 1 - gamma),
    "(1-M) squared": lambda x: x * (1 - train_mass),
    "M for 1-M": put(train_mass, 1 - train_mass),
    "Delta dropped": put(reward_range, 1),
    "Delta squared": put(reward_range, reward_range**2),
}
OF_ROBUSTNESS: dict[str, Change] = {
    "mean R for R": put(R, MEAN),
    "1-R for R": put(R, 1 - R),
    "R squared": put(R, R**2),
}
STEP: dict[str, Change] = {
    "flipped sign of the step penalty": lambda x: x + 2 * PENALTY,
    "step penalty dropped": lambda x: x + PENALTY,
    "half the step penalty": lambda x: x + PENALTY / 2,
    "0.99 of the step penalty": lambda x: x + PENALTY / 100,
    "a factor 1/(1-gamma) dropped": lambda x: x + PENALTY * gamma,
    "gamma squared in the step penalty": lambda x: x + PENALTY * (1 - gamma),
    "squared advantage": put(ADVANTAGE, ADVANTAGE**2),
    "squared shift": put(SHIFT, SHIFT**2),
}
SPECIAL: dict[str, dict[str, Change]] = {
    "A0": {"R for 1": lambda x: x * R, "mean R for 1": lambda x: x * MEAN},
    "A1": {k: v for k, v in OF_ROBUSTNESS.items() if k != "mean R for R"},
    "A2": {
        **OF_ROBUSTNESS,
        "coverage times R": lambda x: R * COVERAGE,
        "1+gamma(1-R)": lambda x: COVERAGE * R / (1 + gamma * (1 - R)),
    },
    "A3": {"mean R squared": put(MEAN, MEAN**2), "1-mean R for mean R": put(MEAN, 1 - MEAN)},
    "A4": {
        "mean R for C": put(DECOUPLING, MEAN),
        "R for C": put(DECOUPLING, R),
        "C squared": put(DECOUPLING, DECOUPLING**2),
    },
    "A5": {"C for W": put(DISTANCE, DECOUPLING), "mean R for W": put(DISTANCE, MEAN)},
    "A6": STEP,
    "A7": {
        **STEP,
        **OF_ROBUSTNESS,
        "flipped sign of the gap": lambda x: x + 2 * SHARP,
        "gap dropped": lambda x: x + SHARP,
        "half the gap": lambda x: x + SHARP / 2,
        "0.99 of the gap": lambda x: x + SHARP / 100,
        "(1-M) squared": lambda x: x + SHARP * train_mass,
        "Delta dropped": put(reward_range, 1),
        "on-policy bound without its horizon": lambda x: x + SHARP - COVERAGE * MEAN,
    },
    "B1": {
        "0.99 of the disagreement": lambda x: x - 2 * DISAGREE / 100,
        "disagreement once": lambda x: x - DISAGREE,
        "mean disagreement": put(DISAGREE, MEAN_DISAGREE),
        "disagreement alone": lambda x: 2 * DISAGREE,
        "robustness alone": lambda x: x - 2 * DISAGREE,
        "disagreement squared": put(DISAGREE, DISAGREE**2),
    },
    "B2": {
        "0.99 of it": lambda x: 99 * x / 100,
        "KL/4 under the root": put(DIVERGE, DIVERGE / 2),
        "no root in the first": lambda x: sympy.Min(DIVERGE / 2, x.args[1]),
        "no root in the second": lambda x: sympy.Min(x.args[0], 1 - sympy.exp(-DIVERGE)),
        "mean divergence": put(DIVERGE, MEAN_DIVERGE),
        "exp(-KL/2)": lambda x: sympy.sqrt(1 - sympy.exp(-DIVERGE / 2)),
    },
    "B3": {
        "0.99 of it": lambda x: 99 * x / 100,
        "KL/4 under the root": put(MEAN_DIVERGE, MEAN_DIVERGE / 2),
        "no root": lambda x: MEAN_DIVERGE / 2,
        "its square": lambda x: x**2,
        "half of it": lambda x: x / 2,
    },
}


def _related(statement: Statement, label: str, relation: sympy.Rel) -> Statement:
    return replace(statement, name=f"{statement.id}: {label}", relation=relation)


def _changed(statement: Statement, label: str, change: Change) -> Statement:
    """Times 100 on both sides, since a `Statement` holds integers only."""
    build = type(statement.relation)
    relation = build(100 * statement.lhs, 100 * change(statement.rhs), evaluate=False)
    return _related(statement, label, relation)


def _mirrored(statement: Statement) -> list[Statement]:
    """Reversed, and strict: every bound of A0 to A7 is attained by some problem."""
    lhs, rhs = statement.lhs, statement.rhs
    if statement.is_upper_bound:
        reverse, strict = sympy.Ge(lhs, rhs, evaluate=False), (lhs, rhs)
    else:
        reverse, strict = sympy.Le(lhs, rhs, evaluate=False), (-lhs, -rhs)
    return [
        _related(statement, "reversed", reverse),
        _related(statement, "strict", sympy.StrictLessThan(*strict, evaluate=False)),
    ]


def _of_robustness_pays() -> list[Statement]:
    statement = STATEMENTS["A8"]
    slope, zero = statement.lhs, sympy.Integer(0)
    flipped = sympy.diff(STATEMENTS["A7"].rhs + 2 * SHARP, R)
    return [
        _related(statement, "increases", sympy.StrictLessThan(-slope, zero, evaluate=False)),
        _related(statement, "does not decrease", sympy.Ge(slope, zero, evaluate=False)),
        _related(statement, "gap added", sympy.StrictLessThan(flipped, zero, evaluate=False)),
        replace(statement, name="A8: at any M", requires=statement.requires[1:]),
        replace(statement, name="A8: at any Delta", requires=statement.requires[:1]),
    ]


def wrong_variants() -> list[Statement]:
    """Every false variant; its name starts with the id of the true statement."""
    found = _of_robustness_pays()
    for statement in CHECKED.values():
        if statement.id != "A8":
            common = {} if statement in (*UPDATE_BOUNDS, *PAIR_BOUNDS) else UPPER
            changes = common | SPECIAL[statement.id]
            found += [
                _changed(statement, label, change)
                for label, change in changes.items()
                if change(statement.rhs) != statement.rhs  # A5 knows no gamma
            ]
            found += _mirrored(statement)
    worst = sympy.Le(DISAGREE, STATEMENTS["B3"].rhs)
    found.append(_related(STATEMENTS["B3"], "worst disagreement", worst))
    return found
