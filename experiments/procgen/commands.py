"""What `mdpo` does on Procgen; each field is a flag and the text under it is the flag's help."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from experiments.config import CONFIG_FILE, require_runs
from experiments.procgen.comparison.aggregate_command import Aggregate
from experiments.procgen.comparison.compute_command import Compute
from experiments.procgen.comparison.figure_command import Figure
from experiments.procgen.config import ProcgenConfig, configure
from experiments.procgen.measures import measure_commands
from experiments.procgen.outputs import wide_console
from mdtheory import command_line, files
from mdtheory.progress import OnProgress, progress

Preset = Literal["paper", "easy", "smoke"]


@dataclass(frozen=True)
class TrainProcgen:
    """Train PPO or mutual distillation on a game of Procgen."""

    output: Path | None = None
    """Folder of the new run, which must not exist; by default runs/ and a name that says game,
    preset, algorithm and seed."""
    preset: Preset = "paper"
    """How much: the paper's protocol (hard, 500 levels, 50M steps per agent), easy mode (200
    levels, 25M steps), or two minutes to see that all works. Other flags change single settings."""
    algorithm: Literal[
        "mdpo",
        "ppo",
        "ppo-l2",
        "ppo-dropout",
        "ppo-2x-steps",
        "ppo-2x-width",
        "ppo-ensemble",
        "ppo-average",
    ] = "mdpo"
    """What: mutual distillation, PPO, PPO with L2 or dropout, one agent with the steps or the width
    of two, two independent agents, or PPO distilled from a moving average of itself."""
    force: bool = False
    """Replace an existing output folder, if it holds a run."""
    wandb: str = ""
    """Log to this project of Weights & Biases too (extra `wandb`)."""
    config: Annotated[ProcgenConfig, tyro.conf.arg(name="")] = field(default_factory=ProcgenConfig)

    def run(self) -> int:
        name = f"{self.config.game}-{self.preset}-{self.algorithm}-seed{self.config.seed}"
        output = self.output or Path("runs") / name
        _require_engine(self.config)
        run = files.new_folder(output, force=self.force, marker=CONFIG_FILE)
        train_run(self.config, run, wandb=self.wandb)
        return 0


_Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Evaluate:
    """Play a run's agents on training and test levels, every episode to its end (Procgen)."""

    run_folder: _Run
    """Folder written by `mdpo train`, or a file of `mdpo export`."""
    levels: int = 100
    """Levels of each kind; training levels are all taken if there are no more."""
    episodes: int = 1
    """Episodes with sampled actions on each level; greedy ones are always one."""
    official: bool = False
    """Show instead what the official protocol (the first ten episodes to finish) would have said
    of the same policies, and by how much it is off."""
    repetitions: int = 20
    """How often --official repeats the official protocol."""
    seed: int = 0
    """Of the choice of levels and of the actions."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are."""
    output: Path | None = None
    """Write every episode's level, return and length to this new JSON file."""

    def run(self) -> int:
        if self.output is not None:
            files.new_file(self.output, force=False)
        with progress() as show:
            tables, content = self._official(show) if self.official else self._unbiased(show)
        for table in tables:
            wide_console(100).print(table)
        if self.output is not None:
            files.write_atomically(self.output, json.dumps(content).encode())
        return 0

    def _unbiased(self, show: OnProgress) -> tuple[list[Table], Any]:
        from experiments.procgen.evaluate import evaluate_run

        found = evaluate_run(
            self.run_folder,
            n_levels=self.levels,
            episodes_per_level=self.episodes,
            seed=self.seed,
            device=self.device,
            on_progress=show,
        )
        return [found.table()], found.to_json()

    def _official(self, show: OnProgress) -> tuple[list[Table], Any]:
        from experiments.procgen.official import compare_protocols_of_run

        found = compare_protocols_of_run(
            self.run_folder,
            n_levels=self.levels,
            episodes_per_level=self.episodes,
            seed=self.seed,
            repetitions=self.repetitions,
            device=self.device,
            on_progress=show,
        )
        return [one.table() for one in found], [one.to_json() for one in found]


@dataclass(frozen=True)
class Watch:
    """Film an agent at play, with the action probabilities of all agents beside it (Procgen)."""

    run_folder: _Run
    """Folder written by `mdpo train`, or a file of `mdpo export`."""
    output: Path | None = None
    """The video, .mp4 or .gif; by default RUN/watch.mp4."""
    agent: int = 0
    """Who acts."""
    level: int | None = None
    """The level to play; by default each episode draws one."""
    train: bool = False
    """Draw levels that the run was trained on instead of test levels."""
    episodes: int = 1
    """Episodes to film."""
    max_steps: int = 900
    """Cut an episode after so many steps; 15 are a second."""
    seed: int = 0
    """Of the levels drawn and of the actions sampled."""
    greedy: bool = False
    """Take the likeliest action instead of sampling."""
    force: bool = False
    """Overwrite an existing video."""

    def run(self) -> int:
        from experiments.procgen.watch import watch

        output = self.output or self.run_folder / "watch.mp4"
        with progress() as show:
            result = watch(
                self.run_folder,
                output,
                agent=self.agent,
                level=self.level,
                episodes=self.episodes,
                max_steps=self.max_steps,
                seed=self.seed,
                greedy=self.greedy,
                held_out=not self.train,
                force=self.force,
                on_progress=show,
            )
        for played in result.episodes:
            kind = "test" if played.held_out else "training"
            print(
                f"{kind} level {played.level}: return {played.episode_return:g} in {played.steps}"
                f" steps, {played.end}"
            )
        print(f"video: {result.path}")
        return 0


@dataclass(frozen=True)
class Compare:
    """Put runs side by side: returns, gaps, steps, parameters and hours, with intervals (Procgen).

    Runs that differ in their seed only are repetitions of one algorithm.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders written by `mdpo train`."""
    until: int | None = None
    """Look at the runs as they were after this many updates, for instance the last that all have
    been evaluated after."""
    picture: Path | None = None
    """Draw the learning curves (.svg, .png or .pdf)."""
    force: bool = False
    """Overwrite an existing picture."""

    def run(self) -> int:
        from experiments.procgen.comparison import compare
        from experiments.procgen.comparison.compare_figure import compare_figure
        from mdtheory.report import style

        require_runs(self.runs)
        picture = None if self.picture is None else files.new_picture(self.picture, self.force)
        comparison = compare.compare(self.runs, self.until)
        console = wide_console(120)
        for table in compare.tables(comparison):
            console.print(table)
        for note in comparison.notes:
            console.print(note, markup=False, highlight=False)
        if picture is not None:
            style.save(compare_figure(comparison), picture)
            print(f"picture: {picture}")
        return 0


@dataclass(frozen=True)
class Export:
    """Write the weights of a run's agents to one file, without optimizer and games (Procgen)."""

    run_folder: _Run
    """Folder written by `mdpo train`."""
    output: Path | None = None
    """The file; by default RUN/policy.safetensors."""
    force: bool = False
    """Overwrite an existing file."""

    def run(self) -> int:
        from experiments.procgen.policy import export

        output = self.output or self.run_folder / "policy.safetensors"
        export(self.run_folder, files.new_file(output, force=self.force))
        print(f"weights: {output}")
        return 0


@dataclass(frozen=True)
class Levels:
    """Count the test levels that repeat a training level (Procgen)."""

    env: str = "procgen:maze"
    """procgen: and one of the sixteen games."""
    preset: Preset = "paper"
    """Which mode and how many training levels."""
    test: int = 2000
    """Test levels to sample."""
    seed: int = 0
    """Of the sample."""

    def run(self) -> int:
        from experiments.envs.procgen.duplicates import duplicates_between

        config = configure(self.env, self.preset)
        report = duplicates_between(
            config.game, config.levels, self.test, seed=self.seed, options=config.options
        )
        low, high = report.interval
        print(
            f"{config.game}, {config.distribution_mode}: {len(report.pairs)} of {report.n_test}"
            f" test levels repeat one of {report.n_train} training levels, {report.share:.2%} (95 %"
            f" interval {low:.2%} to {high:.2%}); {report.n_train_repeated} training levels repeat"
            " an earlier one"
        )
        for test, train in report.pairs:
            print(f"  test level {test} is training level {train}")
        return 0


@dataclass(frozen=True)
class Renderings:
    """List the renderings of a game, and draw the same states in all of them (Procgen)."""

    env: str = "procgen:coinrun"
    """procgen: and one of the sixteen games."""
    preset: Preset = "easy"
    """Which mode: paper is hard, the others are easy."""
    picture: Path | None = None
    """Draw states in all renderings (.svg, .png or .pdf)."""
    levels: int = 4
    """States to draw, each of another level."""
    seed: int = 0
    """Of the levels and of the random steps to the states."""
    force: bool = False
    """Overwrite an existing picture."""

    def run(self) -> int:
        from experiments.procgen import montage
        from mdtheory.report import style

        config = configure(self.env, self.preset)
        table = montage.renderings_table(config.game, config.distribution_mode)
        if self.picture is None:
            wide_console(100).print(table)
            return 0
        picture = files.new_picture(self.picture, self.force)
        found = montage.montage(config.game, config.options, levels=self.levels, seed=self.seed)
        style.save(montage.montage_figure(found, self._command(picture)), picture)
        wide_console(100).print(table)
        print(f"picture: {picture}")
        return 0

    def _command(self, picture: Path) -> str:
        """The shortest command that repeats the picture."""
        defaults = Renderings()
        flags = ["--env", self.env]
        for name in ("preset", "levels", "seed"):
            if getattr(self, name) != getattr(defaults, name):
                flags += [f"--{name}", str(getattr(self, name))]
        return shlex.join(["mdpo", "renderings", *flags, "--picture", picture.name])


COMMANDS: dict[str, type[command_line.Command]] = {
    **measure_commands.COMMANDS,
    "evaluate": Evaluate,
    "watch": Watch,
    "compare": Compare,
    "aggregate": Aggregate,
    "compute": Compute,
    "figure": Figure,
    "export": Export,
    "levels": Levels,
    "renderings": Renderings,
}


def train_command(arguments: Sequence[str]) -> type[TrainProcgen]:
    """`mdpo train` whose defaults are those of the preset and algorithm among the arguments.

    Raises:
        ValueError: an unknown game, preset or algorithm.
    """
    chosen = {
        name: value_of(arguments, f"--{name}", default)
        for name, default in (("env", ""), ("preset", "paper"), ("algorithm", "mdpo"))
    }
    config = configure(**chosen)
    return dataclasses.make_dataclass(
        "TrainProcgen",
        [("config", Annotated[ProcgenConfig, tyro.conf.arg(name="")], field(default=config))],
        bases=(TrainProcgen,),
        frozen=True,
        namespace={"__doc__": TrainProcgen.__doc__},
    )


def _require_engine(config: ProcgenConfig) -> None:
    """Raise for a missing package, library or GPU before a folder is made."""
    from experiments.envs.procgen.libenv import load_library
    from experiments.procgen.learner import pick_device

    load_library()
    pick_device(config)


def train_run(config: ProcgenConfig, run: Path, *, wandb: str = "") -> None:
    """Train, or go on; whatever stops it says how to go on."""
    from experiments.procgen.train import train

    with _hint(run), _weights_and_biases(wandb, config, run):
        train(config, run)
    print(f"done: {run}; now `mdpo evaluate {run}` or `mdpo watch {run}`")


def value_of(arguments: Sequence[str], flag: str, default: str) -> str:
    """What a flag is given last, as `--flag value` or `--flag=value`."""
    value = default
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == flag:
            value = following
        elif argument.startswith(f"{flag}="):
            value = argument.removeprefix(f"{flag}=")
    return value


@contextmanager
def _hint(run: Path) -> Iterator[None]:
    """Say how to go on after whatever stopped a run."""
    from experiments.procgen.checkpoint import CHECKPOINT

    def go_on() -> str:
        whole = "the last checkpoint is whole: " if (run / CHECKPOINT).is_file() else ""
        return f"{whole}go on with `mdpo resume {run}`"

    try:
        yield
    except KeyboardInterrupt:
        print(go_on(), file=sys.stderr)
        raise
    except ArithmeticError as error:
        raise ArithmeticError(f"{error}; {run} keeps the last checkpoint before") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OSError(f"{where}{error.strerror or error}; {go_on()}") from error


@contextmanager
def _weights_and_biases(project: str, config: ProcgenConfig, run: Path) -> Iterator[None]:
    """Mirror TensorBoard's scalars to Weights & Biases, if a project is named."""
    if not project:
        yield
        return
    import wandb

    settings = dataclasses.asdict(config)
    session = wandb.init(
        project=project, name=run.name, dir=run, config=settings, sync_tensorboard=True
    )
    try:
        yield
    finally:
        session.finish()
