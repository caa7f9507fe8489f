"""The losses against hand-worked numbers, an independent implementation, and gradient ownership."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from experiments import losses


def test_kl_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    expected = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert losses.kl(p.log(), q.log()).item() == pytest.approx(expected)


def test_entropy_of_a_uniform_policy_is_the_log_of_its_actions() -> None:
    assert losses.entropy(torch.zeros(4)).item() == pytest.approx(math.log(4))


def test_log_prob_picks_the_action() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.7]]).log()
    assert losses.log_prob(logits, torch.tensor([2])).exp().item() == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.5, 1.0, -1.2), (0.5, 1.0, -0.5), (1.5, -1.0, 1.5), (0.5, -1.0, 0.8), (1.1, 2.0, -2.2)],
)
def test_policy_loss_clips_only_what_would_gain(
    ratio: float, advantage: float, expected: float
) -> None:
    loss = losses.clipped_policy_loss(
        torch.tensor(math.log(ratio)), torch.tensor(0.0), torch.tensor(advantage), clip=0.2
    )
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("new", "old", "target", "expected"),
    [(1.0, 0.0, 1.0, 0.32), (0.1, 0.0, 1.0, 0.405), (1.0, 0.0, -1.0, 2.0)],
)
def test_value_loss_takes_the_worse_of_clipped_and_free(
    new: float, old: float, target: float, expected: float
) -> None:
    loss = losses.clipped_value_loss(*map(torch.tensor, (new, old, target)), clip=0.2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_advantages_match_the_sum_over_the_future() -> None:
    """Two routes: the recursion, and the definition as a double sum."""
    rng = torch.Generator().manual_seed(0)
    reward, value, reached = (torch.rand(6, 3, generator=rng, dtype=torch.float64) for _ in "rvn")
    gamma, decay = 0.9, 0.8
    found = losses.generalized_advantages(reward, value, reached, gamma, decay)
    delta = reward + gamma * reached - value
    for t in range(6):
        expected = sum((gamma * decay) ** (k - t) * delta[k] for k in range(t, 6))
        torch.testing.assert_close(found[t], expected)


def numpy_mutual_distillation(logits: np.ndarray) -> np.ndarray:
    """[i, j, n, A] -> [i, n], in loops."""
    n_agents, _, n, n_actions = logits.shape
    out = np.zeros((n_agents, n))
    for i in range(n_agents):
        for k in range(n):
            p = np.exp(logits[i, :, k]) / np.exp(logits[i, :, k]).sum(axis=-1, keepdims=True)
            for j in range(n_agents):
                for a in range(n_actions):
                    out[i, k] += p[j, a] * (np.log(p[j, a]) - np.log(p[i, a]))
    return out / (n_agents - 1)


@pytest.mark.parametrize("n_agents", [2, 3])
def test_mutual_distillation_is_kl_of_the_other_to_oneself_on_own_samples(n_agents: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n_agents, n_agents, 5, 4))
    found = losses.mutual_distillation_loss(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(found, numpy_mutual_distillation(logits), rtol=1e-12)


def test_mutual_distillation_of_one_agent_is_zero() -> None:
    assert (losses.mutual_distillation_loss(torch.randn(1, 1, 5, 4)) == 0).all()


def test_mutual_distillation_gradient_flows_into_both_policies() -> None:
    logits = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    losses.mutual_distillation_loss(logits)[0].sum().backward()
    assert logits.grad is not None
    own, other, elsewhere = logits.grad[0, 0], logits.grad[0, 1], logits.grad[1]
    assert own.abs().min() > 0
    assert other.abs().min() > 0
    assert (elsewhere == 0).all()
