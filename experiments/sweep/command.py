"""`mdpo sweep`: games x algorithms x seeds on Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.live import Live

from experiments.sweep import status
from experiments.sweep.driver import Estimate, State, Sweep, estimate, load_states
from experiments.sweep.job import departures
from experiments.sweep.plan import Plan, load_plan
from experiments.sweep.store import Store, fetch, open_store
from mdtheory import cluster
from mdtheory.progress import Lines, Pace, progress


@dataclass(frozen=True)
class SweepCommand:
    """Train games x algorithms x seeds on Ray, on this machine or a cluster (extra `cluster`).

    Called again it goes on: finished runs stay as they are, stopped ones go on from their last
    checkpoint. Exit status 0: all runs are finished; 1: some failed, or were altered (--verify,
    --fetch).
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The sweep as TOML, see docs/sweeps.md."""
    output: str = ""
    """Folder, the same on all nodes, or URL of fsspec's (s3://..., gs://..., sftp://...), with a
    folder GAME/ALGORITHM/seedK for each run; by default runs/ and the file's name."""
    address: str | None = None
    """Ray cluster to run on: auto or HOST:PORT; by default all cores of this machine."""
    dry_run: bool = False
    """Say what would run and what it would cost, and stop."""
    status: bool = False
    """Say how far the sweep is, and stop."""
    fetch: Path | None = None
    """Copy the finished runs from a URL to this new folder, compare them with their digests, and
    stop."""
    verify: bool = False
    """Compare everything that finished runs found with the digests kept of it, and stop."""
    no_calibration: bool = False
    """Do not train each algorithm for some seconds to tell what the sweep costs."""

    def run(self) -> int:
        alone = ("dry_run", "status", "verify", "fetch")
        given = [f"--{name.replace('_', '-')}" for name in alone if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"give at most one of {' and '.join(given)}")
        plan = load_plan(self.file)
        where = self.output or str(Path("runs") / self.file.stem)
        if "://" not in where:
            where = str(Path(where).absolute())
        store = open_store(where)
        states = load_states(plan, store)
        console = Console()
        if self.fetch is not None:
            return _fetch(store, states, self.fetch)
        if self.verify:
            return _verify(store, states)
        if self.status or (self.dry_run and self.no_calibration) or _all_finished(states):
            console.print(status.status_table(states))
            return 0
        sweep = Sweep(plan, where, states)
        if not self.dry_run and "://" not in where:
            Path(where).mkdir(parents=True, exist_ok=True)
        with cluster.connected(self.address) as connection:
            connection.slots(plan.resources)
            found = None if self.no_calibration else _estimate(plan, states, connection, console)
            if self.dry_run:
                return 0
            with _display(found) as show:
                sweep.run(connection, show)
        console.print(status.status_table(states))
        for line in status.failures(states):
            print(line, file=sys.stderr)
        print(f"runs: {where}")
        return 0 if _all_finished(states) else 1


def _all_finished(states: Sequence[State]) -> bool:
    return all(state.finished for state in states)


def _fetch(store: Store, states: Sequence[State], output: Path) -> int:
    finished = _finished_names(states, "--fetch")
    fetch(store, finished, output)
    print(f"{len(finished)} of {len(states)} runs are finished and now in {output}")
    found = [line for name in finished for line in departures(output / name, name)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


def _verify(store: Store, states: Sequence[State]) -> int:
    finished = _finished_names(states, "--verify")
    found = []
    with progress() as show:
        for i, name in enumerate(finished):
            show(name, i / len(finished))
            with store.work_on(name) as (folder, _):
                found += departures(folder, name)
    for line in found:
        print(line)
    if not found:
        print(f"{len(finished)} of {len(states)} runs are finished, and all are as they were then")
    return 1 if found else 0


def _finished_names(states: Sequence[State], flag: str) -> list[str]:
    names = [state.run.name for state in states if state.finished]
    if not names:
        raise ValueError(f"{flag} needs finished runs, and none is yet")
    return names


def _estimate(
    plan: Plan, states: Sequence[State], connection: cluster.Cluster, console: Console
) -> Estimate:
    with progress() as show:
        found = estimate(plan, states, connection, show)
    console.print(status.estimate_table(states, found))
    console.print(status.estimate_words(found, plan.resources), soft_wrap=True)
    return found


@contextmanager
def _display(found: Estimate | None) -> Iterator[Callable[[Sequence[State]], None]]:
    """A table that is kept up to date on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    live = Live(console=console, transient=True, auto_refresh=False)
    lines = Lines(at_once=True)
    pace: Pace | None = None

    def show(states: Sequence[State]) -> None:
        nonlocal pace
        share = status.share_done(states, found)
        pace = pace or Pace(share)
        words = f"{status.status_line(states)}, {pace.words(share)}"
        if not console.is_terminal:
            lines.show(words, share)
            return
        table = status.status_table(states, only_active=True)
        table.caption = words
        live.update(table, refresh=True)

    with live if console.is_terminal else nullcontext():
        yield show
