"""Every named quantity of a problem and a policy, as the numbers that statements are about.

One set of formulas serves float64 arrays and tensors (batched), exact rationals and sparse
transitions.  Averages over pairs run over training f and held-out f' with weights
p(f) p(f') / (M (1−M)) and are 0 when M = 1.  R is a maximum over the same pairs whatever their
weight; it is 0 when none is held out.

Float64 quantities have a proven radius: the problem that they describe is the one whose numbers
are the given doubles, each row of probabilities divided by its exact sum.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import flint
import numpy as np

from mdtheory import arrays, evaluation, exact, robustness, validation
from mdtheory.evaluation import Model
from mdtheory.policy import LatentPolicy
from mdtheory.problem import Problem
from mdtheory.statements import (
    AGENT_QUANTITIES,
    PAIR_QUANTITIES,
    QUANTITIES,
    SHRINKAGE_QUANTITIES,
    Quantity,
)


def measure(
    problem: Problem,
    policy: LatentPolicy,
    baseline: LatentPolicy | None = None,
    *,
    names: Iterable[str] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """The quantities of a policy, by name.

    Args:
        problem: MDP and renderings, possibly batched.
        policy: latent policies [..., F, S, A].
        baseline: a second policy, for the quantities of A6 to A8 and B1 to B3.
        names: which quantities; by default all (those of pairs if there is a baseline).
        device: where PyTorch computes in float64, "cpu" or "cuda"; by default NumPy does.

    Returns:
        name -> float64 array of the batch's shape; or `Fraction`s (object array when batched) when
        problem and policies are exact; KL divergences are then `mdtheory.exact.Enclosed`.
        `heldout_return` is nan, or None when exact, if M = 1.

    Raises:
        ValueError: for an unknown name or device, or policies that do not fit the problem.
        ArithmeticError: for a discount that is too close to 1 for float64.
        ModuleNotFoundError: for a device without PyTorch, the extra `search`.
    """
    known = [*QUANTITIES, *(PAIR_QUANTITIES if baseline is not None else ())]
    names = known if names is None else list(names)
    for name in names:
        if name not in known:
            raise ValueError(validation.unknown("quantity", name, known))
    measurement = Measurement.of(problem, policy, baseline, device=device)
    built_in = QUANTITIES | PAIR_QUANTITIES
    with np.errstate(over="ignore", invalid="ignore"):
        return {name: measurement.value(built_in[name]) for name in names}


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """Lazily computed quantities; each public property bears its quantity's name.

    A quantity of your own gets this object, and may use any attribute of it.

    Attributes:
        model: the MDP's numbers.
        policy: latent policies [..., F, S, A] in the same arithmetic.
        baseline: a second policy, the one before an update or another agent, or None.
        weights: p [..., F].
        train_mask: booleans [F].
        batch_shape: common leading axes.
    """

    model: Model
    policy: Any
    baseline: Any
    weights: Any
    train_mask: np.ndarray
    batch_shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        problem: Problem,
        policy: LatentPolicy,
        baseline: LatentPolicy | None = None,
        *,
        device: str | None = None,
    ) -> Measurement:
        """Of a problem and policies; in rationals when all are exact and no device is given.

        Raises:
            ValueError: when the policies do not fit the problem.
        """
        problem.require_policy(policy, "policies")
        if baseline is not None:
            problem.require_policy(baseline, "baseline_policies")
        all_exact = problem.exact and policy.exact and (baseline is None or baseline.exact)
        in_rationals = all_exact and device is None
        numbers = evaluation.numbers_for(in_rationals=in_rationals, device=device)
        return cls(
            model=Model.of(problem.mdp, in_rationals=in_rationals, device=device),
            policy=numbers(policy.probabilities),
            baseline=None if baseline is None else numbers(baseline.probabilities),
            weights=numbers(problem.renderings.weights),
            train_mask=problem.renderings.train_mask,
            batch_shape=np.broadcast_shapes(
                problem.batch_shape,
                policy.probabilities.shape[:-3],
                () if baseline is None else baseline.probabilities.shape[:-3],
            ),
        )

    @property
    def exact(self) -> bool:
        """Whether the numbers are rationals."""
        return self.policy.dtype == object

    @cached_property
    def xp(self) -> Any:
        """`numpy` or `torch`."""
        return arrays.namespace(self.policy)

    def value(self, quantity: Quantity) -> Any:
        """A quantity in NumPy: float64 of the batch's shape, or `Fraction` objects."""
        value = arrays.to_numpy(self.raw(quantity))
        if not self.exact:
            return np.broadcast_to(value.astype(np.float64), self.batch_shape)[()]
        out = np.empty(self.batch_shape, dtype=object)
        value = np.broadcast_to(value, self.batch_shape)
        for index in np.ndindex(self.batch_shape):
            entry = value[index]
            as_it_is = entry is None or isinstance(entry, exact.Enclosed)
            out[index] = entry if as_it_is else exact.to_fraction(entry)
        return out[()]

    def raw(self, quantity: Quantity) -> Any:
        """A quantity in this measurement's own arithmetic.

        Raises:
            ValueError: for one that needs more than two policies of a problem.
        """
        if quantity.measure is not None:
            return quantity.measure(self)
        for quantities, function in (
            (AGENT_QUANTITIES, "check_agents"),
            (SHRINKAGE_QUANTITIES, "check_shrinkage"),
        ):
            if quantity.name in quantities:
                raise ValueError(
                    f"{quantity.name} is no quantity of a policy and a baseline;"
                    f" mdtheory.{function} measures it"
                )
        return getattr(self, quantity.name)

    def radius(self, quantity: Quantity) -> np.ndarray:
        """How far the float64 value may be from the truth; infinite for quantities of your own."""
        if quantity.measure is not None:
            return np.full(self.batch_shape, np.inf)
        radius = arrays.to_numpy(_Radii(self).of(quantity.name))
        return np.broadcast_to(radius, self.batch_shape).astype(np.float64)

    @cached_property
    def train(self) -> np.ndarray:
        """Indices of the training renderings."""
        return np.flatnonzero(self.train_mask)

    @cached_property
    def heldout(self) -> np.ndarray:
        """Indices of the held-out renderings."""
        return np.flatnonzero(~self.train_mask)

    @property
    def discount(self) -> Any:
        return self.model.discount

    @property
    def reward_range(self) -> Any:
        return self.model.reward_range

    @property
    def reward_min(self) -> Any:
        return self.model.reward_min

    @property
    def reward_max(self) -> Any:
        return self.model.reward_max

    @cached_property
    def unseen_mass(self) -> Any:
        """1 − M as the sum of the held-out weights, which does not cancel: [...]."""
        if self.heldout.size == 0:
            return self.weights[..., 0] * 0
        return self.weights[..., self.heldout].sum(axis=-1)

    @cached_property
    def train_mass(self) -> Any:
        mass = self.weights[..., self.train].sum(axis=-1)
        if self.exact:
            return np.asarray(mass)
        one = mass * 0 + 1
        return self.xp.where(self.unseen_mass > 0, self.xp.minimum(mass, one), one)

    @cached_property
    def _train_weights(self) -> Any:
        """p(f)/M for f in T, shape [..., T]."""
        return self.weights[..., self.train] / self.train_mass[..., None]

    @cached_property
    def _heldout_weights(self) -> Any:
        """p(f')/(1−M) for f' in H, shape [..., H]; zeros where M = 1."""
        unseen = np.asarray(self.unseen_mass) if self.exact else self.unseen_mass
        safe = self.xp.where(unseen > 0, unseen, unseen * 0 + 1)
        return self.weights[..., self.heldout] / safe[..., None]

    @cached_property
    def occupancy(self) -> Any:
        """d_f[s], shape [..., F, S]."""
        return evaluation.occupancies(self.model, self.policy)

    def excess_return(self, policy: Any, occupancy: Any) -> Any:
        """J_f − r_min/(1−γ), shape [..., F]: differences of it do not cancel a large offset."""
        reward = self.model.reward - self.reward_min[..., None, None]
        return evaluation.returns(dataclasses.replace(self.model, reward=reward), policy, occupancy)

    @cached_property
    def _lowest_return(self) -> Any:
        return self.reward_min / (1 - self.discount)

    @cached_property
    def _excess_return(self) -> Any:
        return self.excess_return(self.policy, self.occupancy)

    def _mean_in_training(self, by_rendering: Any) -> Any:
        return (self._train_weights * by_rendering[..., self.train]).sum(axis=-1)

    @cached_property
    def train_return(self) -> Any:
        return self._mean_in_training(self._excess_return) + self._lowest_return

    @cached_property
    def general_return(self) -> Any:
        return (self.weights * self._excess_return).sum(axis=-1) + self._lowest_return

    @cached_property
    def heldout_return(self) -> Any:
        missing = None if self.exact else float("nan")
        if self.heldout.size == 0:
            return np.full(self.batch_shape, missing)
        mean = (self._heldout_weights * self._excess_return[..., self.heldout]).sum(axis=-1)
        mean = mean + self._lowest_return
        if self.exact:
            return np.where(np.asarray(self.unseen_mass > 0, dtype=bool), mean, None)
        return self.xp.where(self.unseen_mass > 0, mean, mean * 0 + missing)

    @cached_property
    def gap(self) -> Any:
        """ζ − η = (1−M) (ξ − η), which does not cancel where the gap is small."""
        if self.heldout.size == 0:
            return self._excess_return[..., 0] * 0
        # Against one rendering's return, so that equal returns give exactly 0.
        difference = self._excess_return - self._excess_return[..., self.train[:1]]
        heldout = (self._heldout_weights * difference[..., self.heldout]).sum(axis=-1)
        gap = self.unseen_mass * abs(heldout - self._mean_in_training(difference))
        return self._zero_if_blind(gap)

    @cached_property
    def robustness(self) -> Any:
        return robustness.robustness(self._train_policy, self._heldout_policy)

    @cached_property
    def full_robustness(self) -> Any:
        return robustness.full_robustness(self.policy)

    @cached_property
    def _train_policy(self) -> Any:
        return self.policy[..., self.train, :, :]

    @cached_property
    def _heldout_policy(self) -> Any:
        return self.policy[..., self.heldout, :, :]

    def mean_over_pairs(self, one_against_heldout: Callable[[int], Any]) -> Any:
        """E_{f∼T, f'∼H} of a function of the position of f in T, with values [..., H]."""
        total = self.unseen_mass * 0
        if self.heldout.size == 0:
            return total
        for i in range(self.train.size):
            inner = (self._heldout_weights * one_against_heldout(i)).sum(axis=-1)
            total = total + self._train_weights[..., i] * inner
        return total

    def pair_distance(self, i: int) -> Any:
        """TV_s between the i-th training rendering and every held-out one, [..., H, S]."""
        return robustness.total_variation(self._train_policy[..., [i], :, :], self._heldout_policy)

    @cached_property
    def mean_robustness(self) -> Any:
        occupancy = self.occupancy[..., self.train, :]

        def visited(i: int) -> Any:
            return (occupancy[..., [i], :] * self.pair_distance(i)).sum(axis=-1)

        return (1 - self.discount) * self.mean_over_pairs(visited)

    @cached_property
    def decoupling(self) -> Any:
        initial = self.model.initial[..., None, :]

        def separation(i: int) -> Any:
            return (initial * self._separations[i][0]).sum(axis=-1)

        return self.mean_over_pairs(separation)

    @cached_property
    def _separations(self) -> list[tuple[Any, Any]]:
        """For the i-th training rendering: (I − γ P_m)⁻¹ t [..., H, S], and m [..., H, S, A]."""
        found = []
        for i in range(self.train.size):
            common = self.xp.minimum(self._train_policy[..., [i], :, :], self._heldout_policy)
            distance = self.pair_distance(i)
            found.append((evaluation.discounted_solve(self.model, common, distance), common))
        return found

    @cached_property
    def occupancy_distance(self) -> Any:
        joint = self.occupancy[..., None] * self.policy

        def distance(i: int) -> Any:
            difference = joint[..., self.train[[i]], :, :] - joint[..., self.heldout, :, :]
            return abs(difference).sum(axis=(-2, -1)) / 2

        return self._zero_if_blind(self.mean_over_pairs(distance))

    def _zero_if_blind(self, value: Any) -> Any:
        """Equal policies have equal occupancies, whatever rounding made of them."""
        if self.exact:
            return value
        return self.xp.where(self.robustness > 0, value, value * 0)

    @cached_property
    def _baseline_train(self) -> Any:
        assert self.baseline is not None  # `measure` offers these quantities only with a baseline
        return self.baseline[..., self.train, :, :]

    @cached_property
    def _baseline_occupancy(self) -> Any:
        """d_f[s] of the policy before the update, shape [..., F, S]."""
        return evaluation.occupancies(self.model, self.baseline)

    @cached_property
    def _baseline_excess_return(self) -> Any:
        return self.excess_return(self.baseline, self._baseline_occupancy)

    @cached_property
    def _baseline_value(self) -> Any:
        """V_f[s] of the policy before the update for f in T, shape [..., T, S]."""
        return evaluation.state_values(self.model, self._baseline_train)

    @cached_property
    def _expected_advantage(self) -> Any:
        """Σ_a π̃_f[s,a] A_f[s,a] for f in T, shape [..., T, S]."""
        value = self._baseline_value
        advantage = evaluation.action_values(self.model, value) - value[..., None]
        return (self._train_policy * advantage).sum(axis=-1)

    @cached_property
    def surrogate(self) -> Any:
        occupancy = self._baseline_occupancy[..., self.train, :]
        before = evaluation.returns(self.model, self._baseline_train, occupancy)
        gain = (occupancy * self._expected_advantage).sum(axis=-1)
        return (self._train_weights * (before + gain)).sum(axis=-1)

    @cached_property
    def train_shift(self) -> Any:
        distance = robustness.total_variation(self._train_policy, self._baseline_train)
        return self._mean_on_visited(self._baseline_occupancy, distance)

    @cached_property
    def advantage_bound(self) -> Any:
        return self.xp.amax(abs(self._expected_advantage), axis=(-2, -1))

    @cached_property
    def baseline_train_return(self) -> Any:
        return self._mean_in_training(self._baseline_excess_return) + self._lowest_return

    @cached_property
    def baseline_general_return(self) -> Any:
        return (self.weights * self._baseline_excess_return).sum(axis=-1) + self._lowest_return

    @cached_property
    def baseline_robustness(self) -> Any:
        heldout = self.baseline[..., self.heldout, :, :]
        return robustness.robustness(self._baseline_train, heldout)

    @cached_property
    def disagreement(self) -> Any:
        distance = robustness.total_variation(self.policy, self.baseline)
        return self.xp.amax(distance, axis=(-2, -1))

    @cached_property
    def divergence(self) -> Any:
        if self.exact:
            return self._enclosed(self._divergence_ball)
        return self.xp.amax(self.state_divergence, axis=(-2, -1))

    @cached_property
    def mean_disagreement(self) -> Any:
        distance = robustness.total_variation(self._train_policy, self._baseline_train)
        return self._mean_on_visited(self.occupancy, distance)

    @cached_property
    def mean_divergence(self) -> Any:
        if self.exact:
            return self._enclosed(self._mean_divergence_ball)
        by_state = self.state_divergence[..., self.train, :]
        occupancy = self.occupancy[..., self.train, :]
        finite = self.xp.where(occupancy > 0, by_state, occupancy * 0)
        return self._mean_on_visited(self.occupancy, finite)

    @cached_property
    def state_divergence(self) -> Any:
        """KL(π0_f ‖ π_f)(s) in nats, float64, shape [..., F, S]."""
        return robustness.kl_divergence(self.baseline, self.policy)

    def _mean_on_visited(self, occupancy: Any, by_state: Any) -> Any:
        """E_{f∼T} E_{s∼(1−γ)d_f} of [..., T, S], with the occupancies [..., F, S] of a policy."""
        visited = (occupancy[..., self.train, :] * by_state).sum(axis=-1)
        return (1 - self.discount) * (self._train_weights * visited).sum(axis=-1)

    def _enclosed(self, ball: Callable[[tuple[int, ...]], flint.arb]) -> np.ndarray:
        """One `Enclosed` number for each problem of the batch."""
        out = np.empty(self.batch_shape, dtype=object)
        for index in np.ndindex(self.batch_shape):
            out[index] = exact.Enclosed(functools.partial(ball, index))
        return out

    def _divergence_ball(self, index: tuple[int, ...]) -> flint.arb:
        baseline, policy = self._pick(self.baseline, 3, index), self._pick(self.policy, 3, index)
        rows = (policy.shape[-3] * policy.shape[-2], policy.shape[-1])
        pairs = zip(baseline.reshape(rows), policy.reshape(rows), strict=True)
        balls = (robustness.enclosed_kl_divergence(p, q) for p, q in pairs)
        return functools.reduce(lambda x, y: x.max(y), balls)

    def _mean_divergence_ball(self, index: tuple[int, ...]) -> flint.arb:
        baseline, policy = self._pick(self.baseline, 3, index), self._pick(self.policy, 3, index)
        occupancy = self._pick(self.occupancy, 2, index)
        weights = self._pick(self._train_weights, 1, index)
        horizon = 1 / (1 - self._pick(self.discount, 0, index)[()])
        total = flint.arb(0)
        for weight, f in zip(weights, self.train, strict=True):
            for s in np.flatnonzero(weight * occupancy[f] > 0):
                ball = robustness.enclosed_kl_divergence(baseline[f, s], policy[f, s])
                total += flint.arb(weight * occupancy[f, s] / horizon) * ball
        return total

    def _pick(self, array: Any, n_axes: int, index: tuple[int, ...]) -> np.ndarray:
        """An array's trailing axes at an index of the batch."""
        return arrays.member(array, n_axes, self.batch_shape, index)


class _Radii:
    """Proven bounds on the error of float64 quantities.

    Each follows from `evaluation.solve_error` and from `unit`, a generous relative bound on what a
    sum loses to rounding; a factor 2 covers rounding in the radii themselves.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.m = measurement
        self.horizon = 1 / (1 - measurement.discount)
        self.unit = evaluation.rounding(
            measurement.model
        ) + 4 * measurement.train_mask.size * float(np.finfo(np.float64).eps)
        xp = measurement.xp
        self.largest_reward = xp.maximum(abs(measurement.reward_min), abs(measurement.reward_max))

    def of(self, name: str) -> Any:
        """The radius of a quantity, shape [...]."""
        m, unit, horizon = self.m, self.unit, self.horizon
        largest_return = self.largest_reward * horizon
        zero = m.weights[..., 0] * 0
        if name in ("discount", "reward_min", "reward_max"):
            return zero
        if name == "reward_range":
            return 2 * unit * m.reward_range
        if name in ("train_return", "general_return", "heldout_return"):
            return 2 * (self.excess_return(m.policy, m.occupancy) + unit * largest_return)
        if name in ("baseline_train_return", "baseline_general_return"):
            excess = self.excess_return(m.baseline, m._baseline_occupancy)
            return 2 * (excess + unit * largest_return)
        if name in ("full_robustness", "baseline_robustness"):
            return zero + 2 * unit
        if name in ("disagreement", "divergence", "mean_disagreement", "mean_divergence"):
            # Equal doubles describe equal policies, which nothing separates.
            return m.xp.where(m.disagreement > 0, 2 * getattr(self, name)(), zero)
        if name == "train_mass":
            return m.xp.where(m.unseen_mass > 0, zero + 2 * unit, zero)
        if name == "robustness":
            return m.xp.where(m.robustness > 0, zero + 2 * unit, zero)
        if name in ("gap", "mean_robustness", "decoupling", "occupancy_distance"):
            if m.heldout.size == 0:
                return zero
            # Equal doubles describe equal policies, so a blind policy's distances are truly 0.
            vanishes = (m.unseen_mass <= 0) | (m.robustness <= 0)
            radius = 2 * getattr(self, name)()
            return m.xp.where(vanishes, radius * 0, radius)
        return 2 * getattr(self, name)()

    def occupancy(self, policy: Any, occupancy: Any) -> Any:
        """Largest error over renderings in the sum norm, [...]."""
        m = self.m
        rows = evaluation.initial_rows(m.model, policy)
        error = evaluation.solve_error(m.model, policy, rows, occupancy, transpose=True)
        return m.xp.amax(error, axis=-1)

    def excess_return(self, policy: Any, occupancy: Any) -> Any:
        spread = self.m.reward_range
        return spread * (self.occupancy(policy, occupancy) + self.unit * self.horizon)

    def gap(self) -> Any:
        excess = self.excess_return(self.m.policy, self.m.occupancy)
        scale = self.unit * self.m.reward_range * self.horizon
        return self.m.unseen_mass * (2 * excess + scale)

    def mean_robustness(self) -> Any:
        error = self.occupancy(self.m.policy, self.m.occupancy)
        return (1 - self.m.discount) * error + self.unit

    def occupancy_distance(self) -> Any:
        return self.occupancy(self.m.policy, self.m.occupancy) + self.unit * self.horizon

    def decoupling(self) -> Any:
        m = self.m
        worst = m.unseen_mass * 0
        for i, (solution, common) in enumerate(m._separations):
            error = evaluation.solve_error(m.model, common, m.pair_distance(i), solution)
            worst = m.xp.maximum(worst, m.xp.amax(error, axis=-1))
        return worst + self.unit * self.horizon

    def advantage_bound(self) -> Any:
        m = self.m
        reward = evaluation.expected_reward(m.model, m._baseline_train)
        error = evaluation.solve_error(m.model, m._baseline_train, reward, m._baseline_value)
        return 2 * m.xp.amax(error, axis=-1) + 4 * self.unit * self.largest_reward * self.horizon

    def surrogate(self) -> Any:
        occupancy = self.occupancy(self.m.baseline, self.m._baseline_occupancy)
        largest = self.largest_reward + self.m.advantage_bound
        rounded = self.unit * self.horizon * largest
        return occupancy * largest + self.horizon * self.advantage_bound() + rounded

    def train_shift(self) -> Any:
        occupancy = self.occupancy(self.m.baseline, self.m._baseline_occupancy)
        return (1 - self.m.discount) * occupancy + self.unit

    def mean_disagreement(self) -> Any:
        occupancy = self.occupancy(self.m.policy, self.m.occupancy)
        return (1 - self.m.discount) * occupancy + self.unit

    def disagreement(self) -> Any:
        return self.m.weights[..., 0] * 0 + self.unit

    def state_divergence(self) -> Any:
        """Largest error of a state's divergence, [...]; doubles show exactly where it is infinite.

        Each probability may be off by `unit` in relation to itself, and its logarithm by `unit`.
        """
        xp, m = self.m.xp, self.m
        p, q = m.baseline, m.policy
        one = p * q * 0 + 1
        both = (p > 0) & (q > 0)
        size = abs(xp.log(xp.where(both, p * one, one))) + abs(xp.log(xp.where(both, q * one, one)))
        return 2 * self.unit * xp.amax((p * (size + 2)).sum(axis=-1), axis=(-2, -1))

    def divergence(self) -> Any:
        radius = self.state_divergence()
        return self.m.xp.where(self.m.divergence < float("inf"), radius, radius * 0)

    def mean_divergence(self) -> Any:
        """Infinite where a state's divergence is and rounding hides whether it is visited."""
        m = self.m
        error = self.occupancy(m.policy, m.occupancy)
        train = m.occupancy[..., m.train, :] * (m.weights[..., m.train, None] > 0)
        infinite = m.state_divergence[..., m.train, :] == float("inf")
        surely = (infinite & (train > 2 * error[..., None, None])).any(axis=-1).any(axis=-1)
        occupancy = (1 - m.discount) * error
        radius = self.state_divergence()
        finite = m.divergence < float("inf")
        largest = m.xp.where(finite, m.divergence, radius * 0)
        radius = radius + (occupancy + self.unit) * largest
        return m.xp.where(surely, radius * 0, m.xp.where(finite, radius, radius + float("inf")))
