"""Paired differences between runs on the pixel grid, agent by agent or mixture by mixture."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from experiments.interval import Interval, interval
from experiments.pixelgrid.audit import Audit


@dataclass(frozen=True, eq=False)
class Policies:
    """One side of a comparison: a run's agents one by one, or the mixture of each seed's agents."""

    audit: Audit
    mixed: bool

    @property
    def label(self) -> str:
        """The run's name, and which of the two where there are several agents."""
        if self.audit.config.agents == 1:
            return self.audit.name
        return f"{self.audit.name} ({'mixture' if self.mixed else 'agent'})"

    def values(self, name: str, update: int) -> np.ndarray:
        """A quantity after an evaluated update, [seed]; a mean over agents unless mixed."""
        at = int(np.flatnonzero(self.audit.updates == update)[0])
        if self.mixed:
            return self.audit.ensemble[name][at]
        return self.audit.values[name][at].mean(axis=-1)

    def final(self, name: str) -> np.ndarray:
        return self.values(name, int(self.audit.updates[-1]))

    def steps_per_update(self) -> int:
        """Environment steps that go into the policy; distilled agents learn from each other's."""
        config = self.audit.config
        shared = self.mixed or config.distill_coef > 0
        return config.samples * (config.agents if shared else 1)


def sides(audit: Audit) -> list[Policies]:
    """A run's agents and, if there are several, their mixture."""
    kinds = (False, True) if audit.config.agents > 1 else (False,)
    return [Policies(audit, mixed) for mixed in kinds]


@dataclass(frozen=True)
class Comparison:
    """Left minus right, seed by seed, at the last update that both were evaluated at.

    Attributes:
        left, right: what is compared, in words.
        update: after how many updates.
        compute_matched: whether both sides used the same number of environment steps by then; an
            agent of a pair stands for the whole pair if its partner taught it, else for itself.
        distilled: whether the left side was distilled (more); else both sides are controls.
        differences: quantity name -> interval.
    """

    left: str
    right: str
    update: int
    compute_matched: bool
    distilled: bool
    differences: dict[str, Interval]

    @property
    def name(self) -> str:
        return f"{self.left} − {self.right}"


COMPARED = ("train_return", "general_return", "heldout_return", "gap", "mean_robustness",
            "robustness", "A2", "A3", "A4", "A5")  # fmt: skip


def comparable(left: Audit, right: Audit) -> bool:
    """Whether seeds can be paired, at a common evaluation."""
    return left.config.has_worlds_of(right.config) and bool(
        np.intersect1d(left.updates, right.updates).max(initial=0) > 0
    )


def compare(left: Policies, right: Policies) -> Comparison:
    """Paired differences between two sides whose runs share seeds and worlds."""
    if not comparable(left.audit, right.audit):
        raise ValueError("runs must share seeds, worlds and an evaluated update to be paired")
    update = int(np.intersect1d(left.audit.updates, right.audit.updates).max())
    return Comparison(
        left=left.label,
        right=right.label,
        update=update,
        compute_matched=left.steps_per_update() == right.steps_per_update(),
        distilled=left.audit.config.distill_coef > right.audit.config.distill_coef,
        differences={
            name: interval(left.values(name, update) - right.values(name, update))
            for name in COMPARED
        },
    )


def comparisons(audits: list[Audit]) -> list[Comparison]:
    """What can be paired: more distillation against less, and a mixture of controls against one.

    Sides with unequal steps are compared only agent against agent.
    """
    found = []
    for left, right in itertools.product(audits, audits):
        if left is right or not comparable(left, right):
            continue
        more = left.config.distill_coef - right.config.distill_coef
        controls = more == 0 and left.config.agents > right.config.agents == 1
        if more < 0 or (more == 0 and not controls):
            continue
        for a, b in itertools.product(sides(left), sides(right)):
            comparison = compare(a, b)
            agents = not (a.mixed or b.mixed)
            if comparison.compute_matched or (agents and not controls):
                found.append(comparison)
    return sorted(found, key=lambda c: (not c.distilled, c.compute_matched))


def sentence(comparison: Comparison, name: str, words: str) -> str:
    """What the interval of one quantity says, and nothing more."""
    found = comparison.differences[name]
    if found.n < 2:
        return (
            f"With one seed only, nothing can be said about the {words} of {comparison.left} and"
            f" {comparison.right}."
        )
    if not found.decides:
        verdict = "is not measurably different from"
    else:
        verdict = "is higher than" if found.mean > 0 else "is lower than"
    steps = "equal" if comparison.compute_matched else "unequal"
    return (
        f"At {steps} total environment steps, after {comparison.update} updates, the {words} of"
        f" {comparison.left} {verdict} that of {comparison.right}: difference {found.signed()},"
        f" p = {found.p:.2g}, {found.n} paired seeds."
    )
