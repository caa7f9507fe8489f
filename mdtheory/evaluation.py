"""Exact evaluation of policies by linear solves: values, advantages, occupancies.

    V = r_π + γ P_π V                   values
    Q[s,a] = r[s,a] + γ Σ_s' P[s,a,s'] V[s']
    d = ρ + γ P_πᵀ d                    unnormalised occupancy, Σ_s d[s] = 1/(1−γ)
    J = ρ·V = Σ_{s,a} d[s] π[s,a] r[s,a]

`evaluate` and `performance_difference` are the doors for users.  The functions below them take a
`Model` and policies [..., N, S, A] that share its batch axes, N being renderings, policies or both.
They run on float64 arrays or tensors (batched), on exact rationals and on sparse transitions; only
`discounted_solve`, `expected_next` and `expected_previous` know which.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from mdtheory import arrays, exact, sparse, validation
from mdtheory.mdp import FiniteMDP, SparseMDP
from mdtheory.policy import LatentPolicy


@dataclass(frozen=True, eq=False)
class Model:
    """An MDP's numbers ready for arithmetic: float64, `flint.fmpq` objects, tensors, or sparse.

    transition [..., S, A, S] (or CSR [S*A, S]), reward [..., S, A], initial [..., S],
    discount [...], reward_min and reward_max [...].
    """

    transition: Any
    reward: Any
    initial: Any
    discount: Any
    reward_min: Any
    reward_max: Any

    @classmethod
    def of(
        cls,
        mdp: FiniteMDP | SparseMDP,
        *,
        in_rationals: bool,
        device: str | None = None,
    ) -> Model:
        """The MDP's numbers, exact if wanted (the MDP must then be exact itself), or on a device.

        Raises:
            ValueError: for a SparseMDP on a device.
        """
        if isinstance(mdp, FiniteMDP) and mdp.exact and not in_rationals:
            mdp = mdp.to_float()
        prepare = numbers_for(in_rationals=in_rationals, device=device)
        if isinstance(mdp, SparseMDP) and device is not None:
            raise ValueError(f"device must be None for a SparseMDP, got {device!r}")
        return cls(
            transition=mdp.transition if isinstance(mdp, SparseMDP) else prepare(mdp.transition),
            reward=prepare(mdp.reward),
            initial=prepare(mdp.initial),
            discount=prepare(mdp.discount),
            reward_min=prepare(mdp.reward_bounds[..., 0]),
            reward_max=prepare(mdp.reward_bounds[..., 1]),
        )

    @property
    def reward_range(self) -> Any:
        """Δ = r_max − r_min, shape [...]."""
        return self.reward_max - self.reward_min

    @property
    def n_states(self) -> int:
        return self.reward.shape[-2]

    @property
    def n_actions(self) -> int:
        return self.reward.shape[-1]


def numbers_for(*, in_rationals: bool, device: str | None = None) -> Callable[[Any], Any]:
    """The function that makes arrays ready for this arithmetic."""
    if in_rationals:
        return exact.to_flint
    if device is None:
        return functools.partial(np.asarray, dtype=np.float64)
    return functools.partial(arrays.on_device, device=device)


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
    numbers = numbers_for(in_rationals=in_rationals)(latent.probabilities)
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


def performance_difference(
    mdp: FiniteMDP | SparseMDP, policy: LatentPolicy | Any, other: LatentPolicy | Any
) -> np.ndarray:
    """Where the return of `other` differs from that of `policy`, state by state.

        J_other − J_policy = Σ_s d_other[s] Σ_a (other[s,a] − policy[s,a]) Q_policy[s,a]

    The performance difference lemma (Kakade & Langford 2002, lemma 6.1).  For one policy under two
    renderings it says in which states the other rendering loses or gains.

    Args:
        mdp: the MDP, possibly batched.
        policy: latent policies [..., N, S, A], or anything that makes a `LatentPolicy`: those to
            compare with, whose action values judge.
        other: the policies that act, of the same shape, or one for all or against all.

    Returns:
        The summands [..., N, S], `Fraction` objects if MDP and both policies are exact.

    Raises:
        ValueError: when policies do not fit the MDP or each other.
    """
    both = {
        name: given if isinstance(given, LatentPolicy) else LatentPolicy(given, name=name)
        for name, given in (("policy", policy), ("other", other))
    }
    for name, latent in both.items():
        latent.require_mdp(mdp, name)
    validation.broadcast_batches({n: latent.probabilities.shape[:-2] for n, latent in both.items()})
    in_rationals = mdp.exact and all(latent.exact for latent in both.values())
    model = Model.of(mdp, in_rationals=in_rationals)
    prepare = numbers_for(in_rationals=in_rationals)
    judging, acting = (prepare(latent.probabilities) for latent in both.values())
    action_value = action_values(model, state_values(model, judging))
    summands = occupancies(model, acting) * ((acting - judging) * action_value).sum(axis=-1)
    return exact.from_flint(summands) if in_rationals else summands


def expected_next(model: Model, value: Any) -> Any:
    """Σ_s' P[s,a,s'] value[n,s'] for value [..., N, S]: shape [..., N, S, A]."""
    if scipy.sparse.issparse(model.transition):
        return sparse.expected_next(model.transition, value)
    if value.dtype == object:
        n_states, n_actions = model.n_states, model.n_actions
        rows = model.transition.reshape(*model.transition.shape[:-3], -1, n_states)
        flat = exact.product(rows, np.swapaxes(value, -1, -2))
        return np.swapaxes(flat, -1, -2).reshape(*flat.shape[:-2], -1, n_states, n_actions)
    xp = arrays.namespace(value)
    return xp.einsum("...sat,...nt->...nsa", model.transition, value)


def expected_previous(model: Model, mass: Any) -> Any:
    """Σ_{s,a} mass[n,s,a] P[s,a,s'] for float mass [..., N, S, A]: shape [..., N, S]."""
    if scipy.sparse.issparse(model.transition):
        return sparse.expected_previous(model.transition, mass)
    return arrays.namespace(mass).einsum("...nsa,...sat->...nt", mass, model.transition)


def discounted_solve(model: Model, weights: Any, rhs: Any, *, transpose: bool = False) -> Any:
    """x [..., N, S] with (I − γ P_w) x = rhs, or its transpose.

    P_w[s,s'] = Σ_a w[s,a] P[s,a,s'] for weights w [..., N, S, A] whose rows sum to at most 1;
    rhs [..., N, S].  The matrix is strictly diagonally dominant, so x exists and is unique.
    """
    if scipy.sparse.issparse(model.transition):
        gamma = float(model.discount)
        return sparse.discounted_solve(model.transition, weights, rhs, gamma, transpose)
    xp = arrays.namespace(weights)
    by_state = xp.matmul(xp.swapaxes(weights, -3, -2), model.transition)  # [..., s, n, s']
    matrix = xp.swapaxes(by_state, -3, -2) * -model.discount[..., None, None, None]
    diagonal = list(range(matrix.shape[-1]))
    matrix[..., diagonal, diagonal] += 1
    if transpose:
        matrix = xp.swapaxes(matrix, -1, -2)
    if matrix.dtype == object:
        return exact.solve(matrix, rhs)
    try:
        return xp.linalg.solve(matrix, rhs[..., None])[..., 0]
    except xp.linalg.LinAlgError:
        largest = float(arrays.to_numpy(model.discount).max())
        raise ArithmeticError(
            f"a discount of {largest} is too close to 1 for float64: give every"
            " number as a fraction and decide exactly"
        ) from None


def solve_error(model: Model, weights: Any, rhs: Any, x: Any, *, transpose: bool = False) -> Any:
    """A proven bound [..., N] on the error of a float64 `discounted_solve`.

    In the maximum norm; transposed, in the sum norm.  The matrix I − γ P_w has an inverse of norm
    at most 1/(1−γ) there, so the residual over 1−γ bounds the error; `rounding` covers computing
    the residual itself and rows that sum to 1 only as far as float64 can say.
    """
    xp = arrays.namespace(x)
    if transpose:
        image = expected_previous(model, weights * x[..., None])
        norm = functools.partial(xp.sum, axis=-1)
    else:
        image = (weights * expected_next(model, x)).sum(axis=-1)
        norm = functools.partial(xp.amax, axis=-1)
    residual = rhs - x + model.discount[..., None, None] * image
    slack = rounding(model) * (norm(abs(rhs)) + 2 * norm(abs(x)))
    return (norm(abs(residual)) + slack) / (1 - model.discount[..., None])


def rounding(model: Model) -> float:
    """A generous relative bound on what one sum over states and actions loses in float64."""
    return 4 * (model.n_states + model.n_actions + 10) * float(np.finfo(np.float64).eps) / 2


def occupancies(model: Model, policy: Any) -> Any:
    """d [..., N, S] of policies [..., N, S, A]."""
    return discounted_solve(model, policy, initial_rows(model, policy), transpose=True)


def initial_rows(model: Model, policy: Any) -> Any:
    """ρ once for each policy [..., N, S, A]: shape [..., N, S]."""
    batch = np.broadcast_shapes(tuple(model.initial.shape[:-1]), tuple(policy.shape[:-3]))
    shape = (*batch, *policy.shape[-3:-1])
    return arrays.namespace(policy).broadcast_to(model.initial[..., None, :], shape)


def state_values(model: Model, policy: Any) -> Any:
    """V [..., N, S] of policies [..., N, S, A]."""
    return discounted_solve(model, policy, expected_reward(model, policy))


def action_values(model: Model, state_value: Any) -> Any:
    """Q [..., N, S, A] from V [..., N, S]."""
    gamma = model.discount[..., None, None, None]
    return model.reward[..., None, :, :] + gamma * expected_next(model, state_value)


def returns(model: Model, policy: Any, occupancy: Any) -> Any:
    """J [..., N] = Σ_{s,a} d[n,s] π[n,s,a] r[s,a]."""
    return (occupancy * expected_reward(model, policy)).sum(axis=-1)


def expected_reward(model: Model, policy: Any) -> Any:
    """r_π [..., N, S] = Σ_a π[n,s,a] r[s,a]."""
    return arrays.namespace(policy).einsum("...nsa,...sa->...ns", policy, model.reward)
