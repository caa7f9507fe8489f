"""The toys: small worlds whose every quantity has a closed form, in exact rationals.

Each builder returns the problem, a policy that reads a spurious feature of the observation, and
the closed-form answers that tests compare with what `check` computes.  Training renderings come
first.  Observations are numbered f·S + s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mdtheory import validation
from mdtheory.mdp import FiniteMDP
from mdtheory.policy import TabularPolicy
from mdtheory.problem import Problem
from mdtheory.rendering import RenderingFamily

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class ToyInstance:
    """A toy with its parameters filled in.

    Attributes:
        problem: exact MDP and renderings.
        policy: the policy that reads the spurious feature.
        expected: closed-form values by quantity name, and of right sides by statement id.
        rival: a policy to compare with, where the toy is about a comparison.
        baseline: the policy before an update, where the toy is about an update.
    """

    problem: Problem
    policy: TabularPolicy
    expected: Mapping[str, Fraction]
    rival: TabularPolicy | None = None
    baseline: TabularPolicy | None = None


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A named family of toy problems.

    Attributes:
        name: what `mdtheory demo NAME` takes.
        summary: what it shows, in one sentence.
        build: keyword arguments with defaults -> `ToyInstance`.
    """

    name: str
    summary: str
    build: Callable[..., ToyInstance]
    parameters: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        defaults = {k: p.default for k, p in inspect.signature(self.build).parameters.items()}
        object.__setattr__(self, "parameters", defaults)


def make_toy(name: str, **parameters: Any) -> ToyInstance:
    """Build a toy by name; parameters may be numbers or strings such as "9/10".

    Raises:
        ValueError: for an unknown toy or parameter (with a suggestion), or one out of range.
    """
    if name not in TOYS:
        raise ValueError(validation.unknown("toy", name, TOYS))
    toy = TOYS[name]
    values: dict[str, Any] = {}
    for key, value in parameters.items():
        if key not in toy.parameters:
            raise ValueError(validation.unknown(f"parameter of {name}", key, toy.parameters))
        values[key] = _parse_parameter(key, value, toy.parameters[key])
    return toy.build(**values)


def _parse_parameter(name: str, value: Any, default: Any) -> Fraction | int:
    try:
        number = value if isinstance(value, Fraction) else validation.rational(str(value))
    except ValueError:
        raise ValueError(f'{name} must be a number such as "9/10", got {value!r}') from None
    if isinstance(default, int):
        if number.denominator != 1 or not 1 <= number <= 1000:
            raise ValueError(f"{name} must be a whole number from 1 to 1000, got {value}")
        return int(number)
    return number


def _require_unit(**values: Fraction) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")


def _require_train_mass(train_mass: Fraction) -> None:
    if not 0 < train_mass < 1:
        raise ValueError(f"train_mass must lie in (0, 1), got {train_mass}")


def _array(*shape: int) -> np.ndarray:
    out = np.empty(shape, dtype=object)
    out.fill(ZERO)
    return out


def _problem(
    moves: Mapping[tuple[int, int], Mapping[int, Fraction | int]],
    rewards: Mapping[tuple[int, int], Fraction | int],
    *,
    n_states: int,
    n_actions: int,
    discount: Fraction,
    weights: list[Fraction],
    start: int = 0,
    n_train: int = 1,
) -> Problem:
    """A problem from sparse descriptions: (s, a) -> {s': probability}; the rest stays, pays 0."""
    transition, reward = _array(n_states, n_actions, n_states), _array(n_states, n_actions)
    for s in range(n_states):
        for a in range(n_actions):
            for target, probability in moves.get((s, a), {s: 1}).items():
                transition[s, a, target] += probability
            reward[s, a] = Fraction(rewards.get((s, a), 0))
    initial = _array(n_states)
    initial[start] = ONE
    train_mask = [f < n_train for f in range(len(weights))]
    return Problem(
        mdp=FiniteMDP(
            transition=transition,
            reward=reward,
            initial=initial,
            discount=discount,
            reward_bounds=[ZERO, ONE],
        ),
        renderings=RenderingFamily.distinct(n_states, train_mask=train_mask, weights=weights),
    )


def _policy(*per_rendering: list[list[Fraction]]) -> TabularPolicy:
    """Rows over actions, for each state, for each rendering."""
    return TabularPolicy([row for rows in per_rendering for row in rows])


def _two_actions(n_states: int, second: Fraction) -> list[list[Fraction]]:
    """In every state: action 1 with this probability, action 0 otherwise."""
    return [[1 - second, second] for _ in range(n_states)]


def two_state(
    *,
    discount: Fraction = Fraction(9, 10),
    robustness: Fraction = Fraction(1, 2),
    train_mass: Fraction = Fraction(1, 4),
) -> ToyInstance:
    """Stay and be paid, or slip into a sink: the world that attains A2."""
    _require_unit(robustness=robustness, train_mass=train_mass)
    if train_mass == 0:
        raise ValueError("train_mass must lie in (0, 1], got 0")
    problem = _problem(
        {(0, 1): {1: 1}},
        {(0, 0): 1},
        n_states=2,
        n_actions=2,
        discount=discount,
        weights=[train_mass, 1 - train_mass],
    )
    train_return = 1 / (1 - discount)
    heldout_return = (1 - robustness) / (1 - discount * (1 - robustness))
    gap = (1 - train_mass) * (train_return - heldout_return)
    return ToyInstance(
        problem=problem,
        policy=_policy(_two_actions(2, ZERO), _two_actions(2, robustness)),
        expected={
            "train_return": train_return,
            "general_return": train_mass * train_return + (1 - train_mass) * heldout_return,
            "robustness": robustness,
            "mean_robustness": robustness if train_mass < 1 else ZERO,
            "gap": gap,
            "A2": gap,
            "A4": gap,
            "A5": gap,
        },
    )


def chain(
    *,
    n_states: int = 6,
    n_heldout: int = 3,
    spurious: Fraction = Fraction(1, 2),
    discount: Fraction = Fraction(9, 10),
) -> ToyInstance:
    """Advance or wait, on the way to a cell that pays forever.

    In held-out rendering k of K the policy waits with probability spurious · k/K, since a feature
    that always said "advance" in training says so less often.
    """
    _require_unit(spurious=spurious)
    weights = [Fraction(1, n_heldout + 1)] * (n_heldout + 1)
    last = n_states - 1
    moves = {(s, 0): {s + 1: 1} for s in range(last)}
    problem = _problem(
        moves,
        {(last, 0): 1, (last, 1): 1},
        n_states=n_states,
        n_actions=2,
        discount=discount,
        weights=weights,
    )
    waits = [spurious * k / n_heldout for k in range(n_heldout + 1)]
    per_cell = [discount * (1 - w) / (1 - discount * w) for w in waits]
    values = [q**last / (1 - discount) for q in per_cell]
    train_return, general_return = values[0], sum(values, ZERO) / len(values)
    return ToyInstance(
        problem=problem,
        policy=_policy(*(_two_actions(n_states, w) for w in waits)),
        expected={
            "train_return": train_return,
            "general_return": general_return,
            "gap": train_return - general_return,
            "robustness": spurious,
            "mean_robustness": spurious * (n_heldout + 1) / (2 * n_heldout),
        },
    )


def grid(
    *,
    width: int = 4,
    height: int = 3,
    n_heldout: int = 3,
    spurious: Fraction = Fraction(1, 2),
    discount: Fraction = Fraction(9, 10),
) -> ToyInstance:
    """Walk right, then down, to the corner that pays forever; or fall into a pit.

    In held-out rendering k of K the policy jumps into the pit with probability spurious · k/K in
    every cell but the corner.
    """
    _require_unit(spurious=spurious)
    n_cells = width * height
    pit, corner = n_cells, n_cells - 1
    right, down, jump = 0, 1, 2
    moves: dict[tuple[int, int], dict[int, int]] = {}
    for s in range(n_cells - 1):
        column, row = s % width, s // width
        if column < width - 1:
            moves[s, right] = {s + 1: 1}
        if row < height - 1:
            moves[s, down] = {s + width: 1}
        moves[s, jump] = {pit: 1}
    problem = _problem(
        moves,
        {(corner, a): 1 for a in range(3)},
        n_states=n_cells + 1,
        n_actions=3,
        discount=discount,
        weights=[Fraction(1, n_heldout + 1)] * (n_heldout + 1),
    )

    def rows(slip: Fraction) -> list[list[Fraction]]:
        out = []
        for s in range(n_cells + 1):
            useful = right if s % width < width - 1 else down
            chance = slip if s < corner else ZERO
            row = [ZERO, ZERO, chance]
            row[useful] += 1 - chance
            out.append(row)
        return out

    slips = [spurious * k / n_heldout for k in range(n_heldout + 1)]
    distance = width + height - 2
    values = [(discount * (1 - slip)) ** distance / (1 - discount) for slip in slips]
    train_return, general_return = values[0], sum(values, ZERO) / len(values)
    return ToyInstance(
        problem=problem,
        policy=_policy(*(rows(slip) for slip in slips)),
        expected={
            "train_return": train_return,
            "general_return": general_return,
            "gap": train_return - general_return,
            "robustness": spurious if distance else ZERO,
            "mean_robustness": (1 - discount**distance)
            * spurious * (n_heldout + 1) / (2 * n_heldout),
        },
    )  # fmt: skip


def two_doors(
    *, discount: Fraction = Fraction(9, 10), train_mass: Fraction = Fraction(1, 2)
) -> ToyInstance:
    """Two doors lead to equally good rooms; the look decides which door is taken."""
    _require_train_mass(train_mass)
    problem = _problem(
        {(0, 0): {1: 1}, (0, 1): {2: 1}},
        {(s, a): 1 for s in (1, 2) for a in (0, 1)},
        n_states=3,
        n_actions=2,
        discount=discount,
        weights=[train_mass, 1 - train_mass],
    )
    value = discount / (1 - discount)
    return ToyInstance(
        problem=problem,
        policy=_policy(_two_actions(3, ZERO), _two_actions(3, ONE)),
        expected={
            "train_return": value,
            "general_return": value,
            "heldout_return": value,
            "gap": ZERO,
            "robustness": ONE,
            "mean_robustness": ONE,
            "A2": (1 - train_mass) / (1 - discount),
            "A5": (1 - train_mass) / (1 - discount),
        },
    )


def lucky(
    *,
    skill: Fraction = Fraction(1, 2),
    discount: Fraction = Fraction(9, 10),
    train_mass: Fraction = Fraction(1, 2),
) -> ToyInstance:
    """One state: the policy acts well with probability `skill` in training, always when held out.

    Its rival acts with the same skill everywhere.  Both have the same training return; the rival
    is perfectly robust (R = 0) and yet has the lower general return.
    """
    _require_unit(skill=skill)
    _require_train_mass(train_mass)
    problem = _problem(
        {},
        {(0, 0): 1},
        n_states=1,
        n_actions=2,
        discount=discount,
        weights=[train_mass, 1 - train_mass],
    )
    heldout = [ONE, ZERO]
    train = [skill, 1 - skill]
    return ToyInstance(
        problem=problem,
        policy=_policy([train], [heldout]),
        rival=_policy([train], [train]),
        expected={
            "train_return": skill / (1 - discount),
            "heldout_return": 1 / (1 - discount),
            "general_return": (train_mass * skill + 1 - train_mass) / (1 - discount),
            "robustness": 1 - skill,
            "gap": (1 - train_mass) * (1 - skill) / (1 - discount),
        },
    )


def long_horizon(
    *,
    discount: Fraction = Fraction(99, 100),
    robustness: Fraction = Fraction(1, 5),
    train_mass: Fraction = Fraction(1, 2),
) -> ToyInstance:
    """One state, long horizon, each mistake costs one reward: A1 is vacuous, A2 is not.

    The baseline acts at random, so this toy also shows an update (A6 to A8).
    """
    _require_unit(robustness=robustness)
    _require_train_mass(train_mass)
    problem = _problem(
        {},
        {(0, 0): 1},
        n_states=1,
        n_actions=2,
        discount=discount,
        weights=[train_mass, 1 - train_mass],
    )
    horizon = 1 / (1 - discount)
    unseen = 1 - train_mass
    half = Fraction(1, 2)
    return ToyInstance(
        problem=problem,
        policy=_policy(_two_actions(1, ZERO), _two_actions(1, robustness)),
        baseline=_policy(_two_actions(1, half), _two_actions(1, half)),
        expected={
            "train_return": horizon,
            "general_return": horizon * (1 - unseen * robustness),
            "gap": unseen * robustness * horizon,
            "robustness": robustness,
            "mean_robustness": robustness,
            "A0": unseen * horizon,
            "A1": unseen * robustness * horizon**2,
            "A2": unseen * robustness * horizon / (1 - discount * (1 - robustness)),
            "surrogate": horizon,
            "advantage_bound": half,
            "train_shift": half,
            "A6": horizon - discount * horizon**2 / 2,
        },
    )


def rare_fork(
    *,
    chance: Fraction = Fraction(1, 100),
    discount: Fraction = Fraction(9, 10),
    train_mass: Fraction = Fraction(1, 2),
) -> ToyInstance:
    """The policy is fragile only at a fork that is seldom visited: A3 is attained, A2 is A0.

    From the start the world moves to the fork with probability `chance`, else to a room that pays
    nothing; at the fork action 0 leads to pay forever and action 1 to nothing.
    """
    _require_unit(chance=chance)
    _require_train_mass(train_mass)
    start, fork, pay, pit = range(4)
    problem = _problem(
        {
            (start, 0): {fork: chance, pit: 1 - chance},
            (start, 1): {fork: chance, pit: 1 - chance},
            (fork, 0): {pay: 1},
            (fork, 1): {pit: 1},
        },
        {(fork, 0): 1, (pay, 0): 1, (pay, 1): 1},
        n_states=4,
        n_actions=2,
        discount=discount,
        weights=[train_mass, 1 - train_mass],
    )
    heldout = _two_actions(4, ZERO)
    heldout[fork] = [ZERO, ONE]
    train_return = discount * chance / (1 - discount)
    gap = (1 - train_mass) * train_return
    return ToyInstance(
        problem=problem,
        policy=_policy(_two_actions(4, ZERO), heldout),
        expected={
            "train_return": train_return,
            "heldout_return": ZERO,
            "general_return": train_mass * train_return,
            "gap": gap,
            "robustness": ONE,
            "mean_robustness": (1 - discount) * discount * chance,
            "A2": (1 - train_mass) / (1 - discount),
            "A3": gap,
        },
    )


TOYS: dict[str, Toy] = {
    toy.name: toy
    for toy in (
        Toy(
            name="two-state",
            summary="A2 is an equality, at any discount, robustness and training mass.",
            build=two_state,
        ),
        Toy(
            name="chain",
            summary="The more the policy reads a spurious feature, the longer it dawdles.",
            build=chain,
        ),
        Toy(
            name="grid",
            summary="The more the policy reads a spurious feature, the sooner it falls.",
            build=grid,
        ),
        Toy(
            name="two-doors",
            summary="The gap is 0 although R = 1: the disagreement is harmless.",
            build=two_doors,
        ),
        Toy(
            name="lucky",
            summary="Held-out renderings are better: at equal training return, the perfectly robust"
            " rival generalizes worse.",
            build=lucky,
        ),
        Toy(
            name="long-horizon",
            summary="A1 is vacuous (above A0), A2 is not; also an update, for A6 to A8.",
            build=long_horizon,
        ),
        Toy(
            name="rare-fork",
            summary="A3 is attained and far below A2: the policy is fragile where it seldom is.",
            build=rare_fork,
        ),
    )
}
"""Every toy by name."""
