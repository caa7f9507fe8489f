"""Every option of Procgen arrives in the game: pictures or levels change, and states say so."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from experiments.envs.procgen import GAMES, ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.games import modes_of
from experiments.envs.procgen.state import read_header, world_of

pytestmark = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
RIGHT = 7

CHANGED: dict[str, tuple[str, Any]] = {
    "distribution_mode": ("coinrun", "easy"),
    "center_agent": ("coinrun", False),
    "use_backgrounds": ("coinrun", False),
    "use_monochrome_assets": ("coinrun", True),
    "restrict_themes": ("coinrun", True),
    "use_generated_assets": ("coinrun", True),
    "paint_vel_info": ("coinrun", True),
    "use_sequential_levels": ("coinrun", True),
    "debug_mode": ("coinrun", 14),
}
"""Each option with a game in which another value than the default shows."""
SAME_GAME = ("center_agent", "use_backgrounds", "use_monochrome_assets", "paint_vel_info")
"""Options that change pictures only."""


def environment(game: str, **options: Any) -> ProcgenVectorEnv:
    return ProcgenVectorEnv(game, 4, options=ProcgenOptions(**options), seed=2, num_threads=0)


def test_every_option_is_tested():
    assert set(CHANGED) == {field.name for field in dataclasses.fields(ProcgenOptions)}


@pytest.mark.parametrize("name", sorted(set(CHANGED) - {"use_sequential_levels"}))
def test_an_option_changes_what_is_shown(name):
    game, value = CHANGED[name]
    default, changed = environment(game), environment(game, **{name: value})
    for env in (default, changed):
        env.step(np.full(4, RIGHT))
    assert not (default.current()[0] == changed.current()[0]).all()


@pytest.mark.parametrize("name", sorted(set(CHANGED) - {"use_generated_assets"}))
def test_states_tell_the_options(name):
    game, value = CHANGED[name]
    told = [
        read_header(env.get_state()[0]).options[name]
        for env in (environment(game), environment(game, **{name: value}))
    ]
    default = getattr(ProcgenOptions(), name)
    numbers = {"easy": 0, "hard": 1}
    assert told == [numbers.get(v, int(v) if v not in numbers else v) for v in (default, value)]


@pytest.mark.parametrize("name", SAME_GAME)
@pytest.mark.parametrize("game", ["coinrun", "starpilot", "caveflyer"])
def test_pictures_change_and_the_game_does_not(game, name):
    value = not getattr(ProcgenOptions(), name)
    default, changed = environment(game), environment(game, **{name: value})
    rng = np.random.default_rng(0)
    for _ in range(100):
        actions = rng.integers(15, size=4)
        _, *one, infos = default.step(actions)
        _, *two, other_infos = changed.step(actions)
        for a, b in zip([*one, *infos.values()], [*two, *other_infos.values()], strict=True):
            np.testing.assert_array_equal(a, b)


def test_backgrounds_off_is_black():
    assert (environment("maze", use_backgrounds=False).current()[0] == 0).mean() > 0.01
    dodgeball = environment("dodgeball", use_backgrounds=False).current()[0]
    assert (dodgeball == 0).mean() > 0.3


def test_velocity_is_painted_into_the_upper_left_corner():
    plain, painted = (
        environment("coinrun", paint_vel_info=on, use_backgrounds=False) for on in (False, True)
    )
    for env in (plain, painted):
        env.step(np.full(4, RIGHT))
    differs = (plain.current()[0] != painted.current()[0]).any(axis=(0, 3))
    assert differs[:12, :24].mean() > 0.5
    assert not differs[14:].any()
    assert not differs[:, 27:].any()


def test_generated_assets_play_in_every_game_and_have_no_states():
    for game in GAMES:
        env = environment(game, use_generated_assets=True)
        env.reset()
        env.step(np.full(4, RIGHT))
        for use in (env.get_state, lambda env=env: env.set_one_state(0, b"")):
            with pytest.raises(RuntimeError, match="impossible with use_generated_assets"):
                use()


def test_sequential_levels_lead_997_further_without_an_end():
    env = ProcgenVectorEnv(
        "coinrun",
        8,
        options=ProcgenOptions(distribution_mode="easy", debug_mode=14, use_sequential_levels=True),
        num_threads=0,
    )
    solved = 0
    for _ in range(60):
        _, _, terminated, truncated, infos = env.step(np.full(8, RIGHT))
        complete = infos["prev_level_complete"] != 0
        assert not (terminated | truncated)[complete].any()
        steps = infos["level_seed"] - infos["prev_level_seed"].astype(np.int64)
        assert (steps[complete] == 997).all()
        solved += complete.sum()
    assert solved


def test_a_reset_begins_new_episodes_in_sequential_levels_too():
    env = environment("coinrun", use_sequential_levels=True)
    first = env.reset()[1]["level_seed"]
    assert (env.reset()[1]["level_seed"] != first).all()


@pytest.mark.parametrize("flag", [2, 4, 8])
def test_flags_of_the_debug_mode_change_coinruns_levels(flag):
    worlds = [
        [world_of(state) for state in environment("coinrun", debug_mode=mode).get_state()]
        for mode in (0, flag)
    ]
    assert worlds[0] != worlds[1]


@pytest.mark.parametrize("game", GAMES)
def test_every_mode_of_a_game_plays_differently(game):
    found = set()
    for mode in modes_of(game):
        env = environment(game, distribution_mode=mode)
        rng = np.random.default_rng(0)
        steps = [env.step(rng.integers(15, size=4)) for _ in range(40)]
        found.add(b"".join(observation.tobytes() for observation, *_ in steps))
    assert len(found) == len(modes_of(game))
