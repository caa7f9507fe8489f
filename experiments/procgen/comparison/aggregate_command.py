"""`mdpo aggregate`: many games, few seeds, one table; each field is a flag."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.config import CONFIG_FILE
from experiments.procgen.outputs import require_apart, wide_console
from mdtheory import files


@dataclass(frozen=True)
class Aggregate:
    """Aggregate normalised returns over games, with bootstrap intervals (Procgen, or any scores).

    Runs that differ in seed and game alone are one algorithm.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders written by `mdpo train`."""
    scores: Path | None = None
    """A CSV file with the columns algorithm, game, seed and score: returns of anybody's runs."""
    normalization: Literal["train-procgen", "procgen-paper", "none"] = "train-procgen"
    """Which returns are 0 and 1: constants.py of openai/train-procgen; the Procgen paper's
    appendix (other lows of easy jumper and leaper); or none, scores of a file as they are."""
    mode: Literal["easy", "hard"] | None = None
    """The mode that --scores are of; runs know theirs."""
    split: Literal["test", "train"] = "test"
    """Take the runs' last evaluation, with sampled actions, on these levels; of --scores, what they
    are of."""
    until: int | None = None
    """Look at the runs as they were after this many updates."""
    level: float = 0.95
    """Of the intervals."""
    resamples: int = 2000
    """How often the bootstrap draws the runs of each game again."""
    seed: int = 0
    """Of the bootstrap."""
    picture: Path | None = None
    """Draw aggregates, every run, profiles and probabilities of improvement (.svg, .png or
    .pdf)."""
    output: Path | None = None
    """Write every number to this new file (.json)."""
    force: bool = False
    """Overwrite an existing picture and file."""

    def run(self) -> int:
        from experiments.procgen.comparison.aggregate import Settings
        from experiments.procgen.comparison.aggregate_figure import aggregate_figure
        from experiments.procgen.comparison.aggregate_runs import aggregate
        from experiments.procgen.comparison.aggregate_tables import tables, to_json
        from mdtheory.report import style

        self._require_new_files()
        settings = Settings(
            mode=self.mode or "",
            normalization=self.normalization,
            split=self.split,
            level=self.level,
            resamples=self.resamples,
            seed=self.seed,
        )
        found = aggregate(
            self.runs, self.scores, settings, until=self.until, command=self._command()
        )
        console = wide_console(120)
        for table in tables(found):
            console.print(table)
        for sentence in found.sentences:
            console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        if self.output is not None:
            content = json.dumps(to_json(found), indent=1, allow_nan=False)
            files.write_atomically(self.output, content.encode())
            print(f"numbers: {self.output}")
        if self.picture is not None:
            style.save(aggregate_figure(found), self.picture)
            print(f"picture: {self.picture}")
        return 0

    def _require_new_files(self) -> None:
        """Neither file is read, both are different, and nothing is overwritten without --force."""
        read = [run / CONFIG_FILE for run in self.runs]
        if self.scores is not None:
            read.append(self.scores)
        require_apart(read, {"--output": self.output, "--picture": self.picture})
        if self.picture is not None:
            files.new_picture(self.picture, self.force)
        if self.output is not None:
            if self.output.suffix != ".json":
                raise ValueError(f"--output must end in .json, got {self.output}")
            files.new_file(self.output, force=self.force)

    def _command(self) -> str:
        """The shortest command that repeats the numbers."""
        words = ["mdpo", "aggregate", *map(str, self.runs)]
        defaults = Aggregate()
        for name in (
            "scores", "normalization", "mode", "split", "until", "level", "resamples", "seed",
        ):  # fmt: skip
            if getattr(self, name) != getattr(defaults, name):
                words += [f"--{name}", str(getattr(self, name))]
        picture = [] if self.picture is None else ["--picture", self.picture.name]
        return shlex.join([*words, *picture])
