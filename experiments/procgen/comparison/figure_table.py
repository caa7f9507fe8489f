"""The numbers beside the grid: our returns and the published ones after as many steps."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from experiments.envs.procgen.games import GAMES
from experiments.interval import interval
from experiments.procgen.comparison.across_games import Algorithm, evaluated_returns, steps_in_words
from experiments.procgen.comparison.curves import Curves
from experiments.procgen.comparison.figure_panels import Panels, on_usual_levels, shared
from experiments.procgen.comparison.published_ppo import SOURCE, WINDOW, PublishedCurve


@dataclass(frozen=True)
class Published:
    """Mean and range of the published runs; all None where there is no point."""

    mean: float | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """An algorithm on a game and split at the last number of steps that all its seeds have.

    Steps are of one agent, and of all agents together; returns are undiscounted, with 95 % Student
    intervals over `seeds` runs, None for one seed.  `ppo_` are published, after these steps and at
    the protocol's end.  What is missing says why.
    """

    game: str
    split: str
    algorithm: str | None = None
    seeds: int = 0
    steps_per_agent: int | None = None
    total_steps: int | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    ppo_at_steps_per_agent: Published = Published()
    ppo_at_total_steps: Published = Published()
    ppo_at_end: Published = Published()
    missing: str = ""

    def flat(self) -> dict[str, Any]:
        """One value a column, with four decimals."""
        found: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Published):
                found |= {f"{name}_{part}": x for part, x in vars(value).items()}
            else:
                found[name] = value
        return {k: round(x, 4) if isinstance(x, float) else x for k, x in found.items()}


def find_rows(panels: Panels, splits: Sequence[str]) -> list[Row]:
    """A row for each game, split and algorithm; one that says so for a game without a run."""
    return [
        row
        for game in GAMES
        for split in splits
        for row in _rows_of(panels, game, split, panels.published[game, split])
    ]


def _rows_of(panels: Panels, game: str, split: str, curve: PublishedCurve) -> list[Row]:
    end = _published(curve, panels.mark)
    none = [Row(game=game, split=split, ppo_at_end=end, missing="no run")]
    return [
        _row(one, game, split, curve if on_usual_levels(one, panels.mode) else None, panels.mark)
        for one in panels.on(game)
    ] or none


def _row(one: Algorithm, game: str, split: str, curve: PublishedCurve | None, mark: int) -> Row:
    runs = one.games[game]
    update, values = _last_common(runs, split)
    reasons = []
    if len(values) < len(runs):
        what = "without an episode" if split == "train" else "not evaluated"
        reasons.append(f"{len(runs) - len(values)} of {len(runs)} seeds {what}")
    if len(values) == 1:
        reasons.append("one seed: no interval")
    if curve is None:
        reasons.append("published runs have other training levels")
    elif update and _published(curve, update * one.config.samples).mean is None:
        reasons.append(f"published curve begins at {steps_in_words(curve.steps[0])} steps")
    row = Row(
        game=game,
        split=split,
        algorithm=one.label,
        seeds=len(values),
        ppo_at_end=_published(curve, mark),
        missing="; ".join(reasons),
    )
    if not len(values):
        return row
    found, steps = interval(values), update * one.config.samples
    return dataclasses.replace(
        row,
        steps_per_agent=steps,
        total_steps=steps * one.agents,
        mean=found.mean,
        low=_known(found.low),
        high=_known(found.high),
        ppo_at_steps_per_agent=_published(curve, steps),
        ppo_at_total_steps=_published(curve, steps * one.agents),
    )


def _last_common(runs: Sequence[Curves], split: str) -> tuple[int, np.ndarray]:
    """The last update at which all runs that have values have one, and these values, [run]."""
    if split == "test":
        found = [pair for run in runs if len((pair := evaluated_returns(run))[0])]
        updates = shared([u for u, _ in found])
        if not len(updates):
            return 0, np.zeros(0)
        last = int(updates[-1])
        return last, np.array([float(values[u == last][0]) for u, values in found])
    begun = [run for run in runs if run.done]
    last = min((run.done for run in begun), default=0)
    # Over as many updates as in a published point.
    values = np.array([run.mean_return(slice(max(0, last - WINDOW), last)) for run in begun])
    return last, values[np.isfinite(values)]


def _published(curve: PublishedCurve | None, steps: int) -> Published:
    runs = None if curve is None else curve.at(steps)
    if runs is None:
        return Published()
    return Published(float(runs.mean()), float(runs.min()), float(runs.max()))


def _known(x: float) -> float | None:
    return x if math.isfinite(x) else None


def to_csv(rows: Iterable[Row]) -> str:
    """Empty cells where there is no number."""
    flat = [row.flat() for row in rows]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def to_json(rows: Iterable[Row], panels: Panels, command: str) -> str:
    """The rows with the source of the published curves, the notes and the command."""
    content = {
        "mode": panels.mode,
        "published": SOURCE,
        "notes": [*panels.notes, *panels.more_notes],
        "command": command,
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_table(rows: Sequence[Row], panels: Panels) -> Table:
    """For the terminal."""
    end = steps_in_words(panels.mark)
    table = Table(
        title=f"Procgen, {panels.mode} mode: undiscounted returns, ours with 95 % Student intervals"
        " over seeds, published PPO with the range of its 3 runs",
        title_justify="left",
    )
    table.add_column("game")
    table.add_column("split")
    table.add_column("algorithm", overflow="fold")
    for column in ("seeds", "steps per agent", "in total", "ours", "PPO, steps per agent",
                   "PPO, steps in total", f"PPO, {end} steps", "what is missing"):  # fmt: skip
        table.add_column(column)
    for row in rows:
        table.add_row(
            row.game,
            row.split,
            escape(row.algorithm or "–"),
            str(row.seeds) if row.algorithm else "–",
            "–" if row.steps_per_agent is None else f"{row.steps_per_agent:,}",
            "–" if row.total_steps is None else f"{row.total_steps:,}",
            _cell(row.mean, "" if row.low is None else f"\n[{row.low:.2f}, {row.high:.2f}]"),
            *(
                _cell(x.mean, "" if x.least is None else f"\n{x.least:.2f} to {x.most:.2f}")
                for x in (row.ppo_at_steps_per_agent, row.ppo_at_total_steps, row.ppo_at_end)
            ),
            row.missing,
        )
    return table


def _cell(mean: float | None, below: str) -> str:
    """A mean and what stands below it: an interval in brackets, or a range in words."""
    return "–" if mean is None else f"{mean:.2f}{below}"
