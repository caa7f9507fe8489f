"""The pixel world: its latent MDP, its drawings, its Gymnasium environment."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from experiments.envs.pixelgrid import (
    EAST,
    ENVIRONMENT_ID,
    PixelGridConfig,
    PixelGridEnv,
    make_pixelgrid,
)

SEEDS = range(8)


def optimal_action_values(config: PixelGridConfig) -> np.ndarray:
    """Q* [S, A] by value iteration, converged to rounding (0.9**2000 is below 1e-91)."""
    world = make_pixelgrid(config)
    mdp = world.problem.mdp.to_float()
    value = np.zeros(mdp.n_states)
    for _ in range(2000):
        q = mdp.reward + mdp.discount * np.einsum("sat,t->sa", mdp.transition, value)
        value = q.max(axis=1)
    return q


@pytest.mark.parametrize("seed", SEEDS)
def test_optimal_action_is_unique_in_every_state(seed: int) -> None:
    q = np.sort(optimal_action_values(PixelGridConfig(layout_seed=seed)), axis=1)
    assert (q[:, -1] - q[:, -2]).min() > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_maze_is_a_spanning_tree_with_one_exit(seed: int) -> None:
    next_state = make_pixelgrid(PixelGridConfig(layout_seed=seed)).next_state
    n_states = len(next_state)
    own = np.arange(n_states)[:, None]
    passages = (next_state != own) & (next_state >= 0)
    assert passages.sum() == 2 * (n_states - 1)
    assert np.argwhere(next_state < 0).tolist() == [[n_states - 1, EAST]]
    reached = {n_states - 1}
    for _ in range(n_states):
        reached |= {int(t) for s in reached for t in next_state[s] if t >= 0}
    assert len(reached) == n_states


def test_corner_cell_value_by_hand() -> None:
    """2 x 2 cells: at the exit, Q = 1 + gamma * (mean value over cells)."""
    config = PixelGridConfig(size=2, discount=0.5)
    q = optimal_action_values(config)
    mean = q.max(axis=1).mean()
    assert q[3, EAST] == pytest.approx(1 + 0.5 * mean)


def test_problem_is_exact_and_discount_is_the_decimal_it_shows() -> None:
    problem = make_pixelgrid(PixelGridConfig()).problem
    assert problem.exact
    assert problem.mdp.discount[()] == Fraction(9, 10)
    assert problem.renderings.train_mass[()] == Fraction(4, 32)


def test_marker_shows_the_state_and_background_only_the_rendering_changes() -> None:
    config = PixelGridConfig()
    images = make_pixelgrid(config).images
    for s in range(config.n_states):
        row, column = divmod(s, config.size)
        marker = images[:, s, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        assert (marker == 255).all()
    brightest = round(255 * config.background_strength)
    assert images[images < 255].max() <= brightest
    assert len({image.tobytes() for image in images.reshape(-1, 15, 15)}) == 32 * 25


def test_without_background_all_renderings_look_the_same() -> None:
    images = make_pixelgrid(PixelGridConfig(background_strength=0.0)).images
    assert (images == images[:1]).all()


def test_more_renderings_leave_the_first_ones_unchanged() -> None:
    few = make_pixelgrid(PixelGridConfig(heldout_renderings=2)).images
    many = make_pixelgrid(PixelGridConfig(heldout_renderings=9)).images
    assert (few == many[: len(few)]).all()


def test_layout_seed_changes_maze_and_backgrounds() -> None:
    first, again, other = (make_pixelgrid(PixelGridConfig(layout_seed=s)) for s in (0, 0, 1))
    assert (first.images == again.images).all()
    assert (first.next_state == again.next_state).all()
    assert (first.images != other.images).any()
    assert (first.next_state != other.next_state).any()


def test_environment_passes_gymnasiums_checker_and_shows_the_images() -> None:
    env = gymnasium.make(ENVIRONMENT_ID)
    check_env(env.unwrapped, skip_render_check=True)
    images = make_pixelgrid(PixelGridConfig()).images
    observation, info = PixelGridEnv().reset(seed=3, options={"rendering": 5})
    assert (observation == images[5, info["state"]]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 1}, "size must be from 2 to 32, got 1"),
        ({"train_renderings": 0}, "train_renderings must be from 1 to 1000, got 0"),
        ({"background_strength": 1.5}, r"background_strength must lie in \[0, 1\], got 1.5"),
        ({"discount": 1.0}, r"discount must lie in \[0, 1\), got 1.0"),
    ],
)
def test_bad_configurations_are_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PixelGridConfig(), **change)
