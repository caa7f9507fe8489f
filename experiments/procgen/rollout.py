"""Rollouts of all agents, each in its own environments, stepped while the others think.

While the library's threads step one agent's environments, the next agent's network chooses its
actions.  Observations stay uint8 until the network.  All random numbers of an update are a function
of the run's seed and the update's number, so that a checkpoint needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from experiments.envs.procgen.rendered import MixedGames
from experiments.procgen.config import ProcgenConfig

_TRAINING = 1
"""Keeps the random numbers of training apart from those of evaluations."""

Actor = Callable[[int, Tensor, Tensor], tuple[Tensor, ...]]
"""Agent, observations [env, 64, 64, 3] and uniforms [env] to actions, their log-probabilities and
values, [env] each."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """One rollout of all agents, on the networks' device.

    observation uint8 [agent, t, env, 64, 64, 3]; action, log_prob, value, reward (normalized) and
    done (the step ended an episode) [agent, t, env]; last_value [agent, env] is the value of what
    is seen after the last step.
    """

    observation: Tensor
    action: Tensor
    log_prob: Tensor
    value: Tensor
    reward: Tensor
    done: Tensor
    last_value: Tensor


@dataclass(frozen=True)
class Episodes:
    """One agent's episodes that ended in one rollout: undiscounted, unnormalized returns."""

    returns: list[float]
    lengths: list[int]


@dataclass(frozen=True, eq=False)
class RandomNumbers:
    """All of one update: uniforms [t, agent, env] for actions, permutations [epoch, agent, sample],
    and a seed for dropout."""

    uniforms: Tensor
    permutations: Tensor
    dropout_seed: int


def draw(config: ProcgenConfig, update: int) -> RandomNumbers:
    """The random numbers of an update: a function of seed and update, and for each agent of its
    number, not of how many others there are."""
    streams = [
        np.random.default_rng([config.seed, update, k, _TRAINING]) for k in range(config.agents)
    ]
    shape = (config.rollout_steps, config.n_envs)
    uniforms = np.stack([rng.random(shape, dtype=np.float32) for rng in streams], axis=1)
    order = np.tile(np.arange(config.samples), (config.epochs, 1))
    own = [rng.permuted(order, axis=-1) for rng in streams]
    shared = config.minibatch_order == "shared"
    permutations = np.stack([own[0] if shared else mine for mine in own], axis=1)
    return RandomNumbers(
        uniforms=torch.from_numpy(uniforms),
        permutations=torch.from_numpy(permutations),
        dropout_seed=int(streams[0].integers(2**62)),
    )


def choose(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Actions [n] by inverting the distribution function of softmax(logits [n, A]) at the uniforms
    [n], and their log-probabilities [n]."""
    log_p = torch.log_softmax(logits.float(), dim=-1)
    upto = log_p.exp().cumsum(dim=-1)
    drawn = uniform.unsqueeze(-1) * upto[:, -1:]  # rounding leaves the sum a little beside 1
    action = (drawn >= upto[:, :-1]).sum(dim=-1)
    return action, log_p.gather(-1, action.unsqueeze(-1)).squeeze(-1)


class RewardNormalizer:
    """Divides rewards by the running standard deviation of the discounted return, then clips.

    The returns, [env], start anew with each episode; mean and variance are those of all returns
    so far, combined by the parallel algorithm of Chan et al. (1979), as Gym's NormalizeReward does.
    """

    def __init__(self, n_envs: int, discount: float, clip: float) -> None:
        self.discount, self.clip = discount, clip
        self.returns = np.zeros(n_envs)
        self.mean, self.variance, self.count = 0.0, 1.0, 1e-4

    def __call__(self, reward: np.ndarray, done: np.ndarray) -> np.ndarray:
        """Normalized rewards, float64 [env]; updates the statistics."""
        self.returns = self.returns * self.discount + reward
        n, mean, variance = len(reward), self.returns.mean(), self.returns.var()
        total, shift = self.count + n, mean - self.mean
        spread = self.variance * self.count + variance * n + shift**2 * self.count * n / total
        self.mean += float(shift * n / total)
        self.variance, self.count = float(spread / total), total
        self.returns[done] = 0.0
        return np.clip(reward / np.sqrt(self.variance + 1e-8), -self.clip, self.clip)


class Collector:
    """The environments of all agents and everything about them that a checkpoint must hold."""

    def __init__(self, config: ProcgenConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.envs = [
            MixedGames(
                config.game,
                config.n_envs,
                config.seen_renderings,
                levels=config.levels.train,
                seed=env_seed(config, agent),
                options=config.options,
                num_threads=config.threads,
            )
            for agent in range(config.agents)
        ]
        self.normalizers = [
            RewardNormalizer(config.n_envs, config.discount, config.reward_clip)
            for _ in range(config.agents)
        ]
        self.returns = np.zeros((config.agents, config.n_envs))
        self.lengths = np.zeros((config.agents, config.n_envs), dtype=np.int64)
        for env in self.envs:
            env.reset()
        steps = (config.agents, config.rollout_steps, config.n_envs)
        self._seen = torch.zeros(*steps, 64, 64, 3, dtype=torch.uint8, device=device)
        self._action = torch.zeros(steps, dtype=torch.int64, device=device)
        self._log_prob = torch.zeros(steps, device=device)
        self._value = torch.zeros(steps, device=device)
        on_gpu = device.type == "cuda"
        staging = (config.agents, config.n_envs, 64, 64, 3)
        self._staging = torch.zeros(staging, dtype=torch.uint8, pin_memory=on_gpu)

    def collect(self, act: Actor, uniforms: Tensor) -> tuple[Rollout, list[Episodes]]:
        """One rollout; the tensors are overwritten by the next one."""
        config = self.config
        agents = range(config.agents)
        reward = np.zeros((config.agents, config.rollout_steps, config.n_envs))
        done = np.zeros(reward.shape, dtype=bool)
        ended = [Episodes([], []) for _ in agents]
        uniforms = uniforms.to(self.device)
        for t in range(config.rollout_steps):
            for k in agents:
                if t > 0:
                    reward[k, t - 1], done[k, t - 1] = self._finish_step(k, ended[k])
                self._look(k, self._seen[k, t])
                action, log_prob, value = act(k, self._seen[k, t], uniforms[t, k])
                self._action[k, t], self._log_prob[k, t] = action, log_prob
                self._value[k, t] = value
                self.envs[k].act(action.cpu().numpy())
        last_value = torch.zeros(config.agents, config.n_envs, device=self.device)
        last_seen = torch.zeros_like(self._seen[0, 0])
        for k in agents:
            reward[k, -1], done[k, -1] = self._finish_step(k, ended[k])
            self._look(k, last_seen)
            last_value[k] = act(k, last_seen, uniforms[0, k])[2]
        rollout = Rollout(
            observation=self._seen,
            action=self._action,
            log_prob=self._log_prob,
            value=self._value,
            reward=torch.from_numpy(reward).float().to(self.device),
            done=torch.from_numpy(done).to(self.device),
            last_value=last_value,
        )
        return rollout, ended

    def _look(self, agent: int, into: Tensor) -> None:
        """Copy what an agent's environments show."""
        seen = self.envs[agent].pictures()
        if self.device.type == "cpu":
            into.numpy()[...] = seen
            return
        self._staging[agent].numpy()[...] = seen
        into.copy_(self._staging[agent], non_blocking=True)

    def _finish_step(self, agent: int, ended: Episodes) -> tuple[np.ndarray, np.ndarray]:
        """Wait for an agent's environments: rewards as the agent gets them, and ends."""
        reward, terminated, truncated = self.envs[agent].observe()
        done = terminated | truncated
        self.returns[agent] += reward
        self.lengths[agent] += 1
        ended.returns.extend(self.returns[agent][done].tolist())
        ended.lengths.extend(self.lengths[agent][done].tolist())
        self.returns[agent][done], self.lengths[agent][done] = 0.0, 0
        if self.config.normalize_rewards:
            return self.normalizers[agent](reward, done), done
        return reward, done

    def tensors(self) -> dict[str, Tensor]:
        """Everything, for a checkpoint."""
        statistics = [[n.mean, n.variance, n.count] for n in self.normalizers]
        content = {
            "returns": torch.from_numpy(self.returns),
            "lengths": torch.from_numpy(self.lengths),
            "normalizer.returns": torch.from_numpy(np.stack([n.returns for n in self.normalizers])),
            "normalizer.statistics": torch.tensor(statistics, dtype=torch.float64),
        }
        for agent, env in enumerate(self.envs):
            for i, state in enumerate(env.get_state()):
                content[f"state.{agent}.{i}"] = torch.frombuffer(
                    bytearray(state), dtype=torch.uint8
                )
        return content

    def restore(self, content: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.returns[...] = content["returns"].numpy()
        self.lengths[...] = content["lengths"].numpy()
        for k, normalizer in enumerate(self.normalizers):
            normalizer.returns = content["normalizer.returns"][k].numpy().copy()
            mean, variance, count = content["normalizer.statistics"][k].tolist()
            normalizer.mean, normalizer.variance, normalizer.count = mean, variance, count
        for agent, env in enumerate(self.envs):
            states = [content[f"state.{agent}.{i}"] for i in range(self.config.n_envs)]
            env.set_state([state.numpy().tobytes() for state in states])

    def close(self) -> None:
        for env in self.envs:
            env.close()


def env_seed(config: ProcgenConfig, agent: int) -> int:
    """The seed of an agent's environments."""
    return (config.seed + (0 if config.shared_levels else 1_000_003 * agent)) % (2**31 - 1)
