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
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from experiments.envs.procgen.environment import ProcgenOptions
from experiments.envs.procgen.games import N_BACKGROUNDS, require_game
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

DESCRIPTIONS = {
    "original": "As the game draws itself.",
    "no-background": "Black instead of the background image.",
    "monochrome": "Every object is a rectangle of one colour.",
    "velocity": "The agent's velocity is painted into the upper left corner.",
    "camera": "The whole level is in view instead of the agent's surroundings.",
    BACKGROUND: "The same background image in all levels.",
    **{name: known.description for name, known in TRANSFORMATIONS.items()},
}
"""By name, what a rendering does, one sentence."""

LARGEST_SEED = 2**31 - 1

_VALUES: dict[str, tuple[type, str]] = {
    "strength": (float, r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"),
    "image": (int, "[0-9]{1,10}"),
    "seed": (int, "[0-9]{1,10}"),
}
"""The values that a rendering may have, and how each is written, as a regular expression."""

Standing = Literal["seen", "in distribution", "out of distribution"]
"""Of a rendering, to a policy: trained on; drawn from what it was trained on; neither."""


def _values_of(name: str) -> tuple[str, ...]:
    """Which values renderings of this name have."""
    if name == BACKGROUND:
        return ("image",)
    if name in TRANSFORMATIONS:
        return ("strength", "seed") if TRANSFORMATIONS[name].seeded else ("strength",)
    return ()


def _pattern(name: str) -> str:
    """How a rendering of this name is written, as a regular expression with its values."""
    values = {v: f"=(?P<{v}>{_VALUES[v][1]})" for v in _values_of(name)}
    if "seed" in values:
        values["seed"] = f"(?:,seed{values['seed']})?"
    return re.escape(name) + "".join(values.values())


def _fits(name: str, value: str, number: Any) -> bool:
    """Whether one of the values of a rendering of this name can be this number."""
    if value not in _values_of(name):
        return number is None
    if isinstance(number, bool) or not isinstance(number, int | float | np.integer):
        return False
    if value == "strength":
        return bool(TRANSFORMATIONS[name].low <= number <= TRANSFORMATIONS[name].high)
    return not isinstance(number, float) and 0 <= int(number) <= LARGEST_SEED


def _wrong_values(name: str, got: str) -> str:
    """The message for a known name with values that are wrong."""
    if name in OPTIONS:
        return f"rendering {name} takes no value, got {got}"
    if name == BACKGROUND:
        form = f"{BACKGROUND}=N, N the number of an image"
    else:
        known = TRANSFORMATIONS[name]
        form = f"{name}=S, S from {known.low:g} to {known.high:g}"
        if known.seeded:
            form = form.replace("=S,", "=S,seed=N,") + f" and N from 0 to {LARGEST_SEED}"
    return f"rendering must have the form {form}, got {got}"


@dataclass(frozen=True)
class Rendering:
    """One way of drawing every latent state of a game.

    Attributes:
        name: of the kind of rendering.
        strength: of a transformation of pixels, else None.
        image: number of the background image, else None.
        seed: of a random transformation, else None.

    Raises:
        ValueError: an unknown name, or values that this kind of rendering does not have.
    """

    name: str = "original"
    strength: float | None = None
    image: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.name not in DESCRIPTIONS:
            raise ValueError(validation.unknown("rendering", self.name, tuple(DESCRIPTIONS)))
        if not all(_fits(self.name, value, getattr(self, value)) for value in _VALUES):
            raise ValueError(_wrong_values(self.name, str(self)))
        for value in _values_of(self.name):  # no number of NumPy's, and no negative zero
            kind, _ = _VALUES[value]
            object.__setattr__(self, value, kind(getattr(self, value)) + kind(0))
        if (self.name, self.strength) == ("hue", -0.5):  # half a turn is the same either way
            object.__setattr__(self, "strength", 0.5)

    @classmethod
    def parse(cls, text: str) -> Rendering:
        """The rendering of a name such as `brightness=0.3`; a seed that is left out is 0.

        Raises:
            ValueError: naming the text and what would be right.
        """
        name = text.partition("=")[0]
        if name not in DESCRIPTIONS:
            raise ValueError(validation.unknown("rendering", name, tuple(DESCRIPTIONS)))
        found = re.fullmatch(_pattern(name), text)
        written = {} if found is None else found.groupdict(default="0")
        values = {value: _VALUES[value][0](number) for value, number in written.items()}
        if found is None or not all(_fits(name, *item) for item in values.items()):
            raise ValueError(_wrong_values(name, text))
        return cls(name, **values)

    def __str__(self) -> str:
        values = [str(v).removesuffix(".0") for v in (self.strength, self.image) if v is not None]
        if self.seed is not None:
            values.append(f"seed={self.seed}")
        return f"{self.name}={','.join(values)}" if values else self.name

    def require_game(self, game: str) -> None:
        """Raise ValueError for an unknown game, or a background image that it does not have."""
        require_game(game)
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
        """What is seen, uint8 [..., 64, 64, 3], where the game draws these pixels.

        The same array, not a copy, unless the rendering is one of pixels.
        """
        if self.strength is None:
            return pixels
        random = {} if self.seed is None else {"seed": self.seed}
        return TRANSFORMATIONS[self.name].function(pixels, self.strength, **random)

    def standing(self, train: Iterable[Rendering], only_image: int | None = None) -> Standing:
        """What the rendering is to a policy trained on these.

        Args:
            train: all that was trained on.
            only_image: the background image of all levels of the original, if they have the same;
                otherwise each draws one of all images.
        """
        train = tuple(train)
        if self in train:
            return "seen"
        if self.name == BACKGROUND and ORIGINAL in train and only_image in (None, self.image):
            return "in distribution" if only_image is None else "seen"
        return "out of distribution"


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


def only_image(game: str, mode: str) -> int | None:
    """The background image of all levels of a game in a mode, None where each level draws one."""
    return 0 if N_BACKGROUNDS[game] == 1 or (game, mode) == ("coinrun", "easy") else None


def has_effect(rendering: Rendering, game: str) -> bool:
    """Whether the rendering can change what is seen in this game."""
    return rendering.strength != 0 and game not in WITHOUT_EFFECT.get(rendering.name, ())


_MODERATE = (
    "brightness=-0.4",
    "brightness=0.4",
    "contrast=-0.4",
    "saturation=-0.6",
    "hue=0.1",
    "random-conv=0.3,seed=0",
    "random-conv=0.3,seed=1",
)


def default_family(game: str) -> tuple[Rendering, ...]:
    """Renderings of all kinds that change what is seen in a game, the original first.

    original; no-background, monochrome, velocity and camera where they have an effect; two of the
    background images, a third and two thirds through their list, where there are several;
    brightness=-0.4 and 0.4, contrast=-0.4, saturation=-0.6, hue=0.1, and random-conv=0.3 with seeds
    0 and 1: the middle of the strengths in `TRANSFORMATIONS`.

    Raises:
        ValueError: there is no such game.
    """
    ORIGINAL.require_game(game)
    n = N_BACKGROUNDS[game]
    family = (
        *(Rendering(name) for name in OPTIONS),
        *(Rendering(BACKGROUND, image=image) for image in (n // 3, 2 * n // 3)),
        *(Rendering.parse(text) for text in _MODERATE),
    )
    return tuple(r for r in family if r == ORIGINAL or has_effect(r, game))


def strength_family(names: Iterable[str] = tuple(TRANSFORMATIONS)) -> tuple[Rendering, ...]:
    """The original, and some transformations of pixels at all strengths of their curves.

    Args:
        names: of `TRANSFORMATIONS`; random ones have seed 0.

    Raises:
        ValueError: an unknown name.
    """
    found = [ORIGINAL]
    for name in dict.fromkeys(names):
        if name not in TRANSFORMATIONS:
            raise ValueError(validation.unknown("transformation", name, tuple(TRANSFORMATIONS)))
        known = TRANSFORMATIONS[name]
        seed = 0 if known.seeded else None
        found += [Rendering(name, strength=strength, seed=seed) for strength in known.strengths]
    return tuple(found)


def parse_all(texts: Sequence[str], game: str) -> tuple[Rendering, ...]:
    """Different renderings of one game.

    Raises:
        ValueError: naming the first that is none, is not of this game, or comes twice.
    """
    return different([Rendering.parse(text) for text in texts], game)


def different(renderings: Sequence[Rendering], game: str) -> tuple[Rendering, ...]:
    """The renderings, if they are at least one, all of this game, and none comes twice.

    Raises:
        ValueError: naming the first that is not.
    """
    found = tuple(renderings)
    for i, rendering in enumerate(found):
        rendering.require_game(game)
        if rendering in found[:i]:
            raise ValueError(f"renderings must differ, got {rendering} twice")
    if not found:
        raise ValueError("renderings must be at least one, got none")
    return found
