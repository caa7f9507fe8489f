"""What the search maximises: how much of what a bound allows is used, in float64, for a batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import sympy

from mdtheory import arrays
from mdtheory.measure import Measurement
from mdtheory.statements import Bound
from mdtheory.statements.arithmetic import FLOATS, Arithmetic

CLOSE = 1e-9
"""Float conditions count as met, and equalities as attained, within this share of their sides."""

NOISE = 1e-10
"""Share of the largest return below which a difference of returns may be mere rounding; it grows
with the horizon once that is longer than 1000 steps."""


class Score(NamedTuple):
    """Scores of a batch [B]; higher is closer to a violation.

    violation: (used − allowed) / (|used| + |allowed|), in [−1, 1]; positive where the bound fails.
    unmet: how far its conditions are from holding; 0 where all do.
    allowed: true where the bound allows something, so that the ratio of both says anything.
    """

    violation: Any
    unmet: Any
    allowed: Any


def score(bound: Bound, measurement: Measurement) -> Score:
    """Of every instance of a measurement on floats or tensors."""
    values = {q.name: measurement.raw(q) for q in bound.quantities}
    xp = measurement.xp
    arithmetic = FLOATS if xp is np else _of_tensors(xp, measurement.policy)
    values = {name: _spread(value, measurement) for name, value in values.items()}
    used, allowed = bound.substitute(bound.used_and_allowed, values, arithmetic)
    zero = measurement.model.discount * 0
    model = measurement.model
    largest_reward = measurement.xp.maximum(abs(model.reward_min), abs(model.reward_max))
    horizon = 1 / (1 - model.discount)
    noise = NOISE * largest_reward * measurement.xp.maximum(horizon, horizon**2 / 1000)
    violation = _relative(used + zero, allowed + zero, noise)
    unmet = zero
    for condition in bound.requires:
        unmet = unmet + _unmet(condition, bound, values, arithmetic) + zero
    return Score(violation, unmet, allowed + zero > noise)


def _spread(value: Any, measurement: Measurement) -> Any:
    if arrays.namespace(value) is measurement.xp:
        return value
    return measurement.model.discount * 0 + float(np.asarray(value))


def _relative(used: Any, allowed: Any, noise: Any = 1e-300) -> Any:
    return (used - allowed) / (abs(used) + abs(allowed) + noise)


def _unmet(
    condition: sympy.core.relational.Relational, bound: Bound, values: Any, arithmetic: Arithmetic
) -> Any:
    left, right = bound.substitute((condition.lhs, condition.rhs), values, arithmetic)
    if condition.rel_op == "==":
        return abs(_relative(left, right)) + abs(left - right)
    excess = left - right if condition.rel_op in ("<", "<=") else right - left
    strict = CLOSE if condition.rel_op in ("<", ">") else 0.0
    return abs(excess + strict) / 2 + (excess + strict) / 2


def _of_tensors(torch: Any, like: Any) -> Arithmetic:
    def tensor(value: Any) -> Any:
        return value if arrays.namespace(value) is torch else like.new_tensor(float(value))

    return Arithmetic(
        float,
        lambda x, y: torch.maximum(tensor(x), tensor(y)),
        lambda x, y: torch.minimum(tensor(x), tensor(y)),
        lambda x: torch.sqrt(tensor(x)),
        lambda x: torch.exp(tensor(x)),
        lambda x: torch.log(tensor(x)),
        lambda x: torch.tanh(tensor(x)),
    )
