"""The chain from the distillation loss to the gap: each statement beside the value that it bounds.

B3 turns the mean divergence of two agents into a bound on their mean disagreement.  From there no
statement leads on: B1 needs the worst state of every rendering.  So the chain starts anew with the
largest divergence: B2 bounds the largest disagreement, B1 then R, A2 then the gap.  A3 bounds the
gap by the mean R, which nothing in this chain bounds: B3 compares agents, mean R renderings.

Every number is computed for the trained networks but one: the loss that training logged is an
estimate, a mean over sampled states without discounting, taken while the networks move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.interval import Interval, interval
from experiments.pixelgrid.audit import batched_problem, softmax
from experiments.pixelgrid.checkpoint import CHECKPOINT, load_evaluations, load_metrics
from experiments.pixelgrid.config import TrainConfig
from experiments.pixelgrid.train import METRICS
from mdtheory import LatentPolicy, Problem, check, robustness
from mdtheory.agents import PAIRWISE, check_agents, pairs_of
from mdtheory.judge import VIOLATED
from mdtheory.statements import GAP_BOUNDS, STATEMENTS

ROUNDING = 1e-9
"""A bound this close to the largest possible value says nothing."""

LINKS = ("B3", "B2", "B1", "A2", "A3")


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A number on the way and what bounds it, arrays [seed, pair]; None where nothing does.

    The gap and its bounds are fractions of A0, divergences are in nats, all else total variation.

    Attributes:
        statement: id of the statement that bounds it; "" if there is none.
        short: what the number is, for tables.
        words: the same in words.
        exact: its value.
        bound: the statement's right side from exact inputs.
        chained: the right side from what the statements before it gave, at most 1.
        estimate: the right side, or the number itself, from the logged loss.
        in_nats: whether it is a divergence.
        before: what to know where no statement leads from the step before to this one.
    """

    statement: str
    short: str
    words: str
    exact: np.ndarray
    bound: np.ndarray | None = None
    chained: np.ndarray | None = None
    estimate: np.ndarray | None = None
    in_nats: bool = False
    before: str = ""

    def shown(self, kind: str) -> np.ndarray | None:
        """One of the arrays, at most 1 unless in nats: more is impossible anyway."""
        values: np.ndarray | None = getattr(self, kind)
        return values if values is None or self.in_nats else np.minimum(values, 1.0)

    def silent(self, kind: str = "bound") -> np.ndarray:
        """Where a bound allows everything and so says nothing, [seed, pair]."""
        values = getattr(self, kind)
        return np.zeros(self.exact.shape, bool) if values is None else values >= 1 - ROUNDING

    def share(self) -> np.ndarray | None:
        """Exact value over bound, of means over a seed's pairs, [seed]; None if a bound is 0."""
        return None if self.bound is None else quotient(self.exact, self.bound)


def quotient(small: np.ndarray, large: np.ndarray) -> np.ndarray | None:
    """Quotient of the means over pairs of [seed, pair], [seed]; None if one has no value."""
    by_seed = large.mean(axis=-1)
    return small.mean(axis=-1) / by_seed if (by_seed > 0).all() else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """A run's chain after one update.

    Attributes:
        name: the run's name.
        config: its configuration.
        update: after how many updates.
        pairs: (own, other) of each pair of agents; bounds are on `own`.
        values: quantity -> [seed, pair].  `logged` is the distillation loss of `own`, a mean over
            all its others; `train_disagreement` is the largest one in training renderings;
            `robustness`, `gap` and the bounds on it are of `own`, `baseline_robustness` of `other`.
        violations, checked: of B1 to B4 on all seeds and pairs.
    """

    name: str
    config: TrainConfig
    update: int
    pairs: list[tuple[int, int]]
    values: Mapping[str, np.ndarray]
    violations: int
    checked: int

    def over_seeds(self, name: str) -> Interval:
        """Mean over pairs, then mean and interval over seeds."""
        return over_seeds(self.values[name])

    @property
    def steps(self) -> list[Step]:
        """From the loss to the gap, in the order in which a reader follows them."""
        v, a0 = self.values, self.values["A0"]
        from_divergence = _right("B2", v)
        transferred = np.minimum(_right("B1", v, disagreement=from_divergence), 1.0)
        return [
            Step(
                statement="",
                short="mean KL",
                words="mean divergence of two agents\non visited states, training",
                exact=v["mean_divergence"],
                estimate=v["logged"],
                in_nats=True,
            ),
            Step(
                statement="B3",
                short="mean TV",
                words="mean disagreement of two agents\non visited states, training",
                exact=v["mean_disagreement"],
                bound=_right("B3", v),
                estimate=_right("B3", v, mean_divergence=v["logged"]),
            ),
            Step(
                statement="",
                short="train TV",
                words="disagreement in the worst state,\ntraining renderings",
                exact=v["train_disagreement"],
                before="No statement leads from a mean to a maximum: the chain breaks here,"
                " and starts anew from the exact divergence in the worst state.",
            ),
            Step(
                statement="",
                short="max KL",
                words="divergence in the worst state,\nall renderings",
                exact=v["divergence"],
                in_nats=True,
            ),
            Step(
                statement="B2",
                short="max TV",
                words="disagreement in the worst state,\nall renderings",
                exact=v["disagreement"],
                bound=from_divergence,
                chained=from_divergence,
            ),
            Step(
                statement="B1",
                short="R",
                words="R: one agent, worst state,\ntraining against held-out",
                exact=v["robustness"],
                bound=_right("B1", v),
                chained=transferred,
            ),
            Step(
                statement="A2",
                short="gap / A0",
                words="generalization gap,\nfrom R",
                exact=v["gap"] / a0,
                bound=_right("A2", v) / a0,
                chained=_right("A2", v, robustness=transferred) / a0,
            ),
            Step(
                statement="A3",
                short="gap / A0",
                words="generalization gap,\nfrom mean R",
                exact=v["gap"] / a0,
                bound=_right("A3", v) / a0,
                before="Beside the chain: it does not bound mean R, which compares renderings and"
                " not agents.",
            ),
        ]

    def step(self, statement: str) -> Step:
        """The step of one of `LINKS`."""
        return next(step for step in self.steps if step.statement == statement)


def over_seeds(values: np.ndarray) -> Interval:
    """Mean over pairs, then mean and Student interval over seeds, of [seed, pair]."""
    with np.errstate(invalid="ignore"):  # a divergence may be infinite
        return interval(values.mean(axis=-1))


def _right(statement: str, values: Mapping[str, np.ndarray], **replaced: np.ndarray) -> np.ndarray:
    """A statement's right side, some of its quantities replaced by bounds on them."""
    return np.asarray(STATEMENTS[statement].sides({**values, **replaced})[1])


def chain_of(run: Path, *, name: str | None = None) -> Chain:
    """The chain of a run of two or more agents, at its last evaluation with logged metrics.

    Raises:
        FileNotFoundError: when the folder is no run, or has no checkpoint yet.
        ValueError: for a run of one agent.
    """
    config = TrainConfig.load(run)
    if config.agents < 2:
        raise ValueError(f"{run} has one agent; a chain needs two or more, which can disagree")
    updates, logits = load_evaluations(run, config)
    metrics = load_metrics(run, config)
    at = max((k for k, u in enumerate(updates) if 0 < u <= len(metrics)), default=None)
    if at is None:
        raise FileNotFoundError(
            f"{run} has no evaluation of a finished update: `mdpo resume {run}` first"
        )
    logged = metrics[updates[at] - 1][METRICS.index("distillation_loss")]
    policies = softmax(logits[at].numpy())
    values, violations, checked = measured(
        batched_problem(config), policies, logged.numpy().astype(np.float64)
    )
    return Chain(
        name=name or run.name,
        config=config,
        update=updates[at],
        pairs=pairs_of(config.agents),
        values=values,
        violations=violations,
        checked=checked,
    )


def measured(
    problem: Problem, policies: np.ndarray, logged: np.ndarray
) -> tuple[dict[str, np.ndarray], int, int]:
    """The values of a `Chain`, and how many of B1 to B4 are violated and were checked.

    Args:
        problem: without batch axes, or with [seed, 1].
        policies: [seed, agent, F, S, A].
        logged: distillation losses [seed, agent].
    """
    agents = check_agents(problem, LatentPolicy(policies[:, None]))
    bounds = [b for b in GAP_BOUNDS if b.id in ("A0", "A2", "A3")]
    each = check(problem, LatentPolicy(policies), bounds=bounds)
    own, other = np.array(pairs_of(policies.shape[1])).T
    train = problem.renderings.train_mask
    distance = robustness.total_variation(
        policies[:, own][:, :, train], policies[:, other][:, :, train]
    )
    by_agent = {**each.quantities, "logged": logged}
    by_agent |= {bound.id: each[bound.id].rhs for bound in bounds}
    values = {name: np.asarray(value)[:, own] for name, value in by_agent.items()}
    values |= {name: agents.quantities[name][:, 0] for name in PAIRWISE}
    values["baseline_robustness"] = each.quantities["robustness"][:, other]
    values["train_disagreement"] = distance.max(axis=(-2, -1))
    verdicts = np.concatenate([np.ravel(bound.verdict) for bound in agents.bounds])
    return values, int((verdicts == VIOLATED).sum()), len(verdicts)


def has_chain(run: Path, config: TrainConfig) -> bool:
    """Whether a run has agents that can disagree, and something logged."""
    return config.agents > 1 and (run / CHECKPOINT).exists()
