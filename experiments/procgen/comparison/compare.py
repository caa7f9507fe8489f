"""Finished and unfinished runs on Procgen side by side: groups, paired differences, tables.

Runs that differ in nothing but the seed are repetitions of one algorithm; their mean carries a 95 %
Student interval, and a single seed says that it has none.  Runs on other games, modes or training
levels never share a table.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shlex
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.markup import escape
from rich.table import Table

from experiments.config import require_runs
from experiments.interval import Interval, interval
from experiments.procgen.checkpoint import config_digest
from experiments.procgen.comparison.curves import Curves, load_curves, return_range
from experiments.procgen.config import ProcgenConfig


class Measure(NamedTuple):
    """A column of the tables: a number of each run or nan, and what stands where there is none."""

    of: Callable[[Curves], float]
    missing: str
    form: str = ",.2f"


_NOT_EVALUATED = "not evaluated"
RETURNS = {
    "training return": Measure(lambda c: c.train_return, "no episode ended"),
    "test return, sampled": Measure(lambda c: c.evaluated("test sampled"), _NOT_EVALUATED),
    "test return, greedy": Measure(lambda c: c.evaluated("test greedy"), _NOT_EVALUATED),
    "gap, sampled": Measure(lambda c: c.gap("sampled"), _NOT_EVALUATED),
    "normalized test return": Measure(lambda c: c.normalized, "-", ",.3f"),
    "test return of the mixture": Measure(lambda c: c.evaluated("mixture test sampled"), "-"),
    "official protocol": Measure(lambda c: c.evaluated("official"), "-"),
}
"""Returns by name. The last three are shown where some run has them."""
COMPARED = tuple(RETURNS)[:4]
SIZES = {
    "steps per agent": Measure(lambda c: c.steps_per_agent, ""),
    "environment steps": Measure(lambda c: c.steps, ""),
    "parameters": Measure(lambda c: c.parameters, ""),
}
"""Whole numbers, known and not estimated."""
TIMES = {
    "hours": Measure(lambda c: c.total_hours, "not timed", ".3g"),
    "steps/s": Measure(lambda c: c.speed, "not timed", ",.0f"),
}
MEASURES = {**RETURNS, **SIZES, **TIMES}


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in nothing but the seed, in its order."""

    label: str
    runs: tuple[Curves, ...]

    @property
    def config(self) -> ProcgenConfig:
        """Of the first run."""
        return self.runs[0].config

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.config.seed for run in self.runs)

    def values(self, name: str) -> np.ndarray:
        """A measure of each run, [seed], nan where it has none."""
        return np.array([MEASURES[name].of(run) for run in self.runs], dtype=np.float64)

    def interval(self, name: str) -> Interval | None:
        """Mean and 95 % interval over the runs that have the measure; None if none has."""
        values = self.values(name)
        values = values[np.isfinite(values)]
        return interval(values) if len(values) else None


@dataclass(frozen=True)
class Difference:
    """Left minus right, seed by seed.

    `seeds` are those that both have; `steps_ratio`, the environment steps of left's runs in total
    over those of right's; a measure is None where no pair of runs has it.
    """

    left: str
    right: str
    seeds: tuple[int, ...]
    steps_ratio: float
    intervals: Mapping[str, Interval | None]


@dataclass(frozen=True, eq=False)
class Task:
    """The runs on one game, mode and set of training levels."""

    title: str
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]

    @property
    def runs(self) -> list[Curves]:
        return [run for group in self.groups for run in group.runs]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found, task by task, and the command for it."""

    tasks: tuple[Task, ...]
    command: str

    @property
    def notes(self) -> list[str]:
        """What a reader must know before believing the tables."""
        return [note for task in self.tasks for run in task.runs for note in _notes(run)]


def compare(runs: Sequence[Path], until: int | None = None) -> Comparison:
    """Group runs by task and algorithm, with seeds as repetitions.

    Args:
        runs: their folders.
        until: look at them as they were after this many updates, by default as they are.

    Raises:
        FileNotFoundError: a folder holds no run.
        ValueError: no runs, a run of another environment, a damaged log, or one seed twice.
    """
    require_runs(runs)
    if until is not None and until < 1:
        raise ValueError(f"until must be at least 1, got {until}")
    curves = [load_curves(run, until) for run in runs]
    if len({run.name for run in runs}) < len(runs):
        curves = [
            dataclasses.replace(c, name=str(run)) for c, run in zip(curves, runs, strict=True)
        ]
    tasks = [_task(title, members) for title, members in _by(task_title, curves).items()]
    flags = [] if until is None else ["--until", str(until)]
    command = shlex.join(["mdpo", "compare", *map(str, runs), *flags, "--picture", "compare.svg"])
    return Comparison(tuple(tasks), command)


def _by(key: Callable[[ProcgenConfig], str], curves: Sequence[Curves]) -> dict[str, list[Curves]]:
    found: dict[str, list[Curves]] = {}
    for curve in curves:
        found.setdefault(key(curve.config), []).append(curve)
    return found


def task_title(config: ProcgenConfig) -> str:
    """Game, mode and training levels."""
    train = config.levels.train
    levels = f"trained on levels {train.first} to {train.end - 1}"
    return f"{config.game}, {config.distribution_mode}, {levels}"


def algorithm_key(config: ProcgenConfig) -> str:
    """Tells algorithms apart: all settings but seed, machine and times of evaluation."""
    same = dict.fromkeys(_SAME, 0)
    return config_digest(dataclasses.replace(config, **same))  # type: ignore[arg-type]


_SAME = ("seed", "evaluate_every", "official_evaluation_every", "snapshot_every")
"""Settings in which runs of one algorithm may differ."""


def order_key(config: ProcgenConfig) -> tuple[float, int]:
    """Sorts algorithms: whoever distils most comes first, then who has more agents."""
    return -config.distill_coef, -config.agents


def _task(title: str, curves: Sequence[Curves]) -> Task:
    require_different([run.name for run in curves], [run.config for run in curves])
    members = list(_by(algorithm_key, curves).values())
    names = labels([runs[0].config for runs in members])
    groups = [
        Group(label, tuple(sorted(runs, key=lambda c: c.config.seed)))
        for label, runs in zip(names, members, strict=True)
    ]
    order = sorted(groups, key=lambda g: order_key(g.config))
    pairs = itertools.combinations(order, 2)
    differences = [_difference(a, b) for a, b in pairs if set(a.seeds) & set(b.seeds)]
    return Task(title, tuple(groups), tuple(differences))


def require_different(names: Sequence[str], configs: Sequence[ProcgenConfig]) -> None:
    """Raise ValueError if two runs have the same settings and the same seed."""
    known: dict[tuple[str, int], str] = {}
    for name, config in zip(names, configs, strict=True):
        key = algorithm_key(config), config.seed
        if key in known:
            raise ValueError(
                f"runs must differ in seed or settings, got seed {config.seed} in both"
                f" {known[key]} and {name}"
            )
        known[key] = name


def labels(configs: Sequence[ProcgenConfig]) -> list[str]:
    """The algorithms' names; those that share one are told apart by the settings that differ."""
    labels = []
    for config in configs:
        namesakes = [c for c in configs if c.algorithm == config.algorithm]
        settings = [
            f"{name} {_shown(value)}"
            for name, value in json.loads(config.to_json()).items()
            if name not in _SAME and len({getattr(c, name) for c in namesakes}) > 1
        ]
        labels.append(", ".join([config.algorithm, *settings]))
    return labels


def _shown(value: object) -> str:
    """A setting on a picture."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _difference(left: Group, right: Group) -> Difference:
    seeds = sorted(set(left.seeds) & set(right.seeds))
    rows = [[group.seeds.index(seed) for seed in seeds] for group in (left, right)]
    intervals: dict[str, Interval | None] = {}
    for name in COMPARED:
        values = left.values(name)[rows[0]] - right.values(name)[rows[1]]
        values = values[np.isfinite(values)]
        intervals[name] = interval(values) if len(values) else None
    steps = [group.values("environment steps") for group in (left, right)]
    taken, by_right = (own[row].sum() for own, row in zip(steps, rows, strict=True))
    ratio = float(taken / by_right) if by_right else math.nan
    return Difference(left.label, right.label, tuple(seeds), ratio, intervals)


def _notes(run: Curves) -> list[str]:
    done, updates = run.done, run.config.updates
    notes = []
    if done < updates:
        notes.append(
            f"{run.name} is unfinished, compared as it is after {done:,} of {updates:,} updates"
            f" ({done / updates:.0%})."
        )
    after = run.evaluated_after("test sampled")
    if after is not None and after < done:
        notes.append(
            f"{run.name} was last evaluated on test levels after {after:,} of the {done:,} updates"
            " done."
        )
    return notes


def cell(found: Interval | None, measure: Measure, n: int, sign: str = "") -> str:
    """The mean of those of n runs that have the measure with its interval, or why there is none."""
    return measure.missing if found is None else interval_cell(found, f"{sign}{measure.form}", n)


def interval_cell(found: Interval, form: str, n: int) -> str:
    """A mean over some of n runs with its interval."""
    of = f"\n({found.n} of {n} seeds)" if found.n < n else ""
    if found.n < 2:
        return f"{found.mean:{form}}{of or ' (one seed)'}"
    return f"{found.mean:{form}}\n[{found.low:{form}}, {found.high:{form}}]{of}"


def tables(comparison: Comparison) -> list[Table]:
    """For the terminal; for each task returns, costs, paired differences and every run."""
    return [
        table
        for task in comparison.tasks
        for table in (
            _group_table(
                task, _shown_returns(task), "means over seeds, 95 % intervals, none for one seed"
            ),
            _group_table(task, {**SIZES, **TIMES}, "costs of all agents together"),
            *_difference_tables(task),
            _run_table(task),
        )
    ]


def _shown_returns(task: Task) -> dict[str, Measure]:
    """The first four, and others that some run has."""
    return {
        name: measure
        for name, measure in RETURNS.items()
        if name in COMPARED or any(np.isfinite(group.values(name)).any() for group in task.groups)
    }


def new_table(title: str, *columns: str) -> Table:
    """A table whose first column names its rows in full."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column)
    return table


def letters(names: Iterable[str]) -> dict[str, str]:
    """A letter for each algorithm, for narrow columns and axes; numbers after Z."""
    short = itertools.chain(string.ascii_uppercase, map(str, itertools.count(1)))
    return dict(zip(names, short, strict=False))


def _letters(task: Task) -> dict[str, str]:
    return letters(group.label for group in task.groups)


def _group_table(task: Task, measures: Mapping[str, Measure], words: str) -> Table:
    table = new_table(f"{task.title}: {words}", "algorithm", "seeds", *measures)
    for group, letter in zip(task.groups, _letters(task).values(), strict=True):
        n = len(group.runs)
        cells = [
            _exact(group.values(name)) if name in SIZES else cell(group.interval(name), measure, n)
            for name, measure in measures.items()
        ]
        table.add_row(escape(f"{letter}: {group.label}"), str(n), *cells)
    config = task.groups[0].config
    found = return_range(config)
    if "normalized test return" in measures and found is not None:
        table.caption = (
            f"normalized: 0 at {found.low:g} and 1 at {found.high:g}, the range of {config.game} in"
            f" {config.distribution_mode} mode"
        )
    return table


def _exact(values: np.ndarray) -> str:
    """Whole numbers that all runs share, or from least to most."""
    least, most = values.min(), values.max()
    return f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"


def _difference_tables(task: Task) -> list[Table]:
    if not task.differences:
        return []
    letter = _letters(task)
    title = f"{task.title}: paired differences, 95 % intervals (not corrected for their number)"
    table = new_table(title, "left - right", "pairs", "steps, left / right", *COMPARED)
    for d in task.differences:
        n = len(d.seeds)
        cells = [cell(d.intervals[name], RETURNS[name], n, sign="+") for name in COMPARED]
        names = f"{letter[d.left]} - {letter[d.right]}"
        table.add_row(names, str(n), f"{d.steps_ratio:.2f}", *cells)
    return [table]


def _run_table(task: Task) -> Table:
    measures = {**_shown_returns(task), **TIMES}
    table = new_table(f"{task.title}: every run", "run", "", "seed", "updates", *measures)
    for group, letter in zip(task.groups, _letters(task).values(), strict=True):
        for run in group.runs:
            values = [(measure, measure.of(run)) for measure in measures.values()]
            cells = [f"{x:{m.form}}" if math.isfinite(x) else m.missing for m, x in values]
            updates = f"{run.done:,} of {run.config.updates:,}"
            table.add_row(escape(run.name), letter, str(run.config.seed), updates, *cells)
    return table
