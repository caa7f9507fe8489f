"""Random and hand-made problems for the tests, in float64 (batched) and in exact rationals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from mdtheory import FiniteMDP, LatentPolicy, Problem, RenderingFamily, make_toy

DISCOUNTS = tuple(Fraction(x) for x in ("0", "1/10", "1/2", "2/3", "9/10", "99/100"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem with a policy and the policy before an update."""

    label: str
    problem: Problem
    policy: LatentPolicy
    baseline: LatentPolicy


def float_case(
    rng: np.random.Generator,
    *,
    batch: tuple[int, ...] = (),
    n_states: int = 4,
    n_actions: int = 3,
    n_renderings: int = 4,
    n_train: int = 2,
    concentration: float = 0.5,
) -> Case:
    """Dirichlet rows, normal rewards, discounts up to 0.99."""

    def rows(*shape: int) -> np.ndarray:
        return rng.dirichlet(np.full(shape[-1], concentration), (*batch, *shape[:-1]))

    mdp = FiniteMDP(
        transition=rows(n_states, n_actions, n_states),
        reward=rng.normal(size=(*batch, n_states, n_actions)),
        initial=rows(n_states),
        discount=rng.uniform(0.0, 0.99, batch),
    )
    family = RenderingFamily.distinct(
        n_states,
        train_mask=[f < n_train for f in range(n_renderings)],
        weights=rng.dirichlet(np.ones(n_renderings), batch),
    )
    shape = (n_renderings, n_states, n_actions)
    return Case(
        label="float",
        problem=Problem(mdp=mdp, renderings=family),
        policy=LatentPolicy(rows(*shape)),
        baseline=LatentPolicy(rows(*shape)),
    )


def exact_rows(rng: np.random.Generator, *shape: int, deterministic: bool = False) -> np.ndarray:
    """Rational distributions along the last axis; about a third of the entries are 0."""
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(shape[:-1]):
        counts = [int(k) for k in np.maximum(rng.integers(-2, 5, shape[-1]), 0)]
        if deterministic or sum(counts) == 0:
            counts = [0] * shape[-1]
            counts[int(rng.integers(shape[-1]))] = 1
        out[index] = [Fraction(k, sum(counts)) for k in counts]
    return out


def exact_case(
    rng: np.random.Generator,
    *,
    label: str = "random",
    n_states: int = 3,
    n_actions: int = 2,
    n_renderings: int = 3,
    discount: Fraction | None = None,
    deterministic: bool = False,
    all_train: bool = False,
    constant_reward: bool = False,
) -> Case:
    """Small rational numbers; rewards from -3 to 3 in sixths."""
    if discount is None:
        discount = DISCOUNTS[int(rng.integers(len(DISCOUNTS)))]
    reward = np.empty((n_states, n_actions), dtype=object)
    for index in np.ndindex(reward.shape):
        reward[index] = Fraction(int(rng.integers(-18, 19)), 6)
    if constant_reward:
        reward[...] = Fraction(2, 3)
    mdp = FiniteMDP(
        transition=exact_rows(rng, n_states, n_actions, n_states, deterministic=deterministic),
        reward=reward,
        initial=exact_rows(rng, n_states),
        discount=discount,
    )
    n_train = n_renderings if all_train else int(rng.integers(1, n_renderings))
    parts = [int(k) for k in rng.integers(1, 6, n_renderings)]
    family = RenderingFamily.distinct(
        n_states,
        train_mask=[f < n_train for f in range(n_renderings)],
        weights=[Fraction(k, sum(parts)) for k in parts],
    )
    shape = (n_renderings, n_states, n_actions)
    return Case(
        label=label,
        problem=Problem(mdp=mdp, renderings=family),
        policy=LatentPolicy(exact_rows(rng, *shape, deterministic=deterministic)),
        baseline=LatentPolicy(exact_rows(rng, *shape)),
    )


def blind(case: Case) -> Case:
    """The same problem with a policy that ignores the rendering: R = 0."""
    same = np.broadcast_to(case.policy.probabilities[:1], case.policy.probabilities.shape)
    return replace(case, label=f"{case.label}, R=0", policy=LatentPolicy(same))


def opposite(case: Case) -> Case:
    """The same problem, the policy's first action in training and the last held out: R = 1."""
    probabilities = np.full(case.policy.probabilities.shape, Fraction(0), dtype=object)
    train = case.problem.renderings.train_mask
    probabilities[train, :, 0] = Fraction(1)
    probabilities[~train, :, -1] = Fraction(1)
    return replace(case, label=f"{case.label}, R=1", policy=LatentPolicy(probabilities))


def exact_cases(rng: np.random.Generator, count: int) -> Iterator[Case]:
    """Random exact problems, every extreme of theory.md's domains among the first nine."""
    yield exact_case(rng, label="gamma=0", discount=Fraction(0))
    yield exact_case(rng, label="long horizon", discount=Fraction(999, 1000))
    yield exact_case(rng, label="M=1", all_train=True)
    yield exact_case(rng, label="one rendering", n_renderings=1, all_train=True)
    yield exact_case(rng, label="one state", n_states=1)
    yield exact_case(rng, label="one action", n_actions=1)
    yield exact_case(rng, label="deterministic", deterministic=True)
    yield exact_case(rng, label="constant reward", constant_reward=True)
    yield blind(exact_case(rng))
    yield opposite(exact_case(rng))
    for k in range(count - 10):
        size = {"n_states": 1 + k % 4, "n_actions": 2 + k % 2, "n_renderings": 2 + k % 3}
        yield exact_case(rng, label=f"random {k}", **size)


def scaled(case: Case, factor: Fraction) -> Case:
    """The same problem with all rewards, and their bounds, times a factor."""
    mdp = case.problem.mdp
    bigger = FiniteMDP(
        transition=mdp.transition,
        reward=mdp.reward * factor,
        initial=mdp.initial,
        discount=mdp.discount,
        reward_bounds=mdp.reward_bounds * factor,
    )
    problem = Problem(mdp=bigger, renderings=case.problem.renderings)
    return replace(case, label=f"{case.label} x {factor}", problem=problem)


def toy_case(name: str, **parameters: Any) -> Case:
    """A toy as a case; where it has no baseline, the policy is its own."""
    toy = make_toy(name, **parameters)
    family = toy.problem.renderings
    policy = toy.policy.latent(family)
    baseline = policy if toy.baseline is None else toy.baseline.latent(family)
    label = f"{name} {parameters}"
    return Case(label=label, problem=toy.problem, policy=policy, baseline=baseline)


def step_world(step: Fraction, discount: Fraction) -> Case:
    """The world on which A6 is nearly an equality: both sides differ by (1-γ)/(1-γ(1-step)).

    The old policy stays at home for nothing.  The new one leaves with probability `step`, is paid
    1 for leaving, and abroad pays 1 with probability `step`, forever: every expected advantage is
    +step where the old policy is, and -step where only the new one goes.
    """
    zero, one = Fraction(0), Fraction(1)
    mdp = FiniteMDP(
        transition=[[[one, zero], [zero, one]], [[zero, one], [zero, one]]],
        reward=[[zero, one], [zero, -one]],
        initial=[one, zero],
        discount=discount,
    )
    return Case(
        label=f"step world {step} {discount}",
        problem=Problem(mdp=mdp, renderings=RenderingFamily.distinct(2, train_mask=[True])),
        policy=LatentPolicy([[[1 - step, step]] * 2]),
        baseline=LatentPolicy([[[one, zero]] * 2]),
    )


def two_policies(baseline: list[Fraction | int], policy: list[Fraction | int]) -> Case:
    """One state, two actions: the probabilities of action 0 in training and held out."""

    def latent(first: list[Fraction | int]) -> LatentPolicy:
        return LatentPolicy([[[Fraction(x), 1 - Fraction(x)]] for x in first])

    one = Fraction(1)
    mdp = FiniteMDP(
        transition=[[[one], [one]]], reward=[[one, 0 * one]], initial=[one], discount=one / 2
    )
    return Case(
        label=f"two policies {baseline} {policy}",
        problem=Problem(mdp=mdp, renderings=RenderingFamily.distinct(1, train_mask=[True, False])),
        policy=latent(policy),
        baseline=latent(baseline),
    )
