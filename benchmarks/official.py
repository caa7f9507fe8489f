"""The official code of arXiv 2501.02481, loaded from a checkout and built on our games.

Also whether it computes the same as ours: one gradient step of both sides from the same weights on
the same samples.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from experiments.envs.procgen import N_ACTIONS, LevelSet, ProcgenVectorEnv
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.learner import LOSS_METRICS, Learner, Samples, use_arithmetic
from experiments.procgen.official import OFFICIAL_ENVS, OFFICIAL_SEED
from experiments.procgen.rollout import RewardNormalizer, env_seed
from experiments.procgen.train import build_learner

OFFICIAL_URL = "https://github.com/MyRepositories-hub/Mutual-Distillation-Policy-Optimization"
MODULES = ("model", "buffer", "agent", "trainer")
TOLERANCE = 1e-3
"""Largest relative difference after one step that rounding may explain."""

LOSS_TAGS = {
    "policy_loss": "losses/policy_loss",
    "value_loss": "losses/value_loss",
    "entropy": "losses/entropy",
    "distillation_loss": "losses/kl_divergence",
}
"""Our names of the losses, and those under which the official code logs them."""

PROCGEN_THREADS = 4
"""Procgen's own default, which the official code leaves as it is."""


def minibatch_size(config: ProcgenConfig) -> int:
    """Samples per agent in a gradient step."""
    return config.samples // config.minibatches


# ---- the official code


@dataclass(frozen=True, eq=False)
class OfficialCode:
    """The two classes that its main program uses."""

    agent: Callable[..., Any]
    trainer: Callable[..., Any]


def load_official(path: Path) -> OfficialCode:
    """Import the official code from a checkout.

    Raises:
        ValueError: the folder does not hold it.
    """
    wanted = f"--official must be a checkout of {OFFICIAL_URL}"
    lacking = [f"{name}.py" for name in MODULES if not (path / f"{name}.py").is_file()]
    if lacking:
        raise ValueError(f"{wanted}: {path} has no {', '.join(lacking)}")
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(path.resolve()))
    try:
        modules = {name: importlib.import_module(name) for name in MODULES}
        return OfficialCode(modules["agent"].Agent, modules["trainer"].Trainer)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ValueError(f"{wanted}: {path} does not import: {error}") from error
    finally:
        sys.path.remove(str(path.resolve()))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def official_args(config: ProcgenConfig) -> SimpleNamespace:
    """The official code's settings that say the same as a configuration."""
    return SimpleNamespace(
        num_envs=config.n_envs,
        num_steps=config.rollout_steps,
        batch_size=config.samples,
        minibatch_size=minibatch_size(config),
        update_epochs=config.epochs,
        gamma=config.discount,
        gae_lambda=config.gae_lambda,
        norm_adv=config.normalize_advantages,
        clip_value_loss=config.clip_value_loss,
        c_1=config.value_coef,
        c_2=config.entropy_coef,
        alpha=config.distill_coef,
        max_grad_norm=config.max_grad_norm,
        epsilon=config.clip,
    )


class Log:
    """In place of a TensorBoard writer: keeps the last number of each name."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.last[name] = float(value)


class BlankEnv:
    """Environments that are only looked at: black pictures."""

    single_observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    single_action_space = spaces.Discrete(N_ACTIONS)

    def __init__(self, n_envs: int) -> None:
        self.n_envs = n_envs

    def reset(self) -> np.ndarray:
        return np.zeros((self.n_envs, 64, 64, 3), dtype=np.uint8)


class GymStyleEnv:
    """`ProcgenVectorEnv` as gym 0.23's wrappers would show it to the official code.

    Pictures alone as observations, steps of four values, one info per environment with the return
    and length of an episode that just ended, rewards normalized.

    Args:
        env: the games.
        normalize: of the rewards; the official evaluation normalizes too, and reports raw returns.
    """

    def __init__(self, env: ProcgenVectorEnv, normalize: RewardNormalizer) -> None:
        self.env, self.normalize = env, normalize
        self.single_observation_space = env.single_observation_space
        self.single_action_space = env.single_action_space
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs, dtype=np.int64)

    def reset(self) -> np.ndarray:
        """Observations uint8 [env, 64, 64, 3]."""
        self.returns[:], self.lengths[:] = 0.0, 0
        return self.env.reset()[0]

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Observations, normalized rewards float64 [env], ends bool [env], infos."""
        seen, reward, terminated, truncated, _ = self.env.step(actions)
        done = terminated | truncated
        self.returns += reward
        self.lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in done]
        for i in np.flatnonzero(done):
            infos[i]["episode"] = {"r": float(self.returns[i]), "l": int(self.lengths[i])}
        self.returns[done], self.lengths[done] = 0.0, 0
        return seen, self.normalize(reward, done), done, infos

    def close(self) -> None:
        self.env.close()


def official_env(config: ProcgenConfig, n_envs: int, levels: LevelSet, seed: int) -> GymStyleEnv:
    """Games as the official main program makes them."""
    env = ProcgenVectorEnv(
        config.game,
        n_envs,
        levels=levels,
        seed=seed,
        options=config.options,
        num_threads=PROCGEN_THREADS,
        copy=False,  # the official code copies into float32 at once
    )
    return GymStyleEnv(env, RewardNormalizer(n_envs, config.discount, config.reward_clip))


@dataclass(frozen=True, eq=False)
class OfficialRun:
    """Agents, logs and trainer, built as the official main program does."""

    args: SimpleNamespace
    agents: list[Any]
    logs: list[Log]
    trainer: Any


def build_official(
    code: OfficialCode, config: ProcgenConfig, device: torch.device, envs: Sequence[Any]
) -> OfficialRun:
    args = official_args(config)
    logs = [Log() for _ in envs]
    agents = [
        code.agent(args, env, log, device).to(device) for env, log in zip(envs, logs, strict=True)
    ]
    optimizer = torch.optim.Adam(
        [weight for agent in agents for weight in agent.parameters()],
        lr=config.learning_rate,
        eps=config.adam_eps,
    )
    return OfficialRun(args, agents, logs, code.trainer(args, optimizer, *agents))


class OfficialIterations:
    """What the official main program repeats: rollouts one after the other, then gradient steps."""

    def __init__(
        self, code: OfficialCode, config: ProcgenConfig, device: torch.device, *, evaluate: bool
    ) -> None:
        self.config, self.evaluate, self.count = config, evaluate, 0
        torch.manual_seed(config.seed)
        np.random.seed(config.seed)  # noqa: NPY002 (which the official code draws from)
        self.envs = [
            official_env(config, config.n_envs, config.levels.train, env_seed(config, agent))
            for agent in range(config.agents)
        ]
        self.official = build_official(code, config, device, self.envs)

    def iterate(self) -> None:
        self.count += 1
        with warnings.catch_warnings():
            # It logs the mean of no returns where no episode ended in a short rollout.
            warnings.simplefilter("ignore", RuntimeWarning)
            for agent in self.official.agents:
                agent.interaction(self.count)
        self.official.trainer.train()
        for agent in self.official.agents if self.evaluate else ():
            env = official_env(self.config, OFFICIAL_ENVS, LevelSet(), OFFICIAL_SEED)
            agent.evaluation(env, self.count)
            env.close()

    def close(self) -> None:
        for env in self.envs:
            env.close()


# ---- the same data and weights on both sides


def filled_run(code: OfficialCode, config: ProcgenConfig, device: torch.device) -> OfficialRun:
    """The official side with buffers full of the samples of `our_samples`."""
    envs = [BlankEnv(config.n_envs) for _ in range(config.agents)]
    official = build_official(code, config, device, envs)
    for k, agent in enumerate(official.agents):
        advantage = torch.zeros(config.rollout_steps, config.n_envs, device=device)
        going_on = torch.zeros(config.n_envs, device=device)
        for t, step in enumerate(artificial_steps(config, k)):
            on_device = {name: tensor.to(device) for name, tensor in step.items()}
            agent.buffer.push(
                on_device["observation"].float(),
                on_device["action"],
                on_device["log_prob"],
                on_device["value"],
                on_device["advantage"],  # as rewards, which gradient steps do not look at
                going_on,
            )
            advantage[t] = on_device["advantage"]
        agent.advantages = advantage.flatten()
        agent.returns = (advantage + agent.buffer.values).flatten()
    return official


def our_samples(config: ProcgenConfig, device: torch.device) -> Samples:
    """What `prepare` makes of a rollout."""
    shape = (config.agents, config.rollout_steps, config.n_envs)
    samples = {
        "observation": torch.zeros(*shape, 64, 64, 3, dtype=torch.uint8, device=device),
        "action": torch.zeros(shape, dtype=torch.int64, device=device),
        **{name: torch.zeros(shape, device=device) for name in ("log_prob", "value", "advantage")},
    }
    for k in range(config.agents):
        for t, step in enumerate(artificial_steps(config, k)):
            for name, tensor in step.items():
                samples[name][k, t] = tensor.to(device)
    samples["target"] = samples["advantage"] + samples["value"]
    return {name: tensor.flatten(1, 2) for name, tensor in samples.items()}


def artificial_steps(config: ProcgenConfig, agent: int) -> Iterator[dict[str, Tensor]]:
    """Pictures of coloured squares, and numbers of a likely size, step by step."""
    rng = np.random.default_rng([config.seed, agent])
    n = config.n_envs
    for _ in range(config.rollout_steps):
        squares = rng.integers(256, size=(n, 8, 8, 3), dtype=np.uint8)
        yield {
            "observation": torch.from_numpy(squares.repeat(8, axis=1).repeat(8, axis=2)),
            "action": torch.from_numpy(rng.integers(N_ACTIONS, size=n)),
            "log_prob": torch.from_numpy(rng.normal(-np.log(N_ACTIONS), 0.3, size=n)).float(),
            "value": torch.from_numpy(rng.normal(size=n)).float(),
            "advantage": torch.from_numpy(rng.normal(size=n)).float(),
        }


@torch.no_grad()
def share_weights(learner: Learner, official: OfficialRun) -> None:
    """Give the official agents our weights, their heads no longer those of a beginner.

    Both networks have the same layers in the same order.
    """
    for network, agent in zip(learner.networks, official.agents, strict=True):
        network.policy.weight.mul_(100)
        network.policy.bias.copy_(torch.linspace(-1, 1, N_ACTIONS))
        network.value.bias.fill_(0.5)
        ours, theirs = list(network.parameters()), list(agent.parameters())
        if [weight.shape for weight in theirs] != [weight.shape for weight in ours]:
            raise ArithmeticError("the official network has other layers than ours")
        for weight, mine in zip(theirs, ours, strict=True):
            weight.copy_(mine)


def weights_of(modules: Iterable[torch.nn.Module]) -> list[Tensor]:
    return [weight.detach().cpu().clone() for module in modules for weight in module.parameters()]


# ---- whether both sides compute the same thing


@dataclass(frozen=True)
class Agreement:
    """Relative differences after one gradient step in float32: the largest of a loss; of the norm
    of an agent's gradient, which neither the weights nor Adam's first step show; of a weight,
    relative to its tensor's largest; and that of the change of all weights, as a norm."""

    losses: float
    gradients: float
    weights: float
    change: float

    def __str__(self) -> str:
        return (
            f"{self.losses:.1e} in losses, {self.gradients:.1e} in gradient norms,"
            f" {self.weights:.1e} in weights, {self.change:.1e} in the change of weights"
        )

    def require(self) -> None:
        """Raise ArithmeticError if the comparison would not be one of the same work."""
        if not all(difference <= TOLERANCE for difference in dataclasses.astuple(self)):
            raise ArithmeticError(
                f"one gradient step of both sides must agree to {TOLERANCE:g}, got {self}"
            )


def agreement(code: OfficialCode, config: ProcgenConfig, device: torch.device) -> Agreement:
    """One gradient step of both sides from the same weights on the same samples, in float32.

    config: of one minibatch.
    """
    config = dataclasses.replace(config, precision="float32")
    learner, official = build_learner(config, device), filled_run(code, config, device)
    share_weights(learner, official)
    before = weights_of(learner.networks)
    use_arithmetic_of("official", config)
    norms = gradient_norms(official.trainer.train)
    use_arithmetic_of("ours", config)
    metrics = our_step(learner, our_samples(config, device), config).cpu()
    metric = dict(zip(LOSS_METRICS, metrics, strict=True))
    theirs, ours = weights_of(official.agents), weights_of(learner.networks)
    our_change = torch.cat([(b - w).flatten() for b, w in zip(ours, before, strict=True)])
    difference = torch.cat([(a - b).flatten() for a, b in zip(theirs, ours, strict=True)])
    losses = [
        relative_difference(torch.tensor(log.last[tag]), metric[name][k])
        for k, log in enumerate(official.logs)
        for name, tag in LOSS_TAGS.items()
    ]
    pairs = zip(norms, metric["grad_norm"], strict=True)
    return Agreement(
        losses=max(losses),
        gradients=max(relative_difference(a, b) for a, b in pairs),
        weights=max(relative_difference(a, b) for a, b in zip(theirs, ours, strict=True)),
        change=float(difference.norm() / our_change.norm()),
    )


def gradient_norms(step: Callable[[], object]) -> list[Tensor]:
    """Norms of gradients before they are clipped, by agent, in a step that does not tell them."""
    norms, clip = list[Tensor](), torch.nn.utils.clip_grad_norm_

    def note(*arguments: Any, **options: Any) -> Tensor:
        norms.append(clip(*arguments, **options).detach().cpu())
        return norms[-1]

    with mock.patch.object(torch.nn.utils, "clip_grad_norm_", note):
        step()
    return norms


def relative_difference(a: Tensor, b: Tensor) -> float:
    """Largest difference of two tensors, relative to the largest entry of either."""
    return float((a - b).abs().max() / torch.maximum(a.abs().max(), b.abs().max()))


def our_step(learner: Learner, samples: Samples, config: ProcgenConfig) -> Tensor:
    """One gradient step on all samples; LOSS_METRICS, [metric, agent]."""
    learner.networks.train()
    order = torch.randperm(config.samples, device=learner.device)
    return learner.gradient_step(samples, order.expand(config.agents, -1), config.distill_coef)


def use_arithmetic_of(side: str, config: ProcgenConfig) -> None:
    """PyTorch's switches as each side's own main program leaves them; both exact for float32."""
    use_arithmetic(config)
    torch.backends.cudnn.deterministic = side == "official"
    if side == "official":
        torch.set_float32_matmul_precision("highest")
