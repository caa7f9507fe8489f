"""The toys as tables and as a picture: the ladder of bounds against the true gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from mdtheory.check import Report, check
from mdtheory.report import style
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
        found = self.report.quantities | {b.statement.id: b.rhs for b in self.report.bounds}
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


def ladder_figure(toys: Sequence[ToyReport]) -> Figure:
    """Every bound on the gap and the gap itself, as a fraction of A0, one row per toy."""
    figure, axis = style.new_figure(7.2, 0.62 * len(toys) + 1.5)
    zero = 3e-4  # where the logarithmic axis shows 0
    for row, toy in enumerate(toys):
        coverage = toy.report["A0"].rhs
        values = {s.id: float(toy.report[s.id].rhs / coverage) for s in GAP_BOUNDS}
        axis.axhline(row, color="#dddddd", linewidth=0.8, zorder=0)
        for rank, (statement_id, value) in enumerate(values.items()):
            axis.plot(
                max(value, zero),
                row + 0.3 - 0.12 * rank,
                "o",
                color=style.COLOURS[statement_id],
                markersize=6,
                label=f"{statement_id} {toy.report[statement_id].statement.name}"
                if row == 0
                else None,
            )
        gap = float(toy.report.quantities["gap"] / coverage)
        axis.plot(
            [max(gap, zero)] * 2,
            [row - 0.4, row + 0.4],
            color=style.COLOURS["gap"],
            linewidth=2.5,
            solid_capstyle="butt",
            label="true gap" if row == 0 else None,
        )
    axis.set_xscale("log")
    axis.set_xlim(zero / 1.5, 150)
    axis.set_xticks([zero, 1e-3, 1e-2, 1e-1, 1, 10, 100])
    axis.set_xticklabels(["0", "0.001", "0.01", "0.1", "1", "10", "100"])
    axis.set_yticks(range(len(toys)), [toy.toy.name for toy in toys])
    axis.set_ylim(len(toys) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.axvspan(1, 150, color="#cc79a7", alpha=0.08, linewidth=0)
    axis.text(1.1, len(toys) - 0.55, "vacuous: above A0", fontsize=7, color="#884466")
    axis.set_xlabel("fraction of A0, the bound that needs no knowledge of the policy (log scale)")
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return figure
