"""`check`: put a problem's numbers into every statement and say which ones hold; see `judge`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mdtheory import exact, validation
from mdtheory.judge import VIOLATED, BoundResult, judge
from mdtheory.mdp import SparseMDP
from mdtheory.measure import Measurement
from mdtheory.policy import LatentPolicy, TabularPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.statements import (
    GAP_BOUNDS,
    PAIR_BOUNDS,
    PAIR_QUANTITIES,
    QUANTITIES,
    UPDATE_BOUNDS,
    Bound,
    Statement,
    as_bound,
)

LARGEST_EXACT = 64
"""States up to which a float64 comparison that rounding leaves open is decided in rationals."""
LARGEST_UNSOLVED = 300
"""The same for bounds whose quantities need no linear system."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What `check` found.

    Attributes:
        arithmetic: "exact" or "float64".
        quantities: every named quantity, by name.
        bounds: one result per bound, in the order asked for.
    """

    arithmetic: str
    quantities: dict[str, Any]
    bounds: tuple[BoundResult, ...]

    @property
    def holds(self) -> bool:
        """Whether no statement is violated, on any problem of the batch."""
        return not any(np.any(np.asarray(b.verdict) == VIOLATED) for b in self.bounds)

    def __getitem__(self, bound_id: str) -> BoundResult:
        """The result for one bound by its id: `report["A2"].slack`."""
        for result in self.bounds:
            if result.bound.id == bound_id:
                return result
        raise KeyError(validation.unknown("bound", bound_id, [b.bound.id for b in self.bounds]))

    def to_json(self, *, indent: int | None = 2) -> str:
        """JSON with keys `arithmetic`, `quantities`, `bounds`; exact numbers as "p/q" strings."""
        content = {
            "arithmetic": self.arithmetic,
            "quantities": {name: exact.jsonable(value) for name, value in self.quantities.items()},
            "bounds": [_result_as_dict(result) for result in self.bounds],
        }
        return json.dumps(content, indent=indent, allow_nan=False)

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=100, color_system=None)
        for table in self.tables():
            console.print(table)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def tables(self) -> tuple[Table, Table]:
        """The quantities and the bounds as rich tables."""
        quantities = Table("quantity", "value", title=f"Quantities ({self.arithmetic})")
        for name, value in self.quantities.items():
            quantities.add_row(name, _cell(value))
        bounds = Table("id", "name", "left", "", "right", "slack", "ratio", "verdict")
        if any(np.any(np.isinf(np.asarray(self.quantities.get(n, 0.0), float))) for n in _INFINITE):
            bounds.caption = (
                "divergence is infinite where a policy excludes an action that the other one takes"
            )
        decided_by = [np.ravel(np.asarray(b.decided_by, dtype=object)) for b in self.bounds]
        kinds = sorted({kind for entry in decided_by for kind in entry})
        bounds.title = f"Bounds, decided by {' and '.join(kinds)}"
        for b in self.bounds:
            lhs, rhs, slack, ratio = (_cell(x) for x in (b.lhs, b.rhs, b.slack, b.ratio))
            sides = (lhs, str(b.bound.relation.rel_op), rhs)
            bounds.add_row(b.bound.id, _name(b.bound), *sides, slack, ratio, _counts(b.verdict))
        return quantities, bounds


def check(
    problem: Problem,
    policy: LatentPolicy | TabularPolicy | Any,
    baseline: LatentPolicy | TabularPolicy | Any = None,
    *,
    bounds: Iterable[str | Bound] | str | Bound | None = None,
    require_exact: bool = False,
    device: str | None = None,
) -> Report:
    """Put a problem and a policy into bounds: the theory's statements, or anybody's.

    Args:
        problem: MDP and renderings; batches broadcast against the policy's batch axes.
        policy: a policy on observations, a latent policy, or an array [..., F, S, A].
        baseline: a second policy, of the same kinds: the one before an update or another agent;
            adds A6 to A8 and B1 to B3.
        bounds: which ones: ids of statements ("A2"), texts ("gap <= R * Delta"), `Bound`s; by
            default all statements that apply.
        require_exact: raise unless every number is rational.
        device: where PyTorch computes the float64 numbers, "cpu" or "cuda"; by default NumPy does.

    Returns:
        A `Report`; exact when problem and policies are, float64 otherwise.

    Raises:
        ValueError: for shapes that do not fit, unknown ids, or floats when exactness is required.
    """
    latent = _as_latent(problem, policy, "policies")
    before = None if baseline is None else _as_latent(problem, baseline, "baseline_policies")
    instance = Instance(problem, latent, before)
    if require_exact and not instance.exact:
        parts = {"mdp": problem.mdp, "weights": problem.renderings, "policies": latent}
        if before is not None:
            parts["baseline_policies"] = before
        inexact = ", ".join(name for name, part in parts.items() if not part.exact)
        raise ValueError(
            f"exact arithmetic needs rational numbers (fractions.Fraction),"
            f" got float64 in {inexact}"
        )
    wanted = _wanted(bounds, has_baseline=before is not None)
    measurement = Measurement.of(*instance, device=device)
    if bounds is None:
        names = [*QUANTITIES, *(PAIR_QUANTITIES if before is not None else ())]
    else:
        names = list(_ALWAYS)
    needed = {q.name: q for q in (*(_BUILT_IN[n] for n in names), *_quantities(wanted))}
    with np.errstate(all="ignore"):
        quantities = {name: measurement.value(quantity) for name, quantity in needed.items()}
        if measurement.exact:
            results = [judge(bound, quantities) for bound in wanted]
        else:
            radii = {q.name: measurement.radius(q) for q in _quantities(wanted)}
            settle = _exact_quantities(instance)
            results = [judge(bound, quantities, radii=radii, settle=settle) for bound in wanted]
    return Report(
        arithmetic="exact" if measurement.exact else "float64",
        quantities=quantities,
        bounds=tuple(results),
    )


_BUILT_IN = QUANTITIES | PAIR_QUANTITIES
_OF_POLICIES = frozenset(
    ("robustness", "full_robustness", "baseline_robustness", "disagreement", "divergence")
)
"""Quantities that need no linear system, and so may be rational at any number of states."""
_INFINITE = ("divergence", "mean_divergence")
"""Quantities that may be infinite."""
_ALWAYS = ("train_return", "general_return", "heldout_return", "gap", "train_mass")


def _wanted(bounds: Any, *, has_baseline: bool) -> list[Bound]:
    if bounds is None:
        return [*GAP_BOUNDS, *((*UPDATE_BOUNDS, *PAIR_BOUNDS) if has_baseline else ())]
    found = [as_bound(b) for b in ([bounds] if isinstance(bounds, str | Bound) else bounds)]
    for bound in found:
        if bound.needs_baseline and not has_baseline:
            kind = "statement" if isinstance(bound, Statement) else "bound"
            raise ValueError(f"{kind} {bound.id} needs a baseline, a second policy")
    return found


def _quantities(bounds: Iterable[Bound]) -> tuple[Any, ...]:
    """What the bounds speak about, each once, in order of their names."""
    found = {q.name: q for bound in bounds for q in bound.quantities}
    return tuple(found[name] for name in sorted(found))


def _exact_quantities(
    instance: Instance,
) -> Callable[[Bound, tuple[int, ...]], dict[str, Any] | None]:
    """For an index of the batch, a bound's quantities in rationals; None if that is too much."""
    measurements: dict[tuple[int, ...], Measurement] = {}

    def settle(bound: Bound, index: tuple[int, ...]) -> dict[str, Any] | None:
        if isinstance(instance.problem.mdp, SparseMDP):
            return None
        needs_solve = {q.name for q in bound.quantities} - _OF_POLICIES
        limit = LARGEST_EXACT if needs_solve else LARGEST_UNSOLVED
        if instance.problem.mdp.n_states > limit:
            return None
        if index not in measurements:
            measurements[index] = Measurement.of(*instance.single(index).in_rationals())
        return {q.name: measurements[index].value(q) for q in bound.quantities}

    return settle


def _as_latent(problem: Problem, policy: Any, name: str) -> LatentPolicy:
    if isinstance(policy, TabularPolicy):
        return policy.latent(problem.renderings)
    return policy if isinstance(policy, LatentPolicy) else LatentPolicy(policy, name=name)


def _result_as_dict(result: BoundResult) -> dict[str, Any]:
    head = {"id": result.bound.id, "name": _name(result.bound)}
    numbers = {k: exact.jsonable(getattr(result, k)) for k in ("lhs", "rhs", "slack", "ratio")}
    words = {k: np.asarray(getattr(result, k)).tolist() for k in ("verdict", "decided_by")}
    return head | numbers | words


def _name(bound: Bound) -> str:
    return bound.name if isinstance(bound, Statement) else ""


def _cell(value: Any) -> str:
    """A number for a table; long fractions with their decimal value, batches by their range."""
    if isinstance(value, np.ndarray) and value.ndim:
        finite = [x for x in value.flat if x is not None and x == x]
        ends = (min(finite, key=float), max(finite, key=float)) if finite else ()
        return " .. ".join(_cell(end) for end in ends) or "-"
    if value is None or value != value:
        return "-"
    if isinstance(value, Fraction):
        short = max(value.numerator.bit_length(), value.denominator.bit_length()) < 24
        return str(value) if short else f"~{validation.approximately(value, 5)}"
    return f"{float(value):.6g}"


def _counts(words: Any) -> str:
    """One word, or for a batch each with its number."""
    if isinstance(words, str):
        return words
    kinds, counts = np.unique(words.astype(str), return_counts=True)
    return ", ".join(f"{kind}: {count}" for kind, count in zip(kinds, counts, strict=True))
