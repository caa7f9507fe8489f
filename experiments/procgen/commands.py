"""What `mdpo` does on Procgen; each field is a flag and the text under it is the flag's help."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.config import CONFIG_FILE
from experiments.procgen.config import ProcgenConfig, configure
from mdtheory import files


@dataclass(frozen=True)
class TrainProcgen:
    """Train PPO or mutual distillation on a game of Procgen."""

    output: Path | None = None
    """Folder of the new run, which must not exist; by default runs/ and a name that says game,
    preset, algorithm and seed."""
    preset: Literal["paper", "easy", "smoke"] = "paper"
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


def train_command(arguments: Sequence[str]) -> type[TrainProcgen]:
    """`mdpo train` whose defaults are those of the preset and algorithm among the arguments.

    Raises:
        ValueError: an unknown game, preset or algorithm.
    """
    chosen = {
        name: _value(arguments, f"--{name}", default)
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
    from experiments.procgen.train import pick_device

    load_library()
    pick_device(config)


def train_run(config: ProcgenConfig, run: Path, *, wandb: str = "") -> None:
    """Train, or go on; whatever stops it says how to go on."""
    from experiments.procgen.train import train

    with _hint(run), _weights_and_biases(wandb, config, run):
        train(config, run)
    print(f"done: {run}; now `mdpo evaluate {run}` or `mdpo watch {run}`")


def _value(arguments: Sequence[str], flag: str, default: str) -> str:
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
    go_on = f"the last checkpoint is whole: go on with `mdpo resume {run}`"
    try:
        yield
    except KeyboardInterrupt:
        print(go_on, file=sys.stderr)
        raise
    except ArithmeticError as error:
        raise ArithmeticError(f"{error}; {run} keeps the last checkpoint before") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OSError(f"{where}{error.strerror or error}; {go_on}") from error


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
