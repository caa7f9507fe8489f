"""Hypothesis strategies: problems with policies, and their parts, in rationals or in float64.

Limits hold for every example by construction, never by filtering (in float64 up to rounding).
Limits of sizes are whole numbers; limits of other numbers may also be fractions, floats (taken as
exactly what they are) or texts such as "9/10".  Examples shrink to few states, actions and
renderings, to deterministic rows and to small numbers.

Where Hypothesis and this package are imported, `from_type` knows `FiniteMDP`, `RenderingFamily`,
`TabularPolicy`, `LatentPolicy`, `Problem` and `Instance` without an import of this module.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mdtheory import validation
from mdtheory.mdp import FiniteMDP
from mdtheory.policy import LatentPolicy, TabularPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.rendering import RenderingFamily
from mdtheory.strategies.limits import (
    Limit,
    number_limits,
    one_of,
    rational_number,
    size_limits,
)
from mdtheory.strategies.noise import MAX_COUNT, numbers_between, one_hot, picked, rows
from mdtheory.validation import whole_number

Drawn = TypeVar("Drawn")
STRUCTURES = ("any", "dense", "sparse", "deterministic", "absorbing", "ties", "ergodic")
"""What `mdps` can promise; "any" is a mixture of the others."""

_BOTH = (True, False)
_ROW_KINDS = ("dense", "deterministic")
_LARGEST_BLOCK = 512
"""Bytes drawn at once; larger arrays repeat them, so that no size overruns Hypothesis."""
_DISCOUNTS = tuple(map(Fraction, ("0", "1/2", "9/10", "99/100", "999/1000")))
_MASSES = tuple(map(Fraction, ("1/2", "1", "9/10", "1/10", "999/1000", "1/1000")))
_DISTANCES = tuple(map(Fraction, ("0", "1", "1/2", "1/10", "1/1000")))
_REWARDS = tuple(map(Fraction, (0, 1, -1, 2, -2)))


def simplices(
    size: int, *, max_count: int = MAX_COUNT, exact: bool = True
) -> SearchStrategy[list[Any]]:
    """Distributions over `size` outcomes, half of them zeros; they shrink to [1, 0, ..., 0].

    Rational entries are counts up to `max_count` over their sum, so they sum to 1 exactly; with
    `exact=False` they are floats.
    """
    one_of("exact", exact, _BOTH)
    whole_number("size", size, 1)
    whole_number("max_count", max_count, 1, 10**6)

    def draw_row(draw: st.DrawFn) -> list[Any]:
        return rows(_noise(draw, (size,), (size,)), exact, max_count=max_count).tolist()

    return _drawn(draw_row)


def mdps(
    *,
    min_states: int = 1,
    max_states: int = 4,
    min_actions: int = 1,
    max_actions: int = 3,
    min_discount: Limit = 0,
    max_discount: Limit = Fraction(999, 1000),
    min_reward: Limit = -3,
    max_reward: Limit = 3,
    structure: str = "any",
    exact: bool = True,
) -> SearchStrategy[FiniteMDP]:
    """MDPs, some with wider reward bounds than their rewards attain.

    Args:
        structure: "dense" (any rows), "sparse" (at most 2 successors), "deterministic",
            "absorbing" (one state at least is never left and pays the same for every action),
            "ties" (at most 2 different rewards; from 3 actions on the last copies the first),
            "ergodic" (every transition has positive probability), or "any" of these.
    """
    one_of("exact", exact, _BOTH)
    states = st.integers(*size_limits("states", min_states, max_states))
    actions = st.integers(*size_limits("actions", min_actions, max_actions))
    discounts = number_limits("discount", min_discount, max_discount, exact=exact, least=0)
    if discounts[1] >= 1:
        raise ValueError(f"max_discount must be below 1, got {max_discount}")
    rewards = number_limits("reward", min_reward, max_reward, exact=exact)
    if structure not in STRUCTURES:
        raise ValueError(validation.unknown("structure", structure, STRUCTURES))
    kinds = st.sampled_from(STRUCTURES[1:] if structure == "any" else (structure,))

    def draw_mdp(draw: st.DrawFn) -> FiniteMDP:
        kind, n_states, n_actions = draw(kinds), draw(states), draw(actions)
        shape, room = (n_states, n_actions), (max_states, max_actions)
        successors = _noise(draw, (*shape, n_states), (*room, max_states))
        transition = rows(successors, exact, kind=kind)
        noise = _noise(draw, shape, room)
        some = numbers_between(*rewards, _REWARDS, exact)
        low, high = picked(_noise(draw, (2,), (2,)), some)
        # Two values mostly: bounds are attained where rewards are extreme.
        others = [] if kind == "ties" else some
        reward = picked(noise, [low] * len(some) + [high] * len(some) + others)
        if kind == "absorbing":
            transition[-1] = one_hot(n_states, n_states - 1)
            reward[-1] = reward[-1, 0]
        if kind == "ties" and n_actions > 2:
            transition[:, -1], reward[:, -1] = transition[:, 0], reward[:, 0]
        initial = _noise(draw, (n_states,), (max_states,))
        discount = draw(st.sampled_from(numbers_between(*discounts, _DISCOUNTS, exact)))
        is_wide = draw(st.integers(0, 3)) == 3
        return FiniteMDP(
            transition=transition,
            reward=reward,
            initial=rows(initial, exact, kind=draw(st.sampled_from(_ROW_KINDS))),
            discount=discount,
            reward_bounds=list(rewards) if is_wide else None,
        )

    return _drawn(draw_mdp)


def rendering_families(
    *,
    min_states: int = 1,
    max_states: int = 4,
    min_renderings: int = 1,
    max_renderings: int = 4,
    min_held_out: int = 0,
    min_train_mass: Limit = 0,
    max_train_mass: Limit = 1,
    shared_observations: bool | None = None,
    exact: bool = True,
) -> SearchStrategy[RenderingFamily]:
    """Families of renderings; some renderings have no weight.

    Args:
        min_held_out: how many are held out at least; from 1 on, one of them shares no observation.
        min_train_mass, max_train_mass: limits of M, which is above 0.
        shared_observations: whether an observation occurs in two renderings, there perhaps for
            another state; None leaves it open.
    """
    one_of("exact", exact, _BOTH)
    states = st.integers(*size_limits("states", min_states, max_states))
    size_limits("renderings", min_renderings, max_renderings)
    low, high = number_limits(
        "train_mass", min_train_mass, max_train_mass, exact=exact, least=0, most=1
    )
    masses = [mass for mass in numbers_between(low, high, _MASSES, exact) if mass > 0]
    if not masses:
        raise ValueError(f"max_train_mass must be above 0, got {max_train_mass}")
    n_unshared = min(whole_number("min_held_out", min_held_out, 0), 1)
    held_out = max(min_held_out, int(high < 1))
    shared = one_of("shared_observations", shared_observations, (*_BOTH, None))
    fewest = max(held_out + 1, n_unshared + 2 if shared else 1)
    if max_renderings < fewest:
        got = f"got {max_renderings}"
        raise ValueError(f"max_renderings must be at least {fewest} for the other limits, {got}")
    sizes = st.integers(max(min_renderings, fewest), max_renderings)

    def draw_family(draw: st.DrawFn) -> RenderingFamily:
        n_states, n_renderings = draw(states), draw(sizes)
        n_train = draw(st.integers(1, n_renderings - held_out))
        mass = draw(st.sampled_from(masses))
        noise, place = _noise(draw, (2, n_renderings), (2, max_renderings))
        weights = rows(noise[:n_train], exact)
        if n_train < n_renderings:
            unseen = (1 - mass) * rows(noise[n_train:], exact)
            weights = np.concatenate([mass * weights, unseen])
        observation = np.arange(n_renderings * n_states).reshape(n_renderings, n_states)
        looks = _noise(draw, (n_renderings, 2, n_states), (max_renderings, 2, max_states))
        n_sharing = n_renderings - n_unshared
        if (draw(st.booleans()) if shared is None else shared) and n_sharing > 1:
            _share(observation[:n_sharing], looks)
        order = np.argsort(place, kind="stable")
        return RenderingFamily(
            observation=_renumbered(observation)[order],
            train_mask=order < n_train,
            weights=weights[order],
        )

    return _drawn(draw_family)


def problems(*, exact: bool = True, **limits: Any) -> SearchStrategy[Problem]:
    """Problems; limits as in `mdps` and `rendering_families`."""
    for name in limits:
        if name not in _DEFAULTS:
            raise ValueError(validation.unknown("limit", name, _DEFAULTS))
    models = mdps(exact=exact, **{k: v for k, v in limits.items() if k in _MDP_DEFAULTS})
    of_family = {k: v for k, v in limits.items() if k in _FAMILY_DEFAULTS}
    rendering_families(exact=exact, **of_family)  # so that wrong limits are refused here

    def draw_problem(draw: st.DrawFn) -> Problem:
        mdp = draw(models)
        size = {"min_states": mdp.n_states, "max_states": mdp.n_states}
        families = rendering_families(exact=exact, **of_family | size)
        return Problem(mdp=mdp, renderings=draw(families))

    return _drawn(draw_problem)


def tabular_policies(
    *,
    min_observations: int = 1,
    max_observations: int = 6,
    min_actions: int = 1,
    max_actions: int = 3,
    exact: bool = True,
) -> SearchStrategy[TabularPolicy]:
    """Policies on observations, without a problem."""
    one_of("exact", exact, _BOTH)
    sizes = st.tuples(
        st.integers(*size_limits("observations", min_observations, max_observations)),
        st.integers(*size_limits("actions", min_actions, max_actions)),
    )

    def draw_policy(draw: st.DrawFn) -> TabularPolicy:
        noise = _noise(draw, draw(sizes), (max_observations, max_actions))
        return TabularPolicy(rows(noise, exact))

    return _drawn(draw_policy)


def policies(
    problem: Problem | tuple[int, int, int],
    *,
    min_robustness: Limit = 0,
    max_robustness: Limit = 1,
    exact: bool = True,
) -> SearchStrategy[LatentPolicy]:
    """Latent policies that do the same where two renderings share an observation.

    Args:
        problem: a problem, or numbers of renderings, states and actions; then the renderings share
            nothing and the first one is trained on.
        min_robustness, max_robustness: limits of R over training and held-out renderings: 0 is
            blind to the rendering, 1 as different as can be.

    Raises:
        ValueError: also when R cannot be above 0, with one action or no held-out rendering that
            looks different.
    """
    pairs = policy_pairs(
        problem,
        min_robustness=min_robustness,
        max_robustness=max_robustness,
        max_distance=0,
        exact=exact,
    )
    return pairs.map(lambda pair: pair[0])


def policy_pairs(
    problem: Problem | tuple[int, int, int],
    *,
    min_robustness: Limit = 0,
    max_robustness: Limit = 1,
    max_distance: Limit = 1,
    exact: bool = True,
) -> SearchStrategy[tuple[LatentPolicy, LatentPolicy]]:
    """(policy, baseline): a policy as `policies` draws it, and the one before its update.

    Args:
        max_distance: limit of their total variation, in every state under every rendering.
    """
    family, n_actions = _acted_in(problem)
    room = (*family.observation.shape, n_actions)
    limits = (min_robustness, max_robustness, max_distance)
    return _policy_pairs(family, n_actions, room, *limits, exact)


def instances(
    *,
    baseline: bool | None = None,
    min_robustness: Limit = 0,
    max_robustness: Limit = 1,
    max_distance: Limit = 1,
    exact: bool = True,
    **limits: Any,
) -> SearchStrategy[Instance]:
    """Problems with a policy; limits as in `problems` and `policy_pairs`.

    Args:
        baseline: whether there is a second policy; None leaves it open.
    """
    one_of("baseline", baseline, (*_BOTH, None))
    of_policy = (min_robustness, max_robustness, max_distance)
    _policy_pairs(*_acted_in((2, 1, 2)), (2, 1, 2), *of_policy, exact)  # refuses wrong limits
    drawn_problems = problems(exact=exact, **limits)
    limits = _DEFAULTS | limits
    shared = limits["shared_observations"]
    room = (limits["max_renderings"], limits["max_states"], limits["max_actions"])
    differing = limits | {
        "min_actions": max(2, limits["min_actions"]),
        "min_held_out": max(1, limits["min_held_out"]),
    }
    if rational_number("min_robustness", min_robustness, exact) > 0:
        if limits["max_actions"] < 2:
            raise ValueError("max_actions must be at least 2 where R is above 0, got 1")
        drawn_problems = problems(exact=exact, **differing)
    elif limits["max_actions"] > 1 and limits["max_renderings"] > 1 + bool(shared):
        # Left alone, most problems would have no gap at all.
        often = [problems(exact=exact, **differing) for _ in range(3)]
        drawn_problems = st.one_of(drawn_problems, *often)

    def draw_instance(draw: st.DrawFn) -> Instance:
        problem = draw(drawn_problems)
        family, n_actions = _acted_in(problem)
        has_baseline = draw(st.booleans()) if baseline is None else baseline
        policy, before = draw(_policy_pairs(family, n_actions, room, *of_policy, exact))
        return Instance(problem, policy, before if has_baseline else None)

    return _drawn(draw_instance)


def _acted_in(problem: Problem | tuple[int, int, int]) -> tuple[RenderingFamily, int]:
    """The renderings that a policy sees, and the number of its actions."""
    if isinstance(problem, Problem):
        return problem.renderings, problem.mdp.n_actions
    if not isinstance(problem, tuple) or len(problem) != 3:
        raise ValueError(
            f"problem must be a Problem or (n_renderings, n_states, n_actions), got {problem!r}"
        )
    names = ("n_renderings", "n_states", "n_actions")
    sizes = [whole_number(name, size, 1) for name, size in zip(names, problem, strict=True)]
    train_mask = [f == 0 for f in range(sizes[0])]
    return RenderingFamily.distinct(sizes[1], train_mask=train_mask), sizes[2]


def _policy_pairs(
    family: RenderingFamily,
    n_actions: int,
    room: tuple[int, int, int],
    min_robustness: Limit,
    max_robustness: Limit,
    max_distance: Limit,
    exact: bool,
) -> SearchStrategy[tuple[LatentPolicy, LatentPolicy]]:
    """(policy, baseline) in a room [F, S, A].

    All that a state looks like gets (1-t) c + t x with a common c, so no two of these rows are
    further apart than t; one pair with opposite x is exactly t apart.
    """
    one_of("exact", exact, _BOTH)
    low, high = number_limits(
        "robustness", min_robustness, max_robustness, exact=exact, least=0, most=1
    )
    distances = number_limits("distance", 0, max_distance, exact=exact, least=0, most=1)
    compact = _renumbered(family.observation)
    train, held_out = compact[family.train_mask], compact[~family.train_mask]
    states = range(family.n_states)
    pairs = [(f[s], g[s], s) for f in train for g in held_out for s in states if f[s] != g[s]]
    if low > 0 and (n_actions < 2 or not pairs):
        raise ValueError(
            "min_robustness above 0 needs two actions and a held-out rendering that looks"
            f" different from a training one, got {min_robustness}"
        )
    first = np.unravel_index(np.unique(compact, return_index=True)[1], compact.shape)
    alike = _lookalikes(compact)

    def draw_pair(draw: st.DrawFn) -> tuple[LatentPolicy, LatentPolicy]:
        kind = draw(st.sampled_from(_ROW_KINDS))

        def any_rows() -> np.ndarray:
            noise = _noise(draw, (*compact.shape, n_actions), room)
            return rows(noise, exact, kind=kind)[first]

        robustness = draw(st.sampled_from(numbers_between(low, high, _DISTANCES, exact)))
        centers, own = any_rows()[alike], any_rows()
        everywhere, somewhere, place = _noise(draw, (3,), (3,))
        action_s = _noise(draw, (family.n_states,), room[1:2]) * n_actions // 256
        if pairs and n_actions > 1:
            opposite = [*pairs] if everywhere < 128 else []
            if low > 0 or somewhere < 192:
                opposite.append(pairs[place * len(pairs) // 256])
            for o, p, s in opposite:
                own[o] = one_hot(n_actions, action_s[s])
                own[p] = one_hot(n_actions, action_s[s] - 1)
        policy = (1 - robustness) * centers + robustness * own
        distance = draw(st.sampled_from(numbers_between(*distances, _DISTANCES, exact)))
        before = (1 - distance) * policy + distance * any_rows() if distance else policy
        return LatentPolicy(policy[compact]), LatentPolicy(before[compact])

    return _drawn(draw_pair)


def _lookalikes(observation: np.ndarray) -> list[int]:
    """For each observation the least of all that show the same states as it, maybe in steps."""
    leader = list(range(observation.max() + 1))
    for looks in observation.T:
        linked = {leader[o] for o in looks}
        leader = [min(linked) if o in linked else o for o in leader]
    return leader


def _renumbered(observation: np.ndarray) -> np.ndarray:
    """The same observations as numbers without gaps."""
    return np.unique(observation, return_inverse=True)[1].reshape(observation.shape)


def _share(observation: np.ndarray, noise: np.ndarray) -> None:
    """Some states get the look of some state in the first rendering; at least one does.

    observation [F, S], noise [F, 2, S].
    """
    for f in range(1, len(observation)):
        shared = noise[f, 0] > 127
        shared[0] |= f == 1
        some_state = np.argsort(noise[f, 1], kind="stable")
        observation[f] = np.where(shared, observation[0, some_state], observation[f])


@st.composite
def _drawn(draw: st.DrawFn, function: Callable[[st.DrawFn], Drawn]) -> Drawn:
    """What a function draws: `composite` at every draw would cost more than the draw."""
    return function(draw)


def _noise(draw: st.DrawFn, shape: tuple[int, ...], room: tuple[int, ...]) -> np.ndarray:
    """Integers from 0 to 255: the leading part, of this shape, of an array as large as the room.

    The room does not depend on sizes that are drawn: so a problem keeps its numbers when it loses a
    state, which lets it shrink.  One choice instead of hundreds also makes it fast.
    """
    size = min(math.prod(room), _LARGEST_BLOCK)
    block = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=np.uint8)
    # From its end, where Hypothesis leaves what it cannot make 0: there stand the first states.
    place = -1 - np.ravel_multi_index(tuple(np.indices(shape)), room) % size
    return block[place].astype(np.int64)


def _defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.name != "exact"}


_MDP_DEFAULTS, _FAMILY_DEFAULTS = _defaults(mdps), _defaults(rendering_families)
_DEFAULTS = _MDP_DEFAULTS | _FAMILY_DEFAULTS

BY_TYPE: dict[type, SearchStrategy[Any]] = {
    FiniteMDP: mdps(),
    RenderingFamily: rendering_families(),
    TabularPolicy: tabular_policies(),
    LatentPolicy: instances(baseline=False).map(lambda instance: instance.policy),
    Problem: problems(),
    Instance: instances(),
}
"""What `hypothesis.strategies.from_type` gives; see `mdtheory_hooks`."""
