"""One update of mutual-distillation PPO in float64, from the formulas: agent by agent, in loops.

An independent second route to what `experiments.procgen` computes with batched axes, chunks and
PyTorch's optimizer.  Only the configuration's numbers are shared.

    PPO       Schulman et al. 2017, eq. 7 and 9; GAE Schulman et al. 2016, eq. 16
    network   Espeholt et al. 2018, fig. 3, the large one without the LSTM
    Adam      Kingma and Ba 2015, algorithm 1
    KL        arXiv 2501.02481, on an agent's own samples
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from experiments.procgen.config import ProcgenConfig

Weights = dict[str, Tensor]
"""One network's weights by their names in its state_dict."""

METRICS = (
    "policy_loss",
    "value_loss",
    "entropy",
    "distillation_loss",
    "approx_kl",
    "clip_fraction",
    "grad_norm",
)


@dataclass(frozen=True)
class Played:
    """What one agent played: pixels [t][env] uint8, the rest [t, env], last_value [env]."""

    pixels: Tensor
    action: Tensor
    log_prob: Tensor
    value: Tensor
    reward: Tensor
    done: Tensor
    last_value: Tensor


@dataclass
class Agent:
    """Weights, Adam's moments and, where it teaches, the moving average of the weights."""

    weights: Weights
    first_moment: Weights = field(init=False)
    second_moment: Weights = field(init=False)
    average: Weights = field(init=False)

    def __post_init__(self) -> None:
        self.first_moment = {name: torch.zeros_like(w) for name, w in self.weights.items()}
        self.second_moment = {name: torch.zeros_like(w) for name, w in self.weights.items()}
        self.average = {name: w.clone() for name, w in self.weights.items()}


Masks = Sequence[Mapping[tuple[int, int], Tensor]]
"""By gradient step: what multiplies the hidden units of policy j on the samples of agent i."""


class Reference:
    """Some agents and the updates that `config` asks for."""

    def __init__(self, config: ProcgenConfig, weights: Sequence[Mapping[str, Tensor]]) -> None:
        self.config = config
        self.agents = [
            Agent({name: w.detach().clone().double() for name, w in own.items()}) for own in weights
        ]
        self.steps = 0

    def update(
        self,
        played: Sequence[Played],
        orders: Sequence[Sequence[Sequence[int]]],
        update: int,
        masks: Masks | None = None,
    ) -> list[list[float]]:
        """All gradient steps on what was played; the means of METRICS by metric and agent.

        Args:
            played: by agent.
            orders: by epoch and agent, the samples t * n_envs + env in the order of their use.
            update: its number in the run, from 0.
            masks: of dropout, if there is any.
        """
        config = self.config
        n_steps, n_envs = config.rollout_steps, config.n_envs
        n_updates = config.total_steps // (n_steps * n_envs)
        learning_rate = config.learning_rate
        if config.anneal_learning_rate:
            learning_rate = config.learning_rate * (n_updates - update) / n_updates
        share = update / (n_updates - 1) if n_updates > 1 else 0.0
        coef = config.distill_coef * ((1 - share) + share * config.distill_final_factor)
        advantages = [advantages_of(p, config.discount, config.gae_lambda) for p in played]
        size = n_steps * n_envs // config.minibatches
        logs: list[list[list[float]]] = []
        for order in orders:
            for m in range(config.minibatches):
                chosen = [[int(s) for s in own[m * size : (m + 1) * size]] for own in order]
                mask = {} if masks is None else masks[len(logs)]
                logs.append(self._step(played, advantages, chosen, learning_rate, coef, mask))
        n_agents = range(len(self.agents))
        return [
            [sum(log[k][metric] for log in logs) / len(logs) for k in n_agents]
            for metric in range(len(METRICS))
        ]

    def _step(
        self,
        played: Sequence[Played],
        advantages: Sequence[list[list[float]]],
        chosen: Sequence[Sequence[int]],
        learning_rate: float,
        coef: float,
        masks: Mapping[tuple[int, int], Tensor],
    ) -> list[list[float]]:
        """One gradient step of all agents at once, on the loss averaged over them."""
        config = self.config
        for agent in self.agents:
            for name, w in agent.weights.items():
                agent.weights[name] = w.detach().requires_grad_()
        total = torch.zeros((), dtype=torch.float64)
        logs = []
        for i in range(len(self.agents)):
            loss, log = self._loss(i, played[i], advantages[i], chosen[i], coef, masks)
            total = total + loss / len(self.agents)
            logs.append(log)
        everything = [w for agent in self.agents for w in agent.weights.values()]
        gradients = iter(torch.autograd.grad(total, everything))
        self.steps += 1
        for agent, log in zip(self.agents, logs, strict=True):
            gradient = {name: next(gradients) for name in agent.weights}
            norm = sum(float((g**2).sum()) for g in gradient.values()) ** 0.5
            log.append(norm)
            shrink = min(1.0, config.max_grad_norm / (norm + 1e-6))  # 1e-6 is PyTorch's
            for name, g in gradient.items():
                self._adam(agent, name, shrink * g, learning_rate)
                kept = config.average_decay
                agent.average[name] = (
                    kept * agent.average[name] + (1 - kept) * agent.weights[name].detach()
                )
        return logs

    def _loss(
        self,
        i: int,
        played: Played,
        advantages: list[list[float]],
        chosen: Sequence[int],
        coef: float,
        masks: Mapping[tuple[int, int], Tensor],
    ) -> tuple[Tensor, list[float]]:
        """Agent i's loss, the mean over its minibatch, and its metrics but the gradient's norm."""
        config, n = self.config, len(chosen)
        places = [divmod(s, config.n_envs) for s in chosen]
        pixels = torch.stack([played.pixels[t][e] for t, e in places])
        logits, value = forward(self.agents[i].weights, pixels, masks.get((i, i)))
        scaled = [advantages[t][e] for t, e in places]
        if config.normalize_advantages:
            mean = sum(scaled) / n
            deviation = (sum((a - mean) ** 2 for a in scaled) / (n - 1)) ** 0.5
            scaled = [(a - mean) / (deviation + 1e-8) for a in scaled]
        loss = torch.zeros((), dtype=torch.float64)
        log = [0.0] * (len(METRICS) - 1)
        log_p = log_softmax(logits)
        for s, (t, e) in enumerate(places):
            new, old = log_p[s][int(played.action[t][e])], played.log_prob[t][e]
            ratio = torch.exp(new - old)
            near = torch.clamp(ratio, 1 - config.clip, 1 + config.clip)
            surrogate = torch.minimum(ratio * scaled[s], near * scaled[s])
            before, target = played.value[t][e], advantages[t][e] + played.value[t][e]
            squared = (value[s] - target) ** 2
            if config.clip_value_loss:
                held = before + torch.clamp(value[s] - before, -config.clip, config.clip)
                squared = torch.maximum(squared, (held - target) ** 2)
            entropy = -(torch.exp(log_p[s]) * log_p[s]).sum()
            loss = loss - surrogate + config.value_coef * 0.5 * squared
            loss = loss - config.entropy_coef * entropy
            moved = ratio.item()
            log[0] -= surrogate.item() / n
            log[1] += 0.5 * squared.item() / n
            log[2] += entropy.item() / n
            log[4] += (moved - 1 - (new - old).item()) / n
            log[5] += (abs(moved - 1) > config.clip) / n
        loss = loss / n
        if config.distill_coef > 0:
            charged = self._distillation(i, pixels, log_p, masks)
            loss = loss + coef * charged
            log[3] = charged.item()
        return loss, log

    def _distillation(
        self, i: int, pixels: Tensor, own: Tensor, masks: Mapping[tuple[int, int], Tensor]
    ) -> Tensor:
        """Agent i's mean divergence to its teachers on its own samples."""
        if self.config.teacher == "average":
            taught = [log_softmax(forward(self.agents[i].average, pixels)[0])]
        else:
            others = [j for j in range(len(self.agents)) if j != i]
            taught = [
                log_softmax(forward(self.agents[j].weights, pixels, masks.get((i, j)))[0])
                for j in others
            ]
            if self.config.distill_gradient == "student":
                taught = [log_p.detach() for log_p in taught]
        charged = torch.zeros((), dtype=torch.float64)
        for other in taught:
            first, second = other, own
            if self.config.distill_direction == "self-other":
                first, second = own, other
            kl = (torch.exp(first) * (first - second)).sum(dim=1)
            charged = charged + kl.mean() / len(taught)
        return charged

    def _adam(self, agent: Agent, name: str, gradient: Tensor, learning_rate: float) -> None:
        w = agent.weights[name].detach()
        g = gradient + self.config.weight_decay * w
        m = agent.first_moment[name] = 0.9 * agent.first_moment[name] + 0.1 * g
        v = agent.second_moment[name] = 0.999 * agent.second_moment[name] + 0.001 * g**2
        m_hat = m / (1 - 0.9**self.steps)
        v_hat = v / (1 - 0.999**self.steps)
        agent.weights[name] = w - learning_rate * m_hat / (v_hat.sqrt() + self.config.adam_eps)


def forward(weights: Weights, pixels: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits [n, 15] and values [n] of uint8 pixels [n, side, side, 3]."""

    def of(name: str) -> Tensor:
        return weights[name].double()

    def convolve(x: Tensor, name: str) -> Tensor:
        return functional.conv2d(x, of(f"{name}.weight"), of(f"{name}.bias"), padding=1)

    x = pixels.permute(0, 3, 1, 2).contiguous().double() / 255
    for s in range(3):
        x = functional.max_pool2d(convolve(x, f"sequences.{s}.conv"), 3, stride=2, padding=1)
        for b in range(2):
            block = f"sequences.{s}.blocks.{b}"
            x = x + convolve(
                functional.relu(convolve(functional.relu(x), f"{block}.conv1")), f"{block}.conv2"
            )
    x = functional.relu(x).reshape(len(x), -1)
    x = functional.relu(functional.linear(x, of("hidden.weight"), of("hidden.bias")))
    x = x if mask is None else x * mask
    value = functional.linear(x, of("value.weight"), of("value.bias"))[:, 0]
    return functional.linear(x, of("policy.weight"), of("policy.bias")), value


def log_softmax(logits: Tensor) -> Tensor:
    """Logs of softmax probabilities, [n, A]."""
    shifted = logits - logits.max(dim=1, keepdim=True).values
    return shifted - torch.log(torch.exp(shifted).sum(dim=1, keepdim=True))


def advantages_of(played: Played, discount: float, decay: float) -> list[list[float]]:
    """Generalized advantages [t][env]: the sum of the discounted TD errors of the same episode."""
    n_steps, n_envs = played.reward.shape
    out = [[0.0] * n_envs for _ in range(n_steps)]
    for e in range(n_envs):
        value = [float(played.value[t][e]) for t in range(n_steps)]
        value.append(float(played.last_value[e]))
        error = []
        for t in range(n_steps):
            reached = 0.0 if played.done[t][e] else value[t + 1]
            error.append(float(played.reward[t][e]) + discount * reached - value[t])
        for t in range(n_steps):
            weight = 1.0
            for k in range(t, n_steps):
                out[t][e] += weight * error[k]
                weight *= discount * decay
                if played.done[k][e]:
                    break
    return out


class RewardScale:
    """Rewards over the deviation of all discounted returns so far, from scratch at each step.

    Before the first step there is a weight of 1e-4 of returns with mean 0 and variance 1.
    """

    def __init__(self, discount: float, clip: float) -> None:
        self.discount, self.clip = discount, clip
        self.episodes: list[list[float]] = []
        """Rewards of each environment's running episode."""
        self.returns: list[float] = []

    def __call__(self, reward: Sequence[float], done: Sequence[bool]) -> list[float]:
        self.episodes = self.episodes or [[] for _ in reward]
        for e, r in enumerate(reward):
            self.episodes[e].append(r)
            ages = reversed(range(len(self.episodes[e])))
            pairs = zip(self.episodes[e], ages, strict=True)
            self.returns.append(sum(self.discount**age * r for r, age in pairs))
        weight = len(self.returns) + 1e-4
        mean = sum(self.returns) / weight
        spread = sum((g - mean) ** 2 for g in self.returns) + 1e-4 * (1 + mean**2)
        deviation = (spread / weight + 1e-8) ** 0.5
        for e, ended in enumerate(done):
            if ended:
                self.episodes[e] = []
        return [max(-self.clip, min(self.clip, r / deviation)) for r in reward]
