"""The losses: tensors in, tensors out; no model, no configuration, no logger.

The last axis of `logits` holds actions; all other axes are batch axes that the caller averages.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """ln π(action) for logits [..., A] and integer actions [...]."""
    return torch.log_softmax(logits, dim=-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of softmax policies, logits [..., A]: shape [...]."""
    log_p = torch.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def kl(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats of softmax policies, logits [..., A]: shape [...]."""
    log_p = torch.log_softmax(logits_p, dim=-1)
    log_q = torch.log_softmax(logits_q, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def clipped_policy_loss(
    log_prob_new: Tensor, log_prob_old: Tensor, advantage: Tensor, clip: float
) -> Tensor:
    """PPO's clipped surrogate as a loss, elementwise (Schulman et al. 2017, eq. 7)."""
    ratio = (log_prob_new - log_prob_old).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantage, clipped * advantage)


def clipped_value_loss(value_new: Tensor, value_old: Tensor, target: Tensor, clip: float) -> Tensor:
    """Half the squared error, the value's move clipped, elementwise (PPO's reference code)."""
    clipped = value_old + (value_new - value_old).clamp(-clip, clip)
    return 0.5 * torch.maximum((value_new - target) ** 2, (clipped - target) ** 2)


def mutual_distillation_loss(
    logits: Tensor, direction: str = "other-self", gradient: str = "both"
) -> Tensor:
    """Mean over the other agents j of a divergence to π_j, on agent i's own samples.

    logits [..., i, j, n, A]: policy j on the samples of agent i.  Returns [..., i, n].  One agent
    has nobody to distil: zeros.

    Args:
        direction: "other-self" is KL(π_j ‖ π_i), the paper's (arXiv 2501.02481); "self-other" is
            KL(π_i ‖ π_j).
        gradient: "both" lets gradients flow into both policies, the paper's; "student" into π_i
            alone.
    """
    n_agents = logits.shape[-4]
    own = torch.diagonal(logits, dim1=-4, dim2=-3).movedim(-1, -3)  # [..., i, n, A]
    others = logits.detach() if gradient == "student" else logits
    pairwise = directed_kl(others, own.unsqueeze(-3), direction)
    return pairwise.sum(dim=-2) / max(n_agents - 1, 1)  # zero where j = i


def directed_kl(logits_other: Tensor, logits_self: Tensor, direction: str) -> Tensor:
    """KL(other ‖ self) for "other-self", KL(self ‖ other) for "self-other"; shape [...]."""
    if direction == "other-self":
        return kl(logits_other, logits_self)
    return kl(logits_self, logits_other)


def generalized_advantages(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    discount: float,
    decay: float,
    done: Tensor | None = None,
) -> Tensor:
    """GAE (Schulman et al. 2016) of one stretch of steps, time on the first axis.

    reward, value [t, ...]; next_value [t, ...] is the value of the state reached, which the last
    step bootstraps from.  Where `done` [t, ...] is 1 an episode ended: nothing comes after.
    """
    going_on = torch.ones_like(reward) if done is None else 1 - done.to(reward.dtype)
    delta = reward + discount * going_on * next_value - value
    advantage = torch.zeros_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = delta[t] + discount * decay * going_on[t] * running
        advantage[t] = running
    return advantage
