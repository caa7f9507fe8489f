"""`ProcgenVectorEnv`: Gymnasium's rules, ends of episodes, overlap, memory, closing."""

from __future__ import annotations

import contextlib
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.utils import env_checker, passive_env_checker
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.envs.procgen import GAMES, LevelSet, ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.games import modes_of, time_limit
from experiments.envs.procgen.state import patched, read_header

pytestmark = pytest.mark.skipif(
    not libenv.is_installed(), reason="Procgen's wheel is not installed"
)
RUN = ProcgenOptions(distribution_mode="easy", debug_mode=2 + 4 + 8)
"""Coinrun without pits and crates on flat ground: running to the right wins where no enemy is."""
RIGHT, NO_OP = 7, 4
GYMNASIUM = tuple(int(part) for part in gymnasium.__version__.split(".")[:2])


@pytest.fixture
def make() -> Any:
    """Makes environments and closes them at the end."""
    made: list[ProcgenVectorEnv] = []

    def make(game: str = "coinrun", num_envs: int = 3, **arguments: Any) -> ProcgenVectorEnv:
        made.append(ProcgenVectorEnv(game, num_envs, **{"num_threads": 0, **arguments}))
        return made[-1]

    yield make
    for env in made:
        env.close()


def actions(n: int, num_envs: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(15, size=(n, num_envs))


def assert_same(one: Any, two: Any) -> None:
    """Results of `step`, `observe`, `reset` or `current`, bit by bit."""
    assert env_checker.data_equivalence(one, two, exact=True)


# Gymnasium's rules.


def test_spaces_and_metadata_are_declared(make):
    env = make(num_envs=5)
    passive_env_checker.check_observation_space(env.single_observation_space)
    passive_env_checker.check_action_space(env.single_action_space)
    assert env.single_observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.single_action_space == gymnasium.spaces.Discrete(15)
    assert env.observation_space.shape == (5, 64, 64, 3)
    assert env.action_space == gymnasium.spaces.MultiDiscrete([15] * 5)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.metadata["render_modes"] == ["rgb_array"]


@pytest.mark.parametrize(
    "name",
    ["check_reset_seed_determinism", "check_reset_options", "check_returned_data_not_reused"],
)
def test_gymnasiums_checks_that_apply_to_vectors_pass(make, name):
    if not hasattr(env_checker, name):
        pytest.skip(f"Gymnasium {gymnasium.__version__} has no {name}")
    getattr(env_checker, name)(make(num_envs=1))


@pytest.mark.parametrize("game", GAMES)
def test_a_step_returns_what_the_spaces_promise(make, game):
    env = make(game)
    passive_env_checker.env_reset_passive_checker(env, seed=1)
    observation, reward, terminated, truncated, infos = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert (reward.shape, reward.dtype) == ((3,), np.float32)
    for flags in (terminated, truncated, *(infos[k] for k in infos if k.startswith("_"))):
        assert (flags.shape, flags.dtype) == ((3,), np.bool_)
    names = ["prev_level_seed", "prev_level_complete", "level_seed"]
    assert sorted(infos) == sorted([*names, *(f"_{name}" for name in names)])


def test_gymnasium_makes_it_through_a_registered_entry_point():
    gymnasium.register(
        "test/Procgen-v0", vector_entry_point=lambda **kwargs: ProcgenVectorEnv(**kwargs)
    )
    try:
        env = gymnasium.make_vec("test/Procgen-v0", num_envs=2, game="maze")
        env_checker.check_reset_seed_determinism(env)
        env.close()
    finally:
        del gymnasium.registry["test/Procgen-v0"]


@pytest.mark.skipif(GYMNASIUM < (1, 4), reason="wrappers of older Gymnasium miscount SAME_STEP")
def test_recorded_statistics_are_the_sums_over_each_episode(make):
    plain, recorded = (make("bigfish", num_envs=8) for _ in range(2))
    wrapped = wrappers.vector.RecordEpisodeStatistics(recorded, buffer_length=1000)
    plain.reset(seed=1)
    wrapped.reset(seed=1)
    returns, lengths, expected = np.zeros(8), np.zeros(8, dtype=int), []
    for a in actions(300, 8):
        _, reward, terminated, truncated, _ = plain.step(a)
        wrapped.step(a)
        returns += reward
        lengths += 1
        for i in np.flatnonzero(terminated | truncated):
            expected.append((returns[i], lengths[i]))
            returns[i] = lengths[i] = 0
    assert len(expected) > 10
    assert [*zip(wrapped.return_queue, wrapped.length_queue, strict=True)] == expected


def test_wrappers_of_rewards_and_infos_go_on_working(make):
    plain = make()
    wrapped = wrappers.vector.DictInfoToList(wrappers.vector.ClipReward(make(), max_reward=1))
    plain.reset(seed=3)
    wrapped.reset(seed=3)
    for a in actions(50):
        observation, reward, *ends, infos = plain.step(a)
        same, clipped, *same_ends, listed = wrapped.step(a)
        assert_same((same, same_ends), (observation, ends))
        assert (clipped == np.minimum(reward, 1)).all()
        assert [info["level_seed"] for info in listed] == infos["level_seed"].tolist()


# Seeds and resets.


def test_a_reset_with_a_seed_is_a_new_environment(make):
    used, new = make("maze", seed=5), make("maze", seed=9)
    for a in actions(30):
        used.step(a)
    used.act(actions(1)[0])  # begun and never looked at
    assert_same(used.reset(seed=9), new.reset())
    for a in actions(200):
        assert_same(used.step(a), new.step(a))
    assert_same(used.reset(), new.reset())


def test_a_reset_without_seed_begins_new_episodes_and_the_first_one_is_not_lost(make):
    env, other = make("maze"), make("maze")
    first = env.current()
    assert_same(env.reset(), first)
    assert_same(other.reset(seed=0), first)
    _, later = env.reset()
    assert not (later["level_seed"] == first[1]["level_seed"]).any()
    assert [read_header(state).elapsed for state in env.get_state()] == [0, 0, 0]


def test_a_reset_after_any_beginning_begins_anew(make):
    for begin in (lambda env: env.step([4, 4, 4]), lambda env: env.act([4, 4, 4])):
        env = make("maze", num_threads=2)
        _, before = env.current()
        begin(env)
        _, after = env.reset()
        assert not (before["level_seed"] == after["level_seed"]).any()
        assert env._elapsed().tolist() == [0, 0, 0]
        env.step([4, 4, 4])


def test_every_game_draws_levels_of_its_own(make):
    _, infos = make("maze", num_envs=16).reset(seed=1)
    _, others = make("maze", num_envs=16).reset(seed=2)
    assert len({*infos["level_seed"].tolist(), *others["level_seed"].tolist()}) == 32


# Ends of episodes.


@pytest.mark.parametrize(("level", "solved"), [(3, True), (7, False)])
def test_an_end_gives_the_old_episodes_reward_and_the_new_ones_first_picture(make, level, solved):
    env = make(options=RUN, levels=LevelSet(level, level + 1))
    start, _ = env.reset()
    terminated = np.zeros(3, dtype=bool)
    while not terminated.any():
        observation, reward, terminated, truncated, infos = env.step(np.full(3, RIGHT))
        assert not truncated.any()
        assert (reward == 10 * (terminated & solved)).all()
        assert (infos["prev_level_complete"] == (terminated & solved)).all()
    assert terminated.all()
    assert (observation == start).all()


def test_infos_name_the_level_of_the_reward_and_the_level_of_the_picture(make):
    env = make("bigfish", num_envs=8)
    _, before = env.reset()
    changes = 0
    for a in actions(150, 8):
        _, _, terminated, _, infos = env.step(a)
        assert (infos["prev_level_seed"] == before["level_seed"]).all()
        assert ((infos["level_seed"] != before["level_seed"]) == terminated).all()
        changes += terminated.sum()
        before = infos
    assert changes > 5


@pytest.mark.parametrize("game", GAMES)
def test_time_limits_are_those_of_the_library(make, game):
    for mode in modes_of(game):
        env = make(game, 1, options=ProcgenOptions(distribution_mode=mode))
        assert read_header(env.get_state()[0]).timeout == time_limit(game, mode)


@pytest.mark.parametrize("game", GAMES)
def test_an_episode_at_its_time_limit_is_truncated(make, game):
    env = make(game, 2)
    states = env.get_state()
    position = read_header(states[0]).offsets["elapsed"]
    late = time_limit(game, "hard") - 2
    env.set_state([patched(states[0], {position: late}), states[1]])
    for expected in ([False, False], [True, False], [False, False]):
        _, _, terminated, truncated, _ = env.step([NO_OP, NO_OP])
        assert truncated.tolist() == expected
        assert not terminated.any()


def test_a_whole_episode_without_a_move_is_truncated_after_its_time_limit(make):
    env = make("maze", 2)
    env.step([NO_OP, NO_OP])
    env.reset()
    for step in range(1, 1001):
        _, _, terminated, truncated, _ = env.step([NO_OP, NO_OP])
        assert truncated.all() == truncated.any() == (step in (500, 1000))
        assert not terminated.any()


def test_a_death_is_no_truncation(make):
    env = make("bigfish", 16)
    ended = np.zeros(16, dtype=bool)
    for a in actions(150, 16):
        _, _, terminated, truncated, _ = env.step(a)
        ended |= terminated
        assert not truncated.any()
    assert ended.any()


def before_a_win(env: ProcgenVectorEnv) -> bytes:
    """A state of one game of coinrun whose next step wins, even without a move."""
    states = []
    for _ in range(1000):
        states.append(env.get_state()[0])
        _, reward, *_ = env.step([RIGHT])
        if reward[0]:
            env.set_state(states[-1:])
            _, reward, *_ = env.step([NO_OP])
            if reward[0]:
                return states[-1]
    raise AssertionError("nobody won")


@pytest.mark.parametrize("action", [NO_OP, -1])
def test_a_win_in_the_last_step_is_no_truncation(make, action):
    env = make("coinrun", 1, options=RUN)
    state = before_a_win(env)
    position = read_header(state).offsets["elapsed"]
    env.set_state([patched(state, {position: time_limit("coinrun", "easy") - 1})])
    _, reward, terminated, truncated, infos = env.step([action])
    assert (reward[0], terminated[0], truncated[0]) == (10, True, False)
    assert infos["prev_level_complete"][0] == 1


@pytest.mark.parametrize("game", GAMES)
def test_action_minus_one_cuts_an_episode_off(make, game):
    env = make(game)
    _, before = env.current()
    _, _, terminated, truncated, infos = env.step([-1, NO_OP, -1])
    assert truncated.tolist() == [True, False, True]
    assert not terminated.any()
    changed = infos["level_seed"] != before["level_seed"]
    assert changed.tolist() == [True, False, True]


def test_a_level_solved_in_a_sequence_restarts_the_clock(make):
    env = make(
        options=ProcgenOptions(
            distribution_mode="easy", debug_mode=RUN.debug_mode, use_sequential_levels=True
        )
    )
    solved = 0
    for _ in range(150):
        _, _, terminated, truncated, infos = env.step(np.full(3, RIGHT))
        assert not (terminated | truncated)[infos["prev_level_complete"] != 0].any()
        solved += infos["prev_level_complete"].sum()
        elapsed = [read_header(state).elapsed for state in env.get_state()]
        assert env._elapsed().tolist() == elapsed
    assert solved > 3


def test_a_reset_that_happens_to_win_leaves_the_sequence_of_levels(make):
    env = make(
        "coinrun",
        1,
        options=ProcgenOptions(
            distribution_mode="easy", debug_mode=RUN.debug_mode, use_sequential_levels=True
        ),
        levels=LevelSet(0, 997),
    )
    state = before_a_win(env)
    level = read_header(state).level_seed
    env.set_state([state])
    _, infos = env.reset()
    assert infos["level_seed"][0] not in (level, level + 997)
    assert infos["level_seed"][0] in env.levels
    assert read_header(env.get_state()[0]).elapsed == 0


# Overlap.


@pytest.mark.parametrize("num_threads", [0, 2])
def test_act_and_observe_are_a_step(make, num_threads):
    whole, halves = (make(num_threads=num_threads) for _ in range(2))
    for a in actions(50):
        halves.act(a)
        result = whole.step(a)
        assert_same(halves.observe(), result)
        assert_same(halves.current(), (result[0], result[4]))


def test_a_list_and_every_kind_of_whole_number_are_actions(make):
    envs = [make() for _ in range(4)]
    for a in actions(5):
        kinds = (a.tolist(), a, a.astype(np.uint8), a.astype(np.int16))
        results = [env.step(kind) for env, kind in zip(envs, kinds, strict=True)]
        for result in results[1:]:
            assert_same(result, results[0])


def test_as_many_threads_as_processors_are_the_default_up_to_four():
    assert ProcgenVectorEnv("maze").num_threads == min(4, os.cpu_count() or 1)


# Memory.


def test_copies_stay_and_views_change_with_the_next_act(make):
    env, copying = make(copy=False), make()
    kept, _ = copying.reset()
    before = kept.copy()
    seen, _ = env.reset()
    assert (seen == kept).all()
    for a in actions(30):
        shown, reward, *_ = env.step(a)
        copied, copied_reward, *_ = copying.step(a)
        assert shown is seen
        assert (shown == copied).all()
        assert (reward == copied_reward).all()
    assert (kept == before).all()
    assert not (seen == before).all()


@pytest.mark.parametrize("copy", [True, False])
def test_copies_stay_and_infos_and_ends_are_copies_in_any_case(make, copy):
    env = make("chaser", num_envs=8, copy=copy)
    results, total = [], 0.0
    for a in actions(150, 8):
        observation, reward, *ends, infos = env.step(a)
        total += reward.sum()
        arrays = [*ends, *infos.values(), *([observation, reward] if copy else [])]
        results.append((arrays, [array.copy() for array in arrays]))
    assert total > 0
    assert all((a == b).all() for kept, then in results for a, b in zip(kept, then, strict=True))


# Pictures.


def test_rendered_pictures_show_what_the_observations_show(make):
    env = make(render_mode="rgb_array")
    for step in range(3):
        pictures = env.render()
        assert len(pictures) == 3
        observation, _ = env.current()
        for picture, small in zip(pictures, observation, strict=True):
            assert (picture.shape, picture.dtype) == ((512, 512, 3), np.uint8)
            mean = picture.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
            assert np.abs(mean - small).mean() < 12
        if step == 0:
            states = make(seed=77).get_state()
            env.set_state(states)
            assert not (env.render()[0] == pictures[0]).all()
        else:
            env.step(actions(1)[0])
    assert make().render() is None


# Closing.


USES: dict[str, Callable[[ProcgenVectorEnv], Any]] = {
    "reset": lambda env: env.reset(seed=1),
    "act": lambda env: env.step([0, 0, 0]),
    "observe": lambda env: env.observe(),
    "get_state": lambda env: env.get_state(),
    "set_state": lambda env: env.set_one_state(0, b""),
    "current": lambda env: env.current(),
    "render": lambda env: env.render(),
}


CALLS: list[Callable[[ProcgenVectorEnv], Any]] = [
    *USES.values(),
    lambda env: env.reset(),
    lambda env: env.act([7, -1, 14]),
    lambda env: env.act([15, 0, 0]),
    lambda env: env.set_state(env.get_state()),
    lambda env: env.set_one_state(2, env.get_state()[0]),
    lambda env: env.close(),
]


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(st.sampled_from(CALLS), max_size=12), num_threads=st.sampled_from([0, 2]))
def test_any_order_of_calls_gives_results_or_errors_and_never_a_crash(calls, num_threads):
    env = ProcgenVectorEnv("maze", 3, num_threads=num_threads, render_mode="rgb_array")
    for call in calls:
        with contextlib.suppress(ValueError, RuntimeError):
            call(env)
    env.close()


@pytest.mark.parametrize("name", USES)
def test_use_after_close_is_an_error(make, name):
    env = make(num_threads=2)
    env.act([0, 0, 0])
    env.close()
    env.close()
    with pytest.raises(RuntimeError, match=rf"^{name} was called after close$"):
        USES[name](env)


def test_arrays_outlive_the_environment(make):
    env = make(copy=False)
    observation, _ = env.current()
    before = observation.copy()
    env.close()
    del env
    gc.collect()
    assert (observation == before).all()


def test_an_unreferenced_environment_is_freed_with_its_threads():
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("no /proc to count threads in")
    before = len(list(tasks.iterdir()))
    env = ProcgenVectorEnv("maze", num_threads=3)
    gone = weakref.ref(env)
    assert len(list(tasks.iterdir())) == before + 3
    del env
    gc.collect()
    assert gone() is None
    assert len(list(tasks.iterdir())) == before


def test_an_environment_that_never_began_is_closed():
    env = ProcgenVectorEnv.__new__(ProcgenVectorEnv)
    env.close()
    assert env.closed
