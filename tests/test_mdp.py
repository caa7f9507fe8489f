"""Finite MDPs: what is stored, frozen, exact and batched."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from mdtheory import FiniteMDP, SparseMDP
from tests.random_problems import exact_case, float_case

HALF = Fraction(1, 2)
FIELDS = {
    "transition": [[[1, 0], [HALF, HALF]], [[0, 1], [0, 1]]],
    "reward": [[1, 0], [3, 2]],
    "initial": [1, 0],
    "discount": HALF,
}


def test_hand_worked_mdp():
    mdp = FiniteMDP(**FIELDS)
    assert (mdp.n_states, mdp.n_actions, mdp.batch_shape, mdp.exact) == (2, 2, (), True)
    assert mdp.reward_bounds.tolist() == [0, 3]
    assert mdp.reward_range[()] == 3
    assert mdp.transition[0, 1].tolist() == [HALF, HALF]


def test_every_exact_entry_is_a_fraction():
    mdp = FiniteMDP(**FIELDS)
    for name in (*FIELDS, "reward_bounds"):
        assert all(type(x) is Fraction for x in getattr(mdp, name).flat), name


@pytest.mark.parametrize("name", FIELDS)
def test_one_float_anywhere_makes_everything_float64(name):
    fields = {**FIELDS, name: np.array(FIELDS[name], dtype=object).astype(np.float64)}
    mdp = FiniteMDP(**fields)
    assert not mdp.exact
    assert all(getattr(mdp, key).dtype == np.float64 for key in (*FIELDS, "reward_bounds"))


def test_a_single_float_among_fractions_is_enough():
    assert not FiniteMDP(**FIELDS | {"reward": [[Fraction(1), 0.5], [3, 2]]}).exact


def test_integers_alone_are_float64():
    fields = FIELDS | {"transition": np.eye(2, dtype=int)[[[0, 1], [1, 1]]], "discount": 0}
    assert not FiniteMDP(**fields).exact


def test_given_reward_bounds_set_the_range():
    mdp = FiniteMDP(**FIELDS, reward_bounds=[-1, 9])
    assert mdp.reward_range[()] == 10


def test_to_float_keeps_every_number():
    mdp = FiniteMDP(**FIELDS, reward_bounds=[-1, 9])
    rough = mdp.to_float()
    assert not rough.exact
    for name in (*FIELDS, "reward_bounds"):
        assert getattr(rough, name).dtype == np.float64
        assert (getattr(rough, name) == getattr(mdp, name)).all()


def test_fields_are_frozen_and_arrays_read_only():
    mdp = FiniteMDP(**FIELDS)
    with pytest.raises(FrozenInstanceError):
        mdp.discount = Fraction(1, 3)
    for name in (*FIELDS, "reward_bounds"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mdp, name)[...] = 0


def test_the_mdp_keeps_private_copies():
    transition = np.eye(2)[[[0, 1], [1, 1]]]
    mdp = FiniteMDP(transition=transition, reward=np.eye(2), initial=[1.0, 0.0], discount=0.5)
    transition[0, 0] = [0.0, 1.0]
    assert mdp.transition[0, 0].tolist() == [1, 0]


def test_batch_axes_broadcast_over_arguments():
    mdp = FiniteMDP(
        **FIELDS | {"discount": [HALF, Fraction(1, 3), 0], "initial": [[[1, 0]], [[0, 1]]]}
    )
    assert mdp.batch_shape == (2, 3)
    assert (mdp.n_states, mdp.n_actions) == (2, 2)


def test_default_reward_bounds_are_per_problem():
    case = float_case(np.random.default_rng(0), batch=(3,))
    mdp = case.problem.mdp
    for b in range(3):
        assert mdp.reward_bounds[b].tolist() == [mdp.reward[b].min(), mdp.reward[b].max()]


def test_sums_within_the_tolerance_are_made_one():
    nearly = FIELDS | {"initial": [1 - 5e-10, 0.0], "discount": 0}
    assert FiniteMDP(**nearly).initial[0] == 1
    with pytest.raises(ValueError, match=r"^initial must sum to 1, got 0\.99999"):
        FiniteMDP(**FIELDS | {"initial": [1 - 2e-9, 0.0]})


def test_exact_rows_must_be_exact():
    with pytest.raises(ValueError, match="must sum to 1, got 100000000000000000001/1"):
        FiniteMDP(**FIELDS | {"initial": [1, Fraction(1, 10**20)]})


def test_random_exact_problems_are_exact():
    assert exact_case(np.random.default_rng(1)).problem.exact
    assert not float_case(np.random.default_rng(1)).problem.exact


def test_sparse_is_never_exact():
    import scipy.sparse

    mdp = SparseMDP(
        transition=scipy.sparse.csr_array(np.eye(1)),
        reward=[[Fraction(1, 3)]],
        initial=[1],
        discount=HALF,
    )
    assert not mdp.exact
    assert mdp.reward.dtype == np.float64


BIG = 2**63 + 1


@pytest.mark.parametrize("as_array", [False, True])
def test_integers_beyond_int64_keep_their_value(as_array):
    reward = [[BIG, BIG], [BIG, BIG]]
    mdp = FiniteMDP(**FIELDS | {"reward": np.array(reward) if as_array else reward})
    assert (mdp.reward == BIG).all()


def test_integers_beyond_int64_stay_exact_beside_small_ones():
    mdp = FiniteMDP(**FIELDS | {"reward": [[BIG, 0], [0, 0]]})
    assert mdp.exact
    assert mdp.reward[0, 0] == BIG


@pytest.mark.parametrize("beside", [0.5, 1])
def test_integers_beyond_float64_are_refused_by_name(beside):
    fields = FIELDS | {"reward": [[10**400, beside], [0, 0]], "discount": 0.5}
    with pytest.raises(ValueError, match=r"^reward\[s=0, a=0\] "):
        FiniteMDP(**fields)


def test_batch_axes_of_reward_bounds_must_agree():
    fields = FIELDS | {"reward": np.zeros((3, 2, 2), dtype=int)}
    with pytest.raises(ValueError, match=r"^batch axes must agree, got .*reward_bounds"):
        FiniteMDP(**fields, reward_bounds=[[0, 1]] * 5)


def test_reward_bounds_alone_may_be_batched():
    assert FiniteMDP(**FIELDS, reward_bounds=[[0, 3], [0, 4]]).batch_shape == (2,)


@pytest.mark.parametrize("reward", [[[True, 0.5], [0, 0]], [[True, 1], [0, 0]], [[True] * 2] * 2])
def test_booleans_are_no_numbers(reward):
    with pytest.raises(ValueError, match=r"^reward\[s=0, a=0\] must be a number, got True$"):
        FiniteMDP(**FIELDS | {"reward": reward})
