"""10,000 random problems through values and through every bound, against QuantEcon one by one.

Run with `make bench`; the ratios live in benchmarks/README.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import quantecon.markov

from mdtheory import FiniteMDP, LatentPolicy, Problem, RenderingFamily, check
from mdtheory.evaluation import Model, state_values

N_PROBLEMS, N_STATES, N_ACTIONS, N_RENDERINGS = 10_000, 8, 4, 8


@pytest.fixture(scope="module")
def mdp() -> FiniteMDP:
    rng = np.random.default_rng(0)
    transition = rng.exponential(size=(N_PROBLEMS, N_STATES, N_ACTIONS, N_STATES))
    initial = rng.exponential(size=(N_PROBLEMS, N_STATES))
    return FiniteMDP(
        transition=transition / transition.sum(axis=-1, keepdims=True),
        reward=rng.random((N_PROBLEMS, N_STATES, N_ACTIONS)),
        initial=initial / initial.sum(axis=-1, keepdims=True),
        discount=rng.uniform(0.5, 0.99, N_PROBLEMS),
    )


@pytest.fixture(scope="module")
def actions() -> np.ndarray:
    """Deterministic policies, the only ones that QuantEcon evaluates: [problem, rendering, s]."""
    rng = np.random.default_rng(1)
    return rng.integers(0, N_ACTIONS, size=(N_PROBLEMS, N_RENDERINGS, N_STATES))


def quantecon_values(mdp: FiniteMDP, actions: np.ndarray) -> np.ndarray:
    values = np.empty(actions.shape)
    for b in range(len(actions)):
        ddp = quantecon.markov.DiscreteDP(mdp.reward[b], mdp.transition[b], float(mdp.discount[b]))
        for f, sigma in enumerate(actions[b]):
            values[b, f] = ddp.evaluate_policy(sigma)
    return values


def batched_values(mdp: FiniteMDP, actions: np.ndarray) -> np.ndarray:
    policy = np.eye(N_ACTIONS)[actions]
    return state_values(Model.of(mdp, in_rationals=False), policy)


@pytest.mark.benchmark(group="values of 80,000 policies")
def test_values_batched(benchmark: Any, mdp: FiniteMDP, actions: np.ndarray) -> None:
    values = benchmark.pedantic(batched_values, (mdp, actions), rounds=5, warmup_rounds=1)
    some = slice(0, 50)
    one_by_one = quantecon_values(mdp, actions[some])
    np.testing.assert_allclose(values[some], one_by_one, rtol=1e-10)


@pytest.mark.benchmark(group="values of 80,000 policies")
def test_values_quantecon(benchmark: Any, mdp: FiniteMDP, actions: np.ndarray) -> None:
    values = benchmark.pedantic(quantecon_values, (mdp, actions), rounds=2)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("device", [None, "cpu"], ids=["numpy", "torch on the CPU"])
@pytest.mark.benchmark(group="bounds A0 to A5 of 10,000 problems")
def test_whole_ladder_batched(benchmark: Any, mdp: FiniteMDP, device: str | None) -> None:
    rng = np.random.default_rng(2)
    policy = rng.exponential(size=(N_PROBLEMS, N_RENDERINGS, N_STATES, N_ACTIONS))
    policy /= policy.sum(axis=-1, keepdims=True)
    train_mask = np.arange(N_RENDERINGS) < N_RENDERINGS // 2
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(N_STATES, train_mask=train_mask))
    report = benchmark.pedantic(
        check, (problem, LatentPolicy(policy)), {"device": device}, rounds=5, warmup_rounds=1
    )
    assert report.holds
    assert all(set(b.decided_by) == {"float64"} for b in report.bounds)
    assert report["A2"].rhs.shape == (N_PROBLEMS,)
