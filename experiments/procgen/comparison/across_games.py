"""Algorithms over several games: one name for runs that differ in game and seed only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.config import PPOConfig
from experiments.envs.procgen.levels import LevelSet
from experiments.procgen.comparison.compare import algorithm_key, labels
from experiments.procgen.comparison.curves import Curves
from experiments.procgen.config import ProcgenConfig
from mdtheory.report import style

_SAMPLED = "test sampled"


@dataclass(frozen=True, eq=False)
class Algorithm:
    """Runs that differ in game and seed only; of each game in the order of seeds."""

    label: str
    colour: str
    games: dict[str, tuple[Curves, ...]]

    @property
    def config(self) -> ProcgenConfig:
        """Of the first run."""
        return self.runs[0].config

    @property
    def runs(self) -> list[Curves]:
        return [run for runs in self.games.values() for run in runs]

    @property
    def agents(self) -> int:
        return self.config.agents


def find_algorithms(runs: Iterable[Curves], levels: LevelSet) -> list[Algorithm]:
    """Group runs of one mode; the names of those not trained on `levels` say on which."""
    found: dict[tuple[str, LevelSet], list[Curves]] = {}
    for run in runs:
        key = algorithm_key(_usual(run.config, levels)), run.config.levels.train
        found.setdefault(key, []).append(run)
    members = list(found.values())
    names = labels([_usual(runs[0].config, levels) for runs in members])
    return [
        Algorithm(
            name + _on(runs[0], levels),
            style.RUN_COLOURS[i % len(style.RUN_COLOURS)],
            _by_game(runs),
        )
        for i, (name, runs) in enumerate(zip(names, members, strict=True))
    ]


def require_one_protocol(runs: Sequence[Curves]) -> None:
    """Raise ValueError unless all runs have one mode and were trained on the same levels."""
    for run in runs:
        for name in ("distribution_mode", "train_levels", "first_level"):
            values = [getattr(of.config, name) for of in (runs[0], run)]
            if values[0] != values[1]:
                raise ValueError(
                    f"runs must have the same {name}, got {values[0]} in {runs[0].name} and"
                    f" {values[1]} in {run.name}"
                )


def _usual(config: ProcgenConfig, levels: LevelSet) -> ProcgenConfig:
    """The same settings on one game, mode and set of levels; coinrun has the most images."""
    return dataclasses.replace(
        config,
        env="procgen:coinrun",
        distribution_mode="hard",
        first_level=levels.first,
        train_levels=len(levels),
    )


def _on(run: Curves, levels: LevelSet) -> str:
    train = run.config.levels.train
    return "" if train == levels else f", trained on levels {train.first} to {train.end - 1}"


def _by_game(runs: Sequence[Curves]) -> dict[str, tuple[Curves, ...]]:
    games = sorted({run.config.game for run in runs})
    return {
        game: tuple(sorted((r for r in runs if r.config.game == game), key=lambda r: r.config.seed))
        for game in games
    }


def departures(config: ProcgenConfig) -> str:
    """Settings of PPO that differ from the paper's, which are those of the published curves too."""
    official = ProcgenConfig()
    names = [field.name for field in dataclasses.fields(PPOConfig)]
    names = [name for name in names if name not in ("agents", "distill_coef")] + [*_MORE]
    return ", ".join(
        f"{name} {getattr(config, name)}"
        for name in names
        if getattr(config, name) != getattr(official, name)
    )


_MORE = ("discount", "normalize_rewards", "reward_clip", "normalize_advantages", "clip_value_loss",
         "anneal_learning_rate", "precision")  # fmt: skip


def evaluated_returns(run: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Updates and returns of the evaluations on test levels, sampled, mean over agents, [e]."""
    found = {e.update: e.means[_SAMPLED] for e in run.evaluations if _SAMPLED in e.means}
    updates = sorted(found)
    return np.array(updates, dtype=np.int64), np.array([found[u] for u in updates])


def steps_in_words(steps: float) -> str:
    """A number of steps such as 983k, 1.97M or 50M."""
    size = max(0, min(2, int(math.log10(max(steps, 1)) // 3)))
    return f"{steps / 1000**size:.3g}{('', 'k', 'M')[size]}"
