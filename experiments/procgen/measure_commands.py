"""What `mdpo` measures of trained policies on the same states in other pictures (Procgen)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console

from experiments.envs.procgen.renderings import default_family, parse_all, strength_family
from experiments.procgen.config import ProcgenConfig
from mdtheory import command_line, files

if TYPE_CHECKING:
    from experiments.procgen.policy import Policy
    from experiments.procgen.robustness import Plan, Robustness

Show = Callable[[str, float], None]
_WIDTH = 140
"""Characters that the tables need."""

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional]


@dataclass(frozen=True)
class Played:
    """What is played; the same settings find again what was measured before."""

    renderings: tuple[str, ...] = ()
    """Renderings beside those trained on, such as monochrome or hue=0.1 (`mdpo renderings` lists
    them); by default one or two of each kind that changes something in the game."""
    strengths: bool = False
    """Add transformations of the pixels in all strengths, from mild to strong."""
    levels: int = 16
    """Levels, each played once under every rendering."""
    train: bool = False
    """Play levels that the run was trained on instead of test levels."""
    mixture: bool = True
    """Measure the mixture of a run's agents too, if there are several."""
    seed: int = 0
    """Of the choice of levels and of the actions."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are."""

    def plan(self, config: ProcgenConfig) -> Plan:
        """What is played of a run.

        Raises:
            ValueError: naming the flag and its value.
        """
        from experiments.procgen.evaluate import MOST, require_whole, sample_levels
        from experiments.procgen.robustness import Plan

        require_whole("levels", self.levels, 1, MOST)
        require_whole("seed", self.seed, 0, 2**31 - 1)
        game, train = config.game, config.seen_renderings
        chosen = parse_all(self.renderings, game) if self.renderings else default_family(game)
        strong = strength_family() if self.strengths else ()
        levels = config.levels.train if self.train else config.levels.test
        return Plan(
            levels=tuple(sample_levels(levels, self.levels, self.seed)),
            renderings=tuple(dict.fromkeys((*train, *chosen, *strong))),
            train=train,
            discount=config.discount,
            seed=self.seed,
        )

    def policies(self, run: Path) -> list[Policy]:
        """A run's agents, and their mixture if there are several."""
        from experiments.procgen.evaluate import load_on
        from experiments.procgen.policy import mixture

        agents = load_on(run, self.device)
        return [*agents, mixture(agents)] if self.mixture and len(agents) > 1 else agents

    def measure(self, run: Path, show: Show) -> Robustness:
        """What is measured of a run already, and the rest."""
        from experiments.procgen.robustness import measure_robustness, measured_folder

        policies = self.policies(run)
        plan = self.plan(policies[0].config)
        return measure_robustness(policies, plan, measured_folder(run), on_progress=show)


_Played = Annotated[Played, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class RobustnessCommand:
    """Measure how differently a run's policies act when the same states look different (Procgen).

    What was measured is kept in RUN/measured (or FILE.measured); calling it again goes on where it
    was stopped.
    """

    runs: Runs
    """Folders written by `mdpo train`, or files of `mdpo export`."""
    picture: Path | None = None
    """Draw mean R and return under each rendering (.svg, .png or .pdf); runs of one game only."""
    strength_picture: Path | None = None
    """Draw the same against the strength of each transformation, for --strengths."""
    force: bool = False
    """Overwrite existing pictures."""
    played: _Played = field(default_factory=Played)

    def run(self) -> int:
        from experiments.procgen import robustness_figure, robustness_summary

        names = run_names(self.runs)
        pictures = [
            None if path is None else files.new_picture(path, self.force)
            for path in (self.picture, self.strength_picture)
        ]
        if self.strength_picture is not None and not self.played.strengths:
            raise ValueError("--strength-picture needs --strengths")
        found = {}
        with command_line.progress() as show:
            for name, run, part in each(names, self.runs, show):
                found[name] = self.played.measure(run, part)
        console = Console(width=max(Console().width, _WIDTH))
        for name, measured in found.items():
            for table in robustness_summary.tables(measured, name):
                console.print(table)
        games = {measured.config.game for measured in found.values()}
        if any(pictures) and len(games) > 1:
            raise ValueError(f"a picture needs runs of one game, got {', '.join(sorted(games))}")
        policies = {
            f"{name}, {policy}": [r for r in robustness_summary.summarise(m) if r.policy == policy]
            for name, m in found.items()
            for policy in m.plays
        }
        for path, draw in zip(
            pictures,
            (robustness_figure.rendering_figure, robustness_figure.strength_figure),
            strict=True,
        ):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                n_levels = len(next(iter(found.values())).plan.levels)
                draw(policies, *games, n_levels, command=self.command()).savefig(path)
                print(f"picture: {path}")
        return 0

    def command(self) -> str:
        """What repeats the measurement."""
        return command_of("robustness", self.runs, self.played)


def command_of(name: str, runs: tuple[Path, ...], played: Played) -> str:
    """The command with the settings that are not the default."""
    from experiments.config import changed_flags

    return shlex.join(["mdpo", name, *map(str, runs), *changed_flags(played, Played())])


def run_names(runs: tuple[Path, ...]) -> list[str]:
    """Different names of runs, for tables and pictures.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("give at least one run, a folder written by `mdpo train`")
    names = [run.stem if run.is_file() else run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def each(names: list[str], runs: tuple[Path, ...], show: Show) -> Iterator[tuple[str, Path, Show]]:
    """Names, runs, and how each shows its share of the progress."""
    for i, (name, run) in enumerate(zip(names, runs, strict=True)):

        def part(text: str, share: float, i: int = i, name: str = name) -> None:
            show(f"{name}, {text}", (i + share) / len(runs))

        yield name, run, part


COMMANDS: dict[str, type[command_line.Command]] = {"robustness": RobustnessCommand}
