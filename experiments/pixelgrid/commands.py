"""`mdpo finals` and `mdpo effects`: what a sweep on the pixel grid found."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from mdtheory import command_line, files
from mdtheory.progress import progress

if TYPE_CHECKING:
    from experiments.pixelgrid.finals import Final

MEASURES = {
    "heldout_return": "held-out return",
    "mean_robustness": "mean R",
    "train_return": "training return",
    "gap": "gap",
}
"""What `mdpo effects` looks at, in words."""


@dataclass(frozen=True)
class Finals:
    """Audit every run of a finished sweep on the pixel grid; write its last numbers as CSV."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The sweep's file."""
    runs: Path | None = None
    """Folder of the sweep's runs; by default that of `mdpo sweep`."""
    table: Path = Path("finals.csv")
    """The table: a row for each policy and seed."""
    force: bool = False
    """Overwrite an existing table."""

    def run(self) -> int:
        from experiments.pixelgrid.finals import finals_of, to_csv
        from experiments.sweep.plan import load_plan

        plan = load_plan(self.file)
        path = files.new_file(self.table, force=self.force)
        with progress() as show:
            rows, audited = finals_of(plan, self.runs or Path("runs") / self.file.stem, show)
        files.write_atomically(path, to_csv(rows).encode())
        print(
            f"{len(rows):,} rows in {path}; {audited.violations:,} of {audited.checked:,} checks"
            " of A0 to A5 violated"
        )
        return 1 if audited.violations else 0


@dataclass(frozen=True)
class Effects:
    """Say what distillation changes: paired differences with intervals, from a table of finals."""

    table: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FINALS")]
    """Written by `mdpo finals`."""
    picture: Path | None = None
    """Draw the differences (.svg, .png or .pdf)."""
    force: bool = False
    """Overwrite an existing picture."""

    def run(self) -> int:
        from experiments.pixelgrid.effects import SIGNIFICANCE, effects, sentences, table
        from experiments.pixelgrid.effects_figure import effects_figure
        from experiments.pixelgrid.finals import read_finals
        from mdtheory.report import style

        picture = None if self.picture is None else files.new_picture(self.picture, self.force)
        finals = read_finals(self.table)
        found = {measure: effects(finals, measure) for measure in MEASURES}
        console = Console(width=max(Console().width, 110))
        console.print(_means(finals))
        for measure, word in MEASURES.items():
            level = f"Holm, {SIGNIFICANCE:g} for all games, and for all means of games"
            title = f"{word}: paired differences, * differs from 0 ({level})"
            console.print(table(found[measure], title))
            for line in sentences(found[measure], word):
                console.print(f"{line}\n", highlight=False, soft_wrap=True)
        if picture is not None:
            command = shlex.join(["mdpo", "effects", str(self.table), "--picture", str(picture)])
            style.save(effects_figure(found, MEASURES, command), picture)
            print(f"picture: {picture}")
        return 0


def _means(finals: Sequence[Final]) -> Table:
    """Means with intervals of every policy."""
    from experiments.interval import interval

    table = Table(title="after training, 95 % intervals over seeds", title_justify="left")
    for column in ("game", "algorithm", "policy", "seeds", *MEASURES.values()):
        table.add_column(column, overflow="fold")
    for one in finals:
        cells = [interval(one.values[measure]).compact(3) for measure in MEASURES]
        table.add_row(one.game, one.algorithm, one.policy, str(len(one.seeds)), *cells)
    return table


COMMANDS: dict[str, type[command_line.Command]] = {"finals": Finals, "effects": Effects}
