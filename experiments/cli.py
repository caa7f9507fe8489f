"""`mdpo`: train, resume, sweep, report, the chain of bounds, and a demonstration of all."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.markup import escape

from experiments.config import CONFIG_FILE, other_settings, require_runs
from experiments.pixelgrid import commands as pixelgrid_commands
from experiments.pixelgrid.config import TrainConfig
from experiments.procgen import commands
from experiments.procgen.config import PREFIX, ProcgenConfig
from experiments.procgen.measures.report_command import ReportProcgen
from experiments.sweep.command import SweepCommand
from mdtheory import command_line, files
from mdtheory.progress import progress
from mdtheory.report import GENERATOR

if TYPE_CHECKING:
    from mdtheory.shrinkage.training import Study


@dataclass(frozen=True)
class Train:
    """Train PPO or mutual distillation; many seeds at once."""

    output: Path = Path("runs/pixelgrid")
    """Folder of the new run, not there yet or empty."""
    force: bool = False
    """Replace an existing output folder, if it holds a run."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)

    def run(self) -> int:
        from experiments.pixelgrid.train import train

        train(self.config, files.new_folder(self.output, force=self.force, marker=CONFIG_FILE))
        return 0


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, to the same result as if it had not been."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run", metavar="RUN")]
    """Folder written by `mdpo train`."""
    wandb: str = ""
    """Log to this project of Weights & Biases too (extra `wandb`); Procgen only."""

    def run(self) -> int:
        if is_procgen(self.run_folder):
            commands.train_run(
                ProcgenConfig.load(self.run_folder), self.run_folder, wandb=self.wandb
            )
            return 0
        from experiments.pixelgrid.train import train

        train(TrainConfig.load(self.run_folder), self.run_folder)
        return 0


@dataclass(frozen=True)
class Report:
    """Audit runs and write one self-contained HTML page."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders written by `mdpo train`; runs that share seeds are compared in pairs."""
    output: Path | None = None
    """The page; by default report.html in the first run's folder."""
    force: bool = False
    """Overwrite an existing page."""
    shrinkage: bool = False
    """Train the agents of `mdtheory demo shrinkage` too and show them (half a minute)."""

    def run(self) -> int:
        require_runs(self.runs)
        path = files.new_file(self.output or self.runs[0] / "report.html", force=self.force)
        _write_report(self.runs, path, shrinkage=self.shrinkage)
        return 0


@dataclass(frozen=True)
class Chain:
    """Print, for trained agents, each bound from the distillation loss to the gap."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders written by `mdpo train`, of two or more agents each."""
    picture: Path | None = None
    """Draw the chain (.svg, .png or .pdf)."""
    force: bool = False
    """Overwrite an existing picture."""

    def run(self) -> int:
        from experiments.pixelgrid import chain, chain_words
        from experiments.pixelgrid.figures import chain_figure
        from mdtheory.report import style

        require_runs(self.runs)
        picture = None if self.picture is None else files.new_picture(self.picture, self.force)
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names):
            names = [str(run) for run in self.runs]
        pairs = zip(self.runs, names, strict=True)
        chains = [chain.chain_of(run, name=name) for run, name in pairs]
        if picture is not None:
            style.save(chain_figure(chains), picture)
        console = Console()
        console.print(chain_words.terminal_table(chains))
        for text in (chain_words.CAPTION, *chain_words.sentences(chains)):
            console.print(f"{escape(text)}\n", highlight=False)
        return 1 if any(c.violations for c in chains) else 0


@dataclass(frozen=True)
class Demo:
    """Everything on one page: toys, shrinkage, PPO, mutual distillation, a compute-matched control.

    Calling it again goes on where it was stopped, and only writes the page anew when all is done.
    """

    output: Path = Path("runs/demo")
    """Folder for the runs and the page."""
    seeds: int = 32
    """Seeds per algorithm."""
    updates: int = 120
    """Updates per run."""

    def run(self) -> int:
        from experiments.pixelgrid.train import train

        runs = []
        for name, config in demo_configs(self.seeds, self.updates).items():
            run = self.output / name
            if (run / CONFIG_FILE).exists() and (found := TrainConfig.load(run)) != config:
                raise FileExistsError(other_settings(run, found, config))
            train(config, run)
            runs.append(run)
        page = self.output / "index.html"
        if page.exists() and GENERATOR not in page.read_text(encoding="utf-8", errors="replace"):
            raise FileExistsError(f"{page} exists and is no page of mdpo: choose another --output")
        _write_report(runs, page, shrinkage=True)
        return 0


def demo_configs(seeds: int, updates: int) -> dict[str, TrainConfig]:
    """Baseline, mutual distillation, and one agent with the steps of two."""
    distilled = TrainConfig(seeds=seeds, updates=updates, evaluate_every=max(1, updates // 20))
    independent = dataclasses.replace(distilled, distill_coef=0.0)
    single = dataclasses.replace(independent, agents=1, n_envs=2 * distilled.n_envs)
    return {"ppo": independent, "mdpo": distilled, "ppo-2x-steps": single}


def _write_report(runs: Sequence[Path], path: Path, *, shrinkage: bool) -> None:
    from experiments.pixelgrid.report import build_page

    page, tables = build_page(runs, _study() if shrinkage else None)
    files.write_atomically(path, page.encode())
    console = Console()
    for table in tables:
        console.print(table)
    print(f"page: {path}")


def _study() -> Study:
    from mdtheory.shrinkage import training

    with progress() as show:
        return training.study(on_progress=show)


COMMANDS: dict[str, type[command_line.Command]] = {
    "train": Train,
    "resume": Resume,
    "report": Report,
    "chain": Chain,
    "demo": Demo,
    "sweep": SweepCommand,
    **pixelgrid_commands.COMMANDS,
    **commands.COMMANDS,
}


def commands_for(arguments: Sequence[str]) -> dict[str, type[command_line.Command]]:
    """All commands; `train` and `report` have the flags of the environment among the arguments."""
    if list(arguments[:1]) == ["report"] and _reports_procgen(arguments):
        return {**COMMANDS, "report": ReportProcgen}
    trains = list(arguments[:1]) == ["train"]
    if not trains or not commands.value_of(arguments, "--env", "").startswith(PREFIX):
        return COMMANDS
    return {**COMMANDS, "train": commands.train_command(arguments)}


def _reports_procgen(arguments: Sequence[str]) -> bool:
    """Whether the runs among the arguments of `report` are on Procgen.

    Raises:
        ValueError: some are, and some are not.
    """
    kinds: dict[bool, str] = {}
    for before, argument in itertools.pairwise(arguments):
        run = Path(argument)
        if before != "--output" and (run.is_file() or (run / CONFIG_FILE).is_file()):
            kinds.setdefault(run.is_file() or is_procgen(run), argument)
    if len(kinds) > 1:
        raise ValueError(
            "a page needs runs on Procgen alone or on the pixel grid alone, got both:"
            f" {kinds[True]} and {kinds[False]}"
        )
    return True in kinds


def is_procgen(run: Path) -> bool:
    """Whether a run's configuration names a game of Procgen; a folder without one is no run."""
    path = run / CONFIG_FILE
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and str(content.get("env", "")).startswith(PREFIX)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    description = "Mutual distillation from pixels, audited by the theory."
    return command_line.run("mdpo", description, commands_for, arguments)


if __name__ == "__main__":
    sys.exit(main())
