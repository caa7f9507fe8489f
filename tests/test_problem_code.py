"""An instance written as Python builds the same instance again."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings

from mdtheory import (
    FiniteMDP,
    Instance,
    LatentPolicy,
    Problem,
    RenderingFamily,
    SparseMDP,
    dump_problem,
    make_toy,
)
from mdtheory.problem_code import python_code
from mdtheory.strategies import instances

TOY = make_toy("two-state")


def rebuilt(code: str) -> Instance:
    """What the code assigns, run with nothing but what it imports itself."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope["instance"]


def assert_same(left: Instance, right: Instance) -> None:
    assert left.exact == right.exact
    assert dump_problem(*left) == dump_problem(*right)
    looks, others = left.problem.renderings, right.problem.renderings
    assert looks.observation.tolist() == others.observation.tolist()
    assert looks.names == others.names


@pytest.mark.parametrize("exact", [True, False])
def test_code_builds_the_same_instance_with_baseline_and_shared_observations(exact):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(instances(exact=exact))
    def law(instance: Instance) -> None:
        assert_same(rebuilt(python_code(instance)), instance)

    law()


def test_code_is_what_a_person_would_write():
    instance = Instance(TOY.problem, TOY.policy.latent(TOY.problem.renderings))
    assert python_code(instance) == '''\
from fractions import Fraction as Q

from mdtheory import FiniteMDP, Instance, LatentPolicy, Problem, RenderingFamily

instance = Instance(
    problem=Problem(
        mdp=FiniteMDP(
            transition=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
            reward=[[1, 0], [0, 0]],
            initial=[1, 0],
            discount=Q(9, 10),
            reward_bounds=[0, 1],
        ),
        renderings=RenderingFamily(
            observation=[[0, 1], [2, 3]],
            train_mask=[True, False],
            weights=[Q(1, 4), Q(3, 4)],
        ),
    ),
    policy=LatentPolicy(
        [[[1, 0], [1, 0]], [[Q(1, 2), Q(1, 2)], [Q(1, 2), Q(1, 2)]]]
    ),
)
'''  # fmt: skip


def test_long_lists_are_broken_and_numbers_of_any_length_survive():
    code = python_code(large_instance())
    assert all(line.count("[") <= 1 for line in code.splitlines() if len(line) > 100)
    assert_same(rebuilt(code), large_instance())


def large_instance() -> Instance:
    """Names, and numbers that Python does not read as decimals."""
    huge = Fraction(1, 3**10_000)
    row = [Fraction(1, 20)] * 20
    mdp = FiniteMDP(
        transition=[[row] * 2] * 20,
        reward=[[3, -(7**6000)]] * 20,
        initial=row,
        discount=Fraction(0),
    )
    family = RenderingFamily.distinct(
        20, train_mask=[True, False], weights=[huge, 1 - huge], names=["día", 'a "b"']
    )
    policy = LatentPolicy([[[Fraction(2, 5), Fraction(3, 5)]] * 20] * 2)
    return Instance(Problem(mdp=mdp, renderings=family), policy)


def test_a_batch_stays_a_batch():
    batch = np.array([Fraction(1, 2), Fraction(0)], dtype=object)
    mdp = TOY.problem.mdp
    both = FiniteMDP(
        transition=mdp.transition, reward=mdp.reward, initial=mdp.initial, discount=batch
    )
    problem = Problem(mdp=both, renderings=TOY.problem.renderings)
    instance = Instance(problem, TOY.policy.latent(problem.renderings))
    again = rebuilt(python_code(instance))
    for index in ((0,), (1,)):
        assert_same(again.single(index), instance.single(index))


def test_a_sparse_mdp_is_refused():
    sparse = SparseMDP(
        transition=scipy.sparse.csr_array(np.eye(1)), reward=[[1]], initial=[1], discount=0
    )
    looks = RenderingFamily.distinct(1, train_mask=[True])
    instance = Instance(Problem(mdp=sparse, renderings=looks), LatentPolicy([[[1]]]))
    with pytest.raises(ValueError, match=r"^Python code holds a dense problem, got a SparseMDP$"):
        python_code(instance)
