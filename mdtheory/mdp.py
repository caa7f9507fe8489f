"""Finite Markov decision processes: the latent problem, before anybody looks at it.

P[s,a,s'] is the latent dynamics, r[s,a] in [r_min, r_max] the reward, ρ[s] the initial state
distribution and γ in [0,1) the discount.  `FiniteMDP` is dense, in float64 or in exact rationals,
and may carry leading batch axes (many problems of one size at once); `SparseMDP` holds a SciPy
matrix for problems with many states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from mdtheory import validation

_AXES: dict[str, validation.Axes] = {
    "transition": ("s", "a", "s'"),
    "reward": ("s", "a"),
    "initial": ("s",),
    "discount": (),
    "reward_bounds": ("i",),
}


@dataclass(frozen=True, eq=False, init=False)
class FiniteMDP:
    """A finite MDP, validated and read-only.

    The numbers are exact when every entry is rational and at least one is a `fractions.Fraction`;
    one float anywhere makes all of them float64.

    Args:
        transition: P, shape [..., S, A, S]; each row sums to 1.
        reward: r, shape [..., S, A].
        initial: ρ, shape [..., S]; sums to 1.
        discount: γ in [0, 1), shape [...].
        reward_bounds: (r_min, r_max), shape [..., 2]; by default the smallest and largest reward.

    Raises:
        ValueError: naming argument, index and value.
    """

    transition: np.ndarray
    reward: np.ndarray
    initial: np.ndarray
    discount: np.ndarray
    reward_bounds: np.ndarray

    def __init__(
        self,
        *,
        transition: Any,
        reward: Any,
        initial: Any,
        discount: Any,
        reward_bounds: Any = None,
    ) -> None:
        transition = validation.parse_array("transition", transition, ("s", "a", "s'"))
        n_states, n_actions = transition.shape[-3:-1]
        validation.require_shape(
            "transition", transition, ("s", "a", "s'"), (n_states, n_actions, n_states)
        )
        fields = {"transition": transition} | _common_fields(
            n_states, n_actions, reward, initial, discount, reward_bounds
        )
        exact = validation.is_exact(*fields.values())
        for name, array in fields.items():
            object.__setattr__(self, name, validation.unify(exact, name, array, _AXES[name]))
        rows = validation.distribution("transition", self.transition, _AXES["transition"])
        object.__setattr__(self, "transition", rows)
        validation.broadcast_batches(self._batch_shapes())
        _check_common(self)

    def _batch_shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "transition": self.transition.shape[:-3],
            "reward": self.reward.shape[:-2],
            "initial": self.initial.shape[:-1],
            "discount": self.discount.shape,
            "reward_bounds": self.reward_bounds.shape[:-1],
        }

    @property
    def n_states(self) -> int:
        return self.transition.shape[-3]

    @property
    def n_actions(self) -> int:
        return self.transition.shape[-2]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the leading axes; () for a single problem."""
        return validation.broadcast_batches(self._batch_shapes())

    @property
    def exact(self) -> bool:
        """Whether the numbers are `Fraction` objects rather than float64."""
        return self.transition.dtype.kind == "O"

    @property
    def reward_range(self) -> np.ndarray:
        """Δ = r_max − r_min, shape [...]."""
        return np.asarray(self.reward_bounds[..., 1] - self.reward_bounds[..., 0])

    def to_float(self) -> FiniteMDP:
        """The same MDP in float64."""
        return FiniteMDP(
            transition=self.transition.astype(np.float64),
            reward=self.reward.astype(np.float64),
            initial=self.initial.astype(np.float64),
            discount=self.discount.astype(np.float64),
            reward_bounds=self.reward_bounds.astype(np.float64),
        )


@dataclass(frozen=True, eq=False, init=False)
class SparseMDP:
    """A finite MDP with many states, in float64; single problems only.

    Args:
        transition: P as a SciPy sparse matrix or array of shape [S*A, S]; row s*A + a.
        reward, initial, discount, reward_bounds: as in `FiniteMDP`.

    Raises:
        ValueError: naming argument, index and value.
    """

    transition: scipy.sparse.csr_array
    reward: np.ndarray
    initial: np.ndarray
    discount: np.ndarray
    reward_bounds: np.ndarray

    def __init__(
        self,
        *,
        transition: Any,
        reward: Any,
        initial: Any,
        discount: Any,
        reward_bounds: Any = None,
    ) -> None:
        if not scipy.sparse.issparse(transition):
            raise ValueError(
                "transition must be a SciPy sparse matrix of shape [S*A, S],"
                f" got {type(transition).__name__}; use FiniteMDP for dense arrays"
            )
        reward = validation.parse_array("reward", reward, ("s", "a"))
        n_states, n_actions = reward.shape[-2:]
        if transition.shape != (n_states * n_actions, n_states):
            raise ValueError(
                f"transition must have shape [S*A, S] = [{n_states * n_actions}, {n_states}]"
                f" for a reward of shape {list(reward.shape)}, got {list(transition.shape)}"
            )
        matrix = scipy.sparse.csr_array(transition, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
        totals = _checked_row_sums(matrix, n_actions)
        matrix.data /= np.repeat(totals, np.diff(matrix.indptr))
        for part in (matrix.data, matrix.indices, matrix.indptr):
            part.setflags(write=False)
        object.__setattr__(self, "transition", matrix)
        fields = _common_fields(n_states, n_actions, reward, initial, discount, reward_bounds)
        for name, array in fields.items():
            single = len(_AXES[name])
            if array.ndim != single:
                raise ValueError(
                    f"{name} must have {single} axes, since SparseMDP holds a single problem,"
                    f" got shape {list(array.shape)}"
                )
            object.__setattr__(self, name, validation.unify(False, name, array, _AXES[name]))
        _check_common(self)

    @property
    def n_states(self) -> int:
        return int(self.transition.shape[1])

    @property
    def n_actions(self) -> int:
        return self.reward.shape[1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return ()

    @property
    def exact(self) -> bool:
        return False

    @property
    def reward_range(self) -> np.ndarray:
        """Δ = r_max − r_min."""
        return np.asarray(self.reward_bounds[1] - self.reward_bounds[0])


def _common_fields(
    n_states: int, n_actions: int, reward: Any, initial: Any, discount: Any, reward_bounds: Any
) -> dict[str, np.ndarray]:
    reward = validation.parse_array("reward", reward, ("s", "a"))
    validation.require_shape("reward", reward, ("s", "a"), (n_states, n_actions))
    initial = validation.parse_array("initial", initial, ("s",))
    validation.require_shape("initial", initial, ("s",), (n_states,))
    discount = validation.parse_array("discount", discount, ())
    if reward_bounds is None:
        reward_bounds = np.stack([reward.min(axis=(-2, -1)), reward.max(axis=(-2, -1))], axis=-1)
    else:
        reward_bounds = validation.parse_array("reward_bounds", reward_bounds, ("i",))
        validation.require_shape("reward_bounds", reward_bounds, ("i",), (2,))
    return {
        "reward": reward,
        "initial": initial,
        "discount": discount,
        "reward_bounds": reward_bounds,
    }


def _check_common(mdp: FiniteMDP | SparseMDP) -> None:
    initial = validation.distribution("initial", mdp.initial, _AXES["initial"])
    object.__setattr__(mdp, "initial", initial)
    bad = np.asarray((mdp.discount < 0) | (mdp.discount >= 1), dtype=bool)
    if bad.any():
        index = validation.first(bad)
        raise ValueError(
            f"{validation.located('discount', (), index)} must lie in [0, 1),"
            f" got {validation.shown(mdp.discount[index])}"
        )
    low, high = mdp.reward_bounds[..., 0, None, None], mdp.reward_bounds[..., 1, None, None]
    outside = np.asarray((mdp.reward < low) | (mdp.reward > high), dtype=bool)
    if outside.any():
        index = validation.first(outside)
        reward = np.broadcast_to(mdp.reward, outside.shape)[index]
        bounds = np.broadcast_to(mdp.reward_bounds, (*outside.shape[:-2], 2))[index[:-2]]
        raise ValueError(
            f"{validation.located('reward', ('s', 'a'), index)} must lie within reward_bounds"
            f" [{validation.shown(bounds[0])}, {validation.shown(bounds[1])}],"
            f" got {validation.shown(reward)}"
        )


def _checked_row_sums(matrix: scipy.sparse.csr_array, n_actions: int) -> np.ndarray:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for bad, what in (
        (~np.isfinite(matrix.data), "a finite number"),
        (matrix.data < 0, "at least 0"),
    ):
        if bad.any():
            k = int(np.argmax(bad))
            s, a = divmod(int(rows[k]), n_actions)
            raise ValueError(
                f"transition[s={s}, a={a}, s'={matrix.indices[k]}] must be {what},"
                f" got {validation.shown(float(matrix.data[k]))}"
            )
    total = np.asarray(matrix.sum(axis=1)).ravel()
    bad = abs(total - 1) > validation.SUM_TOLERANCE
    if bad.any():
        k = int(np.argmax(bad))
        s, a = divmod(k, n_actions)
        raise ValueError(
            f"transition[s={s}, a={a}] must sum to 1, got {validation.shown(float(total[k]))}"
        )
    return total
