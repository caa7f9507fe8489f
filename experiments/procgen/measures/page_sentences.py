"""What intervals on the page about Procgen decide, in sentences; functions of numbers alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.envs.procgen import N_ACTIONS
from experiments.procgen.interval_words import Decision, decision, with_interval
from mdtheory.intervals import Band
from mdtheory.judge import HOLDS, UNDECIDED, VIOLATED

ONE_RUN_EACH = (
    "This is about these trained networks, one training run each, and says nothing about the"
    " algorithms: other seeds may show the opposite."
)
_WORDS = {HOLDS: "hold", VIOLATED: "violated", UNDECIDED: "undecided"}
_NAMED = 3
"""Renderings whose change is undecided are counted if there are more."""
_LISTED = 5
"""Of those whose change is decided the largest so many are listed, and the others counted."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Difference:
    """Left minus right, seed by seed, or level by level where there are not two common seeds.

    Attributes:
        left, right: the algorithms, or the runs.
        seeds: paired over; none if levels are.
        n_levels: played by both.
        n_renderings: held out from both; without any nothing is compared, and the bands are nan.
        steps: environment steps of left and of right, in words.
        robustness, returned: mean R and return under these renderings.
    """

    left: str
    right: str
    seeds: tuple[int, ...]
    n_levels: int
    n_renderings: int
    steps: tuple[str, str]
    robustness: Band
    returned: Band


def listed(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def changes(reference: str, found: Mapping[str, Band], n_levels: int) -> str:
    """Under which renderings a policy's return differs from that under the reference.

    `found` are differences, rendering minus reference, by the renderings' names.
    """
    if n_levels < 2:
        return (
            "One level was played, so it is undecided whether the return changes under any"
            " rendering."
        )
    by_decision: dict[Decision, list[str]] = {"lower": [], "higher": [], "undecided": []}
    for name, change in _largest_first(found):
        decided = decision(change)
        numbers = "" if decided == "undecided" else f" ({with_interval(change, sign='+')})"
        by_decision[decided].append(f"{name}{numbers}")
    n_undecided = len(by_decision["undecided"])
    if n_undecided > _NAMED:
        some = n_undecided < len(found)
        rest = f"the {n_undecided} others" if some else f"all {n_undecided} others"
        by_decision["undecided"] = [rest]
    for decided in ("lower", "higher"):
        names = by_decision[decided]
        if len(names) > _LISTED + 1:
            by_decision[decided] = [*names[:_LISTED], f"{len(names) - _LISTED} more (table below)"]
    parts = [f"{decided} under {listed(names)}" for decided, names in by_decision.items() if names]
    return f"Compared with {reference}, the return is {'; '.join(parts)}."


def _largest_first(found: Mapping[str, Band]) -> Iterable[tuple[str, Band]]:
    """As they come, unless they are more than are listed."""
    if len(found) <= _LISTED + 1:
        return found.items()
    return sorted(found.items(), key=lambda item: -abs(item[1].mean))


def robustness(
    reference: str, mean: Band, each: Mapping[str, Band], largest: float, entropy: float
) -> str:
    """How large mean R is over all held-out renderings, and under the one where it is largest.

    Beside it the entropy of the actions under the reference, nats: indecision makes R small too.
    """
    worst = max(each, key=lambda name: each[name].mean)
    if len(each) == 1:
        size = f"is {with_interval(mean, 3)} under {worst}, the one held-out rendering"
    else:
        size = (
            f"is {with_interval(mean, 3)} over the {len(each)} held-out renderings, and largest"
            f" under {worst}, {with_interval(each[worst], 3)}"
        )
    seen = math.floor(100 * largest) / 100  # a lower bound is never rounded up
    return (
        f"Mean R to {reference} {size}; R itself is at least {seen:.2f}, seen in a state. The"
        f" entropy of its actions under {reference} is {entropy:.2f} nats, of at most"
        f" {math.log(N_ACTIONS):.2f}: who acts at random is blind to renderings."
    )


def verdicts(found: Mapping[str, Sequence[str]]) -> str:
    """How often each statement got which verdict, over sets of held-out renderings."""
    alike: dict[str, list[str]] = {}
    for name, each in found.items():
        counts = Counter(each)
        words = [f"{counts[v]} of {len(each)} {_WORDS[v]}" for v in _WORDS if counts[v]]
        alike.setdefault(", ".join(words), []).append(name)
    parts = [f"{words} for {listed(names)}" for words, names in alike.items()]
    text = f"Bounds for the held-out renderings, together and each alone: {'; '.join(parts)}."
    if any(VIOLATED in each for each in found.values()):
        text += " A proven bound is violated by chance, or something measured is wrong."
    return text


def gap(found: Band, n_levels: int) -> str:
    """Whether the return on training levels differs from that on test levels."""
    numbers = with_interval(found, sign="+")
    where = f"on the {n_levels:,} test levels"
    decided = decision(found)
    if decided == "undecided":
        return (
            "With sampled actions it is undecided whether the return on training levels differs"
            f" from that {where}: {numbers}."
        )
    return (
        f"With sampled actions the return on training levels is {decided} than {where}: {numbers}."
    )


def difference(found: Difference) -> str:
    """How two algorithms or, without common seeds, two trained runs compare."""
    if not found.n_renderings:
        return (
            f"{found.left} and {found.right} are not compared: no rendering that was played was"
            " held out from both."
        )
    over = (
        f"over the seeds {listed(map(str, found.seeds))}"
        if found.seeds
        else f"over {found.n_levels} level{'' if found.n_levels == 1 else 's'}"
    )
    mine, theirs = found.steps
    trained = f"{mine} each" if mine == theirs else f"unequal, {mine} against {theirs}"
    text = (
        f"Between {'algorithms' if found.seeds else 'runs'}: {found.left} compared with"
        f" {found.right}, in pairs {over}: mean R is"
        f" {_compared(found.robustness, 3)}; the return under held-out renderings is"
        f" {_compared(found.returned, 2)}. Environment steps: {trained}."
    )
    return text if found.seeds else f"{text} {ONE_RUN_EACH}"


def _compared(found: Band, digits: int) -> str:
    return f"{decision(found)}, {with_interval(found, digits, '+')}"
