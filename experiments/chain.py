"""The chain from the distillation loss to the gap: each statement beside the value that it bounds.

B3 turns the mean divergence of two agents into a bound on their mean disagreement.  From there no
statement leads on: B1 needs the worst state of every rendering.  So the chain starts anew with the
largest divergence: B2 bounds the largest disagreement, B1 then R, A2 then the gap.  A3 bounds the
gap by the mean R, which nothing in this chain bounds: B3 compares agents, mean R renderings.

Every number is computed for the trained networks but one: the loss that training logged is an
estimate, a mean over sampled states without discounting, taken while the networks move.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from experiments.audit import _batched_problem, softmax
from experiments.checkpoint import load_evaluations, load_metrics
from experiments.config import TrainConfig
from experiments.results import Interval, interval
from experiments.train import METRICS
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
        return None if self.bound is None else _quotient(self.exact, self.bound)


def _quotient(small: np.ndarray, large: np.ndarray) -> np.ndarray | None:
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
            f"{run} has no evaluation of a finished update: `mdpo train --resume {run}` first"
        )
    logged = metrics[updates[at] - 1][METRICS.index("distillation_loss")]
    policies = softmax(logits[at].numpy())
    values, violations, checked = measured(
        _batched_problem(config), policies, logged.numpy().astype(np.float64)
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
    return config.agents > 1 and (run / "checkpoint.safetensors").exists()


HEADER = ("step", "run", "exact", "bound", "chained", "used", "vacuous", "estimate")
CAPTION = (
    "Means over seeds with half their 95 % Student intervals. Means are over visited states in"
    " training renderings, train TV is the largest total variation in these, max is over all states"
    " and renderings; KL in nats; gap and the bounds on it are fractions of A0. Bound: the"
    " statement from exact inputs. Chained: from the max KL through all statements before. Both are"
    " shown as at most 1. Used: exact over bound, which for this may exceed 1. Vacuous: pairs of"
    " agents, of all seeds, for which the bound (chained, where there is one) is at least 1 and so"
    " says nothing."
)
ESTIMATE = (
    "Estimate: from the loss that training logged, a mean over sampled states, not discounted and"
    " taken while the networks move; so it bounds nothing."
)


def table_rows(chains: Sequence[Chain]) -> list[list[str]]:
    """Cells under `HEADER`: every step, and in it every run."""
    by_run = [[_cells(step, chain.name) for step in chain.steps] for chain in chains]
    return [row for rows in zip(*by_run, strict=True) for row in rows]


def _cells(step: Step, name: str) -> list[str]:
    share = step.share()
    silent = step.silent("bound" if step.chained is None else "chained")
    return [
        f"{step.statement} {step.short}".strip(),
        name,
        *(_half(step.shown(kind)) for kind in ("exact", "bound", "chained")),
        "" if share is None else percent(interval(share)),
        "" if step.bound is None else f"{silent.sum()}/{silent.size}",
        _half(step.shown("estimate")),
    ]


def _half(values: np.ndarray | None) -> str:
    """`0.0183±0.012`, or `(4.72±1.5)e-5` where that is shorter; nothing for None."""
    if values is None:
        return ""
    found = over_seeds(values)
    if not np.isfinite(found.high):  # one seed, or an infinite divergence
        return f"{found.mean:.3g}"
    half = (found.high - found.low) / 2
    if not 0 < found.mean < 0.01:
        return f"{found.mean:.3g}±{half:.2g}"
    exponent = math.floor(math.log10(found.mean))
    return f"({found.mean / 10.0**exponent:.3g}±{half / 10.0**exponent:.2g})e{exponent}"


def number(found: Interval) -> str:
    """Three significant digits, since the chain spans magnitudes."""
    if not np.isfinite(found.high):
        return f"{found.mean:.3g}"
    return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"


def percent(found: Interval) -> str:
    """A share in percent, with half its interval."""
    mean, half = 100 * found.mean, 50 * (found.high - found.low)
    return f"{mean:.3g}%" if found.n < 2 else f"{mean:.3g}±{half:.2g}%"


def terminal_table(chains: Sequence[Chain]) -> Table:
    """The rows for a terminal, the runs below each step's name, without the estimates."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for header in ("step, run", *HEADER[2:-1]):
        justify: Literal["left", "right"] = "left" if "run" in header else "right"
        table.add_column(header, justify=justify, overflow="fold")
    rows = table_rows(chains)
    for k, (step, name, *cells) in enumerate(rows):
        if k % len(chains) == 0:
            table.add_row(f"[bold]{step}[/bold]")
        last = (k + 1) % len(chains) == 0 and k + 1 < len(rows)
        table.add_row(f"  {escape(name)}", *cells[:-1], end_section=last)
    return table


def sentences(chains: Sequence[Chain]) -> list[str]:
    """What the numbers of the chains say, and nothing that they do not say."""
    found: list[str] = []
    for chain in chains:
        found += [_loss(chain), _lost(chain), _transfer(chain), _to_the_gap(chain)]
    for left in chains:
        for right in chains:
            if paired(left, right):
                found.append(_changed(left, right))
    return found


def _loss(chain: Chain) -> str:
    logged, exact = chain.over_seeds("logged"), chain.over_seeds("mean_divergence")
    return (
        f"{chain.name}, after {chain.update} updates: the logged distillation loss is"
        f" {number(logged)} nats, an estimate; the mean divergence that it estimates is"
        f" {number(exact)}."
    )


VISITED = "from the states visited in training to the worst of them"
UNSEEN = "from training renderings to all"


def shares(chain: Chain) -> dict[str, np.ndarray]:
    """How much is left at each link, and of B3's mean up to B1's maximum, [seed] each."""
    v = chain.values
    found = {
        VISITED: _quotient(v["mean_disagreement"], v["train_disagreement"]),
        UNSEEN: _quotient(v["train_disagreement"], v["disagreement"]),
        **{name: chain.step(name).share() for name in LINKS},
    }
    return {name: share for name, share in found.items() if share is not None}


def _lost(chain: Chain) -> str:
    """How much is lost at each link and step between links."""
    found = shares(chain)
    links = [f"{name} {percent(interval(found[name]))}" for name in LINKS if name in found]
    if not links:
        return f"{chain.name}: every bound is 0, so nothing can be lost."
    text = f"{chain.name}: of what the statements allow, the exact values use: {', '.join(links)}."
    steps = [f"{percent(interval(found[n]))} {n}" for n in (VISITED, UNSEEN) if n in found]
    if steps:
        text += (
            " B3 ends at a mean and B1 needs a maximum; no statement leads from the one to the"
            f" other. On that way the smaller disagreement is of the larger: {', '.join(steps)}."
        )
    return f"{text} {_most_lost(found)}"


def _most_lost(found: Mapping[str, np.ndarray]) -> str:
    """Where the least is left, and what the seeds do not tell apart from it."""
    along = {name: share for name, share in found.items() if name != "A3"}  # A3 is beside the chain
    least = min(along, key=lambda name: along[name].mean())
    others = {name: interval(share - along[least]) for name, share in along.items()}
    close = [name for name, d in others.items() if name != least and not d.decides]
    text = f"On the way from the loss to A2, most is lost {_place(least)}"
    if close:
        text += f"; not told apart from that, by paired seeds: {', '.join(map(_place, close))}"
    return f"{text}."


def _place(name: str) -> str:
    return f"at {name}" if name in LINKS else f"on the step {name}"


def _transfer(chain: Chain) -> str:
    """What B1 can say about R here."""
    step, other = chain.step("B1"), chain.values["baseline_robustness"]
    exactly, chained = (_pairs(step.silent(kind)) for kind in ("bound", "chained"))
    text = (
        f"{chain.name}: R is {number(chain.over_seeds('robustness'))}. B1 allows everything, so"
        f" says nothing, in {chained} when the disagreement comes from B2, and in {exactly} when"
        f" it is the exact one."
    )
    if step.silent("chained").any():
        text += (
            " B1 transfers robustness and does not create it: had the agents agreed perfectly, it"
            f" would still allow R up to the other agent's, {number(over_seeds(other))}."
        )
    return text


def _to_the_gap(chain: Chain) -> str:
    a2, a3 = chain.step("A2"), chain.step("A3")
    assert a2.bound is not None
    assert a2.chained is not None
    assert a3.bound is not None
    return (
        f"{chain.name}: the gap is {number(over_seeds(a2.exact))} of A0, the bound that knows"
        f" nothing of the policy. A2 allows {number(over_seeds(a2.bound))} from the exact R and"
        f" {number(over_seeds(a2.chained))} from B1's bound (no less than A0 in"
        f" {_pairs(a2.silent('chained'))}). A3 allows {number(over_seeds(a3.bound))} from the exact"
        " mean R, which the chain does not bound."
    )


def _pairs(where: np.ndarray) -> str:
    return f"{where.sum()} of {where.size} pairs"


def paired(left: Chain, right: Chain) -> bool:
    """Whether the left run is the more distilled one, and shares seeds, worlds and update."""
    return (
        left.config.distill_coef > right.config.distill_coef
        and left.config.worlds == right.config.worlds
        and left.config.seed_list == right.config.seed_list
        and left.update == right.update
    )


CHANGED = {
    "mean_divergence": "the mean divergence",
    "mean_disagreement": "the mean disagreement",
    "train_disagreement": "the largest disagreement in training",
    "divergence": "the largest divergence",
    "disagreement": "the largest disagreement",
    "robustness": "R",
    "mean_robustness": "mean R",
    "gap": "the gap (in return)",
}


def changes(left: Chain, right: Chain) -> dict[str, Interval]:
    """Left minus right, paired by seed, by quantity; without infinite divergences."""
    return {
        name: interval(left.values[name].mean(axis=-1) - right.values[name].mean(axis=-1))
        for name in CHANGED
        if np.isfinite(left.values[name]).all() and np.isfinite(right.values[name]).all()
    }


def _changed(left: Chain, right: Chain) -> str:
    found = changes(left, right)
    if found["gap"].n < 2:
        return (
            f"With one seed only, nothing can be said about the differences of {left.name} and"
            f" {right.name}."
        )
    decided = [n for n, d in found.items() if d.decides]
    undecided = [n for n, d in found.items() if not d.decides]
    text = f"{left.name} − {right.name}, paired by seed, after {left.update} updates"
    if decided:
        text += ": " + ", ".join(f"{CHANGED[n]} {_signed(found[n])}" for n in decided)
    if undecided:
        text += "; " if decided else ": "
        text += "no measurable difference in " + ", ".join(
            f"{CHANGED[n]} ({_signed(found[n])})" for n in undecided
        )
    return text + ". These intervals are not corrected for their number."


def _signed(found: Interval) -> str:
    return f"{found.mean:+.3g} [{found.low:+.3g}, {found.high:+.3g}]"
