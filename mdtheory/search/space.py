"""The space that the search moves in: parameters of instances, and how they become numbers.

    π_f(s) = (1 − t_s) c_s + t_s x_{f,s}       the policy under rendering f
    π0_f(s) = (1 − k_s) π_f(s) + k_s y_{f,s}   the policy before an update
    r = low + scale · u,  u in [0, 1]          rewards, bounded by low and low + scale

so that nearby policies, which most bounds are about, are as easy to reach as distant ones.  `build`
is arithmetic only: floats, tensors and rationals become instances by the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mdtheory import arrays
from mdtheory.evaluation import Model
from mdtheory.mdp import FiniteMDP
from mdtheory.measure import Measurement
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Instance, Problem
from mdtheory.rendering import RenderingFamily

Parameters = Mapping[str, Any]

LONGEST = 0.9999
"""Discount up to which float64 can guide the search."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Sizes of the instances, and what is held fixed.

    Attributes:
        n_states, n_actions, n_renderings, n_train: sizes; the first renderings are trained on.
        with_baseline: whether there is a second policy, the baseline.
        discount, robustness: fixed values of γ and R, or None.  A fixed R needs two actions and a
            held-out rendering: the first and the last rendering then differ by exactly R in the
            state where t is largest.
    """

    n_states: int
    n_actions: int
    n_renderings: int
    n_train: int
    with_baseline: bool = False
    discount: Fraction | None = None
    robustness: Fraction | None = None

    @property
    def rows(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters whose last axis holds distributions."""
        s, a, f = self.n_states, self.n_actions, self.n_renderings
        shapes = {
            "transition": (s, a, s),
            "initial": (s,),
            "weights": (f,),
            "common": (s, a),
            "own": (f, s, a),
        }
        return shapes | ({"before": (f, s, a)} if self.with_baseline else {})

    @property
    def shares(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters in [0, 1]."""
        s, a = self.n_states, self.n_actions
        shapes: dict[str, tuple[int, ...]] = {"reward": (s, a), "distance": (s,)}
        shapes |= {} if self.discount is not None else {"discount": ()}
        return shapes | ({"step": (s,)} if self.with_baseline else {})

    @property
    def train_mask(self) -> np.ndarray:
        """Booleans [F]."""
        return np.arange(self.n_renderings) < self.n_train


@dataclass(frozen=True)
class Worlds:
    """Instances as plain arrays with common leading axes, in any arithmetic, not validated."""

    model: Model
    policy: Any
    baseline: Any
    weights: Any
    train_mask: np.ndarray

    @property
    def measurement(self) -> Measurement:
        shape = tuple(self.model.discount.shape)
        return Measurement(
            self.model, self.policy, self.baseline, self.weights, self.train_mask, shape
        )

    def instance(self, index: tuple[int, ...] = ()) -> Instance:
        """One of them, validated."""

        def pick(array: Any, n_axes: int) -> np.ndarray:
            array = arrays.to_numpy(array)
            return array if array.ndim == n_axes else np.asarray(array[index])

        model = self.model
        low, high = (pick(bound, 0).item() for bound in (model.reward_min, model.reward_max))
        mdp = FiniteMDP(
            transition=pick(model.transition, 3),
            reward=pick(model.reward, 2),
            initial=pick(model.initial, 1),
            discount=pick(model.discount, 0),
            reward_bounds=[low, high],
        )
        family = RenderingFamily.distinct(
            mdp.n_states, train_mask=self.train_mask, weights=pick(self.weights, 1)
        )
        return Instance(
            Problem(mdp=mdp, renderings=family),
            LatentPolicy(pick(self.policy, 3)),
            None if self.baseline is None else LatentPolicy(pick(self.baseline, 3)),
        )


def build(space: Space, parameters: Parameters, number: Callable[[Fraction], Any]) -> Worlds:
    """Instances from parameters; `number` puts a constant into their arithmetic."""
    p = parameters
    distance, own = p["distance"], p["own"]
    if space.robustness is not None:
        largest = arrays.namespace(distance).amax(distance, axis=-1)
        distance = distance / largest[..., None] * number(space.robustness)
        own = _opposite(space, own)
    t = distance[..., None, :, None]
    policy = (1 - t) * p["common"][..., None, :, :] + t * own
    baseline = None
    if space.with_baseline:
        k = p["step"][..., None, :, None]
        baseline = (1 - k) * policy + k * p["before"]
    discount = (
        p["low"] * 0 + number(space.discount) if space.discount is not None else p["discount"]
    )
    model = Model(
        transition=p["transition"],
        reward=p["low"][..., None, None] + p["scale"][..., None, None] * p["reward"],
        initial=p["initial"],
        discount=discount,
        reward_min=p["low"],
        reward_max=p["low"] + p["scale"],
    )
    return Worlds(model, policy, baseline, p["weights"], space.train_mask)


def _opposite(space: Space, own: Any) -> Any:
    """Where policies differ, training renderings play action 0 and held-out ones action 1."""
    played = np.where(space.train_mask, 0, 1)
    one_hot = np.eye(space.n_actions, dtype=int)[played][:, None, :]
    zero = own[..., :1, :1] * 0
    if arrays.namespace(own) is np:
        return zero + one_hot
    return zero + arrays.on_device(one_hot, str(own.device))


def exact_instance(space: Space, parameters: Parameters) -> Instance:
    """The instance of rational parameters (object arrays of `Fraction`, no batch axes)."""
    batch_of_one = {name: np.asarray(value)[None] for name, value in parameters.items()}
    return build(space, batch_of_one, lambda number: number).instance((0,))


def rounded(space: Space, parameters: Parameters, denominator: int) -> dict[str, np.ndarray]:
    """Float parameters of one instance as rationals of about this denominator.

    Rows still sum to 1; what is much smaller than 1/denominator vanishes.  The discount keeps at
    least one digit of 1 − γ.
    """
    out: dict[str, np.ndarray] = {}
    for name, value in parameters.items():
        array = np.asarray(value, dtype=np.float64)
        if name in space.rows:
            out[name] = np.apply_along_axis(_rounded_row, -1, array.astype(object), denominator)
            if name == "weights":  # rounding lets no rendering vanish: M < 1 stays below 1
                counts = np.where(array > 0, np.maximum(out[name] * denominator, 1), 0)
                out[name] = counts / counts.sum()
        elif name == "scale" and array > 0:
            finest = max(denominator, int(np.ceil(2 / float(array))))
            out[name] = np.array(Fraction(float(array)).limit_denominator(finest))
        elif name == "discount":
            finest = max(denominator, int(min(10 / (1 - float(array)), 1e15)))
            out[name] = np.array(_below_one(Fraction(float(array)).limit_denominator(finest)))
        elif name == "distance" and space.robustness is not None:
            share = array / array.max()
            out[name] = _nearest(share, denominator)
        else:
            out[name] = _nearest(array, denominator)
    return out


def _nearest(array: np.ndarray, denominator: int) -> np.ndarray:
    """Multiples of 1/denominator; from 1/1000 on, tiny shares keep three digits instead."""

    def nearest(x: float) -> Fraction:
        if denominator >= 1000 and 0 < abs(x) < 10 / denominator:
            return Fraction(f"{x:.3g}")
        return Fraction(round(x * denominator), denominator)

    return np.asarray(np.vectorize(nearest, otypes="O")(array))


def _below_one(value: Fraction) -> Fraction:
    return value if value < 1 else Fraction(0)


def _rounded_row(row: np.ndarray, denominator: int) -> np.ndarray:
    """Counts by largest remainder, so that they add up to the denominator."""
    scaled = np.asarray(row, dtype=np.float64) * denominator
    counts = np.floor(scaled).astype(int)
    missing = denominator - counts.sum()
    order = np.argsort(counts - scaled, kind="stable")
    counts[order[:missing]] += 1
    return np.array([Fraction(int(k), denominator) for k in counts], dtype=object)


def random_parameters(space: Space, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """Rows from near uniform to near deterministic, distances from tiny to 1."""
    out: dict[str, np.ndarray] = {}
    for name, shape in space.rows.items():
        sharpness = rng.choice([0.5, 2.0, 8.0, 64.0], (size,) + (1,) * len(shape))
        logits = sharpness * rng.normal(size=(size, *shape))
        out[name] = _softmax(logits)
    for name, shape in space.shares.items():
        sharpness = rng.choice([1.0, 4.0, 16.0], (size,) + (1,) * len(shape))
        out[name] = 1 / (1 + np.exp(-sharpness * rng.normal(size=(size, *shape))))
    if "discount" in out:
        out["discount"] = np.minimum(out["discount"], LONGEST)
    return out | _reward_scale(rng, size)


def structured_parameters(
    space: Space, rng: np.random.Generator, size: int
) -> dict[str, np.ndarray]:
    """Small rational numbers: deterministic rows, ties, extremes, and everything in between."""
    out: dict[str, np.ndarray] = {}
    for name, shape in space.rows.items():
        limit = rng.choice([1, 1, 2, 4], (size,) + (1,) * len(shape))
        counts = rng.integers(0, 5, (size, *shape)) % (limit + 1)
        first = rng.integers(0, shape[-1], (size, *shape[:-1]))
        one_hot = np.eye(shape[-1], dtype=int)[first]
        is_pure = (limit == 1) | (counts.sum(axis=-1, keepdims=True) == 0)
        counts = np.where(is_pure, one_hot, counts)
        out[name] = counts / counts.sum(axis=-1, keepdims=True)
    choices = {"discount": [0, 1 / 4, 1 / 2, 9 / 10, 99 / 100]}
    for name, shape in space.shares.items():
        values = choices.get(name, [0, 0, 1 / 10, 1 / 2, 1, 1, 1])
        out[name] = rng.choice(values, (size, *shape))
    if space.robustness is not None:
        out["distance"][..., 0] = 1
    if space.n_renderings > space.n_train:
        mixed = rng.integers(1, 4, (size, space.n_renderings))
        mixed[rng.random(size) < 0.1, space.n_train :] = 0
        out["weights"] = mixed / mixed.sum(axis=-1, keepdims=True)
    if space.with_baseline:
        # Updates that change nothing in training, or nothing held out, or a little everywhere.
        kind = rng.integers(0, 4, size)
        out["before"][kind == 1, : space.n_train] = out["own"][kind == 1, : space.n_train]
        for chosen in (kind == 1, kind == 2):
            out["distance"][chosen] = out["step"][chosen] = 1
        out["before"][kind == 2, space.n_train :] = out["own"][kind == 2, space.n_train :]
        out["step"][kind == 3] = np.minimum(out["step"][kind == 3], 1 / 100)
    return out | _reward_scale(rng, size)


def _reward_scale(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    low = rng.choice([0.0, 0.0, 0.0, -1.0, -1 / 2, 1.0, -10.0], size)
    return {"low": low, "scale": rng.choice([1.0, 1.0, 1.0, 1 / 10, 10.0, 0.0], size)}


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
