"""Problem files: the JSON that `mdtheory check` reads.

Keys: `discount`, `initial` [S], `transition` [S][A][S], `reward` [S][A], optional `reward_bounds`
[2], `weights` [F], `train` [F] booleans, `policies` [F][S][A] (the latent policy under each
rendering), optional `baseline_policies` [F][S][A] (a second policy, the one before an update or
another agent).  A number is a JSON number or a string such as "9/10"; read exactly, 0.1 is 1/10.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from mdtheory import exact, validation
from mdtheory.mdp import FiniteMDP
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.rendering import RenderingFamily

AXES: dict[str, tuple[str, ...]] = {
    "discount": (),
    "initial": ("s",),
    "transition": ("s", "a", "s'"),
    "reward": ("s", "a"),
    "reward_bounds": ("i",),
    "weights": ("f",),
    "train": ("f",),
    "policies": ("f", "s", "a"),
    "baseline_policies": ("f", "s", "a"),
}
OPTIONAL = ("reward_bounds", "baseline_policies")


def load_problem(path: str | Path, *, in_rationals: bool = False) -> Instance:
    """Read a problem file; with `in_rationals` every number is kept exact.

    Raises:
        ValueError: one line that names key, index and value.
        OSError: when the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text: {error}") from None
    return parse_problem(text, in_rationals=in_rationals)


def parse_problem(text: str, *, in_rationals: bool = False) -> Instance:
    """`load_problem` for the file's text."""
    try:
        content = json.loads(
            text,
            parse_float=_number if in_rationals else float,
            parse_int=_number,
            object_pairs_hook=_without_repeats,
        )
    except RecursionError:
        raise ValueError("the file must be JSON, got brackets nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the file must be JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"the file must hold a JSON object, got {type(content).__name__}")
    for key in content:
        if key not in AXES:
            raise ValueError(validation.unknown("key", key, AXES))
    for key in AXES:
        if key not in content and key not in OPTIONAL:
            required = ", ".join(k for k in AXES if k not in OPTIONAL)
            raise ValueError(f"key {key!r} is missing; needed are {required}")
    numbers = {
        key: _numbers(key, value)
        for key, value in content.items()
        if key != "train" and not (value is None and key in OPTIONAL)
    }
    for key, value in numbers.items():
        array = validation.parse_array(key, value, AXES[key])
        if array.ndim != len(AXES[key]):
            raise ValueError(
                f"{key} must have axes [{', '.join(AXES[key])}], got shape {list(array.shape)}"
            )
        numbers[key] = validation.unify(in_rationals, key, array, AXES[key])
    mdp_keys = ("transition", "reward", "initial", "discount", "reward_bounds")
    mdp = FiniteMDP(**{key: numbers[key] for key in mdp_keys if key in numbers})
    renderings = RenderingFamily.distinct(
        mdp.n_states, train_mask=content["train"], weights=numbers["weights"]
    )
    problem = Problem(mdp=mdp, renderings=renderings)
    policy = LatentPolicy(numbers["policies"])
    problem.require_policy(policy, "policies")
    baseline = None
    if "baseline_policies" in numbers:
        baseline = LatentPolicy(numbers["baseline_policies"], name="baseline_policies")
        problem.require_policy(baseline, "baseline_policies")
    return Instance(problem, policy, baseline)


def dump_problem(
    problem: Problem, policy: LatentPolicy, baseline: LatentPolicy | None = None
) -> str:
    """The text of a problem file, exact numbers as "p/q"; single problems only."""
    mdp, renderings = problem.mdp, problem.renderings
    if not isinstance(mdp, FiniteMDP) or mdp.batch_shape or policy.probabilities.ndim != 3:
        raise ValueError("a problem file holds a single dense problem, got a batch or a SparseMDP")
    arrays = {
        "discount": mdp.discount,
        "initial": mdp.initial,
        "transition": mdp.transition,
        "reward": mdp.reward,
        "reward_bounds": mdp.reward_bounds,
        "weights": renderings.weights,
        "train": renderings.train_mask,
        "policies": policy.probabilities,
    }
    if baseline is not None:
        arrays["baseline_policies"] = baseline.probabilities
    return layout({key: array.tolist() for key, array in arrays.items()})


def layout(content: Mapping[str, Any]) -> str:
    """The text of a problem file with these keys and values, a line for each."""
    lines = (f"{json.dumps(k)}: {json.dumps(v, default=_text)}" for k, v in content.items())
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def check_command(path: str | Path, bound: str) -> str:
    """What confirms a bound's verdict from a problem file alone, as one types it."""
    return shlex.join(["mdtheory", "check", str(path), "--exact", "--bound", bound])


def _text(value: Fraction) -> str | int:
    is_short_integer = value.denominator == 1 and value.numerator.bit_length() < 64
    return value.numerator if is_short_integer else exact.text(value)


def _number(text: str) -> Fraction:
    """A JSON number; where in the file it stands is not known here."""
    try:
        return validation.rational(text)
    except ValueError as error:
        raise ValueError(f"every number {error}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {key!r} must appear once, got it twice")
        content[key] = value
    return content


def _numbers(name: str, node: Any, index: tuple[int, ...] = ()) -> Any:
    """Strings at the leaves become numbers; every leaf that is none is named."""
    if isinstance(node, list) and len(index) < len(AXES[name]):
        return [_numbers(name, child, (*index, i)) for i, child in enumerate(node)]
    place = validation.located(name, AXES[name], index)
    if isinstance(node, str):
        try:
            node = validation.rational(node)
        except ValueError as error:
            raise ValueError(f"{place} {error}") from None
    if isinstance(node, bool) or not isinstance(node, Fraction | float):
        got = (
            f"a list of {len(node)}"
            if isinstance(node, list)
            else json.dumps(node, default=str)[:40]
        )
        raise ValueError(f"{place} must be a number, got {got}")
    return node
