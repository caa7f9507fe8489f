"""Gradient steps: one minibatch of every agent, one loss, one optimizer.

The gradient of a large minibatch is the sum over chunks of it, which is exact and, on a CPU,
several times faster than at once, since the activations of a chunk stay in the cache.
"""

from __future__ import annotations

import copy
import ctypes
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments import losses
from experiments.envs.procgen import N_ACTIONS
from experiments.procgen.config import ProcgenConfig
from experiments.procgen.networks import ImpalaActorCritic
from experiments.procgen.rollout import RandomNumbers, Rollout, choose

LOSS_METRICS = (
    "policy_loss",
    "value_loss",
    "entropy",
    "distillation_loss",
    "approx_kl",
    "clip_fraction",
    "grad_norm",
)
"""Means over an update's gradient steps, by agent. approx_kl and clip_fraction compare the policy
with the one that acted."""

_CPU_CHUNK = 32

Samples = Mapping[str, Tensor]
"""observation uint8 [agent, n, 64, 64, 3]; action, log_prob, value, advantage and target, each
[agent, n]."""


class Networks(nn.ModuleList):
    """The agents' networks, in order."""

    def __iter__(self) -> Iterator[ImpalaActorCritic]:
        return super().__iter__()  # type: ignore[return-value]


def build_networks(config: ProcgenConfig) -> Networks:
    """One network per agent; its initial weights depend on seed and agent alone."""
    return Networks(
        ImpalaActorCritic(
            width=config.width, dropout=config.dropout, seed=1000 * config.seed + agent
        )
        for agent in range(config.agents)
    )


def pick_device(config: ProcgenConfig) -> torch.device:
    """The device of a configuration.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be cpu or auto: PyTorch sees no GPU, got cuda")
    on_gpu = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def machine_name(device: torch.device) -> str:
    """GPU, processor and number of cores, such as `NVIDIA H100, AMD EPYC 9554, 16 cores`."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    parts = [torch.cuda.get_device_name()] if device.type == "cuda" else []
    return ", ".join([*parts, names[0] if names else platform.machine(), f"{os.cpu_count()} cores"])


def use_arithmetic(config: ProcgenConfig) -> None:
    """Set PyTorch's switches, which hold for the whole process, to a configuration's precision."""
    torch.set_float32_matmul_precision("highest" if config.precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = config.precision != "float32"


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where the C library is glibc.

    Gradient steps on a CPU free and need the same large buffers again and again; giving them back
    to the system in between costs a tenth of the time.
    """
    change_setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if change_setting is not None:
        change_setting(-3, 2**30)  # M_MMAP_THRESHOLD
        change_setting(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


class Learner:
    """Networks, their moving averages if they teach, and the one optimizer over all agents."""

    def __init__(self, config: ProcgenConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.networks = build_networks(config).to(device)
        self._passes: list[Callable[[Tensor], tuple[Tensor, Tensor]]] = list(self.networks)
        self.averages = copy.deepcopy(self.networks).eval() if config.averages else None
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(),
            lr=config.learning_rate,
            eps=config.adam_eps,
            weight_decay=config.weight_decay,
        )
        every = config.samples // config.minibatches
        self.chunk = config.chunk or (_CPU_CHUNK if device.type == "cpu" else every)

    @torch.no_grad()
    def act(self, agent: int, observation: Tensor, uniform: Tensor) -> tuple[Tensor, ...]:
        """Actions, their log-probabilities and values, each [n], of uint8 pixels [n, 64, 64, 3],
        drawn with uniforms [n]."""
        self.networks.eval()
        with self.autocast(enabled=self.device.type == "cuda"):
            logits, value = self.networks[agent](observation)
        return *choose(logits, uniform), value.to(uniform.dtype)

    def update(self, rollout: Rollout, numbers: RandomNumbers, update: int) -> Tensor:
        """All gradient steps on one rollout; returns means of LOSS_METRICS, [metric, agent]."""
        config = self.config
        samples = prepare(rollout, config)
        for group in self.optimizer.param_groups:
            rate = config.learning_rate_at(update)
            if isinstance(group["lr"], Tensor):  # which a CUDA graph reads
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        coef = config.distill_coef_at(update)
        self.networks.train()
        total = samples["value"].new_zeros(len(LOSS_METRICS), config.agents)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(numbers.dropout_seed)
            for permutation in numbers.permutations.to(self.device):
                for index in permutation.chunk(config.minibatches, dim=-1):
                    total += self.gradient_step(samples, index, coef)
        return total / (config.epochs * config.minibatches)

    def gradient_step(
        self, samples: Samples, index: Tensor, distill_coef: float | Tensor
    ) -> Tensor:
        """One step on the samples index [agent, n]; returns LOSS_METRICS, [metric, agent]."""
        config = self.config
        n = index.shape[-1]
        agent = torch.arange(config.agents, device=self.device)[:, None]
        advantage = samples["advantage"][agent, index]
        if config.normalize_advantages:
            deviation = advantage.std(dim=-1, keepdim=True)
            advantage = (advantage - advantage.mean(dim=-1, keepdim=True)) / (deviation + 1e-8)
        self.optimizer.zero_grad()
        sums = advantage.new_zeros(len(LOSS_METRICS) - 1, config.agents)
        for start in range(0, n, self.chunk):
            part = index[:, start : start + self.chunk]
            batch = {name: tensor[agent, part] for name, tensor in samples.items()}
            batch["advantage"] = advantage[:, start : start + self.chunk]
            with self.autocast():
                loss, metrics = self.loss(batch, distill_coef)
            (loss.sum() / (n * config.agents)).backward()
            sums += metrics.sum(dim=-1)
        norms = [
            nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm)
            for network in self.networks
        ]
        self.optimizer.step()
        self._move_averages()
        return torch.cat([sums / n, torch.stack(norms)[None]])

    def loss(self, batch: Samples, distill_coef: float | Tensor) -> tuple[Tensor, Tensor]:
        """Loss [agent, n] of every sample, and its parts for the log, [metric, agent, n]."""
        config = self.config
        by_owner, value = self._forward(batch["observation"])
        own = torch.diagonal(by_owner, dim1=0, dim2=1).movedim(-1, 0)
        log_prob = losses.log_prob(own, batch["action"])
        policy = losses.clipped_policy_loss(
            log_prob, batch["log_prob"], batch["advantage"], config.clip
        )
        clip = config.clip if config.clip_value_loss else float("inf")
        critic = losses.clipped_value_loss(value, batch["value"], batch["target"], clip)
        entropy = losses.entropy(own)
        loss = policy + config.value_coef * critic - config.entropy_coef * entropy
        distillation = self._distillation(batch["observation"], by_owner, own)
        if config.distill_coef > 0:
            loss = loss + distill_coef * distillation
        log_ratio = (log_prob - batch["log_prob"]).detach()
        approx_kl = log_ratio.expm1() - log_ratio
        clipped = (log_ratio.expm1().abs() > config.clip).to(loss.dtype)
        parts = (policy, critic, entropy, distillation, approx_kl, clipped)
        return loss, torch.stack(parts).detach()

    def _forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [i, j, n, A], policy j on the samples of agent i, and values [i, n].

        Off the diagonal they are zeros where agents do not see each other's samples.
        """
        config, n = self.config, observation.shape[1]
        agents = range(config.agents)
        shared = config.peers and config.distill_gradient == "both"
        columns, values = [], []
        for j in agents:
            if shared:  # one forward pass over everybody's samples
                logits, value = self._passes[j](observation.flatten(0, 1))
                column, value = logits.unflatten(0, (-1, n)), value.unflatten(0, (-1, n))[j]
            else:
                logits, value = self._passes[j](observation[j])
                column = self._as_teacher(j, observation)
                column = torch.stack([logits if i == j else column[i] for i in agents])
            columns.append(column.float() if column.dtype == torch.bfloat16 else column)
            values.append(value.to(columns[-1].dtype))
        return torch.stack(columns, dim=1), torch.stack(values)

    def _as_teacher(self, j: int, observation: Tensor) -> Tensor:
        """Logits [i, n, A] of policy j on everybody's samples, without gradient or dropout."""
        if not self.config.peers:
            dtype = next(self.networks.parameters()).dtype
            return torch.zeros(*observation.shape[:2], N_ACTIONS, dtype=dtype, device=self.device)
        with torch.no_grad():
            self.networks[j].eval()
            logits, _ = self.networks[j](observation.flatten(0, 1))
            self.networks[j].train()
        return logits.unflatten(0, (-1, observation.shape[1]))

    def _distillation(self, observation: Tensor, by_owner: Tensor, own: Tensor) -> Tensor:
        """The distillation loss [agent, n]; zeros if there is none."""
        config = self.config
        if config.peers:
            return losses.mutual_distillation_loss(
                by_owner, config.distill_direction, config.distill_gradient
            )
        if self.averages is None:
            return torch.zeros_like(own[..., 0])
        with torch.no_grad():
            taught = [a(observation[k])[0] for k, a in enumerate(self.averages)]
        return losses.directed_kl(torch.stack(taught).to(own), own, config.distill_direction)

    @torch.no_grad()
    def _move_averages(self) -> None:
        if self.averages is not None:
            pairs = zip(self.averages.parameters(), self.networks.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, 1 - self.config.average_decay)

    def autocast(self, *, enabled: bool = True) -> torch.autocast:
        """bfloat16 where the configuration asks for it."""
        wanted = enabled and self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=wanted)

    def tensors(self) -> dict[str, Tensor]:
        """Everything, for a checkpoint."""
        content = {f"network.{name}": t for name, t in self.networks.state_dict().items()}
        if self.averages is not None:
            content |= {f"average.{name}": t for name, t in self.averages.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            content |= {f"optimizer.{index}.{name}": t for name, t in state.items()}
        return content

    def restore(self, content: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.networks.load_state_dict(under("network.", content))
        if self.averages is not None:
            self.averages.load_state_dict(under("average.", content))
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in under("optimizer.", content).items():
            index, key = name.split(".")
            states.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        for number in range(len(groups[0]["params"])) if states else ():
            if number not in states or set(states[number]) != {"step", "exp_avg", "exp_avg_sq"}:
                raise KeyError(f"optimizer.{number} must have step, exp_avg and exp_avg_sq")
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})


def prepare(rollout: Rollout, config: ProcgenConfig) -> Samples:
    """Samples of one rollout with advantages and value targets, t and env in one axis."""
    value = rollout.value.movedim(1, 0)  # time first
    next_value = torch.cat([value[1:], rollout.last_value[None]])
    advantage = losses.generalized_advantages(
        rollout.reward.movedim(1, 0),
        value,
        next_value,
        config.discount,
        config.gae_lambda,
        rollout.done.movedim(1, 0),
    ).movedim(0, 1)
    samples = {
        "observation": rollout.observation,
        "action": rollout.action,
        "log_prob": rollout.log_prob,
        "value": rollout.value,
        "advantage": advantage,
        "target": advantage + rollout.value,
    }
    return {name: tensor.flatten(1, 2) for name, tensor in samples.items()}


def under(prefix: str, content: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries whose names begin with the prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in content.items() if n.startswith(prefix)}


def explained_variance(samples: Samples) -> Iterable[float]:
    """1 − Var(target − value) / Var(target), by agent; nan where targets do not vary."""
    error, target = samples["target"] - samples["value"], samples["target"]
    return (1 - error.var(dim=-1) / target.var(dim=-1)).tolist()
