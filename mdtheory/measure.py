"""Every named quantity of a problem and a policy, as the numbers that statements are about.

One set of formulas serves float64 (batched), exact rationals and sparse transitions.  Averages
over pairs run over training f and held-out f' with weights p(f) p(f') / (M (1−M)) and are 0 when
M = 1.  R is a maximum over the same pairs whatever their weight; it is 0 when none is held out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from mdtheory import evaluation, exact, robustness, validation
from mdtheory.evaluation import Model
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Problem
from mdtheory.statements import QUANTITIES, UPDATE_QUANTITIES


def measure(
    problem: Problem,
    policy: LatentPolicy,
    baseline: LatentPolicy | None = None,
    *,
    names: Iterable[str] | None = None,
) -> dict[str, Any]:
    """The quantities of a policy, by name.

    Args:
        problem: MDP and renderings, possibly batched.
        policy: latent policies [..., F, S, A].
        baseline: the policy before an update, for the quantities of A6 to A8.
        names: which quantities; by default all (those of an update if there is a baseline).

    Returns:
        name -> float64 array of the batch's shape; or `Fraction`s (object array when batched) when
        problem and policies are exact.  `heldout_return` is nan, or None when exact, if M = 1.
    """
    problem.require_policy(policy, "policies")
    if baseline is not None:
        problem.require_policy(baseline, "baseline_policies")
    known = [*QUANTITIES, *(UPDATE_QUANTITIES if baseline is not None else ())]
    names = known if names is None else list(names)
    for name in names:
        if name not in known:
            raise ValueError(validation.unknown("quantity", name, known))
    measurement = _Measurement(problem, policy, baseline)
    with np.errstate(over="ignore", invalid="ignore"):
        return {name: measurement.public(name) for name in names}


class _Measurement:
    """Lazily computed quantities; each public property bears its quantity's name."""

    def __init__(
        self, problem: Problem, policy: LatentPolicy, baseline: LatentPolicy | None
    ) -> None:
        self.exact = problem.exact and policy.exact and (baseline is None or baseline.exact)
        self.model = Model.of(problem.mdp, in_rationals=self.exact)
        self.reward_bounds = problem.mdp.reward_bounds
        self.policy = self._numbers(policy.probabilities)
        self.baseline = None if baseline is None else self._numbers(baseline.probabilities)
        self.weights = self._numbers(problem.renderings.weights)
        self.train_mass = self._numbers(problem.renderings.train_mass)
        mask = problem.renderings.train_mask
        self.train, self.heldout = np.flatnonzero(mask), np.flatnonzero(~mask)
        self.batch_shape = np.broadcast_shapes(
            problem.mdp.batch_shape, self.weights.shape[:-1], self.policy.shape[:-3]
        )

    def _numbers(self, array: np.ndarray) -> np.ndarray:
        if self.exact:
            return exact.to_flint(array)
        return np.asarray(array, dtype=np.float64)

    def public(self, name: str) -> Any:
        value = np.asarray(getattr(self, name))
        if not self.exact:
            return np.broadcast_to(value.astype(np.float64), self.batch_shape)[()]
        out = np.empty(self.batch_shape, dtype=object)
        value = np.broadcast_to(value, self.batch_shape)
        for index in np.ndindex(self.batch_shape):
            out[index] = None if value[index] is None else exact.to_fraction(value[index])
        return out[()]

    @cached_property
    def discount(self) -> np.ndarray:
        return self.model.discount

    @cached_property
    def reward_range(self) -> np.ndarray:
        return self.model.reward_range

    @cached_property
    def _train_weights(self) -> np.ndarray:
        """p(f)/M for f in T, shape [..., T]."""
        return self.weights[..., self.train] / self.train_mass[..., None]

    @cached_property
    def _heldout_weights(self) -> np.ndarray:
        """p(f')/(1−M) for f' in H, shape [..., H]; zeros where M = 1."""
        unseen = 1 - self.train_mass
        return self.weights[..., self.heldout] / np.where(unseen > 0, unseen, 1)[..., None]

    @cached_property
    def _occupancy(self) -> np.ndarray:
        return evaluation.occupancies(self.model, self.policy)

    @cached_property
    def _excess_return(self) -> np.ndarray:
        """J_f − r_min/(1−γ), shape [..., F]: differences of it do not cancel a large offset."""
        low = self._numbers(self.reward_bounds)[..., 0, None, None]
        model = dataclasses.replace(self.model, reward=self.model.reward - low)
        return evaluation.returns(model, self.policy, self._occupancy)

    @cached_property
    def _return(self) -> np.ndarray:
        low = self._numbers(self.reward_bounds)[..., 0] / (1 - self.discount)
        return self._excess_return + np.asarray(low)[..., None]

    @cached_property
    def train_return(self) -> np.ndarray:
        return (self._train_weights * self._return[..., self.train]).sum(axis=-1)

    @cached_property
    def general_return(self) -> np.ndarray:
        return (self.weights * self._return).sum(axis=-1)

    @cached_property
    def heldout_return(self) -> np.ndarray:
        if self.heldout.size == 0:
            return np.full(self.batch_shape, None if self.exact else np.nan)
        mean = (self._heldout_weights * self._return[..., self.heldout]).sum(axis=-1)
        missing = np.full(self.batch_shape, None if self.exact else np.nan)
        return np.where(np.asarray(self.train_mass < 1, dtype=bool), mean, missing)

    @cached_property
    def gap(self) -> np.ndarray:
        general = (self.weights * self._excess_return).sum(axis=-1)
        train = (self._train_weights * self._excess_return[..., self.train]).sum(axis=-1)
        return np.asarray(abs(general - train))

    @cached_property
    def robustness(self) -> np.ndarray:
        return robustness.robustness(self._train_policy, self._heldout_policy)

    @cached_property
    def full_robustness(self) -> np.ndarray:
        return robustness.full_robustness(self.policy)

    @cached_property
    def _train_policy(self) -> np.ndarray:
        return self.policy[..., self.train, :, :]

    @cached_property
    def _heldout_policy(self) -> np.ndarray:
        return self.policy[..., self.heldout, :, :]

    def _mean_over_pairs(self, one_against_heldout: Any) -> np.ndarray:
        """E_{f∼T, f'∼H} of a function of the position of f in T, with values [..., H]."""
        total = self.train_mass * 0
        if self.heldout.size == 0:
            return total
        for i in range(self.train.size):
            inner = (self._heldout_weights * one_against_heldout(i)).sum(axis=-1)
            total = total + self._train_weights[..., i] * inner
        return total

    def _pair_distance(self, i: int) -> np.ndarray:
        """TV_s between the i-th training rendering and every held-out one, [..., H, S]."""
        return robustness.total_variation(self._train_policy[..., [i], :, :], self._heldout_policy)

    @cached_property
    def mean_robustness(self) -> np.ndarray:
        occupancy = self._occupancy[..., self.train, :]

        def visited(i: int) -> np.ndarray:
            return (occupancy[..., [i], :] * self._pair_distance(i)).sum(axis=-1)

        return (1 - self.discount) * self._mean_over_pairs(visited)

    @cached_property
    def decoupling(self) -> np.ndarray:
        initial = self.model.initial[..., None, :]

        def separation(i: int) -> np.ndarray:
            common = np.minimum(self._train_policy[..., [i], :, :], self._heldout_policy)
            solution = evaluation.discounted_solve(self.model, common, self._pair_distance(i))
            return (initial * solution).sum(axis=-1)

        return self._mean_over_pairs(separation)

    @cached_property
    def occupancy_distance(self) -> np.ndarray:
        joint = self._occupancy[..., None] * self.policy

        def distance(i: int) -> np.ndarray:
            difference = joint[..., self.train[[i]], :, :] - joint[..., self.heldout, :, :]
            return abs(difference).sum(axis=(-2, -1)) / 2

        return self._mean_over_pairs(distance)

    @cached_property
    def _baseline_train(self) -> np.ndarray:
        assert self.baseline is not None  # `measure` offers these quantities only with a baseline
        return self.baseline[..., self.train, :, :]

    @cached_property
    def _baseline_occupancy(self) -> np.ndarray:
        return evaluation.occupancies(self.model, self._baseline_train)

    @cached_property
    def _expected_advantage(self) -> np.ndarray:
        """Σ_a π̃_f[s,a] A_f[s,a] for f in T, shape [..., T, S]."""
        value = evaluation.state_values(self.model, self._baseline_train)
        advantage = evaluation.action_values(self.model, value) - value[..., None]
        return (self._train_policy * advantage).sum(axis=-1)

    @cached_property
    def surrogate(self) -> np.ndarray:
        before = evaluation.returns(self.model, self._baseline_train, self._baseline_occupancy)
        gain = (self._baseline_occupancy * self._expected_advantage).sum(axis=-1)
        return (self._train_weights * (before + gain)).sum(axis=-1)

    @cached_property
    def train_shift(self) -> np.ndarray:
        distance = robustness.total_variation(self._train_policy, self._baseline_train)
        visited = (self._baseline_occupancy * distance).sum(axis=-1)
        return (1 - self.discount) * (self._train_weights * visited).sum(axis=-1)

    @cached_property
    def advantage_bound(self) -> np.ndarray:
        return abs(self._expected_advantage).max(axis=(-2, -1))
