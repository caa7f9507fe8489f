"""The end of a survey: `survey.json`, problem files of worst cases and violations, words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.table import Table

from mdtheory import files
from mdtheory.judge import HOLDS, NOT_APPLICABLE, UNDECIDED, VIOLATED
from mdtheory.problem_file import check_command, dump_problem, parse_problem
from mdtheory.search.hunt import exact_result
from mdtheory.statements import STATEMENTS, Bound
from mdtheory.survey.draw import kind, problem
from mdtheory.survey.settings import Settings
from mdtheory.survey.store import Store
from mdtheory.survey.tally import Tally


@dataclass(frozen=True)
class Worst:
    """A bound's worst case: the largest ratio among those that are largest in float64.

    Attributes:
        number: of the problem.
        share: used over allowed, in rationals, or rounded if irrational; None where nothing is
            allowed.
        verdict: decided exactly.
        attained: whether it uses exactly what is allowed.
        path: its problem file.
    """

    number: int
    share: Fraction | float | None
    verdict: str
    attained: bool
    path: Path

    @property
    def ratio(self) -> float | None:
        """The share, rounded."""
        return None if self.share is None else float(self.share)

    @property
    def rank(self) -> tuple[Fraction | float, int, int]:
        """Smaller is worse.  An irrational share may be rounded to another one: then what is
        violated is worse than what is attained, and that worse than what holds otherwise."""
        side = 0 if self.verdict == VIOLATED else 1 if self.attained else 2
        return (-float("inf") if self.share is None else -self.share, side, self.number)


@dataclass(frozen=True)
class Conclusion:
    """What a finished survey found: by bound its tally, its worst case if any has a ratio, and the
    files of its first violations."""

    folder: Path
    settings: Settings
    problems: int
    tallies: Mapping[str, Tally]
    worst: Mapping[str, Worst]
    violations: Mapping[str, tuple[Path, ...]]

    @property
    def holds(self) -> bool:
        """Whether no bound was violated, which is no proof."""
        return not any(self.violations.values())

    @property
    def command(self) -> str:
        """What gives the same survey again."""
        return survey_command(self.settings, self.problems)

    def table(self) -> Table:
        """A row for every bound."""
        table = Table(title=f"{self.problems:,} problems, seed {self.settings.seed}")
        table.add_column("bound")
        for column in ("holds", "n/a", "undecided", "violated", "attained", "largest ratio"):
            table.add_column(column, justify="right")
        for bound, tally in self.tallies.items():
            counts = [tally.count(v) for v in (HOLDS, NOT_APPLICABLE, UNDECIDED, VIOLATED)]
            worst = self.worst.get(bound)
            ratio = "-" if worst is None else ratio_text(worst)
            table.add_row(bound, *(f"{n:,}" for n in (*counts, tally.attained)), ratio)
        return table

    def lines(self) -> list[str]:
        """What it means, and how to confirm it."""
        found = []
        for bound, paths in self.violations.items():
            if paths:
                tally = self.tallies[bound]
                number = min(tally.violations)
                found.append(
                    f"violated: {bound}, by {tally.count(VIOLATED):,} problems; the first is number"
                    f" {number:,} ({kind(number)}), confirmed exactly:"
                )
                found.append(f"    {check_command(paths[0], bound)}")
        if self.holds:
            undecided = sum(tally.count(UNDECIDED) for tally in self.tallies.values())
            found.append(
                f"no violation among {self.problems:,} problems; this is no proof, it speaks of"
                " these problems alone"
                + (f"; {undecided:,} verdicts are undecided" if undecided else "")
            )
        if self.worst:
            found.append(f"worst cases: {self.folder / 'worst-*.json'}, for example")
            bound, worst = min(self.worst.items(), key=lambda pair: pair[1].rank)
            found.append(f"    {check_command(worst.path, bound)}")
        return found


def ratio_text(worst: Worst) -> str:
    """The exact ratio as a person reads it: 1 is attained, 0.999999 is not."""
    if worst.ratio is None:
        return "none allowed"
    if worst.attained:
        return "1"
    if worst.ratio == 1:
        return "1 (rounded)"
    text = f"{worst.ratio:.6g}"
    return f"1 - {1 - worst.ratio:.1e}" if text == "1" and worst.ratio < 1 else text


def survey_command(settings: Settings, problems: int) -> str:
    """The command line of a survey, without what has no influence on its result."""
    words = ["mdtheory", "survey", "--problems", str(problems), "--seed", str(settings.seed)]
    if settings.bounds != Settings().bounds:
        words += ["--bound", *settings.bounds]
    if settings.keep != Settings().keep:
        words += ["--keep", str(settings.keep)]
    return shlex.join(words)


def conclude(store: Store, problems: int) -> Conclusion:
    """Write `survey.json` and the problem files into the survey's folder; each at once whole.

    Everything is a function of settings, number of problems and the package's version.
    """
    settings = store.settings
    worst: dict[str, Worst] = {}
    violations: dict[str, tuple[Path, ...]] = {}
    for place, bound in enumerate(settings.parsed, start=1):
        name = bound.id if bound.id in STATEMENTS else f"bound-{place}"
        tally = store.tallies[bound.id]
        paths = []
        for k, text in enumerate(tally.violations.values(), start=1):
            path = store.folder / f"violated-{name}-{k}.json"
            files.write_atomically(path, text.encode())
            paths.append(path)
        violations[bound.id] = tuple(paths)
        path = store.folder / f"worst-{name}.json"
        cases = [
            _case(bound, number, dump_problem(*problem(settings.seed, number)), path)
            for number, _ in tally.worst
        ]
        if cases:
            case, text = min(cases, key=lambda pair: pair[0].rank)
            files.write_atomically(path, text.encode())
            worst[bound.id] = case
    conclusion = Conclusion(store.folder, settings, problems, store.tallies, worst, violations)
    files.write_atomically(store.folder / "survey.json", _text(conclusion).encode())
    return conclusion


def _case(bound: Bound, number: int, text: str, path: Path) -> tuple[Worst, str]:
    """Through the file's text, so that what a user gets is what was decided."""
    result = exact_result(bound, parse_problem(text, in_rationals=True))
    attained = isinstance(result.slack, Fraction) and result.slack == 0 and result.ratio is not None
    return Worst(number, result.ratio, result.verdict, attained, path), text


def _text(conclusion: Conclusion) -> str:
    """JSON with a line for each thing that is known of a bound."""
    settings = conclusion.settings
    head = {
        "command": conclusion.command,
        "problems": conclusion.problems,
        "seed": settings.seed,
        "keep": settings.keep,
        "mdtheory": settings.mdtheory,
        "numpy": settings.numpy,
    }
    bounds = {bound: _object(_entry(conclusion, bound), 2) for bound in settings.bounds}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines.append('"bounds": ' + _braces((f"{json.dumps(b)}: {o}" for b, o in bounds.items()), 1))
    return _braces(lines, 0) + "\n"


def _entry(conclusion: Conclusion, bound: str) -> dict[str, Any]:
    content = conclusion.tallies[bound].to_json()
    worst = conclusion.worst.get(bound)
    return content | {
        "worst": [
            {"problem": number, "kind": str(kind(number)), "float64_ratio": ratio}
            for number, ratio in conclusion.tallies[bound].worst
        ],
        "worst_exactly": None
        if worst is None
        else {
            "problem": worst.number,
            "kind": str(kind(worst.number)),
            "ratio": worst.ratio,
            "attained": worst.attained,
            "file": worst.path.name,
        },
        "violations": [
            {"problem": number, "kind": str(kind(number)), "file": path.name}
            for number, path in zip(
                conclusion.tallies[bound].violations, conclusion.violations[bound], strict=True
            )
        ],
    }


def _object(entry: dict[str, Any], depth: int) -> str:
    lines = (f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in entry.items())
    return _braces(lines, depth)


def _braces(lines: Any, depth: int) -> str:
    inner, outer = "  " * (depth + 1), "  " * depth
    return "{\n" + ",\n".join(inner + line for line in lines) + "\n" + outer + "}"
