"""The door: every array, probability and name enters the package through here.

Each function returns the checked value or raises one error that names the argument, the index
and the value, and says what would be right.  Numbers are either floats or exact rationals:
an array leaves here as float64 or as a read-only object array of `fractions.Fraction`.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

SUM_TOLERANCE = 1e-9
"""How far a row of float probabilities may be from summing to 1; exact rows must be exact."""

Axes = tuple[str, ...]
"""Names of an array's trailing axes, for messages: `("s", "a")`; leading axes are batch axes."""


def located(name: str, axes: Axes, index: Iterable[int]) -> str:
    """`located("reward", ("s", "a"), (2, 0))` is `"reward[s=2, a=0]"`."""
    index = tuple(int(i) for i in index)
    labels = ("batch",) * max(0, len(index) - len(axes)) + axes
    inside = ", ".join(f"{label}={i}" for label, i in zip(labels, index, strict=False))
    return f"{name}[{inside}]" if inside else name


def shown(value: Any) -> str:
    """A number as a person writes it: `1/3`, `0.5`, `nan`."""
    return str(value) if isinstance(value, Fraction | int | str) else f"{value:.17g}"


def unknown(kind: str, name: object, known: Collection[str]) -> str:
    """Message for an unknown name, with the nearest known one as a suggestion."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}"


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
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _from_nested(name: str, value: Any, axes: Axes) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        _require_rectangular(name, value, axes)
        array = np.asarray(value, dtype=object)
    if array.dtype.kind in "OUSb":  # text would swallow the numbers beside it
        array = np.asarray(value, dtype=object)
        if any(isinstance(entry, list | tuple) for entry in array.flat):
            _require_rectangular(name, value, axes)
        return _fractions(name, array, axes)
    return array


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
                f"{located(name, axes, index)} must be a list of {shape[0]}, got {node!r}"
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
    return array.astype(np.float64) if has_float else as_exact(array)


def first(mask: np.ndarray) -> tuple[int, ...]:
    """Index of the first true entry."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def is_exact(*arrays: np.ndarray) -> bool:
    """Whether all numbers are rational and at least one is given as a `Fraction`."""
    kinds = {array.dtype.kind for array in arrays}
    return "O" in kinds and "f" not in kinds


def as_exact(array: np.ndarray) -> np.ndarray:
    """Integers and rationals as an object array of `Fraction`."""
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        entry: Any = array[index]
        out[index] = Fraction(int(entry.numerator), int(entry.denominator))
    return out


def unify(exact: bool, array: np.ndarray) -> np.ndarray:
    """The array as `Fraction` objects or float64, read-only."""
    if not exact:
        return frozen(array.astype(np.float64))
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


def require_distribution(name: str, array: np.ndarray, axes: Axes) -> None:
    """Nonnegative along the last axis, summing to 1 (exactly, or within `SUM_TOLERANCE`)."""
    bad = np.asarray(array < 0, dtype=bool)
    if bad.any():
        index = first(bad)
        raise ValueError(
            f"{located(name, axes, index)} must be at least 0, got {shown(array[index])}"
        )
    total = np.asarray(array.sum(axis=-1))
    tolerance = 0 if array.dtype.kind == "O" else SUM_TOLERANCE
    bad = np.asarray(abs(total - 1) > tolerance, dtype=bool)
    if bad.any():
        index = first(bad)
        raise ValueError(
            f"{located(name, axes[:-1], index)} must sum to 1, got {shown(total[index])}"
        )


def parse_mask(name: str, value: Any, axis: str) -> np.ndarray:
    """A list of booleans as a read-only array."""
    entries = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if not entries:
        raise ValueError(f"{name} must be a list of booleans, got {value!r}")
    for i, entry in enumerate(entries):
        if not isinstance(entry, bool | np.bool_):
            raise ValueError(f"{name}[{axis}={i}] must be true or false, got {entry!r}")
    return frozen(np.array(entries, dtype=bool))
