"""The last evaluation of every run of a sweep on the pixel grid: a row for each policy and seed.

    game,algorithm,agents,distill_coef,steps,policy,seed,train_return,heldout_return,...

A policy is `agent` (numbers are means over a seed's agents) or `mixture` (of a seed's agents).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.pixelgrid.audit import audit_run
from experiments.pixelgrid.comparisons import sides
from experiments.sweep.job import departures
from experiments.sweep.plan import Plan
from mdtheory.progress import OnProgress

MEASURES = (
    "train_return", "heldout_return", "general_return", "gap", "mean_robustness", "robustness",
)  # fmt: skip
_WORDS = ("game", "algorithm", "policy")
_POLICIES = ("agent", "mixture")
_WHOLE = ("agents", "steps", "seed")
_REAL = ("distill_coef", *MEASURES)
COLUMNS = ("game", "algorithm", "agents", "distill_coef", "steps", "policy", "seed", *MEASURES)


@dataclass(frozen=True, eq=False)
class Final:
    """One policy of a game and algorithm after training.

    Attributes:
        game, algorithm: names of the sweep file.
        agents: N.
        distill_coef: alpha.
        steps: environment steps of each agent.
        policy: "agent" or "mixture".
        seeds: [seed].
        values: measure -> [seed].
    """

    game: str
    algorithm: str
    agents: int
    distill_coef: float
    steps: int
    policy: str
    seeds: np.ndarray
    values: dict[str, np.ndarray]


@dataclass(frozen=True)
class Audited:
    """What was checked on the way: statements A0 to A5 on every network of every evaluation."""

    violations: int
    checked: int


def finals_of(
    plan: Plan, folder: Path, on_progress: OnProgress = lambda text, share: None
) -> tuple[list[dict[str, Any]], Audited]:
    """Rows of the table, in the order of the plan, and how the audits went.

    Raises:
        ValueError: a run is not finished, not on the pixel grid, or no longer as its sweep left it.
        FileNotFoundError: there is no such run.
    """
    rows: list[dict[str, Any]] = []
    violations = checked = 0
    for number, run in enumerate(plan.runs):
        on_progress("audit", number / len(plan.runs))
        if run.config.ENVIRONMENT != "pixelgrid":
            raise ValueError(f"{run.name} is on {run.config.env}; finals are of the pixel grid")
        if changes := departures(folder / run.name, run.name):
            raise ValueError(f"{folder}: {changes[0]}: remove the run, and `mdpo sweep` repeats it")
        audit = audit_run(folder / run.name)
        if audit.config != run.config:
            raise ValueError(f"{folder / run.name} has other settings than the sweep's file says")
        if audit.updates[-1] < run.config.updates:
            raise ValueError(
                f"{folder / run.name} is not finished: {audit.updates[-1]} of"
                f" {run.config.updates} updates; run `mdpo sweep` again first"
            )
        violations, checked = violations + audit.violations, checked + audit.checked
        for side in sides(audit):
            values = {name: side.final(name) for name in MEASURES}
            for k, seed in enumerate(audit.config.seed_list):
                rows.append({
                    "game": run.game,
                    "algorithm": run.algorithm,
                    "agents": audit.config.agents,
                    "distill_coef": audit.config.distill_coef,
                    "steps": audit.config.samples * audit.config.updates,
                    "policy": "mixture" if side.mixed else "agent",
                    "seed": seed,
                    **{name: f"{values[name][k]:.6f}" for name in MEASURES},
                })  # fmt: skip
    return rows, Audited(violations, checked)


def to_csv(rows: Iterable[dict[str, Any]]) -> str:
    """The table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_finals(path: Path) -> list[Final]:
    """Group a table's rows by everything but the seed, in the order of the table.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: naming file, line, column and value.
    """
    groups: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        rows = list(enumerate(reader, start=2))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a CSV file in UTF-8: {error}") from None
    for column in COLUMNS:
        if column not in (reader.fieldnames or ()):
            raise ValueError(f"{path}: column {column} is missing; `mdpo finals` writes it")
    for line, row in rows:
        values = _parsed(row, f"{path}, line {line}")
        key = tuple(values[name] for name in COLUMNS if name not in ("seed", *MEASURES))
        groups.setdefault(key, []).append({**values, "line": line})
    if not groups:
        raise ValueError(f"{path} has no rows; `mdpo finals` writes them")
    return [_final(members, path) for members in groups.values()]


def _parsed(row: dict[str, str], where: str) -> dict[str, Any]:
    values: dict[str, Any] = {name: row[name] for name in _WORDS}
    if values["policy"] not in _POLICIES:
        known = " or ".join(_POLICIES)
        raise ValueError(f"{where}, column policy, must be {known}, got {values['policy']!r}")
    for name in _WHOLE:
        values[name] = _number(row[name], int, f"{where}, column {name}, must be a whole number")
    for name in _REAL:
        values[name] = _number(row[name], float, f"{where}, column {name}, must be a finite number")
    return values


def _number(text: str | None, kind: type[int] | type[float], must_be: str) -> float:
    try:
        value = kind(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{must_be}, got {text!r}")
    return value


def _final(members: list[dict[str, Any]], path: Path) -> Final:
    first = members[0]
    seeds = np.array([row["seed"] for row in members])
    if len(set(seeds)) < len(seeds):
        twice = next(s for s in seeds if (seeds == s).sum() > 1)
        lines = " and ".join(str(row["line"]) for row in members if row["seed"] == twice)
        raise ValueError(
            f"{path}: seed {twice} of {first['game']}, {first['algorithm']}, {first['policy']}"
            f" must stand in one row only, got it in lines {lines}"
        )
    order = np.argsort(seeds)
    return Final(
        **{name: first[name] for name in COLUMNS if name not in ("seed", *MEASURES)},
        seeds=seeds[order],
        values={n: np.array([row[n] for row in members], dtype=float)[order] for n in MEASURES},
    )
