"""Exact evaluation of policies by linear solves: values, advantages, occupancies.

    V = r_π + γ P_π V                   values
    Q[s,a] = r[s,a] + γ Σ_s' P[s,a,s'] V[s']
    d = ρ + γ P_πᵀ d                    unnormalised occupancy, Σ_s d[s] = 1/(1−γ)
    J = ρ·V = Σ_{s,a} d[s] π[s,a] r[s,a]

`evaluate` is the door for users.  The functions below it take a `Model` and policies
[..., N, S, A] that share its batch axes, N being renderings, policies or both.  They run on
float64 (batched), on exact rationals and on sparse transitions; only `discounted_solve` and
`expected_next` know which.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from mdtheory import exact, sparse
from mdtheory.mdp import FiniteMDP, SparseMDP
from mdtheory.policy import LatentPolicy


@dataclass(frozen=True, eq=False)
class Model:
    """An MDP's numbers ready for arithmetic: float64, `flint.fmpq` objects, or sparse.

    transition [..., S, A, S] (or CSR [S*A, S]), reward [..., S, A], initial [..., S],
    discount [...], reward_range [...].
    """

    transition: Any
    reward: np.ndarray
    initial: np.ndarray
    discount: np.ndarray
    reward_range: np.ndarray

    @classmethod
    def of(cls, mdp: FiniteMDP | SparseMDP, *, in_rationals: bool) -> Model:
        """The MDP's numbers, exact if wanted (the MDP must then be exact itself)."""
        if isinstance(mdp, FiniteMDP) and mdp.exact and not in_rationals:
            mdp = mdp.to_float()
        prepare = exact.to_flint if in_rationals else np.asarray
        return cls(
            transition=mdp.transition if isinstance(mdp, SparseMDP) else prepare(mdp.transition),
            reward=prepare(mdp.reward),
            initial=prepare(mdp.initial),
            discount=prepare(mdp.discount),
            reward_range=prepare(mdp.reward_range),
        )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` computes, for each of N policies; `Fraction` objects when exact.

    Attributes:
        value: V, shape [..., N, S].
        action_value: Q, shape [..., N, S, A].
        advantage: Q − V, shape [..., N, S, A].
        occupancy: unnormalised discounted occupancy d, shape [..., N, S].
        expected_return: J = ρ·V, shape [..., N].
    """

    value: np.ndarray
    action_value: np.ndarray
    advantage: np.ndarray
    occupancy: np.ndarray
    expected_return: np.ndarray


def evaluate(mdp: FiniteMDP | SparseMDP, policy: LatentPolicy | Any) -> Evaluation:
    """Evaluate policies exactly: by linear solves, in rationals if MDP and policies are exact.

    Args:
        mdp: the MDP, possibly batched.
        policy: latent policies [..., N, S, A], or anything that makes a `LatentPolicy`.

    Raises:
        ValueError: when the policies do not fit the MDP.
    """
    latent = policy if isinstance(policy, LatentPolicy) else LatentPolicy(policy)
    latent.require_mdp(mdp, "policies")
    in_rationals = mdp.exact and latent.exact
    model = Model.of(mdp, in_rationals=in_rationals)
    prepare = exact.to_flint if in_rationals else functools.partial(np.asarray, dtype=np.float64)
    numbers = prepare(latent.probabilities)
    value = state_values(model, numbers)
    action_value = action_values(model, value)
    results = {
        "value": value,
        "action_value": action_value,
        "advantage": action_value - value[..., None],
        "occupancy": occupancies(model, numbers),
        "expected_return": np.asarray((model.initial[..., None, :] * value).sum(axis=-1)),
    }
    if in_rationals:
        results = {name: exact.from_flint(array) for name, array in results.items()}
    return Evaluation(**results)


def expected_next(model: Model, value: np.ndarray) -> np.ndarray:
    """Σ_s' P[s,a,s'] value[n,s'] for value [..., N, S]: shape [..., N, S, A]."""
    if scipy.sparse.issparse(model.transition):
        return sparse.expected_next(model.transition, value)
    if value.dtype == object:
        n_states, n_actions = model.transition.shape[-3:-1]
        rows = model.transition.reshape(*model.transition.shape[:-3], -1, n_states)
        flat = exact.product(rows, np.swapaxes(value, -1, -2))
        return np.swapaxes(flat, -1, -2).reshape(*flat.shape[:-2], -1, n_states, n_actions)
    return np.einsum("...sat,...nt->...nsa", model.transition, value)


def discounted_solve(
    model: Model, weights: np.ndarray, rhs: np.ndarray, *, transpose: bool = False
) -> np.ndarray:
    """x [..., N, S] with (I − γ P_w) x = rhs, or its transpose.

    P_w[s,s'] = Σ_a w[s,a] P[s,a,s'] for weights w [..., N, S, A] whose rows sum to at most 1;
    rhs [..., N, S].  The matrix is strictly diagonally dominant, so x exists and is unique.
    """
    if scipy.sparse.issparse(model.transition):
        gamma = float(model.discount)
        return sparse.discounted_solve(model.transition, weights, rhs, gamma, transpose)
    by_state = np.matmul(np.swapaxes(weights, -3, -2), model.transition)  # [..., s, n, s']
    matrix = np.swapaxes(by_state, -3, -2) * -model.discount[..., None, None, None]
    diagonal = np.arange(matrix.shape[-1])
    matrix[..., diagonal, diagonal] += 1
    if transpose:
        matrix = np.swapaxes(matrix, -1, -2)
    if matrix.dtype == object:
        return exact.solve(matrix, rhs)
    try:
        return np.linalg.solve(matrix, rhs[..., None])[..., 0]
    except np.linalg.LinAlgError:
        raise ArithmeticError(
            f"a discount of {np.max(model.discount)} is too close to 1 for float64: give every"
            " number as a fraction and decide exactly"
        ) from None


def occupancies(model: Model, policy: np.ndarray) -> np.ndarray:
    """d [..., N, S] of policies [..., N, S, A]."""
    rhs = np.broadcast_to(
        model.initial[..., None, :],
        (*np.broadcast_shapes(model.initial.shape[:-1], policy.shape[:-3]), *policy.shape[-3:-1]),
    )
    return discounted_solve(model, policy, rhs, transpose=True)


def state_values(model: Model, policy: np.ndarray) -> np.ndarray:
    """V [..., N, S] of policies [..., N, S, A]."""
    return discounted_solve(model, policy, expected_reward(model, policy))


def action_values(model: Model, state_value: np.ndarray) -> np.ndarray:
    """Q [..., N, S, A] from V [..., N, S]."""
    gamma = model.discount[..., None, None, None]
    return model.reward[..., None, :, :] + gamma * expected_next(model, state_value)


def returns(model: Model, policy: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """J [..., N] = Σ_{s,a} d[n,s] π[n,s,a] r[s,a]."""
    return (occupancy * expected_reward(model, policy)).sum(axis=-1)


def expected_reward(model: Model, policy: np.ndarray) -> np.ndarray:
    """r_π [..., N, S] = Σ_a π[n,s,a] r[s,a]."""
    return np.einsum("...nsa,...sa->...ns", policy, model.reward)
