"""Levels that Procgen generates more than once, under different seeds.

A test level that repeats a training level tests memory.  Two levels count as the same here if they
look the same at first, hold the same objects in the same grid, seen or not, and then do the same
(pictures, rewards, ends) under the same random actions.  What the last finds depends on the number
of actions: levels that differ only in random numbers that are drawn later still count as the same.

`ProcgenOptions(use_backgrounds=False, use_monochrome_assets=True)` finds levels that are the same
but for how they are painted.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from experiments.envs.procgen.environment import ProcgenOptions, ProcgenVectorEnv
from experiments.envs.procgen.games import N_ACTIONS
from experiments.envs.procgen.levels import END, LevelSet, LevelSplit
from experiments.envs.procgen.state import with_levels, world_of


@dataclass(frozen=True, kw_only=True)
class DuplicateReport:
    """How many sampled test levels repeat a training level.

    Attributes:
        game: the game.
        n_train: training levels, all of which were looked at.
        n_train_repeated: training levels that repeat another one before them.
        n_test: test levels sampled.
        pairs: (test level, first training level that is the same), in increasing order.
    """

    game: str
    n_train: int
    n_train_repeated: int
    n_test: int
    pairs: tuple[tuple[int, int], ...]

    @property
    def share(self) -> float:
        """Share of the sampled test levels that repeat a training level."""
        return len(self.pairs) / self.n_test

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson interval at 95 % for the share among all test levels."""
        low, high = binomtest(len(self.pairs), self.n_test).proportion_ci(0.95, method="exact")
        return float(low), float(high)


def find_duplicates(
    game: str,
    levels: Sequence[int],
    *,
    options: ProcgenOptions | None = None,
    probe_steps: int = 64,
    num_envs: int = 64,
    seed: int = 0,
) -> list[tuple[int, ...]]:
    """Groups of two or more levels that are the same, each in increasing order.

    Args:
        game: one of `GAMES`.
        levels: different levels.
        options: of the game.
        probe_steps: actions done in levels that look the same at first.
        num_envs: games played in parallel.
        seed: of the actions.

    Raises:
        ValueError: naming the argument and what would be right.
    """
    levels = _checked(levels)
    if isinstance(probe_steps, bool) or not isinstance(probe_steps, int) or probe_steps < 0:
        raise ValueError(f"probe_steps must be a whole number of at least 0, got {probe_steps!r}")
    actions = np.random.default_rng(seed).integers(N_ACTIONS, size=probe_steps)
    env = ProcgenVectorEnv(game, num_envs, options=options, copy=False)
    with contextlib.closing(env):
        start = env.get_state()[0]
        groups = _groups(env, start, levels, actions[:0])
        candidates = [level for group in groups for level in group]
        return _groups(env, start, candidates, actions)


def duplicates_between(
    game: str,
    split: LevelSplit,
    n_test: int = 2000,
    *,
    options: ProcgenOptions | None = None,
    probe_steps: int = 64,
    num_envs: int = 64,
    seed: int = 0,
) -> DuplicateReport:
    """Which of `n_test` sampled test levels repeat a training level; see `find_duplicates`."""
    train = split.train
    groups = find_duplicates(
        game,
        [*range(train.first, train.end), *split.test.sample(n_test, seed)],
        options=options,
        probe_steps=probe_steps,
        num_envs=num_envs,
        seed=seed,
    )
    of_train = [[level for level in group if level in train] for group in groups]
    return DuplicateReport(
        game=game,
        n_train=len(train),
        n_train_repeated=sum(len(known) - 1 for known in of_train if known),
        n_test=n_test,
        pairs=tuple(
            sorted(
                (level, known[0])
                for group, known in zip(groups, of_train, strict=True)
                for level in group
                if known and level not in train
            )
        ),
    )


def _checked(levels: Sequence[int]) -> list[int]:
    seen = set()
    for i, level in enumerate(levels):
        if level not in LevelSet():
            raise ValueError(f"levels[{i}] must be from 0 to {END - 1}, got {level!r}")
        if level in seen:
            raise ValueError(f"levels must be different, got {level} twice")
        seen.add(int(level))
    return sorted(seen)


def _groups(
    env: ProcgenVectorEnv, start: bytes, levels: list[int], actions: np.ndarray
) -> list[tuple[int, ...]]:
    """The levels that show the same under the actions; none that is alone."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for first in range(0, len(levels), env.num_envs):
        chunk = levels[first : first + env.num_envs]
        for level, shown in zip(chunk, _fingerprints(env, start, chunk, actions), strict=True):
            alike[shown].append(level)
    return [tuple(group) for group in alike.values() if len(group) > 1]


def _fingerprints(
    env: ProcgenVectorEnv, start: bytes, levels: list[int], actions: np.ndarray
) -> list[bytes]:
    """A digest of each level's world and of all that it shows under the actions."""
    _place(env, start, levels)
    observation, _ = env.current()
    shown = [
        hashlib.blake2b(world_of(state) + observation[i].tobytes())
        for i, state in zip(range(len(levels)), env.get_state(), strict=False)
    ]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(np.full(env.num_envs, action))
        ended = terminated | truncated
        for i, digest in enumerate(shown):
            digest.update(observation[i].tobytes() + reward[i].tobytes() + ended[i].tobytes())
    return [digest.digest() for digest in shown]


def _place(env: ProcgenVectorEnv, start: bytes, levels: list[int]) -> None:
    """Begin an episode of the first level in the first game and so on, all out of one state.

    Later episodes stay on their level; games left over take the last level.
    """
    everywhere = levels + levels[-1:] * (env.num_envs - len(levels))
    env.set_state([with_levels(start, level, level + 1) for level in everywhere])
    env.step(np.full(env.num_envs, -1))
