"""`check_agents` and `check_shrinkage`: part B, about agents that distil from each other.

`check` speaks about a policy and a baseline.  Of several agents, each in turn is the policy and
each other one its baseline: B1, B2, B3 and B5 have one entry for every ordered pair.
"""

from __future__ import annotations

import functools
import itertools
import numbers
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from scipy.special import softmax

from mdtheory import exact, robustness, validation
from mdtheory.check import Report, check
from mdtheory.exact import Enclosed
from mdtheory.judge import BoundResult, judge
from mdtheory.mdp import FiniteMDP
from mdtheory.policy import LatentPolicy, TabularPolicy
from mdtheory.problem import Problem
from mdtheory.rendering import RenderingFamily
from mdtheory.shrinkage.linear import spurious_variance
from mdtheory.statements import PAIR_BOUNDS, PART_B, SHRINKAGE, Bound

PAIRWISE = ("disagreement", "divergence", "mean_disagreement", "mean_divergence")
"""The quantities of ordered pairs that `check_agents` reports."""

MOST_AGENTS = 1000
"""In `check_shrinkage`, which solves a system of as many equations exactly."""
_LOGIT_AXES = ("k", "f", "s", "a")


def pairs_of(n_agents: int) -> list[tuple[int, int]]:
    """The ordered pairs (own, other) of agents, in the order in which they are reported."""
    return list(itertools.permutations(range(n_agents), 2))


def check_agents(
    problem: Problem, agents: Any = None, *, logits: Any = None, weights: Any = None
) -> Report:
    """Put two or more agents into B1 to B4, and with their logits into B5.

    Args:
        problem: MDP and renderings, possibly batched.
        agents: latent policies [..., K, F, S, A]; or a sequence of K policies, each a
            `LatentPolicy`, a `TabularPolicy` or an array [F, S, A].
        logits: instead of `agents`, [..., K, F, S, A]: the policies are their softmax in float64.
            B5 is about the softmax itself, of the logits read as the rationals that they are.
        weights: of the mixture in B4, [K]; by default all agents have the same.

    Returns:
        A `Report`.  B1, B2, B3, B5 and the quantities of pairs have axes [..., P] in the order of
        `pairs_of`, `robustness` has [..., K], B4 and its quantities have [...].

    Raises:
        ValueError: for shapes that do not fit, fewer than two agents, or unless exactly one of
            `agents` and `logits` is given.
    """
    if (agents is None) == (logits is None):
        raise ValueError(f"give agents or logits, got {'neither' if agents is None else 'both'}")
    if logits is not None:
        logits = validation.parse_array("logits", logits, _LOGIT_AXES)
        if logits.dtype.kind != "f":  # exactly, before rounding; it changes no policy
            logits = validation.as_exact(logits)
            logits = logits - logits.max(axis=-1, keepdims=True)
        agents = softmax(logits.astype(np.float64), axis=-1)
    policies = _stacked(problem, agents)
    sizes = (problem.renderings.n_renderings, problem.mdp.n_states, problem.mdp.n_actions)
    validation.require_shape("agents", policies, ("f", "s", "a"), sizes)
    shapes = {"mdp": problem.mdp.batch_shape, "weights": problem.renderings.weights.shape[:-1]}
    validation.broadcast_batches(shapes | {"agents": policies.shape[:-4]})
    n_agents = policies.shape[-4]
    if n_agents < 2:
        raise ValueError(f"agents must be two or more, got {n_agents}")
    own, other = np.array(pairs_of(n_agents)).T
    pairwise = check(
        _with_last_axis(problem),
        LatentPolicy(policies[..., own, :, :, :], name="agents"),
        LatentPolicy(policies[..., other, :, :, :], name="agents"),
        bounds=PAIR_BOUNDS,
    )
    convexity = _convexity(policies, weights, problem.renderings.train_mask)
    bounds = [*pairwise.bounds, convexity]
    quantities = {"robustness": pairwise.quantities["robustness"][..., :: n_agents - 1]}
    quantities |= {name: pairwise.quantities[name] for name in PAIRWISE}
    quantities |= {"mixture_robustness": convexity.lhs, "average_robustness": convexity.rhs}
    if logits is not None:
        z, y = (logits[..., k, :, :, :] for k in (own, other))
        with np.errstate(over="ignore", invalid="ignore"):
            bounds.append(_softmax_bound(z, y))
            quantities["logit_oscillation"] = _oscillation(z - y).astype(np.float64)
    return Report(arithmetic=pairwise.arithmetic, quantities=quantities, bounds=tuple(bounds))


def check_shrinkage(
    n_agents: int,
    distillation: Any,
    *,
    task_curvature: Any = 1,
    divergence_curvature: Any = 1,
    pull_variance: Any = 1,
    pull_correlation: Any = 0,
) -> Report:
    """Put linearised mutual distillation into B6.

    The variance on its left side comes from solving the agents' stationarity conditions, exactly
    when every number is rational; see `mdtheory.shrinkage.spurious_variance`.

    Args:
        n_agents: N, from 2 to 1000: an N x N system is solved exactly.
        distillation: the coefficient alpha, 0 or more.
        task_curvature: h, positive.
        divergence_curvature: g, positive.
        pull_variance: sigma squared, 0 or more.
        pull_correlation: c, of two agents' pulls, in [-1/(N-1), 1].

    Raises:
        ValueError: for numbers outside these ranges.
    """
    given = {
        "distillation": distillation,
        "task_curvature": task_curvature,
        "divergence_curvature": divergence_curvature,
        "pull_variance": pull_variance,
        "pull_correlation": pull_correlation,
    }
    rational = {name: Fraction(validation.scalar(name, value)) for name, value in given.items()}
    is_whole = isinstance(n_agents, numbers.Integral) and not isinstance(n_agents, bool)
    if not is_whole or not 2 <= n_agents <= MOST_AGENTS:
        raise ValueError(
            f"n_agents must be a whole number from 2 to {MOST_AGENTS}, got {n_agents!r}"
        )
    n_agents = int(n_agents)
    variance = spurious_variance(n_agents, **rational)
    quantities = {"n_agents": Fraction(n_agents), **rational, "spurious_variance": variance}
    return Report(arithmetic="exact", quantities=quantities, bounds=(judge(SHRINKAGE, quantities),))


def _stacked(problem: Problem, agents: Any) -> np.ndarray:
    """The agents' policies [..., K, F, S, A], float64 unless all are rational."""
    if not isinstance(agents, list | tuple):
        latent = agents if isinstance(agents, LatentPolicy) else LatentPolicy(agents, name="agents")
        if latent.probabilities.ndim < 4:
            shape = list(latent.probabilities.shape)
            raise ValueError(f"agents must have axes [k, f, s, a], got shape {shape}")
        return latent.probabilities
    policies = []
    for k, agent in enumerate(agents):
        if isinstance(agent, TabularPolicy):
            agent = agent.latent(problem.renderings)
        elif not isinstance(agent, LatentPolicy):
            agent = LatentPolicy(agent, name=f"agents[{k}]")
        problem.require_policy(agent, f"agents[{k}]")
        policies.append(agent)
    if not policies:
        raise ValueError("agents must be two or more, got 0")
    arrays = [policy.probabilities for policy in policies]
    validation.broadcast_batches({f"agents[{k}]": a.shape[:-3] for k, a in enumerate(arrays)})
    if not all(policy.exact for policy in policies):
        arrays = [array.astype(np.float64) for array in arrays]
    return np.stack(np.broadcast_arrays(*arrays), axis=-4)


def _with_last_axis(problem: Problem) -> Problem:
    """The problem with one more batch axis at the end, which broadcasts."""
    if not problem.batch_shape:
        return problem
    mdp, renderings = problem.mdp, problem.renderings
    if isinstance(mdp, FiniteMDP) and mdp.batch_shape:
        mdp = FiniteMDP(
            transition=mdp.transition[..., None, :, :, :],
            reward=mdp.reward[..., None, :, :],
            initial=mdp.initial[..., None, :],
            discount=mdp.discount[..., None],
            reward_bounds=mdp.reward_bounds[..., None, :],
        )
    if renderings.weights.ndim > 1:
        renderings = RenderingFamily(
            observation=renderings.observation,
            train_mask=renderings.train_mask,
            weights=renderings.weights[..., None, :],
            names=renderings.names,
        )
    return Problem(mdp=mdp, renderings=renderings)


def _convexity(policies: np.ndarray, weights: Any, train_mask: np.ndarray) -> BoundResult:
    """B4, by floats where rounding cannot matter, else in rationals."""
    n_agents = policies.shape[-4]
    if weights is None:
        weights = [Fraction(1, n_agents)] * n_agents
    weights = validation.parse_array("weights", weights, ("k",))
    if weights.shape != (n_agents,):
        raise ValueError(f"weights must have shape [k: {n_agents}], got {list(weights.shape)}")
    in_rationals = policies.dtype == object and weights.dtype.kind != "f"
    weights = validation.unify(weights.dtype.kind != "f", "weights", weights, ("k",))
    weights = validation.distribution("weights", weights, ("k",))
    if in_rationals:
        return judge(PART_B["B4"], _mixing(policies, weights, train_mask))
    floats = policies.astype(np.float64)
    quantities = _mixing(floats, weights.astype(np.float64), train_mask)
    rounding = 8 * (n_agents + policies.shape[-1]) * float(np.finfo(np.float64).eps)

    def settle(bound: Bound, index: tuple[int, ...]) -> dict[str, Any]:
        return _mixing(exact.rational_rows(floats[index]), exact.rational_rows(weights), train_mask)

    return judge(PART_B["B4"], quantities, radii=dict.fromkeys(quantities, rounding), settle=settle)


def _mixing(policies: np.ndarray, weights: np.ndarray, train_mask: np.ndarray) -> dict[str, Any]:
    """R of the mixture and the mean R, for policies [..., K, F, S, A]."""

    def largest(policy: np.ndarray) -> np.ndarray:
        heldout = policy[..., ~train_mask, :, :]
        return np.asarray(robustness.robustness(policy[..., train_mask, :, :], heldout))

    mixture = (weights[:, None, None, None] * policies).sum(axis=-4)
    average = (weights * largest(policies)).sum(axis=-1)
    return {"mixture_robustness": largest(mixture), "average_robustness": np.asarray(average)}


def _oscillation(difference: np.ndarray) -> np.ndarray:
    """max over f and s of max − min over the actions, for [..., F, S, A]."""
    spread = difference.max(axis=-1) - difference.min(axis=-1)
    return np.asarray(spread.max(axis=(-2, -1)))


def _softmax_rounding(n_actions: int) -> float:
    """What float64 may lose of a total variation between two softmax policies."""
    return 8 * n_actions * (n_actions + 8) * float(np.finfo(np.float64).eps)


def _softmax_bound(own: np.ndarray, other: np.ndarray) -> BoundResult:
    """B5 for logits [..., F, S, A] of two agents."""
    z, y = own.astype(np.float64), other.astype(np.float64)
    distance = robustness.total_variation(softmax(z, axis=-1), softmax(y, axis=-1))
    unit = float(np.finfo(np.float64).eps)
    quantities = {
        "disagreement": distance.max(axis=(-2, -1)),
        "logit_oscillation": _oscillation(z - y),
    }
    radii = {
        "disagreement": _softmax_rounding(own.shape[-1]),
        "logit_oscillation": 8 * unit * (abs(z) + abs(y)).max(axis=(-3, -2, -1)),
    }

    def settle(bound: Bound, index: tuple[int, ...]) -> dict[str, Any]:
        exactly = [exact.as_rationals(array[index]) for array in (own, other)]
        return {
            "disagreement": Enclosed(functools.partial(_enclosed_disagreement, *exactly)),
            "logit_oscillation": _oscillation(exactly[0] - exactly[1])[()],
        }

    return judge(PART_B["B5"], quantities, radii=radii, settle=settle)


def _enclosed_disagreement(own: np.ndarray, other: np.ndarray) -> flint.arb:
    """Largest total variation of the softmax of logits [F, S, A], at flint's current precision."""
    largest = flint.arb(0)
    for z, y in zip(own.reshape(-1, own.shape[-1]), other.reshape(-1, own.shape[-1]), strict=True):
        if len(set(z - y)) > 1:  # a constant added to all logits changes nothing
            p, q = _enclosed_softmax(z), _enclosed_softmax(y)
            distance = sum((abs(a - b) for a, b in zip(p, q, strict=True)), flint.arb(0)) / 2
            largest = largest.max(distance)
    return largest


def _enclosed_softmax(logits: np.ndarray) -> list[flint.arb]:
    weights = [exact.to_ball(z - max(logits)).exp() for z in logits]
    total = sum(weights, flint.arb(0))
    return [weight / total for weight in weights]
