"""`check`: put a problem's numbers into every statement and say which ones hold.

    left side, right side, slack, ratio, verdict

`slack` is the distance to violation (right − left for `<=`, left − right for `>=`), `ratio` the
smaller side over the larger one where the larger one is positive: 1 means attained, more means
violated.  In exact arithmetic the sign of the slack decides.  In float64 a slack above
−`tolerance` counts as holding; only exact arithmetic decides closer than that.  The tolerance is
`RELATIVE_TOLERANCE`, or 100·S·eps/(1−γ) where the linear solves lose more, times the largest of
both sides and of the scale of returns: Δ/(1−γ) for the gap, max|r|/(1−γ) for A6 to A8.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mdtheory import exact, validation
from mdtheory.measure import measure
from mdtheory.policy import LatentPolicy, TabularPolicy
from mdtheory.problem import Problem
from mdtheory.statements import GAP_BOUNDS, STATEMENTS, UPDATE_BOUNDS, Statement

RELATIVE_TOLERANCE = 1e-9

HOLDS, VIOLATED, NOT_APPLICABLE = "holds", "violated", "not applicable"


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundResult:
    """One statement on one problem (or on a batch: then the numbers are arrays).

    Attributes:
        statement: the statement, with its id and name.
        lhs, rhs: values of its two sides.
        slack: distance to violation; negative when violated.
        ratio: smaller side over larger side; None (nan in a batch) if the larger is not positive.
        verdict: "holds", "violated" or "not applicable".
    """

    statement: Statement
    lhs: Any
    rhs: Any
    slack: Any
    ratio: Any
    verdict: Any

    def as_dict(self) -> dict[str, Any]:
        numbers = {k: _jsonable(getattr(self, k)) for k in ("lhs", "rhs", "slack", "ratio")}
        verdict = self.verdict.tolist() if isinstance(self.verdict, np.ndarray) else self.verdict
        head = {"id": self.statement.id, "name": self.statement.name}
        return head | numbers | {"verdict": verdict}


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What `check` found.

    Attributes:
        arithmetic: "exact" or "float64".
        quantities: every named quantity, by name.
        bounds: one result per statement, in the order of their ids.
    """

    arithmetic: str
    quantities: dict[str, Any]
    bounds: tuple[BoundResult, ...]

    @property
    def holds(self) -> bool:
        """Whether no statement is violated, on any problem of the batch."""
        return not any(np.any(np.asarray(b.verdict) == VIOLATED) for b in self.bounds)

    def __getitem__(self, statement_id: str) -> BoundResult:
        """The result for one statement: `report["A2"].slack`."""
        for bound in self.bounds:
            if bound.statement.id == statement_id:
                return bound
        raise KeyError(
            validation.unknown("statement", statement_id, [b.statement.id for b in self.bounds])
        )

    def to_json(self, *, indent: int | None = 2) -> str:
        """JSON with keys `arithmetic`, `quantities`, `bounds`; exact numbers as "p/q" strings."""
        content = {
            "arithmetic": self.arithmetic,
            "quantities": {name: _jsonable(value) for name, value in self.quantities.items()},
            "bounds": [bound.as_dict() for bound in self.bounds],
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
        bounds.title = "Statements"
        for b in self.bounds:
            cells = [_cell(x) for x in (b.lhs, b.rhs, b.slack, b.ratio)]
            relation = b.statement.relation.rel_op
            verdict = b.verdict if isinstance(b.verdict, str) else _verdict_counts(b.verdict)
            bounds.add_row(
                b.statement.id, b.statement.name, cells[0], relation, *cells[1:], verdict
            )
        return quantities, bounds


def check(
    problem: Problem,
    policy: LatentPolicy | TabularPolicy | Any,
    baseline: LatentPolicy | TabularPolicy | Any = None,
    *,
    ids: Iterable[str] | str | None = None,
    require_exact: bool = False,
) -> Report:
    """Evaluate every statement on a problem and a policy.

    Args:
        problem: MDP and renderings; batches broadcast against the policy's batch axes.
        policy: a policy on observations, a latent policy, or an array [..., F, S, A].
        baseline: the policy before an update, of the same kinds; adds A6 to A8.
        ids: which statements; by default all that apply.
        require_exact: raise unless every number is rational.

    Returns:
        A `Report`; exact when problem and policies are, float64 otherwise.

    Raises:
        ValueError: for shapes that do not fit, unknown ids, or floats when exactness is required.
    """
    latent = _as_latent(problem, policy, "policies")
    before = None if baseline is None else _as_latent(problem, baseline, "baseline_policies")
    is_exact = problem.exact and latent.exact and (before is None or before.exact)
    if require_exact and not is_exact:
        parts = {"mdp": problem.mdp, "weights": problem.renderings, "policies": latent}
        if before is not None:
            parts["baseline_policies"] = before
        inexact = ", ".join(name for name, part in parts.items() if not part.exact)
        raise ValueError(
            f"exact arithmetic needs rational numbers (fractions.Fraction),"
            f" got float64 in {inexact}"
        )
    known = [s.id for s in (*GAP_BOUNDS, *(UPDATE_BOUNDS if before is not None else ()))]
    wanted = known if ids is None else [ids] if isinstance(ids, str) else list(ids)
    for statement_id in wanted:
        if statement_id not in known:
            if statement_id in STATEMENTS:
                raise ValueError(f"statement {statement_id} needs a baseline, the policy before")
            raise ValueError(validation.unknown("statement", statement_id, known))
    statements = [STATEMENTS[i] for i in wanted]
    names = None if ids is None else list(_needed(statements))
    quantities = measure(problem, latent, before, names=names)
    scales = dict.fromkeys(wanted, 0) if is_exact else _scales(problem, wanted)
    return Report(
        arithmetic="exact" if is_exact else "float64",
        quantities=quantities,
        bounds=tuple(judge(s, quantities, scales[s.id]) for s in statements),
    )


def _scales(problem: Problem, ids: list[str]) -> dict[str, np.ndarray]:
    """By statement, the scale that `RELATIVE_TOLERANCE` is taken of."""
    mdp = problem.mdp
    bounds = mdp.reward_bounds.astype(np.float64)
    horizon = 1 / (1 - mdp.discount.astype(np.float64))
    eps = np.finfo(np.float64).eps
    loss = np.maximum(1, 100 * mdp.n_states * eps * horizon / RELATIVE_TOLERANCE)
    gap_ids = {statement.id for statement in GAP_BOUNDS}
    spread, largest = bounds[..., 1] - bounds[..., 0], abs(bounds).max(axis=-1)
    return {i: loss * horizon * (spread if i in gap_ids else largest) for i in ids}


def _needed(statements: list[Statement]) -> dict[str, None]:
    always = ("train_return", "general_return", "heldout_return", "gap", "train_mass")
    return dict.fromkeys([*always, *(q.name for s in statements for q in s.quantities)])


def _as_latent(problem: Problem, policy: Any, name: str) -> LatentPolicy:
    if isinstance(policy, TabularPolicy):
        return policy.latent(problem.renderings)
    return policy if isinstance(policy, LatentPolicy) else LatentPolicy(policy, name=name)


def judge(statement: Statement, quantities: Mapping[str, Any], scale: Any = 0.0) -> BoundResult:
    """One statement's verdict on measured quantities.

    Args:
        statement: any inequality over the named quantities.
        quantities: name -> number, or arrays of one batch shape; exact or float64, as `measure`
            returns them.
        scale: size of the numbers that float64 had to round, see `check`; unused when exact.

    Raises:
        ArithmeticError: when a side overflows float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        lhs, rhs = statement.sides(quantities)
    lhs, rhs = np.asarray(lhs + rhs * 0), np.asarray(rhs + lhs * 0)
    small, large = (lhs, rhs) if statement.is_upper_bound else (rhs, lhs)
    if lhs.dtype == object:
        tolerance = lhs * 0
    elif np.isfinite(lhs).all() and np.isfinite(rhs).all():
        tolerance = RELATIVE_TOLERANCE * np.maximum(scale, np.maximum(abs(lhs), abs(rhs)))
    else:
        raise ArithmeticError(
            f"statement {statement.id} overflows float64: make the rewards smaller, or give every"
            " number as a fraction and decide exactly"
        )
    slack = np.asarray(large - small)
    holds = slack > -tolerance if statement.is_strict else slack >= -tolerance
    applies = np.broadcast_to(statement.applies(quantities), slack.shape).astype(bool)
    verdict = np.where(applies, np.where(np.asarray(holds, bool), HOLDS, VIOLATED), NOT_APPLICABLE)
    positive = np.asarray(large > 0, dtype=bool)
    missing = np.full(slack.shape, None if slack.dtype == object else np.nan)
    ratio = np.where(positive, small / np.where(positive, large, 1), missing)
    return BoundResult(
        statement=statement,
        lhs=lhs[()],
        rhs=rhs[()],
        slack=slack[()],
        ratio=ratio[()],
        verdict=str(verdict[()]) if verdict.ndim == 0 else verdict,
    )


def _jsonable(value: Any) -> Any:
    """Fractions as "p/q", nan as None, arrays as nested lists."""
    if isinstance(value, np.ndarray):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, Fraction):
        return exact.text(value)
    return None if value is None or np.isnan(value) else float(value)


def _cell(value: Any) -> str:
    """A number for a table; long fractions with their decimal value, batches by their range."""
    if isinstance(value, np.ndarray) and value.ndim:
        finite = [x for x in value.flat if x is not None and x == x]
        return f"{_cell(min(finite))} .. {_cell(max(finite))}" if finite else "-"
    if value is None or value != value:
        return "-"
    if isinstance(value, Fraction):
        short = max(value.numerator.bit_length(), value.denominator.bit_length()) < 24
        return str(value) if short else f"~{validation.approximately(value, 5)}"
    return f"{float(value):.6g}"


def _verdict_counts(verdicts: np.ndarray) -> str:
    kinds, counts = np.unique(verdicts, return_counts=True)
    return ", ".join(f"{kind}: {count}" for kind, count in zip(kinds, counts, strict=True))
