"""Problem files: the JSON that `mdtheory check` reads.

Keys: `discount`, `initial` [S], `transition` [S][A][S], `reward` [S][A], optional `reward_bounds`
[2], `weights` [F], `train` [F] booleans, `policies` [F][S][A] (the latent policy under each
rendering), optional `baseline_policies` [F][S][A] (the policy before an update).  A number is a
JSON number or a string such as "9/10"; read exactly, 0.1 is 1/10.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from mdtheory import exact, validation
from mdtheory.mdp import FiniteMDP
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Problem
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

_NUMBER = re.compile(r"[+-]?(\d+/\d+|(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?)")
_LONGEST_NUMBER = 4000


class ProblemFile(NamedTuple):
    """A problem with the policy to check, and the policy before the update if there is one."""

    problem: Problem
    policy: LatentPolicy
    baseline: LatentPolicy | None


def load_problem(path: str | Path, *, in_rationals: bool = False) -> ProblemFile:
    """Read a problem file; with `in_rationals` every number is kept exact.

    Raises:
        ValueError: one line that names key, index and value.
        OSError: when the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text: {error}") from None
    return parse_problem(text, in_rationals=in_rationals)


def parse_problem(text: str, *, in_rationals: bool = False) -> ProblemFile:
    """`load_problem` for the file's text."""
    try:
        content = json.loads(
            text,
            parse_float=_rational if in_rationals else float,
            parse_int=_rational,
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
            raise ValueError(f"key {key!r} is missing; needed are {', '.join(AXES)}")
    numbers = {
        key: _numbers(key, value, (), in_rationals)
        for key, value in content.items()
        if key != "train" and not (value is None and key in OPTIONAL)
    }
    for key, value in numbers.items():
        array = validation.parse_array(key, value, AXES[key])
        if array.ndim != len(AXES[key]):
            raise ValueError(
                f"{key} must have axes [{', '.join(AXES[key])}], got shape {list(array.shape)}"
            )
        numbers[key] = validation.unify(in_rationals, array)
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
    return ProblemFile(problem, policy, baseline)


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
    lines = [f"{json.dumps(k)}: {json.dumps(v.tolist(), default=_text)}" for k, v in arrays.items()]
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def _text(value: Fraction) -> str | int:
    return value.numerator if value.denominator == 1 else exact.text(value)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {key!r} must appear once, got it twice")
        content[key] = value
    return content


def _rational(text: str) -> Fraction:
    """A decimal or a quotient, exactly; bounded, so that no short text becomes a huge number."""
    text = text.strip()
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(
            f"a number must have at most {_LONGEST_NUMBER} characters, got {len(text)}"
        )
    if not _NUMBER.fullmatch(text) or re.search(r"/0+$", text):
        raise ValueError(f'must be a number such as 0.9 or "9/10", got {text[:40]!r}')
    return Fraction(text)


def _numbers(name: str, node: Any, index: tuple[int, ...], in_rationals: bool) -> Any:
    """Strings at the leaves become numbers; every leaf that is none is named."""
    if isinstance(node, list):
        return [_numbers(name, child, (*index, i), in_rationals) for i, child in enumerate(node)]
    place = validation.located(name, AXES[name], index)
    if isinstance(node, str):
        try:
            node = _rational(node)
        except ValueError as error:
            raise ValueError(f"{place} {error}") from None
    if isinstance(node, bool) or not isinstance(node, Fraction | float):
        raise ValueError(f"{place} must be a number, got {json.dumps(node, default=str)[:40]}")
    if in_rationals or isinstance(node, float):
        return node
    try:
        return float(node)
    except OverflowError:
        raise ValueError(f"{place} must fit a float64, got a larger number") from None
