"""A counterexample within the limits of a property-based test, found before it draws anything.

Random instances rarely meet a bound that fails only in a corner; the search goes there at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import sympy

from mdtheory.problem import Instance
from mdtheory.search.hunt import SIZES, refute
from mdtheory.statements import Bound
from mdtheory.statements.quantities import R, gamma, train_mass

_RANGES = {"discount": gamma, "robustness": R, "train_mass": train_mass}
_AXES = ("states", "actions", "renderings")


def counterexample(
    bound: Bound, limits: Mapping[str, Any], *, budget: float, use_gradients: bool
) -> Instance | None:
    """An exact counterexample within the limits of `mdtheory.strategies.instances`, or None.

    Args:
        bound: the bound.
        limits: `min_*` and `max_*` of states, actions, renderings, discount, robustness and train
            mass.  With any other limit nothing is searched.
        budget: seconds.
        use_gradients: see `refute`.
    """
    names = {f"{side}_{name}" for side in ("min", "max") for name in (*_RANGES, *_AXES)}
    if not set(limits) <= names:
        return None
    sizes = [size for size in SIZES if _fits(size, limits)]
    if not sizes:
        return None
    conditions = [_condition(*item) for item in limits.items() if item[0][4:] in _RANGES]
    answer = refute(
        replace(bound, requires=(*bound.requires, *conditions)),
        budget=budget,
        use_proofs=False,
        use_gradients=use_gradients,
        sizes=sizes,
        accepts=lambda instance: _fits(_size(instance), limits),
    )
    return answer.instance if answer.verdict == "refuted" else None


def _condition(name: str, limit: Any) -> sympy.core.relational.Relational:
    number = sympy.Rational(str(Fraction(limit)))
    relation = sympy.Ge if name.startswith("min") else sympy.Le
    return relation(_RANGES[name[4:]], number, evaluate=False)


def _fits(size: tuple[int, ...], limits: Mapping[str, Any]) -> bool:
    """Whether states, actions and renderings lie within the limits."""
    return all(
        limits.get(f"min_{axis}", 1) <= n <= limits.get(f"max_{axis}", n)
        for axis, n in zip(_AXES, size, strict=False)
    )


def _size(instance: Instance) -> tuple[int, ...]:
    n_renderings, n_states, n_actions = instance.policy.probabilities.shape
    return n_states, n_actions, n_renderings
