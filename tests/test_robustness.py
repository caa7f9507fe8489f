"""Distances between action distributions, and their worst case over renderings."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from mdtheory.robustness import (
    full_robustness,
    kl_divergence,
    robustness,
    total_variation,
)

RNG = np.random.default_rng(0)
P, Q, S = RNG.dirichlet(np.full(4, 0.5), (3, 200))


def test_hand_worked_distances():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert total_variation(p, q) == 0.5
    assert kl_divergence(p, q) == pytest.approx(math.log(2), rel=1e-15)
    assert kl_divergence(q, p) == math.inf


def test_total_variation_is_exact_on_fractions():
    p = np.array([Fraction(1, 3), Fraction(2, 3)])
    q = np.array([Fraction(1, 2), Fraction(1, 2)])
    assert total_variation(p, q)[()] == Fraction(1, 6)


def test_total_variation_is_the_largest_difference_over_events():
    events = np.array(list(product([0, 1], repeat=4)))
    best = ((P - Q) @ events.T).max(axis=-1)
    assert total_variation(P, Q) == pytest.approx(best, abs=1e-15)


def test_total_variation_is_a_metric_in_the_unit_interval():
    assert (total_variation(P, P) == 0).all()
    assert total_variation(P, Q) == pytest.approx(total_variation(Q, P), abs=0)
    assert (total_variation(P, S) <= total_variation(P, Q) + total_variation(Q, S) + 1e-15).all()
    assert total_variation(np.eye(2)[0], np.eye(2)[1]) == 1


def test_divergence_is_nonnegative_and_bounds_total_variation():
    kl = kl_divergence(P, Q)
    tv = total_variation(P, Q)
    assert (kl_divergence(P, P) == 0).all()
    assert (tv <= np.sqrt(kl / 2) + 1e-12).all()
    assert (tv <= np.sqrt(1 - np.exp(-kl)) + 1e-12).all()


def test_divergence_ignores_actions_that_neither_takes():
    assert kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert kl_divergence([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == 0


def test_divergence_is_the_mean_log_likelihood_ratio():
    pairs = [list(zip(p, q, strict=True)) for p, q in zip(P, Q, strict=True)]
    loop = [sum(x * math.log(x / y) for x, y in pair) for pair in pairs]
    assert kl_divergence(P, Q) == pytest.approx(np.array(loop), rel=1e-9, abs=1e-12)


def test_worst_case_equals_a_loop_over_pairs_and_states():
    policy = RNG.dirichlet(np.ones(3), (2, 5, 4))
    left, right = policy[:, :2], policy[:, 2:]
    for b in range(2):
        pairs = [
            0.5 * sum(abs(left[b, f, s, a] - right[b, g, s, a]) for a in range(3))
            for f, g, s in product(range(2), range(3), range(4))
        ]
        assert robustness(left, right)[b] == pytest.approx(max(pairs), abs=1e-15)
        everything = [
            0.5 * abs(policy[b, f, s] - policy[b, g, s]).sum()
            for f, g, s in product(range(5), range(5), range(4))
        ]
        assert full_robustness(policy)[b] == pytest.approx(max(everything), abs=1e-15)


def test_full_robustness_is_at_least_robustness():
    policy = RNG.dirichlet(np.ones(3), (100, 4, 3))
    assert (full_robustness(policy) >= robustness(policy[:, :1], policy[:, 1:])).all()


def test_hand_worked_robustness_counts_train_against_heldout_only():
    policy = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.5]]])
    assert robustness(policy[:2], policy[2:]) == 0.5
    assert full_robustness(policy) == 1


def test_no_heldout_rendering_means_zero():
    policy = RNG.dirichlet(np.ones(3), (2, 4, 3))
    assert (robustness(policy, policy[:, :0]) == 0).all()
    assert (full_robustness(policy[:, :1]) == 0).all()
