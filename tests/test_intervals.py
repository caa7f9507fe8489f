"""Intervals: numbers worked by hand, laws, another route, and coverage where truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from mdtheory import intervals
from mdtheory.intervals import (
    Band,
    band,
    bernstein_half_width,
    decides,
    hoeffding_half_width,
    ratio_band,
    student_half_width,
)


def coverage(found: Band, truth: float) -> float:
    return float(np.mean((found.low <= truth) & (truth <= found.high)))


def skewed_episodes(rng: np.random.Generator, repetitions: int, clusters: int) -> tuple[Any, Any]:
    """TV sums and lengths; long episodes have more TV per step.  The ratio's truth is 0.1318."""
    length = rng.geometric(0.05, (repetitions, clusters)).astype(float)
    mean = rng.beta(1, 4, (repetitions, clusters)) * length / (length + 20)
    return length * mean, length


def ratio_of_skewed_episodes() -> float:
    n = np.arange(1, 3000)
    return float(0.2 * (0.05 * 0.95 ** (n - 1) * n * n / (n + 20)).sum() / 20)


def test_hoeffding_by_hand() -> None:
    # log(2/delta) = 4, so sqrt(4 / (2 * 8)) = 1/2 of the width.
    assert hoeffding_half_width(8, width=3.0, delta=2 * math.exp(-4)) == pytest.approx(1.5)


def test_empirical_bernstein_by_hand() -> None:
    # log(4/delta) = 3 and V = 1/2: sqrt(2 * 1/2 * 3 / 2) + 7 * 2 * 3 / (3 * 1).
    half = bernstein_half_width(np.array([0.0, 1.0]), width=2.0, delta=4 * math.exp(-3))
    assert half == pytest.approx(math.sqrt(1.5) + 14)


def test_a_band_is_students_interval() -> None:
    values = np.random.default_rng(0).normal(size=(3, 7))
    mean, low, high = band(values)
    error = scipy.stats.sem(values, axis=-1)
    np.testing.assert_allclose([low, high], scipy.stats.t.interval(0.95, 6, mean, error))
    # t with 1 degree of freedom has its upper quartile at 1.
    assert student_half_width(np.array([0.0, 2.0]), delta=0.5) == pytest.approx(1.0)
    assert np.isnan(student_half_width(np.ones((2, 1)), delta=0.05)).all()


@pytest.mark.parametrize(
    ("low", "high", "decided"),
    [
        (1.0, 2.0, True),
        (-2.0, -1.0, True),
        (1.0, math.inf, False),
        (-1.0, 2.0, False),
        (0.0, 2.0, False),
        (-2.0, 0.0, False),
        (2.0, 2.0, False),
        (0.0, 0.0, False),
        (1.0, math.nan, False),
        (math.nan, -1.0, False),
        (math.nan, math.nan, False),
    ],
)
def test_an_interval_decides_if_it_has_width_and_all_of_it_is_on_one_side_of_0(
    low: float, high: float, decided: bool
) -> None:
    assert bool(decides(Band(0.0, low, high))) is decided
    array = np.array([[0.0, 2.0], [low, 1.0], [high, 3.0]])
    assert decides(Band(*array)).tolist() == [decided, True]


def test_repetitions_that_agree_decide_nothing() -> None:
    assert not any(decides(band(np.full(n, 0.1))) for n in range(1, 20))
    assert decides(band(np.array([0.1, 0.1, 0.11])))


def test_known_range_of_zero_needs_no_interval_and_one_value_has_none() -> None:
    assert bernstein_half_width(np.ones((2, 5)), width=0.0, delta=0.1).tolist() == [0, 0]
    assert bernstein_half_width(np.ones((2, 1)), width=0.0, delta=0.1).tolist() == [0, 0]
    assert np.isnan(bernstein_half_width(np.ones((2, 1)), width=1.0, delta=0.1)).all()


def test_equal_values_leave_bernstein_its_second_term() -> None:
    half = bernstein_half_width(np.ones(22), width=1.0, delta=4 * math.exp(-9))
    assert half == pytest.approx(1.0)  # 7 * 9 / (3 * 21)


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("n", [2, 10, 60])
def test_finite_sample_intervals_keep_their_promise_exactly(probability: float, n: int) -> None:
    """Every sample of n coin flips, weighted by its probability: no simulation."""
    ones = np.arange(n + 1)
    samples = (np.arange(n) < ones[:, None]).astype(float)
    weight = scipy.stats.binom.pmf(ones, n, probability)
    error = abs(ones / n - probability)
    for delta in (0.05, 0.3):
        assert weight @ (error <= hoeffding_half_width(n, width=1.0, delta=delta)) >= 1 - delta
        assert (
            weight @ (error <= bernstein_half_width(samples, width=1.0, delta=delta)) >= 1 - delta
        )


def test_student_breaks_its_promise_on_rare_events() -> None:
    ones = np.arange(61)
    samples = (np.arange(60) < ones[:, None]).astype(float)
    covers = abs(ones / 60 - 0.01) <= student_half_width(samples, delta=0.05)
    assert scipy.stats.binom.pmf(ones, 60, 0.01) @ covers < 0.5


def test_bernstein_beats_hoeffding_where_the_variance_is_small() -> None:
    n = 10_000
    quiet, loud = np.linspace(0.49, 0.51, n), np.linspace(0, 1, n).round()
    hoeffding = hoeffding_half_width(n, width=1.0, delta=0.05)
    assert bernstein_half_width(quiet, width=1.0, delta=0.05) < hoeffding / 3
    assert bernstein_half_width(loud, width=1.0, delta=0.05) > hoeffding


def test_ratio_is_of_the_sums_not_the_mean_of_ratios() -> None:
    found = ratio_band(np.array([1.0, 9.0, 2.0, 8.0]), np.array([1.0, 3.0, 2.0, 4.0]), seed=0)
    assert found.mean == pytest.approx(2.0)
    assert found.low < 2 < found.high


def test_clusters_of_one_ratio_have_an_interval_of_no_width() -> None:
    found = ratio_band(np.array([0.1, 0.2, 0.7]), np.array([1.0, 2.0, 7.0]), seed=0)
    assert found.low == found.mean == found.high == pytest.approx(0.1)
    assert ratio_band(np.zeros(3), np.ones(3), seed=0) == (0, 0, 0)


def test_one_cluster_has_no_ends_and_two_have_infinite_ones() -> None:
    single = ratio_band(np.array([[3.0]]), np.array([[6.0]]), seed=0)
    assert single.mean.tolist() == [0.5]
    assert np.isnan([single.low, single.high]).all()
    pair = ratio_band(np.array([1.0, 3.0]), np.ones(2), seed=0)
    assert (pair.mean, pair.low, pair.high) == (2, -math.inf, math.inf)


def test_ratio_interval_is_the_bootstrap_t_written_out() -> None:
    totals, sizes = (x[0] for x in skewed_episodes(np.random.default_rng(1), 1, 12))

    def ratio_and_error(x: np.ndarray, n: np.ndarray) -> tuple[float, float]:
        ratio = x.sum() / n.sum()
        return ratio, math.sqrt(((x - ratio * n) ** 2).sum()) / n.sum()

    ratio, error = ratio_and_error(totals, sizes)
    counts = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=199)
    t = []
    for row in counts:
        drawn = np.repeat(np.arange(12), row)
        again, its_error = ratio_and_error(totals[drawn], sizes[drawn])
        t.append((again - ratio) / its_error)
    t.sort()
    found = ratio_band(totals, sizes, seed=5, level=0.9, resamples=199)
    expected = (ratio, ratio - t[-10] * error, ratio - t[9] * error)
    assert found == pytest.approx(expected)


def test_ratio_follows_scale_and_shift_and_a_batch_is_its_members() -> None:
    totals, sizes = skewed_episodes(np.random.default_rng(2), 4, 20)
    found = np.array(ratio_band(totals, sizes, seed=0))
    moved = np.array(ratio_band(3 * totals + 2 * sizes, sizes, seed=0))
    np.testing.assert_allclose(moved, 3 * found + 2)
    single = np.array([ratio_band(x, n, seed=0) for x, n in zip(totals, sizes, strict=True)])
    np.testing.assert_allclose(single.T, found)


def test_ratio_depends_on_the_seed_alone() -> None:
    totals, sizes = skewed_episodes(np.random.default_rng(2), 1, 20)
    first, again, other = (ratio_band(totals, sizes, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.mean == other.mean
    assert first.low != other.low


def test_ratio_interval_covers_skewed_clusters_where_students_does_not() -> None:
    """The reason for the bootstrap-t: Student's linearised interval misses twice as often."""
    truth = ratio_of_skewed_episodes()
    totals, sizes = skewed_episodes(np.random.default_rng(0), 2000, 60)
    found = ratio_band(totals, sizes, seed=0)
    residual = (totals - found.mean[:, None] * sizes) / sizes.mean(axis=-1, keepdims=True)
    half = student_half_width(residual, delta=0.05)
    student = Band(found.mean, found.mean - half, found.mean + half)
    assert coverage(student, truth) < 0.915
    assert coverage(found, truth) > 0.925


def test_many_clusters_are_resampled_in_blocks_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    totals, sizes = skewed_episodes(np.random.default_rng(3), 2, 30)
    whole = ratio_band(totals, sizes, seed=0)
    monkeypatch.setattr(intervals, "_MOST_COUNTS", 7 * 30)
    np.testing.assert_allclose(ratio_band(totals, sizes, seed=0), whole)


def test_wider_levels_give_wider_intervals() -> None:
    totals, sizes = skewed_episodes(np.random.default_rng(3), 1, 30)
    low, high = (ratio_band(totals, sizes, seed=0, level=level) for level in (0.8, 0.99))
    assert high.low[0] < low.low[0] < low.high[0] < high.high[0]


ONES = np.ones(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ratio_band(ONES, np.ones(2), seed=0),
         "totals and sizes must have one shape [..., cluster], got [3] and [2]"),
        (lambda: ratio_band(np.array(1.0), np.array(1.0), seed=0),
         "totals and sizes must have one shape [..., cluster], got [] and []"),
        (lambda: ratio_band(np.array([1.0, np.nan]), np.ones(2), seed=0),
         "totals must be finite numbers, at least one, got nan"),
        (lambda: ratio_band(np.ones(0), np.ones(0), seed=0),
         "totals must be finite numbers, at least one, got none"),
        (lambda: ratio_band(ONES, np.array([1.0, 0.0, 2.0]), seed=0),
         "sizes must be finite and above 0, got 0.0"),
        (lambda: ratio_band(ONES, np.array([1.0, np.inf, 2.0]), seed=0),
         "sizes must be finite and above 0, got inf"),
        (lambda: ratio_band(ONES, ONES, seed=0, level=1.0), "level must lie in (0, 1), got 1.0"),
        (lambda: ratio_band(ONES, ONES, seed=0, resamples=38),
         "resamples must be at least 2 / (1 - level) - 1, got 38"),
        (lambda: student_half_width(ONES, delta=0.0), "delta must lie in (0, 1), got 0.0"),
        (lambda: hoeffding_half_width(3, width=1.0, delta=1.0),
         "delta must lie in (0, 1), got 1.0"),
        (lambda: hoeffding_half_width(0, width=1.0, delta=0.1),
         "n must be a whole number of at least 1, got 0"),
        (lambda: hoeffding_half_width(2.5, width=1.0, delta=0.1),  # type: ignore[arg-type]
         "n must be a whole number of at least 1, got 2.5"),
        (lambda: hoeffding_half_width(3, width=-1.0, delta=0.1),
         "width must be finite and at least 0, got -1.0"),
        (lambda: bernstein_half_width(ONES, width=math.inf, delta=0.1),
         "width must be finite and at least 0, got inf"),
        (lambda: bernstein_half_width(np.array([0.0, 2.0]), width=1.5, delta=0.1),
         "width must be at least the spread of the values, 2, got 1.5"),
        (lambda: bernstein_half_width(ONES, width=1.0, delta=2.0),
         "delta must lie in (0, 1), got 2.0"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_with_their_value(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    assert str(caught.value) == message


def test_as_few_resamples_as_the_level_needs_are_enough() -> None:
    assert ratio_band(ONES, ONES, seed=0, resamples=39).mean == 1
