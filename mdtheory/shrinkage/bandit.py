"""A contextual bandit with spurious features, linear-softmax agents, and their distillation loss.

In state s action 1 pays r(s,1) − r(s,0) = β x(s) + ε e(s) more than action 0.  x(s) = ±1 is the
signal, e(s) = ±1 a residual that no function of the signal expresses.  Under rendering f the
observation of s is (x(s), ξ_f(s)), where the K spurious features ξ_f(s) = ±1 are drawn at random,
another pattern for each state, so that f is injective.  An agent prefers action 1 by the logit
z = w x + u·ξ, weights θ = (w, u).  On few renderings e correlates with ξ by chance: that is the
pull u*, and on a fresh rendering it is worth nothing.

Everything is in expectation: nothing is sampled but the renderings.  Weights are arrays
[..., N, D] with D = 1 + K and the signal's weight first, features [..., N, X, D] over an agent's
own data, all its renderings and states in one axis X.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.special import expit

from mdtheory.mdp import FiniteMDP
from mdtheory.problem import Problem
from mdtheory.rendering import RenderingFamily


@dataclass(frozen=True, kw_only=True)
class Bandit:
    """A bandit with its renderings, and how agents are trained on it.

    Raises:
        ValueError: naming the field and its value.
    """

    temperature: Fraction
    """τ > 0, the weight of the entropy bonus: h/g of B6."""
    signal: Fraction = Fraction(1, 4)
    """β ≥ 0."""
    residual: Fraction = Fraction(1, 4)
    """ε ≥ 0; with the signal at most 1, so that rewards lie in [0, 1]."""
    n_states: int = 16
    """S, a multiple of 4."""
    n_features: int = 8
    """K; there are 2^K patterns, at least S."""
    n_train: int = 4
    """Training renderings of each agent."""
    n_heldout: int = 12
    """Held-out renderings, the same for all agents."""

    def __post_init__(self) -> None:
        for name in ("n_states", "n_features", "n_train", "n_heldout"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.n_states % 4:
            raise ValueError(f"n_states must be a multiple of 4, got {self.n_states}")
        if not 2**self.n_features >= self.n_states:
            raise ValueError(
                f"n_features must give each of the {self.n_states} states a pattern of its own,"
                f" got {self.n_features}"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        for name in ("signal", "residual"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.signal + self.residual > 1:
            raise ValueError(
                f"signal + residual must be at most 1, got {self.signal + self.residual}"
            )

    @property
    def signal_of_state(self) -> np.ndarray:
        """x(s), shape [S]."""
        return np.tile([1.0, 1.0, -1.0, -1.0], self.n_states // 4)

    @property
    def advantage(self) -> np.ndarray:
        """r(s,1) − r(s,0), shape [S]; the residual is balanced, and unrelated to the signal."""
        residual = np.tile([1.0, -1.0, 1.0, -1.0], self.n_states // 4)
        return float(self.signal) * self.signal_of_state + float(self.residual) * residual

    def problem(self) -> Problem:
        """The bandit as a problem: discount 0, uniform states, every rendering equally likely."""
        n_states = self.n_states
        reward = np.stack([1 - self.advantage, 1 + self.advantage], axis=-1) / 2
        return Problem(
            mdp=FiniteMDP(
                transition=np.broadcast_to(np.eye(n_states)[:, None], (n_states, 2, n_states)),
                reward=reward,
                initial=np.full(n_states, 1 / n_states),
                discount=0.0,
                reward_bounds=[0.0, 1.0],
            ),
            renderings=RenderingFamily.distinct(
                n_states, train_mask=[True] * self.n_train + [False] * self.n_heldout
            ),
        )

    def draw(self, rng: np.random.Generator, *, n_agents: int, n_shared: int) -> np.ndarray:
        """Features of every agent's training and the held-out renderings.

        Args:
            rng: where the spurious features come from; more agents only add draws.
            n_agents: N.
            n_shared: how many training renderings all agents have in common.

        Returns:
            shape [N, F, S, D], training renderings first.
        """
        heldout = self._renderings(rng, self.n_heldout)
        shared = self._renderings(rng, self.n_train)[:n_shared]
        agents = []
        for _ in range(n_agents):
            own = self._renderings(rng, self.n_train)[n_shared:]
            agents.append(np.concatenate([shared, own, heldout]))
        return np.stack(agents)

    def _renderings(self, rng: np.random.Generator, n_renderings: int) -> np.ndarray:
        """Fresh renderings [f, S, D]: in each, different states get different patterns."""
        patterns = np.stack(
            [
                rng.choice(2**self.n_features, size=self.n_states, replace=False)
                for _ in range(n_renderings)
            ]
        )
        bits = patterns[..., None] >> np.arange(self.n_features) & 1
        signal = np.broadcast_to(self.signal_of_state[:, None], (*patterns.shape, 1))
        return np.concatenate([signal, 2.0 * bits - 1.0], axis=-1)


def policies(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """π(a | f(s)) of weights [..., N, D] on features [..., N, F, S, D]: [..., N, F, S, 2]."""
    logit = np.einsum("...fsd,...d->...fs", features, weights)
    return np.stack([expit(-logit), expit(logit)], axis=-1)


def own_loss(logit: np.ndarray, advantage: np.ndarray, temperature: float) -> np.ndarray:
    """−π(1) (r(s,1) − r(s,0)) − τ · entropy, elementwise in logits: PPO's objective as a loss.

    Up to a constant it is τ KL(π ‖ π*) with π* of logit advantage/τ: its curvature is τ times the
    divergence's.
    """
    p = expit(logit)
    entropy = np.logaddexp(0.0, logit) - p * logit
    return np.asarray(-p * advantage - temperature * entropy)


def divergence(logit_p: np.ndarray, logit_q: np.ndarray) -> np.ndarray:
    """KL(p ‖ q) in nats of two-action policies, elementwise in logits."""
    surprise = np.logaddexp(0.0, logit_q) - np.logaddexp(0.0, logit_p)
    return np.asarray(expit(logit_p) * (logit_p - logit_q) + surprise)


def logits(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """z[..., i, x, j]: agent j's logits on the data of agent i."""
    return np.asarray(features @ np.swapaxes(weights, -1, -2)[..., None, :, :])


def _own(by_pair: np.ndarray) -> np.ndarray:
    """[..., i, x] from [..., i, x, j] at j = i."""
    return np.einsum("...ixi->...ix", by_pair)


def distillation_loss(logit: np.ndarray) -> np.ndarray:
    """Mean over the other agents j of KL(π_j ‖ π_i) on agent i's data, [..., i] in nats.

    The direction and the data are those of the official code (arXiv 2501.02481); its gradient
    flows into both policies.

    Args:
        logit: shape [..., i, x, j].
    """
    n_agents = logit.shape[-1]
    pairwise = divergence(logit, _own(logit)[..., None])  # 0 where j = i
    return np.asarray(pairwise.mean(axis=-2).sum(axis=-1) / max(n_agents - 1, 1))


def total_loss(
    weights: np.ndarray,
    features: np.ndarray,
    advantage: np.ndarray,
    *,
    temperature: float,
    distillation: float,
) -> np.ndarray:
    """(1/N) Σ_i [own loss + α · distillation loss], each averaged over agent i's data: [...].

    Args:
        weights: shape [..., N, D].
        features: shape [..., N, X, D].
        advantage: of the data, shape [X].
        temperature, distillation: τ and α.
    """
    logit = logits(weights, features)
    own = own_loss(_own(logit), advantage, temperature).mean(axis=-1)
    return np.asarray((own + distillation * distillation_loss(logit)).mean(axis=-1))


def gradient(
    weights: np.ndarray,
    features: np.ndarray,
    advantage: np.ndarray,
    *,
    temperature: float,
    distillation: float,
) -> np.ndarray:
    """Gradient of `total_loss` in the weights of every agent, [..., N, D]; arguments as there."""
    n_agents, n_data = features.shape[-3:-1]
    logit = logits(weights, features)
    p = expit(logit)
    spread = p * (1 - p)
    own = _own(logit)
    coefficient = distillation / max(n_agents - 1, 1)
    # KL(π_j ‖ π_i) on the data of i: what reaches policy j, then what reaches policy i.
    slope = coefficient * spread * (logit - own[..., None])
    pushed = coefficient * (_own(p)[..., None] - p).sum(axis=-1)
    task = _own(spread) * (temperature * own - advantage)
    diagonal = np.arange(n_agents)
    slope[..., diagonal, :, diagonal] += np.moveaxis(task + pushed, -2, 0)
    by_data = np.swapaxes(features, -1, -2) @ slope  # [..., i, D, j]
    return np.swapaxes(by_data.sum(axis=-3), -1, -2) / (n_agents * n_data)


def curvatures(
    weights: np.ndarray, features: np.ndarray, advantage: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Second derivatives in an agent's weights on its own data, [..., N, D, D] each.

    Returns:
        that of its own loss, and the Fisher information, the curvature of the divergence from
        policies near it.
    """
    logit = np.einsum("...xd,...d->...x", features, weights)
    p = expit(logit)
    fisher = p * (1 - p)
    task = fisher * (temperature + (1 - 2 * p) * (temperature * logit - advantage))
    found = [
        np.swapaxes(features, -1, -2) @ (features * c[..., None]) / features.shape[-2]
        for c in (task, fisher)
    ]
    return found[0], found[1]
