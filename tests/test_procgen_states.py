"""States of games: what they say, going on from them, other levels, and all that is none."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.envs.procgen import GAMES, LevelSet, ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.games import DISTRIBUTION_MODES, modes_of
from experiments.envs.procgen.state import (
    patched,
    read_header,
    seal,
    unseal,
    with_levels,
    world_of,
)

pytestmark = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")


def environment(game: str = "maze", num_envs: int = 2, **arguments: Any) -> ProcgenVectorEnv:
    return ProcgenVectorEnv(game, num_envs, **{"num_threads": 0, **arguments})


def play(env: ProcgenVectorEnv, n: int, seed: int = 0) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    results = [env.step(rng.integers(15, size=env.num_envs)) for _ in range(n)]
    return [[*arrays, *infos.values()] for *arrays, infos in results]


def assert_same(one: list[list[np.ndarray]], two: list[list[np.ndarray]]) -> None:
    for a, b in zip(one, two, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("game", GAMES)
def test_a_header_says_what_the_environment_shows(game):
    for mode in modes_of(game):
        env = environment(game, 1, options=ProcgenOptions(distribution_mode=mode))
        play(env, 5)
        _, infos = env.current()
        header = read_header(env.get_state()[0])
        assert header.game == game
        assert header.options["distribution_mode"] == DISTRIBUTION_MODES[mode]
        assert header.level_seed == infos["level_seed"][0]
        assert header.elapsed == env._elapsed()[0]


@pytest.mark.parametrize("game", GAMES)
def test_a_restored_environment_goes_on_the_same(game):
    one, two = environment(game), environment(game, seed=1, num_threads=2)
    play(one, 40)
    observation, infos = two.set_state(one.get_state())
    expected, expected_infos = one.current()
    np.testing.assert_array_equal(observation, expected)
    np.testing.assert_array_equal(infos["level_seed"], expected_infos["level_seed"])
    assert_same(play(one, 100, seed=1), play(two, 100, seed=1))


def test_one_state_changes_one_game_and_lands_anywhere():
    env, other = environment(num_envs=3), environment(num_envs=1, seed=5)
    before, _ = env.current()
    env.set_one_state(2, other.get_state()[0])
    after, _ = env.current()
    np.testing.assert_array_equal(after[:2], before[:2])
    np.testing.assert_array_equal(after[2:], other.current()[0])


@pytest.mark.parametrize("game", GAMES)
def test_episodes_after_a_changed_state_are_on_its_levels(game):
    env = environment(game, 3)
    states = env.get_state()
    env.set_state([with_levels(state, 50 + i, 51 + i) for i, state in enumerate(states)])
    _, _, _, _, infos = env.step([-1, -1, -1])
    assert infos["level_seed"].tolist() == [50, 51, 52]
    direct = [environment(game, 1, levels=LevelSet(level, level + 1)) for level in (50, 51, 52)]
    expected = np.concatenate([d.current()[0] for d in direct])
    np.testing.assert_array_equal(env.current()[0], expected)
    _, infos = env.reset()
    assert infos["level_seed"].tolist() == [50, 51, 52]


def test_a_range_of_levels_in_a_state_is_drawn_from():
    env = environment("bigfish", 16)
    env.set_state([with_levels(state, 7, 10) for state in env.get_state()])
    found = {int(level) for _ in range(6) for level in env.reset()[1]["level_seed"]}
    assert found == {7, 8, 9}


def test_options_travel_with_a_state():
    black = environment(options=ProcgenOptions(use_backgrounds=False))
    env = environment()
    env.set_state(black.get_state())
    assert_same(play(env, 20), play(black, 20))
    assert read_header(env.get_state()[0]).options["use_backgrounds"] == 0


def test_a_bad_state_changes_no_game():
    env, other = environment(), environment(seed=1)
    before, _ = env.current()
    good, bad = other.get_state()
    with pytest.raises(ValueError, match=r"^states\[env=1\]"):
        env.set_state([good, bad[:-1]])
    np.testing.assert_array_equal(env.current()[0], before)


def test_a_world_is_the_grid_and_the_objects_of_the_level():
    """A maze of easy mode is 15 x 15 cells, a level of coinrun 64 x 64."""
    for game, width in (("maze", 15), ("coinrun", 64)):
        env = environment(
            game, options=ProcgenOptions(distribution_mode="easy"), levels=LevelSet(3, 4)
        )
        world, same = (world_of(state) for state in env.get_state())
        assert world == same
        assert struct.unpack_from("<ii", world) == (width, width)
        cells = np.frombuffer(world, np.int32, width**2, offset=8)
        assert 2 <= len(set(cells.tolist())) <= 20
        assert (len(world) - 8 - 4 * width**2) % 124 == 0
        env.step([1, 7])
        moved, other = (world_of(state) for state in env.get_state())
        assert moved != other


STATE = environment("leaper", 1).get_state()[0] if libenv.is_installed() else b""


@given(st.integers(0, max(0, len(STATE) - 1)), st.integers(1, 255))
def test_a_changed_byte_is_refused(position, change):
    changed = bytearray(STATE)
    changed[position] ^= change
    with pytest.raises(ValueError, match="complete, got"):
        read_header(bytes(changed))


@given(st.integers(0, max(0, len(STATE) - 1)))
def test_a_piece_is_refused(position):
    for piece in (STATE[:position], STATE[position + 1 :]):
        with pytest.raises(ValueError, match="complete, got"):
            unseal(piece)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_can_be_sealed_and_none_is_a_state_by_itself(raw):
    assert unseal(seal(raw)) == raw
    with pytest.raises(ValueError, match="complete, got"):
        unseal(raw)


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 2), st.integers(1, 2**31 - 1))
def test_changed_levels_change_nothing_else(low, size):
    high = min(low + size, 2**31 - 1)
    changed = with_levels(STATE, low, high)
    offsets = read_header(STATE).offsets
    raw = unseal(changed)
    assert struct.unpack_from("<i", raw, offsets["level_seed_low"]) == (low,)
    assert struct.unpack_from("<i", raw, offsets["level_seed_high"]) == (high,)
    original = struct.unpack_from("<ii", unseal(STATE), offsets["level_seed_low"])
    back = {offsets["level_seed_low"]: original[0], offsets["level_seed_high"]: original[1]}
    assert patched(changed, back) == STATE
