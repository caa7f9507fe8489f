"""Where a sweep stands, as a table and as one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from experiments.sweep.driver import Cell, Estimate, State
from mdtheory.cluster import Resources

_WORDS = ("finished", "running", "begun", "waiting", "failed")


def status_table(states: Sequence[State], *, only_active: bool = False) -> Table:
    """Runs and updates for each game and algorithm, or only for those at work or in trouble, and in
    all."""
    table = Table(title="sweep", title_justify="left", caption_justify="left")
    for column in ("game", "algorithm", "runs"):
        table.add_column(column, overflow="fold")
    for column in ("updates", "hours", "restarts"):
        table.add_column(column, justify="right")
    groups: dict[Cell, list[State]] = {}
    for state in states:
        groups.setdefault(state.cell, []).append(state)
    for cell, members in groups.items():
        if not only_active or any(s.word in ("running", "failed") for s in members):
            table.add_row(*map(escape, cell), *_numbers(members))
    table.add_section()
    table.add_row("all", "", *_numbers(states))
    return table


def _numbers(states: Sequence[State]) -> list[str]:
    done, total = _updates(states)
    hours = _hours(sum(state.seconds for state in states))
    restarts = sum(max(state.attempts - 1, 0) for state in states)
    return [_counts(states), f"{done:,}/{total:,}", hours, str(restarts or "–")]


def _counts(states: Sequence[State]) -> str:
    words = Counter(state.word for state in states)
    return ", ".join(f"{words[word]} {word}" for word in _WORDS if words[word])


def status_line(states: Sequence[State]) -> str:
    """The same in one line."""
    done, total = _updates(states)
    return f"{len(states)} runs: {_counts(states)}; {done:,} of {total:,} updates"


def _updates(states: Sequence[State]) -> tuple[int, int]:
    return sum(s.update for s in states), sum(s.run.config.updates for s in states)


def share_done(states: Sequence[State], found: Estimate | None) -> float:
    """Of the work, in updates weighed with what they take."""
    pace = found.seconds_per_update if found else {}
    weights = [pace.get(s.cell, 1.0) for s in states]
    done = sum(w * s.update for w, s in zip(weights, states, strict=True))
    total = sum(w * s.run.config.updates for w, s in zip(weights, states, strict=True))
    return float(done / total)


def failures(states: Sequence[State]) -> list[str]:
    """A line for each run that failed."""
    return [f"{s.run.name} failed: {s.error}" for s in states if s.error is not None]


def estimate_table(states: Sequence[State], found: Estimate) -> Table:
    """What each game and algorithm still takes."""
    table = Table(title="what is left", title_justify="left")
    table.add_column("game", overflow="fold")
    table.add_column("algorithm", overflow="fold")
    for column in ("runs", "updates", "seconds per update", "hours"):
        table.add_column(column, justify="right")
    left: dict[Cell, list[State]] = {}
    for state in states:
        if not state.finished:
            left.setdefault(state.cell, []).append(state)
    for cell, members in left.items():
        updates = sum(s.run.config.updates - s.update for s in members)
        pace = found.seconds_per_update[cell]
        measured = "" if cell in found.measured_now else " (from runs)"
        table.add_row(
            *map(escape, cell),
            str(len(members)),
            f"{updates:,}",
            f"{pace:.3g}{measured}",
            _hours(pace * updates),
        )
    return table


def estimate_words(found: Estimate, resources: Resources) -> str:
    """The sum of it, in a sentence."""
    kinds = (("CPU", resources.cpus), ("GPU", resources.gpus))
    costs = [
        f"{_hours(found.run_seconds * amount)} {kind} hours" for kind, amount in kinds if amount
    ]
    at_once = f"{found.slots} at once" if found.slots else "one at once (no node has room yet)"
    costs = costs or [f"{_hours(found.run_seconds)} hours of runs"]
    source = "Measured by a short training" if found.measured_now else "As runs so far took"
    return (
        f"about {_hours(found.wall_seconds)} hours, {at_once}, {resources} each:"
        f" {' and '.join(costs)}. {source}; what is evaluated more rarely than that comes on top."
    )


def _hours(seconds: float) -> str:
    """Such as 1.25, 0.02 or 0.0004."""
    hours = seconds / 3600
    return f"{hours:.2f}" if hours >= 0.1 or not hours else f"{hours:.1g}"
