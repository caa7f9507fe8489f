"""`mdpo figure`: the paper's figure from whatever runs exist, beside the published curves."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.procgen.outputs import require_apart, wide_console
from mdtheory import files


@dataclass(frozen=True)
class Figure:
    """Draw the learning curves of all sixteen games beside the published ones of PPO (Procgen).

    Games without a run are shown as missing; without any run, the published curves alone are drawn.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders written by `mdpo train`; runs that differ in game and seed only are one algorithm."""
    picture: Path | None = None
    """The picture (.svg, .png or .pdf)."""
    mode: Literal["easy", "hard"] | None = None
    """Which mode: hard with 500 training levels or easy with 200; by default that of the runs, hard
    if there are none. Runs of another are left out."""
    split: Literal["test", "train", "both"] = "test"
    """Returns on test levels, on training levels, or both."""
    x: Literal["steps-per-agent", "total-steps"] = "steps-per-agent"
    """Count the environment steps of each agent or of all agents of a run together."""
    until: float | None = None
    """End the axes after so many steps, for instance 2e6; by default where the protocol ends."""
    table: Path | None = None
    """Write the numbers to this new file (.csv or .json)."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> int:
        from experiments.procgen.comparison.curves import input_files
        from experiments.procgen.comparison.figure_grid import grid_figure
        from experiments.procgen.comparison.figure_panels import find_panels
        from experiments.procgen.comparison.figure_table import find_rows, to_csv, to_json, to_table
        from experiments.procgen.comparison.published_ppo import CURVES
        from mdtheory.report import style

        read = [CURVES, *(file for run in self.runs for file in input_files(run))]
        require_apart(read, {"--picture": self.picture, "--table": self.table})
        picture = None if self.picture is None else files.new_picture(self.picture, self.force)
        table = None if self.table is None else new_table_file(self.table, self.force)
        if self.until is not None and not 0 < self.until < 1e12:
            raise ValueError(f"until must be a number of steps above 0, got {_number(self.until)}")
        splits = ("train", "test") if self.split == "both" else (self.split,)
        panels = find_panels(self.runs, self.mode)
        total_steps = self.x == "total-steps"
        begins = panels.begins(splits, total_steps=total_steps)
        if self.until is not None and self.until < begins:
            raise ValueError(
                f"until must leave something to draw, which begins at {begins:,.0f} steps, got"
                f" {_number(self.until)}"
            )
        rows = find_rows(panels, splits)
        console = wide_console(160)
        console.print(to_table(rows, panels))
        for note in (*panels.notes, *panels.more_notes):
            console.print(note, markup=False, highlight=False)
        if picture is not None:
            figure = grid_figure(
                panels,
                splits=splits,
                total_steps=total_steps,
                until=self.until,
                command=self.command("picture"),
            )
            style.save(figure, picture)
            print(f"picture: {picture}")
        if table is not None:
            text = (
                to_csv(rows)
                if table.suffix == ".csv"
                else to_json(rows, panels, self.command("table"))
            )
            files.write_atomically(table, text.encode())
            print(f"table: {table}")
        return 0

    def command(self, flag: Literal["picture", "table"] = "picture") -> str:
        """The shortest command that repeats the picture, or the table."""
        defaults = Figure()
        flags = []
        for name in ("mode", "split", "x", "until"):
            value = getattr(self, name)
            if value != getattr(defaults, name):
                flags += [f"--{name}", _number(value) if name == "until" else str(value)]
        file = getattr(self, flag)
        if file is not None:
            flags += [f"--{flag}", file.name]
        return shlex.join(["mdpo", "figure", *map(str, self.runs), *flags])


def _number(value: float) -> str:
    """Short, such as 2e+06, where that is the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value).removesuffix(".0")


def new_table_file(path: Path, force: bool) -> Path:
    """`files.new_file` for a table; its suffix says its format."""
    if path.suffix not in (".csv", ".json"):
        raise ValueError(f"--table must end in .csv or .json, got {path}")
    return files.new_file(path, force=force)
