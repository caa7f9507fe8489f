"""Renderings of Procgen: their names, games in lockstep, states, games in turn, and training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils import env_checker, passive_env_checker
from hypothesis import given
from hypothesis import strategies as st

from experiments.envs.procgen import GAMES, LevelSet, ProcgenOptions, ProcgenVectorEnv, libenv
from experiments.envs.procgen.games import N_BACKGROUNDS, modes_of
from experiments.envs.procgen.pixels import TRANSFORMATIONS
from experiments.envs.procgen.rendered import LockstepGames, MixedGames, RenderedVectorEnv
from experiments.envs.procgen.renderings import (
    DESCRIPTIONS,
    LARGEST_SEED,
    OPTIONS,
    ORIGINAL,
    WITHOUT_EFFECT,
    Rendering,
    default_family,
    different,
    has_effect,
    only_image,
    parse_all,
    strength_family,
)
from experiments.envs.procgen.state import read_header, read_picture, with_levels
from experiments.procgen import checkpoint, load_policies
from experiments.procgen import train as training
from experiments.procgen.policy import snapshots
from experiments.procgen.train import train
from tests.procgen_killed import TINY, FakeEvaluations

needs_games = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")

EASY = ProcgenOptions(distribution_mode="easy")
OTHER_MODES = [(game, mode) for game in GAMES for mode in modes_of(game) if mode != "easy"]
LEVELS = LevelSet()
RANDOM_CONV = "random-conv"


def by_engine(game: str) -> tuple[Rendering, ...]:
    """All that a game itself can draw, with or without an effect, and two of its images."""
    images = sorted({N_BACKGROUNDS[game] // 2, N_BACKGROUNDS[game] - 1})
    return (
        *(Rendering(name) for name in OPTIONS),
        *(Rendering("background", image=image) for image in images),
    )


def family(game: str) -> tuple[Rendering, ...]:
    """The default family and all that the game can draw."""
    return tuple(dict.fromkeys((*default_family(game), *by_engine(game))))


def randomly(n: int, num_envs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(15, size=(n, num_envs))


def env_in(rendering: str, game: str = "coinrun", n: int = 3, **arguments: Any) -> Any:
    return RenderedVectorEnv(
        game,
        n,
        rendering=Rendering.parse(rendering),
        **{"options": EASY, "num_threads": 0, **arguments},
    )


def lockstep(game: str, renderings: tuple[Rendering, ...], n: int = 8, **kwargs: Any) -> Any:
    return LockstepGames(game, n, renderings, **{"options": EASY, "num_threads": 0, **kwargs})


def mixed(
    renderings: list[str], game: str = "bigfish", n: int = 6, levels: LevelSet = LEVELS
) -> MixedGames:
    return MixedGames(
        game,
        n,
        parse_all(renderings, game),
        options=EASY,
        levels=levels,
        seed=5,
        num_threads=0,
    )


# Names.


@st.composite
def any_rendering(draw: Callable[..., Any]) -> Rendering:
    name = draw(st.sampled_from(sorted(DESCRIPTIONS)))
    if name in OPTIONS:
        return Rendering(name)
    whole = st.integers(0, LARGEST_SEED)
    if name == "background":
        return Rendering(name, image=draw(whole))
    known = TRANSFORMATIONS[name]
    strength = draw(st.floats(known.low, known.high))
    return Rendering(name, strength=strength, seed=draw(whole) if known.seeded else None)


def test_half_a_turn_of_the_hue_is_one_rendering():
    assert (
        Rendering.parse("hue=-0.5") == Rendering("hue", strength=-0.5) == Rendering.parse("hue=0.5")
    )
    assert str(Rendering.parse("hue=-0.5")) == "hue=0.5"
    assert Rendering.parse("hue=-0.4") != Rendering.parse("hue=0.4")


@given(any_rendering())
def test_a_rendering_is_all_in_its_name(rendering):
    assert Rendering.parse(str(rendering)) == rendering
    assert str(Rendering.parse(str(rendering))) == str(rendering)


def test_every_name_has_a_description():
    assert set(DESCRIPTIONS) == {*OPTIONS, "background", *TRANSFORMATIONS}
    assert all(text.endswith(".") for text in DESCRIPTIONS.values())


def test_two_ways_to_write_one_rendering_are_one():
    for one, other in (
        ("brightness=0.30", "brightness=.3"),
        ("hue=-0", "hue=0"),
        ("contrast=+1", "contrast=1.0"),
        ("random-conv=2e-1", "random-conv=0.2,seed=0"),
        ("background=003", "background=3"),
    ):
        assert Rendering.parse(one) == Rendering.parse(other)
        assert str(Rendering.parse(one)) == str(Rendering.parse(other))
    assert str(Rendering("contrast", strength=1)) == "contrast=1"
    of_numpy = Rendering(RANDOM_CONV, strength=np.float64(0.5), seed=np.int64(7))  # type: ignore[arg-type]
    assert repr(of_numpy) == repr(Rendering.parse("random-conv=0.5,seed=7"))


FORMS = {
    "background": "background=N, N the number of an image",
    "brightness": "brightness=S, S from -1 to 1",
    "hue": "hue=S, S from -0.5 to 0.5",
    "random-conv": "random-conv=S,seed=N, S from 0 to 1 and N from 0 to 2147483647",
}
KNOWN = ", ".join(DESCRIPTIONS)


@pytest.mark.parametrize(
    "text",
    [
        "background", "background=", "background=-1", "background=1.5", "background=3,seed=1",
        "background=99999999999", "background=٣", "brightness", "brightness=", "brightness=nan",
        "brightness=-inf", "brightness=infinity", "brightness=1.01", "brightness=1_0",
        "brightness= 0.3", "brightness=0.3\n", "brightness=0.3,seed=1", "brightness=dark", "hue=1",
        "random-conv", "random-conv=", "random-conv=-0.1", "random-conv=1e999",
        "random-conv=0.5,seed=", "random-conv=0.5,seed=x", "random-conv=0.5,seed=-1",
        "random-conv=0.5,seed=2147483648", "random-conv=0.5,seed=1,seed=1",
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_would_be_right(text):
    form = FORMS[text.split("=")[0]]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (all of it is compared)
        Rendering.parse(text)
    assert str(caught.value) == f"rendering must have the form {form}, got {text}"


def made(**values: Any) -> Callable[[], Rendering]:
    return lambda: Rendering(**values)


NAME_ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Rendering.parse("brightnes=0.3"),
     f"unknown rendering 'brightnes': did you mean 'brightness'? known are {KNOWN}"),
    (lambda: Rendering.parse(""), f"unknown rendering '': known are {KNOWN}"),
    (lambda: Rendering.parse("camera=1"), "rendering camera takes no value, got camera=1"),
    (lambda: Rendering.parse("original="), "rendering original takes no value, got original="),
    (made(name="blur"), f"unknown rendering 'blur': known are {KNOWN}"),
    (made(strength=0.5), "rendering original takes no value, got original=0.5"),
    (made(name="velocity", seed=1), "rendering velocity takes no value, got velocity=seed=1"),
    (made(name="background"),
     f"rendering must have the form {FORMS['background']}, got background"),
    (made(name="background", image=True),
     f"rendering must have the form {FORMS['background']}, got background=True"),
    (made(name="background", image=1.0),
     f"rendering must have the form {FORMS['background']}, got background=1"),
    (made(name="hue", strength=math.nan),
     f"rendering must have the form {FORMS['hue']}, got hue=nan"),
    (made(name="hue", strength="0.1"),
     f"rendering must have the form {FORMS['hue']}, got hue=0.1"),
    (made(name="hue", strength=0.1, image=2),
     f"rendering must have the form {FORMS['hue']}, got hue=0.1,2"),
    (made(name="random-conv", strength=0.5),
     f"rendering must have the form {FORMS['random-conv']}, got random-conv=0.5"),
    (lambda: default_family("cornrun"),
     f"unknown game 'cornrun': did you mean 'coinrun'? known are {', '.join(GAMES)}"),
    (lambda: strength_family(["hues"]),
     f"unknown transformation 'hues': did you mean 'hue'? known are {', '.join(TRANSFORMATIONS)}"),
    (lambda: parse_all([], "maze"), "renderings must be at least one, got none"),
    (lambda: parse_all(["hue=.1", "camera", "hue=0.10"], "maze"),
     "renderings must differ, got hue=0.1 twice"),
    (lambda: parse_all(["original", "background=9"], "maze"),
     "background=9 must name one of the images 0 to 8 of maze"),
    (lambda: different([ORIGINAL], "mace"),
     f"unknown game 'mace': did you mean 'maze'? known are {', '.join(GAMES)}"),
]  # fmt: skip


ENVIRONMENT_ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: RenderedVectorEnv("maze", 1, rendering="camera"),  # type: ignore[arg-type]
     "rendering must be Rendering, got 'camera'"),
    (lambda: env_in("background=2", "mace"),
     f"unknown game 'mace': did you mean 'maze'? known are {', '.join(GAMES)}"),
    (lambda: env_in("background=7", "bigfish"),
     "background=7 must name one of the images 0 to 6 of bigfish"),
    (lambda: env_in("camera", options={}), "options must be ProcgenOptions, got {}"),
    (lambda: env_in("original", options=ProcgenOptions(use_generated_assets=True)),
     "use_generated_assets must be false in a rendering, got true"),
    (lambda: lockstep("maze", ()), "renderings must be at least one, got none"),
    (lambda: lockstep("maze", (ORIGINAL, ORIGINAL)), "renderings must differ, got original twice"),
    (lambda: lockstep("chaser", (Rendering("background", image=1),)),
     "background=1 must name one of the images 0 to 0 of chaser"),
    (lambda: mixed(["original", "camera", "velocity"], n=2),
     "num_envs must be at least one for each of 3 renderings, got 2"),
    (lambda: MixedGames("maze", 2, (ORIGINAL, ORIGINAL), options=EASY, levels=LEVELS, seed=0,
                        num_threads=0),
     "renderings must differ, got original twice"),
]  # fmt: skip


def assert_says(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (all of it is compared)
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(("call", "message"), NAME_ERRORS)
def test_the_error_says(call, message):
    assert_says(call, message)


@needs_games
@pytest.mark.parametrize(("call", "message"), ENVIRONMENT_ERRORS)
def test_the_error_of_games_says(call, message):
    assert_says(call, message)


def test_what_a_rendering_is_to_a_policy_depends_on_what_it_was_trained_on():
    image, camera = Rendering("background", image=3), Rendering("camera")
    assert ORIGINAL.standing([ORIGINAL]) == "seen"
    assert image.standing([ORIGINAL]) == "in distribution"
    assert image.standing(iter([image, camera])) == "seen"
    assert image.standing([camera]) == "out of distribution"
    assert image.standing([ORIGINAL], only_image=3) == "seen"
    assert image.standing([ORIGINAL], only_image=0) == "out of distribution"
    assert camera.standing([ORIGINAL, image]) == "out of distribution"


# Families.


def test_the_default_family_of_coinrun():
    assert " ".join(map(str, default_family("coinrun"))) == (
        "original no-background monochrome velocity camera background=20 background=41"
        " brightness=-0.4 brightness=0.4 contrast=-0.4 saturation=-0.6 hue=0.1"
        " random-conv=0.3,seed=0 random-conv=0.3,seed=1"
    )


@pytest.mark.parametrize("game", GAMES)
def test_default_families_are_what_shows_in_the_game(game):
    found = default_family(game)
    assert found[0] == ORIGINAL
    assert different(found, game) == found == default_family(game)
    assert all(has_effect(rendering, game) for rendering in found)
    names = {name for name in DESCRIPTIONS if game not in WITHOUT_EFFECT.get(name, ())}
    assert {rendering.name for rendering in found} == names
    assert sum(r.image is not None for r in found) == (0 if game == "chaser" else 2)
    for rendering in found:
        if rendering.of_pixels:
            assert rendering.strength in TRANSFORMATIONS[rendering.name].strengths
    assert [r.strength for r in found if r.name == "brightness"] == [-0.4, 0.4]


def test_strength_families_are_curves_from_the_original():
    found = strength_family()
    assert found[0] == ORIGINAL
    assert len(set(found)) == len(found)
    for name, known in TRANSFORMATIONS.items():
        curve = [r for r in found if r.name == name]
        assert tuple(r.strength for r in curve) == known.strengths
        assert {r.seed for r in curve} == {0 if known.seeded else None}
    assert strength_family(["hue", "hue"]) == (ORIGINAL, *(r for r in found if r.name == "hue"))


def test_strength_zero_has_no_effect():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    for name, known in TRANSFORMATIONS.items():
        rendering = Rendering(name, strength=0, seed=1 if known.seeded else None)
        assert not has_effect(rendering, "coinrun")
        np.testing.assert_array_equal(rendering.transformed(pixels), pixels)


# Lockstep.


def assert_lockstep(game: str, mode: str, n_steps: int, n: int) -> int:
    """Games in lockstep and the same games each by itself agree in all but pictures, which differ
    where they should; returns how many episodes ended."""
    renderings, options = family(game), ProcgenOptions(distribution_mode=mode)
    apart = {
        r: env_in(str(r), game, n, options=options, seed=3, copy=False)
        for r in renderings
        if not r.of_pixels
    }
    differs, ended = dict.fromkeys(renderings, False), 0
    rng = np.random.default_rng(0)
    with lockstep(game, renderings, n, options=options, seed=3) as games:
        for step in range(n_steps):
            actions = np.where(rng.random(n) < 0.01, -1, rng.integers(15, size=n))
            reward, terminated, truncated, infos = games.step(actions)
            for env in apart.values():
                _, *ends, its = env.step(actions)
                assert env_checker.data_equivalence(
                    (reward, terminated, truncated, infos), (*ends, its), exact=True
                )
            ended += (terminated | truncated).sum()
            if step % 6:
                continue
            original = apart[ORIGINAL].current()[0]
            for i, rendering in enumerate(renderings):
                picture = games.pictures(i)
                engine = apart[rendering.by_engine].current()[0]
                np.testing.assert_array_equal(picture, rendering.transformed(engine))
                differs[rendering] |= bool((picture != original).any())
    should = {r: r != ORIGINAL and has_effect(r, game) for r in renderings}
    assert differs == should
    return ended


@needs_games
@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_renderings_change_pictures_and_nothing_else(game):
    assert assert_lockstep(game, "easy", 200, n=8) > 3


@needs_games
@pytest.mark.parametrize(("game", "mode"), OTHER_MODES)
def test_renderings_change_pictures_and_nothing_else_in_other_modes(game, mode):
    assert_lockstep(game, mode, 20, n=3)


@needs_games
def test_pixels_are_transformed_as_they_are_seen():
    """By one environment, by games in lockstep and by the transformation itself; for all games or
    for some; and what was seen before stays as it was."""
    dark = Rendering.parse("brightness=-0.4")
    plain, transformed = env_in("original"), env_in(str(dark), copy=False)
    with lockstep("coinrun", (dark, ORIGINAL), 3) as games:
        kept = []
        for actions in randomly(5, 3):
            plain.step(actions)
            games.step(actions)
            seen, *_ = transformed.step(actions)
            kept.append((seen, seen.copy()))
            expected = TRANSFORMATIONS["brightness"].function(plain.current()[0], -0.4)
            np.testing.assert_array_equal(seen, expected)
            np.testing.assert_array_equal(transformed.current()[0], expected)
            np.testing.assert_array_equal(games.pictures(), expected)
            np.testing.assert_array_equal(games.pictures(0, np.array([2, 0])), expected[[2, 0]])
            np.testing.assert_array_equal(games.pictures(1), plain.current()[0])
    assert all((seen == then).all() for seen, then in kept)
    assert not (kept[0][0] == kept[-1][0]).all()


@needs_games
def test_a_rendering_that_changes_levels_is_found_out(monkeypatch):
    """Perhaps not in the first steps, but as soon as a reward, an end or a level differs."""
    monkeypatch.setitem(OPTIONS, "velocity", {"restrict_themes": True})
    words = "fell out of step under velocity: rewards, ends or levels differ from original$"
    games = lockstep("bossfight", (ORIGINAL, Rendering("camera"), Rendering("velocity")))

    def play_on() -> None:
        for actions in randomly(500, 8):
            games.step(actions)

    with pytest.raises(RuntimeError, match=f"^bossfight {words}"):
        play_on()
    games.close()


@needs_games
@pytest.mark.parametrize("changed", ["reward", "terminated", "truncated", "level_seed",
                                     "prev_level_seed", "prev_level_complete"])  # fmt: skip
def test_whatever_differs_is_found_out_at_once(monkeypatch, changed):
    real = RenderedVectorEnv.observe

    def observe(self: RenderedVectorEnv) -> Any:
        picture, reward, terminated, truncated, infos = real(self)
        found = {"reward": reward.copy(), "terminated": terminated, "truncated": truncated, **infos}
        if self.rendering.name == "camera":
            found[changed][-1] = 1 - found[changed][-1]
        ends = [found.pop(name) for name in ("reward", "terminated", "truncated")]
        return (picture, *ends, found)

    monkeypatch.setattr(RenderedVectorEnv, "observe", observe)
    with lockstep("maze", (Rendering.parse("hue=0.1"), Rendering("camera")), 2) as games:
        with pytest.raises(
            RuntimeError, match=r"^maze fell out of step under camera: .* hue=0\.1$"
        ):
            games.step(np.array([4, 4]))
        games.pictures(1)  # no step is left half done


@needs_games
def test_other_levels_are_found_out(monkeypatch):
    real = ProcgenVectorEnv.__init__

    def other(self: Any, game: str, num_envs: int, **arguments: Any) -> None:
        real(self, game, num_envs, **{**arguments, "seed": int(self.rendering != ORIGINAL)})

    monkeypatch.setattr(ProcgenVectorEnv, "__init__", other)
    with (
        lockstep("maze", (ORIGINAL, Rendering("monochrome"))) as games,
        pytest.raises(RuntimeError, match="fell out of step under monochrome"),
    ):
        games.step(np.full(8, 4))


@needs_games
def test_closed_games_are_closed_in_all_renderings():
    with lockstep("maze", (ORIGINAL, Rendering("monochrome"))) as games:
        games.step(np.full(8, 4))
    for i in range(2):
        with pytest.raises(RuntimeError, match="after close"):
            games.pictures(i)


# States.


@needs_games
@pytest.mark.parametrize("game", GAMES)
def test_a_state_of_any_rendering_is_shown_in_any_other(game):
    """As the game in lockstep shows it, and back; then both go on alike.  In memory mode too, where
    games decide for themselves about center_agent."""
    for mode in modes_of(game):
        renderings, options = by_engine(game), ProcgenOptions(distribution_mode=mode)
        twins = {r: env_in(str(r), game, 2, options=options, seed=1) for r in renderings}
        others = {r: env_in(str(r), game, 2, options=options, seed=9) for r in renderings}
        for actions in randomly(12, 2):
            pictures = {r: env.step(actions)[0] for r, env in twins.items()}
        states = {r: env.get_state() for r, env in twins.items()}
        for shown, other in others.items():
            for state in states.values():
                np.testing.assert_array_equal(other.set_state(state)[0], pictures[shown])
            back, _ = others[ORIGINAL].set_state(other.get_state())
            np.testing.assert_array_equal(back, pictures[ORIGINAL])
        for r, state in zip(others, [*[*states.values()][1:], states[ORIGINAL]], strict=True):
            others[r].set_state(state)
        for actions in randomly(12, 2, seed=1):
            for r in renderings:
                mine, theirs = twins[r].step(actions), others[r].step(actions)
                assert env_checker.data_equivalence(mine[:4], theirs[:4], exact=True)
                assert (mine[4]["prev_level_seed"] == theirs[4]["prev_level_seed"]).all()


@needs_games
@pytest.mark.parametrize("game", ["coinrun", "jumper", "dodgeball"])
def test_a_new_episode_after_a_state_of_another_rendering_looks_right(game):
    """As evaluations begin every episode: a state of the first rendering, with another level."""
    renderings = by_engine(game)
    for first in (Rendering("camera"), renderings[-1]):
        order = (first, *(r for r in renderings if r != first))
        with lockstep(game, order, 2) as games:
            start = games.get_one_state(0)
            for env in range(2):
                games.set_one_state(env, with_levels(start, 30 + env, 31 + env))
            games.step(np.array([-1, -1]))
            for i, rendering in enumerate(order):
                for env in range(2):
                    level = LevelSet(30 + env, 31 + env)
                    expected = env_in(str(rendering), game, 1, levels=level).current()[0][0]
                    np.testing.assert_array_equal(games.pictures(i)[env], expected)


@needs_games
def test_a_bad_state_changes_no_rendering():
    with lockstep("maze", (ORIGINAL, Rendering("monochrome")), 2) as games:
        games.step(np.array([7, 7]))
        before = [games.pictures(i).copy() for i in range(2)]
        with pytest.raises(ValueError, match=r"^states\[env=1\]: state must be"):
            games.set_one_state(1, b"nonsense")
        with pytest.raises(ValueError, match=r"^states\[env=0\] must be of game maze, got heist"):
            games.set_one_state(0, env_in("original", "heist").get_one_state(0))
        for i in range(2):
            np.testing.assert_array_equal(games.pictures(i), before[i])


# Background images.


def images_of(env: ProcgenVectorEnv) -> set[int]:
    """The images that the games draw now, by their states, past what a rendering makes of these."""
    states = [ProcgenVectorEnv.get_one_state(env, i) for i in range(env.num_envs)]
    return {read_picture(state).image for state in states}


@needs_games
@pytest.mark.parametrize("game", GAMES)
def test_levels_draw_all_images_that_there_are(game):
    for mode in modes_of(game):
        env = ProcgenVectorEnv(
            game, 400, options=ProcgenOptions(distribution_mode=mode), num_threads=0
        )
        only = only_image(game, mode)
        assert images_of(env) == ({only} if only is not None else {*range(N_BACKGROUNDS[game])})


@needs_games
def test_a_background_is_that_of_levels_which_draw_it_themselves():
    env, shown = env_in("original", "heist", 60), env_in("background=4", "heist", 60)
    own = np.array([read_picture(state).image for state in env.get_state()])
    same = (env.current()[0] == shown.current()[0]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, own == 4)
    assert 0 < same.sum() < 60


@needs_games
@pytest.mark.parametrize("game", ["bigfish", "starpilot", "leaper"])
def test_a_background_stays_whatever_happens(game):
    env, other = env_in("background=2", game, 16, copy=False), env_in("original", game, 16, seed=3)
    assert images_of(env) == {2}
    ended, levels = 0, set()
    for actions in randomly(120, 16):
        _, _, terminated, truncated, infos = env.step(actions)
        ended += (terminated | truncated).sum()
        levels |= {*infos["level_seed"].tolist()}
        if (terminated | truncated).any():
            assert images_of(env) == {2}
    assert ended > 5
    for change in (
        env.reset,
        lambda: env.reset(seed=4),
        lambda: env.set_state(other.get_state()),
        lambda: env.step(np.full(16, -1)),
        env.reset,
    ):
        before = env.current()[0].copy()
        change()
        assert not (env.current()[0] == before).all()
        assert images_of(env) == {2}
    assert len(levels) > 16


@needs_games
def test_a_background_stays_in_levels_that_follow_each_other():
    options = dataclasses.replace(EASY, debug_mode=14, use_sequential_levels=True)
    env = env_in("background=2", options=options, n=8)
    solved = 0
    for _ in range(80):
        *_, infos = env.step(np.full(8, 7))
        solved += infos["prev_level_complete"].sum()
        assert images_of(env) == {2}
    assert solved > 3


@needs_games
def test_large_pictures_show_the_background_too():
    env = env_in("background=3", "bigfish", render_mode="rgb_array")
    for actions in randomly(2, 3):
        env.step(np.where(actions < 7, -1, 4))
        for picture, small in zip(env.render(), env.current()[0], strict=True):
            mean = picture.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
            assert np.abs(mean - small).mean() < 12


@needs_games
@pytest.mark.parametrize("name", ["camera", "background=1", "original"])
def test_a_reset_keeps_the_first_episode_as_without_renderings(name):
    env, plain = env_in(name), ProcgenVectorEnv("coinrun", 3, options=EASY, num_threads=0)
    for arguments in ({}, {}, {"seed": 0}, {}):
        _, mine = env.reset(**arguments)
        _, theirs = plain.reset(**arguments)
        assert env_checker.data_equivalence(mine, theirs, exact=True)
        assert env._elapsed().tolist() == [0, 0, 0]
        assert [read_header(state).elapsed for state in env.get_state()] == [0, 0, 0]


# Gymnasium.


@needs_games
@pytest.mark.parametrize("name", ["original", "camera", "background=1", "random-conv=0.5"])
def test_gymnasiums_checks_pass_in_every_kind_of_rendering(name):
    env = env_in(name, n=1)
    assert isinstance(env, gymnasium.vector.VectorEnv)
    passive_env_checker.check_observation_space(env.single_observation_space)
    passive_env_checker.check_action_space(env.single_action_space)
    passive_env_checker.env_reset_passive_checker(env, seed=1)
    for check in ("reset_seed_determinism", "reset_options", "returned_data_not_reused"):
        if hasattr(env_checker, f"check_{check}"):
            getattr(env_checker, f"check_{check}")(env)
    observation, *_ = env.step(env.action_space.sample())
    assert observation in env.observation_space


@needs_games
def test_gymnasium_makes_it_through_a_registered_entry_point():
    gymnasium.register(
        "test/Rendered-v0", vector_entry_point=lambda **kwargs: RenderedVectorEnv(**kwargs)
    )
    try:
        rendering = Rendering("monochrome")
        env = gymnasium.make_vec("test/Rendered-v0", num_envs=2, game="maze", rendering=rendering)
        env_checker.check_reset_seed_determinism(env)
        env.close()
    finally:
        del gymnasium.registry["test/Rendered-v0"]


# Games each in a rendering of its own.


def play(games: MixedGames, n: int, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """Pictures, rewards, terminations and truncations of some steps."""
    played = []
    for actions in randomly(n, games.num_envs, seed):
        games.act(actions)
        ends = games.observe()
        played.append((games.pictures().copy(), *(array.copy() for array in ends)))
    return played


def assert_same(one: list[tuple[np.ndarray, ...]], two: list[tuple[np.ndarray, ...]]) -> None:
    assert env_checker.data_equivalence(one, two, exact=True)


THREE = ["original", "background=2", "random-conv=0.3,seed=1"]


@needs_games
def test_each_game_is_shown_in_its_rendering():
    """Game i in rendering i modulo their number, also where they do not go round evenly."""
    games, renderings = mixed(THREE, n=8), parse_all(THREE, "bigfish")
    games.reset()
    play(games, 30)
    plain = RenderedVectorEnv("bigfish", 8, options=EASY, num_threads=0)
    plain.set_state(games.get_state())
    original = plain.current()[0]
    for env in range(8):
        rendering = renderings[env % 3]
        shown = env_in(str(rendering), "bigfish", 8)
        shown.set_state(games.get_state())
        np.testing.assert_array_equal(games.pictures()[env], shown.current()[0][env])
    differs = (games.pictures() != original).any(axis=(1, 2, 3))
    assert not differs[::3].any()
    assert differs[1::3].any()  # a level may draw this very image by itself
    assert differs[2::3].all()
    games.close()


@needs_games
def test_each_renderings_games_draw_levels_of_their_own():
    games = mixed(THREE, n=9)
    levels = [read_header(state).level_seed for state in games.get_state()]
    assert len(set(levels)) == 9
    few = mixed(THREE, n=90, levels=LevelSet(50, 60))
    found = [read_header(state).level_seed for state in few.get_state()]
    assert set(found) == set(range(50, 60))
    assert len({tuple(found[i::3]) for i in range(3)}) == 3


@needs_games
def test_one_rendering_is_an_ordinary_environment():
    games = mixed(["original"])
    plain = ProcgenVectorEnv("bigfish", 6, options=EASY, levels=LEVELS, seed=5, num_threads=0)
    games.reset()
    plain.reset()
    played = play(games, 150)
    expected = [plain.step(actions)[:4] for actions in randomly(150, 6)]
    assert_same(played, expected)
    assert games.get_state() == plain.get_state()
    assert sum(ends[2].sum() for ends in played) > 3
    assert games.pictures() is games.pictures()  # nothing is copied where nothing need be


@needs_games
def test_games_in_several_renderings_go_on_from_their_states():
    one, two = mixed(THREE, n=7), mixed(THREE, n=7)
    play(one, 40)
    play(two, 15, seed=8)
    states = one.get_state()
    two.set_state(states)
    np.testing.assert_array_equal(two.pictures(), one.pictures())
    assert two.get_state() == states
    played = play(one, 80, seed=1)
    assert sum(ends[2].sum() for ends in played) > 1
    assert_same(play(two, 80, seed=1), played)
    assert two.get_state() == one.get_state()
    one.close()
    with pytest.raises(RuntimeError, match="after close"):
        one.pictures()


# Training.

SEVERAL = dataclasses.replace(
    TINY,
    env="procgen:bigfish",
    train_renderings=("original", "background=2", "random-conv=0.3,seed=1"),
    n_envs=4,
    rollout_steps=8,
    total_steps=4 * 8 * 4,
    checkpoint_every=2,
    snapshot_every=2,
)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and no evaluations but their lines."""
    torch.set_num_threads(1)
    monkeypatch.setattr(training, "TrainingEvaluations", FakeEvaluations)


def written(run: Path) -> dict[str, bytes]:
    """What a run promises to write the same again."""
    paths = [run / checkpoint.CHECKPOINT, run / checkpoint.LOG, *snapshots(run)]
    return {path.name: path.read_bytes() for path in paths}


@needs_games
@pytest.mark.usefixtures("_quick")
def test_a_stopped_run_in_several_renderings_ends_as_one_never_stopped(tmp_path):
    train(SEVERAL, tmp_path / "whole")
    for _ in range(4):
        train(SEVERAL, tmp_path / "stopped", stop_after=1)
    assert written(tmp_path / "whole") == written(tmp_path / "stopped")
    config, _, _ = checkpoint.load_networks(tmp_path / "whole")
    assert config.train_renderings == SEVERAL.train_renderings


@needs_games
@pytest.mark.usefixtures("_quick")
def test_snapshots_are_the_weights_on_the_way(tmp_path):
    run = tmp_path / "run"
    train(SEVERAL, run, stop_after=2)
    before = load_policies(run)
    train(SEVERAL, run)
    paths = snapshots(run)
    assert [path.name for path in paths] == [f"update-{n:07d}.safetensors" for n in (0, 2, 4)]
    kept = [load_policies(path) for path in paths]
    assert [policies[0].update for policies in kept] == [0, 2, 4]
    assert all(policies[0].config == SEVERAL for policies in kept)
    digests = [[policy.digest for policy in policies] for policies in kept]
    assert digests[1:] == [[policy.digest for policy in p] for p in (before, load_policies(run))]
    assert len({digest for both in digests for digest in both}) == 6  # two agents, three times


@needs_games
@pytest.mark.usefixtures("_quick")
def test_a_killed_run_keeps_the_same_snapshots(tmp_path, monkeypatch):
    """Killed between a snapshot and the checkpoint after it, so that updates are made again; and as
    if in the middle of writing the last snapshot."""
    config = dataclasses.replace(SEVERAL, snapshot_every=1)
    real, calls = training.save_checkpoint, []

    def killed(run: Path, done: int, *rest: Any) -> None:
        calls.append(done)
        if done == 4 and calls.count(4) == 1:
            raise KeyboardInterrupt
        real(run, done, *rest)

    monkeypatch.setattr(training, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run")
    assert len(snapshots(tmp_path / "run")) == 5
    last = snapshots(tmp_path / "run")[-1]
    last.with_name(f"{last.name}.partial").write_bytes(last.read_bytes()[:100])
    last.unlink()
    train(config, tmp_path / "run")
    assert calls == [2, 4, 4]
    train(config, tmp_path / "whole")
    assert written(tmp_path / "run") == written(tmp_path / "whole")
    assert not list((tmp_path / "run" / "snapshots").glob("*.partial"))


@needs_games
@pytest.mark.usefixtures("_quick")
def test_no_snapshots_are_kept_unless_asked_for(tmp_path):
    train(dataclasses.replace(SEVERAL, snapshot_every=0), tmp_path / "run", stop_after=1)
    assert not (tmp_path / "run" / "snapshots").exists()
    assert snapshots(tmp_path / "run") == []
