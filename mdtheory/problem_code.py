"""An instance as Python: code that can be pasted anywhere and builds it again."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from mdtheory.mdp import SparseMDP
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Instance

_WIDTH = 88
_HEAD = """\
from fractions import Fraction as Q

from mdtheory import FiniteMDP, Instance, LatentPolicy, Problem, RenderingFamily

instance = """
_LONGEST_DECIMAL = 10_000
"""Bits up to which Python reads a whole number in decimals."""


def python_code(instance: Instance) -> str:
    """Imports and one assignment to `instance`, with every number as it is.

    Raises:
        ValueError: for a SparseMDP.
    """
    mdp, renderings = instance.problem.mdp, instance.problem.renderings
    if isinstance(mdp, SparseMDP):
        raise ValueError("Python code holds a dense problem, got a SparseMDP")
    names = ("transition", "reward", "initial", "discount", "reward_bounds")
    looks = {name: getattr(renderings, name) for name in ("observation", "train_mask", "weights")}
    if renderings.names != tuple(f"f{f}" for f in range(renderings.n_renderings)):
        looks["names"] = np.array(renderings.names, dtype=object)
    problem = {
        "mdp": _call("FiniteMDP", {name: _array(getattr(mdp, name), 16) for name in names}, 8),
        "renderings": _call(
            "RenderingFamily", {name: _array(array, 16) for name, array in looks.items()}, 8
        ),
    }
    fields = {"problem": _call("Problem", problem, 4), "policy": _policy(instance.policy)}
    if instance.baseline is not None:
        fields["baseline"] = _policy(instance.baseline)
    return _HEAD + _call("Instance", fields, 0) + "\n"


def _policy(policy: LatentPolicy) -> str:
    return f"LatentPolicy(\n        {_array(policy.probabilities, 8)}\n    )"


def _call(name: str, fields: dict[str, str], indent: int) -> str:
    margin = " " * indent
    lines = [f"{margin}    {key}={value},\n" for key, value in fields.items()]
    return f"{name}(\n{''.join(lines)}{margin})"


def _array(array: np.ndarray, indent: int) -> str:
    """Nested lists, each on one line if it fits."""
    # A number alone must be a Fraction: that is what makes the MDP beside it exact.
    text = _entry(array[()], plain=False) if array.ndim == 0 else _one_line(array)
    if indent + len(text) <= _WIDTH or array.ndim < 2:
        return text
    margin = " " * indent
    parts = ",\n".join(f"{margin}    {_array(part, indent + 4)}" for part in array)
    return f"[\n{parts},\n{margin}]"


def _one_line(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _entry(array[()], plain=True)
    return f"[{', '.join(_one_line(part) for part in array)}]"


def _entry(value: Any, *, plain: bool) -> str:
    if not isinstance(value, Fraction):
        return repr(value.item() if isinstance(value, np.generic) else value)
    numerator, denominator = _whole(value.numerator), _whole(value.denominator)
    if value.denominator == 1:
        return numerator if plain else f"Q({numerator})"
    return f"Q({numerator}, {denominator})"


def _whole(number: int) -> str:
    return str(number) if number.bit_length() <= _LONGEST_DECIMAL else hex(number)
