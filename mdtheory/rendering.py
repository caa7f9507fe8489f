"""Renderings: how a latent state looks, and which looks are seen in training.

A rendering f : S → O is injective, so it never hides the state; everything it adds is irrelevant.
A family F carries probabilities p(f) and a split into training renderings T, of mass M = p(T) > 0,
and held-out renderings H = F \\ T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdtheory import validation


@dataclass(frozen=True, eq=False, init=False)
class RenderingFamily:
    """A family of renderings with weights and a train/held-out split, validated and read-only.

    Args:
        observation: integers, shape [F, S]; observation[f, s] is the index of f(s) in O.  Each row
            must be injective; two renderings may share observations.
        train_mask: booleans, shape [F]; true for the training renderings T.
        weights: p, shape [..., F]; sums to 1.  Uniform by default, in exact rationals.
        names: one label per rendering; "f0", "f1", ... by default.

    Raises:
        ValueError: naming argument, index and value; also when the training mass M is 0.
    """

    observation: np.ndarray
    weights: np.ndarray
    train_mask: np.ndarray
    names: tuple[str, ...]

    def __init__(
        self, *, observation: Any, train_mask: Any, weights: Any = None, names: Any = None
    ) -> None:
        observation = validation.parse_array("observation", observation, ("f", "s"))
        if observation.ndim != 2 or observation.dtype.kind != "i":
            raise ValueError(
                "observation must be nonnegative integers of shape [F, S],"
                f" got {observation.dtype} of shape {list(observation.shape)}"
            )
        if (observation < 0).any():
            index = validation.first(observation < 0)
            raise ValueError(
                f"{validation.located('observation', ('f', 's'), index)} must be at least 0,"
                f" got {observation[index]}"
            )
        for f, row in enumerate(observation):
            seen, count = np.unique(row, return_counts=True)
            if (count > 1).any():
                again = int(seen[count > 1][0])
                s = [int(i) for i in np.flatnonzero(row == again)[:2]]
                raise ValueError(
                    f"observation[f={f}] must be injective,"
                    f" got {again} for both s={s[0]} and s={s[1]}"
                )
        n_renderings = len(observation)
        train_mask = validation.parse_mask("train", train_mask, "f")
        validation.require_shape("train", train_mask, ("f",), (n_renderings,))
        if weights is None:
            weights = np.ones(n_renderings, dtype=np.int64)
            weights = validation.as_exact(weights) / n_renderings
        parsed = validation.parse_array("weights", weights, ("f",))
        validation.require_shape("weights", parsed, ("f",), (n_renderings,))
        exact = validation.is_exact(parsed) or validation.whole_in_lists(weights, parsed)
        weights = validation.unify(exact, "weights", parsed, ("f",))
        weights = validation.distribution("weights", weights, ("f",))
        mass = weights[..., train_mask].sum(axis=-1)
        if np.any(mass <= 0):
            raise ValueError(
                "train must mark renderings of positive total weight, got train_mass M = 0"
            )
        names = tuple(names) if names is not None else tuple(f"f{f}" for f in range(n_renderings))
        if len(names) != n_renderings:
            raise ValueError(f"names must have length {n_renderings}, got {len(names)}")
        object.__setattr__(self, "observation", validation.frozen(observation))
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "train_mask", train_mask)
        object.__setattr__(self, "names", names)

    @classmethod
    def distinct(
        cls, n_states: int, *, train_mask: Any, weights: Any = None, names: Any = None
    ) -> RenderingFamily:
        """Renderings that share no observation: f(s) = f·S + s.

        The policy may then act freely under each rendering.
        """
        n_renderings = len(validation.parse_mask("train", train_mask, "f"))
        observation = np.arange(n_renderings * n_states).reshape(n_renderings, n_states)
        return cls(observation=observation, train_mask=train_mask, weights=weights, names=names)

    @property
    def n_renderings(self) -> int:
        return self.observation.shape[0]

    @property
    def n_states(self) -> int:
        return self.observation.shape[1]

    @property
    def n_observations(self) -> int:
        """Size of O: one more than the largest index in use."""
        return int(self.observation.max()) + 1

    @property
    def exact(self) -> bool:
        """Whether the weights are `Fraction` objects rather than float64."""
        return self.weights.dtype.kind == "O"

    @property
    def train_mass(self) -> np.ndarray:
        """M = p(T), shape [...]; exactly 1 when no held-out rendering has any weight."""
        mass = np.asarray(self.weights[..., self.train_mask].sum(axis=-1))
        unseen = np.asarray((self.weights[..., ~self.train_mask] > 0).any(axis=-1), dtype=bool)
        return np.where(unseen, np.minimum(mass, 1), mass * 0 + 1)
