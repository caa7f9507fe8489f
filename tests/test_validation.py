"""The door: what comes out of it, and how places and numbers are written in messages."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdtheory import validation


def test_places_are_written_with_the_names_of_their_axes():
    assert validation.located("reward", ("s", "a"), (2, 0)) == "reward[s=2, a=0]"
    assert validation.located("reward", ("s", "a"), (7, 2, 0)) == "reward[batch=7, s=2, a=0]"
    assert validation.located("discount", (), ()) == "discount"


def test_numbers_are_written_as_a_person_writes_them():
    texts = [validation.shown(x) for x in (Fraction(1, 3), 0.5, float("nan"), 3, np.float64(0.1))]
    assert texts == ["1/3", "0.5", "nan", "3", "0.10000000000000001"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1, 2], "i"),
        ([1, 0.5], "f"),
        ([Fraction(1), 0.5], "f"),
        ([Fraction(1), 2], "O"),
        (np.array([1, 2], dtype=np.int8), "i"),
        (np.array([1, 2], dtype=np.float32), "f"),
        ([[1, 2], [3, 4]], "i"),
    ],
)
def test_arrays_are_floats_integers_or_fractions(value, kind):
    array = validation.parse_array("x", value, ("s",))
    assert array.dtype in {"i": [np.int64], "f": [np.float64], "O": [object]}[kind]
    if kind == "O":
        assert all(type(x) is Fraction for x in array.flat)


def test_exactness_needs_a_fraction_and_no_float():
    integers, floats = np.array([1]), np.array([0.5])
    rationals = np.array([Fraction(1, 2)], dtype=object)
    assert validation.is_exact(rationals, integers)
    assert not validation.is_exact(integers)
    assert not validation.is_exact(rationals, floats)


def test_the_first_true_entry_is_found_in_reading_order():
    assert validation.first(np.array([[False, False], [True, True]])) == (1, 0)


def test_unified_arrays_are_read_only_copies():
    integers = np.array([1, 2])
    for exact, kind in ((True, "O"), (False, "f")):
        out = validation.unify(exact, "x", integers, ("i",))
        assert out.dtype.kind == kind
        assert not out.flags.writeable
        assert out.tolist() == [1, 2]


def test_the_callers_array_stays_writeable():
    rationals = np.array([Fraction(1, 2)], dtype=object)
    out = validation.unify(True, "x", rationals, ("i",))
    rationals[0] = Fraction(1)
    assert out.tolist() == [Fraction(1, 2)]


def test_batch_shapes_broadcast_like_numpy():
    assert validation.broadcast_batches({"a": (3,), "b": (2, 1), "c": ()}) == (2, 3)


@pytest.mark.parametrize("value", [[True, False], (True, False), np.array([True, False])])
def test_masks_are_read_only_booleans(value):
    mask = validation.parse_mask("train", value, "f")
    assert mask.dtype == bool
    assert not mask.flags.writeable
    assert mask.tolist() == [True, False]
