"""Which steps make the difference between two policies' returns, estimated from a few of them.

One policy π' plays, the other, π, is compared with it.  The performance difference identity
(Kakade & Langford 2002, lemma 6.1; exactly: `mdtheory.performance_difference`) says

    J' − J = E' Σ_t γ^t Σ_a (π'(a|s_t) − π(a|s_t)) Q(s_t, a),    Q the action values of π,
           = E' Σ_t w_t E[Q(s_t, a') − Q(s_t, a)],               w_t = γ^t TV_t,

with a' from (π' − π)⁺ / TV and a from (π − π')⁺ / TV: what a maximal coupling of both policies does
where they part (Levin & Peres, Markov Chains and Mixing Times, prop. 4.7).  So steps drawn with
probability proportional to w, with one pair of actions each, whose values may be estimates without
bias, give the whole difference without bias.

Nothing here knows where steps and action values come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.procgen.evaluate import float_band
from mdtheory.intervals import Band
from mdtheory.robustness import total_variation

Judge = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Of steps [n], actions a' [n], actions a [n] and seeds [n]: Q(s, a') − Q(s, a) without bias, [n].
One step may come many times; different seeds must give independent errors."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Steps:
    """The steps that π' played, one episode on each level.

    Attributes:
        level: [n] number of the level, from 0.
        time: [n] steps of its episode before this one, t.
        other: [n, A] what π' does there.
        reference: [n, A] what π does there.
        discount: γ.
        n_levels: played; one on which the policies never differ counts too.
    """

    level: np.ndarray
    time: np.ndarray
    other: np.ndarray
    reference: np.ndarray
    discount: float
    n_levels: int

    @cached_property
    def tv(self) -> np.ndarray:
        """TV of both policies, [n]."""
        return total_variation(self.other, self.reference)

    @cached_property
    def weight(self) -> np.ndarray:
        """w = γ^t TV, [n]."""
        return self.discount**self.time * self.tv


def coupling_residuals(other: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(π' − π)⁺ / TV and (π − π')⁺ / TV, each [..., A] and of sum 1; 0 where both are the same."""
    difference = np.asarray(other, dtype=np.float64) - reference
    parts = np.maximum(difference, 0), np.maximum(-difference, 0)
    totals = [part.sum(axis=-1, keepdims=True) for part in parts]
    gained, lost = (
        np.divide(part, total, out=np.zeros_like(part), where=total > 0)
        for part, total in zip(parts, totals, strict=True)
    )
    return gained, lost


def draw_in_proportion(weight: np.ndarray, n: int, uniform: float) -> np.ndarray:
    """Systematic sampling (Madow 1949): n indices, index i on average n weight_i / Σ weight times.

    Every stretch of consecutive entries is drawn as often as its weight says, up to rounding, so
    steps are spread evenly over episodes and over time.  None are drawn where all weights are 0.
    """
    upto = weight.cumsum()
    if len(weight) == 0 or upto[-1] <= 0:
        return np.zeros(0, dtype=np.int64)
    points = (np.arange(n) + uniform) / n * upto[-1]
    last = int(np.flatnonzero(weight)[-1])  # rounding must not lead beyond
    return np.minimum(upto.searchsorted(points, side="right"), last)


def differences(
    steps: Steps, drawn: np.ndarray, judge: Judge, rng: np.random.Generator
) -> np.ndarray:
    """One estimate of E[Q(s, a') − Q(s, a)] for every entry of `drawn`, [n]."""
    gained, lost = coupling_residuals(steps.other[drawn], steps.reference[drawn])
    return judge(
        drawn,
        _draw(gained, rng.random(len(drawn))),
        _draw(lost, rng.random(len(drawn))),
        rng.integers(2**63, size=len(drawn)),
    )


def _draw(distribution: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Actions [n] of distributions [n, A] by inversion, never one of probability 0."""
    upto = distribution.cumsum(axis=-1)
    point = np.minimum(uniform[:, None] * upto[:, -1:], np.nextafter(upto[:, -1:], 0))
    return (point >= upto).sum(axis=-1)


def total_difference(steps: Steps, drawn: np.ndarray, difference: np.ndarray) -> Band:
    """J' − J with Student's 95 % interval over levels.

    Each level's part is estimated without bias from the steps drawn on it, so the interval covers
    the draw of levels, of episodes, of steps and of whatever made `difference` unsure.  (Parts
    share a fixed number of draws, which correlates them negatively: the interval errs to the long
    side.)

    Args:
        steps: all that were played.
        drawn: [n] of them, in proportion to their weights.
        difference: [n] of their action values.
    """
    parts = np.bincount(steps.level[drawn], weights=difference, minlength=steps.n_levels)
    return float_band(parts * (steps.weight.sum() / max(1, len(drawn))))


def contribution(weight: float, difference: np.ndarray) -> Band:
    """w E[Q(s, a') − Q(s, a)], one step's summand of its episode, from independent estimates [n],
    with Student's 95 % interval."""
    return float_band(weight * difference)


def mean_by_step(drawn: np.ndarray, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different steps among those drawn, in order, and the mean of each one's estimates."""
    chosen, place = np.unique(drawn, return_inverse=True)
    return chosen, np.bincount(place, weights=difference) / np.bincount(place)


def largest_apart(
    steps: Steps, chosen: np.ndarray, score: np.ndarray, *, n: int, apart: int
) -> np.ndarray:
    """At most n of the steps, largest score first, none without a score above 0.

    Of steps of one level that are fewer than `apart` from each other the largest is taken:
    neighbours show the same scene.
    """
    taken: list[int] = []
    for i in np.argsort(-score, kind="stable").tolist():
        step = int(chosen[i])
        near = any(
            steps.level[step] == steps.level[k] and abs(steps.time[step] - steps.time[k]) < apart
            for k in taken
        )
        if len(taken) < n and score[i] > 0 and not near:
            taken.append(step)
    return np.array(taken, dtype=np.int64)
