"""Sparse transitions give the dense answers, with the error bound they promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from mdtheory import (
    FiniteMDP,
    LatentPolicy,
    Problem,
    RenderingFamily,
    SparseMDP,
    check,
    measure,
    sparse,
)
from mdtheory.evaluation import Model, discounted_solve, expected_next
from mdtheory.sparse import ERROR_BOUND
from tests.random_problems import float_case


def pair(discount: float, seed: int = 0, n_states: int = 30) -> tuple[FiniteMDP, SparseMDP]:
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.full(n_states, 0.05), (n_states, 3))
    transition[transition < 1e-6] = 0
    transition /= transition.sum(axis=-1, keepdims=True)
    fields = {
        "reward": rng.normal(size=(n_states, 3)),
        "initial": rng.dirichlet(np.ones(n_states)),
        "discount": discount,
        "reward_bounds": [-6.0, 6.0],
    }
    matrix = scipy.sparse.csr_matrix(transition.reshape(-1, n_states))
    return FiniteMDP(transition=transition, **fields), SparseMDP(transition=matrix, **fields)


def test_the_promised_error_is_small():
    assert ERROR_BOUND <= 1e-10


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99, 0.99999])
def test_sparse_solve_equals_dense_solve_within_the_proven_bound(discount, transpose):
    dense, sparse = (Model.of(m, in_rationals=False) for m in pair(discount))
    rng = np.random.default_rng(1)
    policy = rng.dirichlet(np.ones(3), (4, 30)) * rng.uniform(size=(4, 30, 1))
    policy[0] /= policy[0].sum(axis=-1, keepdims=True)
    rhs = rng.normal(size=(4, 30))
    expected = discounted_solve(dense, policy, rhs, transpose=transpose)
    got = discounted_solve(sparse, policy, rhs, transpose=transpose)
    for n in range(4):
        norm = np.abs(rhs[n]).sum() if transpose else np.abs(rhs[n]).max()
        error = abs(got[n] - expected[n])
        error = error.sum() if transpose else error.max()
        assert error <= 2 * ERROR_BOUND * norm / (1 - discount)


def test_expected_next_is_the_dense_product():
    dense, sparse = (Model.of(m, in_rationals=False) for m in pair(0.9))
    value = np.random.default_rng(2).normal(size=(2, 30))
    assert expected_next(sparse, value) == pytest.approx(expected_next(dense, value), abs=1e-12)


def test_hand_worked_sparse_walk():
    # State 0 moves to 1, state 1 to 0; reward 1 in state 0: V(0) = 1/(1 - 1/4) at gamma 1/2.
    swap = scipy.sparse.coo_array(([1.0, 1.0], ([0, 1], [1, 0])), shape=(2, 2))
    mdp = SparseMDP(transition=swap, reward=[[1], [0]], initial=[1, 0], discount=0.5)
    family = RenderingFamily.distinct(2, train_mask=[True])
    got = measure(Problem(mdp=mdp, renderings=family), LatentPolicy(np.ones((1, 2, 1))))
    assert got["train_return"] == pytest.approx(4 / 3, abs=1e-9)
    assert (mdp.n_states, mdp.n_actions, mdp.exact, mdp.batch_shape) == (2, 1, False, ())


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.999])
def test_every_quantity_and_verdict_agrees_with_dense(discount):
    dense, sparse = pair(discount, seed=3)
    case = float_case(np.random.default_rng(4), n_states=30)
    reports = [
        check(replace(case.problem, mdp=mdp), case.policy, case.baseline) for mdp in (dense, sparse)
    ]
    for name, value in reports[0].quantities.items():
        assert reports[1].quantities[name] == pytest.approx(value, rel=1e-6, abs=1e-7), name
    assert reports[0].holds
    assert reports[1].holds


def test_a_blind_policy_has_no_gap_and_separates_nowhere():
    _, mdp = pair(0.9)
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(30, train_mask=[True, False]))
    policy = np.random.default_rng(7).dirichlet(np.ones(3), 30)
    got = measure(problem, LatentPolicy(np.stack([policy, policy])))
    zero = ("gap", "robustness", "mean_robustness", "decoupling", "occupancy_distance")
    assert [float(got[name]) for name in zero] == [0] * 5


def test_stored_zeros_and_duplicates_do_not_matter():
    rows, columns = [0, 0, 0, 1], [0, 0, 1, 1]
    data = [0.25, 0.75, 0.0, 1.0]
    coo = scipy.sparse.coo_matrix((data, (rows, columns)), shape=(2, 2))
    mdp = SparseMDP(transition=coo, reward=[[1], [0]], initial=[1, 0], discount=0.5)
    assert mdp.transition.toarray().tolist() == [[1, 0], [0, 1]]
    csr = scipy.sparse.csr_array(([1.5, -0.5, 1.0], [0, 0, 1], [0, 2, 3]), shape=(2, 2))
    mdp = SparseMDP(transition=csr, reward=[[1], [0]], initial=[1, 0], discount=0.5)
    assert mdp.transition.toarray().tolist() == [[1, 0], [0, 1]]


def test_the_mdp_keeps_a_private_read_only_copy():
    matrix = scipy.sparse.csr_array(np.eye(2))
    mdp = SparseMDP(transition=matrix, reward=[[1], [0]], initial=[1, 0], discount=0.5)
    matrix.data[0] = 7
    assert mdp.transition.toarray().tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="read-only"):
        mdp.transition.data[0] = 7


def test_ten_thousand_states_keep_the_identities():
    # A ring that moves on with probability 1/2; the policy's two actions differ in the step.
    n = 10_000
    states = np.repeat(np.arange(n), 2)
    steps = np.tile([1, 2], n)
    stay = scipy.sparse.coo_array((np.full(2 * n, 0.5), (np.arange(2 * n), states)), (2 * n, n))
    move = scipy.sparse.coo_array(
        (np.full(2 * n, 0.5), (np.arange(2 * n), (states + steps) % n)), (2 * n, n)
    )
    initial = np.zeros(n)
    initial[0] = 1
    mdp = SparseMDP(
        transition=(stay + move).tocsr(),
        reward=np.random.default_rng(5).uniform(size=(n, 2)),
        initial=initial,
        discount=0.99,
    )
    policy = np.random.default_rng(6).dirichlet(np.ones(2), (3, n))
    model = Model.of(mdp, in_rationals=False)
    value = discounted_solve(model, policy, (policy * mdp.reward).sum(axis=-1))
    rhs = np.broadcast_to(initial, value.shape)
    occupancy = discounted_solve(model, policy, rhs, transpose=True)
    assert occupancy.sum(axis=-1) == pytest.approx(np.full(3, 100.0), abs=1e-7)
    by_occupancy = (occupancy * (policy * mdp.reward).sum(axis=-1)).sum(axis=-1)
    assert by_occupancy == pytest.approx(value[:, 0], abs=1e-7)


def test_a_batch_of_policies_for_a_sparse_mdp_is_refused_by_name():
    _, mdp = pair(0.5)
    problem = Problem(mdp=mdp, renderings=RenderingFamily.distinct(30, train_mask=[True, False]))
    policies = LatentPolicy(np.full((4, 2, 30, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"^policies must .*SparseMDP"):
        measure(problem, policies)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("gamma", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("world", ["cycle", "lattice"])
def test_solves_survive_the_breakdowns_of_the_krylov_method(world, gamma, transpose):
    """BiCGSTAB fails on both from these right sides; the dense solve is the second route."""
    n = 25
    if world == "cycle":
        matrix, rhs = np.roll(np.eye(n), 1, axis=1), np.eye(1, n)
    else:
        i, j = np.divmod(np.arange(n), 5)
        neighbours = [
            np.maximum(i - 1, 0) * 5 + j,
            np.minimum(i + 1, 4) * 5 + j,
            i * 5 + np.maximum(j - 1, 0),
            i * 5 + np.minimum(j + 1, 4),
        ]
        matrix, rhs = np.zeros((n, n)), np.full((1, n), 1 / n)
        weights = np.random.default_rng(1).dirichlet(np.ones(4), n)
        for k, target in enumerate(neighbours):
            np.add.at(matrix, (np.arange(n), target), weights[:, k])
    system = np.eye(n) - gamma * (matrix.T if transpose else matrix)
    found = sparse.discounted_solve(
        scipy.sparse.csr_array(matrix), np.ones((1, n, 1)), rhs, gamma, transpose
    )
    np.testing.assert_allclose(found[0], np.linalg.solve(system, rhs[0]), rtol=1e-6, atol=1e-9)
