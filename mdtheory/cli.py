"""`mdtheory`: check a problem file, attack or survey bounds, run the toys, list what is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mdtheory import command_line, files, validation
from mdtheory.check import check
from mdtheory.problem_file import dump_problem, load_problem
from mdtheory.progress import progress
from mdtheory.statements import (
    AGENT_QUANTITIES,
    PAIR_QUANTITIES,
    QUANTITIES,
    SHRINKAGE_QUANTITIES,
    STATEMENTS,
)
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
    bound: tuple[str, ...] = ()
    """Check these bounds instead of the statements: "gap <= A2 / 2", several if you like."""

    def run(self) -> int:
        instance = load_problem(self.problem, in_rationals=self.exact)
        report = check(*instance, bounds=self.bound or None, require_exact=self.exact)
        if self.json:
            print(report.to_json())
        else:
            console = Console()
            for table in report.tables():
                console.print(table)
        return 0 if report.holds else 1


@dataclass(frozen=True)
class Demo:
    """Run the toys: exact quantities, closed forms and the ladder of bounds.

    `mdtheory demo shrinkage` trains agents instead, and compares them with B6 (half a minute).
    """

    name: Annotated[str | None, tyro.conf.Positional] = None
    """Which toy, or "shrinkage"; all toys if left out. `mdtheory toys` lists them."""
    picture: Path | None = None
    """Write the ladder of bounds, or shrinkage, as a picture (.svg, .png or .pdf)."""
    save: Path | None = None
    """Write the toy as a problem file for `mdtheory check` (needs a name)."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> int:
        from mdtheory.report import style  # matplotlib is slow
        from mdtheory.report.toys import demo_report, toy_ladder, toy_reports

        if self.name == _SHRINKAGE:
            return self._shrinkage()
        if self.name is not None and self.name not in TOYS:
            raise ValueError(validation.unknown("toy", self.name, (*TOYS, _SHRINKAGE)))
        names = list(TOYS) if self.name is None else [self.name]
        reports = toy_reports(names)
        if self.save is not None:
            if self.name is None:
                raise ValueError("--save needs the name of one toy, got none")
            path = files.new_file(self.save, force=self.force)
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
            style.save(toy_ladder(reports), files.new_picture(self.picture, self.force))
        console = Console()
        for toy in reports:
            for part in demo_report(toy):
                console.print(part)
        return 0 if all(toy.report.holds for toy in reports) else 1

    def _shrinkage(self) -> int:
        from mdtheory.report import shrinkage, style  # matplotlib is slow
        from mdtheory.shrinkage.training import study

        if self.save is not None:
            raise ValueError(f"--save needs the name of one toy, got {_SHRINKAGE}")
        picture = None if self.picture is None else files.new_picture(self.picture, self.force)
        with progress() as show:
            found = study(on_progress=show)
        if picture is not None:
            style.save(shrinkage.shrinkage_figure(found), picture)
        console = Console()
        for part in shrinkage.demo_report(found):
            console.print(part)
        return 0 if all(curve.holds for curve in found.curves) else 1


_SHRINKAGE = "shrinkage"
"""The demo that is no toy: it trains."""


@dataclass(frozen=True)
class Refute:
    """Attack a bound. Exit status 1: refuted; 0: proved, or survived (which is no proof)."""

    bound: Annotated[str, tyro.conf.Positional]
    """For example "gap <= (1 - M) * R * Delta / (1 - gamma)", "gap <= A2",
    "zeta >= zeta0 if R < R0 and eta == eta0"; `mdtheory quantities` lists the names."""
    budget: str = "60s"
    """How long to search: 90, 60s, 5m or 1h. Refutations and proofs usually need a second."""
    json: bool = False
    """Print JSON."""
    output: Path | None = None
    """Write the counterexample as a problem file for `mdtheory check`; with a survivor, the
    instance that comes closest."""
    seed: int = 0
    """Of the random starts."""
    no_proof: bool = False
    """Do not look for a proof."""
    force: bool = False
    """Overwrite an existing file."""

    def run(self) -> int:
        from mdtheory.search import refute

        if self.output is not None:
            files.new_file(self.output, force=self.force)
        with progress() as show:
            answer = refute(
                self.bound,
                budget=command_line.seconds(self.budget),
                seed=self.seed,
                use_proofs=not self.no_proof,
                on_progress=lambda stage, tried, share: show(f"{stage}: {tried:,} tried", share),
            )
        if self.output is not None and answer.instance is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            self.output.write_text(dump_problem(*answer.instance), encoding="utf-8")
        print(answer.to_json() if self.json else answer.text(self.output))
        return 1 if answer.verdict == "refuted" else 0


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
    """List the statements: id, name, claim, LaTeX, proof, source."""

    def run(self) -> int:
        for s in STATEMENTS.values():
            print(f"{s.id} {s.name}: {s.claim}\n    {s.latex}")
            print(f"    proof: {s.proof}\n    source: {s.source}\n")
        return 0


@dataclass(frozen=True)
class Atlas:
    """Measure how tight each bound can be at given discount and R (some 5 minutes).

    A run that was stopped goes on where it was.
    """

    output: Path = Path("runs/atlas")
    """Folder for atlas.json, with an exact instance for every cell, and atlas.svg."""
    seed: int = 0
    """Of the random starts."""

    def run(self) -> int:
        from mdtheory.report import style  # matplotlib is slow
        from mdtheory.report.atlas import atlas_figure
        from mdtheory.search.atlas import measure_tightness

        self.output.mkdir(parents=True, exist_ok=True)
        with progress() as show:
            path = self.output / "atlas.json"
            atlas = measure_tightness(path, seed=self.seed, on_progress=show)
        picture = self.output / "atlas.svg"
        style.save(atlas_figure(atlas), picture)
        smallest = min(c.ratio for c in atlas.cells if c.ratio is not None and c.bound == "A2")
        print(f"{len(atlas.cells)} cells; A2 is attained to at least {float(smallest):.6g}")
        print(f"picture: {picture}")
        return 0


@dataclass(frozen=True)
class Survey:
    """Put millions of problems to all statements, or to your bounds, on all cores or a cluster.

    Goes on where it was stopped, and ends with the same files. Exit status 0: no violation among
    these problems (which is no proof); 1: a bound is violated, and a printed table says which.
    """

    problems: int = 10_000_000
    """How many, a multiple of 500; more of them later extend the same survey."""
    bound: tuple[str, ...] = ()
    """These bounds instead of the statements: "gap <= A2 / 2", several if you like."""
    output: Path = Path("runs/survey")
    """Folder of this survey: survey.json, survey.svg, worst cases as problem files."""
    seed: int = 0
    """Of the problems."""
    address: str | None = None
    """A Ray cluster, "auto" or HOST:PORT; this machine's cores if left out."""
    block: int = 10_000
    """Problems of one job, a multiple of 500; without influence on the result."""
    cpus: float = 1.0
    """Processor cores that one job takes."""
    retries: int = 3
    """How often a block starts again whose worker or machine died, up to 1000."""
    keep: int = 5
    """Worst cases, and first violations, to keep of every bound."""
    picture: Path | None = None
    """Write the picture here (.svg, .png or .pdf) instead of survey.svg in the folder."""
    force: bool = False
    """Overwrite the picture that --picture names."""

    def run(self) -> int:
        from mdtheory.cluster import Resources
        from mdtheory.survey import Settings, survey

        picture = self.output / "survey.svg"
        if self.picture is not None:
            picture = files.new_picture(self.picture, self.force)
        settings = Settings(seed=self.seed, bounds=self.bound, keep=self.keep)
        with progress() as show:
            found = survey(
                settings,
                self.output,
                problems=self.problems,
                block=self.block,
                address=self.address,
                resources=Resources(cpus=self.cpus),
                retries=self.retries,
                on_progress=show,
            )
        from mdtheory.report import style  # matplotlib is slow
        from mdtheory.survey.figure import survey_figure

        style.save(survey_figure(found), picture)
        Console().print(found.table())
        print("\n".join([*found.lines(), f"picture: {picture}"]))
        return 0 if found.holds else 1


@dataclass(frozen=True)
class Quantities:
    """List the quantities: name, symbol, domain, meaning. A bound as text may speak about those of
    a problem, a policy and a baseline."""

    def run(self) -> int:
        for title, quantities in (
            ("Of a problem and a policy", QUANTITIES),
            ("Further ones with a baseline, a second policy", PAIR_QUANTITIES),
            ("Of several agents: mdtheory.check_agents", AGENT_QUANTITIES),
            ("Of linearised distillation: mdtheory.check_shrinkage", SHRINKAGE_QUANTITIES),
        ):
            table = Table(title=title, title_justify="left")
            table.add_column("name", no_wrap=True)
            for column in ("symbol", "domain", "meaning"):
                table.add_column(column)
            for q in quantities.values():
                table.add_row(q.name, q.symbol.name, escape(q.domain), q.meaning)
            Console().print(table)
        return 0


COMMANDS: dict[str, type[command_line.Command]] = {
    "check": Check,
    "demo": Demo,
    "refute": Refute,
    "atlas": Atlas,
    "survey": Survey,
    "toys": Toys,
    "statements": Statements,
    "quantities": Quantities,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    description = "Generalization bounds under irrelevant features, checked exactly."
    return command_line.run("mdtheory", description, lambda _: COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
