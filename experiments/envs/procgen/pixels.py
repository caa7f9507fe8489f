"""The same frames in other pictures: brightness, contrast, saturation, hue, a random convolution.

Each function takes observations uint8 [..., 64, 64, 3] in red, green, blue and returns new ones of
the same shape.  What becomes of a frame depends on that frame, the strength and the seed alone, not
on the batch it stands in.  Strength 0 changes nothing.  Results are rounded to nearest and clipped
to 0 ... 255.

from experiments.envs.procgen.pixels import TRANSFORMATIONS

darker = TRANSFORMATIONS["brightness"].function(observation, -0.4)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FRAME = (64, 64, 3)
CHUNK = 16
"""Frames worked on at a time, so that what lies between stays in the processor's cache."""
MID_GREY = 127.5
LUMA = (19595, 38470, 7471)
"""ITU-R 601's 0.299, 0.587 and 0.114 in 65536ths; they sum to one."""
WEIGHT_UNIT = 2.0**-12
"""Random weights are whole multiples of it.

Pixels are whole numbers too, so float32 holds each product, and each sum of 27 as long as absolute
weights sum to less than 16 (on average they sum to 4.1, with a standard deviation of 0.6).  Hence
no order of summation, in batches or alone, can change the result.
"""


@dataclass(frozen=True, kw_only=True)
class Transformation:
    """A way to change pictures, and how far it may go.

    Attributes:
        function: of pixels and strength, and of a seed if `seeded`.
        low, high: the smallest and the largest strength allowed.
        seeded: whether it takes a seed.
        strengths: for a curve from mild to strong, in increasing order, without 0.
        description: one sentence.
    """

    function: Callable[..., np.ndarray]
    low: float
    high: float
    seeded: bool
    strengths: tuple[float, ...]
    description: str


def brightness(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Pixels times 1 + strength, for strengths from -1 (black) to 1 (twice as bright).

    Raises:
        ValueError: these are no pixels, or the strength is out of range.
    """
    pixels, strength = _checked("brightness", pixels, strength)
    return np.take(_rounded((1 + strength) * np.arange(256)), pixels)


def contrast(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Distances from mid grey, 127.5, times 1 + strength, from -1 (all grey) to 1 (doubled).

    The pivot is fixed, where torchvision and Pillow take the mean grey of the frame: one map from
    old to new values for all states of a game; a thing that moves changes nothing but its place.

    Raises:
        ValueError: these are no pixels, or the strength is out of range.
    """
    pixels, strength = _checked("contrast", pixels, strength)
    return np.take(_rounded(MID_GREY + (1 + strength) * (np.arange(256) - MID_GREY)), pixels)


def saturation(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Differences from the grey picture times 1 + strength, from -1 (grey) to 1 (doubled).

    The grey picture is the luma of ITU-R 601, rounded, as Pillow's.

    Raises:
        ValueError: these are no pixels, or the strength is out of range.
    """
    pixels, strength = _checked("saturation", pixels, strength)
    factor = 1 + strength

    def blend(old: np.ndarray, new: np.ndarray) -> None:
        channels = [old[..., c].astype(np.int32) for c in range(3)]
        luma = LUMA[0] * channels[0] + LUMA[1] * channels[1] + LUMA[2] * channels[2]
        grey = ((luma + 2**15) >> 16).astype(np.float32)
        for c, channel in enumerate(channels):
            new[..., c] = _rounded(grey + factor * (channel.astype(np.float32) - grey))

    return _by_chunks(blend, pixels)


def hue(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Hue in HSV turned by strength, from -0.5 to 0.5 turns; value and saturation stay.

    With chroma C = max - min of a colour and its hue H in [0, 6), a turn adds 6 strength C to H C.
    All else about H C is whole numbers, so rounding this one term, a table over the 256 values of
    C, makes the rest exact.  A colour is its smallest channel plus, clipped to 0 ... C,

        red: |HC - 3C| - C,  green: 2C - |HC - 2C|,  blue: 2C - |HC - 4C|.

    Raises:
        ValueError: these are no pixels, or the strength is out of range.
    """
    pixels, strength = _checked("hue", pixels, strength)
    turn_c = np.rint(6 * (strength % 1) * np.arange(256)).astype(np.int16)

    def rotate(old: np.ndarray, new: np.ndarray) -> None:
        red, green, blue = (old[..., c].astype(np.int16) for c in range(3))
        largest = np.maximum(np.maximum(red, green), blue)
        smallest = np.minimum(np.minimum(red, green), blue)
        chroma = largest - smallest
        angle = _angle(red, green, blue, largest, chroma) + turn_c[chroma]
        angle += (angle < 0) * (6 * chroma)
        angle -= (angle >= 6 * chroma) * (6 * chroma)
        shares = (
            np.abs(angle - 3 * chroma) - chroma,
            2 * chroma - np.abs(angle - 2 * chroma),
            2 * chroma - np.abs(angle - 4 * chroma),
        )
        for c, share in enumerate(shares):
            new[..., c] = smallest + np.minimum(np.maximum(share, 0), chroma)

    return _by_chunks(rotate, pixels)


def random_convolution(pixels: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """(1 - strength) pixels + strength times their convolution with random 3 x 3 weights.

    The 81 weights, [new channel, old channel, row, column], are drawn from N(0, 1/27) and rounded
    to multiples of `WEIGHT_UNIT`; they depend on the seed only, and are not mirrored.  Beyond its
    edge a frame goes on as it is there.  A channel whose weights sum to less than zero is mostly
    black at strength 1.

    After Lee et al. 2020 (arXiv 1910.05396) and Xu et al. 2021 (arXiv 2007.13003).

    Raises:
        ValueError: these are no pixels, the strength is out of range, or the seed is no whole
            number of at least 0.
    """
    pixels, strength = _checked("random-conv", pixels, strength)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed of random-conv must be a whole number of at least 0, got {seed!r}")
    import torch  # here, since the command line must start without it

    weight = torch.from_numpy(random_weights(seed))

    def mix(old: np.ndarray, new: np.ndarray) -> None:
        before = old.astype(np.float32)
        edged = np.pad(before, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        after = torch.nn.functional.conv2d(torch.from_numpy(edged).permute(0, 3, 1, 2), weight)
        after_hwc = after.permute(0, 2, 3, 1).numpy()
        new[...] = _rounded((1 - strength) * before + strength * after_hwc)

    return _by_chunks(mix, pixels)


def random_weights(seed: int) -> np.ndarray:
    """The weights of `random_convolution`, float32 [new channel, old channel, row, column]."""
    drawn = np.random.default_rng(seed).normal(0, 27**-0.5, (3, 3, 3, 3))
    return (np.rint(drawn / WEIGHT_UNIT) * WEIGHT_UNIT).astype(np.float32)


TRANSFORMATIONS: dict[str, Transformation] = {
    "brightness": Transformation(
        function=brightness,
        low=-1.0,
        high=1.0,
        seeded=False,
        strengths=(-0.8, -0.4, -0.2, 0.2, 0.4, 0.8),
        description="All values are multiplied: darker or brighter.",
    ),
    "contrast": Transformation(
        function=contrast,
        low=-1.0,
        high=1.0,
        seeded=False,
        strengths=(-0.8, -0.4, -0.2, 0.2, 0.4, 0.8),
        description="All values move towards mid grey or away from it.",
    ),
    "saturation": Transformation(
        function=saturation,
        low=-1.0,
        high=1.0,
        seeded=False,
        strengths=(-1.0, -0.6, -0.3, 0.3, 0.6, 1.0),
        description="Colours move towards the grey of the same luma or away from it.",
    ),
    "hue": Transformation(
        function=hue,
        low=-0.5,
        high=0.5,
        seeded=False,
        strengths=(-0.3, -0.1, -0.05, 0.05, 0.1, 0.3, 0.5),
        description="All hues turn by the same share of the colour circle.",
    ),
    "random-conv": Transformation(
        function=random_convolution,
        low=0.0,
        high=1.0,
        seeded=True,
        strengths=(0.1, 0.2, 0.3, 0.4, 0.6, 0.8),
        description="A random convolution is mixed in: other colours and textures, same shapes.",
    ),
}


def _checked(name: str, pixels: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.shape[-3:] != FRAME:
        raise ValueError(
            f"pixels must be uint8 of shape [..., 64, 64, 3], got {pixels.dtype} of shape"
            f" {list(pixels.shape)}"
        )
    known = TRANSFORMATIONS[name]
    if not known.low <= strength <= known.high:
        raise ValueError(
            f"strength of {name} must be from {known.low:g} to {known.high:g}, got {strength}"
        )
    return pixels, float(strength)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Nearest whole numbers from 0 to 255, those halfway to the even one."""
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def _by_chunks(write: Callable[[np.ndarray, np.ndarray], None], pixels: np.ndarray) -> np.ndarray:
    """A new array [..., 64, 64, 3] that `write(old, new)` fills, a few frames at a time."""
    old = pixels.reshape(-1, *FRAME)
    new = np.empty(old.shape, np.uint8)
    for first in range(0, len(old), CHUNK):
        write(old[first : first + CHUNK], new[first : first + CHUNK])
    return new.reshape(pixels.shape)


def _angle(
    red: np.ndarray, green: np.ndarray, blue: np.ndarray, largest: np.ndarray, chroma: np.ndarray
) -> np.ndarray:
    """Hue in sixths of a turn from red, times chroma: whole numbers from -chroma to 5 chroma."""
    by_red = red == largest
    by_green = ~by_red & (green == largest)
    by_blue = ~(by_red | by_green)
    return (
        by_red * (green - blue)
        + by_green * (2 * chroma + blue - red)
        + by_blue * (4 * chroma + red - green)
    )
