"""A problem: a latent MDP and the renderings in which a policy may have to act.

An `Instance` is what a bound can be put to: a problem with the policies that it speaks about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mdtheory import exact, validation
from mdtheory.arrays import member
from mdtheory.mdp import FiniteMDP, SparseMDP
from mdtheory.policy import LatentPolicy
from mdtheory.rendering import RenderingFamily


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A latent MDP seen through a family of renderings.

    Raises:
        ValueError: when the two speak of different numbers of states or batch shapes.
    """

    mdp: FiniteMDP | SparseMDP
    renderings: RenderingFamily

    def __post_init__(self) -> None:
        if self.renderings.n_states != self.mdp.n_states:
            raise ValueError(
                f"renderings must show the MDP's {self.mdp.n_states} states,"
                f" got observations of {self.renderings.n_states}"
            )
        if isinstance(self.mdp, SparseMDP) and self.renderings.weights.ndim > 1:
            raise ValueError(
                "weights must have axes [f] for a SparseMDP, which takes no batches,"
                f" got shape {list(self.renderings.weights.shape)}"
            )
        _ = self.batch_shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common leading axes of MDP and weights; () for a single problem."""
        return validation.broadcast_batches(
            {"mdp": self.mdp.batch_shape, "weights": self.renderings.weights.shape[:-1]}
        )

    @property
    def exact(self) -> bool:
        """Whether MDP and weights are both rational, so that every quantity is."""
        return self.mdp.exact and self.renderings.exact

    def require_policy(self, policy: LatentPolicy, name: str) -> None:
        """Raise unless the policy acts in every state of this problem under every rendering."""
        sizes = (self.renderings.n_renderings, self.mdp.n_states, self.mdp.n_actions)
        validation.require_shape(name, policy.probabilities, ("f", "s", "a"), sizes)
        validation.broadcast_batches(
            {
                "mdp": self.mdp.batch_shape,
                "weights": self.renderings.weights.shape[:-1],
                name: policy.probabilities.shape[:-3],
            }
        )
        policy.require_mdp(self.mdp, name)


class Instance(NamedTuple):
    """A problem with the policy under test and, if there is one, a baseline: a second policy, the
    one before an update or another agent.

    `check(*instance)` checks it.
    """

    problem: Problem
    policy: LatentPolicy
    baseline: LatentPolicy | None = None

    @property
    def exact(self) -> bool:
        """Whether every number is rational."""
        return all(part.exact for part in self if part is not None)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common leading axes; () for a single instance."""
        shapes = [self.problem.batch_shape]
        shapes += [p.probabilities.shape[:-3] for p in self[1:] if p is not None]
        return np.broadcast_shapes(*shapes)

    def single(self, index: tuple[int, ...]) -> Instance:
        """One instance of a batch of dense ones."""

        def pick(array: np.ndarray, n_axes: int, of_probabilities: bool) -> np.ndarray:
            return member(array, n_axes, self.batch_shape, index)

        return self._converted(pick)

    def in_rationals(self) -> Instance:
        """The same single instance with every double read as the rational number that it is.

        Rows of probabilities are divided by their exact sums, which doubles rarely give as 1.
        """

        def rational(array: np.ndarray, n_axes: int, of_probabilities: bool) -> np.ndarray:
            return exact.rational_rows(array) if of_probabilities else exact.as_rationals(array)

        return self._converted(rational)

    def in_floats(self) -> Instance:
        """The same instance in float64."""
        return self._converted(lambda array, n_axes, of_probabilities: array.astype(np.float64))

    def _converted(self, convert: Callable[[np.ndarray, int, bool], np.ndarray]) -> Instance:
        """Every array put through a function of it, its axes and whether its rows sum to 1."""
        mdp, renderings = self.problem.mdp, self.problem.renderings
        if isinstance(mdp, SparseMDP):
            raise ValueError("the MDP must be a FiniteMDP, got a SparseMDP")
        policies = [
            None if policy is None else LatentPolicy(convert(policy.probabilities, 3, True))
            for policy in (self.policy, self.baseline)
        ]
        problem = Problem(
            mdp=FiniteMDP(
                transition=convert(mdp.transition, 3, True),
                reward=convert(mdp.reward, 2, False),
                initial=convert(mdp.initial, 1, True),
                discount=convert(mdp.discount, 0, False),
                reward_bounds=convert(mdp.reward_bounds, 1, False),
            ),
            renderings=RenderingFamily(
                observation=renderings.observation,
                train_mask=renderings.train_mask,
                weights=convert(renderings.weights, 1, True),
                names=renderings.names,
            ),
        )
        assert policies[0] is not None
        return Instance(problem, policies[0], policies[1])
