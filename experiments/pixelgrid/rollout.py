"""Rollouts in a finite world drawn in pixels, all seeds, agents and environments at once.

The networks do not change during a rollout and the training observations are finite, so the
policy's table over them is computed once and acting is looking it up.  The random numbers of
seed k and update u come from their own stream: a run can stop and resume anywhere, and its
seeds do not influence each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rollout:
    """One rollout; integer and float tensors of shape [t, seed, agent, env].

    observation is the index f·S + s of what was seen, next_observation of what came then.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor


@dataclass(frozen=True, eq=False)
class RandomNumbers:
    """All random numbers of one update: uniforms, and one permutation per epoch.

    start [seed, agent, env, 2], steps [t, seed, agent, env, 2],
    permutations [epoch, seed, agent, samples].
    """

    start: Tensor
    steps: Tensor
    permutations: Tensor


def draw(
    seeds: list[int], update: int, *, agents: int, n_envs: int, n_steps: int, epochs: int
) -> RandomNumbers:
    """The random numbers of an update: a function of each seed and the update's number alone."""
    start, steps, permutations = [], [], []
    for seed in seeds:
        rng = np.random.default_rng([seed, update])
        start.append(rng.random((agents, n_envs, 2)))
        steps.append(rng.random((n_steps, agents, n_envs, 2)))
        order = np.arange(n_envs * n_steps)
        order = np.broadcast_to(order, (epochs, agents, n_envs * n_steps))
        permutations.append(rng.permuted(order, axis=-1))
    return RandomNumbers(
        start=torch.from_numpy(np.stack(start)),
        steps=torch.from_numpy(np.stack(steps, axis=1)),
        permutations=torch.from_numpy(np.stack(permutations, axis=1)),
    )


def collect(
    policy: Tensor, next_state: Tensor, n_train: int, random_numbers: RandomNumbers
) -> Rollout:
    """Act for one rollout, each environment in its own training rendering.

    Args:
        policy: probabilities over training observations, [seed, agent, n_train·S, A].
        next_state: [seed, S, A]; −1 leaves the maze, pays 1 and restarts in a uniform state.
        n_train: number of training renderings, drawn uniformly at the start.
        random_numbers: of this update.
    """
    n_states = next_state.shape[1]
    cumulative = policy.cumsum(dim=-1)
    seed = torch.arange(policy.shape[0])[:, None, None]
    agent = torch.arange(policy.shape[1])[None, :, None]
    rendering = _uniform_index(random_numbers.start[..., 0], n_train)
    state = _uniform_index(random_numbers.start[..., 1], n_states)
    seen, acted, paid, reached = [], [], [], []
    for uniform in random_numbers.steps:
        observation = rendering * n_states + state
        thresholds = cumulative[seed, agent, observation]
        action = (uniform[..., :1] > thresholds[..., :-1]).sum(dim=-1)
        target = next_state[seed, state, action]
        left = target < 0
        state = torch.where(left, _uniform_index(uniform[..., 1], n_states), target)
        seen.append(observation)
        acted.append(action)
        paid.append(left.to(policy.dtype))
        reached.append(rendering * n_states + state)
    return Rollout(
        observation=torch.stack(seen),
        action=torch.stack(acted),
        reward=torch.stack(paid),
        next_observation=torch.stack(reached),
    )


def _uniform_index(uniform: Tensor, n: int) -> Tensor:
    """Uniform numbers in [0, 1) to integers 0 to n − 1."""
    return (uniform * n).long().clamp(max=n - 1)
