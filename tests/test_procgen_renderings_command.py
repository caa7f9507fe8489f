"""`mdpo renderings`: the table of renderings, and the picture of states in all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import cli
from experiments.envs.procgen import GAMES, ProcgenOptions, libenv
from experiments.envs.procgen.games import N_BACKGROUNDS
from experiments.envs.procgen.pixels import TRANSFORMATIONS
from experiments.envs.procgen.rendered import RenderedVectorEnv
from experiments.envs.procgen.renderings import (
    DESCRIPTIONS,
    ORIGINAL,
    default_family,
    has_effect,
)
from experiments.procgen import montage as module
from experiments.procgen.commands import Renderings
from experiments.procgen.montage import (
    GAP,
    MOST_LEVELS,
    SCALE,
    TILE,
    montage,
    montage_figure,
    renderings_table,
    shown_renderings,
)
from tests.test_mdpo_cli import refused

needs_games = pytest.mark.skipif(not libenv.is_installed(), reason="no wheel of Procgen")
EASY = ProcgenOptions(distribution_mode="easy")


def rows(game: str, mode: str) -> dict[str, list[str]]:
    """The table's rows by their names."""
    table = renderings_table(game, mode)
    cells = zip(*(column.cells for column in table.columns), strict=True)
    return {str(name): [str(cell) for cell in others] for name, *others in cells}


def tile(image: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = row * (TILE + GAP), column * (TILE + GAP)
    return image[top : top + TILE, left : left + TILE]


@pytest.mark.parametrize("game", GAMES)
def test_the_table_says_what_each_rendering_is(game):
    found = rows(game, "hard")
    assert list(found) == list(DESCRIPTIONS)
    for name, (what, values, effect, _) in found.items():
        assert what == DESCRIPTIONS[name]
        if name in TRANSFORMATIONS:
            known = TRANSFORMATIONS[name]
            assert values.startswith(f"strength {known.low:g} to {known.high:g}")
            assert values.endswith(", seed") == known.seeded
        if name != "original":
            in_family = any(rendering.name == name for rendering in default_family(game))
            assert effect == ("yes" if in_family else f"no effect in {game}")
    last = N_BACKGROUNDS[game] - 1
    assert found["background"][1] == (f"image 0 to {last}" if last else "image 0")


@pytest.mark.parametrize(
    ("game", "mode", "name", "standing"),
    [
        ("coinrun", "hard", "original", "seen"),
        ("coinrun", "hard", "background", "in distribution"),
        ("coinrun", "easy", "background", "image 0 seen, others out of distribution"),
        ("chaser", "easy", "background", "seen"),
        ("maze", "easy", "camera", "seen"),  # it looks like the original
        ("coinrun", "easy", "camera", "out of distribution"),
        ("maze", "easy", "random-conv", "out of distribution"),
    ],
)
def test_the_table_says_what_is_new_to_a_policy_trained_on_the_original(game, mode, name, standing):
    assert rows(game, mode)[name][-1] == standing


def test_the_command_prints_the_table(capsys):
    assert cli.main(["renderings", "--env", "procgen:maze", "--preset", "paper"]) == 0
    printed = capsys.readouterr().out
    words = " ".join(printed.replace("│", " ").split())
    assert "Renderings of maze, hard" in words
    assert "Values are written as in background=3" in words
    for name in DESCRIPTIONS:
        assert f" {name} " in words
    assert cli.main(["renderings", "--env", "procgen:coinrun"]) == 0
    assert "Renderings of coinrun, easy" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("game", GAMES)
def test_all_kinds_of_renderings_are_shown_with_or_without_an_effect(game):
    shown = shown_renderings(game)
    assert shown[0] == ORIGINAL
    assert {r.name for r in shown} == set(DESCRIPTIONS)
    assert [r for r in shown if has_effect(r, game)] == list(default_family(game))
    assert len(set(shown)) == len(shown)


@needs_games
@pytest.mark.parametrize("game", ["coinrun", "chaser", "bigfish"])
def test_every_tile_is_what_an_environment_shows(game):
    """Each rendering in an environment of its own, played like the montage."""
    found = montage(game, EASY, levels=3, seed=2)
    (axis,) = montage_figure(found, "mdpo").axes
    (shown,) = axis.get_images()
    image = np.asarray(shown.get_array())
    assert len(set(found.levels)) == 3
    for row, rendering in enumerate(found.renderings):
        env = RenderedVectorEnv(game, 3, rendering=rendering, options=EASY, seed=2, num_threads=0)
        rng = np.random.default_rng(2)
        for _ in range(module.STEPS):
            to_the_right = rng.random(3) < 0.5
            env.step(np.where(to_the_right, 7, rng.integers(15, size=3)))
        pictures, infos = env.current()
        assert tuple(infos["level_seed"]) == found.levels
        np.testing.assert_array_equal(found.pictures[row], pictures)
        for column, picture in enumerate(pictures):
            large = np.kron(picture, np.ones((SCALE, SCALE, 1), np.uint8))
            np.testing.assert_array_equal(tile(image, column, row), large)
    same = (found.pictures == found.pictures[0]).all(axis=(1, 2, 3, 4))
    expected = [r == ORIGINAL or not has_effect(r, game) for r in found.renderings]
    assert same.tolist() == expected


@needs_games
def test_the_file_holds_the_very_pixels(tmp_path):
    found = montage("maze", EASY, levels=2)
    montage_figure(found, "mdpo").savefig(tmp_path / "maze.png")
    saved = np.asarray(Image.open(tmp_path / "maze.png").convert("RGB"))
    original = np.kron(found.pictures[0, 0], np.ones((SCALE, SCALE, 1), np.uint8))
    top, left = module._LABELS, module._MARGIN
    np.testing.assert_array_equal(saved[top : top + TILE, left : left + TILE], original)
    assert (saved[0] == 255).all()


@needs_games
def test_columns_are_labelled_and_what_has_no_effect_is_grey():
    found = montage("chaser", EASY, levels=1)
    figure = montage_figure(found, "mdpo renderings --env procgen:chaser")
    (axis,) = figure.axes
    labels = {
        text.get_text().replace("\n", ""): text.get_color() for text in axis.get_xticklabels()
    }
    grey = {name for name, colour in labels.items() if colour != "black"}
    assert grey == {
        f"{name}no effectin this game" for name in ("velocity", "camera", "background=0")
    }
    assert {name for name in labels if name not in grey} == {*map(str, default_family("chaser"))}
    (caption,) = (" ".join(text.get_text().split()) for text in figure.texts)
    assert "All pictures of a row are the same latent state" in caption
    assert str(found.levels[0]) in caption
    assert caption.endswith("Made by: mdpo renderings --env procgen:chaser")


@needs_games
def test_another_seed_shows_other_levels_and_the_same_seed_the_same():
    one, same, other = (montage("maze", EASY, levels=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.pictures, same.pictures)
    assert one.levels == same.levels
    assert not {*one.levels} & {*other.levels}


@needs_games
def test_a_picture_is_drawn_once(tmp_path, capsys):
    picture = tmp_path / "new" / "maze.png"
    arguments = ["renderings", "--env", "procgen:maze", "--levels", "1", "--picture", str(picture)]
    assert cli.main(arguments) == 0
    assert f"picture: {picture}" in "".join(capsys.readouterr().out.split("\n"))
    before = picture.read_bytes()
    assert before.startswith(b"\x89PNG")
    assert f"{picture} exists already" in refused(capsys, *arguments)
    assert picture.read_bytes() == before
    assert cli.main([*arguments, "--seed", "1", "--force"]) == 0
    assert picture.read_bytes() != before


@needs_games
def test_every_flag_arrives_and_the_caption_repeats_the_picture(tmp_path, monkeypatch):
    """The command of the caption, run, makes the same picture."""
    monkeypatch.chdir(tmp_path)
    real, commands = module.montage_figure, []

    def note(found: module.Montage, command: str) -> object:
        assert (found.game, found.mode, len(found.levels)) == ("leaper", "hard", 2)
        commands.append(command)
        return real(found, command)

    monkeypatch.setattr(module, "montage_figure", note)
    flags = ["--preset", "paper", "--levels", "2", "--seed", "3"]
    picture = Path("leaper.png")
    assert (
        cli.main(["renderings", "--env", "procgen:leaper", *flags, "--picture", "leaper.png"]) == 0
    )
    first = picture.read_bytes()
    picture.unlink()
    assert cli.main(commands[0].split()[1:]) == 0
    assert picture.read_bytes() == first
    assert commands[0] == commands[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "procgen:mace"], "unknown env 'procgen:mace': did you mean 'procgen:maze'?"),
        (["--env", "maze"], "unknown env 'maze'"),
        (["--picture", "x.gif"], "--picture must end in .svg, .png or .pdf, got x.gif"),
        (["--picture", "x.png", "--levels", "0"], f"levels must be from 1 to {MOST_LEVELS}, got 0"),
        (["--picture", "x.png", "--levels", "99"],
         f"levels must be from 1 to {MOST_LEVELS}, got 99"),
        (["--picture", "x.png", "--seed", "-1"], "seed must be from 0 to 2147483647, got -1"),
        (["--preset", "easier"], "easier"),
        (["--levels", "many"], "many"),
        (["--colour"], "--colour"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "renderings", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_are_those_of_the_help():
    assert Renderings() == Renderings(env="procgen:coinrun", preset="easy", levels=4, seed=0)
