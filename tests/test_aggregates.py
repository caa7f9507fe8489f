"""Aggregates: rliable's numbers, numbers worked by hand, laws, coverage where truth is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from experiments import aggregates
from experiments.aggregates import (
    AGGREGATES,
    COVERAGE,
    all_aggregates,
    average_profile,
    by_game,
    common_games,
    few_runs,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    simulated_coverage,
    stratified_bootstrap,
)
from experiments.envs.procgen.games import EASY_RANGES, GAMES, HARD_RANGES, NORMALIZATIONS

FIXTURE = json.loads((Path(__file__).parent / "data" / "rliable.json").read_text("utf-8"))
TAUS = FIXTURE["taus"]
SCORES = {name: np.array(found["scores"]) for name, found in FIXTURE["data"].items()}
RLIABLE = FIXTURE["data"]
Scores = dict[str, np.ndarray]


def named(matrix: np.ndarray) -> Scores:
    return by_game(matrix, [f"game {k}" for k in range(matrix.shape[1])])


DATA = {name: named(matrix) for name, matrix in SCORES.items()}


# rliable's numbers. The wrong variants below show that these comparisons can fail.


def points_agree(statistic: Callable[[Scores], Any], k: int) -> bool:
    """With the fixture's aggregate number k, on all its data."""
    return all(
        abs(float(statistic(scores)) - RLIABLE[name]["points"][k]) < 1e-12
        for name, scores in DATA.items()
    )


def interval_agrees(
    bootstrap: Callable[..., Any], samples: Any, statistic: Any, low: float, high: float
) -> bool:
    """Whether rliable's ends are within Monte Carlo error of ours.

    Both are order statistics of as many resamples. The share of ours below the end of rliable's is
    the difference of two binomial shares, of deviation sqrt(2 p (1 - p) / resamples) around p =
    0.025: the end must lie between our quantiles 4 deviations on both sides of p.
    """
    n, p = FIXTURE["repetitions"], 0.025
    four = 4 * math.sqrt(2 * p * (1 - p) / n)
    wide, narrow = (
        bootstrap(samples, statistic, level=1 - 2 * q, resamples=n) for q in (p - four, p + four)
    )
    tiny = 1e-9
    return bool(
        wide.low - tiny <= low <= narrow.low + tiny
        and narrow.high - tiny <= high <= wide.high + tiny
    )


def intervals_agree(bootstrap: Callable[..., Any], statistic: Any, k: int) -> bool:
    return all(
        interval_agrees(bootstrap, scores, statistic, *np.array(RLIABLE[name]["intervals"])[:, k])
        for name, scores in DATA.items()
    )


def improvements_agree(statistic: Callable[..., Any]) -> bool:
    return all(
        abs(float(statistic(DATA[pair["left"]], DATA[pair["right"]])) - pair["point"]) < 1e-12
        for pair in FIXTURE["pairs"]
    )


def profiles_agree(of: Callable[..., Any], key: str) -> bool:
    return all(
        np.allclose(of(scores, TAUS), RLIABLE[name][key], rtol=0, atol=1e-12)
        for name, scores in DATA.items()
    )


def test_the_fixture_is_of_the_aggregates_in_their_order() -> None:
    assert FIXTURE["aggregates"] == list(AGGREGATES)
    assert FIXTURE["versions"]["rliable"] == "1.2.0"


@pytest.mark.parametrize("name", AGGREGATES)
def test_point_estimates_are_rliables(name: str) -> None:
    assert points_agree(AGGREGATES[name], list(AGGREGATES).index(name))


@pytest.mark.parametrize("name", AGGREGATES)
def test_intervals_are_rliables_within_monte_carlo_error(name: str) -> None:
    k = list(AGGREGATES).index(name)
    assert intervals_agree(stratified_bootstrap, AGGREGATES[name], k)


def test_profiles_are_rliables() -> None:
    assert profiles_agree(performance_profile, "profile")
    assert profiles_agree(average_profile, "average profile")


def test_bands_of_profiles_are_rliables_within_monte_carlo_error() -> None:
    name = "3 x 16"
    found = stratified_bootstrap(DATA[name], lambda x: performance_profile(x, TAUS))
    low, high = np.array(RLIABLE[name]["profile intervals"])
    # Shares of 48 runs are discrete: a quantile may fall on the neighbouring one.
    assert abs(found.low - low).max() <= 1 / 48 + 1e-12
    assert abs(found.high - high).max() <= 1 / 48 + 1e-12


def test_probabilities_of_improvement_are_rliables() -> None:
    assert improvements_agree(probability_of_improvement)
    for pair in FIXTURE["pairs"]:
        sides = (DATA[pair["left"]], DATA[pair["right"]])
        assert interval_agrees(
            stratified_bootstrap, sides, probability_of_improvement, *pair["interval"]
        )


def test_published_scores_get_rliables_aggregates_under_both_normalizations() -> None:
    published = FIXTURE["published"]
    for table, ranges in NORMALIZATIONS.items():
        for algorithm, returns in published["returns"].items():
            scores = {
                game: np.array([(x - ranges["easy"][game].low) / np.ptp(ranges["easy"][game])])
                for game, x in zip(GAMES, returns, strict=True)
            }
            expected = published["points"][f"{algorithm}, {table}"]
            np.testing.assert_allclose(all_aggregates(scores), expected, rtol=0, atol=1e-12)


def jointly(samples: Any, statistic: Any, *, level: float, resamples: int) -> Any:
    """Not stratified: whole runs are drawn, with all their games."""
    rng = np.random.default_rng(0)
    matrix = np.array(list(samples.values()))  # [game, run]
    drawn = matrix[:, rng.integers(matrix.shape[1], size=(resamples, matrix.shape[1]))]
    values = statistic(dict(zip(samples, drawn, strict=True)))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return aggregates.Band(None, low, high)


def pooled(scores: Scores) -> np.ndarray:
    return np.concatenate(list(scores.values()), axis=-1)


def clipped(scores: Scores) -> Scores:
    return {game: np.clip(runs, 0, 1) for game, runs in scores.items()}


def strict_wins(left: Scores, right: Scores) -> float:
    return float(np.mean([(left[g][:, None] > right[g]).mean() for g in left]))


WRONG: dict[str, Callable[[], bool]] = {
    "IQM without trimming": lambda: points_agree(mean, 0),
    "IQM of games' means": lambda: points_agree(
        lambda x: scipy.stats.trim_mean([runs.mean() for runs in x.values()], 0.25), 0
    ),
    "IQM with quartiles interpolated": lambda: points_agree(
        lambda x: pooled(x)[
            (pooled(x) >= np.quantile(pooled(x), 0.25))
            & (pooled(x) <= np.quantile(pooled(x), 0.75))
        ].mean(),
        0,
    ),
    "median over all runs": lambda: points_agree(lambda x: np.median(pooled(x)), 1),
    "median over games of medians": lambda: points_agree(
        lambda x: np.median([np.median(runs) for runs in x.values()]), 1
    ),
    "clipped mean": lambda: points_agree(lambda x: mean(clipped(x)), 2),
    "clipped optimality gap": lambda: points_agree(lambda x: optimality_gap(clipped(x)), 3),
    "optimality gap of the mean": lambda: points_agree(lambda x: 1 - mean(x), 3),
    "ties are losses": lambda: improvements_agree(strict_wins),
    "ties are wins": lambda: improvements_agree(lambda a, b: 1 - strict_wins(b, a)),
    "all games in one": lambda: improvements_agree(
        lambda a, b: probability_of_improvement({"": pooled(a)}, {"": pooled(b)})
    ),
    "profile with at least tau": lambda: profiles_agree(
        lambda x, taus: [(pooled(x) >= tau).mean() for tau in taus], "profile"
    ),
    "profile of games for runs": lambda: profiles_agree(average_profile, "profile"),
    "IQM not stratified": lambda: intervals_agree(jointly, iqm, 0),
    "mean not stratified": lambda: intervals_agree(jointly, mean, 2),
    "all runs drawn from one pot": lambda: intervals_agree(
        lambda x, of, **more: stratified_bootstrap({"": pooled(x)}, of, **more), mean, 2
    ),
    "an interval of 90 %": lambda: intervals_agree(
        lambda *x, level, **more: stratified_bootstrap(*x, level=level - 0.05, **more), mean, 2
    ),
}


@pytest.mark.parametrize("variant", WRONG)
def test_wrong_variants_disagree_with_rliable(variant: str) -> None:
    assert not WRONG[variant]()


# By hand.

TWO = {"a": np.array([0.0, 1.0, 5.0]), "b": np.array([-2.0, 2.0])}


def test_aggregates_by_hand() -> None:
    assert mean(TWO) == (2 + 0) / 2
    assert median({**TWO, "c": np.array([9.0])}) == 2  # of 2, 0 and 9
    assert optimality_gap(TWO) == 1 - (2 / 3 - 0.5) / 2
    assert optimality_gap(TWO, gamma=-1.0) == -1 - (-1 - 1.5) / 2
    assert iqm({"a": np.array([9.0, 1, 2, 3, -7])}) == 2  # one off at each end
    assert iqm({"a": np.array([1.0, 9.0]), "b": np.array([2.0, 4.0])}) == 3


def test_iqm_of_unequal_games_by_hand() -> None:
    # Weights 1/6, 1/6, 1/6 and 1/4, 1/4; a fifth is cut off at each end. In order: -2 (1/4, of
    # which 1/20 is kept), 0 and 1 (1/6 each), 2 (1/4, of which all but 1/30 is kept), 5 (cut off).
    expected = (-2 / 20 + 0 / 6 + 1 / 6 + 2 * (1 / 4 - 1 / 30)) / (3 / 5)
    assert iqm(TWO) == pytest.approx(expected, abs=1e-15)


def test_iqm_weighs_games_alike_as_if_runs_were_repeated() -> None:
    rng = np.random.default_rng(0)
    scores = {"a": rng.normal(size=4), "b": rng.normal(size=8), "c": rng.normal(size=2)}
    # Weights are those of repeated runs, and 14 // 4 / 14 = 3/14 is cut off instead of a quarter.
    repeated = np.concatenate([np.repeat(x, 8 * 7 // len(x)) for x in scores.values()])  # 168
    expected = scipy.stats.trim_mean(repeated, 3 / 14 + 1e-12)
    assert iqm(scores) == pytest.approx(expected, abs=1e-12)


def test_profiles_by_hand() -> None:
    assert performance_profile(TWO, [-3, 0, 1, 5]).tolist() == pytest.approx(
        [1, (2 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, 0]
    )
    assert average_profile(TWO, [-1, 0, 1, 2]).tolist() == [1, 0.5, 0.5, 0]


def test_probability_of_improvement_by_hand() -> None:
    other = {"b": np.array([0.0]), "a": np.array([1.0, 7.0])}
    # a: 0, 1, 5 against 1, 7: one win and a tie of 6 pairs; b: one win of 2.
    assert probability_of_improvement(TWO, other) == pytest.approx((1.5 / 6 + 1 / 2) / 2)


def test_both_sides_add_up_to_one_and_equal_sides_are_even() -> None:
    left, right = DATA["tied, 6 x 5"], DATA["tied, 5 x 5"]
    total = probability_of_improvement(left, right) + probability_of_improvement(right, left)
    assert total == pytest.approx(1)
    assert probability_of_improvement(left, left) == 0.5


@pytest.mark.parametrize("name", AGGREGATES)
def test_batches_of_scores_are_aggregated_one_by_one(name: str) -> None:
    rng = np.random.default_rng(0)
    for sizes in ((3, 3), (3, 5)):
        batch = {f"{k}": rng.normal(size=(2, 4, n)) for k, n in enumerate(sizes)}
        found = AGGREGATES[name](batch)
        for i, j in np.ndindex(2, 4):
            one = {game: runs[i, j] for game, runs in batch.items()}
            assert found[i, j] == pytest.approx(float(AGGREGATES[name](one)), abs=1e-14)


@pytest.mark.parametrize("name", AGGREGATES)
def test_order_of_games_and_runs_does_not_matter(name: str) -> None:
    scores = {"a": np.array([0.3, 2.0, -1.0]), "b": np.array([0.5]), "c": np.array([1.0, 0.0])}
    other = {game: scores[game][::-1] for game in ("c", "a", "b")}
    assert AGGREGATES[name](scores) == pytest.approx(float(AGGREGATES[name](other)), abs=1e-15)


# The bootstrap.


def test_with_two_runs_the_interval_has_known_quantiles() -> None:
    # Resamples of {0, 1}: 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    found = stratified_bootstrap({"a": np.array([0.0, 1.0])}, mean, level=0.8)
    assert tuple(map(float, found)) == (0.5, 0.0, 1.0)
    found = stratified_bootstrap({"a": np.array([0.0, 1.0])}, mean, level=0.4)
    assert tuple(map(float, found)) == (0.5, 0.5, 0.5)


def test_spread_of_resamples_is_that_of_independent_draws_within_each_game() -> None:
    """The bootstrap's variance of the mean is sum over games of var(ddof=0) / n / games**2."""
    scores = {"a": np.array([0.0, 1.0, 2.0, 5.0]), "b": np.array([0.0, 3.0])}
    found = stratified_bootstrap(scores, mean, level=0.6827, resamples=40_000)
    deviation = math.sqrt(sum(x.var() / len(x) for x in scores.values())) / 2
    assert (found.high - found.low) / 2 == pytest.approx(deviation, rel=0.1)


def test_a_single_run_of_any_game_leaves_no_interval() -> None:
    for scores in ({"a": np.array([0.5])}, {"a": np.array([0.5]), "b": np.array([0.0, 1.0])}):
        found = stratified_bootstrap(scores, mean)
        assert found.mean == mean(scores)
        assert np.isnan([found.low, found.high]).all()
    many = {"a": np.arange(5.0)}
    found = stratified_bootstrap(({"a": np.array([2.0])}, many), probability_of_improvement)
    assert (found.mean, np.isnan(found.low)) == (0.5, True)
    found = stratified_bootstrap({"a": np.array([0.5])}, lambda x: performance_profile(x, [0, 1]))
    assert found.mean.tolist() == [1, 0]
    assert np.isnan(found.low).tolist() == [True, True]


def test_same_seed_same_interval_and_other_seed_another() -> None:
    scores = DATA["3 x 16"]
    first, again, other = (stratified_bootstrap(scores, iqm, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.mean == other.mean
    assert first.low != other.low


def test_blocks_of_resamples_are_all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(scores: Scores) -> np.ndarray:
        sizes.append(len(np.atleast_2d(next(iter(scores.values())))))
        return mean(scores)

    monkeypatch.setattr(aggregates, "_MOST_DRAWS", 48 * 300)
    stratified_bootstrap(DATA["3 x 16"], counted, resamples=1000)
    assert sizes == [1, 300, 300, 300, 100]


def test_two_runs_of_one_game_cover_the_mean_half_of_the_time_exactly() -> None:
    """The interval is from one run to the other, and the mean lies between them half the time."""
    rng = np.random.default_rng(0)
    hits = 0
    for runs in rng.normal(size=(400, 2)):
        found = stratified_bootstrap({"a": runs}, mean, resamples=200)
        assert (found.low, found.high) == (runs.min(), runs.max())
        hits += found.low <= 0 <= found.high
    assert abs(hits / 400 - 0.5) < 4 * math.sqrt(0.25 / 400)
    assert COVERAGE[2][0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("n", COVERAGE)
@pytest.mark.parametrize("n_games", [1, 16])
def test_coverage_of_the_mean_is_what_is_said(n: int, n_games: int) -> None:
    said = COVERAGE[n][n_games > 1]
    assert coverage_agrees(mean, n, n_games, said)


def coverage_agrees(statistic: Any, n: int, n_games: int, said: float) -> bool:
    """Four deviations of 400 simulations, whose intervals are of 500 resamples."""
    found = simulated_coverage(
        statistic, runs=n, games=n_games, seed=n, simulations=400, resamples=500
    )
    return abs(found - said) < 4 * math.sqrt(said * (1 - said) / 400)


def documented_coverage() -> dict[int, list[float]]:
    """By runs of each game the cells of the page's table: mean and IQM of 1 game, of 16 games."""
    text = (Path(__file__).parents[1] / "docs" / "aggregates.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) ((?:\| \d+ %.*?){4}) \|$", text, flags=re.MULTILINE)
    return {int(n): [int(x) / 100 for x in re.findall(r"(\d+) %", cells)] for n, cells in rows}


def test_documented_coverage_of_the_mean_is_what_is_said() -> None:
    said = {n: (cells[0], cells[2]) for n, cells in documented_coverage().items()}
    assert said == COVERAGE


@pytest.mark.parametrize("n", COVERAGE)
@pytest.mark.parametrize("n_games", [1, 16])
def test_coverage_of_the_iqm_is_what_is_documented(n: int, n_games: int) -> None:
    assert coverage_agrees(iqm, n, n_games, documented_coverage()[n][2 * (n_games > 1) + 1])


def test_simulated_coverage_knows_one_that_is_too_small_and_its_seed() -> None:
    assert not coverage_agrees(lambda scores: mean(scores) + 0.1, 10, 1, COVERAGE[10][0])
    same = [simulated_coverage(mean, runs=3, games=1, seed=s, simulations=200) for s in (0, 0, 1)]
    assert same[0] == same[1] != same[2]


def test_few_runs_are_told_what_their_intervals_are_worth() -> None:
    assert few_runs(1) == (
        "there is no interval, and nothing is known of how another seed would score"
    )
    assert few_runs(4) == (
        "the intervals are too narrow; with 3 runs, simulated 95 % intervals of the mean held the"
        " truth 75% of the time for one game and 87% for sixteen"
    )
    assert "with 5 runs" in str(few_runs(9))
    assert few_runs(10) is None


# Representation, normalisation, messages.


def test_common_games_are_those_of_all_in_the_order_of_the_first() -> None:
    one = np.ones(1)
    assert common_games({"c": one, "b": one, "a": one}, {"a": one, "c": one}) == ("c", "a")
    assert common_games({"c": one}, {"a": one}) == ()


def test_normalizations_differ_in_easy_jumper_and_leaper_alone() -> None:
    ours, papers = NORMALIZATIONS["train-procgen"], NORMALIZATIONS["procgen-paper"]
    assert ours == {"easy": EASY_RANGES, "hard": HARD_RANGES}
    assert ours["hard"] == papers["hard"]
    other = {
        game: papers["easy"][game] for game in GAMES if papers["easy"][game] != ours["easy"][game]
    }
    assert other == {"jumper": (3, 10), "leaper": (3, 10)}
    assert all(list(table[mode]) == list(GAMES) for table in (ours, papers) for mode in table)


ONE = {"a": np.ones(2)}
BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: mean({}), "scores must have at least one game, got none"),
    (lambda: mean({"a": np.array([])}),
     "scores[a] must be an array with at least one run, got none"),
    (lambda: iqm({"a": np.array(1.0)}),
     "scores[a] must be an array with at least one run, got none"),
    (lambda: median({"a": np.ones(1), "b": np.array([1, np.nan])}),
     "scores[b][1] must be a finite number, got nan"),
    (lambda: iqm({"a": np.array([[1, 2], [3, np.inf]])}),
     "scores[a][1, 1] must be a finite number, got inf"),
    (lambda: optimality_gap(ONE, gamma=np.nan), "gamma must be a finite number, got nan"),
    (lambda: performance_profile(ONE, 0.5), "taus must be a list of finite numbers, got 0.5"),
    (lambda: performance_profile(ONE, []), "taus must be a list of finite numbers, got []"),
    (lambda: average_profile(ONE, [0, np.nan]),
     "taus must be a list of finite numbers, got [0.0, nan]"),
    (lambda: probability_of_improvement(ONE, {"b": np.ones(2)}),
     "left and right must have the same games, got only one with a, b"),
    (lambda: stratified_bootstrap(ONE, mean, level=1), "level must lie in (0, 1), got 1"),
    (lambda: stratified_bootstrap(ONE, mean, resamples=38),
     "resamples must be at least 39 at level 0.95, got 38"),
    (lambda: stratified_bootstrap(ONE, mean, resamples=1_000_001),
     "resamples must be at most 1,000,000, got 1,000,001"),
    (lambda: stratified_bootstrap(ONE, mean, level=0.999999),
     "level must need at most 1,000,000 resamples, got 0.999999, which needs 1,999,999"),
    (lambda: stratified_bootstrap(ONE, mean, seed=-1), "seed must be at least 0, got -1"),
    (lambda: stratified_bootstrap([], mean), "samples must be scores by game, at least once, got"
     " none"),
    (lambda: by_game(np.ones((16, 3)), GAMES),
     "scores must have a row for each run and a column for each of 16 games, got shape [16, 3]"),
    (lambda: by_game(np.ones(3), ["a", "b", "c"]),
     "scores must have a row for each run and a column for each of 3 games, got shape [3]"),
    (lambda: by_game(np.ones((2, 2)), ["a", "a"]), "games must differ, got a twice"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_the_fewest_resamples_are_allowed() -> None:
    stratified_bootstrap(ONE, mean, resamples=39)
