"""100,000 latent states under 16 renderings through A0 to A3, sparse transitions.

No peer evaluates policies of this size under many renderings; the time and memory stand alone.
"""

from __future__ import annotations

import resource
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from mdtheory import LatentPolicy, Problem, RenderingFamily, SparseMDP, check

N_ACTIONS, N_RENDERINGS = 4, 16


def random_graph(rng: np.random.Generator, n_states: int = 100_000) -> scipy.sparse.csr_array:
    """Five random successors for every state and action."""
    n_rows, n_next = n_states * N_ACTIONS, 5
    rows = np.repeat(np.arange(n_rows), n_next)
    columns = rng.integers(0, n_states, size=n_rows * n_next)
    weights = rng.exponential(size=(n_rows, n_next))
    weights /= weights.sum(axis=1, keepdims=True)
    return scipy.sparse.csr_array((weights.ravel(), (rows, columns)), shape=(n_rows, n_states))


def lattice(rng: np.random.Generator, side: int = 316) -> scipy.sparse.csr_array:
    """Four moves on a square lattice: the slowest mixing world of its size."""
    del rng
    i, j = np.divmod(np.arange(side**2), side)
    targets = np.stack(
        [
            np.maximum(i - 1, 0) * side + j,
            np.minimum(i + 1, side - 1) * side + j,
            i * side + np.maximum(j - 1, 0),
            i * side + np.minimum(j + 1, side - 1),
        ],
        axis=1,
    ).ravel()
    entries = (np.ones(len(targets)), (np.arange(len(targets)), targets))
    return scipy.sparse.csr_array(entries, shape=(len(targets), side**2))


@pytest.mark.parametrize("world", [random_graph, lattice])
@pytest.mark.parametrize("discount", [0.99, 0.999])
def test_sparse_ladder(benchmark: Any, world: Any, discount: float) -> None:
    rng = np.random.default_rng(0)
    transition = world(rng)
    n_states = transition.shape[1]
    policy = rng.exponential(size=(N_RENDERINGS, n_states, N_ACTIONS))
    policy /= policy.sum(axis=-1, keepdims=True)
    mdp = SparseMDP(
        transition=transition,
        reward=rng.random((n_states, N_ACTIONS)),
        initial=np.full(n_states, 1 / n_states),
        discount=discount,
    )
    train_mask = np.arange(N_RENDERINGS) < 4
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(n_states, train_mask=train_mask))
    report = benchmark.pedantic(
        check,
        (problem, LatentPolicy(policy)),
        {"bounds": ["A0", "A1", "A2", "A3"]},
        rounds=1,
    )
    benchmark.extra_info["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert report.holds
