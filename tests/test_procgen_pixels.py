"""Transformations of pixels: by hand, against Pillow and colorsys, and laws that all must keep."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from experiments.envs.procgen.pixels import (
    MID_GREY,
    TRANSFORMATIONS,
    WEIGHT_UNIT,
    brightness,
    contrast,
    hue,
    random_convolution,
    random_weights,
    saturation,
)

NAMES = list(TRANSFORMATIONS)
STRENGTHS = [(name, s) for name in NAMES for s in TRANSFORMATIONS[name].strengths]
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
NAN = float("nan")


def frames(n: int, seed: int = 0, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (n, 64, 64, 3), dtype=np.uint8)


def transform(name: str, pixels: np.ndarray, strength: float, seed: int = 3) -> np.ndarray:
    known = TRANSFORMATIONS[name]
    return known.function(pixels, strength, *([seed] if known.seeded else []))


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((64, 64, 3), colour, np.uint8)


def only_colour(pixels: np.ndarray) -> tuple[int, ...]:
    (colour,) = np.unique(pixels.reshape(-1, 3), axis=0)
    return tuple(colour.tolist())


# By hand


@pytest.mark.parametrize(
    ("function", "strength", "before", "after"),
    [
        (brightness, 0.5, (10, 101, 200), (15, 152, 255)),  # 151.5 goes to the even neighbour
        (brightness, -0.75, (10, 101, 200), (2, 25, 50)),
        (brightness, -1, (10, 101, 200), (0, 0, 0)),
        (contrast, 1, (0, 100, 200), (0, 72, 255)),  # 127.5 - 2 x 27.5 = 72.5
        (contrast, -0.5, (0, 100, 255), (64, 114, 191)),  # 63.75, 113.75, 191.25
        (contrast, -1, (0, 100, 255), (128, 128, 128)),
        (saturation, -1, RED, (76, 76, 76)),  # 0.299 x 255 = 76.2
        (saturation, -1, GREEN, (150, 150, 150)),
        (saturation, -1, BLUE, (29, 29, 29)),
        (saturation, -0.5, (100, 50, 0), (80, 54, 30)),  # grey 59: 79.5, 54.5, 29.5
        (saturation, 1, (100, 50, 0), (141, 41, 0)),
        (saturation, 0.7, (90, 90, 90), (90, 90, 90)),
        (hue, 1 / 6, RED, (255, 255, 0)),
        (hue, 1 / 12, (210, 10, 10), (210, 110, 10)),
        (hue, -1 / 12, (210, 10, 10), (210, 10, 110)),
        (hue, 0.5, (20, 60, 100), (100, 60, 20)),
        (hue, 0.3, (90, 90, 90), (90, 90, 90)),
    ],
)
def test_one_colour_becomes_what_it_does_by_hand(function, strength, before, after):
    assert only_colour(function(plain(before), strength)) == after


@pytest.mark.parametrize("before", [RED, GREEN, BLUE, (200, 30, 30), (255, 255, 0)])
def test_a_third_of_a_turn_moves_each_channel_to_the_next(before):
    red, green, blue = before
    assert only_colour(hue(plain(before), 1 / 3)) == (blue, red, green)
    assert only_colour(hue(plain(before), -1 / 3)) == (green, blue, red)


def test_convolving_one_colour_multiplies_it_by_the_sums_of_the_weights():
    sums = random_weights(7).astype(float).sum(axis=(2, 3))
    before = np.array([180, 90, 30])
    mixed = 0.4 * before + 0.6 * sums @ before
    after = only_colour(random_convolution(plain((180, 90, 30)), 0.6, seed=7))
    assert np.abs(np.clip(mixed, 0, 255) - after).max() <= 0.5001


# Against others


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_agrees_with_pillow_within_its_truncation(name: str, peer: Callable[..., Any]):
    pixels = frames(1)[0]
    pixels[32:] = 255 - pixels[:32]  # so its mean grey, Pillow's pivot, is mid grey
    for strength in (-1, -0.9, -0.35, 0, 0.1, 0.6, 1):
        theirs = np.asarray(peer(Image.fromarray(pixels)).enhance(1 + strength)).astype(int)
        assert np.abs(transform(name, pixels, strength) - theirs).max() <= 1


def test_without_saturation_a_picture_is_the_grey_one_of_pillow():
    pixels = frames(1)[0]
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(saturation(pixels, -1), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("strength", [-0.5, -0.21, -1e-9, 0.003, 0.1, 1 / 3, 0.47, 0.5])
def test_hue_is_that_of_colorsys(strength):
    pixels = frames(1)[0]
    pixels[0] = pixels[0, :, :1]  # greys
    pixels[1, :, 1] = pixels[1, :, 0]  # two channels that are equal
    pixels[2, :, 2] = pixels[2, :, 0]
    pixels[3, :, 2] = pixels[3, :, 1]
    exact = []
    for colour in pixels.reshape(-1, 3).tolist():
        turned, *rest = colorsys.rgb_to_hsv(*colour)
        exact.append(colorsys.hsv_to_rgb((turned + strength) % 1, *rest))
    after = hue(pixels, strength).reshape(-1, 3)
    assert np.abs(after - np.array(exact)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_convolution_is_the_sum_over_neighbours(strength):
    pixels, weight = frames(1)[0], random_weights(5).astype(float)
    conv = np.zeros((64, 64, 3))
    for row in range(64):
        for column in range(64):
            for down in range(3):
                for right in range(3):
                    at_row = min(max(row + down - 1, 0), 63)
                    at_column = min(max(column + right - 1, 0), 63)
                    conv[row, column] += weight[:, :, down, right] @ pixels[at_row, at_column]
    exact = np.clip((1 - strength) * pixels + strength * conv, 0, 255)
    assert np.abs(random_convolution(pixels, strength, seed=5) - exact).max() <= 0.5001


# The weights


def test_seeds_give_the_same_weights_again_and_others_different_ones():
    pixels = frames(2)
    one, again, other = (random_convolution(pixels, 0.5, seed) for seed in (1, np.int64(1), 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.5


def test_weights_have_the_stated_spread():
    weights = np.stack([random_weights(seed) for seed in range(500)]).ravel()
    assert abs(weights.mean()) < 0.004  # 4 standard errors
    assert abs(weights.std() - 27**-0.5) < 0.003


@given(st.integers(0, 2**64))
def test_sums_of_weighted_pixels_are_exact_in_float32(seed):
    weights = random_weights(seed)
    assert (weights % WEIGHT_UNIT == 0).all()
    assert 255 * np.abs(weights).sum(axis=(1, 2, 3)).max() / WEIGHT_UNIT < 2**24


# Laws of all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
def test_strength_zero_changes_nothing(name, zero):
    pixels = frames(20)
    np.testing.assert_array_equal(transform(name, pixels, zero), pixels)


@pytest.mark.parametrize(("name", "strength"), [(name, 0.0) for name in NAMES] + STRENGTHS)
def test_results_are_new_and_the_pixels_stay(name, strength):
    pixels = frames(2)
    before = pixels.copy()
    after = transform(name, pixels, strength)
    assert after.dtype == np.uint8
    assert after.flags.writeable
    assert not np.shares_memory(after, pixels)
    np.testing.assert_array_equal(pixels, before)
    first = after.copy()
    after[:] = 0  # nor does a later call get to see it
    np.testing.assert_array_equal(transform(name, pixels, strength), first)


@pytest.mark.parametrize(("name", "strength"), STRENGTHS)
def test_a_frame_alone_becomes_what_it_does_in_a_batch(name, strength):
    pixels = frames(64)
    together = transform(name, pixels, strength)
    for i in (0, 1, 15, 16, 40, 63):
        np.testing.assert_array_equal(transform(name, pixels[i], strength), together[i])
    np.testing.assert_array_equal(transform(name, pixels[5:42], strength), together[5:42])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3), (2, 1, 3), (0,), (0, 4)])
def test_leading_axes_stay(name, leading):
    pixels = frames(6)[: int(np.prod(leading))].reshape(*leading, 64, 64, 3)
    after = transform(name, pixels, 0.3)
    assert after.shape == pixels.shape
    flat = transform(name, pixels.reshape(-1, 64, 64, 3), 0.3)
    np.testing.assert_array_equal(after, flat.reshape(pixels.shape))


@pytest.mark.parametrize("name", NAMES)
def test_the_layout_in_memory_does_not_matter(name):
    pixels = frames(40)
    strided = pixels[::2, :, ::-1]
    read_only = np.asfortranarray(strided)
    read_only.flags.writeable = False
    after = transform(name, strided.copy(), 0.3)
    for same in (strided, read_only):
        assert transform(name, same, 0.3).flags.c_contiguous
        np.testing.assert_array_equal(transform(name, same, 0.3), after)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_pictures_move_away_as_strength_grows(name, sign):
    pixels = frames(2, low=64, high=192)
    known = TRANSFORMATIONS[name]
    end = known.high if sign > 0 else known.low
    strengths = np.linspace(0, end, 9) if end else []
    moved = [np.abs(transform(name, pixels, s).astype(int) - pixels) for s in strengths]
    for less, more in pairwise(moved):
        assert less.mean() < more.mean()
        assert name == "hue" or (less <= more).all()  # hues come round again


def test_contrast_keeps_the_order_around_mid_grey():
    pixels = frames(1)
    for strength in TRANSFORMATIONS["contrast"].strengths:
        after = contrast(pixels, strength).astype(int)
        assert ((after > MID_GREY) == (pixels > MID_GREY)).all()


def test_hue_keeps_value_and_chroma():
    pixels = frames(1)
    for strength in TRANSFORMATIONS["hue"].strengths:
        after = hue(pixels, strength)
        np.testing.assert_array_equal(after.max(axis=-1), pixels.max(axis=-1))
        np.testing.assert_array_equal(after.min(axis=-1), pixels.min(axis=-1))


@pytest.mark.parametrize("name", NAMES)
def test_the_table_offers_strengths_in_order_and_in_range(name):
    known = TRANSFORMATIONS[name]
    assert list(known.strengths) == sorted(set(known.strengths) - {0.0})
    assert known.low <= known.strengths[0]
    assert known.strengths[-1] <= known.high
    assert known.description.endswith(".")
    for end in (known.low, known.high):
        transform(name, frames(1), end)


# Errors


@pytest.mark.parametrize(
    ("name", "strength", "message"),
    [
        ("brightness", 1.5, "strength of brightness must be from -1 to 1, got 1.5"),
        ("contrast", -1.01, "strength of contrast must be from -1 to 1, got -1.01"),
        ("saturation", NAN, "strength of saturation must be from -1 to 1, got nan"),
        ("hue", 0.51, "strength of hue must be from -0.5 to 0.5, got 0.51"),
        ("random-conv", -0.1, "strength of random-conv must be from 0 to 1, got -0.1"),
        ("random-conv", 2, "strength of random-conv must be from 0 to 1, got 2"),
    ],
)
def test_a_strength_out_of_range_is_named(name, strength, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        transform(name, frames(1), strength)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (np.zeros((2, 64, 64, 3), np.float32), "float32 of shape [2, 64, 64, 3]"),
        (np.zeros((2, 3, 64, 64), np.uint8), "uint8 of shape [2, 3, 64, 64]"),
        (np.zeros((64, 64), np.uint8), "uint8 of shape [64, 64]"),
        (np.uint8(0), "uint8 of shape []"),
    ],
)
def test_pixels_of_another_type_or_shape_are_named(name, pixels, got):
    message = f"pixels must be uint8 of shape [..., 64, 64, 3], got {got}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        transform(name, pixels, 0)


@pytest.mark.parametrize("seed", [-1, None, 1.0, True, "3"])
def test_a_seed_that_is_no_whole_number_is_named(seed):
    message = f"seed of random-conv must be a whole number of at least 0, got {seed!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        random_convolution(frames(1), 0.5, seed)
