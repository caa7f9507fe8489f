"""`mdtheory`: check a problem file, run the toys, list toys and statements."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from mdtheory import command_line
from mdtheory.check import check
from mdtheory.problem_file import dump_problem, load_problem
from mdtheory.statements import STATEMENTS
from mdtheory.toys import TOYS, environment_id, make_toy


@dataclass(frozen=True)
class Check:
    """Check every statement on a problem file. Exit status 0: all hold; 1: one is violated."""

    problem: Annotated[Path, tyro.conf.Positional]
    """JSON file with discount, initial, transition, reward, [reward_bounds], weights, train,
    policies, [baseline_policies]; numbers may be strings such as "9/10"."""
    exact: bool = False
    """Read and decide in exact rationals; no float is involved."""
    json: bool = False
    """Print JSON instead of tables."""

    def run(self) -> int:
        problem, policy, baseline = load_problem(self.problem, in_rationals=self.exact)
        report = check(problem, policy, baseline, require_exact=self.exact)
        if self.json:
            print(report.to_json())
        else:
            console = Console()
            for table in report.tables():
                console.print(table)
        return 0 if report.holds else 1


@dataclass(frozen=True)
class Demo:
    """Run the toys: exact quantities, closed forms and the ladder of bounds."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """Which toy; all of them if left out. `mdtheory toys` lists them."""
    picture: Path | None = None
    """Write the ladder of bounds as a picture (.svg, .png or .pdf)."""
    save: Path | None = None
    """Write the toy as a problem file for `mdtheory check` (needs a name)."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> int:
        from mdtheory.report.toys import demo_report, toy_ladder, toy_reports  # matplotlib is slow

        names = list(TOYS) if self.name is None else [self.name]
        reports = toy_reports(names)
        if self.save is not None:
            if self.name is None:
                raise ValueError("--save needs the name of one toy, got none")
            path = command_line.new_file(self.save, force=self.force)
            path.parent.mkdir(parents=True, exist_ok=True)
            instance = make_toy(self.name)
            renderings = instance.problem.renderings
            baseline = instance.baseline
            path.write_text(
                dump_problem(
                    instance.problem,
                    instance.policy.latent(renderings),
                    None if baseline is None else baseline.latent(renderings),
                ),
                encoding="utf-8",
            )
        if self.picture is not None:
            if self.picture.suffix not in (".svg", ".png", ".pdf"):
                raise ValueError(f"--picture must end in .svg, .png or .pdf, got {self.picture}")
            path = command_line.new_file(self.picture, force=self.force)
            path.parent.mkdir(parents=True, exist_ok=True)
            toy_ladder(reports).savefig(path)
        console = Console()
        for toy in reports:
            for part in demo_report(toy):
                console.print(part)
        return 0 if all(toy.report.holds for toy in reports) else 1


@dataclass(frozen=True)
class Toys:
    """List the toys with their Gymnasium ids and parameters."""

    def run(self) -> int:
        table = Table()
        for column, no_wrap in (("name", True), ("Gymnasium id", True), ("parameters", False)):
            table.add_column(column, no_wrap=no_wrap)
        table.add_column("what it shows")
        for toy in TOYS.values():
            parameters = ", ".join(f"{k}={v}" for k, v in toy.parameters.items())
            table.add_row(toy.name, environment_id(toy.name), parameters, toy.summary)
        Console().print(table)
        return 0


@dataclass(frozen=True)
class Statements:
    """List the statements: id, name, claim, LaTeX, source."""

    def run(self) -> int:
        for s in STATEMENTS.values():
            print(f"{s.id} {s.name}: {s.claim}\n    {s.latex}\n    source: {s.source}\n")
        return 0


COMMANDS: dict[str, type[command_line.Command]] = {
    "check": Check,
    "demo": Demo,
    "toys": Toys,
    "statements": Statements,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    description = "Generalization bounds under irrelevant features, checked exactly."
    return command_line.run("mdtheory", description, COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
