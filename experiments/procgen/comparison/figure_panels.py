"""What the grid of the sixteen games shows: our curves beside the published ones.

Steps are those of one agent throughout; whoever draws multiplies by the number of agents.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.envs.procgen.levels import LevelSet
from experiments.procgen.comparison.across_games import (
    Algorithm,
    departures,
    evaluated_returns,
    find_algorithms,
    steps_in_words,
)
from experiments.procgen.comparison.compare import Comparison, Task, compare
from experiments.procgen.comparison.compare_figure import binned
from experiments.procgen.comparison.curves import Curves
from experiments.procgen.comparison.published_ppo import MODES, PublishedCurve, load_published
from mdtheory.intervals import Band, band


class Line(NamedTuple):
    """One run's returns: steps of one agent [point] and returns [point]."""

    steps: np.ndarray
    returns: np.ndarray


@dataclass(frozen=True, eq=False)
class Panels:
    """Algorithms with the runs of one mode, the published curves of that mode, and what to know.

    `notes` belong on the picture, `more_notes` (how far each run is) beside the tables.
    """

    mode: str
    algorithms: tuple[Algorithm, ...]
    published: dict[tuple[str, str], PublishedCurve]
    notes: tuple[str, ...]
    more_notes: tuple[str, ...]

    @property
    def mark(self) -> int:
        """Environment steps of one agent at the protocol's end."""
        return MODES[self.mode].mark

    def begins(self, splits: Sequence[str], *, total_steps: bool) -> float:
        """After how many steps there is something to see: a second point, or a test's square."""
        found = [float(self.published[key].steps[1]) for key in self.published if key[1] in splits]
        for one in self.algorithms:
            factor = one.agents if total_steps else 1
            for run, split in itertools.product(one.runs, splits):
                shown = line_of(run, split).steps[0 if split == "test" else 1 :]
                found += [float(factor * steps) for steps in shown[:1]]
        return min(found)

    def on(self, game: str) -> list[Algorithm]:
        """The algorithms that have runs on a game."""
        return [one for one in self.algorithms if game in one.games]


def find_panels(runs: Sequence[Path], mode: str | None = None) -> Panels:
    """Read runs; those of another mode are left out, which a note says.

    Args:
        runs: folders of `mdpo train`, perhaps none.
        mode: easy or hard; by default the one mode that all runs have, or hard.

    Raises:
        FileNotFoundError: a folder holds no run.
        ValueError: runs of several modes but none named, a mode without published curves, a damaged
            log, or one seed twice.
    """
    tasks = compare(runs).tasks if runs else ()
    mode = mode or _only_mode(tasks)
    kept = tuple(t for t in tasks if t.groups[0].config.distribution_mode == mode)
    left = [run for task in tasks if task not in kept for run in task.runs]
    algorithms = find_algorithms((run for task in kept for run in task.runs), usual_levels(mode))
    notes = [
        *(f"{run.name} is in {run.config.distribution_mode} mode and left out." for run in left),
        *_notes(algorithms, mode),
    ]
    unfinished = Comparison(kept, "").notes
    return Panels(mode, tuple(algorithms), load_published(mode), tuple(notes), tuple(unfinished))


def usual_levels(mode: str) -> LevelSet:
    """The training levels of the published curves."""
    return LevelSet(0, MODES[mode].levels)


def _only_mode(tasks: Sequence[Task]) -> str:
    modes = {task.groups[0].config.distribution_mode: task.runs[0].name for task in tasks}
    for mode, name in modes.items():
        if mode not in MODES:
            raise ValueError(
                "runs must be in easy or hard mode, of which there are published curves, got"
                f" {mode} in {name}; --mode leaves others out"
            )
    if len(modes) > 1:
        found = " and ".join(f"{mode} ({name})" for mode, name in modes.items())
        raise ValueError(f"runs must share one mode, or --mode must choose it, got {found}")
    return next(iter(modes), "hard")


def _notes(algorithms: Sequence[Algorithm], mode: str) -> list[str]:
    """What the algorithms on the picture do not share with the published runs."""
    by_settings: dict[str, list[str]] = {}
    for one in algorithms:
        by_settings.setdefault(departures(one.config), []).append(one.label)
    notes = [
        f"Other settings than the published runs: {settings} ({'; '.join(labels)})."
        for settings, labels in by_settings.items()
        if settings
    ]
    usual = MODES[mode].levels
    others = [one.label for one in algorithms if not on_usual_levels(one, mode)]
    return notes + [
        f"{label}: not comparable with the published curves, which are of levels 0 to {usual - 1}."
        for label in others
    ]


def on_usual_levels(one: Algorithm, mode: str) -> bool:
    """Whether it was trained on the levels of the published curves."""
    return one.config.levels.train == usual_levels(mode)


def line_of(run: Curves, split: str) -> Line:
    """A run's curve: training returns in bins of updates, or evaluations on test levels."""
    if split == "test":
        updates, returns = evaluated_returns(run)
    else:
        updates, _, returns = binned(run)
        seen = np.isfinite(returns)
        updates, returns = updates[seen], returns[seen]
    return Line(updates * run.config.samples, returns)


def mean_line(runs: Sequence[Curves], split: str) -> tuple[np.ndarray, Band]:
    """Steps [point] at which every run has a value, with mean and 95 % interval over runs.

    Runs without any value are left out.
    """
    lines = [line for run in runs if len((line := line_of(run, split)).steps)]
    steps = shared([line.steps for line in lines])
    if not len(steps):
        return steps, Band(steps, steps, steps)
    values = [line.returns[np.isin(line.steps, steps)] for line in lines]
    return steps, band(np.array(values).T)


def shared(lists: Sequence[np.ndarray]) -> np.ndarray:
    """The values that all lists have, in order; none of no list."""
    if not lists:
        return np.zeros(0)
    found = lists[0]
    for other in lists[1:]:
        found = np.intersect1d(found, other)
    return found


def progress(algorithms: Sequence[Algorithm], game: str) -> str:
    """How far unfinished runs of a game are, or nothing: `unfinished: 1.5M to 2M of 4M steps`."""
    runs = [run for one in algorithms for run in one.games[game]]
    open_runs = [run for run in runs if run.done < run.config.updates]
    if not open_runs:
        return ""
    done = _range([run.steps_per_agent for run in open_runs])
    total = _range([run.config.updates * run.config.samples for run in open_runs])
    return f"unfinished: {done} of {total} steps"


def _range(numbers: Sequence[int]) -> str:
    words = [steps_in_words(number) for number in (min(numbers), max(numbers))]
    return " to ".join(dict.fromkeys(words))
