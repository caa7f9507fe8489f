"""The linear operators of `evaluation` for transitions with many states.

Every solve ends with a rigorous bound on its error: since P_w is substochastic, the error of x is
at most residual / (1 − γ) in the maximum norm, and that of the transposed system in the sum norm.
Iteration goes on until this bound is below `ERROR_BOUND` relative to the solution's scale.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from threadpoolctl import threadpool_limits

ERROR_BOUND = 1e-10
"""Largest proven error of a solution, relative to max|rhs|/(1−γ) (transposed: Σ|rhs|/(1−γ))."""


def expected_next(transition: scipy.sparse.csr_array, value: np.ndarray) -> np.ndarray:
    """Σ_s' P[s,a,s'] value[n,s'] for value [N, S]: shape [N, S, A]."""
    n_states = value.shape[-1]
    return (transition @ value.T).T.reshape(len(value), n_states, -1)


def expected_previous(transition: scipy.sparse.csr_array, mass: np.ndarray) -> np.ndarray:
    """Σ_{s,a} mass[n,s,a] P[s,a,s'] for mass [N, S, A]: shape [N, S]."""
    return (transition.T @ mass.reshape(len(mass), -1).T).T


def discounted_solve(
    transition: scipy.sparse.csr_array,
    weights: np.ndarray,
    rhs: np.ndarray,
    discount: float,
    transpose: bool,
) -> np.ndarray:
    """x [N, S] with (I − γ P_w) x = rhs (or transposed) for weights [N, S, A], rhs [N, S]."""
    n_states, n_actions = weights.shape[-2:]
    rows = np.repeat(np.arange(n_states), n_actions)
    columns = np.arange(n_states * n_actions)

    def solve(n: int) -> np.ndarray:
        mixer = scipy.sparse.csr_array(
            (weights[n].ravel(), (rows, columns)), shape=(n_states, n_states * n_actions)
        )
        induced = mixer @ transition
        matrix = induced.T.tocsr() if transpose else induced
        return _solve_one(matrix, rhs[n], discount, transpose)

    # One thread per system: BLAS threads within a system cost more than they bring.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(solve, range(len(rhs)))))


def _solve_one(
    induced: scipy.sparse.csr_array, rhs: np.ndarray, discount: float, transpose: bool
) -> np.ndarray:
    """BiCGSTAB, restarted on its own residual until the proven error is small enough."""
    norm = (lambda v: abs(v).sum()) if transpose else (lambda v: abs(v).max())
    target = ERROR_BOUND * norm(rhs)
    matrix = scipy.sparse.eye_array(len(rhs), format="csr") - discount * induced
    x, residual = np.zeros_like(rhs), rhs
    while not norm(residual) <= target:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # breakdowns
            step, _ = scipy.sparse.linalg.bicgstab(matrix, residual, rtol=1e-3, maxiter=300)
            candidate = rhs - matrix @ (x + step)
            improved = norm(candidate) < 0.5 * norm(residual)
        if not improved:
            step = residual
            for _ in range(50):  # plain iteration always contracts, by γ a round
                step = residual + discount * (induced @ step)
            candidate = rhs - matrix @ (x + step)
            if not norm(candidate) < norm(residual):
                raise ArithmeticError(
                    f"the sparse solve stopped at a relative error of {norm(residual) / norm(rhs)}"
                    f" above {ERROR_BOUND}: discount {discount} is too close to 1 for float64"
                )
        x, residual = x + step, candidate
    return x
