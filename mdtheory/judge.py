"""`judge`: is a bound true of these numbers, and which arithmetic can tell?

`slack` is the distance to violation (right − left for `<=`, left − right for `>=`, and for an
equation minus the distance of its sides).  `ratio` says how much of what a bound allows is used: 1
means attained, more means violated.  It is the smaller side over the larger one; where returns
occur, all of them over all the rest (for A6 and A7: by how much the return falls short of the
surrogate, over the penalty).

In exact arithmetic the sign of the slack decides.  Float64 quantities come with proven error radii;
they decide where ball arithmetic separates both sides.  Where it does not, the doubles are read as
the rationals that they are and the problem is decided exactly.  Roots, exponentials and logarithms
are decided in ball arithmetic of growing precision.  There is no tolerance; what nothing of this
decides is "undecided".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import sympy

from mdtheory.exact import Enclosed, to_ball
from mdtheory.statements import Bound
from mdtheory.statements.arithmetic import BALLS, FLOATS, RATIONALS

HIGHEST_PRECISION = 8192
"""Bits up to which ball arithmetic tries to separate two numbers."""

HOLDS, VIOLATED = "holds", "violated"
NOT_APPLICABLE, UNDECIDED = "not applicable", "undecided"


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundResult:
    """One bound on one problem (or on a batch: then the numbers are arrays).

    Attributes:
        bound: the bound, or the statement.
        lhs, rhs: values of its two sides.
        slack: distance to violation; negative when violated.
        ratio: share of what is allowed that is used; None (nan in a batch) if nothing is allowed.
        verdict: "holds"; "violated"; "not applicable", when its conditions fail or it divides by
            zero; "undecided", see the module.
        decided_by: "rationals", "balls" or "float64", the latter with proven radii.
    """

    bound: Bound
    lhs: Any
    rhs: Any
    slack: Any
    ratio: Any
    verdict: Any
    decided_by: Any


def judge(
    bound: Bound,
    quantities: Mapping[str, Any],
    *,
    radii: Mapping[str, Any] | None = None,
    settle: Callable[[Bound, tuple[int, ...]], Mapping[str, Any] | None] | None = None,
) -> BoundResult:
    """A bound's verdict on measured quantities.

    Args:
        bound: any inequality over them.
        quantities: name -> number, or arrays of one batch shape: `Fraction`s and `Enclosed`
            numbers, or float64.
        radii: for float64, how far each may be from the truth; 0 by default.
        settle: for float64, gives the rational quantities at an index of the batch where the radii
            leave the verdict open, or None to leave it so; by default floats are taken as exact.

    Raises:
        ArithmeticError: when a side overflows float64.
    """
    arrays = {q.name: np.asarray(quantities[q.name]) for q in bound.quantities}
    shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    arrays = {name: np.broadcast_to(array, shape) for name, array in arrays.items()}
    if any(array.dtype == object for array in arrays.values()):
        open_problems: Iterable[tuple[int, ...]] = np.ndindex(shape)
        columns = {name: np.full(shape, None) for name in ("lhs", "rhs", "slack", "ratio")}
        verdict = np.full(shape, UNDECIDED, dtype=object)
        arithmetic = "rationals"

        def settled(index: tuple[int, ...]) -> Mapping[str, Any] | None:
            return {name: array[index] for name, array in arrays.items()}
    else:
        columns = _float_columns(bound, arrays, shape)
        verdict = _verdict_in_balls(bound, arrays, radii or {}, shape)
        arithmetic = "float64"
        open_problems = [i for i in np.ndindex(shape) if verdict[i] == UNDECIDED]

        def settled(index: tuple[int, ...]) -> Mapping[str, Any] | None:
            if settle is not None:
                return settle(bound, index)
            return {name: _exactly(float(array[index])) for name, array in arrays.items()}

    decided_by = np.full(shape, arithmetic, dtype=object)
    for index in open_problems:
        values = settled(index)
        if values is None:
            continue
        verdict[index], decided_by[index], numbers = _decide(bound, values)
        for name, number in numbers.items():
            if arithmetic != "float64":
                columns[name][index] = number
            else:
                columns[name][index] = _nearest_float(number)
    if arithmetic == "float64":
        _require_finite(bound, columns, arrays.values(), verdict != NOT_APPLICABLE)
    return BoundResult(
        bound=bound,
        **{name: column[()] for name, column in columns.items()},
        verdict=verdict[()],
        decided_by=decided_by[()],
    )


def _exactly(number: float) -> Fraction | Enclosed:
    return Enclosed(lambda: flint.arb(number)) if np.isinf(number) else Fraction(number)


def _nearest_float(number: Fraction | float | None) -> float:
    try:
        return float("nan") if number is None else float(number)
    except OverflowError:
        return float("inf")


def _require_finite(
    bound: Bound, columns: Mapping[str, Any], arrays: Iterable[np.ndarray], relevant: np.ndarray
) -> None:
    """Raise where a side is infinite though the quantities are not (a KL divergence may be)."""
    infinite = np.isinf(columns["lhs"]) | np.isinf(columns["rhs"])
    if (infinite & relevant & np.logical_and.reduce([np.isfinite(a) for a in arrays])).any():
        raise ArithmeticError(
            f"{bound.id} overflows float64: make the rewards smaller, or give every"
            " number as a fraction and decide exactly"
        )


def _float_columns(bound: Bound, arrays: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    small, large = bound.smaller_and_larger
    with np.errstate(all="ignore"):
        values = bound.substitute(
            (bound.lhs, bound.rhs, large - small, *bound.used_and_allowed), arrays, FLOATS
        )
        lhs, rhs, slack, used, allowed = (np.broadcast_to(v, shape).copy() for v in values)
        ratio = np.where(allowed > 0, used / np.where(allowed > 0, allowed, 1), np.nan)
        slack = -abs(slack) if bound.is_equation else slack
    return {"lhs": lhs, "rhs": rhs, "slack": slack, "ratio": ratio}


_to_balls = np.frompyfunc(lambda value, radius: flint.arb(value, radius), 2, 1)


def _verdict_in_balls(
    bound: Bound, arrays: Mapping[str, Any], radii: Mapping[str, Any], shape: tuple[int, ...]
) -> np.ndarray:
    """Verdicts that hold for every value within the radii; "undecided" where they differ."""
    balls = {name: _to_balls(array, radii.get(name, 0.0)) for name, array in arrays.items()}
    small, large = bound.smaller_and_larger
    with np.errstate(all="ignore"):
        (slack,) = bound.substitute((large - small,), balls, BALLS)
        conditions = [_surely(condition, bound, balls) for condition in bound.requires]
    slack = np.broadcast_to(slack, shape)
    is_true, is_false = _sign_certain(slack, bound.relation.rel_op.replace(">", "<"))
    verdict = np.full(shape, UNDECIDED, dtype=object)
    verdict[is_true] = HOLDS
    verdict[is_false] = VIOLATED
    for met, _ in conditions:
        verdict[~np.broadcast_to(met, shape)] = UNDECIDED
    for _, failed in conditions:
        verdict[np.broadcast_to(failed, shape)] = NOT_APPLICABLE
    return verdict


def _surely(
    condition: sympy.core.relational.Relational, bound: Bound, balls: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Where a condition is surely true, and where surely false."""
    left, right = bound.substitute((condition.lhs, condition.rhs), balls, BALLS)
    relation = condition.rel_op
    difference = left - right if relation in (">", ">=") else right - left
    return _sign_certain(difference, relation)


def _sign_certain(difference: Any, relation: str) -> tuple[np.ndarray, np.ndarray]:
    """Where `0 relation difference` is surely true, and where surely false ("==" included)."""
    if relation == "==":
        same = np.asarray(difference == 0, dtype=bool)
        return same, np.asarray(difference != 0, dtype=bool)
    if relation in ("<", ">"):
        return np.asarray(difference > 0, bool), np.asarray(difference <= 0, bool)
    return np.asarray(difference >= 0, bool), np.asarray(difference < 0, bool)


def _decide(bound: Bound, values: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Verdict, arithmetic and numbers for rational quantities, or `Enclosed` ones."""
    in_balls = bound.needs_balls or any(isinstance(v, Enclosed) for v in values.values())
    missing: dict[str, Any] = dict.fromkeys(("lhs", "rhs", "slack", "ratio"))
    if any(value is None for value in values.values()):
        return NOT_APPLICABLE, "balls" if in_balls else "rationals", missing
    if in_balls:
        return _decide_in_balls(bound, values)
    verdict, numbers = _decide_in_rationals(bound, values)
    return verdict, "rationals", numbers or missing


def _decide_in_rationals(
    bound: Bound, values: Mapping[str, Any]
) -> tuple[str, dict[str, Any] | None]:
    try:
        conditions = [
            bound.substitute((condition.lhs, condition.rhs), values, RATIONALS)
            for condition in bound.requires
        ]
        lhs, rhs = bound.sides(values)
        used, allowed = bound.substitute(bound.used_and_allowed, values, RATIONALS)
    except ZeroDivisionError:
        return NOT_APPLICABLE, None
    slack = rhs - lhs if bound.is_upper_bound else lhs - rhs
    slack = -abs(slack) if bound.is_equation else slack
    ratio = used / allowed if allowed > 0 else None
    numbers = {"lhs": lhs, "rhs": rhs, "slack": slack, "ratio": ratio}
    pairs = zip(bound.requires, conditions, strict=True)
    if not all(_compare(left, condition.rel_op, right) for condition, (left, right) in pairs):
        return NOT_APPLICABLE, numbers
    holds = slack > 0 if bound.is_strict else slack >= 0
    return (HOLDS if holds else VIOLATED), numbers


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


def _compare(left: Any, relation: str, right: Any) -> bool:
    return _OPERATORS[relation](left, right)


def _decide_in_balls(bound: Bound, values: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Ball arithmetic of growing precision; equality of two irrational numbers stays open."""
    precision = 64
    while True:
        with flint.ctx.workprec(precision):
            balls = {name: to_ball(value) for name, value in values.items()}
            verdict = str(_verdict_in_balls(bound, balls, {}, ())[()])
            if verdict != UNDECIDED or precision >= HIGHEST_PRECISION:
                lhs, rhs, used, allowed = bound.substitute(
                    (bound.lhs, bound.rhs, *bound.used_and_allowed), balls, BALLS
                )
                break
        precision *= 2
    slack = rhs - lhs if bound.is_upper_bound else lhs - rhs
    slack = -abs(slack) if bound.is_equation else slack
    numbers = {
        "lhs": float(lhs),
        "rhs": float(rhs),
        "slack": float(slack),
        "ratio": float(used / allowed) if allowed > 0 else None,
    }
    return verdict, "balls", numbers
