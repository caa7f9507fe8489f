"""The same states of a game in many renderings: a table of renderings, and their picture."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from experiments.envs.procgen.environment import ProcgenOptions
from experiments.envs.procgen.games import ACTIONS, N_ACTIONS, N_BACKGROUNDS
from experiments.envs.procgen.pixels import TRANSFORMATIONS
from experiments.envs.procgen.rendered import LockstepGames
from experiments.envs.procgen.renderings import (
    BACKGROUND,
    DESCRIPTIONS,
    OPTIONS,
    ORIGINAL,
    Rendering,
    default_family,
    has_effect,
    only_image,
)
from mdtheory.report import style

STEPS = 40
"""Steps before the picture is taken, so that something has appeared."""
_RIGHT = ACTIONS.index("right")
SCALE = 2
"""Pixels of the picture per pixel of an observation."""
GAP = 4
"""White pixels between two observations."""
MOST_LEVELS = 8
TILE = 64 * SCALE

_DPI = 100
_LABELS = 80  # pixels above the observations
_MARGIN = 10
_LINE = 20
_GREY = "#888888"


@dataclass(frozen=True, eq=False, kw_only=True)
class Montage:
    """Some states of a game in some renderings.

    Attributes:
        game: its name.
        mode: its distribution mode.
        renderings: the original first.
        levels: of the states.
        pictures: what is seen, uint8 [rendering, level, 64, 64, 3].
    """

    game: str
    mode: str
    renderings: tuple[Rendering, ...]
    levels: tuple[int, ...]
    pictures: np.ndarray


def shown_renderings(game: str) -> tuple[Rendering, ...]:
    """The default family of a game, and one of each name that has no effect in it."""
    family = default_family(game)
    others = [Rendering(name) for name in OPTIONS if Rendering(name) not in family]
    if all(rendering.name != BACKGROUND for rendering in family):
        others.append(Rendering(BACKGROUND, image=0))
    order = [*DESCRIPTIONS]
    return tuple(sorted((*family, *others), key=lambda rendering: order.index(rendering.name)))


def montage(game: str, options: ProcgenOptions, *, levels: int = 4, seed: int = 0) -> Montage:
    """States of different levels after some steps, half of them to the right, the others random.

    Args:
        game: its name.
        options: of the game.
        levels: how many states.
        seed: of the levels and of the steps.

    Raises:
        ValueError: naming the argument and what would be right.
    """
    if not 1 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels must be from 1 to {MOST_LEVELS}, got {levels}")
    renderings = shown_renderings(game)
    with LockstepGames(
        game, levels, renderings, options=options, seed=seed, num_threads=0
    ) as games:
        rng = np.random.default_rng(seed)
        for _ in range(STEPS):
            to_the_right = rng.random(levels) < 0.5
            actions = np.where(to_the_right, _RIGHT, rng.integers(N_ACTIONS, size=levels))
            _, _, _, infos = games.step(actions)
        pictures = np.stack([games.pictures(i) for i in range(len(renderings))])
    return Montage(
        game=game,
        mode=options.distribution_mode,
        renderings=renderings,
        levels=tuple(infos["level_seed"].tolist()),
        pictures=pictures,
    )


def renderings_table(game: str, mode: str) -> Table:
    """What renderings there are, and what each is in a game to a policy trained on the original."""
    table = Table(title=f"Renderings of {game}, {mode}", caption=TABLE_CAPTION)
    for column in ("name", "what it does", "values", f"effect in {game}", "standing"):
        table.add_column(column, overflow="fold")
    for name, description in DESCRIPTIONS.items():
        example = _example(name)
        effect = "yes" if has_effect(example, game) else f"no effect in {game}"
        standing = _standing(example, game, mode) if effect == "yes" else "seen"
        table.add_row(
            name,
            description,
            _values(name, game),
            "–" if example == ORIGINAL else effect,
            standing,
        )
    return table


TABLE_CAPTION = (
    "Standing: to a policy trained on the original. Values are written as in background=3,"
    " brightness=0.3 and random-conv=0.5,seed=1."
)


def _example(name: str) -> Rendering:
    """A rendering of this name."""
    if name == BACKGROUND:
        return Rendering(name, image=0)
    if name not in TRANSFORMATIONS:
        return Rendering(name)
    known = TRANSFORMATIONS[name]
    return Rendering(name, strength=known.strengths[0], seed=0 if known.seeded else None)


def _values(name: str, game: str) -> str:
    """Which values come behind the name."""
    if name == BACKGROUND:
        last = N_BACKGROUNDS[game] - 1
        return f"image 0 to {last}" if last else "image 0"
    if name not in TRANSFORMATIONS:
        return "–"
    known = TRANSFORMATIONS[name]
    return f"strength {known.low:g} to {known.high:g}" + (", seed" if known.seeded else "")


def _standing(example: Rendering, game: str, mode: str) -> str:
    only = only_image(game, mode)
    if example.name == BACKGROUND and only is not None:
        return f"image {only} seen, others out of distribution"
    return example.standing([ORIGINAL], only)


def montage_figure(found: Montage, command: str) -> Figure:
    """A column for each rendering, a row for each state; observations without any smoothing."""
    image = _tiled(found.pictures.swapaxes(0, 1))
    height, width = image.shape[:2]
    words = textwrap.wrap(_caption(found, command), int(width / 8.8))
    below = _LINE * len(words) + 2 * _MARGIN
    size = np.array([width + 2 * _MARGIN, height + below + _LABELS])
    figure, axis = style.new_figure(*(size / _DPI))
    figure.set_dpi(_DPI)
    figure.set_layout_engine("none")
    axis.set_position((_MARGIN / size[0], below / size[1], width / size[0], height / size[1]))
    axis.imshow(image, interpolation="none", aspect="auto")
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_yticks([])
    axis.xaxis.tick_top()
    middles = np.arange(len(found.renderings)) * (TILE + GAP) + TILE / 2
    axis.set_xticks(middles, [_label(rendering, found.game) for rendering in found.renderings])
    axis.tick_params(length=0, labelsize=11)
    for rendering, text in zip(found.renderings, axis.get_xticklabels(), strict=True):
        text.set_color("black" if has_effect(rendering, found.game) else _GREY)
    figure.text(
        _MARGIN / size[0], (below - _MARGIN) / size[1], "\n".join(words),
        va="top", fontsize=11, linespacing=1.3, parse_math=False,
    )  # fmt: skip
    return figure


def _tiled(pictures: np.ndarray) -> np.ndarray:
    """All observations [row, column], each pixel a square, in one image with gaps."""
    n_rows, n_columns = pictures.shape[:2]
    step = TILE + GAP
    image = np.full((n_rows * step - GAP, n_columns * step - GAP, 3), 255, dtype=np.uint8)
    for row, of_state in enumerate(pictures):
        for column, picture in enumerate(of_state):
            large = picture.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
            top, left = row * step, column * step
            image[top : top + TILE, left : left + TILE] = large
    return image


def _label(rendering: Rendering, game: str) -> str:
    words = str(rendering)
    for part in ("no-", "=", ","):
        words = words.replace(part, f"{part}\n", 1)
    return words if has_effect(rendering, game) else f"{words}\nno effect\nin this game"


def _caption(found: Montage, command: str) -> str:
    levels = ", ".join(map(str, found.levels))
    return (
        f"{found.game}, {found.mode}: what an agent sees, 64 x 64 pixels. All pictures of a row"
        f" are the same latent state, after {STEPS} steps, half of them to the right and the others"
        f" random; the rows are levels {levels}. Made by: {command}"
    )
