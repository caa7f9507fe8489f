"""A problem: a latent MDP and the renderings in which a policy may have to act."""

from __future__ import annotations

from dataclasses import dataclass

from mdtheory import validation
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
