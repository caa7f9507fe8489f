"""Policies read the observation only; renderings turn them into latent policies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdtheory import LatentPolicy, RenderingFamily, TabularPolicy, measure
from tests.random_problems import float_case

FAMILY = RenderingFamily(observation=[[0, 1], [2, 0]], train_mask=[True, False])


def test_hand_worked_latent_policy():
    policy = TabularPolicy([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    assert policy.latent(FAMILY).probabilities.tolist() == [
        [[1, 0], [0.5, 0.5]],
        [[0, 1], [1, 0]],
    ]


def test_latent_policy_looks_up_each_observation():
    rng = np.random.default_rng(0)
    policy = TabularPolicy(rng.dirichlet(np.ones(3), (4, 3)))
    latent = policy.latent(FAMILY).probabilities
    assert latent.shape == (4, 2, 2, 3)
    for b, f, s in np.ndindex(4, 2, 2):
        seen = FAMILY.observation[f, s]
        assert (latent[b, f, s] == policy.probabilities[b, seen]).all()


def test_exactness_is_kept():
    rows = [[Fraction(1, 3), Fraction(2, 3)]] * 3
    assert TabularPolicy(rows).latent(FAMILY).exact
    assert not TabularPolicy(np.full((3, 2), 0.5)).latent(FAMILY).exact
    assert LatentPolicy([[[Fraction(1), 0]]]).exact


def test_policies_are_read_only():
    policy = LatentPolicy([[[0.5, 0.5]]])
    with pytest.raises(ValueError, match="read-only"):
        policy.probabilities[0, 0, 0] = 1
    with pytest.raises(AttributeError):
        policy.probabilities = None


def test_quantities_ignore_relabelling_of_observations():
    case = float_case(np.random.default_rng(1))
    family = case.problem.renderings
    tabular = case.policy.probabilities.reshape(-1, 3)
    order = np.random.default_rng(2).permutation(len(tabular))
    renamed = RenderingFamily(
        observation=np.argsort(order)[family.observation],
        train_mask=family.train_mask,
        weights=family.weights,
    )
    latent = TabularPolicy(tabular[order]).latent(renamed)
    before = measure(case.problem, case.policy)
    after = measure(type(case.problem)(mdp=case.problem.mdp, renderings=renamed), latent)
    assert before == after
