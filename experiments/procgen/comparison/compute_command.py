"""`mdpo compute`: algorithms at the same steps, the same hours and their numbers of parameters."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.config import require_runs
from experiments.envs.procgen.games import Normalization
from experiments.procgen.outputs import wide_console
from mdtheory import files


@dataclass(frozen=True)
class Compute:
    """Compare algorithms at matched environment steps, wall-clock hours and parameters (Procgen).

    Runs of one mode and set of training levels; several games are normalised and aggregated.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders written by `mdpo train`; runs that differ in game and seed only are one algorithm."""
    normalization: Normalization = "train-procgen"
    """Which returns of several games are 0 and 1: constants.py of openai/train-procgen, or the
    Procgen paper's appendix (other lows of easy jumper and leaper)."""
    picture: Path | None = None
    """Draw test returns against steps, hours and parameters (.svg, .png or .pdf)."""
    force: bool = False
    """Overwrite an existing picture."""

    def run(self) -> int:
        from experiments.procgen.comparison.compute import find_matched
        from experiments.procgen.comparison.compute_figure import compute_figure
        from experiments.procgen.comparison.compute_words import sentences, table
        from mdtheory.report import style

        require_runs(self.runs)
        picture = None if self.picture is None else files.new_picture(self.picture, self.force)
        matched = find_matched(self.runs, self.normalization)
        console = wide_console(120)
        console.print(table(matched))
        for sentence in (*sentences(matched), *matched.notes):
            console.print(sentence, markup=False, highlight=False)
        if picture is not None:
            style.save(compute_figure(matched, self.command()), picture)
            print(f"picture: {picture}")
        return 0

    def command(self) -> str:
        """The command that repeats the picture."""
        name = self.picture.name if self.picture else "compute.png"
        words = ["mdpo", "compute", *map(str, self.runs)]
        if self.normalization != Compute.normalization:
            words += ["--normalization", self.normalization]
        return shlex.join([*words, "--picture", name])
