"""Episodes recorded, moments of them gone back to, and games played on from there.

Procgen's states can be saved, set and drawn in any rendering, and a level played again with the
same actions comes out the same, so any moment of a recorded episode can be reached again exactly.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from experiments.envs.procgen import ProcgenOptions
from experiments.envs.procgen.games import END_EPISODE, NO_OP
from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.renderings import Rendering
from experiments.envs.procgen.state import with_levels
from experiments.procgen.evaluate import (
    FREE,
    Evaluator,
    Player,
    choose_actions,
    finite_probabilities,
    uniforms,
)
from experiments.procgen.measures.attribution_estimator import Steps
from mdtheory.progress import OnProgress


class Start(NamedTuple):
    """Where a rollout begins: a state, the first action, and the random numbers of all others."""

    state: bytes
    action: int
    noise: Iterator[np.float32]


def play_out(
    policy: Player,
    games: LockstepGames,
    starts: Sequence[Start],
    discount: float,
    on_end: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Play from each start to its episode's end, looking at the games' first rendering.

    Args:
        policy: actions are sampled, but for the first.
        games: as many as are to run in parallel.
        starts: in any number.
        discount: γ; the first reward counts fully.
        on_end: told after each step in which rollouts ended how many did.

    Returns:
        Discounted returns and lengths, [start].
    """
    returns, weight = np.zeros(len(starts)), np.ones(len(starts))
    lengths = np.zeros(len(starts), dtype=np.int64)
    waiting = deque(range(len(starts)))
    row = np.full(games.num_envs, FREE)  # of the starts, by game
    while waiting or (row != FREE).any():
        actions = np.full(games.num_envs, NO_OP)
        playing, free = np.flatnonzero(row != FREE), np.flatnonzero(row == FREE)
        if len(playing):
            probabilities = finite_probabilities(policy, games.pictures(0, playing))
            drawn = [next(starts[k].noise) for k in row[playing].tolist()]
            actions[playing] = choose_actions(probabilities, drawn)
        for game in free[: len(waiting)].tolist():
            row[game] = waiting.popleft()
            games.set_one_state(game, starts[row[game]].state)
            actions[game] = starts[row[game]].action
        reward, terminated, truncated, _ = games.step(actions)
        playing = np.flatnonzero(row != FREE)
        returns[row[playing]] += weight[row[playing]] * reward[playing]
        weight[row[playing]] *= discount
        lengths[row[playing]] += 1
        over = playing[(terminated | truncated)[playing]]
        row[over] = FREE
        if on_end is not None and len(over):
            on_end(len(over))
    return returns, lengths


class Scene(NamedTuple):
    """A moment to go back to: its state, and its pictures uint8 [64, 64, 3] in renderings."""

    state: bytes
    pictures: tuple[np.ndarray, ...]


class Rollouts:
    """Judges actions by playing on, the two rollouts of a pair with the same random numbers."""

    on_progress: OnProgress | None = None

    def __init__(
        self, policy: Player, games: LockstepGames, scenes: Mapping[int, Scene], discount: float
    ) -> None:
        self._policy, self._games, self._scenes = policy, games, scenes
        self._discount = discount
        self.n_rollouts, self.n_steps = 0, 0

    def __call__(
        self, drawn: np.ndarray, other: np.ndarray, reference: np.ndarray, seeds: np.ndarray
    ) -> np.ndarray:
        starts = [
            Start(self._scenes[step].state, action, uniforms(seed, step, 0))
            for step, *actions, seed in zip(
                *(array.tolist() for array in (drawn, other, reference, seeds)), strict=True
            )
            for action in actions
        ]
        ended = 0

        def on_end(count: int) -> None:
            nonlocal ended
            ended += count
            if self.on_progress is not None:
                self.on_progress(f"{self._policy.name}, rollouts", ended / len(starts))

        returns, lengths = play_out(self._policy, self._games, starts, self._discount, on_end)
        self.n_rollouts += len(starts)
        self.n_steps += int(lengths.sum())
        return returns[0::2] - returns[1::2]


class Trace(NamedTuple):
    """Episodes as they were played, one on each level: `steps` and, [step], actions and digests of
    the pictures looked at; discounted returns [level]."""

    steps: Steps
    actions: np.ndarray
    digests: np.ndarray
    returns: np.ndarray


class Recorder:
    """Remembers, step by step, what the policy makes of the first rendering and of the last."""

    def __init__(self, policy: Player, n_levels: int, discount: float) -> None:
        self._policy, self._discount = policy, discount
        self._looks: list[tuple[np.ndarray, ...]] = []
        self._actions: list[np.ndarray] = []
        self.returns = np.zeros(n_levels)
        self._weight = np.ones(n_levels)  # gamma^t

    def look(
        self, rows: np.ndarray, probabilities: np.ndarray, games: LockstepGames, playing: np.ndarray
    ) -> None:
        digests = np.array([_digest(picture) for picture in games.pictures(0, playing)])
        compared = probabilities
        if len(games.renderings) > 1:
            compared = finite_probabilities(self._policy, games.pictures(1, playing))
        both = (p.astype(np.float64) for p in (probabilities, compared))
        self._looks.append((rows, digests, *both))

    def acted(self, rows: np.ndarray, actions: np.ndarray) -> None:
        self._actions.append(actions)

    def paid(self, rows: np.ndarray, rewards: np.ndarray) -> None:
        self.returns[rows] += self._weight[rows] * rewards
        self._weight[rows] *= self._discount

    def trace(self) -> Trace:
        """All steps, level by level in the order of time."""
        rows, digests, other, reference = map(np.concatenate, zip(*self._looks, strict=True))
        order = np.argsort(rows, kind="stable")
        level = rows[order]
        steps = Steps(
            level=level,
            time=np.arange(len(level)) - level.searchsorted(level),
            other=other[order],
            reference=reference[order],
            discount=self._discount,
            n_levels=len(self.returns),
        )
        actions = np.concatenate(self._actions)[order]
        return Trace(steps, actions, digests[order], self.returns)


@dataclass(frozen=True, eq=False)
class Arena:
    """Who plays what, and with how many games at once."""

    policy: Player
    game: str
    options: ProcgenOptions
    discount: float
    seed: int
    num_envs: int
    num_threads: int

    def games(self, renderings: Sequence[Rendering]) -> LockstepGames:
        return LockstepGames(
            self.game,
            self.num_envs,
            renderings,
            options=self.options,
            num_threads=self.num_threads,
        )

    def play(
        self, renderings: Sequence[Rendering], levels: Sequence[int], on_progress: OnProgress | None
    ) -> Trace:
        """Every level once, looking at the first rendering and remembering the last as well."""
        recorder = Recorder(self.policy, len(levels), self.discount)
        with Evaluator(
            self.game,
            self.options,
            renderings=renderings,
            num_envs=max(1, min(self.num_envs, len(levels))),
            num_threads=self.num_threads,
        ) as games:
            games.run(
                self.policy,
                levels,
                mode="sampled",
                seed=self.seed,
                watcher=recorder,
                on_actions=recorder.acted,
                on_progress=on_progress,
            )
        return recorder.trace()

    def revisit(
        self,
        trace: Trace,
        levels: Sequence[int],
        renderings: Sequence[Rendering],
        wanted: np.ndarray,
    ) -> dict[int, Scene]:
        """Go back to some of the steps, by playing their episodes again with the same actions.

        The states are as the first of the renderings draws them; the last one must show what the
        trace was played by.

        Raises:
            RuntimeError: an episode came out otherwise.
        """
        scenes: dict[int, Scene] = {}
        rows = np.unique(trace.steps.level[wanted])
        with self.games(renderings) as games:
            start = games.get_one_state(0)
            for i in range(0, len(rows), self.num_envs):
                some = rows[i : i + self.num_envs]
                for game, row in enumerate(some.tolist()):
                    level = int(levels[row])
                    games.set_one_state(game, with_levels(start, level, level + 1))
                scenes |= _replay(trace, levels, games, some, wanted)
        return scenes


def _replay(
    trace: Trace,
    levels: Sequence[int],
    games: LockstepGames,
    rows: np.ndarray,
    wanted: np.ndarray,
) -> dict[int, Scene]:
    """The wanted steps of some episodes, one in each game, whose levels are set."""
    steps, scenes = trace.steps, {}
    sought = wanted[np.isin(steps.level[wanted], rows)]
    begin, end = (steps.level.searchsorted(rows, side=side) for side in ("left", "right"))
    every = range(len(games.renderings))
    actions = np.full(games.num_envs, END_EPISODE)
    for time in range(1 + int(steps.time[sought].max())):
        games.step(actions)
        for step in sought[steps.time[sought] == time].tolist():
            game = int(rows.searchsorted(steps.level[step]))
            pictures = tuple(games.pictures(k, np.array([game]))[0].copy() for k in every)
            if _digest(pictures[-1]) != trace.digests[step]:
                raise RuntimeError(
                    f"level {levels[steps.level[step]]} looked otherwise at step {time} when it was"
                    " played again with the same actions"
                )
            scenes[step] = Scene(games.get_one_state(game), pictures)
        goes_on = begin + time < end
        actions = np.full(games.num_envs, NO_OP)
        actions[: len(rows)][goes_on] = trace.actions[(begin + time)[goes_on]]
    return scenes


def _digest(picture: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(picture).data)
