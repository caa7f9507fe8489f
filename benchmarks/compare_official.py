"""Training against the official code of arXiv 2501.02481: the same work, machine and run.

    python benchmarks/compare_official.py --official PATH

PATH is a checkout of the official repository, which is imported, never copied.  Each side runs with
the switches that its own main program sets.  The official side gets our games behind the interface
of gym 0.23's wrappers, and a log that keeps numbers instead of writing files; both cost less than
what its main program uses.  Neither side saves anything or, without `--with-evaluation`, evaluates.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal
from unittest import mock

import numpy as np
import torch
import tyro
from gymnasium import spaces
from torch import Tensor

from experiments.config import changed_flags, require_within
from experiments.envs.procgen import N_ACTIONS, LevelSet, ProcgenVectorEnv
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.evaluate import OFFICIAL_ENVS, OFFICIAL_SEED, TrainingEvaluations
from experiments.procgen.learner import LOSS_METRICS, Learner, Samples
from experiments.procgen.rollout import Collector, RewardNormalizer, env_seed
from experiments.procgen.train import build_learner, pick_device, train_once
from experiments.progress import tracked
from mdtheory import files

OFFICIAL_URL = "https://github.com/MyRepositories-hub/Mutual-Distillation-Policy-Optimization"
MODULES = ("model", "buffer", "agent", "trainer")
SIDES = ("official", "ours")
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

MEMORY_STEPS = 2
"""Gradient steps of a memory measurement: the first one allocates Adam's state."""

_MEMORY_OF = "--memory-of"
"""First argument, before a side, of the processes that measure memory."""

_PAPER = ProcgenConfig()


# ---- what is asked for


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line."""

    official: Path
    """A checkout of the official repository."""
    what: Literal["all", "update", "memory", "end-to-end"] = "all"
    """update: one gradient step of both agents, once it is sure that both sides compute the same.
    memory: of a process that holds a rollout and makes two gradient steps. end-to-end: whole
    iterations, both agents' rollouts and all gradient steps."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where both sides' networks are."""
    precision: Literal["float32", "tf32", "bfloat16"] = _PAPER.precision
    """Arithmetic of our timed side. The official one computes in PyTorch's default, on GPUs tf32
    for convolutions, but in float32 throughout if this is float32. On CPUs tf32 is float32."""
    repeats: int = 3
    """Timed runs of each side, in turn; the median counts."""
    warm_ups: int = 1
    """Untimed runs of each side before them."""
    scale: int = 1
    """N for an end-to-end rollout of 1/N of the official steps; up to 8, its minibatches stay of
    the official size."""
    with_evaluation: bool = False
    """End each end-to-end iteration with the official evaluation: per agent, the first ten episodes
    to finish in four environments."""
    env: str = _PAPER.env
    """procgen: and one of the sixteen games."""
    envs: int = _PAPER.n_envs
    """Environments per agent."""
    minibatch: int = _PAPER.samples // _PAPER.minibatches
    """Samples per agent in a gradient step."""
    threads: int | None = None
    """Threads of PyTorch; by default its own choice."""
    output: Path | None = None
    """Write all numbers to this new JSON file."""

    def check(self) -> None:
        """Raise ValueError or FileExistsError, naming the flag, for what cannot be done."""
        require_within(
            self,
            {
                "repeats": (1, 10**6),
                "warm_ups": (0, 10**6),
                "scale": (1, _PAPER.rollout_steps),
                "envs": (1, 10**5),
                "minibatch": (2, 10**9),
            },
        )
        if self.threads is not None:
            require_within(self, {"threads": (1, 1024)})
        if self.minibatch % self.envs:
            raise ValueError(
                f"minibatch must be a multiple of envs = {self.envs}, got {self.minibatch}"
            )
        if _PAPER.rollout_steps % self.scale:
            raise ValueError(f"scale must divide {_PAPER.rollout_steps} steps, got {self.scale}")
        for config in (self.step_config, self.rollout_config, self.scaled_config):
            pick_device(config)
        if self.output is not None:
            files.new_file(self.output, force=False)
            if not self.output.parent.is_dir():
                raise ValueError(f"output must be in a folder that exists, got {self.output}")

    def does(self, work: str) -> bool:
        return self.what in ("all", work)

    def _config(self, steps: int, **changes: Any) -> ProcgenConfig:
        """The paper's, of this many steps; one smaller minibatch if they do not fill one."""
        samples = self.envs * steps
        if samples > self.minibatch and samples % self.minibatch:
            raise ValueError(
                f"minibatch must divide {self.envs} environments * {steps} steps = {samples},"
                f" got {self.minibatch}"
            )
        return dataclasses.replace(
            _PAPER,
            env=self.env,
            n_envs=self.envs,
            rollout_steps=steps,
            minibatches=max(1, samples // self.minibatch),
            precision=self.precision,
            device=self.device,
            **changes,
        )

    @property
    def step_config(self) -> ProcgenConfig:
        """A rollout of one minibatch, gone through once."""
        return self._config(self.minibatch // self.envs, epochs=1)

    @property
    def rollout_config(self) -> ProcgenConfig:
        """The official rollout."""
        return self._config(_PAPER.rollout_steps)

    @property
    def scaled_config(self) -> ProcgenConfig:
        """A rollout of fewer steps."""
        return self._config(_PAPER.rollout_steps // self.scale)

    @property
    def departures(self) -> list[str]:
        """What is not of the official size."""
        parts, default = [], Options(official=self.official)
        if self.envs != default.envs:
            parts.append(f"{self.envs} of {default.envs} environments per agent")
        if self.minibatch != default.minibatch:
            parts.append(f"minibatches of {self.minibatch} of {default.minibatch} samples")
        if self.scale > 1 and self.does("end-to-end"):
            scaled = self.scaled_config
            parts.append(
                f"end-to-end rollouts of {scaled.rollout_steps} of {_PAPER.rollout_steps} steps in"
                f" {scaled.minibatches} minibatches of {minibatch_size(scaled)} samples"
            )
        return parts


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
    use_arithmetic("official", config.precision)
    norms = gradient_norms(official.trainer.train)
    use_arithmetic("ours", config.precision)
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


def use_arithmetic(side: str, precision: str) -> None:
    """PyTorch's switches as each side's own main program leaves them; both exact for float32."""
    torch.backends.cudnn.deterministic = side == "official"
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    tf32 = side == "ours" and precision != "float32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")


# ---- the comparisons


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison: a number per repeat and side, in `unit`."""

    work: str
    unit: str
    official: list[float]
    ours: list[float]

    @property
    def medians(self) -> tuple[float, float]:
        """Of the official side and of ours."""
        return statistics.median(self.official), statistics.median(self.ours)

    @property
    def ratio(self) -> float:
        """How many times better ours is: faster or, of memory, less."""
        official, ours = self.medians
        return ours / official if self.unit.endswith("/s") else official / ours

    def to_json(self) -> dict[str, Any]:
        official, ours = self.medians
        return {
            **dataclasses.asdict(self),
            "official_median": official,
            "ours_median": ours,
            "ratio": self.ratio,
        }


def compare_update(options: Options, code: OfficialCode) -> Row:
    config, device = options.step_config, pick_device(options.step_config)
    official, learner = filled_run(code, config, device), build_learner(config, device)
    samples = our_samples(config, device)
    seconds = in_turn(
        {"official": official.trainer.train, "ours": lambda: our_step(learner, samples, config)},
        options,
        device,
        "update",
    )
    size = f"{config.agents} agents x {config.samples:,} samples"
    return Row(work=f"update: one gradient step, {size}", unit="s", **seconds)


def compare_end_to_end(options: Options, code: OfficialCode) -> Row:
    config, device = options.scaled_config, pick_device(options.scaled_config)
    sides: dict[str, Any] = {
        "official": OfficialIterations(code, config, device, evaluate=options.with_evaluation),
        "ours": OurIterations(config, device, evaluate=options.with_evaluation),
    }
    works = {side: iterations.iterate for side, iterations in sides.items()}
    seconds = in_turn(works, options, device, "end-to-end")
    for iterations in sides.values():
        iterations.close()
    steps = config.agents * config.samples
    n_steps = config.epochs * config.minibatches
    work = f"end-to-end: {config.game}, {steps:,} environment steps, {n_steps} gradient steps"
    return Row(
        work=work + (" and official evaluation" if options.with_evaluation else ""),
        unit="steps/s",
        **{side: [steps / s for s in values] for side, values in seconds.items()},
    )


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


class OurIterations:
    """What `train` repeats, without log files and checkpoints."""

    def __init__(self, config: ProcgenConfig, device: torch.device, *, evaluate: bool) -> None:
        self.config, self.evaluate, self.count = config, evaluate, 0
        self.learner, self.collector = build_learner(config, device), Collector(config, device)
        self.evaluations = TrainingEvaluations(config)

    def iterate(self) -> None:
        train_once(self.config, self.learner, self.collector, self.count)
        self.count += 1
        if self.evaluate:
            self.evaluations.line(self.learner.networks, self.count)

    def close(self) -> None:
        self.evaluations.close()
        self.collector.close()


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


def in_turn(
    works: Mapping[str, Callable[[], object]], options: Options, device: torch.device, name: str
) -> dict[str, list[float]]:
    """Seconds by side and repeat: official, ours, official, ours, and so on; without warm-ups."""
    seconds: dict[str, list[float]] = {side: [] for side in works}
    total = options.warm_ups + options.repeats
    for _ in tracked(range(total), done=0, total=total, label=name):
        for side, work in works.items():
            use_arithmetic(side, options.precision)
            _synchronize(device)
            start = time.perf_counter()
            work()
            _synchronize(device)
            seconds[side].append(time.perf_counter() - start)
    return {side: values[options.warm_ups :] for side, values in seconds.items()}


def compare_memory(options: Options) -> list[Row]:
    """Host and, on a GPU, device memory in GiB, each side in a process of its own."""
    config = options.rollout_config
    peaks = {side: _memory_of(side, options) for side in SIDES}
    size = (
        f"{config.rollout_steps} steps x {config.n_envs} environments x {config.agents} agents, "
        f"minibatch {minibatch_size(config):,}"
    )
    rows = [
        Row(
            work=f"memory beyond the imports: {size}",
            unit="GiB",
            **{side: [p["peak"] - p["baseline"]] for side, p in peaks.items()},
        )
    ]
    if options.device == "cuda":
        gpu = {side: [p["gpu"]] for side, p in peaks.items()}
        rows.append(Row(work="memory of the GPU in tensors: the same", unit="GiB", **gpu))
    return rows


def _memory_of(side: str, options: Options) -> dict[str, float]:
    """`measure_memory` in a process of its own."""
    flags = changed_flags(options, Options(official=options.official))
    done = subprocess.run(
        [sys.executable, __file__, _MEMORY_OF, side, f"--official={options.official}", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ArithmeticError(
            f"the process for the memory of {side} ended with {done.returncode}: {words}"
        )
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def measure_memory(side: str, options: Options) -> dict[str, float]:
    """GiB of this process: at most, after imports, and in tensors on the GPU (0 without one)."""
    config, device = options.rollout_config, pick_device(options.rollout_config)
    code = load_official(options.official)
    torch.zeros(1, device=device)  # which loads CUDA
    baseline = resident_peak()
    use_arithmetic(side, options.precision)
    n_steps = min(MEMORY_STEPS, config.minibatches)
    n_samples = n_steps * minibatch_size(config)
    if side == "official":
        official = filled_run(code, config, device)
        official.args.batch_size, official.args.update_epochs = n_samples, 1
        official.trainer.train()
    else:
        learner, samples = build_learner(config, device), our_samples(config, device)
        learner.networks.train()
        order = torch.randperm(config.samples, device=device)[:n_samples]
        for index in order.expand(config.agents, -1).chunk(n_steps, dim=-1):
            learner.gradient_step(samples, index, config.distill_coef)
    _synchronize(device)
    gpu = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"peak": resident_peak(), "baseline": baseline, "gpu": gpu}


def resident_peak() -> float:
    """The largest resident memory of this program so far, in GiB.

    getrusage's ru_maxrss would not do: a new process takes over that of the one that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) / 2**20


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


# ---- what is shown


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def circumstances(options: Options, arguments: Sequence[str]) -> dict[str, Any]:
    """Everything beside the numbers that a reader needs to repeat them."""
    return {
        "command": shlex.join(["python", "benchmarks/compare_official.py", *arguments]),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": device_name(options.device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "precision": options.precision,
        "load_average_before": os.getloadavg()[0],
        "departures": options.departures,
    }


def as_text(about: dict[str, Any], same: Agreement | None, rows: Sequence[Row]) -> str:
    """The circumstances, what agrees, and the table."""
    lines = [
        about["command"],
        f"{about['date']}; {about['device']}; Python {about['python']}, torch {about['torch']},"
        f" numpy {about['numpy']}; {about['threads']} threads; ours in {about['precision']}",
        f"load average {about['load_average_before']:.2f} before,"
        f" {about['load_average_after']:.2f} after",
        f"not of the official size: {'; '.join(about['departures'])}"
        if about["departures"]
        else "of the official size",
    ]
    if same is not None:
        lines.append(f"one gradient step in float32 differs, relatively, by {same}")
    cells = [("work", "official", "ours", "ratio")]
    cells += [
        (row.work, _spread(row.official, row.unit), _spread(row.ours, row.unit), f"{row.ratio:.2f}")
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    lines.append("medians (smallest to largest); ratio: how many times faster or smaller ours is")
    return "\n".join(lines)


def _spread(values: Sequence[float], unit: str) -> str:
    middle = f"{_digits(statistics.median(values))} {unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({_digits(min(values))} to {_digits(max(values))})"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def compare(options: Options, arguments: Sequence[str]) -> None:
    """Run what is asked for; print it, and write it to the output."""
    code = load_official(options.official)
    about = circumstances(options, arguments)
    same, rows = None, list[Row]()
    if options.does("update"):
        same = agreement(code, options.step_config, pick_device(options.step_config))
        same.require()
        rows.append(compare_update(options, code))
    if options.does("memory"):
        rows += compare_memory(options)
    if options.does("end-to-end"):
        rows.append(compare_end_to_end(options, code))
    about["load_average_after"] = os.getloadavg()[0]
    print(as_text(about, same, rows))
    if options.output is not None:
        content = {
            **about,
            "agreement": same and dataclasses.asdict(same),
            "rows": [row.to_json() for row in rows],
        }
        files.write_atomically(options.output, (json.dumps(content, indent=2) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 2 for bad input, 1 if a comparison failed."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    side = arguments[1] if arguments[:1] == [_MEMORY_OF] else None
    options = tyro.cli(
        Options,
        prog="compare_official.py",
        description="Speed and memory of training, beside the official code's.",
        args=arguments if side is None else arguments[2:],
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        options.check()
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if side is not None:
            print(json.dumps(measure_memory(side, options)))
        else:
            compare(options, arguments)
    except (ValueError, OSError, ArithmeticError) as error:
        print(f"compare_official.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, ArithmeticError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
