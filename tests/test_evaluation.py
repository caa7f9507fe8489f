"""Values, occupancies and returns: two routes, one answer."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from mdtheory import FiniteMDP, SparseMDP, evaluate, exact, performance_difference
from mdtheory.evaluation import (
    Model,
    action_values,
    discounted_solve,
    expected_next,
    occupancies,
    returns,
    state_values,
)
from tests.random_problems import exact_case, exact_cases, float_case
from tests.reference import Reference


def float_model(seed: int, batch: tuple[int, ...] = ()) -> tuple[Model, np.ndarray, FiniteMDP]:
    case = float_case(np.random.default_rng(seed), batch=batch)
    mdp = case.problem.mdp
    return Model.of(mdp, in_rationals=False), case.policy.probabilities, mdp


def exact_model(seed: int) -> tuple[Model, np.ndarray, Reference]:
    case = exact_case(np.random.default_rng(seed))
    model = Model.of(case.problem.mdp, in_rationals=True)
    return model, exact.to_flint(case.policy.probabilities), Reference(case)


def fractions(array: np.ndarray) -> list:
    return np.vectorize(exact.to_fraction, otypes=[object])(array).tolist()


def hand_mdp() -> FiniteMDP:
    """State 0: action 0 pays 1 and moves to 1, action 1 stays for 0; state 1 pays 2 forever."""
    half = Fraction(1, 2)
    move, stay = [0, 1], [1, 0]
    return FiniteMDP(
        transition=[[move, stay], [move, move]],
        reward=[[1, 0], [2, 2]],
        initial=[1, 0],
        discount=half,
    )


def test_hand_worked_numbers_of_a_two_state_walk():
    # pi acts 1/2, 1/2 in state 0: V(1) = 2/(1-1/2) = 4,
    # V(0) = 1/2 (1 + 4/2) + 1/2 (V(0)/2) gives V(0) = 2; d = (4/3, 2/3).
    model = Model.of(hand_mdp(), in_rationals=True)
    policy = exact.to_flint(np.array([[[Fraction(1, 2)] * 2, [Fraction(1), Fraction(0)]]]))
    value = state_values(model, policy)
    occupancy = occupancies(model, policy)
    assert fractions(value) == [[2, 4]]
    assert fractions(action_values(model, value)) == [[[3, 1], [4, 4]]]
    assert fractions(expected_next(model, value)) == [[[4, 2], [4, 4]]]
    assert fractions(occupancy) == [[Fraction(4, 3), Fraction(2, 3)]]
    assert fractions(returns(model, policy, occupancy)) == [2]


@pytest.mark.parametrize("transpose", [False, True])
def test_solve_equals_the_truncated_series_within_the_tail(transpose):
    model, policy, mdp = float_model(0, batch=(5,))
    gamma = mdp.discount.max()
    induced = np.einsum("bsat,bnsa->bnst", mdp.transition, policy)
    rhs = np.random.default_rng(1).normal(size=policy.shape[:-1])
    term, series, n_terms = rhs, rhs.copy(), 3000
    for _ in range(n_terms - 1):
        pattern = "bnst,bns->bnt" if transpose else "bnst,bnt->bns"
        term = mdp.discount[:, None, None] * np.einsum(pattern, induced, term)
        series += term
    tail = gamma**n_terms / (1 - gamma) * abs(rhs).sum(axis=-1).max()
    assert tail < 1e-9
    solution = discounted_solve(model, policy, rhs, transpose=transpose)
    assert abs(solution - series).max() <= tail + 1e-10 * abs(series).max()


def test_values_satisfy_the_bellman_equation():
    model, policy, mdp = float_model(2, batch=(3,))
    value = state_values(model, policy)
    q = action_values(model, value)
    assert (policy * q).sum(axis=-1) == pytest.approx(value, abs=1e-11)
    loop = np.empty_like(q)
    for b, n, s, a in np.ndindex(q.shape):
        future = sum(mdp.transition[b, s, a, t] * value[b, n, t] for t in range(mdp.n_states))
        loop[b, n, s, a] = mdp.reward[b, s, a] + mdp.discount[b] * future
    assert q == pytest.approx(loop, abs=1e-11)


def test_occupancies_sum_to_the_horizon_and_are_nonnegative():
    model, policy, mdp = float_model(3, batch=(7,))
    d = occupancies(model, policy)
    assert d.sum(axis=-1) == pytest.approx(np.tile(1 / (1 - mdp.discount)[:, None], 4), rel=1e-12)
    assert (d >= -1e-12).all()


def test_return_is_the_same_by_values_and_by_occupancies():
    for seed in range(5):
        model, policy, mdp = float_model(seed, batch=(4,))
        by_values = np.einsum("bs,bns->bn", mdp.initial, state_values(model, policy))
        by_occupancy = returns(model, policy, occupancies(model, policy))
        assert by_occupancy == pytest.approx(by_values, abs=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_exact_arrays_equal_gaussian_elimination_on_fractions(seed):
    model, policy, reference = exact_model(seed)
    latent = reference.pi
    value = state_values(model, policy)
    d = occupancies(model, policy)
    assert fractions(value) == [reference.values(pi) for pi in latent]
    assert fractions(action_values(model, value)) == [reference.action_values(p) for p in latent]
    assert fractions(d) == [reference.occupancy(pi) for pi in latent]
    assert fractions(returns(model, policy, d)) == [reference.value(pi) for pi in latent]
    assert {sum(row) for row in fractions(d)} == {1 / (1 - reference.gamma)}


@pytest.mark.parametrize("seed", range(4))
def test_performance_difference_lemma_holds_state_by_state(seed):
    _, _, reference = exact_model(seed)
    model, policy, _ = exact_model(seed)
    q, d = action_values(model, state_values(model, policy)), occupancies(model, policy)
    value = returns(model, policy, d)
    for f in range(reference.F):
        for g in range(reference.F):
            per_state = (d[g] * ((policy[g] - policy[f]) * q[f]).sum(axis=-1)).sum()
            assert value[g] - value[f] == per_state


def test_float_equals_exact():
    for case in exact_cases(np.random.default_rng(4), 20):
        mdp = case.problem.mdp
        in_float, in_rationals = (Model.of(mdp, in_rationals=x) for x in (False, True))
        policy = case.policy.probabilities
        rough = state_values(in_float, policy.astype(np.float64))
        sharp = fractions(state_values(in_rationals, exact.to_flint(policy)))
        assert rough == pytest.approx(np.array(sharp, dtype=np.float64), rel=1e-11, abs=1e-11)


def test_a_batch_equals_its_problems_one_by_one():
    model, policy, mdp = float_model(5, batch=(2, 3))
    value, d = state_values(model, policy), occupancies(model, policy)
    for i, j in np.ndindex(2, 3):
        one = FiniteMDP(
            transition=mdp.transition[i, j],
            reward=mdp.reward[i, j],
            initial=mdp.initial[i, j],
            discount=mdp.discount[i, j],
        )
        single = Model.of(one, in_rationals=False)
        assert state_values(single, policy[i, j]) == pytest.approx(value[i, j], abs=1e-12)
        assert occupancies(single, policy[i, j]) == pytest.approx(d[i, j], abs=1e-12)


def test_a_policy_batch_meets_a_single_mdp_and_the_other_way():
    single, policy, _ = float_model(6)
    policies = np.stack([policy, policy[::-1]])
    both = occupancies(single, policies)
    assert both == pytest.approx(np.stack([occupancies(single, p) for p in policies]), abs=1e-12)
    models, _, mdp = float_model(7, batch=(3,))
    values = state_values(models, policy)
    assert values.shape == (3, *policy.shape[:-1])
    for b in range(3):
        one = Model(
            transition=mdp.transition[b],
            reward=mdp.reward[b],
            initial=mdp.initial[b],
            discount=mdp.discount[b],
            reward_min=mdp.reward_bounds[b, 0],
            reward_max=mdp.reward_bounds[b, 1],
        )
        assert values[b] == pytest.approx(state_values(one, policy), abs=1e-12)


def test_only_the_discount_may_be_batched():
    mdp = float_case(np.random.default_rng(8)).problem.mdp
    fields = {"transition": mdp.transition, "reward": mdp.reward, "initial": mdp.initial}
    policy = np.full((1, 4, 3), 1 / 3)
    many = FiniteMDP(**fields, discount=[0.0, 0.5, 0.9])
    got = occupancies(Model.of(many, in_rationals=False), policy)
    for b, discount in enumerate((0.0, 0.5, 0.9)):
        one = Model.of(FiniteMDP(**fields, discount=discount), in_rationals=False)
        assert got[b] == pytest.approx(occupancies(one, policy), abs=1e-12)


def test_values_ignore_the_names_of_states_and_actions():
    model, policy, mdp = float_model(9)
    states, actions = np.array([2, 0, 3, 1]), np.array([1, 2, 0])
    renamed = FiniteMDP(
        transition=mdp.transition[states][:, actions][:, :, states],
        reward=mdp.reward[states][:, actions],
        initial=mdp.initial[states],
        discount=mdp.discount,
    )
    moved = policy[:, states][:, :, actions]
    value = state_values(Model.of(renamed, in_rationals=False), moved)
    assert value == pytest.approx(state_values(model, policy)[:, states], abs=1e-12)


def test_evaluate_by_hand_in_rationals():
    """Stay and be paid 1 with probability 1/2, else fall into a sink: V = (1/2) / (1 - 9/20)."""
    mdp = FiniteMDP(
        transition=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
        reward=[[1, 0], [0, 0]],
        initial=[1, 0],
        discount=Fraction(9, 10),
    )
    half = Fraction(1, 2)
    found = evaluate(mdp, [[[half, half], [half, half]]])
    v = Fraction(10, 11)
    assert found.value.tolist() == [[v, 0]]
    assert found.action_value.tolist() == [[[1 + Fraction(9, 10) * v, 0], [0, 0]]]
    assert found.advantage.tolist() == [[[v, -v], [0, 0]]]
    assert found.occupancy.tolist() == [[Fraction(20, 11), 10 - Fraction(20, 11)]]
    assert found.expected_return.tolist() == [v]


def test_evaluate_is_the_same_in_floats_and_rationals_and_for_batches():
    mdp = FiniteMDP(
        transition=[[[Fraction(1, 3), Fraction(2, 3)]], [[Fraction(1, 4), Fraction(3, 4)]]],
        reward=[[1], [2]],
        initial=[Fraction(1, 2), Fraction(1, 2)],
        discount=Fraction(1, 2),
    )
    policy = [[[1], [1]], [[1], [1]]]
    exact, floats = evaluate(mdp, policy), evaluate(mdp.to_float(), policy)
    many = evaluate(mdp.to_float(), np.ones((5, 2, 2, 1)))
    for name in ("value", "action_value", "advantage", "occupancy", "expected_return"):
        rational = getattr(exact, name).astype(float)
        np.testing.assert_allclose(getattr(floats, name), rational, atol=1e-14)
        np.testing.assert_allclose(getattr(many, name)[3], rational, atol=1e-14)


def test_evaluate_refuses_policies_of_another_size():
    mdp = FiniteMDP(transition=[[[1.0]]], reward=[[1.0]], initial=[1.0], discount=0.5)
    with pytest.raises(
        ValueError, match=r"^policies must have shape \[s: 1, a: 1\], got \[2, 1\]$"
    ):
        evaluate(mdp, np.ones((1, 2, 1)))


def test_evaluate_names_batches_that_do_not_fit():
    mdp = FiniteMDP(transition=[[[1.0]]], reward=np.ones((3, 1, 1)), initial=[1.0], discount=0.5)
    with pytest.raises(ValueError, match=r"^batch axes must agree, got mdp \[3\], policies \[2\]$"):
        evaluate(mdp, np.ones((2, 1, 1, 1)))


@pytest.mark.parametrize("seed", range(4))
def test_performance_difference_sums_to_the_difference_of_returns_exactly(seed):
    case = exact_case(np.random.default_rng(seed))
    mdp, policies, reference = case.problem.mdp, case.policy.probabilities, Reference(case)
    for f, g in np.ndindex(reference.F, reference.F):
        found = performance_difference(mdp, policies[[f]], policies[[g]])
        q, d = reference.action_values(reference.pi[f]), reference.occupancy(reference.pi[g])
        assert found.tolist() == [
            [
                d[s] * sum((y - x) * z for x, y, z in zip(*rows, strict=True))
                for s, rows in enumerate(zip(reference.pi[f], reference.pi[g], q, strict=True))
            ]
        ]
        assert found.sum() == reference.value(reference.pi[g]) - reference.value(reference.pi[f])


def test_performance_difference_by_hand():
    """Leaving at once is worth 1 + 4/2 = 3, wavering 2, as above; state 1 is the same for both."""
    half = Fraction(1, 2)
    leaves, wavers = [[[1, 0], [1, 0]]], [[[half, half], [1, 0]]]
    assert performance_difference(hand_mdp(), leaves, wavers).tolist() == [[-1, 0]]
    # Judged by the values of wavering, Q = (3, 1), leaving gains (3 - 1)/2 = 1 once.
    assert performance_difference(hand_mdp(), wavers, leaves).tolist() == [[1, 0]]


def test_performance_difference_is_the_same_in_floats_for_batches_and_sparse():
    case = exact_case(np.random.default_rng(5))
    mdp, policies = case.problem.mdp, case.policy.probabilities
    sharp = performance_difference(mdp, policies[:1], policies).astype(float)
    floats = policies.astype(float)
    assert performance_difference(mdp, floats[:1], policies) == pytest.approx(sharp, abs=1e-11)
    many = performance_difference(mdp.to_float(), np.stack([floats[:1]] * 3), floats)
    assert many == pytest.approx(np.stack([sharp] * 3), abs=1e-11)
    mixed = performance_difference(mdp, policies[:1], floats)
    assert mixed.dtype == np.float64
    thin = SparseMDP(
        transition=scipy.sparse.csr_array(mdp.transition.astype(float).reshape(-1, mdp.n_states)),
        reward=mdp.reward.astype(float),
        initial=mdp.initial.astype(float),
        discount=float(mdp.discount),
    )
    assert performance_difference(thin, floats[:1], floats) == pytest.approx(sharp, abs=1e-9)


@pytest.mark.parametrize(
    ("policy", "other", "message"),
    [
        ((1, 3, 2), (1, 2, 2), r"policy must have shape \[s: 2, a: 2\], got \[3, 2\]"),
        ((1, 2, 2), (1, 2, 3), r"other must have shape \[s: 2, a: 2\], got \[2, 3\]"),
        ((2, 2, 2), (3, 2, 2), r"batch axes must agree, got policy \[2\], other \[3\]"),
    ],
)
def test_performance_difference_refuses_what_does_not_fit(policy, other, message):
    given = (np.full(shape, 1 / shape[-1]) for shape in (policy, other))
    with pytest.raises(ValueError, match=f"^{message}$"):
        performance_difference(hand_mdp().to_float(), *given)
