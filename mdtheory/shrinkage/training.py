"""Agents trained with the true divergence, beside what the linearised theory (B6) predicts.

For every seed, α = 0 gives the pulls θ*: each agent's weights when it learns alone.  From these
follow two predictions for α > 0: B6, which needs nothing else but τ, and the quadratic minimum with
every agent's own curvatures.  Where the second holds and the first does not, agents' data differ in
curvature; where neither holds, the softmax is no longer linear.  All three sets of weights are then
policies, whose R and gap `check` computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mdtheory import validation
from mdtheory.check import check
from mdtheory.intervals import Band, band, decides
from mdtheory.progress import OnProgress
from mdtheory.shrinkage.bandit import (
    Bandit,
    curvatures,
    distillation_loss,
    gradient,
    logits,
    policies,
)
from mdtheory.shrinkage.linear import minimum, minimum_of_unequal

QUANTITIES = (
    "weight",
    "robustness",
    "gap",
    "A2",
    "train_return",
    "heldout_return",
    "general_return",
    "divergence",
)
"""What is measured, each a mean over a seed's agents: |u|²/K, then names as in `check`, then the
distillation loss in nats."""

RATIOS = tuple(Fraction(x) for x in ("0", "0.03", "0.1", "0.3", "1", "3", "10"))
"""α/τ."""

ROUNDING = 1e-5
"""Relative differences below this are what training to `TOLERANCE` leaves, and count as none."""

TOLERANCE = 1e-8
"""Training stops when no entry of the gradient of an agent's loss exceeds this times τ."""

LARGEST_STEPS = 20_000


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One series of trainings.

    Attributes:
        bandit: where.
        n_agents: N.
        n_shared: how many of each agent's training renderings are common to all agents.
    """

    bandit: Bandit
    n_agents: int
    n_shared: int = 0

    def __post_init__(self) -> None:
        if self.n_agents < 2:
            raise ValueError(f"n_agents must be at least 2, got {self.n_agents}")
        if not 0 <= self.n_shared <= self.bandit.n_train:
            raise ValueError(
                f"n_shared must lie in [0, {self.bandit.n_train}], got {self.n_shared}"
            )

    @property
    def sharing(self) -> Fraction:
        """The share of training renderings in common, and about the pulls' correlation c."""
        return Fraction(self.n_shared, self.bandit.n_train)


SMALL_LOGITS = Bandit(temperature=Fraction(1, 2))
LARGE_LOGITS = Bandit(temperature=Fraction(1, 8))
MORE_DATA = replace(SMALL_LOGITS, n_train=32)
SETTINGS = (
    *(Setting(bandit=SMALL_LOGITS, n_agents=n, n_shared=k) for n in (2, 3, 5) for k in (0, 2, 4)),
    Setting(bandit=MORE_DATA, n_agents=2),
    *(Setting(bandit=LARGE_LOGITS, n_agents=n) for n in (2, 3, 5)),
)
"""What `mdtheory demo shrinkage` trains: independent, half shared and shared renderings where the
linearisation should be good; eight times the data, which makes agents' curvatures more alike; and
a temperature at which the policies saturate."""


class Departure(NamedTuple):
    """Where a measured curve leaves a prediction: an α/τ, and measured/predicted − 1 there."""

    ratio: float
    size: Band


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """What one setting gave, for every α and seed.

    Attributes:
        setting: which.
        ratios: α/τ, shape [A]; the first is 0.
        measured: quantity -> [A, seed], of the trained agents.
        predicted: the same of the weights that B6 predicts.
        unequal: the same of the quadratic minimum with every agent's own curvatures.
        pull_variance: σ², the mean of |u*|²/K, shape [seed].
        pull_product: mean of u_i*·u_j*/K over pairs of agents, shape [seed]; c is its mean over
            that of `pull_variance`.
        n_steps: gradient steps until the last seed had converged, shape [A].
        holds: whether A2 holds for every policy.
    """

    setting: Setting
    ratios: np.ndarray
    measured: Mapping[str, np.ndarray]
    predicted: Mapping[str, np.ndarray]
    unequal: Mapping[str, np.ndarray]
    pull_variance: np.ndarray
    pull_product: np.ndarray
    n_steps: np.ndarray
    holds: bool

    @property
    def distillations(self) -> np.ndarray:
        """α, shape [A]."""
        return self.ratios * float(self.setting.bandit.temperature)

    @property
    def correlation(self) -> float:
        """c, as the pulls turned out."""
        return float(self.pull_product.mean() / self.pull_variance.mean())

    @property
    def floors(self) -> np.ndarray:
        """|u|²/K at the mean of a seed's pulls, where B6 ends as α → ∞: [seed]."""
        n = self.setting.n_agents
        return np.asarray((self.pull_variance + (n - 1) * self.pull_product) / n)

    @property
    def floor(self) -> float:
        """σ² (1/N + (1−1/N) c) with σ² and c as they turned out; the mean of `floors`."""
        return float(self.floors.mean())

    def change(self, name: str) -> Band:
        """A quantity minus what it is at α = 0, paired by seed: [A]."""
        return band(self.measured[name] - self.measured[name][0])

    def difference(self, name: str, *, unequal: bool = False) -> Band:
        """Measured minus predicted, paired by seed, over the mean prediction: [A] each."""
        theory = (self.unequal if unequal else self.predicted)[name]
        scale = theory.mean(axis=-1, keepdims=True)
        relative = (self.measured[name] - theory) / scale
        return band(np.where(abs(relative) > ROUNDING, relative, 0.0))

    def departures(self, name: str, *, unequal: bool = False) -> list[Departure]:
        """Every α/τ where the interval of the paired difference excludes 0, in order."""
        found = self.difference(name, unequal=unequal)
        return [
            Departure(float(self.ratios[i]), Band(*(float(x[i]) for x in found)))
            for i in np.flatnonzero(decides(found))
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """The curves of one call of `study`."""

    seed: int
    n_seeds: int
    curves: tuple[Curve, ...]


def study(
    *,
    seed: int = 0,
    n_seeds: int = 32,
    ratios: Sequence[Fraction | float] = RATIOS,
    settings: Sequence[Setting] = SETTINGS,
    on_progress: OnProgress = lambda text, share: None,
) -> Study:
    """Train agents for every setting, α and seed, and put B6's predictions beside them.

    Args:
        seed: of everything random; repetition k draws the same renderings in every setting with
            as many of them, so that settings differ in what they are about.
        n_seeds: independent repetitions, at least 2.
        ratios: α/τ, the first 0.
        settings: what to train.
        on_progress: called with a text and the share of the work done.

    Raises:
        ValueError: naming the argument and its value.
        ArithmeticError: when a training does not converge.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if n_seeds < 2:
        raise ValueError(f"n_seeds must be at least 2, got {n_seeds}")
    alphas = validation.as_float("ratios", validation.parse_array("ratios", ratios, ("k",)), ("k",))
    if alphas[0] != 0 or (np.diff(alphas) <= 0).any():
        raise ValueError(f"ratios must begin with 0 and increase, got {alphas.tolist()}")
    costs = np.cumsum([0.0, *(s.n_agents**2 for s in settings)])
    curves = []
    for k, setting in enumerate(settings):
        done, share = costs[k] / costs[-1], (costs[k + 1] - costs[k]) / costs[-1]
        text = f"{setting.n_agents} agents, {setting.n_shared} shared renderings"

        def show(part: float, text: str = text, done: float = done, share: float = share) -> None:
            on_progress(text, done + share * part)

        curves.append(_curve(setting, alphas, seed, n_seeds, show))
    return Study(seed=seed, n_seeds=n_seeds, curves=tuple(curves))


def _curve(
    setting: Setting, ratios: np.ndarray, seed: int, n_seeds: int, show: Callable[[float], None]
) -> Curve:
    bandit, n = setting.bandit, setting.n_agents
    features = np.stack(
        [
            bandit.draw(np.random.default_rng([seed, k]), n_agents=n, n_shared=setting.n_shared)
            for k in range(n_seeds)
        ]
    )  # [seed, N, F, S, D]
    data = training_data(features, bandit)
    tau = float(bandit.temperature)
    trained, n_steps = [], []
    for i, ratio in enumerate(ratios):
        show(i / (len(ratios) + 1))
        weights, steps = train(data, bandit, distillation=ratio * tau)
        trained.append(weights)
        n_steps.append(steps)
    show(len(ratios) / (len(ratios) + 1))
    pulls = trained[0]
    measured, predicted, unequal = (
        [measure_agents(w, features, bandit) for w in family]
        for family in (trained, *predictions(pulls, data, bandit, ratios * tau))
    )
    spurious = pulls[..., 1:]
    total = spurious.sum(axis=-2)
    pairs = n * (n - 1) * bandit.n_features
    return Curve(
        setting=setting,
        ratios=ratios,
        measured=_stacked(measured),
        predicted=_stacked(predicted),
        unequal=_stacked(unequal),
        pull_variance=(spurious**2).mean(axis=(-2, -1)),
        pull_product=((total**2).sum(axis=-1) - (spurious**2).sum(axis=(-2, -1))) / pairs,
        n_steps=np.array(n_steps),
        holds=all(m.holds for m in (*measured, *predicted, *unequal)),
    )


def training_data(features: np.ndarray, bandit: Bandit) -> np.ndarray:
    """Training renderings and states in one axis: [..., N, X, D] from [..., N, F, S, D]."""
    own = features[..., : bandit.n_train, :, :]
    return own.reshape(*own.shape[:-3], -1, own.shape[-1])


def train(data: np.ndarray, bandit: Bandit, *, distillation: float) -> tuple[np.ndarray, int]:
    """Full-batch gradient descent on all agents at once, from zero weights, to convergence.

    The mean over agents takes steps of one length and the deviations from it shorter ones, since
    distillation adds to their curvature alone.  That is gradient descent in rescaled coordinates:
    it changes how fast the loss falls, and not where it ends.

    Args:
        data: features [seed, N, X, D].
        bandit: rewards and temperature.
        distillation: α.

    Returns:
        weights [seed, N, D], and the number of steps.

    Raises:
        ArithmeticError: when a gradient entry is above `TOLERANCE` τ after `LARGEST_STEPS`.
    """
    n_agents, n_data, size = data.shape[-3:]
    tau = float(bandit.temperature)
    advantage = np.tile(bandit.advantage, bandit.n_train)
    largest = np.linalg.eigvalsh(np.swapaxes(data, -1, -2) @ data / n_data)[..., -1].max(axis=-1)
    own = tau / 4 + abs(advantage).max() / 10  # bounds the own loss's curvature per logit
    between = distillation * n_agents / (2 * max(n_agents - 1, 1))
    along_mean, along_deviation = (
        (n_agents / (largest * curvature))[..., None, None] for curvature in (own, own + between)
    )
    weights = np.zeros((*data.shape[:-2], size))
    going, part = np.arange(len(data)), data
    for step in range(LARGEST_STEPS):
        now = weights[going]
        slope = gradient(now, part, advantage, temperature=tau, distillation=distillation)
        rest = n_agents * abs(slope).max(axis=(-2, -1)) > TOLERANCE * tau
        if not rest.any():
            return weights, step
        mean = slope.mean(axis=-2, keepdims=True)
        weights[going] = now - along_mean[going] * mean - along_deviation[going] * (slope - mean)
        if 2 * rest.sum() <= len(going):  # seeds that have converged need no more steps
            going = going[rest]
            part = data[going]
    raise ArithmeticError(
        f"training must converge in {LARGEST_STEPS} steps, got {rest.sum()} of {len(data)} seeds"
        f" that did not at temperature {tau:g} and distillation {distillation:g}"
    )


def predictions(
    pulls: np.ndarray, data: np.ndarray, bandit: Bandit, distillations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [A, seed, N, D] by B6 and with unequal curvatures, from pulls [seed, N, D].

    B6 takes the Fisher information at the mean policy, averaged over agents' data, as G, and τG as
    H.  The other takes each agent's Fisher information at the mean policy, and its own loss's
    curvature at its pull.
    """
    tau = float(bandit.temperature)
    advantage = np.tile(bandit.advantage, bandit.n_train)
    mean = np.broadcast_to(pulls.mean(axis=-2, keepdims=True), pulls.shape)
    fisher = curvatures(mean, data, advantage, tau)[1]
    task = curvatures(pulls, data, advantage, tau)[0]
    alphas = distillations[:, None]
    common = fisher.mean(axis=-3)
    return (
        minimum(pulls, tau * common, common, alphas),
        minimum_of_unequal(pulls, task, fisher, alphas),
    )


class Measured(NamedTuple):
    """Quantity -> [seed], and whether A2 holds everywhere."""

    values: dict[str, np.ndarray]
    holds: bool


def measure_agents(weights: np.ndarray, features: np.ndarray, bandit: Bandit) -> Measured:
    """`QUANTITIES` of trained agents, averaged over a seed's agents.

    Args:
        weights: shape [seed, N, D].
        features: shape [seed, N, F, S, D].
    """
    report = check(bandit.problem(), policies(weights, features), bounds="A2")
    logit = logits(weights, training_data(features, bandit))
    by_agent = {
        "weight": (weights[..., 1:] ** 2).mean(axis=-1),
        "A2": report["A2"].rhs,
        "divergence": distillation_loss(logit),
        **{k: report.quantities[k] for k in QUANTITIES if k in report.quantities},
    }
    return Measured({k: by_agent[k].mean(axis=-1) for k in QUANTITIES}, report.holds)


def _stacked(measured: Sequence[Measured]) -> dict[str, np.ndarray]:
    return {name: np.stack([m.values[name] for m in measured]) for name in QUANTITIES}
