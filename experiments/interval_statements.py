"""Part C: statements about a gap that samples can decide: holds, violated or undecided.

Where the MDP is unknown, A0 and A3 can still be looked at: their gap and their right sides are
means over independent clusters (levels, or start states), and

    right side - gap  =  min(right side - d, right side + d),    d = (1-M) (xi - eta),

is the smaller of two means of numbers paired within the clusters.  Each of the two gets an interval
at confidence 1 - delta/2.  The verdict is "holds" if both lower ends are at least 0, "violated" if
an upper end is below 0, else "undecided"; it is wrong with probability delta at most, for each
statement alone.  A verdict on samples illustrates a bound, whose proof is elsewhere.

Methods: "student" is asymptotic; "bernstein" holds for any number of clusters, by the known ranges
(empirical Bernstein, Maurer & Pontil 2009).  "student" gives differences, and so all verdicts,
Student's intervals; pairing makes them nearly symmetric.  Returns and TV sums are skewed where
success is rare, and there the bootstrap-t errs less, so it gives their intervals.

Numbers that are the same in every cluster say nothing about their spread (60 clusters in which the
policy never reacted to the rendering do not exclude a 61st where it does), so for them "student"
falls back on "bernstein", in a slack also for the difference of the returns alone: with a blind
policy, whose sides are both 0, A3 is undecided, and so it is where no episode was ever paid.  Only
what is constant by definition, as both sides are where M = 1 or Delta = 0, has no width and
"holds".  One cluster decides nothing else.

No interval leaves what is known: xi - eta lies in [-W, W], R in [0, 1].  So A0 holds whatever the
data are (it says no more than that), and only A3 can be anything else.

The right sides are those of `mdtheory.statements`.

Return range.  Let W be the width of an interval that contains every return-to-go, i.e. the
discounted sum of the rewards from any reachable time on, whatever is played.  Then W may stand in
A0 and A3 for Delta/(1-gamma):

    abs(J_f' - J_f) <= W E_f sum_t gamma^t TV_t(f, f')    and    abs(J_f' - J_f) <= W.

Proof.  The performance difference lemma, on the states that f visits, is

    J_f' - J_f = E_f sum_t gamma^t sum_a (pi_f' - pi_f)(a | s_t) Q_f'(s_t, a).

Q_f'(s_t, .) are expected returns-to-go, so they lie in the interval, and a difference of
distributions at distance TV moves the mean of such numbers by at most W TV.  J_f and J_f' are
expected returns-to-go themselves, from the start.  Average over f in T and f' in H.  So this is A0
and A3 with W (1-gamma) for Delta, and since Delta/(1-gamma) is such a width, only a smaller W is of
use.  For an episode that can pay 10 once and then ends, Delta/(1-gamma) is 10 000 at gamma = 0.999,
and W is 10.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from mdtheory import validation
from mdtheory.intervals import (
    LEVEL,
    ROUNDING,
    Band,
    bernstein_half_width,
    hoeffding_half_width,
    ratio_band,
    student_half_width,
)
from mdtheory.judge import HOLDS, UNDECIDED, VIOLATED
from mdtheory.statements import QUANTITIES, STATEMENTS, Bound
from mdtheory.statements.arithmetic import FLOATS, unsupported

METHODS = ("student", "bernstein")
PLAYED = "for the renderings played"
FAMILY = "for the family they were drawn from"
SAMPLED_BOUNDS: tuple[Bound, ...] = (STATEMENTS["A0"], STATEMENTS["A3"])
"""Bounds on the gap whose right sides samples estimate."""

_KNOWN = ("gap", "mean_robustness", "train_mass", "reward_range", "discount")
_GAP, _MEAN_ROBUSTNESS = (QUANTITIES[name].symbol for name in ("gap", "mean_robustness"))


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterSample:
    """One policy's numbers per independent cluster, with what is known about the MDP.

    Leading axes may hold policies or repetitions.  Rewards after an episode's end count as 0, which
    must then lie in the reward's range, and so does the TV.

    Attributes:
        train_return: mean discounted return under training renderings, [..., cluster].
        heldout_return: the same under held-out renderings, [..., cluster].
        tv_sum: sum_t gamma^t TV_t(f, f') along episodes played under f in T, averaged over f in T
            and f' in H, [..., cluster].
        discount: gamma.
        reward_range: Delta, of one step.
        train_mass: M, the probability of the training renderings.
        return_range: W, a proven width of one interval that contains every return-to-go.
        confidence: 1 - delta, of each interval and each verdict.
        train_renderings, heldout_renderings: how many renderings were played, if these were drawn
            independently from larger families, and independently of the policy: a policy's own
            training renderings are no such sample.  None: they are all there is.
        rendering_delta: probability of being wrong that is left to that draw.

    Raises:
        ValueError: naming the argument and its value.
    """

    train_return: np.ndarray
    heldout_return: np.ndarray
    tv_sum: np.ndarray
    discount: float
    reward_range: float
    train_mass: float
    return_range: float | None = None
    confidence: float = LEVEL
    train_renderings: int | None = None
    heldout_renderings: int | None = None
    rendering_delta: float = 1 - LEVEL

    def __post_init__(self) -> None:
        for name in ("train_return", "heldout_return", "tv_sum"):
            array = validation.parse_array(name, getattr(self, name), ("cluster",))
            array = validation.as_float(name, array, ("cluster",))
            object.__setattr__(self, name, validation.frozen(array))
            if array.shape != self.train_return.shape:
                raise ValueError(
                    f"{name} must have train_return's shape {list(self.train_return.shape)}, got"
                    f" {list(array.shape)}"
                )
        if not 0 <= self.discount < 1:
            raise ValueError(f"discount must lie in [0, 1), got {self.discount}")
        if not 0 < self.train_mass <= 1:
            raise ValueError(f"train_mass must lie in (0, 1], got {self.train_mass}")
        for name in ("reward_range", "return_range"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and at least 0, got {value}")
        for name in ("confidence", "rendering_delta"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")
        if self.drawn and self.rendering_delta >= self.confidence:
            raise ValueError(
                f"rendering_delta must be below confidence = {self.confidence}, got"
                f" {self.rendering_delta}"
            )
        for name in ("train_renderings", "heldout_renderings"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        self._require_ranges()

    def _require_ranges(self) -> None:
        """The samples must lie in what is said to be known about them."""
        longest = 1 / (1 - self.discount)
        bad = (self.tv_sum < 0) | (self.tv_sum > longest * (1 + ROUNDING))
        if bad.any():
            index = validation.first(bad)
            raise ValueError(
                f"tv_sum must lie in [0, 1/(1-discount)] = [0, {longest:g}], got"
                f" {self.tv_sum[index]:g}"
            )
        returns = np.stack([self.train_return, self.heldout_return])
        spread = float((returns.max(axis=(0, -1)) - returns.min(axis=(0, -1))).max())
        if spread > self.return_width * (1 + ROUNDING) + ROUNDING * abs(returns).max():
            name = "return_range" if self._range_is_smaller else "reward_range / (1 - discount)"
            raise ValueError(
                f"{name} must be at least the spread of the returns, {spread:g}, got"
                f" {self.return_width:g}"
            )

    @property
    def drawn(self) -> bool:
        """Whether the renderings played are a sample themselves."""
        return self.train_renderings is not None or self.heldout_renderings is not None

    @property
    def _range_is_smaller(self) -> bool:
        everywhere = self.reward_range / (1 - self.discount)
        return self.return_range is not None and self.return_range < everywhere * (1 - ROUNDING)

    @property
    def return_width(self) -> float:
        """The smallest known width of an interval that contains every return."""
        everywhere = self.reward_range / (1 - self.discount)
        return everywhere if self.return_range is None else min(everywhere, self.return_range)

    @property
    def n_clusters(self) -> int:
        return self.train_return.shape[-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntervalStatement:
    """One bound on the gap, looked at through a sample; arrays where the sample is batched.

    Attributes:
        id: the bound's, with "with return range" where W stands for Delta/(1-gamma).
        bound: the bound whose right side was used.
        lhs, rhs: its sides, each with an interval at `confidence`.
        slack: right side minus d, and plus d, each with an interval that has half of the
            probability of being wrong.
        verdict: "holds", "violated" or "undecided".
        confidence: of the verdict, and of each side's interval.
        method: of METHODS.
        about: PLAYED or FAMILY.
    """

    id: str
    bound: Bound
    lhs: Band
    rhs: Band
    slack: tuple[Band, Band]
    verdict: Any
    confidence: float
    method: str
    about: str


@dataclass(frozen=True, kw_only=True, eq=False)
class IntervalReport:
    """Estimates with their intervals, and statements with their verdicts.

    Attributes:
        about: PLAYED or FAMILY, what the intervals are about.
        estimates: name -> mean with interval: `train_return`, `heldout_return`, `general_return`,
            `heldout_minus_train` (xi - eta), `gap` and `mean_robustness`.
        statements: A0, A3 and, with a return range that is smaller than Delta/(1-gamma), both with
            it; or the bounds asked for.
        confidence: of each interval and each verdict alone, not of all together.
        method: of METHODS.
        n_clusters: how many.
    """

    about: str
    estimates: dict[str, Band]
    statements: tuple[IntervalStatement, ...]
    confidence: float
    method: str
    n_clusters: int

    def __getitem__(self, statement_id: str) -> IntervalStatement:
        """The statement of an id."""
        known = {statement.id: statement for statement in self.statements}
        if statement_id not in known:
            raise KeyError(validation.unknown("statement", statement_id, known))
        return known[statement_id]


def interval_statements(
    sample: ClusterSample,
    *,
    method: str = "student",
    bounds: Sequence[Bound] = SAMPLED_BOUNDS,
    seed: int = 0,
) -> tuple[IntervalReport, ...]:
    """What a sample says about bounds on the gap.

    Args:
        sample: the numbers.
        method: "student" or "bernstein".
        bounds: `gap <= ...` in quantities that a sample knows.  One that is not linear in
            mean_robustness is linearised at its estimate, which is asymptotic: it needs "student"
            and all renderings.
        seed: of the bootstrap, which no verdict depends on.

    Returns:
        A report for the renderings played and, if their numbers are given, a wider one for the
        family that they were drawn from.

    Raises:
        ValueError: naming the argument and its value.
    """
    if method not in METHODS:
        raise ValueError(validation.unknown("method", method, METHODS))
    abouts = (PLAYED, FAMILY) if sample.drawn else (PLAYED,)
    return tuple(_report(_Estimator(sample, method, about, seed), bounds) for about in abouts)


def rendering_term(n: int | None, *, width: float, delta: float) -> float:
    """How far the mean over n drawn renderings may be from that over their family (Hoeffding).

    Wrong with probability delta at most, two-sided.  `width` is that of an interval that contains
    the quantity under every rendering.  For a mean over all pairs of n_T training and n_H held-out
    renderings n is the smaller of both numbers (Hoeffding 1963, section 5).  None: all were
    played, and the term is 0.
    """
    return 0.0 if n is None else float(hoeffding_half_width(n, width=width, delta=delta))


@dataclass(frozen=True, eq=False)
class _Estimator:
    """Means over clusters with intervals, in one method and about one thing."""

    sample: ClusterSample
    method: str
    about: str
    seed: int

    @property
    def confidence(self) -> float:
        spent = self.sample.rendering_delta if self.about == FAMILY else 0.0
        return self.sample.confidence - spent

    @property
    def train_renderings(self) -> int | None:
        return self.sample.train_renderings if self.about == FAMILY else None

    @property
    def heldout_renderings(self) -> int | None:
        return self.sample.heldout_renderings if self.about == FAMILY else None

    @property
    def pairs(self) -> int | None:
        """How many renderings a mean over pairs counts for."""
        known = [n for n in (self.train_renderings, self.heldout_renderings) if n is not None]
        return min(known, default=None)

    def interval(
        self,
        values: np.ndarray,
        width: float,
        renderings: int | None,
        *,
        share: float = 1.0,
        skewed: bool = False,
    ) -> Band:
        """Of the mean of values [..., cluster] in an interval of known width, or of unknown (nan).

        `share` is the part of the probability of being wrong that this interval may use.
        """
        delta = share * (1 - self.sample.confidence)
        mean = values.mean(axis=-1)
        half = np.full_like(mean, np.nan)
        if not math.isnan(width):
            half = bernstein_half_width(values, width=width, delta=delta)
        low, high = mean - half, mean + half
        if self.method == "student":
            varies = _varies(values, width)
            asymptotic = self._asymptotic(values, delta, skewed)
            low = np.where(varies & np.isfinite(asymptotic.low), asymptotic.low, low)
            high = np.where(varies & np.isfinite(asymptotic.high), asymptotic.high, high)
        drawn = rendering_term(renderings, width=width, delta=share * self.sample.rendering_delta)
        return Band(mean, low - drawn, high + drawn)

    def slack(
        self,
        allowed: np.ndarray,
        allowed_width: float,
        difference: np.ndarray,
        difference_width: float,
    ) -> Band:
        """Of the mean of allowed + difference, at half of delta.

        Where the returns differ by the same in every cluster, their spread is unknown, and that of
        the sum is not its measure: then both parts have an interval of their own.
        """
        width = allowed_width + difference_width
        together = self.interval(allowed + difference, width, self.pairs, share=0.5)
        still = (difference_width > 0) & ~_varies(difference, difference_width)
        if self.method != "student" or not still.any():
            return together
        apart = [
            self.interval(values, width, self.pairs, share=0.25)
            for values, width in ((allowed, allowed_width), (difference, difference_width))
        ]
        ends = (
            np.where(still, sum(getattr(one, end) for one in apart), getattr(together, end))
            for end in ("low", "high")
        )
        return Band(together.mean, *ends)

    def _asymptotic(self, values: np.ndarray, delta: float, skewed: bool) -> Band:
        if skewed:
            resamples = max(1999, math.ceil(40 / delta))  # 20 or more beyond each end
            return ratio_band(
                values,
                np.ones_like(values),
                seed=self.seed,
                level=1 - delta,
                resamples=resamples,
            )
        mean, half = values.mean(axis=-1), student_half_width(values, delta=delta)
        return Band(mean, mean - half, mean + half)


def _varies(values: np.ndarray, width: float) -> np.ndarray:
    """Whether values [..., cluster] in an interval of known width, or of unknown (nan), differ."""
    spread = values.max(axis=-1) - values.min(axis=-1)
    return np.asarray(
        spread > ROUNDING * (abs(values.mean(axis=-1)) if math.isnan(width) else width)
    )


def _report(estimator: _Estimator, bounds: Sequence[Bound]) -> IntervalReport:
    sample = estimator.sample
    eta, xi, mass = sample.train_return, sample.heldout_return, sample.train_mass
    width, pairs = sample.return_width, estimator.pairs
    mean_of = functools.partial(estimator.interval, skewed=True)
    difference = _within(estimator.interval(xi - eta, 2 * width, pairs), -width, width)
    robustness = mean_of(_mean_robustness(sample), 1.0, pairs)
    estimates = {
        "train_return": mean_of(eta, width, estimator.train_renderings),
        "heldout_return": mean_of(xi, width, estimator.heldout_renderings),
        "general_return": mean_of(mass * eta + (1 - mass) * xi, width, pairs),
        "heldout_minus_train": difference,
        "gap": _distance(difference, 1 - mass),
        "mean_robustness": _within(robustness, 0.0, 1.0),
    }
    statements = []
    for known, suffix in _with_ranges(sample):
        statements += [_statement(estimator, bound, known, suffix, estimates) for bound in bounds]
    return IntervalReport(
        about=estimator.about,
        estimates=estimates,
        statements=tuple(statements),
        confidence=estimator.confidence,
        method=estimator.method,
        n_clusters=sample.n_clusters,
    )


def _with_ranges(sample: ClusterSample) -> list[tuple[ClusterSample, str]]:
    """The sample, and with a smaller W once more, with W (1-gamma) for Delta."""
    if not sample._range_is_smaller:
        return [(sample, "")]
    smaller = dataclasses.replace(sample, reward_range=sample.return_width * (1 - sample.discount))
    return [(sample, ""), (smaller, " with return range")]


def _mean_robustness(sample: ClusterSample) -> np.ndarray:
    """Rbar of each cluster."""
    return (1 - sample.discount) * sample.tv_sum


def _within(band: Band, low: float, high: float) -> Band:
    """The interval without what cannot be; nan ends stay."""
    return Band(band.mean, np.clip(band.low, low, high), np.clip(band.high, low, high))


def _distance(difference: Band, factor: float) -> Band:
    """The interval of factor * abs(x) from that of x."""
    mean, low, high = difference
    crosses = (low <= 0) & (high >= 0)
    nearest = np.where(crosses, 0.0, np.minimum(abs(low), abs(high)))
    nearest = np.where(np.isnan(low), np.nan, nearest)
    return Band(factor * abs(mean), factor * nearest, factor * np.maximum(abs(low), abs(high)))


def _statement(
    estimator: _Estimator,
    bound: Bound,
    known: ClusterSample,
    suffix: str,
    estimates: dict[str, Band],
) -> IntervalStatement:
    rhs, slope = _right_side(bound)
    per_cluster = _mean_robustness(known)
    mean = per_cluster.mean(axis=-1, keepdims=True)
    at_mean, slope_there, at_none, at_one = (
        _put(bound, expression, known, robustness)
        for expression, robustness in ((rhs, mean), (slope, mean), (rhs, 0.0), (rhs, 1.0))
    )
    linear = _MEAN_ROBUSTNESS not in slope.free_symbols
    if not linear and (estimator.method == "bernstein" or estimator.sample.drawn):
        raise ValueError(
            "bounds must be linear in mean_robustness for the method 'bernstein' and for drawn"
            f" renderings, got {bound.id}"
        )
    allowed = at_mean + slope_there * (per_cluster - mean)
    unseen = 1 - known.train_mass
    difference = unseen * (known.heldout_return - known.train_return)
    allowed_width = float(abs(at_one - at_none)) if linear else math.nan
    least, most = (float(f(at_none, at_one)) for f in (min, max))
    if not linear:
        least, most = -math.inf, math.inf
    slack = [
        _within(
            estimator.slack(allowed, allowed_width, -sign * difference, 2 * apart),
            least - apart,
            most + apart,
        )
        for apart in [unseen * known.return_width]
        for sign in (1, -1)
    ]
    right = estimator.interval(allowed, allowed_width, estimator.pairs, skewed=True)
    return IntervalStatement(
        id=bound.id + suffix,
        bound=bound,
        lhs=estimates["gap"],
        rhs=_within(right, 0.0, most),  # a bound on a gap is at least 0
        slack=(slack[0], slack[1]),
        verdict=_verdict(slack, unseen * _rounding(known)),
        confidence=estimator.confidence,
        method=estimator.method,
        about=estimator.about,
    )


def _right_side(bound: Bound) -> tuple[sympy.Expr, sympy.Expr]:
    """What a bound allows for the gap, and the derivative of that by the mean robustness."""
    factor = sympy.cancel(bound.lhs / _GAP)
    is_upper = bound.relation.rel_op == "<=" and not bound.requires
    if not (is_upper and factor.is_Rational and factor > 0 and _GAP not in bound.rhs.free_symbols):
        raise ValueError(f"bounds must be of the form gap <= ..., got {bound.id}")
    for quantity in bound.quantities:
        if quantity.name not in _KNOWN:
            raise ValueError(
                f"bounds must speak of what a sample estimates ({', '.join(_KNOWN)}), got"
                f" {quantity.name} in {bound.id}"
            )
    rhs = bound.rhs / factor
    slope = sympy.diff(rhs, _MEAN_ROBUSTNESS)
    if unsupported(slope) is not None:
        raise ValueError(f"bounds must be differentiable in mean_robustness, got {bound.id}")
    return rhs, slope


def _put(bound: Bound, expression: sympy.Expr, known: ClusterSample, robustness: Any) -> Any:
    """An expression of a bound, at a mean robustness."""
    values = {
        "gap": 0.0,
        "mean_robustness": robustness,
        "train_mass": known.train_mass,
        "reward_range": known.reward_range,
        "discount": known.discount,
    }
    return bound.substitute((expression,), values, FLOATS)[0]


def _rounding(sample: ClusterSample) -> np.ndarray:
    """What rounding may have done to a difference of returns, [...]."""
    largest = np.maximum(abs(sample.train_return), abs(sample.heldout_return)).max(axis=-1)
    return np.asarray(1e-12 * largest)


def _verdict(slack: Sequence[Band], rounding: np.ndarray) -> Any:
    """Of two combinations; nan ends decide nothing."""
    verdict = np.full(np.shape(slack[0].mean), UNDECIDED, dtype=object)
    verdict[np.logical_and.reduce([band.low >= 0 for band in slack])] = HOLDS
    verdict[np.logical_or.reduce([band.high < -rounding for band in slack])] = VIOLATED
    return verdict[()]
