"""From audits to numbers with intervals: means over seeds, and paired differences between runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats

from experiments.audit import Audit

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided 95 % Student interval over `n` seeds; nan bounds if n = 1."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def decides(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if self.n < 2:
            return f"{self.mean:.3f} (one seed, no interval)"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def compact(self, digits: int, sign: str = "") -> str:
        """`0.320 ±0.019`, for narrow tables."""
        half = "" if self.n < 2 else f" ±{(self.high - self.low) / 2:.{digits}f}"
        return f"{self.mean:{sign}.{digits}f}{half}"

    def signed(self) -> str:
        """As a difference, with its sign."""
        if self.n < 2:
            return f"{self.mean:+.4f} (one seed, no interval)"
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def interval(per_seed: np.ndarray) -> Interval:
    """Mean and Student interval of values [seed]."""
    mean, low, high = band(per_seed)
    return Interval(mean=float(mean), low=float(low), high=float(high), n=len(per_seed))


def band(per_seed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lower and upper end over the last axis (seeds) of values [..., seed]."""
    n = per_seed.shape[-1]
    mean = per_seed.mean(axis=-1)
    if n < 2:
        nothing = np.full_like(mean, np.nan)
        return mean, nothing, nothing
    half = scipy.stats.t.ppf((1 + LEVEL) / 2, n - 1) * per_seed.std(axis=-1, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def final(audit: Audit, name: str, *, ensemble: bool = False) -> np.ndarray:
    """A quantity after the last update, [seed]: mean over agents, or of their mixture."""
    values = audit.ensemble[name] if ensemble else audit.values[name].mean(axis=-1)
    return values[-1]


def comparable(left: Audit, right: Audit) -> bool:
    """Whether seeds can be paired: the same seeds in the same worlds."""
    return left.config.worlds == right.config.worlds and (
        left.config.seed_list == right.config.seed_list
    )


@dataclass(frozen=True)
class Comparison:
    """Left minus right, seed by seed, after the last update of each.

    Attributes:
        left, right: what is compared, in words.
        compute_matched: whether both sides used the same number of environment steps in total;
            an agent of a pair stands for the whole pair if its partner taught it, else for itself.
        differences: quantity name -> interval.
    """

    left: str
    right: str
    compute_matched: bool
    differences: dict[str, Interval]


COMPARED = ("train_return", "general_return", "heldout_return", "gap", "mean_robustness",
            "robustness", "A2", "A3", "A4", "A5")  # fmt: skip


def compare(
    left: Audit, right: Audit, *, left_ensemble: bool = False, right_ensemble: bool = False
) -> Comparison:
    """Paired differences between two runs that share seeds and worlds."""
    if not comparable(left, right):
        raise ValueError("runs must share seeds and worlds to be paired")
    differences = {
        name: interval(
            final(left, name, ensemble=left_ensemble) - final(right, name, ensemble=right_ensemble)
        )
        for name in COMPARED
    }
    return Comparison(
        left=label(left, left_ensemble),
        right=label(right, right_ensemble),
        compute_matched=_steps(left, left_ensemble) == _steps(right, right_ensemble),
        differences=differences,
    )


def _steps(audit: Audit, ensemble: bool) -> int:
    """Environment steps that went into a policy: distilled agents learn from each other's."""
    if ensemble or audit.config.distill_coef > 0:
        return audit.steps_per_seed
    return audit.steps_per_seed // audit.config.agents


def label(audit: Audit, ensemble: bool) -> str:
    """Whose numbers: the run's name, and its agents' average or their mixture."""
    if audit.config.agents == 1:
        return audit.name
    return f"{audit.name} ({'mixture' if ensemble else 'agent'})"


def comparisons(audits: list[Audit]) -> list[Comparison]:
    """Every distilled run against every undistilled one: agents, and mixtures of agents."""
    found = []
    for left in audits:
        for right in audits:
            if left.config.distill_coef == 0 or right.config.distill_coef > 0:
                continue
            if not comparable(left, right):
                continue
            found.append(compare(left, right))
            if right.config.agents > 1:
                found.append(compare(left, right, left_ensemble=True, right_ensemble=True))
                found.append(compare(left, right, right_ensemble=True))
    return found


def sentence(comparison: Comparison, name: str, words: str) -> str:
    """What the interval of one quantity says, and nothing more."""
    found = comparison.differences[name]
    if found.n < 2:
        return f"With one seed only, nothing can be said about the {words} of {comparison.left}."
    if not found.decides:
        verdict = "is not measurably different from"
    else:
        verdict = "is higher than" if found.mean > 0 else "is lower than"
    steps = "equal" if comparison.compute_matched else "unequal"
    return (
        f"At {steps} total environment steps, the {words} of {comparison.left} {verdict} that of"
        f" {comparison.right}: difference {found.signed()}, 95 % interval over {found.n} paired"
        " seeds."
    )
