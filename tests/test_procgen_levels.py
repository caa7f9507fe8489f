"""Sets of levels: arithmetic, samples, and that the library draws from them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.envs.procgen import LevelSet, LevelSplit, ProcgenVectorEnv, libenv, split
from experiments.envs.procgen.levels import END

needs_wheel = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")


@st.composite
def level_sets(draw: st.DrawFn, max_size: int = END) -> LevelSet:
    size = draw(st.integers(1, max_size))
    first = draw(st.integers(0, END - size))
    return LevelSet(first, first + size)


def test_a_set_counts_its_levels_by_hand():
    levels = LevelSet(3, 7)
    assert len(levels) == 4
    assert [level for level in range(10) if level in levels] == [3, 4, 5, 6]
    assert np.int32(6) in levels
    assert "3" not in levels
    assert 3.0 not in levels
    assert len(LevelSet()) == 2**31 - 1


@given(level_sets(), level_sets())
def test_disjoint_is_symmetric_and_means_no_level_in_common(one, two):
    assert one.disjoint(two) == two.disjoint(one)
    common = range(max(one.first, two.first), min(one.end, two.end))
    assert one.disjoint(two) == (not common)
    for level in common[:1]:
        assert level in one
        assert level in two


@given(level_sets(), st.data())
def test_a_sample_has_n_different_levels_of_the_set_in_order(levels, data):
    n = data.draw(st.integers(1, min(200, len(levels))))
    seed = data.draw(st.integers(0, 2**64))
    sample = levels.sample(n, seed)
    assert len(sample) == n
    assert all(a < b for a, b in itertools.pairwise(sample))
    assert all(level in levels for level in sample)
    assert sample == levels.sample(n, seed)


@given(level_sets(max_size=30))
def test_as_many_as_there_are_is_the_whole_set(levels):
    assert levels.sample(len(levels), 0) == list(range(levels.first, levels.end))


def test_another_seed_samples_other_levels_and_each_level_equally():
    levels = LevelSet(10, 20)
    samples = [tuple(levels.sample(3, seed)) for seed in range(400)]
    assert len(set(samples)) > 80
    counts = np.bincount(np.ravel(samples), minlength=20)[10:]
    assert (abs(counts - 120) < 45).all()  # 4.5 deviations


@given(st.integers(1, END - 1), st.data())
def test_a_split_gives_all_levels_from_first_on_to_one_side(n_train, data):
    first = data.draw(st.integers(0, END - 1 - n_train))
    parts = split(n_train, first)
    assert len(parts.train) == n_train
    assert parts.train.first == first
    assert parts.test == LevelSet(first + n_train, END)
    assert parts.train.disjoint(parts.test)


def drawn(levels: LevelSet, steps: int = 12) -> list[int]:
    """Levels of 32 games' first episodes."""
    env = ProcgenVectorEnv("maze", 32, levels=levels, num_threads=0, copy=False)
    found = []
    for _ in range(steps):
        _, infos = env.reset()
        found += infos["level_seed"].tolist()
    env.close()
    return found


@needs_wheel
def test_a_training_set_is_drawn_from_whole_and_evenly():
    found = drawn(LevelSet(100, 108), steps=25)
    counts = np.bincount(found, minlength=108)
    assert counts.sum() == counts[100:].sum() == 800
    assert (abs(counts[100:] - 100) < 42).all()  # 4.5 deviations


@needs_wheel
@pytest.mark.parametrize(
    "levels",
    [LevelSet(), split(500).test, split(10, first=10**9).test, LevelSet(END - 1, END)],
    ids=str,
)
def test_large_sets_and_the_last_level_arrive(levels):
    found = drawn(levels)
    assert all(level in levels for level in found)
    if len(levels) > 1:
        assert len(set(found)) == len(found)
        middle = levels.first + len(levels) / 2
        assert abs(np.mean(found) - middle) < 5 * len(levels) / np.sqrt(12 * len(found))


@needs_wheel
def test_training_and_test_games_never_meet_a_level_of_the_other():
    parts = split(7)
    assert isinstance(parts, LevelSplit)
    assert not set(drawn(parts.train)) & set(drawn(parts.test))
