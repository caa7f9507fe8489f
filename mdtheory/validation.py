"""The door: every array, probability and name enters the package through here.

Each function returns the checked value or raises one error that names the argument, the index
and the value, and says what would be right.  Numbers are either floats or exact rationals:
an array leaves here as float64 or as a read-only object array of `fractions.Fraction`.
"""

from __future__ import annotations

import decimal
import difflib
import math
import numbers
import re
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

SUM_TOLERANCE = 1e-9
"""How far a row of float probabilities may be from summing to 1; exact rows must be exact."""

_INT64_MAX = np.iinfo(np.int64).max

Axes = tuple[str, ...]
"""Names of an array's trailing axes, for messages: `("s", "a")`; leading axes are batch axes."""


def located(name: str, axes: Axes, index: Iterable[int]) -> str:
    """`located("reward", ("s", "a"), (2, 0))` is `"reward[s=2, a=0]"`."""
    index = tuple(int(i) for i in index)
    labels = ("batch",) * max(0, len(index) - len(axes)) + axes
    inside = ", ".join(f"{label}={i}" for label, i in zip(labels, index, strict=False))
    return f"{name}[{inside}]" if inside else name


def shown(value: Any) -> str:
    """A number as a person writes it: `1/3`, `0.5`, `nan`; long ones by their leading digits."""
    if not isinstance(value, Fraction | int):
        return str(value) if isinstance(value, str) else f"{value:.17g}"
    value = Fraction(value)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) <= 128:
        return str(value)
    return f"about {approximately(value, 17)}"


def approximately(value: Fraction, digits: int) -> str:
    """A rational's leading decimal digits, also beyond the range of float64."""
    with decimal.localcontext() as context:
        context.prec = digits + 5
        return f"{decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator):.{digits}g}"


_NUMBER = re.compile(r"[+-]?([0-9]+/[0-9]+|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?)")
_LONGEST_NUMBER = 4000


def rational(text: str) -> Fraction:
    """A decimal or a quotient, exactly; bounded, so that no short text becomes a huge number."""
    text = text.strip()
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(
            f"must be a number of at most {_LONGEST_NUMBER} characters, got {len(text)}"
        )
    if not _NUMBER.fullmatch(text) or re.search(r"/0+$", text):
        raise ValueError(f'must be a number such as 0.9 or "9/10", got {text[:40]!r}')
    return Fraction(text)


def unknown(kind: str, name: object, known: Collection[str]) -> str:
    """Message for an unknown name, with the nearest known one as a suggestion."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}"


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """The value as an integer; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    number = int(value)
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def parse_array(name: str, value: Any, axes: Axes) -> np.ndarray:
    """Finite numbers with at least `len(axes)` axes: float64, int64, or objects of `Fraction`."""
    array = value if isinstance(value, np.ndarray) else _from_nested(name, value, axes)
    if array.ndim < len(axes):
        raise ValueError(
            f"{name} must have axes [{', '.join(axes)}], got an array of shape {array.shape}"
        )
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if array.dtype.kind == "O":
        return _fractions(name, array, axes)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{located(name, axes, (0,) * array.ndim)} must be a number, got {array.flat[0]!r}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        index = first(~np.isfinite(array))
        raise ValueError(
            f"{located(name, axes, index)} must be a finite number, got {array[index]}"
        )
    if array.dtype == np.uint64 and array.max() > _INT64_MAX:
        return as_exact(array)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def scalar(name: str, value: Any) -> Fraction | float:
    """A rational as a `Fraction`, any other number as a float."""
    array = parse_array(name, value, ())
    if array.ndim:
        raise ValueError(f"{name} must be a number, got an array of shape {array.shape}")
    if array.dtype.kind == "f":
        return float(array)
    rational: Fraction = as_exact(array).item()
    return rational


def _from_nested(name: str, value: Any, axes: Axes) -> np.ndarray:
    if _holds_bool(value):
        return _fractions(name, np.asarray(value, dtype=object), axes)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        _require_rectangular(name, value, axes)
        array = np.asarray(value, dtype=object)
    # Text swallows the numbers beside it, and integers beyond 64 bits may have become floats.
    if array.dtype.kind in "OUSb" or (array.dtype.kind == "f" and (abs(array) >= 2.0**63).any()):
        array = np.asarray(value, dtype=object)
        if any(isinstance(entry, list | tuple) for entry in array.flat):
            _require_rectangular(name, value, axes)
        return _fractions(name, array, axes)
    return array


def _holds_bool(value: Any) -> bool:
    """Whether nested lists hold a boolean, which NumPy would take for a number."""
    if isinstance(value, list | tuple):
        return any(_holds_bool(entry) for entry in value)
    return isinstance(value, bool)


def _require_rectangular(name: str, value: Any, axes: Axes) -> None:
    """Raise for the first place where nested sequences stop being a rectangular array."""

    def walk(node: Any, shape: tuple[int, ...], index: tuple[int, ...]) -> None:
        is_list = isinstance(node, Sequence | np.ndarray) and not isinstance(node, str)
        if not shape:
            if is_list:
                raise ValueError(
                    f"{located(name, axes, index)} must be a number, got a list of {len(node)}"
                )
            return
        if not is_list:
            raise ValueError(
                f"{located(name, axes, index)} must be a list of {shape[0]},"
                f" got {shown(node) if isinstance(node, Fraction) else repr(node)}"
            )
        if len(node) != shape[0]:
            raise ValueError(
                f"{located(name, axes, index)} must have length {shape[0]}"
                f" like its neighbours, got length {len(node)}"
            )
        for i, child in enumerate(node):
            walk(child, shape[1:], (*index, i))

    shape: tuple[int, ...] = ()
    node = value
    while isinstance(node, Sequence | np.ndarray) and not isinstance(node, str) and len(node):
        shape, node = (*shape, len(node)), node[0]
    walk(value, shape, ())


def _fractions(name: str, array: np.ndarray, axes: Axes) -> np.ndarray:
    """Objects to `Fraction`, or to float64 as soon as one of them is a float."""
    has_float = False
    for index in np.ndindex(array.shape):
        entry = array[index]
        if isinstance(entry, bool | np.bool_) or not isinstance(entry, numbers.Real):
            raise ValueError(f"{located(name, axes, index)} must be a number, got {entry!r}")
        if not isinstance(entry, numbers.Rational):
            has_float = True
            if not math.isfinite(entry):
                raise ValueError(
                    f"{located(name, axes, index)} must be a finite number, got {entry}"
                )
    return as_float(name, array, axes) if has_float else as_exact(array)


def first(mask: np.ndarray) -> tuple[int, ...]:
    """Index of the first true entry."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def is_exact(*arrays: np.ndarray) -> bool:
    """Whether all numbers are rational and at least one is given as a `Fraction`."""
    kinds = {array.dtype.kind for array in arrays}
    return "O" in kinds and "f" not in kinds


def whole_in_lists(value: Any, array: np.ndarray) -> bool:
    """Whether an array was given as plain lists of whole numbers, which are exact as they stand."""
    return array.dtype.kind == "i" and not isinstance(value, np.ndarray)


def as_exact(array: np.ndarray) -> np.ndarray:
    """Integers and rationals as an object array of `Fraction`."""
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        entry: Any = array[index]
        out[index] = Fraction(int(entry.numerator), int(entry.denominator))
    return out


def as_float(name: str, array: np.ndarray, axes: Axes) -> np.ndarray:
    """The array in float64."""
    try:
        return array.astype(np.float64)
    except OverflowError:
        index = first(np.vectorize(lambda x: abs(x) >= 2**1024, otypes=[bool])(array))
        raise ValueError(
            f"{located(name, axes, index)} must fit a float64, got {shown(array[index])}"
        ) from None


def unify(exact: bool, name: str, array: np.ndarray, axes: Axes) -> np.ndarray:
    """The array as `Fraction` objects or float64, read-only."""
    if not exact:
        return frozen(as_float(name, array, axes))
    return frozen(array if array.dtype.kind == "O" else as_exact(array))


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view of a private copy of the array."""
    out = array.copy()
    out.setflags(write=False)
    return out


def require_shape(name: str, array: np.ndarray, axes: Axes, sizes: Sequence[int]) -> None:
    """The trailing axes must have these sizes."""
    got = array.shape[array.ndim - len(axes) :]
    if got != tuple(sizes):
        expected = ", ".join(f"{a}: {n}" for a, n in zip(axes, sizes, strict=True))
        raise ValueError(f"{name} must have shape [{expected}], got {list(got)}")


def broadcast_batches(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The common batch shape of several arguments, by NumPy's broadcasting rules."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"batch axes must agree, got {listed}") from None


def distribution(name: str, array: np.ndarray, axes: Axes) -> np.ndarray:
    """The array, read-only, if its last axis holds distributions.

    Exact rows must sum to 1 exactly; float rows within `SUM_TOLERANCE`, and are then divided by
    their sums unless these are 1 up to rounding, so that no statement is off by what was forgiven.
    """
    bad = np.asarray(array < 0, dtype=bool)
    if bad.any():
        index = first(bad)
        raise ValueError(
            f"{located(name, axes, index)} must be at least 0, got {shown(array[index])}"
        )
    exact = array.dtype.kind == "O"
    total = np.asarray(array.sum(axis=-1))
    bad = np.asarray(abs(total - 1) > (0 if exact else SUM_TOLERANCE), dtype=bool)
    if bad.any():
        index = first(bad)
        raise ValueError(
            f"{located(name, axes[:-1], index)} must sum to 1, got {shown(total[index])}"
        )
    rounding = array.shape[-1] * np.finfo(np.float64).eps
    if exact or (abs(total - 1) <= rounding).all():
        return array
    return frozen(array / total[..., None])


def parse_mask(name: str, value: Any, axis: str) -> np.ndarray:
    """A list of booleans as a read-only array."""
    entries = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if not entries:
        got = shown(value) if isinstance(value, Fraction) else repr(value)
        raise ValueError(f"{name} must be a list of booleans, got {got}")
    for i, entry in enumerate(entries):
        if not isinstance(entry, bool | np.bool_):
            got = shown(entry) if isinstance(entry, Fraction) else repr(entry)
            raise ValueError(f"{name}[{axis}={i}] must be true or false, got {got}")
    return frozen(np.array(entries, dtype=bool))
