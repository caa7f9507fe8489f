"""The toys as tables and as a picture: the ladder of bounds against the true gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from mdtheory.check import Report, check
from mdtheory.report.ladder import LadderRow, ladder_figure
from mdtheory.statements import GAP_BOUNDS
from mdtheory.toys import TOYS, Toy, ToyInstance, make_toy


@dataclass(frozen=True)
class ToyReport:
    """A toy with its default parameters, checked exactly; the rival too, where there is one."""

    toy: Toy
    instance: ToyInstance
    report: Report
    rival: Report | None

    @property
    def disagreements(self) -> list[str]:
        """Names of closed-form answers that the exact check does not reproduce."""
        found = self.report.quantities | {b.bound.id: b.rhs for b in self.report.bounds}
        return [name for name, value in self.instance.expected.items() if found[name] != value]


def toy_reports(names: Iterable[str] = tuple(TOYS)) -> list[ToyReport]:
    """Build and check toys by name."""
    reports = []
    for name in names:
        instance = make_toy(name)
        report = check(instance.problem, instance.policy, instance.baseline, require_exact=True)
        rival = (
            None
            if instance.rival is None
            else check(instance.problem, instance.rival, require_exact=True)
        )
        reports.append(ToyReport(TOYS[name], instance, report, rival))
    return reports


def demo_report(toy: ToyReport) -> list[Any]:
    """What `mdtheory demo` prints for a toy: renderables for rich."""
    parameters = ", ".join(f"{k} = {v}" for k, v in toy.toy.parameters.items())
    parts: list[Any] = ["", f"[bold]{toy.toy.name}[/bold]: {toy.toy.summary}", f"({parameters})"]
    wrong = toy.disagreements
    parts.append(
        f"closed forms: {len(toy.instance.expected) - len(wrong)} of"
        f" {len(toy.instance.expected)} equal the computed values exactly"
        + (f"; different: {', '.join(wrong)}" if wrong else "")
    )
    parts.extend(toy.report.tables())
    if toy.rival is not None:
        table = Table("policy", "R", "train_return", "general_return", title="Rival")
        for label, report in (("policy", toy.report), ("rival", toy.rival)):
            q = report.quantities
            columns = (q["robustness"], q["train_return"], q["general_return"])
            table.add_row(label, *(str(x) for x in columns))
        parts.append(table)
    return parts


def toy_ladder(toys: Sequence[ToyReport]) -> Figure:
    """The ladder of bounds for these toys."""
    rows = []
    for toy in toys:
        coverage = toy.report["A0"].rhs
        rows.append(
            LadderRow(
                label=toy.toy.name,
                bounds={s.id: float(toy.report[s.id].rhs / coverage) for s in GAP_BOUNDS},
                gap=float(toy.report.quantities["gap"] / coverage),
            )
        )
    return ladder_figure(rows)
