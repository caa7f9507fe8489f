"""Levels that are generated twice: found where they are known to be, nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.envs.procgen import (
    LevelSet,
    LevelSplit,
    ProcgenOptions,
    ProcgenVectorEnv,
    duplicates,
    libenv,
    split,
)
from experiments.envs.procgen.duplicates import (
    DuplicateReport,
    duplicates_between,
    find_duplicates,
)

needs_wheel = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
EASY = ProcgenOptions(distribution_mode="easy")
MAZES = [(46, 56), (70, 157), (126, 185), (154, 187)]
"""The same among easy mode's mazes 0 to 199."""


def history(game: str, level: int, steps: int = 300) -> bytes:
    """All that an environment of this level only shows under random actions."""
    levels = LevelSet(level, level + 1)
    env = ProcgenVectorEnv(game, options=EASY, levels=levels, num_threads=0)
    rng = np.random.default_rng(8)
    results = [env.step(rng.integers(15, size=1))[:4] for _ in range(steps)]
    env.close()
    return b"".join(array.tobytes() for result in results for array in result)


@needs_wheel
def test_repeated_mazes_are_found_and_really_play_the_same():
    assert find_duplicates("maze", range(200), options=EASY) == MAZES
    for one, two in MAZES:
        assert history("maze", one) == history("maze", two)
    assert history("maze", 46) != history("maze", 70)


@needs_wheel
@pytest.mark.parametrize("game", ["bigfish", "chaser", "jumper"])
def test_games_without_repeated_levels_have_none(game):
    assert find_duplicates(game, range(150), options=EASY) == []


@needs_wheel
def test_the_order_of_levels_and_the_number_of_games_change_nothing():
    levels = np.array([187, 3, 46, 154, 56, 10])
    for num_envs in (1, 4, 100):
        found = find_duplicates("maze", levels, options=EASY, num_envs=num_envs, probe_steps=20)
        assert sorted(found) == [(46, 56), (154, 187)]


@needs_wheel
@pytest.mark.parametrize("game", ["starpilot", "coinrun", "leaper"])
def test_a_planted_duplicate_is_found_in_any_game(monkeypatch, game):
    real = duplicates.with_levels

    def disguised(state: bytes, low: int, high: int) -> bytes:
        return real(state, 5, 6) if low == 1000 else real(state, low, high)

    monkeypatch.setattr(duplicates, "with_levels", disguised)
    assert find_duplicates(game, [1000, *range(40)], probe_steps=32) == [(5, 1000)]


@needs_wheel
def test_levels_that_differ_later_are_told_apart_by_the_actions():
    pair = [188, 170295022]
    assert find_duplicates("coinrun", pair, options=EASY, probe_steps=0) == [tuple(pair)]
    assert find_duplicates("coinrun", pair, options=EASY) == []


@needs_wheel
def test_levels_that_differ_out_of_sight_are_told_apart_by_their_worlds(monkeypatch):
    pair = [19, 184]
    assert find_duplicates("ninja", pair, options=EASY) == []
    monkeypatch.setattr(duplicates, "world_of", lambda state: b"")
    assert find_duplicates("ninja", pair, options=EASY) == [tuple(pair)]


@needs_wheel
@pytest.mark.parametrize("part", [1, 2, 3])
def test_levels_with_other_rewards_or_ends_are_told_apart(monkeypatch, part):
    real = ProcgenVectorEnv.step

    def changed(env: ProcgenVectorEnv, actions: np.ndarray) -> tuple[Any, ...]:
        result = [*real(env, actions)]
        result[part] = result[part].copy()
        result[part][1] = not result[part][1]
        return tuple(result)

    assert find_duplicates("maze", MAZES[0], options=EASY, probe_steps=1) == MAZES[:1]
    monkeypatch.setattr(ProcgenVectorEnv, "step", changed)
    assert find_duplicates("maze", MAZES[0], options=EASY, probe_steps=1) == []


@needs_wheel
def test_backgrounds_hide_that_mazes_are_the_same():
    plain = ProcgenOptions(
        distribution_mode="easy", use_backgrounds=False, use_monochrome_assets=True
    )
    assert len(find_duplicates("maze", range(200), options=plain)) > len(MAZES)


@needs_wheel
def test_a_report_counts_repeated_levels_on_both_sides():
    train, test = LevelSet(100, 200), LevelSet(0, 100)
    report = duplicates_between("maze", LevelSplit(train, test), 100, options=EASY, probe_steps=16)
    assert report == DuplicateReport(
        game="maze", n_train=100, n_train_repeated=2, n_test=100, pairs=((70, 157),)
    )
    assert report.share == 0.01


@needs_wheel
def test_another_seed_samples_other_test_levels():
    reports = [
        duplicates_between("maze", split(200), 300, options=EASY, seed=seed, probe_steps=8)
        for seed in (0, 0, 1)
    ]
    assert reports[0] == reports[1]
    assert {level for level, _ in reports[0].pairs}.isdisjoint(
        level for level, _ in reports[2].pairs
    )
    assert all(0 < len(report.pairs) < 30 for report in reports)


def test_an_interval_is_that_of_clopper_and_pearson():
    """Without a success the upper end is 1 - (alpha/2)^(1/n); with all, the mirror image."""
    none = DuplicateReport(game="maze", n_train=1, n_train_repeated=0, n_test=50, pairs=())
    assert none.share == 0
    assert none.interval == pytest.approx((0, 1 - 0.025 ** (1 / 50)))
    pairs = tuple((level, 0) for level in range(1, 51))
    every = DuplicateReport(game="maze", n_train=1, n_train_repeated=0, n_test=50, pairs=pairs)
    assert every.interval == pytest.approx((0.025 ** (1 / 50), 1))
