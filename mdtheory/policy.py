"""Policies: functions of the observation, and the latent policies they induce.

A policy π(a | o) reads the observation only.  Under rendering f it acts in latent state s like
π_f[s,a] = π(a | f(s)); a policy that is blind to the rendering has the same π_f for every f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdtheory import validation
from mdtheory.mdp import FiniteMDP, SparseMDP
from mdtheory.rendering import RenderingFamily


@dataclass(frozen=True, eq=False, init=False)
class TabularPolicy:
    """π(a | o), shape [..., O, A], validated and read-only.

    Raises:
        ValueError: naming index and value when a row is not a distribution.
    """

    probabilities: np.ndarray

    def __init__(self, probabilities: Any) -> None:
        object.__setattr__(self, "probabilities", _distributions("policy", probabilities, "o"))

    def latent(self, renderings: RenderingFamily) -> LatentPolicy:
        """The latent policies π_f[s,a] = π(a | f(s)), shape [..., F, S, A]."""
        n_observations = self.probabilities.shape[-2]
        if renderings.n_observations > n_observations:
            index = validation.first(renderings.observation >= n_observations)
            raise ValueError(
                f"{validation.located('observation', ('f', 's'), index)} must be below"
                f" {n_observations}, the policy's number of observations,"
                f" got {renderings.observation[index]}"
            )
        return LatentPolicy(self.probabilities[..., renderings.observation, :])


@dataclass(frozen=True, eq=False, init=False)
class LatentPolicy:
    """π_f[s,a], the policy in latent state s under rendering f: shape [..., F, S, A].

    Raises:
        ValueError: naming index and value when a row is not a distribution.
    """

    probabilities: np.ndarray

    def __init__(self, probabilities: Any, *, name: str = "policies") -> None:
        array = _distributions(name, probabilities, "f", "s")
        object.__setattr__(self, "probabilities", array)

    def require_mdp(self, mdp: FiniteMDP | SparseMDP, name: str) -> None:
        """Raise unless the policies act in this MDP's states, with batch axes that fit."""
        shape = self.probabilities.shape
        sizes = (mdp.n_states, mdp.n_actions)
        validation.require_shape(name, self.probabilities, ("s", "a"), sizes)
        if isinstance(mdp, SparseMDP) and len(shape) > 3:
            raise ValueError(
                f"{name} must have axes [f, s, a] for a SparseMDP, which takes no batches,"
                f" got shape {list(shape)}"
            )
        validation.broadcast_batches({"mdp": mdp.batch_shape, name: shape[:-3]})

    @property
    def exact(self) -> bool:
        """Whether the probabilities are `Fraction` objects rather than float64."""
        return self.probabilities.dtype.kind == "O"


def _distributions(name: str, probabilities: Any, *axes: str) -> np.ndarray:
    array = validation.parse_array(name, probabilities, (*axes, "a"))
    exact = validation.is_exact(array) or validation.whole_in_lists(probabilities, array)
    array = validation.unify(exact, name, array, (*axes, "a"))
    return validation.distribution(name, array, (*axes, "a"))
