"""Runs a plan: what is left of it, what that will cost, and the runs themselves on Ray."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.config import CONFIG_FILE
from experiments.sweep.job import calibrate_job, read_note, train_job
from experiments.sweep.plan import Plan, Run, require_same
from experiments.sweep.store import NOTE, Store
from mdtheory.cluster import Cluster, Job
from mdtheory.progress import OnProgress

Cell = tuple[str, str]
"""A game and an algorithm, the names in the sweep file."""


@dataclass
class State:
    """How far a run is.

    Attributes:
        run: which.
        update: updates done and saved, or while it runs, done.
        seconds: of computing, up to the last time it was saved.
        attempts: how often it was started.
        finished: whether all is done, evaluations too.
        running: whether a worker is at it now.
        error: why it failed, in words.
    """

    run: Run
    update: int = 0
    seconds: float = 0.0
    attempts: int = 0
    finished: bool = False
    running: bool = False
    error: str | None = None

    @property
    def cell(self) -> Cell:
        return self.run.game, self.run.algorithm

    @property
    def word(self) -> str:
        """failed, finished, running (as far as this process knows), begun or waiting."""
        if self.error is not None:
            return "failed"
        if self.finished:
            return "finished"
        return "running" if self.running else "begun" if self.update else "waiting"

    def learn(self, note: Mapping[str, Any]) -> None:
        """Take over what a run's note says."""
        self.update, self.seconds = note["update"], note["seconds"]
        self.attempts = len(note["started_at"])
        self.finished = "digests" in note


def load_states(plan: Plan, store: Store) -> list[State]:
    """How far every run of a plan is.

    Raises:
        FileExistsError: a run's folder holds one with other settings.
        ValueError: a run's note or configuration is damaged, or the latter gone.
    """
    names = [run.name for run in plan.runs]
    configs = store.read([f"{name}/{CONFIG_FILE}" for name in names])
    notes = store.read([f"{name}/{NOTE}" for name in names])
    states = []
    for run, config, note in zip(plan.runs, configs, notes, strict=True):
        if config is not None:
            require_same(run.config, config, run.name)
        states.append(State(run))
        states[-1].learn(read_note(note, run.name))
        if states[-1].update > run.config.updates:
            raise ValueError(
                f"{run.name}/{NOTE} must say at most {run.config.updates} updates, got"
                f" {states[-1].update}"
            )
        if states[-1].finished and config is None:
            raise ValueError(f"{run.name} was finished and has lost its {CONFIG_FILE}: remove it")
    return states


@dataclass(frozen=True)
class Estimate:
    """What is left to pay.

    Attributes:
        seconds_per_update: by game and algorithm.
        measured_now: which of these come from a calibration; others from runs already made.
        run_seconds: of all runs that are left together.
        wall_seconds: until the last one ends.
        slots: how many runs at once that assumes.
    """

    seconds_per_update: Mapping[Cell, float]
    measured_now: frozenset[Cell]
    run_seconds: float
    wall_seconds: float
    slots: int


def estimate(
    plan: Plan,
    states: Sequence[State],
    cluster: Cluster,
    on_progress: OnProgress = lambda text, share: None,
) -> Estimate:
    """Measure for a few seconds each game and algorithm of which nothing is known.

    Raises:
        ChildProcessError: a calibration failed, and so would its runs.
    """
    pace: dict[Cell, float] = {}
    for s in states:
        if s.update > 0 and s.seconds > 0:
            pace.setdefault(s.cell, s.seconds / s.update)
    unknown = {s.cell: s.run for s in reversed(states) if not s.finished and s.cell not in pace}
    jobs = [
        Job("/".join(cell), calibrate_job, (run.config.to_json(), plan.resources.threads))
        for cell, run in unknown.items()
    ]
    cells = {"/".join(cell): cell for cell in unknown}
    for outcome in cluster.run(jobs, plan.resources, retries=plan.retries):
        n = sum(c in pace for c in unknown)
        on_progress(f"calibration, {n} of {len(unknown)} measured", n / len(unknown))
        if outcome is None:
            continue
        if outcome.error is not None:
            raise ChildProcessError(f"a short training of {outcome.name} failed: {outcome.error}")
        pace[cells[outcome.name]] = outcome.result
    slots = cluster.slots(plan.resources)
    left = [pace[s.cell] * (s.run.config.updates - s.update) for s in states if not s.finished]
    return Estimate(pace, frozenset(unknown), sum(left), makespan(left, max(slots, 1)), slots)


def makespan(durations: Sequence[float], slots: int) -> float:
    """When the last job ends if each slot takes the next one as soon as it is free."""
    free = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


@dataclass
class Sweep:
    """A plan under way.

    Attributes:
        states: of all runs, in the plan's order.
        where: an absolute folder or a URL.
    """

    plan: Plan
    where: str
    states: list[State]
    _by_name: dict[str, State] = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {state.run.name: state for state in self.states}

    def run(self, cluster: Cluster, on_change: Callable[[Sequence[State]], None]) -> None:
        """Run all that is not finished; `on_change` is called at least once a second."""
        jobs = [
            Job(
                s.run.name,
                train_job,
                (self.where, s.run.name, s.run.config.to_json(), self.plan.resources.threads),
            )
            for s in self.states
            if not s.finished
        ]
        for outcome in cluster.run(jobs, self.plan.resources, retries=self.plan.retries):
            for name, report in cluster.reports().items():
                if name in self._by_name and not self._by_name[name].finished:
                    self._by_name[name].update = report["update"]
                    self._by_name[name].running = True
            if outcome is not None:
                state = self._by_name[outcome.name]
                state.running, state.error = False, outcome.error
                if outcome.error is None:
                    state.learn(outcome.result)
            on_change(self.states)
