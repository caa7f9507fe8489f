"""Intervals of aggregates, each beside peers that do the same work.

Run with `make bench`; the ratios live in benchmarks/README.md.  rliable takes part where it is
installed (tests/rliable_numbers.py says how).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from experiments.aggregates import by_game, iqm, probability_of_improvement, stratified_bootstrap
from experiments.envs.procgen.games import GAMES

RESAMPLES = 2000
SCORES = np.random.default_rng(0).normal(0.5, 0.2, (10, 16))
OTHERS = np.random.default_rng(1).normal(0.4, 0.2, (10, 16))


def of_iqm_by_us() -> Any:
    found = stratified_bootstrap(by_game(SCORES, GAMES), iqm, resamples=RESAMPLES)
    return found.low, found.high


def of_iqm_by_scipy() -> Any:
    def statistic(*columns: np.ndarray, axis: int) -> Any:
        return scipy.stats.trim_mean(np.concatenate(columns, axis=axis), 0.25, axis=axis)

    return scipy.stats.bootstrap(
        tuple(SCORES.T), statistic, n_resamples=RESAMPLES, method="percentile", vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip


def of_iqm_by_rliable() -> Any:
    library = pytest.importorskip("rliable.library", exc_type=Exception)
    metrics = pytest.importorskip("rliable.metrics", exc_type=Exception)
    _, found = library.get_interval_estimates(
        {"": SCORES}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=RESAMPLES
    )
    return found[""].ravel()


def of_improvement_by_us() -> Any:
    sides = [by_game(scores, GAMES) for scores in (SCORES, OTHERS)]
    found = stratified_bootstrap(sides, probability_of_improvement, resamples=RESAMPLES)
    return found.low, found.high


def of_improvement_by_scipy() -> Any:
    def statistic(*columns: np.ndarray, axis: int) -> Any:
        pairs = zip(columns[:16], columns[16:], strict=True)
        shares = [scipy.stats.mannwhitneyu(x, y, axis=axis, method="asymptotic") for x, y in pairs]
        return np.mean([share.statistic for share in shares], axis=0) / 100

    return scipy.stats.bootstrap(
        (*SCORES.T, *OTHERS.T), statistic, n_resamples=RESAMPLES, method="percentile",
        vectorized=True, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip


def of_improvement_by_rliable() -> Any:
    library = pytest.importorskip("rliable.library", exc_type=Exception)
    metrics = pytest.importorskip("rliable.metrics", exc_type=Exception)
    _, found = library.get_interval_estimates(
        {"": (SCORES, OTHERS)}, metrics.probability_of_improvement, reps=RESAMPLES
    )
    return found[""].ravel()


@pytest.mark.benchmark(group="interval of the IQM of 10 runs of 16 games, 2,000 resamples")
@pytest.mark.parametrize("work", [of_iqm_by_us, of_iqm_by_scipy, of_iqm_by_rliable])
def test_iqm(benchmark: Any, work: Callable[[], Any]) -> None:
    assert benchmark(work) == pytest.approx(of_iqm_by_us(), abs=0.01)


@pytest.mark.benchmark(group="interval of the probability of improvement of 10 runs over 10")
@pytest.mark.parametrize(
    "work", [of_improvement_by_us, of_improvement_by_scipy, of_improvement_by_rliable]
)
def test_probability_of_improvement(benchmark: Any, work: Callable[[], Any]) -> None:
    found = benchmark.pedantic(work, rounds=3)
    assert found == pytest.approx(of_improvement_by_us(), abs=0.02)
