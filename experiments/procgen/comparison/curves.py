"""What a run's logs say: training returns, evaluations and hours, update by update."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.config import CONFIG_FILE
from experiments.envs.procgen.games import NORMALIZATIONS, Normalization, ReturnRange
from experiments.procgen.checkpoint import EVALUATIONS, LOG, TIMING, read_lines
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.networks import ImpalaActorCritic

LAST = 0.1
"""The final training return is that of the last tenth of the updates."""


class Evaluated(NamedTuple):
    """One line of the evaluations: mean returns, of the agents unless the name says otherwise.

    Names are a split and a mode ("test sampled"), these with "mixture " before, and "official".
    """

    update: int
    means: Mapping[str, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Curves:
    """What a run's logs say.

    episodes [t, agent] that ended in each update and returns [t, agent], their means, nan where
    none ended; hours [t] of rollouts and gradient steps up to the end of each update, nan where not
    timed; machines that timed them, in order of their first update, "" where the log names none.
    """

    name: str
    config: ProcgenConfig
    episodes: np.ndarray
    returns: np.ndarray
    hours: np.ndarray
    machines: tuple[str, ...]
    evaluations: tuple[Evaluated, ...]

    @property
    def done(self) -> int:
        """Updates done."""
        return len(self.hours)

    @property
    def steps_per_agent(self) -> int:
        return self.done * self.config.samples

    @property
    def steps(self) -> int:
        """Environment steps of all agents together."""
        return self.steps_per_agent * self.config.agents

    def mean_return(self, updates: slice) -> float:
        """Over the agents' means over the episodes that ended in these updates; nan if none did."""
        episodes = self.episodes[updates].sum(axis=0)
        total = np.nansum(self.returns[updates] * self.episodes[updates], axis=0)
        some = episodes > 0
        return float(np.mean(total[some] / episodes[some])) if some.any() else math.nan

    @property
    def train_return(self) -> float:
        return self.mean_return(slice(self.done - math.ceil(LAST * self.done), self.done))

    def evaluated(self, name: str) -> float:
        """A mean of the last evaluation that has it, or nan."""
        found = [e.means[name] for e in self.evaluations if name in e.means]
        return found[-1] if found else math.nan

    def evaluated_after(self, name: str) -> int | None:
        """The update of that evaluation."""
        found = [e.update for e in self.evaluations if name in e.means]
        return found[-1] if found else None

    def gap(self, mode: str) -> float:
        """Return on training levels minus that on test levels, of one and the same evaluation."""
        return self.evaluated(f"train {mode}") - self.evaluated(f"test {mode}")

    @property
    def normalized(self) -> float:
        """The sampled test return, 0 at the low and 1 at the high end of the game's range."""
        found = return_range(self.config)
        return math.nan if found is None else found.normalized(self.evaluated("test sampled"))

    @property
    def total_hours(self) -> float:
        return float(self.hours[-1]) if self.done else math.nan

    @property
    def speed(self) -> float:
        """Environment steps of all agents together, a second."""
        return self.steps / (3600 * self.total_hours)

    @property
    def parameters(self) -> int:
        """Weights of all agents' networks."""
        return self.config.agents * _weights(self.config.width)


def input_files(run: Path) -> tuple[Path, ...]:
    """What `load_curves` reads."""
    return tuple(run / name for name in (CONFIG_FILE, LOG, TIMING, EVALUATIONS))


def load_curves(run: Path, until: int | None = None) -> Curves:
    """Read a run's logs, up to the update `until` if given.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: a run of another environment, or a damaged log, naming file and update.
    """
    config = ProcgenConfig.load(run)
    lines = read_lines(run / LOG)[:until]
    if [line["update"] for line in lines] != list(range(1, len(lines) + 1)):
        raise ValueError(f"{run / LOG} must hold the updates 1, 2, 3, ... in this order")
    agents = [_parsed(run / LOG, line, lambda x: _training(x, config)) for line in lines]
    shape = (len(lines), config.agents, 2)
    episodes, returns = np.moveaxis(np.array(agents, dtype=np.float64).reshape(shape), -1, 0)
    seconds = np.full(len(lines), np.nan)
    machines: dict[str, None] = {}
    for line in read_lines(run / TIMING):
        if 1 <= line["update"] <= len(lines):
            spent, machine = _parsed(run / TIMING, line, _timing)
            seconds[line["update"] - 1] = spent
            machines.setdefault(machine)
    evaluations = [
        _parsed(run / EVALUATIONS, line, parse_evaluation)
        for line in read_lines(run / EVALUATIONS)
        if line["update"] <= len(lines)
    ]
    return Curves(
        name=run.name,
        config=config,
        episodes=episodes,
        returns=returns,
        hours=seconds.cumsum() / 3600,
        machines=tuple(machines),
        evaluations=tuple(evaluations),
    )


def parse_evaluation(line: Mapping[str, Any]) -> Evaluated:
    """One line of evaluations.jsonl, as `TrainingEvaluations.line` writes it.

    Raises:
        ValueError: a mean is not finite, naming its policy and value.
    """
    by_policy = line.get("unbiased", {"policies": {}})["policies"]
    by_name: dict[str, list[float]] = {}
    for policy, by_mode in by_policy.items():
        before = "" if policy.startswith("agent ") else f"{policy} "
        for mode, by_split in by_mode.items():
            for split, result in by_split.items():
                mean = _finite(f"{policy}, {split} {mode}, mean", result["mean"])
                by_name.setdefault(f"{before}{split} {mode}", []).append(mean)
    for policy, result in line.get("official", {}).items():
        mean = _finite(f"{policy}, official, mean", result["mean"])
        by_name.setdefault("official", []).append(mean)
    return Evaluated(line["update"], {name: float(np.mean(x)) for name, x in by_name.items()})


def _training(line: Mapping[str, Any], config: ProcgenConfig) -> list[tuple[float, float]]:
    """Episodes and mean return of each agent."""
    agents = [
        (
            _finite(f"agent {k}, episodes", a["episodes"]),
            math.nan if a["return"] is None else _finite(f"agent {k}, return", a["return"]),
        )
        for k, a in enumerate(line["agents"])
    ]
    if len(agents) != config.agents:
        raise ValueError
    return agents


def _timing(line: Mapping[str, Any]) -> tuple[float, str]:
    """Seconds of an update, and the machine if its line names one."""
    machine = line.get("machine", "")
    if not isinstance(machine, str):
        raise ValueError
    return line["rollout_s"] + line["learn_s"], machine


class _NotFiniteError(ValueError):
    """What a line holds in place of a finite number."""


def _finite(name: str, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise _NotFiniteError(f"{name} must be finite, got {number}")
    return number


def _parsed(path: Path, line: Mapping[str, Any], parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(line)
    except _NotFiniteError as error:
        raise ValueError(f"{path}, the line of update {line['update']}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        message = f"{path}: the line of update {line['update']} is not as this version writes it"
        raise ValueError(message) from None


def return_range(
    config: ProcgenConfig, normalization: Normalization = "train-procgen"
) -> ReturnRange | None:
    """Returns of a trivial and of a perfect policy in the run's game and mode, where known."""
    return NORMALIZATIONS[normalization].get(config.distribution_mode, {}).get(config.game)


@functools.cache
def _weights(width: int) -> int:
    return sum(p.numel() for p in ImpalaActorCritic(width=width).parameters())
