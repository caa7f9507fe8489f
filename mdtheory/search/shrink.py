"""From a counterexample to a smaller one: fewer states, actions, renderings, simpler numbers.

Every step is kept only if the exact check still finds a violation.  The result is a local minimum:
no single step listed here makes it simpler.  It is not proven to be the smallest of all.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np

from mdtheory.mdp import FiniteMDP
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.rendering import RenderingFamily

_SIMPLE = tuple(Fraction(x) for x in ("0", "1", "-1", "1/2", "9/10"))


@dataclass(frozen=True)
class _Parts:
    """An instance as arrays of `Fraction`; renderings share no observations."""

    transition: np.ndarray
    reward: np.ndarray
    initial: np.ndarray
    discount: np.ndarray
    reward_bounds: np.ndarray
    weights: np.ndarray
    train: np.ndarray
    policy: np.ndarray
    baseline: np.ndarray | None

    @classmethod
    def of(cls, instance: Instance) -> _Parts:
        mdp, family = instance.problem.mdp, instance.problem.renderings
        baseline = None if instance.baseline is None else instance.baseline.probabilities
        return cls(
            mdp.transition,
            mdp.reward,
            mdp.initial,
            mdp.discount,
            mdp.reward_bounds,
            family.weights,
            family.train_mask,
            instance.policy.probabilities,
            baseline,
        )

    def instance(self) -> Instance:
        mdp = FiniteMDP(
            transition=self.transition,
            reward=self.reward,
            initial=self.initial,
            discount=self.discount,
            reward_bounds=self.reward_bounds,
        )
        family = RenderingFamily.distinct(mdp.n_states, train_mask=self.train, weights=self.weights)
        return Instance(
            Problem(mdp=mdp, renderings=family),
            LatentPolicy(self.policy),
            None if self.baseline is None else LatentPolicy(self.baseline),
        )

    @property
    def cost(self) -> tuple[int, int]:
        """Size first, then the bits of all numbers."""
        n_renderings, n_states, n_actions = self.policy.shape
        arrays = [getattr(self, field.name) for field in fields(self) if field.name != "train"]
        numbers = itertools.chain.from_iterable(a.flat for a in arrays if a is not None)
        bits = sum(_bits(number) for number in numbers)
        return n_states * n_actions * n_renderings, bits


def _bits(number: Fraction) -> int:
    """0 for 0, 1 for 1, more for everything else."""
    sign = 2 if number < 0 else 0
    fraction = 2 * (number.denominator.bit_length() - 1)
    return sign + fraction + abs(number.numerator).bit_length()


def shrink(
    instance: Instance, is_violated: Callable[[Instance], bool], *, budget: float = 5.0
) -> Instance:
    """The simplest instance that the steps reach within the budget, in seconds.

    Args:
        instance: exact and single, violating.
        is_violated: decides exactly.
    """
    deadline = time.monotonic() + budget
    best = _Parts.of(instance)
    improved = True
    while improved and time.monotonic() < deadline:
        improved = False
        for candidate in _simpler(best):
            if time.monotonic() > deadline:
                break
            is_simpler = candidate.weights[candidate.train].sum() > 0 and candidate.cost < best.cost
            if is_simpler and is_violated(candidate.instance()):
                best, improved = candidate, True
                break
        else:
            break
    return best.instance()


def _simpler(parts: _Parts) -> Iterator[_Parts]:
    """Candidates, the boldest first."""
    yield from _without_state(parts)
    yield from _without_action(parts)
    yield from _without_rendering(parts)
    yield from _simpler_numbers(parts)


def _without_state(parts: _Parts) -> Iterator[_Parts]:
    """A state removed, and what led there redirected."""
    n_states = parts.initial.shape[0]
    for gone in range(n_states if n_states > 1 else 0):
        keep = [s for s in range(n_states) if s != gone]
        for target in range(len(keep)):
            yield replace(
                parts,
                transition=_merged(parts.transition[keep], gone, target),
                reward=parts.reward[keep],
                initial=_merged(parts.initial, gone, target),
                policy=parts.policy[:, keep],
                baseline=None if parts.baseline is None else parts.baseline[:, keep],
            )


def _merged(array: np.ndarray, gone: int, target: int) -> np.ndarray:
    """The last axis without an entry, which is added to the target-th of the others."""
    out = np.delete(array, gone, axis=-1)
    out[..., target] += array[..., gone]
    return out


def _without_action(parts: _Parts) -> Iterator[_Parts]:
    """An action removed, and its probability given to another."""
    n_actions = parts.reward.shape[1]
    for gone in range(n_actions if n_actions > 1 else 0):
        keep = [a for a in range(n_actions) if a != gone]
        for target in range(len(keep)):
            yield replace(
                parts,
                transition=parts.transition[:, keep],
                reward=parts.reward[:, keep],
                policy=_merged(parts.policy, gone, target),
                baseline=None if parts.baseline is None else _merged(parts.baseline, gone, target),
            )


def _without_rendering(parts: _Parts) -> Iterator[_Parts]:
    """A rendering removed, and its weight shared by the others or given to one."""
    n_renderings = parts.weights.shape[0]
    for gone in range(n_renderings if n_renderings > 1 else 0):
        keep = [f for f in range(n_renderings) if f != gone]
        total = parts.weights[keep].sum()
        if total == 0:
            continue
        yield replace(
            parts,
            weights=parts.weights[keep] / total,
            train=parts.train[keep],
            policy=parts.policy[keep],
            baseline=None if parts.baseline is None else parts.baseline[keep],
        )


def _simpler_numbers(parts: _Parts) -> Iterator[_Parts]:
    for name in ("transition", "initial", "weights", "policy", "baseline"):
        array = getattr(parts, name)
        if array is None:
            continue
        for index in np.ndindex(array.shape[:-1]):
            for row in _simpler_rows(array, index):
                yield _changed(parts, name, index, row)
    if parts.baseline is not None:
        for f, s in np.ndindex(parts.policy.shape[:2]):
            yield _changed(parts, "baseline", (f, s), parts.policy[f, s])
            yield _changed(parts, "policy", (f, s), parts.baseline[f, s])
    for number in _simpler_fractions(parts.discount.item()):
        if 0 <= number < 1:
            yield replace(parts, discount=np.array(number, dtype=object))
    yield from _simpler_rewards(parts)


def _changed(parts: _Parts, name: str, index: tuple[int, ...], value: object) -> _Parts:
    array = getattr(parts, name).copy()
    array[index] = value
    return replace(parts, **{name: array})


def _simpler_rows(array: np.ndarray, index: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Pure rows, the uniform row, the neighbours' rows, coarser roundings."""
    size = array.shape[-1]
    for k in range(size):
        yield np.array([Fraction(int(i == k)) for i in range(size)], dtype=object)
    yield np.full(size, Fraction(1, size), dtype=object)
    if len(index) == 2:
        for f in range(array.shape[0]):
            yield array[(f, *index[1:])]
    for denominator in (2, 3, 4, 5, 8, 10, 16, 20, 100, 1000):
        counts = [round(x * denominator) for x in array[index][:-1]]
        last = denominator - sum(counts)
        if last >= 0 and min([0, *counts]) >= 0:
            yield np.array([Fraction(k, denominator) for k in (*counts, last)], dtype=object)


def _simpler_fractions(number: Any) -> Iterator[Fraction]:
    yield from _SIMPLE
    for denominator in (1, 2, 3, 4, 5, 8, 10, 16, 20, 100, 1000, 10_000):
        yield number.limit_denominator(denominator)


def _simpler_rewards(parts: _Parts) -> Iterator[_Parts]:
    """Rewards shifted to start at 0 and scaled to 1, then one by one."""
    low, high = parts.reward_bounds
    if high > low:
        shifted = (parts.reward - low) / (high - low)
        yield replace(parts, reward=shifted, reward_bounds=_pair(0, 1))
    tight = _pair(parts.reward.min(), parts.reward.max())
    yield replace(parts, reward_bounds=tight)
    for index in np.ndindex(parts.reward.shape):
        for number in (*_simpler_fractions(parts.reward[index]), low, high):
            changed = _changed(parts, "reward", index, number)
            for bounds in (parts.reward_bounds, _pair(changed.reward.min(), changed.reward.max())):
                if bounds[0] <= changed.reward.min() and changed.reward.max() <= bounds[1]:
                    yield replace(changed, reward_bounds=bounds)
    for i in range(2):
        for number in _simpler_fractions(parts.reward_bounds[i]):
            bounds = parts.reward_bounds.copy()
            bounds[i] = number
            if bounds[0] <= parts.reward.min() and parts.reward.max() <= bounds[1]:
                yield replace(parts, reward_bounds=bounds)


def _pair(low: Any, high: Any) -> np.ndarray:
    return np.array([Fraction(low), Fraction(high)], dtype=object)
