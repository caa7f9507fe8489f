"""Which problems a survey looks at: number n is a function of the seed and n alone.

Problems are drawn in batches of one kind and size.  Of 40,000 in a row, 37,000 are random (of up to
4 states), 2,000 structured (small rational numbers, ties, extremes, up to 8 states), both with a
baseline, and 1,000 adversarial: worlds that attain A2, A4 and A5, or miss them by rounding, without
one.  The last two mostly have to be decided in rationals, and so take most of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mdtheory.mdp import FiniteMDP
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.rendering import RenderingFamily
from mdtheory.search.space import (
    LONGEST,
    Space,
    build,
    random_parameters,
    structured_parameters,
)

BATCH = 500
"""Problems that are drawn, and checked, together."""
LARGEST = 10**10
"""So many problems at most."""

SIZES = ((2, 2, 2, 1), (3, 2, 3, 2), (4, 3, 3, 1), (8, 4, 4, 2))
"""States, actions, renderings, training renderings.  Random problems take the first three: where
doubles of very different size meet, deciding a tie of larger worlds in rationals takes a fifth of a
second."""
SPACES = tuple(
    Space(n_states=s, n_actions=a, n_renderings=f, n_train=t, with_baseline=True)
    for s, a, f, t in SIZES
)
_RANDOM = (0, 1, 0, 1, 2)
"""Which sizes random batches take in turn."""

Draw = Callable[[Space, np.random.Generator, int], dict[str, np.ndarray]]


class Kind(NamedTuple):
    """A batch's kind: "random", "structured" or "adversarial"; and its number of states."""

    name: str
    n_states: int

    def __str__(self) -> str:
        return f"{self.name}, {self.n_states} states"


def kind(number: int) -> Kind:
    """What kind of problem has this number."""
    place = number // BATCH % 80
    if place % 40 == 2:
        return Kind("adversarial", 2)
    if place % 20 == 1:
        return Kind("structured", SIZES[place // 20][0])
    return Kind("random", SIZES[_RANDOM[place % 5]][0])


def with_baseline(first: int, stop: int) -> int:
    """How many of these problems have a baseline: all but the adversarial ones.  Both numbers are
    multiples of `BATCH`."""
    adversarial_before = [(number // BATCH + 37) // 40 for number in (first, stop)]
    return stop - first - BATCH * (adversarial_before[1] - adversarial_before[0])


@lru_cache(maxsize=16)
def batch(seed: int, index: int) -> Instance:
    """Problems `BATCH * index` and following, float64, with one leading axis of length `BATCH`."""
    rng = np.random.default_rng([seed, index])
    name, n_states = kind(index * BATCH)
    if name == "adversarial":
        return adversarial(rng, BATCH)
    space = next(space for space in SPACES if space.n_states == n_states)
    return drawn(rng, space, structured_parameters if name == "structured" else varied, BATCH)


def problem(seed: int, number: int) -> Instance:
    """One problem in rationals: doubles as the rationals that they are, distributions divided by
    their exact sums."""
    return batch(seed, number // BATCH).single((number % BATCH,)).in_rationals()


def varied(space: Space, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """`random_parameters` where constant rewards are 0.

    Around another constant, every 0 <= 0 has to be decided in rationals, which took two thirds of
    the time; structured problems have such constants too.
    """
    parameters = random_parameters(space, rng, size)
    parameters["low"][parameters["scale"] == 0] = 0
    return parameters


def drawn(rng: np.random.Generator, space: Space, draw: Draw, size: int) -> Instance:
    """A validated batch [size] in float64; discounts up to 0.9999."""
    parameters = draw(space, rng, size)
    parameters["discount"] = np.minimum(parameters["discount"], LONGEST)
    worlds = build(space, parameters, float)
    model = worlds.model
    bounds = np.stack([model.reward_min, model.reward_max], axis=-1)
    # r = low + scale u may leave [low, low + scale] by one rounding.
    reward = np.clip(model.reward, bounds[:, None, None, 0], bounds[:, None, None, 1])
    mdp = FiniteMDP(
        transition=model.transition,
        reward=reward,
        initial=model.initial,
        discount=model.discount,
        reward_bounds=bounds,
    )
    family = RenderingFamily.distinct(
        space.n_states, train_mask=space.train_mask, weights=worlds.weights
    )
    return Instance(
        Problem(mdp=mdp, renderings=family),
        LatentPolicy(worlds.policy),
        LatentPolicy(worlds.baseline),
    )


def adversarial(rng: np.random.Generator, size: int) -> Instance:
    """Worlds [size] that attain A2, A4 and A5, float64: discounts up to 0.9999, R down to 1e-12 and
    exactly 0, rewards from 1e-3 to 1e3 with offsets up to 1e6."""
    r = 10.0 ** rng.uniform(-12, 0, size) * rng.choice([1.0, 0.0], size, p=[0.9, 0.1])
    discount = 1 - 10.0 ** rng.uniform(-4, 0, size)
    offset = rng.choice([0.0, 1e6, -1e3], size)
    transition = np.zeros((size, 2, 2, 2))
    transition[:, 0, 0, 0] = transition[:, 0, 1, 1] = transition[:, 1, :, 1] = 1
    reward = np.zeros((size, 2, 2))
    reward[:, 0, 0] = 10.0 ** rng.uniform(-3, 3, size)
    policy = np.zeros((size, 2, 2, 2))
    policy[..., 0] = 1
    policy[:, 1, :, 0], policy[:, 1, :, 1] = 1 - r[:, None], r[:, None]
    mass = rng.uniform(0.01, 0.99, size)
    mdp = FiniteMDP(
        transition=transition,
        reward=reward + offset[:, None, None],
        initial=np.array([1.0, 0.0]),
        discount=discount,
    )
    family = RenderingFamily.distinct(
        2, train_mask=[True, False], weights=np.stack([mass, 1 - mass], axis=-1)
    )
    return Instance(Problem(mdp=mdp, renderings=family), LatentPolicy(policy))
