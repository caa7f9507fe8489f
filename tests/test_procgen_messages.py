"""Every error of the Procgen room, by its text: one table of calls and messages.

Those of the loader itself are in test_procgen_loader.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.envs.procgen import (
    GAMES,
    LevelSet,
    LevelSplit,
    ProcgenOptions,
    ProcgenVectorEnv,
    libenv,
    split,
)
from experiments.envs.procgen.duplicates import find_duplicates
from experiments.envs.procgen.levels import END
from experiments.envs.procgen.state import read_header, seal, with_levels

Call = Callable[[], Any]
KNOWN = ", ".join(GAMES)

LEVEL_ERRORS: list[tuple[Call, str]] = [
    (lambda: LevelSet(True), "first must be a whole number, got True"),
    (lambda: LevelSet(0, 2.0), "end must be a whole number, got 2.0"),
    (lambda: LevelSet(-1), "first must be at least 0, got -1"),
    (lambda: LevelSet(0, 0), "end must be at least 1, got 0"),
    (lambda: LevelSet(5, 5),
     "levels must satisfy 0 <= first < end <= 2147483647, got first=5 and end=5"),
    (lambda: LevelSet(5, END + 1),
     "levels must satisfy 0 <= first < end <= 2147483647, got first=5 and end=2147483648"),
    (lambda: LevelSet(0, 3).sample(0, 0), "n must be at least 1, got 0"),
    (lambda: LevelSet(0, 3).sample(1.5, 0), "n must be a whole number, got 1.5"),
    (lambda: LevelSet(0, 3).sample(4, 0), "n must be at most 3, the levels there are, got 4"),
    (lambda: LevelSet(0, 3).sample(1, -1), "seed must be at least 0, got -1"),
    (lambda: LevelSet(0, 3).sample(1, None), "seed must be a whole number, got None"),
    (lambda: LevelSplit(LevelSet(0, 3), LevelSet(2, 5)),
     "train and test levels must be disjoint, got LevelSplit(train=LevelSet(first=0, end=3),"
     " test=LevelSet(first=2, end=5))"),
    (lambda: split(0), "n_train must be at least 1, got 0"),
    (lambda: split("5"), "n_train must be a whole number, got '5'"),
    (lambda: split(5, first=-1), "first must be at least 0, got -1"),
    (lambda: split(5, first=1.0), "first must be a whole number, got 1.0"),
    (lambda: split(5, first=END - 5),
     "first + n_train must be below 2147483647, got 2147483642 + 5"),
]  # fmt: skip

OPTION_ERRORS: list[tuple[Call, str]] = [
    (lambda: ProcgenOptions(distribution_mode="eazy"),
     "unknown distribution_mode 'eazy': did you mean 'easy'? known are easy, hard, extreme,"
     " memory"),
    (lambda: ProcgenOptions(use_backgrounds=1), "use_backgrounds must be true or false, got 1"),
    (lambda: ProcgenOptions(debug_mode=True), "debug_mode must be a whole number, got True"),
    (lambda: ProcgenOptions(debug_mode=-1), "debug_mode must be from 0 to 2147483647, got -1"),
]  # fmt: skip

STATE_ERRORS: list[tuple[Call, str]] = [
    (lambda: read_header("maze"), "state must be bytes of get_state, complete, got str"),
    (lambda: read_header(b""),
     "state must be bytes of get_state, complete, got 0 bytes beginning with nothing"),
    (lambda: read_header(bytes(range(20))),
     "state must be bytes of get_state, complete, got 20 bytes beginning with 0001020304050607"),
    (lambda: read_header(seal(b"\x07\0\0\0")),
     "state must be of version 0, got 7"),
]  # fmt: skip


def make(game: str = "maze", num_envs: int = 2, **arguments: Any) -> ProcgenVectorEnv:
    return ProcgenVectorEnv(game, num_envs, **{"num_threads": 0, **arguments})


def stepping(use: Callable[[ProcgenVectorEnv], Any]) -> Call:
    """A use between act and observe."""

    def call() -> None:
        env = make(render_mode="rgb_array")
        env.act([0, 0])
        use(env)

    return call


def other_state(use: Callable[[ProcgenVectorEnv, bytes], Any], **arguments: Any) -> Call:
    """A use of a state of another environment."""
    return lambda: use(make(), make(**arguments).get_state()[0])


def mode(name: str) -> ProcgenOptions:
    return ProcgenOptions(distribution_mode=name)


ENVIRONMENT_ERRORS: list[tuple[Call, str]] = [
    (lambda: make("cornrun"),
     f"unknown game 'cornrun': did you mean 'coinrun'? known are {KNOWN}"),
    (lambda: make("maze", options=mode("extreme")),
     "distribution_mode of maze must be one of easy, hard, memory, got extreme"),
    (lambda: make(num_envs=0), "num_envs must be from 1 to 100000, got 0"),
    (lambda: make(num_envs=2.0), "num_envs must be a whole number, got 2.0"),
    (lambda: make(num_threads=-1), "num_threads must be from 0 to 1024, got -1"),
    (lambda: make(num_threads=True), "num_threads must be a whole number, got True"),
    (lambda: make(seed=2**31), "seed must be from 0 to 2147483647, got 2147483648"),
    (lambda: make(seed=None), "seed must be a whole number, got None"),
    (lambda: make(render_mode="human"),
     "render_mode must be None or 'rgb_array', got 'human'"),
    (lambda: make(levels=range(3)), "levels must be LevelSet, got range(0, 3)"),
    (lambda: make(options={}), "options must be ProcgenOptions, got {}"),
    (lambda: make().reset(seed=[1, 2]),
     "seed must be one whole number for all games, got [1, 2]"),
    (lambda: make().reset(seed=-1), "seed must be from 0 to 2147483647, got -1"),
    (lambda: make().reset(options={"reset_mask": 1}),
     "reset takes no options, got {'reset_mask': 1}"),
    (lambda: make().step([0]), "actions must be 2 whole numbers, got shape [1] of int64"),
    (lambda: make().step(3), "actions must be 2 whole numbers, got shape [] of int64"),
    (lambda: make().step([0.0, 1.0]),
     "actions must be 2 whole numbers, got shape [2] of float64"),
    (lambda: make().step(np.array([True, False])),
     "actions must be 2 whole numbers, got shape [2] of bool"),
    (lambda: make().step([0, 15]),
     "actions[env=1] must be from 0 to 14, or -1 to end the episode, got 15"),
    (lambda: make().step([-2, 20]),
     "actions[env=0] must be from 0 to 14, or -1 to end the episode, got -2"),
    (lambda: make().observe(), "observe was called without act before"),
    (stepping(lambda env: env.act([0, 0])), "act was called between act and observe"),
    (stepping(lambda env: env.current()), "current was called between act and observe"),
    (stepping(lambda env: env.render()), "render was called between act and observe"),
    (stepping(lambda env: env.get_state()), "get_state was called between act and observe"),
    (stepping(lambda env: env.set_one_state(0, b"")),
     "set_state was called between act and observe"),
    (lambda: make().set_state([b""]), "states must be 2, one per game, got 1"),
    (lambda: make().set_one_state(2, b""), "env must be from 0 to 1, got 2"),
    (lambda: make().set_one_state(-1, b""), "env must be from 0 to 1, got -1"),
    (lambda: make().set_one_state(1, b"x" * 99),
     "states[env=1]: state must be bytes of get_state, complete, got 99 bytes beginning with"
     " 7878787878787878"),
    (lambda: make().set_state([None, None]),
     "states[env=0]: state must be bytes of get_state, complete, got NoneType"),
    (other_state(lambda env, state: env.set_one_state(0, state), game="heist"),
     "states[env=0] must be of game maze, got heist"),
    (other_state(lambda env, state: env.set_one_state(1, state), options=mode("easy")),
     "states[env=1] must be of distribution_mode hard, got easy"),
    (other_state(
        lambda env, state: env.set_one_state(0, state),
        options=ProcgenOptions(restrict_themes=True),
     ),
     "states[env=0] must be of restrict_themes False, got True"),
    (lambda: make(options=ProcgenOptions(use_generated_assets=True)).get_state(),
     "get_state is impossible with use_generated_assets"),
    (lambda: make(options=ProcgenOptions(use_generated_assets=True)).set_one_state(0, b""),
     "set_state is impossible with use_generated_assets"),
    (other_state(lambda env, state: with_levels(state, 5, 5)),
     "levels must satisfy 0 <= first < end <= 2147483647, got first=5 and end=5"),
    (other_state(lambda env, state: with_levels(state, -1, 5)),
     "first must be at least 0, got -1"),
    (lambda: find_duplicates("maze", [0, 3, 0]), "levels must be different, got 0 twice"),
    (lambda: find_duplicates("maze", [0, -3]),
     "levels[1] must be from 0 to 2147483646, got -3"),
    (lambda: find_duplicates("maze", [END]),
     "levels[0] must be from 0 to 2147483646, got 2147483647"),
    (lambda: find_duplicates("maze", [1], probe_steps=-1),
     "probe_steps must be a whole number of at least 0, got -1"),
    (lambda: find_duplicates("maze", [1], probe_steps=True),
     "probe_steps must be a whole number of at least 0, got True"),
]  # fmt: skip


def assert_says(call: Call, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError)) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(("call", "message"), LEVEL_ERRORS + OPTION_ERRORS + STATE_ERRORS)
def test_the_error_says(call, message):
    assert_says(call, message)


@pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
@pytest.mark.parametrize(("call", "message"), ENVIRONMENT_ERRORS)
def test_the_error_of_an_environment_says(call, message):
    assert_says(call, message)
