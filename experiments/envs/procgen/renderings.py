"""Renderings of Procgen: other pictures of the same latent state.

A rendering is named, and the name with its value is all there is to say about it:

    original                  as the game draws itself
    background=3              one background image in all levels
    no-background             black instead of the image
    monochrome                every object a rectangle of one colour
    velocity                  the agent's velocity painted into a corner, where the game has one
    camera                    the whole level in view, where the game's camera follows the agent
    brightness=0.3            and contrast, saturation, hue: the pixels changed by that strength
    random-conv=0.5,seed=1    the pixels mixed with a random convolution of them

Games that differ in their renderings only stay in lockstep: same levels, rewards and ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from experiments.envs.procgen.environment import ProcgenOptions
from experiments.envs.procgen.games import N_BACKGROUNDS
from experiments.envs.procgen.pixels import TRANSFORMATIONS
from mdtheory import validation

OPTIONS: dict[str, dict[str, Any]] = {
    "original": {},
    "no-background": {"use_backgrounds": False},
    "monochrome": {"use_monochrome_assets": True},
    "velocity": {"paint_vel_info": True},
    "camera": {"center_agent": False},
}
"""By name, the options of the game that a rendering sets."""

BACKGROUND = "background"
_NAMES = (*OPTIONS, BACKGROUND, *TRANSFORMATIONS)

Standing = Literal["seen", "in distribution", "out of distribution"]
"""Of a rendering, to a policy: trained on; drawn from what it was trained on; neither."""


@dataclass(frozen=True)
class Rendering:
    """One way of drawing every latent state of a game.

    Attributes:
        name: of the kind of rendering.
        strength: of a transformation of pixels, else None.
        image: number of the background image, else None.
        seed: of a random transformation, else None.
    """

    name: str = "original"
    strength: float | None = None
    image: int | None = None
    seed: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rendering:
        """The rendering of a name such as `brightness=0.3`.

        Raises:
            ValueError: naming the text and what would be right.
        """
        name, has_value, value = text.partition("=")
        if name not in _NAMES:
            raise ValueError(validation.unknown("rendering", name, _NAMES))
        if name in OPTIONS:
            if has_value:
                raise ValueError(f"rendering {name} takes no value, got {text}")
            return cls(name)
        if name == BACKGROUND:
            return cls(name, image=_whole(value, f"{BACKGROUND}=N, N the number of an image", text))
        number, has_seed, seed = value.partition(",seed=")
        takes_seed = TRANSFORMATIONS[name].seeded
        form = f"{name}=STRENGTH{',seed=N' if takes_seed else ''}"
        try:
            strength = float(number)
        except ValueError:
            raise ValueError(f"rendering must have the form {form}, got {text}") from None
        if has_seed and not takes_seed:
            raise ValueError(f"rendering must have the form {form}, got {text}")
        found = cls(
            name, strength=strength, seed=_whole(seed or "0", form, text) if takes_seed else None
        )
        found.transformed(np.zeros((1, 64, 64, 3), dtype=np.uint8))  # checks the strength
        return found

    def __str__(self) -> str:
        if self.image is not None:
            return f"{self.name}={self.image}"
        if self.strength is None:
            return self.name
        seed = "" if self.seed is None else f",seed={self.seed}"
        return f"{self.name}={self.strength:.12g}{seed}"

    def require_game(self, game: str) -> None:
        """Raise ValueError for a background image that the game does not have."""
        if self.image is not None and self.image >= N_BACKGROUNDS[game]:
            raise ValueError(
                f"{self} must name one of the images 0 to {N_BACKGROUNDS[game] - 1} of {game}"
            )

    def options(self, options: ProcgenOptions) -> ProcgenOptions:
        """The game's options under this rendering."""
        return dataclasses.replace(options, **OPTIONS.get(self.name, {}))

    @property
    def of_pixels(self) -> bool:
        """Whether it changes pixels after the game has drawn them."""
        return self.name in TRANSFORMATIONS

    @cached_property
    def by_engine(self) -> Rendering:
        """What the game itself must draw."""
        return ORIGINAL if self.of_pixels else self

    def transformed(self, pixels: np.ndarray) -> np.ndarray:
        """What is seen, uint8 [..., 64, 64, 3], where the game draws these pixels."""
        if self.strength is None:
            return pixels
        random = {} if self.seed is None else {"seed": self.seed}
        return TRANSFORMATIONS[self.name].function(pixels, self.strength, **random)

    def standing(self, train: Iterable[Rendering]) -> Standing:
        """What the rendering is to a policy trained on these.

        Every level of the game as it is draws one of the game's background images.
        """
        train = tuple(train)
        if self in train:
            return "seen"
        return (
            "in distribution" if self.name == BACKGROUND and ORIGINAL in train else
            "out of distribution"
        )  # fmt: skip


ORIGINAL = Rendering()

WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "background": ("chaser",),
    "velocity": ("chaser", "heist", "maze", "miner", "plunder"),
    "camera": (
        "bigfish",
        "bossfight",
        "chaser",
        "dodgeball",
        "heist",
        "leaper",
        "maze",
        "miner",
        "plunder",
        "starpilot",
    ),
}
"""By name of a rendering, the games in which it changes no pixel, in no mode: they have one image,
no velocity, or the whole level in view anyway."""


def has_effect(rendering: Rendering, game: str) -> bool:
    """Whether the rendering can change what is seen in this game."""
    return game not in WITHOUT_EFFECT.get(rendering.name, ())


def parse_all(texts: Sequence[str], game: str) -> tuple[Rendering, ...]:
    """Different renderings of one game.

    Raises:
        ValueError: naming the first that is none, is not of this game, or comes twice.
    """
    found = [Rendering.parse(text) for text in texts]
    for i, rendering in enumerate(found):
        rendering.require_game(game)
        if rendering in found[:i]:
            raise ValueError(f"renderings must differ, got {rendering} twice")
    if not found:
        raise ValueError("renderings must be at least one, got none")
    return tuple(found)


def _whole(value: str, form: str, text: str) -> int:
    """The whole number, at least 0, of a rendering's name."""
    if not value.isdecimal():
        raise ValueError(f"rendering must have the form {form}, got {text}")
    return int(value)
