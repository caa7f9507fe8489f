"""Toys (and any problem of one's own) as Gymnasium environments.

The rendering is drawn at reset with the family's probabilities and reported in `info`; it stays
for the whole episode.  Episodes are cut by a time limit and never end by themselves, so the
expected discounted return is the problem's exact value up to discount**limit.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from mdtheory import validation
from mdtheory.mdp import FiniteMDP
from mdtheory.problem import Problem
from mdtheory.toys.problems import TOYS, make_toy

Split = Literal["all", "train", "heldout"]
SPLITS: tuple[Split, ...] = ("all", "train", "heldout")
MAX_EPISODE_STEPS = 1000


class RenderedMDPEnv(gymnasium.Env[np.int64, np.int64]):
    """A problem to act in: observations are indices f(s), actions are indices.

    Args:
        problem: single dense problem, exact or float64.
        split: which renderings are drawn at reset: "all", "train" or "heldout".

    `info` holds `rendering` (its index), `state` (the latent state) and `train` (whether the
    rendering is a training rendering).  `reset(options={"rendering": f})` chooses a rendering.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  (Gymnasium's API)

    def __init__(
        self, problem: Problem, *, split: Split = "all", render_mode: str | None = None
    ) -> None:
        if not isinstance(problem.mdp, FiniteMDP) or problem.batch_shape:
            raise ValueError("problem must be a single problem with a FiniteMDP")
        if split not in SPLITS:
            raise ValueError(validation.unknown("split", split, SPLITS))
        if render_mode not in (None, "ansi"):
            raise ValueError(validation.unknown("render_mode", render_mode, ("ansi",)))
        self.problem = problem
        self.render_mode = render_mode
        mdp, renderings = problem.mdp.to_float(), problem.renderings
        self._transition, self._reward, self._initial = mdp.transition, mdp.reward, mdp.initial
        in_split = {
            "all": np.ones_like(renderings.train_mask),
            "train": renderings.train_mask,
            "heldout": ~renderings.train_mask,
        }[split]
        weights = np.where(in_split, renderings.weights.astype(np.float64), 0.0)
        if weights.sum() <= 0:
            raise ValueError(f"split {split!r} must hold renderings of positive weight, got none")
        self._rendering_weights = weights / weights.sum()
        self.observation_space = spaces.Discrete(renderings.n_observations)
        self.action_space = spaces.Discrete(mdp.n_actions)
        self._rendering = 0
        self._state = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        super().reset(seed=seed)
        options = dict(options or {})
        rendering = options.pop("rendering", None)
        if options:
            raise ValueError(validation.unknown("option", next(iter(options)), ("rendering",)))
        if rendering is None:
            rendering = self.np_random.choice(
                len(self._rendering_weights), p=self._rendering_weights
            )
        elif (
            isinstance(rendering, bool | np.bool_)
            or not isinstance(rendering, int | np.integer)
            or not 0 <= rendering < len(self._rendering_weights)
        ):
            raise ValueError(
                f"options['rendering'] must be from 0 to {len(self._rendering_weights) - 1},"
                f" got {rendering!r}"
            )
        self._rendering = int(rendering)
        self._state = int(self.np_random.choice(len(self._initial), p=self._initial))
        return self._observe()

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            last = self._reward.shape[1] - 1
            raise ValueError(f"action must be from 0 to {last}, got {action!r}")
        reward = float(self._reward[self._state, action])
        row = self._transition[self._state, action]
        self._state = int(self.np_random.choice(len(row), p=row))
        observation, info = self._observe()
        return observation, reward, False, False, info

    def render(self) -> str | None:
        """One line: rendering and latent state."""
        if self.render_mode is None:
            return None
        return f"{self.problem.renderings.names[self._rendering]}: state {self._state}"

    def _observe(self) -> tuple[np.int64, dict[str, Any]]:
        observation = np.int64(self.problem.renderings.observation[self._rendering, self._state])
        is_train = bool(self.problem.renderings.train_mask[self._rendering])
        return observation, {"rendering": self._rendering, "state": self._state, "train": is_train}


def make_environment(
    *, toy: str, split: Split = "all", render_mode: str | None = None, **parameters: Any
) -> RenderedMDPEnv:
    """Gymnasium's entry point; parameters go to the toy."""
    return RenderedMDPEnv(make_toy(toy, **parameters).problem, split=split, render_mode=render_mode)


def environment_id(toy: str) -> str:
    """`environment_id("two-state")` is `"mdtheory/TwoState-v0"`."""
    return f"mdtheory/{''.join(word.capitalize() for word in toy.split('-'))}-v0"


def register_environments() -> None:
    """Register every toy with Gymnasium; importing `mdtheory` does this."""
    for toy in TOYS:
        if environment_id(toy) not in gymnasium.registry:
            gymnasium.register(
                id=environment_id(toy),
                entry_point="mdtheory.toys.environment:make_environment",
                kwargs={"toy": toy},
                max_episode_steps=MAX_EPISODE_STEPS,
            )
