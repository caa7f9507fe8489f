"""Samples from the pixel grid as Procgen would give them, to test intervals where truth is known.

A cluster is a start state.  From it one training rendering and one held-out rendering are played,
each drawn by its weight, and along the training episode the total variation to the held-out
renderings is read off the policy's table.

Episodes stop after a fixed number of steps, at which gamma^t is below 1e-6: what is cut off moves
returns and TV sums by less than a millionth of their range, far less than any interval's width.
(Stopping with probability 1 - gamma instead would have no bias, but the sums would then be of
unbounded length, so that Hoeffding and Bernstein could say nothing, and their variance larger.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from experiments.envs.pixelgrid import PixelGrid
from experiments.interval_statements import ClusterSample
from mdtheory import FiniteMDP
from mdtheory.robustness import total_variation

NEGLIGIBLE = 1e-6
"""What gamma^t must be below for a step to be left out."""


class Step(NamedTuple):
    """One step of many episodes at once: where they are, and whether they now leave the maze."""

    state: np.ndarray
    leaves: np.ndarray


@dataclass(frozen=True, eq=False)
class SampledEpisodes:
    """What was played, [repetition, cluster].

    Attributes:
        sample: per cluster, ready for `interval_statements`.
        visits: steps of the training episode until the first exit, it included, or the end.
        tv_on_visits: the mean TV to the held-out renderings, summed over these steps; the ratio of
            both sums is the mean TV per visited state.
    """

    sample: ClusterSample
    visits: np.ndarray
    tv_on_visits: np.ndarray


def sample_episodes(
    world: PixelGrid,
    policy: np.ndarray,
    *,
    clusters: int,
    seed: int,
    repetitions: int = 1,
    renderings: tuple[int, int] | None = None,
    **known: Any,
) -> SampledEpisodes:
    """Play a policy on-policy in every cluster of every repetition.

    Args:
        world: the maze.
        policy: probabilities [F, S, A].
        clusters: how many, in each repetition.
        seed: of everything that is drawn.
        repetitions: independent samples of so many clusters.
        renderings: how many training and held-out renderings each repetition draws, with
            replacement and by their weights, for all of its clusters; by default all are played.
        known: further fields of the `ClusterSample`.

    Raises:
        ValueError: naming the argument and its value.
    """
    family, mdp = world.problem.renderings, world.problem.mdp
    assert isinstance(mdp, FiniteMDP)
    policy = np.asarray(policy, dtype=np.float64)
    expected = (len(family.train_mask), *world.next_state.shape)
    if policy.shape != expected:
        raise ValueError(f"policy must have shape {list(expected)}, got {list(policy.shape)}")
    drawn = renderings or (None, None)
    counts = {
        "clusters": clusters,
        "repetitions": repetitions,
        "renderings": min(renderings or [1]),
    }
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    rng = np.random.default_rng(seed)
    weights = family.weights.astype(np.float64)
    train, heldout = np.flatnonzero(family.train_mask), np.flatnonzero(~family.train_mask)
    train_weights = _rendering_weights(rng, weights[train], drawn[0], repetitions)
    heldout_weights = _rendering_weights(rng, weights[heldout], drawn[1], repetitions)
    distance = total_variation(policy[train][:, None], policy[heldout][None])  # [T, H, S]
    distance = np.einsum("rh,ths->rts", heldout_weights, distance)

    shape = (repetitions, clusters)
    f = _choose(rng, train_weights, clusters)
    other = heldout[_choose(rng, heldout_weights, clusters)]
    start = rng.integers(len(mdp.initial), size=shape)  # the grid's initial distribution is uniform
    discount = float(mdp.discount)
    played = np.stack([train[f], other])
    row = np.arange(repetitions)[:, None]
    returns, tv_sum = np.zeros((2, *shape)), np.zeros(shape)
    visits, tv_on_visits, inside = np.zeros(shape), np.zeros(shape), np.ones(shape, dtype=bool)
    factor = 1.0
    for step in walk(world, policy, played, np.stack([start, start]), horizon(discount), rng):
        tv = distance[row, f, step.state[0]]
        returns += factor * step.leaves
        tv_sum += factor * tv
        visits += inside
        tv_on_visits += inside * tv
        inside &= ~step.leaves[0]
        factor *= discount
    low, high = mdp.reward_bounds.astype(np.float64)
    sample = ClusterSample(
        train_return=returns[0],
        heldout_return=returns[1],
        tv_sum=tv_sum,
        discount=discount,
        reward_range=float(high - low),
        train_mass=float(family.train_mass),
        train_renderings=drawn[0],
        heldout_renderings=drawn[1],
        **known,
    )
    return SampledEpisodes(sample=sample, visits=visits, tv_on_visits=tv_on_visits)


def horizon(discount: float) -> int:
    """Steps after which gamma^t is below `NEGLIGIBLE`."""
    return 1 if discount == 0 else math.ceil(math.log(NEGLIGIBLE) / math.log(discount))


def walk(
    world: PixelGrid,
    policy: np.ndarray,
    rendering: np.ndarray,
    start: np.ndarray,
    steps: int,
    rng: np.random.Generator,
) -> Iterator[Step]:
    """Play many episodes at once, each from its start in its rendering (arrays of one shape)."""
    n_states = len(world.next_state)
    thresholds = policy.cumsum(axis=-1)[..., :-1].reshape(-1, policy.shape[-1] - 1)
    seen_from = rendering * n_states
    state = start
    for _ in range(steps):
        uniform = rng.random(state.shape)
        action = (uniform[..., None] > thresholds[seen_from + state]).sum(axis=-1)
        target = world.next_state[state, action]
        leaves = target < 0
        yield Step(state, leaves)
        state = target  # a new array, as indexing gives
        state[leaves] = rng.integers(n_states, size=int(leaves.sum()))


def _rendering_weights(
    rng: np.random.Generator, weights: np.ndarray, drawn: int | None, repetitions: int
) -> np.ndarray:
    """Probabilities of the renderings in each repetition, [repetition, rendering]."""
    weights = weights / weights.sum()
    if drawn is None:
        return np.broadcast_to(weights, (repetitions, len(weights)))
    return rng.multinomial(drawn, weights, size=repetitions) / drawn


def _choose(rng: np.random.Generator, weights: np.ndarray, clusters: int) -> np.ndarray:
    """Indices by weight, [repetition, cluster]."""
    thresholds = weights.cumsum(axis=-1)[:, None, :-1]
    return (rng.random((len(weights), clusters, 1)) > thresholds).sum(axis=-1)
