"""Procgen as a Gymnasium `VectorEnv`: every option, and steps that overlap with other work.

An episode's end and the next one's beginning share one step: the reward belongs to the old episode,
the observation to the new one (`AutoresetMode.SAME_STEP`).  The library draws no last observation
of an episode, so there is no `final_obs`.

Infos, each an array [env] beside a mask `_name` that is true everywhere: `level_seed`, the level of
the observation; `prev_level_seed` and `prev_level_complete`, the level of the reward and whether
this step solved it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from experiments.config import require_types, require_within
from experiments.envs.procgen.games import (
    DISTRIBUTION_MODES,
    END_EPISODE,
    N_ACTIONS,
    require_game,
    require_mode,
    time_limit,
)
from experiments.envs.procgen.levels import LevelSet
from experiments.envs.procgen.libenv import Games
from experiments.envs.procgen.state import read_header, seal, unseal
from mdtheory import validation

_POSSIBLE = frozenset(range(END_EPISODE, N_ACTIONS))


@dataclass(frozen=True)
class ProcgenOptions:
    """Procgen's own options, with Procgen's defaults."""

    distribution_mode: str = "hard"
    """easy, hard, extreme or memory; every game has the first two."""
    center_agent: bool = True
    """Keep the agent in the middle of the view where the game allows it."""
    use_backgrounds: bool = True
    """Draw background images; otherwise black."""
    use_monochrome_assets: bool = False
    """Draw everything as rectangles of one colour each."""
    restrict_themes: bool = False
    """Draw each kind of asset in one theme only."""
    use_generated_assets: bool = False
    """Draw randomly generated pictures in place of the human-made ones; states are then impossible.
    """
    paint_vel_info: bool = False
    """Show the agent's velocity in the upper left corner, where the game has one."""
    use_sequential_levels: bool = False
    """A solved level leads to the level 997 further on without an end of the episode; levels are
    then not those of the `LevelSet` only."""
    debug_mode: int = 0
    """Procgen's own debugging aid; only coinrun looks at it: the sum of 2 for no pits, 4 for no
    crates, 8 for flat ground."""

    def __post_init__(self) -> None:
        require_types(self)
        if self.distribution_mode not in DISTRIBUTION_MODES:
            raise ValueError(
                validation.unknown(
                    "distribution_mode", self.distribution_mode, tuple(DISTRIBUTION_MODES)
                )
            )
        require_within(self, {"debug_mode": (0, 2**31 - 1)})


class ProcgenVectorEnv(VectorEnv):
    """Parallel games.

    Args:
        game: one of `GAMES`.
        num_envs: games played in parallel.
        levels: where each episode's level is drawn from; by default all levels.
        seed: of the draws of levels; a whole number below 2^31.
        options: of the game.
        num_threads: of the library; by default as many as processors, at most 4. 0 steps in `act`
            itself.
        render_mode: None, or "rgb_array" for `render()` with 512x512 pixels per game.
        copy: give arrays of their own in every step.  Otherwise observations and rewards are the
            library's own arrays: valid from `observe` (or `reset`, `set_state`) to the next `act`.

    Raises:
        ValueError: naming the argument and what would be right.
        ModuleNotFoundError: no wheel of Procgen is installed.
        OSError: the library does not load; names what it lacks.
    """

    metadata = {  # noqa: RUF012 (Gymnasium's own declaration)
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": ["rgb_array"],
        "render_fps": 15,
    }
    closed = True  # until there are games

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        *,
        levels: LevelSet | None = None,
        seed: int = 0,
        options: ProcgenOptions | None = None,
        num_threads: int | None = None,
        render_mode: str | None = None,
        copy: bool = True,
    ) -> None:
        self.game = game
        self.levels = LevelSet() if levels is None else levels
        self.options = ProcgenOptions() if options is None else options
        self.num_envs = num_envs
        self.num_threads = min(4, os.cpu_count() or 1) if num_threads is None else num_threads
        self.render_mode = render_mode
        self.copy = copy
        self._check(seed)
        self.single_observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
        self.single_action_space = spaces.Discrete(N_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._begin(seed)

    def _check(self, seed: int) -> None:
        require_game(self.game)
        for kind, name in ((LevelSet, "levels"), (ProcgenOptions, "options")):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be {kind.__name__}, got {getattr(self, name)!r}")
        require_mode(self.game, self.options.distribution_mode)
        for name, value, low, high in (
            ("num_envs", self.num_envs, 1, 10**5),
            ("num_threads", self.num_threads, 0, 1024),
            ("seed", seed, 0, 2**31 - 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ValueError(f"{name} must be a whole number, got {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {value}")
        if self.render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {self.render_mode!r}")

    def _begin(self, seed: int) -> None:
        """Build the games; each then shows its first episode."""
        options = dataclasses.asdict(self.options)
        options["distribution_mode"] = DISTRIBUTION_MODES[self.options.distribution_mode]
        self._games = Games(
            int(self.num_envs),
            {
                **options,
                "env_name": self.game,
                "num_levels": len(self.levels),
                "start_level": self.levels.first,
                "num_actions": N_ACTIONS,
                "rand_seed": int(seed),
                "num_threads": int(self.num_threads),
                "render_human": self.render_mode == "rgb_array",
            },
        )
        self.closed = False
        self._fresh = True
        self._pending = False
        self._time_limit = time_limit(self.game, self.options.distribution_mode)
        self._now = 0  # steps of all games
        self._began = np.zeros(self.num_envs, dtype=np.int64)  # when each episode began
        self._everywhere = np.ones(self.num_envs, dtype=bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode in every game; with a seed, all draws of levels begin anew."""
        self._require_open("reset")
        if options:
            raise ValueError(f"reset takes no options, got {options}")
        if isinstance(seed, list):
            raise ValueError(f"seed must be one whole number for all games, got {seed}")
        if seed is not None:
            self._check(seed)
            super().reset(seed=int(seed))
            self._begin(seed)
        elif not self._fresh:
            self._end_episodes()
        self._pending = False
        self._fresh = False
        self._began[:] = self._now
        return self.current()

    def _end_episodes(self) -> None:
        """Begin new episodes; more than one step if the first happens to solve a level and levels
        are sequential."""
        self._games.action[:] = END_EPISODE
        self._games.first[:] = False
        while not self._games.first.all():
            self._games.act()
            self._games.observe()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every game; see `observe` for what is returned."""
        self.act(actions)
        return self.observe()

    def act(self, actions: np.ndarray | Sequence[int]) -> None:
        """Begin a step and return at once; the library's threads carry it out until `observe`.

        Args:
            actions: whole numbers 0 to 14, [env]; −1 ends the episode after a step of no-op.
        """
        self._require_no_step("act")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be {self.num_envs} whole numbers, got shape {list(actions.shape)}"
                f" of {actions.dtype}"
            )
        if not _POSSIBLE.issuperset(actions.tolist()):
            env = int(np.argmax((actions < END_EPISODE) | (actions >= N_ACTIONS)))
            raise ValueError(
                f"actions[env={env}] must be from 0 to {N_ACTIONS - 1}, or -1 to end the episode,"
                f" got {actions[env]}"
            )
        self._games.action[:] = actions
        self._games.act()
        self._pending = True
        self._fresh = False

    def observe(
        self,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Wait for the step begun by `act`.

        Returns:
            Observations uint8 [env, 64, 64, 3], rewards float32 [env], terminations and
            truncations bool [env], infos.  Truncated is an episode that ended with the game's time
            limit or with action −1 and did not solve its level; the library does not tell whether
            the agent also died in that very step.
        """
        self._require_open("observe")
        if not self._pending:
            raise RuntimeError("observe was called without act before")
        self._games.observe()
        self._pending = False
        ends = self._ends()
        self._episodes_began(self._games.first | (self._games.info["prev_level_complete"] != 0))
        return (
            self._pictures(),
            self._own(self._games.reward),
            *ends,
            self._infos(),
        )

    def _episodes_began(self, began: np.ndarray) -> None:
        """Told, before anybody sees a new episode, in which games one began, bool [env]."""

    def _pictures(self) -> np.ndarray:
        """What `observe` and `current` show."""
        return self._own(self._games.observation)

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Terminations and truncations; most steps have neither, and pay for little."""
        self._now += 1
        ended, solved = self._games.first, self._games.info["prev_level_complete"]
        if not (any(ended.tolist()) or any(solved.tolist())):
            return ended.copy(), ended.copy()
        cut = (self._elapsed() >= self._time_limit) | (self._games.action == END_EPISODE)
        truncated = ended & cut & (solved == 0)
        self._began[ended | (solved != 0)] = self._now
        return ended & ~truncated, truncated

    def _elapsed(self) -> np.ndarray:
        """Steps of each game's episode until now."""
        return self._now - self._began

    def get_state(self) -> list[bytes]:
        """The state of every game, random numbers included.

        Raises:
            RuntimeError: pictures are generated, which no state holds.
        """
        return [self.get_one_state(env) for env in range(self.num_envs)]

    def get_one_state(self, env: int) -> bytes:
        """The state of one game."""
        self._require_states("get_state")
        self._require_game(env)
        return seal(self._games.get_state(env))

    def set_state(self, states: Sequence[bytes]) -> tuple[np.ndarray, dict[str, Any]]:
        """Put every game into a state; returns observations and infos like `reset`.

        Options and the levels of later episodes are from then on those of the state.

        Raises:
            ValueError: naming the first state that is none, or is of another game, distribution
                mode or choice of themes; no game has then changed.
            RuntimeError: pictures are generated, which no state holds.
        """
        if len(states) != self.num_envs:
            raise ValueError(f"states must be {self.num_envs}, one per game, got {len(states)}")
        self._put(dict(enumerate(states)))
        return self.current()

    def set_one_state(self, env: int, state: bytes) -> None:
        """Put one game into a state like `set_state`; `current()` then shows it."""
        self._require_game(env)
        self._put({env: state})

    def _require_game(self, env: int) -> None:
        if env not in range(self.num_envs):
            raise ValueError(f"env must be from 0 to {self.num_envs - 1}, got {env!r}")

    def _put(self, states: Mapping[int, bytes]) -> None:
        self._require_states("set_state")
        elapsed = {env: self._checked_elapsed(env, state) for env, state in states.items()}
        for env, state in states.items():
            self._games.set_state(env, unseal(self._as_drawn_here(state)))
            self._began[env] = self._now - elapsed[env]
        self._games.observe()  # draws the pictures of render()
        self._fresh = False

    def _as_drawn_here(self, state: bytes) -> bytes:
        """The state that is set in place of this one."""
        return state

    def _checked_elapsed(self, env: int, state: bytes) -> int:
        """Steps since the state's episode began, if this environment can go on from it."""
        try:
            header = read_header(state)
        except ValueError as error:
            raise ValueError(f"states[env={env}]: {error}") from None
        modes = {number: mode for mode, number in DISTRIBUTION_MODES.items()}
        # Themes too: pictures of assets are kept once drawn.
        names = ("game", "distribution_mode", "restrict_themes")
        mine = (self.game, self.options.distribution_mode, self.options.restrict_themes)
        its = (
            header.game,
            modes[header.options["distribution_mode"]],
            bool(header.options["restrict_themes"]),
        )
        for name, right, got in zip(names, mine, its, strict=True):
            if right != got:
                raise ValueError(f"states[env={env}] must be of {name} {right}, got {got}")
        return header.elapsed

    def current(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Observations and infos of now."""
        self._require_no_step("current")
        return self._pictures(), self._infos()

    def render(self) -> tuple[np.ndarray, ...] | None:
        """512x512 pictures, one per game: uint8 [512, 512, 3]."""
        self._require_no_step("render")
        if self.render_mode is None:
            return None
        return tuple(self._games.info["rgb"].copy())

    def close_extras(self, **kwargs: Any) -> None:
        self._games.close()

    def _require_open(self, name: str) -> None:
        if self.closed:
            raise RuntimeError(f"{name} was called after close")

    def _require_no_step(self, name: str) -> None:
        self._require_open(name)
        if self._pending:
            raise RuntimeError(f"{name} was called between act and observe")

    def _require_states(self, name: str) -> None:
        self._require_no_step(name)
        if self.options.use_generated_assets:
            raise RuntimeError(f"{name} is impossible with use_generated_assets")

    def _own(self, array: np.ndarray) -> np.ndarray:
        return array.copy() if self.copy else array

    def _infos(self) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for name, array in self._games.info.items():
            if name != "rgb":
                infos[name] = array.copy()
                infos[f"_{name}"] = self._everywhere.copy()
        return infos
