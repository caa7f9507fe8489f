"""Renderings: weights, split, mass and observations."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from mdtheory import RenderingFamily


def test_hand_worked_family():
    family = RenderingFamily(
        observation=[[0, 1], [1, 4], [2, 3]],
        train_mask=[True, False, True],
        weights=[Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)],
        names=["day", "night", "fog"],
    )
    assert (family.n_renderings, family.n_states, family.n_observations) == (3, 2, 5)
    assert family.train_mass[()] == Fraction(2, 3)
    assert family.names == ("day", "night", "fog")
    assert family.exact


def test_weights_are_uniform_and_exact_by_default():
    family = RenderingFamily(observation=[[0], [1], [2]], train_mask=[True, True, False])
    assert family.weights.tolist() == [Fraction(1, 3)] * 3
    assert family.train_mass[()] == Fraction(2, 3)
    assert family.names == ("f0", "f1", "f2")


def test_distinct_renderings_share_no_observation():
    family = RenderingFamily.distinct(3, train_mask=[True, False])
    assert family.observation.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert family.n_observations == 6


def test_mass_is_exactly_one_when_everything_is_training():
    family = RenderingFamily.distinct(1, train_mask=[True, True], weights=[0.5, 0.5 + 5e-10])
    assert family.train_mass == 1
    rational = RenderingFamily.distinct(1, train_mask=[True], weights=[Fraction(1)])
    assert type(rational.train_mass[()]) is Fraction


def test_batched_weights_give_batched_mass():
    family = RenderingFamily.distinct(
        1, train_mask=[True, False], weights=[[0.25, 0.75], [1.0, 0.0]]
    )
    assert family.train_mass.tolist() == [0.25, 1.0]
    assert not family.exact


def test_each_problem_of_a_batch_needs_training_mass():
    with pytest.raises(ValueError, match="positive total weight, got train_mass M = 0"):
        RenderingFamily.distinct(1, train_mask=[True, False], weights=[[0.5, 0.5], [0.0, 1.0]])


def test_families_are_frozen():
    family = RenderingFamily.distinct(2, train_mask=[True, False])
    with pytest.raises(FrozenInstanceError):
        family.names = ()
    for array in (family.observation, family.weights, family.train_mask):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_renderings_may_share_observations():
    family = RenderingFamily(observation=[[0, 1], [1, 0]], train_mask=np.array([True, False]))
    assert family.n_observations == 2
