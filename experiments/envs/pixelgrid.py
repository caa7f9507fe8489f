"""Pixelgrid: a maze drawn in pixels whose latent MDP, and so every answer, is known exactly.

The latent state is the cell of a square maze, a spanning tree of its grid, so exactly one action
leads closer to the exit.  Walking out of the exit pays 1 and puts the agent into a uniformly random
cell; nothing else pays.  A rendering paints a marker at the agent's cell over a background that
depends on the rendering and on the state: an irrelevant feature that a network can nevertheless
learn to rely on.  `background_strength` is its dial.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from experiments.config import require_types, require_within
from mdtheory import FiniteMDP, Problem, RenderingFamily
from mdtheory.toys import RenderedMDPEnv

_STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # north, east, south, west
EAST = 1


@dataclass(frozen=True)
class PixelGridConfig:
    """Which maze, drawn how, and which renderings are seen in training."""

    size: int = 5
    """Cells along one side of the maze."""
    cell_pixels: int = 3
    """Pixels along one side of a cell."""
    train_renderings: int = 4
    """Renderings seen in training."""
    heldout_renderings: int = 28
    """Renderings never seen in training; all renderings have the same probability."""
    background_strength: float = 0.8
    """Brightest background pixel, as a fraction of the marker's brightness, in [0, 1]."""
    discount: float = 0.9
    """Discount factor, read as the decimal that it shows."""
    layout_seed: int = 0
    """Seed of the maze and of the backgrounds."""

    def __post_init__(self) -> None:
        require_types(self)
        require_within(
            self,
            {
                "size": (2, 32),
                "cell_pixels": (1, 16),
                "train_renderings": (1, 1000),
                "heldout_renderings": (1, 1000),
                "layout_seed": (0, 2**63),
            },
        )
        if not 0 <= self.background_strength <= 1:
            raise ValueError(
                f"background_strength must lie in [0, 1], got {self.background_strength}"
            )
        if not 0 <= self.discount < 1:
            raise ValueError(f"discount must lie in [0, 1), got {self.discount}")

    @property
    def n_states(self) -> int:
        return self.size**2

    @property
    def n_renderings(self) -> int:
        return self.train_renderings + self.heldout_renderings


@dataclass(frozen=True, eq=False)
class PixelGrid:
    """The drawn world.

    Attributes:
        problem: latent MDP and renderings, in exact rationals.
        images: uint8, shape [F, S, H, W]; what each rendering shows of each state.
        next_state: the cell that action a in cell s leads to, shape [S, A]; −1 is the exit.
    """

    problem: Problem
    images: np.ndarray
    next_state: np.ndarray


def make_pixelgrid(config: PixelGridConfig) -> PixelGrid:
    """Build the world of a configuration; the same configuration gives the same world."""
    next_state = _maze(config)
    n_states, n_actions = next_state.shape
    transition = np.zeros((n_states, n_actions, n_states), dtype=object) + Fraction(0)
    reward = np.zeros((n_states, n_actions), dtype=np.int64)
    for s in range(n_states):
        for a in range(n_actions):
            if next_state[s, a] < 0:
                transition[s, a, :] = Fraction(1, n_states)
                reward[s, a] = 1
            else:
                transition[s, a, next_state[s, a]] = Fraction(1)
    mdp = FiniteMDP(
        transition=transition,
        reward=reward,
        initial=np.full(n_states, Fraction(1, n_states)),
        discount=Fraction(str(config.discount)),
        reward_bounds=[0, 1],
    )
    train_mask = np.arange(config.n_renderings) < config.train_renderings
    renderings = RenderingFamily.distinct(n_states, train_mask=train_mask)
    return PixelGrid(
        problem=Problem(mdp=mdp, renderings=renderings),
        images=_draw(config),
        next_state=next_state,
    )


def _maze(config: PixelGridConfig) -> np.ndarray:
    """A spanning tree by depth-first search; walls keep the agent in its cell.

    The exit leads east out of the south-east corner.
    """
    rng = np.random.default_rng([config.layout_seed, 0])
    size = config.size
    n_states = size**2
    next_state = np.repeat(np.arange(n_states)[:, None], len(_STEPS), axis=1)
    next_state[n_states - 1, EAST] = -1
    stack, seen = [n_states - 1], {n_states - 1}
    while stack:
        s = stack[-1]
        fresh = []
        for a, (down, right) in enumerate(_STEPS):
            row, column = s // size + down, s % size + right
            if 0 <= row < size and 0 <= column < size and row * size + column not in seen:
                fresh.append((a, row * size + column))
        if not fresh:
            stack.pop()
            continue
        a, t = fresh[rng.integers(len(fresh))]
        next_state[s, a] = t
        next_state[t, (a + 2) % 4] = s
        seen.add(t)
        stack.append(t)
    return next_state


def _draw(config: PixelGridConfig) -> np.ndarray:
    """Images [F, S, H, W]: noise up to the background's strength, the marker white on top."""
    side = config.size * config.cell_pixels
    images = np.empty((config.n_renderings, config.n_states, side, side), dtype=np.uint8)
    brightest = round(255 * config.background_strength)
    for f in range(config.n_renderings):
        rng = np.random.default_rng([config.layout_seed, 1, f])
        shape = (config.n_states, side, side)
        images[f] = rng.integers(0, brightest, size=shape, endpoint=True, dtype=np.uint8)
    for s in range(config.n_states):
        top, left = (config.cell_pixels * i for i in divmod(s, config.size))
        images[:, s, top : top + config.cell_pixels, left : left + config.cell_pixels] = 255
    return images


class PixelGridEnv(gymnasium.ObservationWrapper[np.ndarray, np.int64, np.int64]):
    """The world as a Gymnasium environment with images [H, W] for observations."""

    def __init__(self, config: PixelGridConfig | None = None, **kwargs: Any) -> None:
        world = make_pixelgrid(config or PixelGridConfig())
        super().__init__(RenderedMDPEnv(world.problem, **kwargs))
        self._images = world.images.reshape(-1, *world.images.shape[2:])
        self.observation_space = spaces.Box(0, 255, self._images.shape[1:], np.uint8)

    def observation(self, observation: np.int64) -> np.ndarray:
        return self._images[observation].copy()


ENVIRONMENT_ID = "mdtheory/PixelGrid-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(
        id=ENVIRONMENT_ID,
        entry_point="experiments.envs.pixelgrid:PixelGridEnv",
        max_episode_steps=1000,
    )
