"""Games drawn in renderings: in one, in several at once, or each game in one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.envs.procgen.environment import ProcgenOptions, ProcgenVectorEnv
from experiments.envs.procgen.levels import LevelSet
from experiments.envs.procgen.renderings import ORIGINAL, Rendering, different
from experiments.envs.procgen.state import drawn, patched, read_header, read_picture

_DRAWN_BY = ("use_backgrounds", "use_monochrome_assets", "paint_vel_info", "center_agent")
"""Options that change nothing but pictures."""

_EVERY = slice(None)
_BETWEEN_SEEDS = 7919


class RenderedVectorEnv(ProcgenVectorEnv):
    """`ProcgenVectorEnv` whose observations are those of one rendering.

    Whatever state is set is shown in this rendering.  States of `get_state` keep the level's own
    background image, so that they can be shown in any other rendering too.  `render()` shows what
    the game draws, before pixels are transformed.

    Raises:
        ValueError: as `ProcgenVectorEnv`, the game has no such background image, or its pictures
            are generated, which no state holds.
    """

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        *,
        rendering: Rendering = ORIGINAL,
        options: ProcgenOptions | None = None,
        **kwargs: Any,
    ) -> None:
        self.rendering = rendering
        super().__init__(game, num_envs, options=options, **kwargs)

    def _check(self, seed: int) -> None:
        super()._check(seed)
        if not isinstance(self.rendering, Rendering):
            raise ValueError(f"rendering must be Rendering, got {self.rendering!r}")
        self.rendering.require_game(self.game)
        if self.options.use_generated_assets:
            raise ValueError("use_generated_assets must be false in a rendering, got true")

    def _begin(self, seed: int) -> None:
        self.options = self.rendering.options(self.options)
        super()._begin(seed)
        # Not what was asked for: some games decide for themselves about center_agent.
        state = super().get_one_state(0)
        self._drawn_by = {name: read_header(state).options[name] for name in _DRAWN_BY}
        self._visibility = read_picture(state).visibility
        self._levels_images: dict[int, int] = {}  # by game, what this rendering hides
        self._episodes_began(np.ones(self.num_envs, dtype=bool))

    def _end_episodes(self) -> None:
        super()._end_episodes()
        self._episodes_began(np.ones(self.num_envs, dtype=bool))

    def _episodes_began(self, began: np.ndarray) -> None:
        if self.rendering.image is not None and began.any():
            fresh = self._fresh
            envs = np.flatnonzero(began).tolist()
            self._put({env: super(RenderedVectorEnv, self).get_one_state(env) for env in envs})
            self._fresh = fresh

    def get_one_state(self, env: int) -> bytes:
        """The state of one game, with the level's own background image."""
        state = super().get_one_state(env)
        if self.rendering.image is None:
            return state
        return drawn(state, {}, self._levels_images[env])

    def _put(self, states: Mapping[int, bytes]) -> None:
        super()._put(states)
        if self.rendering.image is not None:
            self._levels_images.update(
                {env: read_picture(state).image for env, state in states.items()}
            )

    def _as_drawn_here(self, state: bytes) -> bytes:
        shown = drawn(state, self._drawn_by, self.rendering.image)
        if self._drawn_by["center_agent"] and not read_header(state).options["center_agent"]:
            # Drawing the whole level has overwritten how far the agent's surroundings reach.
            shown = patched(shown, {read_picture(state).visibility_at: self._visibility})
        return shown

    def _pictures(self) -> np.ndarray:
        if self.rendering.of_pixels:
            return self.rendering.transformed(self._games.observation)
        return super()._pictures()


class LockstepGames:
    """The same games in several renderings, step by step; a context manager.

    The first rendering leads: whoever acts looks at it.  Every other one can be looked at too.

    Args:
        game: one of `GAMES`.
        num_envs: games played in parallel.
        renderings: different ones, at least one.
        options: of the game, which renderings change.
        levels, seed, num_threads: as for `ProcgenVectorEnv`.

    Raises:
        ValueError: as `RenderedVectorEnv`, or the renderings do not differ.
    """

    def __init__(
        self,
        game: str,
        num_envs: int,
        renderings: Sequence[Rendering],
        *,
        options: ProcgenOptions | None = None,
        levels: LevelSet | None = None,
        seed: int = 0,
        num_threads: int | None = None,
    ) -> None:
        self.renderings = different(renderings, game)
        self.num_envs = num_envs
        looks = dict.fromkeys(rendering.by_engine for rendering in self.renderings)
        self._envs = {
            look: RenderedVectorEnv(
                game,
                num_envs,
                rendering=look,
                options=options,
                levels=levels,
                seed=seed,
                num_threads=num_threads,
                copy=False,
            )
            for look in looks
        }
        self._leader, *self._followers = self._envs.values()

    def pictures(self, rendering: int = 0, games: np.ndarray | slice = _EVERY) -> np.ndarray:
        """What is seen in one of the renderings, uint8 [game, 64, 64, 3], of some games.

        Valid until the next step.
        """
        wanted = self.renderings[rendering]
        seen, _ = self._envs[wanted.by_engine].current()
        return wanted.transformed(seen[games])

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every game: rewards, terminations, truncations and infos.

        Raises:
            RuntimeError: a rendering changed more than pictures.
        """
        for env in self._envs.values():
            env.act(actions)
        (_, reward, terminated, truncated, infos), *others = [
            env.observe() for env in self._envs.values()
        ]
        expected = (reward, terminated, truncated, *infos.values())
        for follower, (_, *ends, its) in zip(self._followers, others, strict=True):
            if not all(map(np.array_equal, (*ends, *its.values()), expected)):
                raise RuntimeError(
                    f"{follower.game} fell out of step under {follower.rendering}: rewards, ends or"
                    f" levels differ from {self.renderings[0]}"
                )
        return reward, terminated, truncated, infos

    def get_one_state(self, env: int) -> bytes:
        """The state of one game, which any of the renderings can show."""
        return self._leader.get_one_state(env)

    def set_one_state(self, env: int, state: bytes) -> None:
        """Put one game into a state, in all renderings."""
        for one in self._envs.values():
            one.set_one_state(env, state)

    def close(self) -> None:
        for env in self._envs.values():
            env.close()

    def __enter__(self) -> LockstepGames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MixedGames:
    """Games each in one rendering of a list, in turn; what a trainer needs of a `VectorEnv`.

    Each rendering's games draw levels of their own.

    Args:
        as for `LockstepGames`.

    Raises:
        ValueError: as `LockstepGames`, or there are fewer games than renderings.
    """

    def __init__(
        self,
        game: str,
        num_envs: int,
        renderings: Sequence[Rendering],
        *,
        options: ProcgenOptions,
        levels: LevelSet,
        seed: int,
        num_threads: int,
    ) -> None:
        self._renderings = different(renderings, game)
        n = len(self._renderings)
        if num_envs < n:
            raise ValueError(
                f"num_envs must be at least one for each of {n} renderings, got {num_envs}"
            )
        self.num_envs = num_envs
        self._parts = [
            RenderedVectorEnv(
                game,
                len(range(i, num_envs, n)),
                rendering=rendering.by_engine,  # pixels are transformed once, when looked at
                options=options,
                levels=levels,
                seed=(seed + _BETWEEN_SEEDS * i) % 2**31,
                num_threads=num_threads,
                copy=False,
            )
            for i, rendering in enumerate(self._renderings)
        ]
        self._n = n

    def reset(self) -> None:
        for part in self._parts:
            part.reset()

    def act(self, actions: np.ndarray) -> None:
        """Begin a step of every game."""
        for i, part in enumerate(self._parts):
            part.act(actions[i :: self._n])

    def observe(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Wait for the step: rewards, terminations and truncations."""
        ends = [part.observe()[1:4] for part in self._parts]
        return tuple(self._in_turn(list(arrays)) for arrays in zip(*ends, strict=True))  # type: ignore[return-value]

    def pictures(self) -> np.ndarray:
        """What is seen now, uint8 [env, 64, 64, 3]; valid until the next `act`."""
        pairs = zip(self._renderings, self._parts, strict=True)
        return self._in_turn([look.transformed(part.current()[0]) for look, part in pairs])

    def get_state(self) -> list[bytes]:
        states: list[bytes] = [b""] * self.num_envs
        for i, part in enumerate(self._parts):
            states[i :: self._n] = part.get_state()
        return states

    def set_state(self, states: Sequence[bytes]) -> None:
        for i, part in enumerate(self._parts):
            part.set_state(states[i :: self._n])

    def _in_turn(self, arrays: list[np.ndarray]) -> np.ndarray:
        if self._n == 1:
            return arrays[0]
        merged = np.empty((self.num_envs, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
        for i, array in enumerate(arrays):
            merged[i :: self._n] = array
        return merged

    def close(self) -> None:
        for part in self._parts:
            part.close()
