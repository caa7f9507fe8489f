"""What a survey remembers of one bound: counts, the histogram of its ratio, the worst cases.

Tallies add up, in any order, to the same tally.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdtheory.judge import HOLDS, NOT_APPLICABLE, UNDECIDED, VIOLATED, BoundResult
from mdtheory.problem import Instance
from mdtheory.problem_file import dump_problem, layout
from mdtheory.search.hunt import exact_result

BINS_PER_UNIT = 50
UNITS = 2
"""The histogram has bins of 1/50 from 0 to 2, and one for everything above."""


@dataclass
class Tally:
    """Of one bound on some problems.

    Attributes:
        keep: how many worst cases and violations to keep.
        verdicts: (verdict, arithmetic that decided) -> problems.
        bins: problems by ratio, used over allowed, [101]: from 0 to 1 those that hold, above 1
            those that are violated, the last bin for 2 and more.
        attained: problems that use exactly what is allowed, decided in rationals; in no bin.
        negative: other problems of negative ratio; in no bin.
        no_ratio: problems to which the bound applies but allows nothing; in no bin.
        worst: (problem, ratio) of the largest ratios; None where it is violated without a ratio.
        violations: problem -> the text of its problem file, exact; the smallest numbers.
    """

    keep: int
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    bins: np.ndarray = field(
        default_factory=lambda: np.zeros(BINS_PER_UNIT * UNITS + 1, dtype=np.int64)
    )
    attained: int = 0
    negative: int = 0
    no_ratio: int = 0
    worst: list[tuple[int, float | None]] = field(default_factory=list)
    violations: dict[int, str] = field(default_factory=dict)

    def count(self, verdict: str) -> int:
        """Problems of this verdict."""
        return sum(count for (word, _), count in self.verdicts.items() if word == verdict)

    @property
    def problems(self) -> int:
        """Problems that were put to the bound."""
        return sum(self.verdicts.values())

    def add(self, result: BoundResult, first: int, instance_of: Callable[[int], Instance]) -> None:
        """Count a batch [n] of problems whose numbers begin with `first`.

        `instance_of` gives a problem in rationals by its number; violations are confirmed on it.

        Raises:
            ArithmeticError: when exact arithmetic does not confirm a violation.
        """
        verdict, decided_by = np.asarray(result.verdict), np.asarray(result.decided_by)
        self.verdicts.update(zip(verdict.tolist(), decided_by.tolist(), strict=True))
        ratio = np.asarray(result.ratio, dtype=float)
        applies, violated = verdict != NOT_APPLICABLE, verdict == VIOLATED
        has_ratio = applies & ~np.isnan(ratio)
        self.no_ratio += int((applies & ~has_ratio).sum())
        self._add_ratios(result, np.where(has_ratio, ratio, np.nan))
        key = np.where(has_ratio, ratio, np.where(violated, np.inf, -np.inf))
        order = np.argsort(-key, kind="stable")[: self.keep]
        chosen = [int(i) for i in order if key[i] > -np.inf]
        self._add_worst((first + i, float(key[i]) if has_ratio[i] else None) for i in chosen)
        for i in np.flatnonzero(violated)[: max(0, self.keep - len(self.violations))]:
            number = first + int(i)
            self.violations[number] = _confirmed(result, number, instance_of(number))

    def _add_ratios(self, result: BoundResult, ratio: np.ndarray) -> None:
        holds = np.asarray(result.verdict) == HOLDS
        is_exact = np.asarray(result.decided_by) == "rationals"
        attained = holds & is_exact & (np.asarray(result.slack) == 0) & ~np.isnan(ratio)
        negative = (ratio < 0) & ~attained
        self.attained += int(attained.sum())
        self.negative += int(negative.sum())
        binned = ~np.isnan(ratio) & ~attained & ~negative
        violated = np.asarray(result.verdict) == VIOLATED
        place = np.minimum(np.floor(ratio[binned] * BINS_PER_UNIT), len(self.bins) - 1)
        # A ratio is rounded, its verdict is not: what holds stays below 1.
        below, above = BINS_PER_UNIT - 1, BINS_PER_UNIT
        place = np.where(violated[binned], np.maximum(place, above), np.minimum(place, below))
        self.bins += np.bincount(place.astype(int), minlength=len(self.bins))

    def _add_worst(self, cases: Any) -> None:
        self.worst = sorted([*self.worst, *cases], key=_rank)[: self.keep]

    def merge(self, other: Tally) -> None:
        """Add another tally of the same bound, on other problems."""
        self.verdicts.update(other.verdicts)
        self.bins = self.bins + other.bins
        for name in ("attained", "negative", "no_ratio"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._add_worst(other.worst)
        both = self.violations | other.violations
        self.violations = {number: both[number] for number in sorted(both)[: self.keep]}

    def to_json(self) -> dict[str, Any]:
        """For JSON; the same tally gives the same text."""
        verdicts: dict[str, dict[str, int]] = {}
        for (verdict, decided_by), count in sorted(self.verdicts.items()):
            verdicts.setdefault(verdict, {})[decided_by] = count
        return {
            "verdicts": verdicts,
            "attained": self.attained,
            "negative": self.negative,
            "no_ratio": self.no_ratio,
            "bins": self.bins.tolist(),
            "worst": [list(case) for case in self.worst],
            "violations": {str(n): json.loads(text) for n, text in self.violations.items()},
        }

    @classmethod
    def from_json(cls, keep: int, content: dict[str, Any]) -> Tally:
        """What `to_json` made; what is laid out otherwise raises AttributeError, LookupError,
        TypeError or ValueError."""
        bins = [whole_up_to("bins", n) for n in content["bins"]]
        if len(bins) != BINS_PER_UNIT * UNITS + 1:
            raise ValueError(f"bins must be {BINS_PER_UNIT * UNITS + 1}, got {len(bins)}")
        return cls(
            keep=keep,
            verdicts=Counter(
                {
                    (verdict, decided_by): whole_up_to(verdict, n)
                    for verdict, by in content["verdicts"].items()
                    for decided_by, n in by.items()
                }
            ),
            bins=np.asarray(bins, dtype=np.int64),
            attained=whole_up_to("attained", content["attained"]),
            negative=whole_up_to("negative", content["negative"]),
            no_ratio=whole_up_to("no_ratio", content["no_ratio"]),
            worst=[(whole_up_to("worst", n), _ratio(r)) for n, r in content["worst"]],
            violations={int(n): layout(entry) for n, entry in content["violations"].items()},
        )

    def require_of(self, problems: int, numbers: range) -> None:
        """Raise ValueError, with what is wrong, where the counts do not fit together as those of so
        many problems, all of them with such numbers."""
        unknown = {verdict for verdict, _ in self.verdicts} - _VERDICTS
        if unknown:
            raise ValueError(f"unknown verdict {min(unknown)!r}")
        n_violated, n_exact = self.count(VIOLATED), self.verdicts[HOLDS, "rationals"]
        n_ratios = int(self.bins.sum()) + self.attained + self.negative
        n_applies = problems - self.count(NOT_APPLICABLE)
        n_above = int(self.bins[BINS_PER_UNIT:].sum())
        n_worst_without = sum(ratio is None for _, ratio in self.worst)
        n_kept = min(self.keep, n_violated)
        for what, found, lowest, highest in (
            ("verdicts in all", self.problems, problems, problems),
            ("attained", self.attained, 0, n_exact),
            (
                "bins, attained, negative, no_ratio in all",
                n_ratios + self.no_ratio,
                n_applies,
                n_applies,
            ),
            ("ratios above 1", n_above, 0, n_violated),
            ("worst cases", len(self.worst), min(self.keep, n_ratios), self.keep),
            ("worst cases without ratio", n_worst_without, 0, min(n_violated, self.no_ratio)),
            ("violations kept", len(self.violations), n_kept, n_kept),
        ):
            if not lowest <= found <= highest:
                wanted = f"{lowest}" if lowest == highest else f"from {lowest} to {highest}"
                raise ValueError(f"{what} must be {wanted}, got {found}")
        for number in (*(n for n, _ in self.worst), *self.violations):
            if number not in numbers:
                raise ValueError(
                    f"worst cases and violations must be problems {numbers[0]} to {numbers[-1]},"
                    f" got {number}"
                )
        if len(dict(self.worst)) < len(self.worst) or self.worst != sorted(self.worst, key=_rank):
            raise ValueError("worst cases must be different problems, the worst first")


_VERDICTS = {HOLDS, VIOLATED, NOT_APPLICABLE, UNDECIDED}


def whole_up_to(name: str, value: Any, most: int = 10**10) -> int:
    """The value if it is a whole number from 0 to `most`; else ValueError with its name."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, got {value!r}")
    return value


def _ratio(value: Any) -> float | None:
    if value is None or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError(f"a ratio must be a finite float or null, got {value!r}")


def _rank(case: tuple[int, float | None]) -> tuple[float, int]:
    """Smaller is worse."""
    number, ratio = case
    return (-math.inf if ratio is None else -ratio, number)


def _confirmed(result: BoundResult, number: int, instance: Instance) -> str:
    verdict = exact_result(result.bound, instance).verdict
    if verdict != VIOLATED:
        raise ArithmeticError(
            f"float64 calls {result.bound.id} violated by problem {number}, exact arithmetic says"
            f" {verdict}: this is an error of the package, please report it"
        )
    return dump_problem(*instance)
