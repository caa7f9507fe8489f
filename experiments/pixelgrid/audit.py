"""The only bridge from an experiment to the theory: trained networks become latent policies.

At each evaluation the networks' policies on all states and renderings are known, so every quantity
and bound is computed for the trained network itself by `mdtheory.check`, not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.special

from experiments.envs.pixelgrid import make_pixelgrid
from experiments.pixelgrid.checkpoint import load_evaluations
from experiments.pixelgrid.config import TrainConfig
from mdtheory import FiniteMDP, LatentPolicy, Problem, Report, check, exact
from mdtheory.judge import VIOLATED
from mdtheory.statements import GAP_BOUNDS, QUANTITIES


@dataclass(frozen=True, eq=False)
class Audit:
    """A run's quantities and bounds at every evaluation.

    Attributes:
        name: the run's name, that of its folder.
        config: the run's configuration.
        updates: [evaluation].
        values: quantity name or statement id (its right side) -> [evaluation, seed, agent].
        ensemble: the same for the mixture of a seed's agents, -> [evaluation, seed]; of one agent
            that agent itself.
        optimal_return: best possible return of each seed's world, [seed].
        violations: how many of the checked bounds do not hold.
        checked: how many bounds were checked.
    """

    name: str
    config: TrainConfig
    updates: np.ndarray
    values: dict[str, np.ndarray]
    ensemble: dict[str, np.ndarray]
    optimal_return: np.ndarray
    violations: int
    checked: int

    @property
    def steps_per_seed(self) -> int:
        """Environment steps of a seed's agents together, up to the last evaluation."""
        return int(self.updates[-1]) * self.config.samples * self.config.agents


def audit_run(run: Path) -> Audit:
    """Check A0 to A5 on every network, and mixture of networks, of every evaluation of a run."""
    config = TrainConfig.load(run)
    updates, logits = load_evaluations(run, config)
    policies = softmax(logits.numpy())
    problem = batched_problem(config)
    single = [check(problem, LatentPolicy(policy)) for policy in policies]
    mixed = [
        check(problem, LatentPolicy(policy.mean(axis=1, keepdims=True)))
        for policy in policies
        if config.agents > 1
    ]
    verdicts = np.concatenate(
        [np.ravel(bound.verdict) for report in (*single, *mixed) for bound in report.bounds]
    )
    return Audit(
        name=run.name,
        config=config,
        updates=np.array(updates),
        values=_stacked(single),
        ensemble={name: value[..., 0] for name, value in _stacked(mixed or single).items()},
        optimal_return=_optimal_returns(problem),
        violations=int((verdicts == VIOLATED).sum()),
        checked=len(verdicts),
    )


def exact_report(run: Path, *, seed: int = 0, agent: int = 0) -> Report:
    """The last evaluation of one network, decided in exact rationals.

    The network's float64 probabilities are taken as the rationals that they are, divided by their
    exact sum.
    """
    config = TrainConfig.load(run)
    _, logits = load_evaluations(run, config)
    policy = softmax(logits[-1, seed, agent].numpy())
    rational = exact.rational_rows(policy)
    problem = make_pixelgrid(config.worlds[seed]).problem
    return check(problem, LatentPolicy(rational), require_exact=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Action probabilities in float64, last axis."""
    return np.asarray(scipy.special.softmax(logits.astype(np.float64), axis=-1))


def batched_problem(config: TrainConfig) -> Problem:
    """The seeds' worlds as one float64 problem with batch axes [seed, 1]."""
    problems = [make_pixelgrid(world).problem for world in config.worlds]
    mdps = [p.mdp for p in problems]

    def stacked(name: str) -> np.ndarray:
        arrays = [getattr(mdp, name).astype(np.float64) for mdp in mdps]
        return np.stack(arrays)[:, None]

    names = ("transition", "reward", "initial", "discount", "reward_bounds")
    return Problem(
        mdp=FiniteMDP(**{name: stacked(name) for name in names}),
        renderings=problems[0].renderings,
    )


def _stacked(reports: list[Report]) -> dict[str, np.ndarray]:
    values = {n: np.stack([r.quantities[n] for r in reports]) for n in QUANTITIES}
    bounds = {s.id: np.stack([r[s.id].rhs for r in reports]) for s in GAP_BOUNDS}
    return values | bounds


def _optimal_returns(problem: Problem) -> np.ndarray:
    """Value iteration to float64's precision, [seed]."""
    mdp = problem.mdp
    assert isinstance(mdp, FiniteMDP)
    gamma = mdp.discount[..., None, None]
    value = np.zeros(mdp.initial.shape)
    while True:
        action_value = mdp.reward + gamma * np.einsum("...sat,...t->...sa", mdp.transition, value)
        update = action_value.max(axis=-1)
        if abs(update - value).max() <= 1e-12:
            return (mdp.initial * update).sum(axis=-1)[:, 0]
        value = update
