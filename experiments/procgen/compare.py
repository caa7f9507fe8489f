"""Finished and unfinished runs on Procgen side by side: tables, paired differences, a picture.

Runs that differ in nothing but the seed are repetitions of one algorithm; their mean carries a 95 %
Student interval, and a single seed says that it has none.  Runs on other games, modes or training
levels never share a table.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import shlex
import string
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter
from rich.markup import escape
from rich.table import Table

from experiments.envs.procgen.games import EASY_RANGES, HARD_RANGES, ReturnRange
from experiments.figures import RUN_COLOURS
from experiments.procgen.checkpoint import EVALUATIONS, LOG, TIMING, config_digest, read_lines
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.networks import ImpalaActorCritic
from experiments.results import Interval, interval
from mdtheory.intervals import band
from mdtheory.report import style

BINS = 100
"""Curves are averaged over stretches of updates, at most so many."""
LAST = 0.1
"""The final training return is that of the last tenth of the updates."""


class Evaluated(NamedTuple):
    """One line of the evaluations: mean returns, of the agents unless the name says otherwise.

    Names are a split and a mode ("test sampled"), these with "mixture " before, and "official".
    """

    update: int
    means: Mapping[str, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Curves:
    """What a run's logs say.

    episodes [t, agent] that ended in each update and returns [t, agent], their means, nan where
    none ended; hours [t] of rollouts and gradient steps up to the end of each update, nan where not
    timed.
    """

    name: str
    config: ProcgenConfig
    episodes: np.ndarray
    returns: np.ndarray
    hours: np.ndarray
    evaluations: tuple[Evaluated, ...]

    @property
    def done(self) -> int:
        """Updates done."""
        return len(self.hours)

    @property
    def steps_per_agent(self) -> int:
        return self.done * self.config.samples

    @property
    def steps(self) -> int:
        """Environment steps of all agents together."""
        return self.steps_per_agent * self.config.agents

    def mean_return(self, updates: slice) -> float:
        """Over the agents' means over the episodes that ended in these updates; nan if none did."""
        episodes = self.episodes[updates].sum(axis=0)
        total = np.nansum(self.returns[updates] * self.episodes[updates], axis=0)
        some = episodes > 0
        return float(np.mean(total[some] / episodes[some])) if some.any() else math.nan

    @property
    def train_return(self) -> float:
        return self.mean_return(slice(self.done - math.ceil(LAST * self.done), self.done))

    def evaluated(self, name: str) -> float:
        """A mean of the last evaluation that has it, or nan."""
        found = [e.means[name] for e in self.evaluations if name in e.means]
        return found[-1] if found else math.nan

    def evaluated_after(self, name: str) -> int | None:
        """The update of that evaluation."""
        found = [e.update for e in self.evaluations if name in e.means]
        return found[-1] if found else None

    def gap(self, mode: str) -> float:
        """Return on training levels minus that on test levels, of one and the same evaluation."""
        return self.evaluated(f"train {mode}") - self.evaluated(f"test {mode}")

    @property
    def normalized(self) -> float:
        """The sampled test return, 0 at the low and 1 at the high end of the game's range."""
        found = return_range(self.config)
        if found is None:
            return math.nan
        return (self.evaluated("test sampled") - found.low) / (found.high - found.low)

    @property
    def total_hours(self) -> float:
        return float(self.hours[-1]) if self.done else math.nan

    @property
    def speed(self) -> float:
        """Environment steps of all agents together, a second."""
        return self.steps / (3600 * self.total_hours)

    @property
    def parameters(self) -> int:
        """Weights of all agents' networks."""
        return self.config.agents * _weights(self.config.width)


def load_curves(run: Path, until: int | None = None) -> Curves:
    """Read a run's logs, up to the update `until` if given.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: a run of another environment, or a damaged log, naming file and line.
    """
    config = ProcgenConfig.load(run)
    lines = read_lines(run / LOG)[:until]
    if [line["update"] for line in lines] != list(range(1, len(lines) + 1)):
        raise ValueError(f"{run / LOG} must hold the updates 1, 2, 3, ... in this order")
    agents = [_parsed(run / LOG, line, lambda x: _training(x, config)) for line in lines]
    shape = (len(lines), config.agents, 2)
    episodes, returns = np.moveaxis(np.array(agents, dtype=np.float64).reshape(shape), -1, 0)
    seconds = np.full(len(lines), np.nan)
    for line in read_lines(run / TIMING):
        if 1 <= line["update"] <= len(lines):
            spent = _parsed(run / TIMING, line, lambda x: x["rollout_s"] + x["learn_s"])
            seconds[line["update"] - 1] = spent
    evaluations = [
        _parsed(run / EVALUATIONS, line, parse_evaluation)
        for line in read_lines(run / EVALUATIONS)
        if line["update"] <= len(lines)
    ]
    return Curves(
        name=run.name,
        config=config,
        episodes=episodes,
        returns=returns,
        hours=seconds.cumsum() / 3600,
        evaluations=tuple(evaluations),
    )


def parse_evaluation(line: Mapping[str, Any]) -> Evaluated:
    """One line of evaluations.jsonl, as `TrainingEvaluations.line` writes it."""
    by_policy = line.get("unbiased", {"policies": {}})["policies"]
    by_name: dict[str, list[float]] = {}
    for policy, by_mode in by_policy.items():
        before = "" if policy.startswith("agent ") else f"{policy} "
        for mode, by_split in by_mode.items():
            for split, result in by_split.items():
                by_name.setdefault(f"{before}{split} {mode}", []).append(float(result["mean"]))
    for result in line.get("official", {}).values():
        by_name.setdefault("official", []).append(float(result["mean"]))
    return Evaluated(line["update"], {name: float(np.mean(x)) for name, x in by_name.items()})


def _training(line: Mapping[str, Any], config: ProcgenConfig) -> list[tuple[float, float]]:
    """Episodes and mean return of each agent."""
    agents = [
        (float(a["episodes"]), math.nan if a["return"] is None else float(a["return"]))
        for a in line["agents"]
    ]
    if len(agents) != config.agents:
        raise ValueError
    return agents


def _parsed(path: Path, line: Mapping[str, Any], parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(line)
    except (KeyError, TypeError, ValueError, AttributeError):
        message = f"{path}: the line of update {line['update']} is not as this version writes it"
        raise ValueError(message) from None


@functools.cache
def _weights(width: int) -> int:
    return sum(p.numel() for p in ImpalaActorCritic(width=width).parameters())


def return_range(config: ProcgenConfig) -> ReturnRange | None:
    """Returns of a trivial and of a perfect policy in the run's game and mode, where known."""
    ranges = {"easy": EASY_RANGES, "hard": HARD_RANGES}.get(config.distribution_mode)
    return None if ranges is None else ranges[config.game]


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
    if not runs:
        raise ValueError("runs must be at least one folder of `mdpo train`, got none")
    if until is not None and until < 1:
        raise ValueError(f"until must be at least 1, got {until}")
    curves = [load_curves(run, until) for run in runs]
    if len({run.name for run in runs}) < len(runs):
        curves = [
            dataclasses.replace(c, name=str(run)) for c, run in zip(curves, runs, strict=True)
        ]
    tasks = [_task(title, members) for title, members in _by(_task_title, curves).items()]
    flags = [] if until is None else ["--until", str(until)]
    command = shlex.join(["mdpo", "compare", *map(str, runs), *flags, "--picture", "compare.svg"])
    return Comparison(tuple(tasks), command)


def _by(key: Callable[[Curves], str], curves: Sequence[Curves]) -> dict[str, list[Curves]]:
    found: dict[str, list[Curves]] = {}
    for curve in curves:
        found.setdefault(key(curve), []).append(curve)
    return found


def _task_title(curves: Curves) -> str:
    config, train = curves.config, curves.config.levels.train
    levels = f"trained on levels {train.first} to {train.end - 1}"
    return f"{config.game}, {config.distribution_mode}, {levels}"


def _algorithm(curves: Curves) -> str:
    """Tells algorithms apart: all settings but seed, machine and times of evaluation."""
    same = {"seed": 0, "evaluate_every": 0, "official_evaluation_every": 0}
    return config_digest(dataclasses.replace(curves.config, **same))  # type: ignore[arg-type]


def _task(title: str, curves: Sequence[Curves]) -> Task:
    members = list(_by(_algorithm, curves).values())
    for runs in members:
        for a, b in itertools.combinations(runs, 2):
            if a.config.seed == b.config.seed:
                raise ValueError(
                    f"runs must differ in seed or settings, got seed {a.config.seed} in both"
                    f" {a.name} and {b.name}"
                )
    labels = _labels([runs[0].config for runs in members])
    groups = [
        Group(label, tuple(sorted(runs, key=lambda c: c.config.seed)))
        for label, runs in zip(labels, members, strict=True)
    ]
    order = sorted(groups, key=lambda g: (-g.config.distill_coef, -g.config.agents))
    pairs = itertools.combinations(order, 2)
    differences = [_difference(a, b) for a, b in pairs if set(a.seeds) & set(b.seeds)]
    return Task(title, tuple(groups), tuple(differences))


def _labels(configs: Sequence[ProcgenConfig]) -> list[str]:
    """The algorithms' names; those that share one are told apart by the settings that differ."""
    labels = []
    for config in configs:
        namesakes = [c for c in configs if c.algorithm == config.algorithm]
        settings = [
            f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
            for name, value in json.loads(config.to_json()).items()
            if name not in ("seed", "evaluate_every", "official_evaluation_every")
            and len({getattr(c, name) for c in namesakes}) > 1
        ]
        labels.append(", ".join([config.algorithm, *settings]))
    return labels


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
    if found is None:
        return measure.missing
    form = f"{sign}{measure.form}"
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


def _new_table(title: str, *columns: str) -> Table:
    """A table whose first column names its rows in full."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column)
    return table


def _letters(task: Task) -> dict[str, str]:
    """A letter for each algorithm by its label, for narrow columns; numbers after Z."""
    letters = [*string.ascii_uppercase, *map(str, range(len(task.groups)))]
    return {group.label: letter for group, letter in zip(task.groups, letters, strict=False)}


def _group_table(task: Task, measures: Mapping[str, Measure], words: str) -> Table:
    table = _new_table(f"{task.title}: {words}", "algorithm", "seeds", *measures)
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
    letters = _letters(task)
    title = f"{task.title}: paired differences, 95 % intervals (not corrected for their number)"
    table = _new_table(title, "left - right", "pairs", "steps, left / right", *COMPARED)
    for d in task.differences:
        n = len(d.seeds)
        cells = [cell(d.intervals[name], RETURNS[name], n, sign="+") for name in COMPARED]
        names = f"{letters[d.left]} - {letters[d.right]}"
        table.add_row(names, str(n), f"{d.steps_ratio:.2f}", *cells)
    return [table]


def _run_table(task: Task) -> Table:
    measures = {**_shown_returns(task), **TIMES}
    table = _new_table(f"{task.title}: every run", "run", "", "seed", "updates", *measures)
    for group, letter in zip(task.groups, _letters(task).values(), strict=True):
        for run in group.runs:
            values = [(measure, measure.of(run)) for measure in measures.values()]
            cells = [f"{x:{m.form}}" if math.isfinite(x) else m.missing for m, x in values]
            updates = f"{run.done:,} of {run.config.updates:,}"
            table.add_row(escape(run.name), letter, str(run.config.seed), updates, *cells)
    return table


def binned(run: Curves) -> np.ndarray:
    """Smoothed curves: updates, hours and training return, each the mean of a bin, [3, bin].

    A bin is a hundredth of the updates that the run shall have, or one update.
    """
    width = math.ceil(run.config.updates / BINS)
    bins = [slice(i, min(i + width, run.done)) for i in range(0, run.done, width)]
    rows = [
        ((b.start + 1 + b.stop) / 2, float(run.hours[b].mean()), run.mean_return(b)) for b in bins
    ]
    return np.array(rows).reshape(-1, 3).T


CAPTION = (
    "Undiscounted returns. Lines: episodes on training levels as they were played in training,"
    f" averaged over the agents and over bins of updates, at most {BINS} a run; thin: one seed"
    " each; thick: their mean, with its 95 % Student interval as a band, as far as all seeds are."
    " Squares: test levels, sampled actions, mean over agents and over the seeds evaluated then,"
    " with its 95 % interval over seeds. One seed has no interval. Hours are of rollouts and"
    " gradient steps, averaged over seeds for means; they compare algorithms on one kind of machine"
    " only."
)


def caption(comparison: Comparison) -> str:
    """What the picture shows, with the command that made it."""
    return " ".join([CAPTION, *comparison.notes, f"Made by: {comparison.command}"])


def compare_figure(comparison: Comparison) -> Figure:
    """Returns against environment steps and against hours, a row for each task."""
    n = len(comparison.tasks)
    words = textwrap.wrap(caption(comparison), 175, break_on_hyphens=False)
    labels = list(dict.fromkeys(g.label for task in comparison.tasks for g in task.groups))
    colours = dict(zip(labels, itertools.cycle(RUN_COLOURS), strict=False))
    height = 2.9 * n + 0.13 * len(words) + 0.17 * math.ceil((len(labels) + 3) / 2) + 0.3
    figure, axes = style.new_figure(9.4, height, nrows=n, ncols=2, squeeze=False)
    for pair, task in zip(axes, comparison.tasks, strict=True):
        for axis, against_hours in zip(pair, (False, True), strict=True):
            _panel(axis, task, colours, against_hours)
    figure.legend(
        handles=_legend(colours), loc="outside upper center", ncols=2, fontsize=8, frameon=False
    )
    figure.supxlabel(
        "\n".join(words), x=0.01, ha="left", fontsize=7, linespacing=1.3, parse_math=False
    )
    return figure


def _legend(colours: Mapping[str, str]) -> list[Line2D]:
    grey: dict[str, Any] = {"color": "#555555"}
    return [
        *(Line2D([], [], color=colour, linewidth=2, label=x) for x, colour in colours.items()),
        Line2D([], [], linewidth=2, label="training levels, mean and 95 % interval", **grey),
        Line2D([], [], linewidth=0.7, alpha=0.6, label="training levels, one seed", **grey),
        Line2D([], [], linestyle=":", marker="s", mfc="white", label="test levels", **grey),
    ]


def _panel(axis: Any, task: Task, colours: Mapping[str, str], against_hours: bool) -> None:
    for group in task.groups:
        _training_curves(axis, group, colours[group.label], against_hours)
        _test_points(axis, group, colours[group.label], against_hours)
    ends = [run.total_hours if against_hours else run.steps for run in task.runs]
    axis.set_xlim(0, 1.03 * max([x for x in ends if x > 0], default=1))
    if all(len(line.get_xdata()) == 0 for line in axis.get_lines()):
        axis.text(0.5, 0.5, "nothing to show yet", ha="center", transform=axis.transAxes)
    axis.locator_params(axis="x", nbins=6)
    axis.set_title(task.title, fontsize=9)
    axis.set_ylabel("return, undiscounted")
    if against_hours:
        axis.set_xlabel("wall-clock time (hours)")
    else:
        axis.set_xlabel("environment steps of all agents together")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def _training_curves(axis: Any, group: Group, colour: str, against_hours: bool) -> None:
    """A thin line per run, and their mean where all runs have a value."""
    curves = [binned(run) for run in group.runs]
    samples = group.config.samples * group.config.agents
    lines = [(hours if against_hours else updates * samples, y) for updates, hours, y in curves]
    for x, y in lines:
        seen = np.isfinite(x) & np.isfinite(y)
        axis.plot(x[seen], y[seen], color=colour, linewidth=0.7, alpha=0.6, gid="seed")
    shortest = min(len(y) for _, y in lines)
    xs, ys = (np.array([line[i][:shortest] for line in lines]).T for i in (0, 1))
    seen = np.isfinite(xs + ys).all(axis=-1)
    mean, low, high = band(ys[seen])
    at = xs[seen].mean(axis=-1)
    axis.plot(at, mean, color=colour, linewidth=2, gid="mean")
    axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _test_points(axis: Any, group: Group, colour: str, against_hours: bool) -> None:
    """After each update the mean over the runs that were evaluated then."""
    found: dict[int, list[tuple[float, float]]] = {}
    samples = group.config.samples * group.config.agents
    for run in group.runs:
        for update, means in run.evaluations:
            if "test sampled" in means:
                x = float(run.hours[update - 1]) if against_hours else float(update * samples)
                found.setdefault(update, []).append((x, means["test sampled"]))
    points = [np.array(found[update]).T for update in sorted(found)]
    bands = [band(returns) for _, returns in points]
    axis.errorbar(
        [float(xs.mean()) for xs, _ in points],
        [float(b.mean) for b in bands],
        np.nan_to_num([float(b.mean - b.low) for b in bands]),
        fmt=":s", color=colour, mfc="white", markersize=4.5, linewidth=0.8, capsize=2, zorder=4,
        elinewidth=1,
    )  # fmt: skip
