"""The chain in tables and words: where how much is lost, computed from the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from experiments.interval import Interval, interval
from experiments.pixelgrid.chain import LINKS, Chain, Step, over_seeds, quotient

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
        VISITED: quotient(v["mean_disagreement"], v["train_disagreement"]),
        UNSEEN: quotient(v["train_disagreement"], v["disagreement"]),
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
        and left.config.has_worlds_of(right.config)
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
