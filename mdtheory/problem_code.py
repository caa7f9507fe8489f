"""An instance as Python: code that can be pasted anywhere and builds it again."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

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
    numbers = {
        name: _nested(getattr(mdp, name).tolist(), 16)
        for name in ("transition", "reward", "initial", "discount", "reward_bounds")
    }
    # A whole number as well must be a Fraction somewhere: that is what makes an MDP exact.
    if mdp.exact and not mdp.batch_shape:
        numbers["discount"] = _quotient(mdp.discount.item())
    looks = {
        name: _nested(getattr(renderings, name).tolist(), 16)
        for name in ("observation", "train_mask", "weights")
    }
    if renderings.names != tuple(f"f{f}" for f in range(renderings.n_renderings)):
        looks["names"] = _nested(list(renderings.names), 16)
    problem = {
        "mdp": _call("FiniteMDP", numbers, 8),
        "renderings": _call("RenderingFamily", looks, 8),
    }
    fields = {"problem": _call("Problem", problem, 4), "policy": _policy(instance.policy)}
    if instance.baseline is not None:
        fields["baseline"] = _policy(instance.baseline)
    return _HEAD + _call("Instance", fields, 0) + "\n"


def _policy(policy: LatentPolicy) -> str:
    return f"LatentPolicy(\n        {_nested(policy.probabilities.tolist(), 8)}\n    )"


def _call(name: str, fields: dict[str, str], indent: int) -> str:
    margin = " " * indent
    lines = [f"{margin}    {key}={value},\n" for key, value in fields.items()]
    return f"{name}(\n{''.join(lines)}{margin})"


def _nested(node: Any, indent: int) -> str:
    """Nested lists, each on one line if it fits there or holds no other."""
    text = _one_line(node)
    if indent + len(text) <= _WIDTH or not isinstance(node[0], list):
        return text
    margin = " " * indent
    lines = [f"{margin}    {_nested(child, indent + 4)},\n" for child in node]
    return f"[\n{''.join(lines)}{margin}]"


def _one_line(node: Any) -> str:
    if isinstance(node, list):
        return f"[{', '.join(map(_one_line, node))}]"
    if not isinstance(node, Fraction):
        return repr(node)
    return _whole(node.numerator) if node.denominator == 1 else _quotient(node)


def _quotient(number: Fraction) -> str:
    parts = [number.numerator, number.denominator][: 1 + (number.denominator > 1)]
    return f"Q({', '.join(map(_whole, parts))})"


def _whole(number: int) -> str:
    return str(number) if number.bit_length() <= _LONGEST_DECIMAL else hex(number)
